# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import (
    count_rows,
    count_tables,
    table_names,
)

HAS_FTS4 = any("FTS4" in row[0] for row in sqlite3.connect(":memory:").execute("PRAGMA compile_options"))


class PostgresqlDatabase:
    """Answers as PostgreSQL would."""

    def __init__(self) -> None:
        self.settings = DatabaseSettings("psycopg2", {"dbname": "synapse"}, "homeserver.yaml")
        self.asked: list[str] = []

    def rows(self, sql: str, *_values: t.Any) -> list[tuple[t.Any, ...]]:
        """Return the tables, or a count for each table that is asked for."""
        self.asked.append(sql)
        if "pg_class" in sql:
            return [("users",), ("port_from_sqlite3",), ("Odd?",), ("events",)]
        return [("users", 3), ("events", 200)]


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> DatabaseSettings:
    path = tmp_path / "homeserver.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE users (name TEXT);
        CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE users_content (name TEXT);
        CREATE TABLE port_from_sqlite3 (table_name TEXT);
        CREATE VIEW seen AS SELECT * FROM users;
        INSERT INTO users VALUES ('a'), ('b'), (NULL);
        INSERT INTO empty DEFAULT VALUES;
        DELETE FROM empty;
        """
    )
    connection.commit()
    connection.close()
    return DatabaseSettings("sqlite3", {"database": str(path)}, "homeserver.yaml")


def test_every_table_is_counted_once_in_alphabetical_order(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert list(count_rows(database).items()) == [("empty", 0), ("users", 3), ("users_content", 0)]


@pytest.mark.skipif(not HAS_FTS4, reason="SQLite was built without FTS4")
def test_a_table_of_the_full_text_search_is_one_table(settings: DatabaseSettings) -> None:
    with sqlite3.connect(settings.arguments["database"]) as connection:
        connection.execute("CREATE VIRTUAL TABLE event_search USING fts4 (event_id, value)")
        connection.executemany("INSERT INTO event_search VALUES (?, ?)", [("$1", "some words"), ("$2", "more")])
    connection.close()
    with Database(settings) as database:
        assert table_names(database) == ["empty", "event_search", "users", "users_content"]
        assert count_rows(database)["event_search"] == 2


def test_more_tables_than_a_statement_may_have(settings: DatabaseSettings) -> None:
    with sqlite3.connect(settings.arguments["database"]) as connection:
        for number in range(700):
            connection.execute(f"CREATE TABLE table_{number} (id INTEGER)")
    connection.close()
    with Database(settings) as database:
        assert len(count_rows(database)) == 703


def test_only_these_tables(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert count_tables(database, ["users"]) == {"users": 3}
        assert count_tables(database, []) == {}


def test_postgresql_counts_in_one_statement_and_leaves_out_what_is_not_of_synapse() -> None:
    database = PostgresqlDatabase()
    assert count_rows(t.cast("Database", database)) == {"events": 200, "users": 3}
    assert len(database.asked) == 2
    assert "Odd" not in database.asked[1]
    assert "port_from_sqlite3" not in database.asked[1]
