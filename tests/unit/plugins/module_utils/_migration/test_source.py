# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import stat
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import (
    copy_database,
    identify,
    remove_database,
    require_movable,
    require_space,
    settings_of,
    size_of,
    warn_of_others,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work

PROGRAM = PortProgram("python", "program", "1.163.2", 94, frozenset({"94/one.sql"}), frozenset(), frozenset(), True)


@pytest.fixture
def database(tmp_path: pathlib.Path) -> t.Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "homeserver.db", isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            """
            CREATE TABLE schema_version (version INTEGER);
            CREATE TABLE applied_schema_deltas (version INTEGER, file TEXT);
            CREATE TABLE background_updates (update_name TEXT, ordering INT DEFAULT 0);
            CREATE TABLE events (content TEXT);
            INSERT INTO schema_version VALUES (94);
            INSERT INTO applied_schema_deltas VALUES (94, '94/one.sql');
            INSERT INTO events (rowid, content) VALUES (3, 'three'), (7, 'seven');
            """
        )
        yield connection


def test_a_copy_contains_the_log_and_keeps_the_rowids(database: sqlite3.Connection, tmp_path: pathlib.Path) -> None:
    database.execute("INSERT INTO events (rowid, content) VALUES (-4, 'four')")
    assert (tmp_path / "homeserver.db-wal").stat().st_size
    copy = tmp_path / "copy.db"
    # What a killed run has left.
    (tmp_path / "copy.db.partial").write_text("half of it")
    copy.write_text("an old one")
    copy_database(str(tmp_path / "homeserver.db"), str(copy), Work.DATABASE_SNAPSHOT)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT rowid FROM events ORDER BY rowid").fetchall() == [(-4,), (3,), (7,)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not (tmp_path / "copy.db.partial").exists()


def test_a_copy_that_fails_has_no_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(SynapseError, match="could not be copied to"):
        copy_database(str(tmp_path / "broken.db"), str(tmp_path / "copy.db"), Work.DATABASE_SNAPSHOT)
    assert not (tmp_path / "copy.db").exists()
    # It may have filled the disk.
    assert [path.name for path in tmp_path.iterdir()] == ["broken.db"]


def test_a_copy_does_not_follow_a_link(database: sqlite3.Connection, tmp_path: pathlib.Path) -> None:
    del database
    (tmp_path / "other").write_text("of others")
    os.symlink(tmp_path / "other", tmp_path / "copy.db.partial")
    copy_database(str(tmp_path / "homeserver.db"), str(tmp_path / "copy.db"), Work.DATABASE_SNAPSHOT)
    assert (tmp_path / "other").read_text() == "of others"


def test_the_identity_changes_with_each_write(database: sqlite3.Connection, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "homeserver.db")
    before = identify(path)
    assert identify(path) == before
    database.execute("INSERT INTO events VALUES ('new')")
    assert identify(path) != before
    assert size_of(path) > os.path.getsize(path)
    with pytest.raises(SynapseError, match="cannot be read"):
        identify(f"{path}.missing")


def test_what_can_be_moved(database: sqlite3.Connection, tmp_path: pathlib.Path) -> None:
    settings = settings_of(str(tmp_path / "homeserver.db"))
    require_movable(settings, PROGRAM)
    for statement, undo, message in (
        (
            "INSERT INTO background_updates VALUES ('an update', 1)",
            "DELETE FROM background_updates",
            "not finished the background updates of .*: an update. Let it run",
        ),
        (
            "DELETE FROM applied_schema_deltas",
            "INSERT INTO applied_schema_deltas VALUES (94, '94/one.sql')",
            "it would still apply 94/one.sql. Start Synapse",
        ),
        (
            "UPDATE schema_version SET version = 92",
            "UPDATE schema_version SET version = 94",
            "has the schema 92, but the installed Synapse 1.163.2 uses 94. Start Synapse",
        ),
        (
            "UPDATE schema_version SET version = 95",
            "UPDATE schema_version SET version = 94",
            "has the schema 95 of a newer Synapse, but the installed Synapse 1.163.2 uses 94. Install the newer",
        ),
    ):
        database.execute(statement)
        with pytest.raises(InvalidInput, match=message):
            require_movable(settings, PROGRAM)
        database.execute(undo)
    require_movable(settings, PROGRAM)


def test_tables_that_are_not_synapses_are_named_if_they_have_rows(
    database: sqlite3.Connection, tmp_path: pathlib.Path
) -> None:
    settings = settings_of(str(tmp_path / "homeserver.db"))
    own = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    names = SchemaNames(frozenset(own), frozenset(), frozenset())
    program = PROGRAM._replace(ignored=frozenset({"ignored"}))
    database.execute("CREATE TABLE empty (id)")
    database.execute("CREATE TABLE ignored AS SELECT 1")
    assert warn_of_others(settings, program, names) == []
    database.execute("CREATE TABLE codes AS SELECT 1 UNION SELECT 2")
    [warning] = warn_of_others(settings, program, names)
    assert "homeserver.db also has tables that the installed Synapse does not know" in warning
    assert "rows: codes (2). They are not copied" in warning


def test_auto_vacuum_is_refused(database: sqlite3.Connection, tmp_path: pathlib.Path) -> None:
    database.execute("PRAGMA journal_mode = DELETE")
    database.execute("PRAGMA auto_vacuum = FULL")
    database.execute("VACUUM")
    with pytest.raises(InvalidInput, match="has auto_vacuum"):
        require_movable(settings_of(str(tmp_path / "homeserver.db")), PROGRAM)


def test_too_little_space_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "homeserver.db").write_bytes(bytes(100_000_000))
    free = {"bytes": 300_000_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: types.SimpleNamespace(free=free["bytes"]))
    require_space(str(tmp_path / "homeserver.db"), str(tmp_path))
    free["bytes"] = 200_000_000
    with pytest.raises(InvalidInput, match="has 190 MiB of free space, but the copies of .* need 264 MiB"):
        require_space(str(tmp_path / "homeserver.db"), str(tmp_path))
    # An interrupted run has left copies that are replaced, or one that is used.
    require_space(str(tmp_path / "homeserver.db"), str(tmp_path), 2, 100_000_000)
    require_space(str(tmp_path / "homeserver.db"), str(tmp_path), 1)
    free["bytes"] = 150_000_000
    with pytest.raises(InvalidInput, match="has 143 MiB of free space, but the copies of .* need 164 MiB"):
        require_space(str(tmp_path / "homeserver.db"), str(tmp_path), 1)


def test_what_is_removed(tmp_path: pathlib.Path) -> None:
    for name in ("copy.db", "copy.db-wal", "copy.db-shm", "other.db"):
        (tmp_path / name).touch()
    remove_database(str(tmp_path / "copy.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]
