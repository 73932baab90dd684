# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.tree import make_private, read_sizes


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/file").write_text("four")
    (tmp_path / "tree/empty").write_text("")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("somebody else's")
    return tmp_path / "tree"


@pytest.fixture
def descriptor(tree: pathlib.Path) -> t.Iterator[int]:
    opened = os.open(tree, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_read_sizes(tree: pathlib.Path, descriptor: int) -> None:
    assert read_sizes(descriptor) == {"a/b/file": 4, "empty": 0}


@pytest.mark.parametrize("target", ["../outside", "../outside/file", "nowhere"])
def test_link_counts_as_itself(tree: pathlib.Path, descriptor: int, target: str) -> None:
    (tree / "link").symlink_to(target)
    assert read_sizes(descriptor) == {"a/b/file": 4, "empty": 0, "link": len(target)}


def test_make_private(tree: pathlib.Path, descriptor: int) -> None:
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o777)
    make_private(descriptor)
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (tree, *tree.rglob("*"))}
    assert modes == {(True, 0o700), (False, 0o600)}


@pytest.mark.parametrize("target", ["../outside", "../outside/file"])
def test_what_a_link_leads_to_stays_as_it_is(tree: pathlib.Path, descriptor: int, target: str) -> None:
    outside = tree.parent / "outside"
    for path in (outside, outside / "file"):
        path.chmod(0o777)
    (tree / "a" / "link").symlink_to(f"../{target}")
    try:
        make_private(descriptor)
    except OSError as error:
        assert error.filename == "link"
    assert [path.stat().st_mode & 0o777 for path in (outside, outside / "file")] == [0o777, 0o777]
