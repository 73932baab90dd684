# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.difference import (
    Difference,
    find_differences,
)

TABLES = """
    CREATE TABLE users (name TEXT, admin INT, hash BLOB);
    CREATE TABLE event_search_content (docid INTEGER PRIMARY KEY, c0event_id, c1room_id, c2sender, c3key, c4value);
    INSERT INTO users (rowid, name, admin, hash) VALUES (-2, 'z', 0, NULL), (1, 'a', 0, x'00'), (2, 'b', 1, NULL),
        (5, 'c', 0, NULL);
    INSERT INTO event_search_content VALUES (1, '$1', '!r', '@a', 'content.body', 'words');
"""
# What the first pass has copied: everything above.
ROWIDS = {"users": [6, -3], "event_search": [2, 0], "only_in_postgresql": [1, 0]}


def compared(tmp_path: pathlib.Path, statements: str) -> list[Difference]:
    paths = [str(tmp_path / name) for name in ("first.db", "last.db")]
    for path, more in zip(paths, ("", statements)):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(TABLES + more)
    return find_differences(paths[0], paths[1], ROWIDS)


def test_what_the_last_pass_copies_is_no_difference(tmp_path: pathlib.Path) -> None:
    new = "INSERT INTO users (rowid, name) VALUES (6, 'd'), (9, 'e'), (-3, 'y')"
    assert compared(tmp_path, new) == []


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("UPDATE users SET admin = 1 WHERE name = 'a'", [(("a", 0, b"\0"), ("a", 1, b"\0"))]),
        ("UPDATE users SET hash = x'01' WHERE name = 'a'", [(("a", 0, b"\0"), ("a", 0, b"\1"))]),
        ("UPDATE users SET hash = '' WHERE name = 'b'", [(("b", 1, None), ("b", 1, ""))]),
        ("UPDATE users SET admin = NULL WHERE name = 'z'", [(("z", 0, None), ("z", None, None))]),
        ("DELETE FROM users WHERE name = 'b'", [(("b", 1, None), None)]),
        # SQLite uses the number of the last row again.
        (
            "DELETE FROM users WHERE name = 'c'; INSERT INTO users (rowid, name) VALUES (5, 'd')",
            [(("c", 0, None), ("d", None, None))],
        ),
        ("INSERT INTO users (rowid, name) VALUES (3, 'd')", [(None, ("d", None, None))]),
        # It was removed and inserted again with a number that the last pass copies.
        ("UPDATE users SET rowid = 7 WHERE name = 'b'", [(("b", 1, None), None)]),
    ],
)
def test_a_row_that_is_not_copied_again(tmp_path: pathlib.Path, statement: str, rows: list[t.Any]) -> None:
    [difference] = compared(tmp_path, statement)
    assert (difference.table, difference.columns) == ("users", ("name", "admin", "hash"))
    assert list(difference.rows) == rows


def test_the_full_text_search_is_compared_by_its_hidden_table(tmp_path: pathlib.Path) -> None:
    [difference] = compared(tmp_path, "UPDATE event_search_content SET c0event_id = '$2', c4value = 'other'")
    assert difference.table == "event_search"
    assert difference.columns == ("event_id", "room_id", "sender", "key", "value")
    old = ("$1", "!r", "@a", "content.body", "words")
    assert difference.rows == ((old, ("$2", "!r", "@a", "content.body", "other")),)


def test_columns_that_have_changed_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match="The columns of the table users have changed"):
        compared(tmp_path, "ALTER TABLE users ADD COLUMN locked INT")


def test_a_file_that_is_no_database_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "first.db").write_text("no database, but long enough to be read as one" * 20)
    with pytest.raises(SynapseError, match="could not be compared with its copy"):
        find_differences(str(tmp_path / "first.db"), str(tmp_path / "last.db"), ROWIDS)
