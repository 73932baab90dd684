# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.comparison import (
    expect_rows,
    find_missing,
    left_out,
)

TABLES = """
    CREATE TABLE users (name TEXT, hash BLOB);
    CREATE TABLE user_directory (user_id TEXT);
    CREATE TABLE schema_version (version INT);
    CREATE TABLE old_and_empty (id INT);
    CREATE TABLE only_in_sqlite (id INT);
    INSERT INTO users VALUES ('a', NULL), ('b', x'0001'), ('c' || char(0), NULL);
    INSERT INTO user_directory VALUES ('a'), ('b');
    INSERT INTO schema_version VALUES (94);
    INSERT INTO only_in_sqlite VALUES (1);
"""
NAMES = ("users", "user_directory", "schema_version", "only_in_postgresql")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    with contextlib.closing(sqlite3.connect(tmp_path / "last.db")) as connection:
        connection.executescript(TABLES)
    return str(tmp_path / "last.db")


def test_what_is_expected(path: str) -> None:
    expected = expect_rows(path, NAMES, ["user_directory"])
    assert expected.counts == {"users": 3}
    assert expected.left == {"user_directory": 2, "only_in_sqlite": 1}
    # Before the target has any tables.
    assert expect_rows(path, None, ["user_directory"]).counts == {"old_and_empty": 0, "only_in_sqlite": 1, "users": 3}


def test_the_full_text_search_counts_with_its_events_only(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if not any("FTS4" in row[0] for row in connection.execute("PRAGMA compile_options")):
            pytest.skip("SQLite was built without FTS4")
        connection.executescript(
            """
            CREATE TABLE events (event_id TEXT, room_id TEXT);
            CREATE VIRTUAL TABLE event_search USING fts4 (event_id, room_id, sender, key, value);
            INSERT INTO events VALUES ('$1', '!r'), ('$2', '!r');
            INSERT INTO event_search VALUES ('$1', '!r', '@a', 'k', 'one'), ('$3', '!r', '@a', 'k', 'no event'),
                ('$2', '!r', '@a', 'k', 'a NUL' || char(0));
            """
        )
    assert expect_rows(path, ("event_search",), []).counts == {"event_search": 1}


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        ({"users": 3}, []),
        # A NUL character in text, but not in bytes.
        ({"users": 2}, []),
        ({"users": 1}, ["users has 1 rows instead of 2"]),
        ({"users": 4}, ["users has 4 rows instead of 2"]),
        ({}, ["users has no rows instead of 2"]),
    ],
)
def test_what_is_missing(path: str, found: dict[str, int], missing: list[str]) -> None:
    assert find_missing(path, {"users": 3}, found) == missing


def test_what_was_left_out() -> None:
    assert left_out({"users": 3, "rooms": 1}, {"users": 2, "rooms": 1}) == {"users": 1}
