# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import Member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import Entry, Source
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import media
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.media import (
    MediaDirectory,
    first_medium,
    present_sizes,
)

OWN = Attributes(0o750, os.geteuid(), os.getegid())


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_counts_for_the_innermost_directory(tmp_path: pathlib.Path, order: int) -> None:
    (tmp_path / "outer" / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "outer" / "inner")
    (tmp_path / "outer" / "a").write_bytes(b"1" * 10)
    (tmp_path / "outer" / "inner" / "deep" / "b").write_bytes(b"1" * 5)
    sizes = {"outer": 10, "link": 5, "missing": 0}
    directories = [MediaDirectory(str(tmp_path / name), OWN) for name in sizes][::order]
    assert present_sizes(directories) == [*sizes.values()][::order]


def test_a_new_disk_is_empty(tmp_path: pathlib.Path) -> None:
    for name in (".snapshots", "local_content/.Trash-0", "lost+found"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "one").write_bytes(b"12345")
    places = [MediaDirectory(str(tmp_path), OWN)]
    assert (first_medium(places), present_sizes(places)) == ("", [0])
    # Elsewhere it is a name like others.
    medium = tmp_path / "local_content" / "lost+found"
    medium.mkdir()
    (medium / "one").write_bytes(b"123")
    assert (first_medium(places), present_sizes(places)) == (str(medium / "one"), [3])


@pytest.mark.parametrize(
    ("owner", "group", "user", "given"),
    [
        ("root", "root", 0, True),
        # The host does not have the user or the group.
        ("no-such-user", "root", 0, False),
        ("root", "no-such-group", 0, False),
        # Only root may give a file away.
        ("root", "root", 4321, False),
    ],
)
def test_the_owner_of_a_medium(monkeypatch: pytest.MonkeyPatch, owner: str, group: str, user: int, given: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    member = Member(Entry("media/0/a", 1, 0o4640, owner, group, 5), Source(io.BytesIO()), lambda _size: None)
    expected = Attributes(0o640, 0, 0) if given else Attributes(0o640, 4321, 4322)
    assert media._attributes(member, Attributes(0o750, 4321, 4322)) == expected
