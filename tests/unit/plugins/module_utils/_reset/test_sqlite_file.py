# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import sqlite_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.sqlite_file import DatabaseFile


def words(path: pathlib.Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [word for (word,) in connection.execute("SELECT word FROM words")]
    finally:
        connection.close()


def written(path: pathlib.Path, word: str) -> sqlite3.Connection:
    """Write a word that is still in the -wal while the connection is open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE words (word TEXT)")
    connection.execute("INSERT INTO words VALUES (?)", (word,))
    connection.commit()
    return connection


def file_at(path: pathlib.Path) -> DatabaseFile:
    return DatabaseFile(DatabaseSettings("sqlite3", {"database": str(path)}, "homeserver.yaml"))


@pytest.fixture
def database(tmp_path: pathlib.Path) -> pathlib.Path:
    """A database that a killed process has left, with its last change only in the -wal."""
    path = tmp_path / "homeserver.db"
    child = os.fork()
    if not child:
        # It stays open until the process ends.
        _connection = written(path, "old")
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "homeserver.db-wal").stat().st_size
    return path


def test_moved_aside_with_what_was_in_the_wal(database: pathlib.Path) -> None:
    file = file_at(database)
    file.require_movable()
    assert file.exists()
    assert not file.has_aside()
    file.move_aside()
    assert os.listdir(database.parent) == ["homeserver.db.matrix_ops-before-reset"]
    assert file.has_aside()
    assert words(pathlib.Path(file.aside)) == ["old"]
    file.move_aside()
    assert file.has_aside()


def test_put_back_over_a_new_one(database: pathlib.Path) -> None:
    file = file_at(database)
    file.move_aside()
    new = written(database, "new")
    file.put_back()
    new.close()
    assert words(database) == ["old"]
    assert not file.has_aside()
    file.put_back()
    assert words(database) == ["old"]


def test_interrupted_while_it_is_put_back(database: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is never left without its -wal, because Synapse would start with a part of it."""
    file = file_at(database)
    file.move_aside()
    new = written(database, "new")
    remove = Directory.remove

    def remove_almost(directory: Directory, name: str) -> None:
        if name.endswith("-shm"):
            raise SynapseError("The process was killed.")
        remove(directory, name)

    monkeypatch.setattr(Directory, "remove", remove_almost)
    with pytest.raises(SynapseError):
        file.put_back()
    assert not database.exists()
    assert file.has_aside()
    monkeypatch.undo()
    file.put_back()
    new.close()
    assert words(database) == ["old"]


def test_opened_as_its_owner(database: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may write in the directory could let root change another file."""
    opened: list[int] = []

    @contextlib.contextmanager
    def acting_as(uid: int | None) -> t.Iterator[None]:
        opened.append(-1 if uid is None else uid)
        yield

    monkeypatch.setattr(sqlite_file, "acting_as", acting_as)
    file_at(database).move_aside()
    assert opened == [os.geteuid()]


def test_forgotten(database: pathlib.Path) -> None:
    file = file_at(database)
    file.move_aside()
    file.forget()
    file.forget()
    assert os.listdir(database.parent) == []


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    file = file_at(tmp_path / "homeserver.db")
    file.require_movable()
    file.move_aside()
    assert not file.has_aside()


def test_not_while_another_process_uses_it(database: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_PATIENCE", 0.1)
    other = sqlite3.connect(database)
    other.execute("SELECT * FROM words").fetchall()
    with pytest.raises(SynapseError, match=r"cannot be closed: database is locked\. End the process that uses it"):
        file_at(database).move_aside()
    other.close()
    assert words(database) == ["old"]
    assert os.listdir(database.parent) == ["homeserver.db"]


@pytest.mark.parametrize("kind", ["symbolic link", "second name"])
def test_no_link_is_moved(tmp_path: pathlib.Path, database: pathlib.Path, kind: str) -> None:
    link = tmp_path / "link.db"
    if kind == "symbolic link":
        link.symlink_to(database)
    else:
        os.link(database, link)
    with pytest.raises(InvalidInput, match="is a link, or no ordinary file"):
        file_at(link).require_movable()


def test_one_that_is_aside_is_not_replaced(database: pathlib.Path) -> None:
    file = file_at(database)
    pathlib.Path(file.aside).write_text("the old one")
    with pytest.raises(SynapseError, match="is the old database of another reset"):
        file.move_aside()
    assert pathlib.Path(file.aside).read_text() == "the old one"
