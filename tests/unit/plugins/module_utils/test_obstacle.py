# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Obstacles are found before a change is tried, and reported with what removes them."""

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

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _obstacle as obstacles
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import (
    find_obstacle,
    find_obstacle_to_entries,
    find_obstacle_to_removal,
)


@pytest.fixture
def descriptor(tmp_path: pathlib.Path) -> t.Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_no_obstacle(descriptor: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch(0o400)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/proc")
    for name in (".", "file", "pipe", "link", "missing"):
        assert find_obstacle(descriptor, "/srv/x", name) is None


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_nothing_is_opened_that_may_do_something_when_it_is(
    descriptor: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    opened: list[str] = []

    def open_and_fail(path: str, *_flags: int, **_directory: int) -> int:
        opened.append(path)
        raise PermissionError

    monkeypatch.setattr(os, "open", open_and_fail)
    assert find_obstacle(descriptor, "/srv/x", name) is None
    assert opened == []


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
def test_real_attributes(descriptor: int, tmp_path: pathlib.Path, attribute: str, what: str, kind: str) -> None:
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


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "alice" / "rooms" / "deep").mkdir(parents=True)
    (tmp_path / "alice" / "rooms" / "deep" / "file").touch()
    (tmp_path / "alice" / "empty").mkdir()
    (tmp_path / "alice" / "link").symlink_to("/")
    return tmp_path


def let_be_immutable(monkeypatch: pytest.MonkeyPatch, path: pathlib.Path) -> None:
    own = path.stat()

    def attributes(descriptor: int, name: str) -> int:
        return 0x10 * os.path.samestat(os.stat(name, dir_fd=descriptor, follow_symlinks=False), own)

    monkeypatch.setattr(obstacles, "_attributes", attributes)


@pytest.mark.parametrize("there", ["alice", "alice/rooms", "alice/rooms/deep", "alice/rooms/deep/file", "alice/empty"])
def test_obstacle_anywhere_in_a_tree(
    descriptor: int, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    assert find_obstacle_to_removal(descriptor, f"{tree}/alice", "alice") is None
    let_be_immutable(monkeypatch, tree / there)
    said = find_obstacle_to_removal(descriptor, f"{tree}/alice", "alice")
    assert said == f"{tree}/{there} is immutable. Run chattr -i on it first."


def test_obstacle_of_a_file_and_of_nothing(
    descriptor: int, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").touch()
    assert find_obstacle_to_removal(descriptor, "/srv/file", "file") is None
    assert find_obstacle_to_removal(descriptor, "/srv/missing", "missing") is None
    let_be_immutable(monkeypatch, tree / "file")
    assert find_obstacle_to_removal(descriptor, "/srv/file", "file") == (
        "/srv/file is immutable. Run chattr -i on it first."
    )


@pytest.mark.parametrize(("closed", "said"), [("alice/rooms", True), ("alice/empty", False)])
def test_a_directory_that_this_user_cannot_empty(
    descriptor: int, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch, closed: str, said: bool
) -> None:
    # Root may write everywhere, so the answers of the kernel are replaced.
    own = (tree / closed).stat()

    def access(_path: str, _mode: int, *, dir_fd: int) -> bool:
        return not os.path.samestat(os.fstat(dir_fd), own)

    monkeypatch.setattr(os, "access", access)
    expected = f"the directory {tree}/{closed} is read-only for this user. Run the task with become." if said else None
    assert find_obstacle_to_removal(descriptor, f"{tree}/alice", "alice") == expected
    assert find_obstacle_to_entries(descriptor, "/srv/x") is None
