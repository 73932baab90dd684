# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory is ours only with a marker file that no other user could have created."""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    discard_begun,
    hidden_name,
    is_begun,
    is_ours,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import snapshot

BEGUN = HIDDEN_PREFIX + "0123456789abcdef" * 2


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> t.Iterator[Directory]:
    with open_directory(str(tmp_path)) as opened:
        yield opened


def test_a_mark_is_text_for_people(directory: Directory, tmp_path: pathlib.Path) -> None:
    assert not is_ours(directory)
    put_marker(directory, str(tmp_path))
    assert is_ours(directory)
    assert f"matrix_ops.synapse created the directory {tmp_path}\n" in (tmp_path / MARKER).read_text()
    assert os.listdir(tmp_path) == [MARKER]


@pytest.mark.parametrize("kind", ["link", "directory", "other text"])
def test_what_is_no_mark(directory: Directory, tmp_path: pathlib.Path, kind: str) -> None:
    (tmp_path / "other").touch()
    if kind == "link":
        (tmp_path / MARKER).symlink_to("other")
    elif kind == "directory":
        (tmp_path / MARKER).mkdir()
    else:
        os.link(tmp_path / "other", tmp_path / MARKER)
    assert not is_ours(directory)


def test_a_backup_of_hard_links_takes_nothing_away(directory: Directory, tmp_path: pathlib.Path) -> None:
    put_marker(directory, str(tmp_path))
    (tmp_path / "backup").mkdir()
    os.link(tmp_path / MARKER, tmp_path / "backup" / MARKER)
    assert is_ours(directory)
    with directory.child("backup") as backup:
        assert not is_ours(backup)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_mark_of_another_user_is_none(directory: Directory, tmp_path: pathlib.Path) -> None:
    put_marker(directory, str(tmp_path))
    os.chown(tmp_path / MARKER, 65534, 65534)
    assert not is_ours(directory)


def test_a_mark_counts_in_its_own_place_only(directory: Directory, tmp_path: pathlib.Path) -> None:
    for name in ("own", "shared"):
        (tmp_path / name).mkdir()
    with directory.child("own") as own:
        put_marker(own, str(tmp_path / "own"))
        assert is_ours(own)
    shutil.copy2(tmp_path / "own" / MARKER, tmp_path / "shared")
    with directory.child("shared") as shared:
        assert not is_ours(shared)
    (tmp_path / "own").rename(tmp_path / "moved")
    with directory.child("moved") as moved:
        assert not is_ours(moved)
    shutil.copytree(tmp_path / "moved", tmp_path / "own")
    with directory.child("own") as restored:
        assert is_ours(restored)


@pytest.mark.parametrize(("place", "counts"), [("data", True), ("other", False), ("deeper/data", False)])
def test_a_mark_counts_under_a_hidden_name_of_its_place(
    directory: Directory, tmp_path: pathlib.Path, place: str, counts: bool
) -> None:
    name = hidden_name("data", "emptied")
    (tmp_path / name).mkdir()
    with directory.child(name) as hidden:
        put_marker(hidden, str(tmp_path / place))
        assert is_ours(hidden) == counts


@pytest.mark.parametrize("name", ["\u00f6\u4e2d", "x" * 255, "a b'c"])
def test_a_mark_holds_every_path(directory: Directory, tmp_path: pathlib.Path, name: str) -> None:
    # So that the longest name in bytes is still valid.
    name = os.fsdecode(os.fsencode(name)[:255])
    (tmp_path / name).mkdir()
    with directory.child(name) as own:
        put_marker(own, str(tmp_path / name))
        assert is_ours(own)


def test_a_mark_with_other_text_is_none(directory: Directory, tmp_path: pathlib.Path) -> None:
    put_marker(directory, str(tmp_path))
    with (tmp_path / MARKER).open("a") as mark:
        mark.write("0")
    assert not is_ours(directory)


def test_hidden_names_are_found_again_and_fit() -> None:
    name = hidden_name("/srv/" + "x" * 255, "next")
    assert name == hidden_name("x" * 255, "next")
    assert name != hidden_name("y", "next") and name != hidden_name("x" * 255, "before")
    assert len(name) < 64


@pytest.mark.parametrize("content", [[], [MARKER], [BEGUN], [MARKER, BEGUN]])
def test_what_was_begun_is_discarded(directory: Directory, tmp_path: pathlib.Path, content: list[str]) -> None:
    (tmp_path / BEGUN).mkdir()
    for name in content:
        (tmp_path / BEGUN / name).touch()
    assert is_begun(directory, BEGUN)
    discard_begun(directory, BEGUN)
    assert os.listdir(tmp_path) == []


def test_what_was_not_begun_by_us_stays(directory: Directory, tmp_path: pathlib.Path) -> None:
    (tmp_path / BEGUN[:-1]).mkdir()
    (tmp_path / BEGUN).mkdir()
    (tmp_path / BEGUN / "content").touch()
    (tmp_path / f"{BEGUN[:-2]}00").symlink_to(BEGUN[:-1])
    (tmp_path / f"{BEGUN[:-2]}11").touch()
    assert not [name for name in os.listdir(tmp_path) if is_begun(directory, name)]
    before = snapshot(tmp_path)
    for name in (*os.listdir(tmp_path), f"{BEGUN[:-2]}22"):
        discard_begun(directory, name)
    assert snapshot(tmp_path) == before


def test_what_got_its_own_name_in_the_last_moment_stays(
    directory: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / BEGUN).mkdir()
    (tmp_path / BEGUN / MARKER).touch()

    def wait(_descriptor: int, _operation: int) -> None:
        (tmp_path / BEGUN).rename(tmp_path / "data")

    monkeypatch.setattr(fcntl, "flock", wait)
    discard_begun(directory, BEGUN)
    assert os.listdir(tmp_path / "data") == [MARKER]


def test_what_another_run_is_making_stays(directory: Directory, tmp_path: pathlib.Path) -> None:
    (tmp_path / BEGUN).mkdir()
    descriptor = os.open(tmp_path / BEGUN, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert not is_begun(directory, BEGUN)
        discard_begun(directory, BEGUN)
        assert os.listdir(tmp_path) == [BEGUN]
    finally:
        os.close(descriptor)
    assert is_begun(directory, BEGUN)
