# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import (
    COPY,
    DIRECTORY,
    copy_database,
    open_place,
    read_copy,
    remove_copy,
    require_place,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_KEY = "a very secret one-time key"


@pytest.fixture(name="database")
def make_database(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    path = tmp_path / "homeserver.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE events (number INTEGER, content TEXT)")
        connection.execute("CREATE TABLE e2e_one_time_keys_json (key_json TEXT)")
        connection.executemany("INSERT INTO events VALUES (?, ?)", ((number, "x" * 500) for number in range(5000)))
        connection.executemany("INSERT INTO e2e_one_time_keys_json VALUES (?)", [(_KEY,)] * 100)
        connection.commit()
        # The rest is only in the write-ahead log, as long as a connection is open.
        connection.execute("INSERT INTO events VALUES (-1, 'in the log')")
        connection.commit()
        assert os.path.getsize(f"{path}-wal")
        yield path


def _copy(database: pathlib.Path) -> tuple[dict[str, int], bytes]:
    with open_place(str(database)) as place:
        copy_database(str(database), place)
        counts = read_copy(place, COPY, "homeserver.yaml", count_rows)
        with open(place.open_for_reading(COPY), "rb") as file:
            content = file.read()
        remove_copy(place)
    return counts, content


def _refused(database: pathlib.Path, message: str) -> None:
    with pytest.raises(SynapseError, match=message):
        require_place(str(database))
    with pytest.raises(SynapseError, match=message), open_place(str(database)):
        pass


def test_the_copy_has_what_is_only_in_the_log(database: pathlib.Path) -> None:
    assert _copy(database)[0] == {"e2e_one_time_keys_json": 0, "events": 5001}


def test_the_one_time_keys_are_not_even_in_free_pages(database: pathlib.Path) -> None:
    assert _KEY.encode() not in _copy(database)[1]


def test_the_copy_is_private_and_removed(database: pathlib.Path) -> None:
    with open_place(str(database)) as place:
        assert os.stat(place.path).st_mode & 0o7777 == 0o700
        copy_database(str(database), place)
        assert os.stat(os.path.join(place.path, COPY)).st_mode & 0o7777 == 0o600
        assert os.stat(place.path).st_uid == os.stat(database).st_uid
    assert not os.path.exists(place.path)


def test_the_copy_is_one_state_while_the_original_changes(database: pathlib.Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
            number = 10_000
            while not stop.is_set():
                # Both rows or none of them: their sum stays even.
                connection.execute("INSERT INTO events VALUES (?, ?), (?, ?)", (number, "y" * 500, number, "y" * 500))
                connection.commit()
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _round in range(5):
            counts, _content = _copy(database)
            assert (counts["events"] - 5001) % 2 == 0
    finally:
        stop.set()
        thread.join()


def test_what_a_killed_run_has_left_is_removed(database: pathlib.Path) -> None:
    left = database.parent / DIRECTORY
    left.mkdir(mode=0o700)
    (left / COPY).write_text("half of it")
    (left / f"{COPY}-journal").write_text("x")
    require_place(str(database))
    assert (left / COPY).exists()
    assert _copy(database)[0]["events"] == 5001
    assert not left.exists()


def test_a_directory_of_somebody_else_is_left_alone(database: pathlib.Path) -> None:
    left = database.parent / DIRECTORY
    left.mkdir(mode=0o700)
    (left / "important").write_text("x")
    _refused(database, "is not a directory of a backup")
    assert (left / "important").exists()


def test_a_link_is_not_followed(database: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (database.parent / DIRECTORY).symlink_to(tmp_path / "elsewhere")
    _refused(database, "is not a directory of a backup")


def test_two_runs_at_the_same_time(database: pathlib.Path) -> None:
    with open_place(str(database)):
        _refused(database, "Another run is copying")


def test_a_directory_without_the_right_to_write(database: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_place(str(database))
    assert not (database.parent / DIRECTORY).exists()
    monkeypatch.setattr(os, "access", lambda *_arguments, **_options: False)
    with pytest.raises(SynapseError, match=f"the owner of the database {database}, cannot write in {database.parent}"):
        require_place(str(database))


def test_a_file_that_is_not_a_database(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.db"
    path.write_text("no database" * 100)
    with open_place(str(path)) as place, pytest.raises(SynapseError, match="could not be copied"):
        copy_database(str(path), place)
    with pytest.raises(SynapseError, match="does not exist. Check its path"), open_place(str(tmp_path / "missing.db")):
        pass
