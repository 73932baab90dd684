# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _obstacle as obstacles
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.stored import StoredExport, find_obstacle_in
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import MANIFEST

IMMUTABLE, APPEND_ONLY = 0x10, 0x20


def test_manifest_that_never_ends_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "alice").mkdir()
    path = tmp_path / "alice" / "manifest.json"
    path.write_text(MANIFEST.to_json())
    with open_directory(str(tmp_path)) as parent:
        stored = StoredExport(parent, "alice", None)
        assert stored.read_manifest() == MANIFEST
        os.truncate(path, 1 << 40)
        with pytest.raises(ValueError, match="too long for a manifest"):
            stored.read_manifest()


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "alice" / "rooms" / "deep").mkdir(parents=True)
    (tmp_path / "alice" / "rooms" / "deep" / "file").touch()
    (tmp_path / "alice" / "link").symlink_to("/")
    (tmp_path / "file").touch()
    return tmp_path


def find(tree: pathlib.Path, name: str) -> str | None:
    descriptor = os.open(tree, os.O_RDONLY)
    try:
        return find_obstacle_in(Directory(str(tree), descriptor), name)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("there", ["alice", "alice/rooms", "alice/rooms/deep", "alice/rooms/deep/file"])
def test_obstacle_anywhere_in_a_tree(tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    name = os.path.basename(there)
    assert find(tree, "alice") is None
    for attributes, what in ((IMMUTABLE, "immutable. Run chattr -i"), (APPEND_ONLY, "append-only. Run chattr -a")):
        monkeypatch.setattr(obstacles, "_attributes", lambda _here, entry, bits=attributes: bits * (entry == name))
        assert find(tree, "alice") == f"{tree}/{there} is {what} on it first."


def test_obstacle_of_a_file_and_of_nothing(tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(tree, "file") is None and find(tree, "missing") is None
    monkeypatch.setattr(obstacles, "_attributes", lambda _here, entry: IMMUTABLE * (entry == "file"))
    assert find(tree, "file") == f"{tree}/file is immutable. Run chattr -i on it first."
