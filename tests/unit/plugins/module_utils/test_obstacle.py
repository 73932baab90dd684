# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nobody can change is known before it is tried, and told with what makes it changeable."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import find_obstacle


@pytest.fixture
def descriptor(tmp_path: pathlib.Path) -> t.Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_nothing_is_in_the_way(descriptor: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch(0o400)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/proc")
    for name in (".", "file", "pipe", "link", "missing"):
        assert find_obstacle(descriptor, "/srv/x", name) is None


def test_a_file_system_that_is_mounted_read_only(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class _ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _place: _ReadOnly)
    assert find_obstacle(descriptor, "/srv/x") == (
        "/srv/x is on a file system that is mounted read-only. Mount it writable first."
    )


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (0x10, "/srv/x is immutable. Run chattr -i on it first."),
        (0x80020, "/srv/x is append-only. Run chattr -a on it first."),
        (0x30, "/srv/x is immutable. Run chattr -i on it first."),
        (0x80000, None),
    ],
)
def test_attributes(descriptor: int, monkeypatch: pytest.MonkeyPatch, bits: int, said: str | None) -> None:
    def ioctl(_descriptor: int, _call: int, answer: array.array[int], _mutates: bool) -> int:
        answer[0] = bits
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert find_obstacle(descriptor, "/srv/x") == said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sets these attributes")
@pytest.mark.parametrize(("attribute", "what"), [("i", "immutable"), ("a", "append-only")])
@pytest.mark.parametrize("kind", ["file", "directory", "."])
def test_what_the_kernel_says(descriptor: int, tmp_path: pathlib.Path, attribute: str, what: str, kind: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    if not shutil.which("chattr"):
        pytest.skip("there is no chattr here")
    set_it, take_it_away = (["chattr", f"{sign}{attribute}", str(tmp_path / kind)] for sign in "+-")
    try:
        if subprocess.run(set_it, capture_output=True, check=False).returncode:
            pytest.skip("this file system keeps no such attributes")
        assert find_obstacle(descriptor, "/srv/x", kind) == f"/srv/x is {what}. Run chattr -{attribute} on it first."
    finally:
        with contextlib.suppress(OSError):
            subprocess.run(take_it_away, capture_output=True, check=False)
    assert find_obstacle(descriptor, "/srv/x", kind) is None
