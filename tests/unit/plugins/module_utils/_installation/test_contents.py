# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.contents import (
    has_mark,
    is_declared,
    is_part,
    listed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership

LOGS = DeclaredDirectory(
    "/var/log/x",
    Ownership(0o700),
    ("homeserver.log",),
    content_patterns=("homeserver.log.[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]",),
)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("homeserver.log", True),
        ("homeserver.log.2026-11-25", True),
        ("homeserver.log.old", False),
        ("Homeserver.log", False),
        ("homeserver.log.2026-11-25.gz", False),
    ],
)
def test_names_and_patterns(name: str, fits: bool) -> None:
    assert is_declared(name, LOGS) == fits


def test_a_name_with_the_characters_of_patterns_is_itself_and_nothing_else(tmp_path: pathlib.Path) -> None:
    names = ["[::1]:8448.signing.key", "[a-z]*.signing.key"]
    for name in [*names, "1:8448.signing.key", "example.org.signing.key"]:
        (tmp_path / name).touch()
    declared = DeclaredDirectory(str(tmp_path), Ownership(0o700), tuple(names))
    with open_directory(str(tmp_path)) as directory:
        assert [name for name in directory.names() if is_part(directory, name, declared, True)] == names


def test_what_is_a_part(tmp_path: pathlib.Path) -> None:
    marked = b"# Written by matrix_ops.synapse.\n"
    (tmp_path / "known").write_bytes(b"x")
    (tmp_path / "known-marked").write_bytes(marked)
    (tmp_path / "ours.yaml").write_bytes(marked)
    (tmp_path / "mine.yaml").write_bytes(b"a: 1\n")
    (tmp_path / "late.yaml").write_bytes(b" " * 4090 + marked)
    (tmp_path / "link.yaml").symlink_to("ours.yaml")
    (tmp_path / "directory.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    declared = DeclaredDirectory(str(tmp_path), Ownership(0o700), ("known",), ("*.yaml",), ("known-*",))
    with open_directory(str(tmp_path)) as directory:
        names = directory.names()
        parts = {ours: [it for it in names if is_part(directory, it, declared, ours)] for ours in (False, True)}
        assert not has_mark(directory, "missing")
    assert parts == {False: ["known-marked", "ours.yaml"], True: ["known", "known-marked", "ours.yaml"]}


def test_listed() -> None:
    assert listed(["b", "a\n"]) == "a\\n, b"
    assert listed([str(number) for number in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
