# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
    QueryTimedOut,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import (
    describe,
    judge,
    measure,
    pending_updates,
    unmeasured,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

SPLIT = {
    "rooms": {"name": "psycopg2", "args": {"dbname": "groups"}, "data_stores": ["state"], "allow_unsafe_locale": True},
    "rest": {"name": "psycopg2", "args": {"dbname": "rest"}, "data_stores": ["main"]},
}


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> DatabaseSettings:
    path = tmp_path / "homeserver.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE schema_version (version INTEGER);
        CREATE TABLE schema_compat_version (compat_version INTEGER);
        CREATE TABLE background_updates (update_name TEXT, progress_json TEXT, depends_on TEXT, ordering INT DEFAULT 0);
        INSERT INTO schema_version VALUES (94);
        INSERT INTO schema_compat_version VALUES (92);
        INSERT INTO background_updates VALUES
            ('second', '{"position": 4}', NULL, 9401), ('third', 'not JSON', 'first', 9402),
            ('first', '{}', NULL, 9302), ('fourth', 'null', NULL, 9403);
        CREATE TABLE big (content TEXT);
        CREATE INDEX big_content ON big (content);
        CREATE INDEX big_part ON big (content) WHERE content < 'text';
        WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 20000)
        INSERT INTO big SELECT 'text with a number of bytes ' || number FROM numbers;
        """
    )
    connection.commit()
    connection.close()
    return DatabaseSettings("sqlite3", {"database": str(path)}, "/etc/homeserver.yaml")


def test_sqlite_is_described(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert describe(database) == {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "encoding": "UTF-8",
            "accepted": True,
            "problems": [],
            "schema_version": 94,
            "schema_compat_version": 92,
        }


def test_sqlite_is_measured(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        measured = measure(database, tables=3, indexes=5)
        fewer_tables, fewer_indexes = measure(database, tables=1, indexes=5), measure(database, tables=3, indexes=1)
    assert measured["size"] == pathlib.Path(settings.arguments["database"]).stat().st_size
    biggest = measured["tables"][0]
    index, part = measured["indexes"]
    assert (biggest["name"], index["name"], index["table"]) == ("big", "big_content", "big")
    assert biggest["size"] == biggest["table_size"] + biggest["index_size"]
    assert biggest["index_size"] == index["size"] + part["size"]
    assert index["size"] > 500_000
    assert len(measured["tables"]) == 3
    assert fewer_tables == {**measured, "tables": measured["tables"][:1]}
    assert fewer_indexes == {**measured, "indexes": measured["indexes"][:1]}
    assert all(set(table) == {"name", "size", "table_size", "index_size"} for table in measured["tables"])
    assert unmeasured(measured) == []


class Scripted(Database):
    """Stands for a database of an engine: returns the given rows, query by query."""

    def __init__(self, engine: str, *answers: t.Any) -> None:
        self._settings = DatabaseSettings(engine, {}, "x")
        self._answers = list(answers)

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        return t.cast("list[tuple[t.Any, ...]]", self._answers.pop(0))


def test_an_empty_table_has_no_rows_and_one_that_was_not_counted_an_unknown_number() -> None:
    tables = [("filled", 3, 2, 1, 7), ("empty", 2, 1, 1, 0), ("uncounted", 2, 1, 1, -1)]
    assert measure(Scripted("psycopg2", [(9,)], tables, []), tables=10, indexes=10) == {
        "size": 9,
        "tables": [
            {"name": "filled", "size": 3, "table_size": 2, "index_size": 1, "estimated_rows": 7},
            {"name": "empty", "size": 2, "table_size": 1, "index_size": 1, "estimated_rows": 0},
            {"name": "uncounted", "size": 2, "table_size": 1, "index_size": 1},
        ],
        "indexes": [],
    }


def test_sqlite_without_the_table_of_sizes() -> None:
    measured = measure(Scripted("sqlite3", [(4096,)], [(0,)]), tables=10, indexes=10)
    assert measured == {"size": 4096}
    unknown = unmeasured(measured)
    assert [each["name"] for each in unknown] == ["tables", "indexes"]
    assert all("dbstat" in each["reason"] and "ansible_python_interpreter" in each["fix"] for each in unknown)


def test_updates_are_in_the_order_in_which_they_run(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert pending_updates(database) == [
            {"name": "first", "progress": {}},
            {"name": "second", "progress": {"position": 4}},
            {"name": "third", "depends_on": "first"},
            {"name": "fourth"},
        ]


@pytest.mark.parametrize(
    ("database", "any_locale", "accepted", "problems"),
    [
        ((14, "UTF8", "C", "C"), False, True, []),
        ((13, "UTF8", "C", "C"), False, False, ["PostgreSQL 13 is too old"]),
        ((13, "UTF8", "C", "C"), True, False, ["PostgreSQL 13 is too old"]),
        ((17, "SQL_ASCII", "C", "C"), True, False, ["The encoding is SQL_ASCII"]),
        ((17, "UTF8", "C.UTF-8", "C"), False, False, ["The collation is C.UTF-8"]),
        ((17, "UTF8", "C", "en_GB.UTF-8"), False, False, ["The ctype is en_GB.UTF-8"]),
        ((17, "UTF8", "POSIX", "de_DE"), True, True, ["The collation is POSIX", "The ctype is de_DE"]),
    ],
)
def test_judge(database: tuple[t.Any, ...], any_locale: bool, accepted: bool, problems: list[str]) -> None:
    judged = judge(*database, any_locale=any_locale)
    assert judged["accepted"] is accepted
    assert len(judged["problems"]) == len(problems)
    assert all(problem.startswith(begin) for problem, begin in zip(judged["problems"], problems))


@pytest.mark.parametrize(
    ("settings_given", "data_store", "name", "any_locale"),
    [
        ({"databases": SPLIT}, "main", "rest", False),
        ({"databases": SPLIT}, "state", "groups", True),
        ({"database": {"name": "psycopg2", "args": {"dbname": "one"}}}, "state", "one", False),
        (
            {"databases": {"all": {"name": "psycopg2", "args": {"dbname": "all"}, "data_stores": ["state", "main"]}}},
            "state",
            "all",
            False,
        ),
    ],
)
def test_database_of_each_data_store(
    settings_given: dict[str, t.Any], data_store: str, name: str, any_locale: bool
) -> None:
    configuration = Configuration((ConfigurationFile("/etc/homeserver.yaml", settings_given),))
    found = find_database(configuration, data_store=data_store)
    assert (found.arguments["dbname"], found.allow_unsafe_locale) == (name, any_locale)


ENDLESS = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers) "


@pytest.mark.parametrize("query", ["SELECT COUNT(*) FROM numbers", "SELECT number FROM numbers WHERE number < 2"])
def test_query_that_takes_too_long_is_stopped(settings: DatabaseSettings, query: str) -> None:
    with Database(settings, statement_timeout=0.05) as database:
        with pytest.raises(QueryTimedOut, match="stopped a query because it took too long, more than 0.05 seconds."):
            database.rows(ENDLESS + query)
        # The time is that of each query, not of all.
        assert database.rows("SELECT 1") == [(1,)]


class Refusal(Exception):
    """What psycopg2 raises, with the error code of PostgreSQL."""

    def __init__(self, pgcode: str, words: str) -> None:
        super().__init__(words)
        self.pgcode = pgcode


@pytest.mark.parametrize(
    ("pgcode", "words", "message"),
    [
        (
            "42501",
            "permission denied for table rooms\nLINE 1",
            "refused a query: permission denied for table rooms. Grant the database user in /etc/homeserver.yaml",
        ),
        ("57014", "canceling statement due to user request", "too long: canceling statement due to user request.$"),
        ("42P01", 'relation "rooms" does not exist', "does not exist. Check that it is a database of Synapse"),
    ],
)
def test_refusals_of_postgresql(
    monkeypatch: pytest.MonkeyPatch, settings: DatabaseSettings, pgcode: str, words: str, message: str
) -> None:
    class Refusing:
        def cursor(self) -> t.NoReturn:
            raise Refusal(pgcode, words)

        def close(self) -> None:
            """There is nothing to close."""

    with Database(settings) as database:
        monkeypatch.setattr(database, "_connection", Refusing())
        monkeypatch.setattr(database, "_errors", Refusal)
        with pytest.raises(SynapseError, match=message) as raised:
            database.rows("SELECT 1")
        monkeypatch.undo()
    assert "\n" not in raised.value.message
