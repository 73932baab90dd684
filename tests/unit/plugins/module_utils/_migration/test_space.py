# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sqlite3
import types

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import space
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import settings_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.space import (
    Need,
    Storage,
    copies_of,
    needs_of,
    require_server_space,
    used_size,
)

MIB = 1024 * 1024
_EMPTY = Storage("", 0, 1024 * MIB)


def _sizes(used: int, storage: Storage) -> list[int]:
    return [need.size // MIB for need in needs_of(used * MIB, storage, "/data")]


def test_what_a_move_needs() -> None:
    assert _sizes(100, _EMPTY) == [150, 200]
    # PostgreSQL keeps no more of its log.
    assert _sizes(2000, _EMPTY) == [3000, 1024]
    # What an interrupted move has left is there already.
    assert _sizes(100, Storage("", 100 * MIB, 0)) == [50, 0]
    assert _sizes(100, Storage("", 900 * MIB, 0)) == [0, 0]


def test_where_it_is_needed() -> None:
    assert [need.path for need in needs_of(1, _EMPTY, "/data")] == ["/data", "/data/pg_wal"]
    assert [need.path for need in needs_of(1, Storage("/big", 0, 0), "/data")] == ["/big", "/data/pg_wal"]


def test_what_the_copies_still_need(tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "copies")
    assert copies_of(100, missing, str(tmp_path)) == (str(tmp_path), 200, "the copies of the SQLite database")
    (tmp_path / "first.db").write_bytes(bytes(90))
    assert copies_of(100, str(tmp_path), str(tmp_path)).size == 110
    assert copies_of(10, str(tmp_path), str(tmp_path)).size == 0


def test_pages_that_are_not_used_are_not_copied(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE events (content BLOB)")
        connection.execute("INSERT INTO events VALUES (zeroblob(1000000))")
        used = used_size(settings_of(str(path)))
        assert 1_000_000 < used == path.stat().st_size
        connection.execute("DELETE FROM events")
        assert used_size(settings_of(str(path))) < 100_000 < path.stat().st_size


class Disks:
    """Three directories: each has a file system of its own with some free space, unless that is `shared`."""

    def __init__(self, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = {"data": 100, "log": 100, "copies": 100}
        self.shared: dict[str, str] = {}
        self._directory = directory
        for name in self.free:
            (directory / name).mkdir()
        monkeypatch.setattr(space, "_file_system", self._disk)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=self._free(path)))

    def _disk(self, path: str) -> str:
        name = pathlib.Path(path).name
        if name not in self.free:
            raise FileNotFoundError(path)
        return self.shared.get(name, name)

    def _free(self, path: str) -> int:
        return self.free[self._disk(path)] * MIB

    def judge(self, data: int, log: int, copies: int) -> str:
        """Return why there is too little space, in MiB, or nothing."""
        path = {name: str(self._directory / name) for name in ("data", "log", "copies")}
        needs = [Need(path["data"], data * MIB, "the data"), Need(path["log"], log * MIB, "the log")]
        try:
            require_server_space(needs, Need(path["copies"], copies * MIB, "the copies"))
        except InvalidInput as error:
            return str(error)
        return ""


@pytest.fixture
def disks(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(tmp_path, monkeypatch)


def test_each_file_system_must_have_enough(disks: Disks, tmp_path: pathlib.Path) -> None:
    # 64 MiB are for what has no rows.
    assert disks.judge(36, 36, 36) == ""
    assert disks.judge(37, 0, 0) == (
        f"The file system of {tmp_path}/data has 100 MiB of free space, but the move needs 101 MiB there for the data."
        " Nothing was changed. Free space there, or give PostgreSQL a larger one."
    )
    assert "/log has 100 MiB" in disks.judge(36, 37, 0)
    # What the copies alone need is judged elsewhere.
    assert disks.judge(0, 0, 900) == ""


def test_what_is_on_the_same_file_system_is_added(disks: Disks) -> None:
    disks.shared = {"log": "data", "copies": "data"}
    assert disks.judge(12, 12, 12) == ""
    said = disks.judge(12, 12, 13)
    assert "needs 101 MiB there for the data and the log and the copies. Nothing was changed. Free space there," in said
    assert "or set work_directory to a directory on another one, or give PostgreSQL a larger one." in said


def test_a_file_system_that_cannot_be_seen_is_left_out(disks: Disks) -> None:
    del disks.free["data"]
    assert disks.judge(900, 0, 0) == ""
