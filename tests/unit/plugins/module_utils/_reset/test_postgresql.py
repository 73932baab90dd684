# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import postgresql
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.postgresql import (
    drop_contents,
    require_droppable,
    require_fillable,
    take_inventory,
)

NAMES = SchemaNames(frozenset({"users", "rooms"}), frozenset({"user_id_seq"}), frozenset({"check_it"}))
SETTINGS = DatabaseSettings("psycopg2", {"dbname": "synapse"}, "homeserver.yaml")
Row = tuple[t.Any, ...]
# schema, name, kind, owner, may be dropped, visible
OWN: list[Row] = [
    ("public", "users", "r", "synapse", True, True),
    ("public", "rooms", "r", "synapse", True, True),
    ("public", "user_id_seq", "S", "synapse", True, True),
    ("public", "_temp_populate_user_directory_rooms", "r", "synapse", True, True),
]
FUNCTION: Row = ("public", "check_it", "a integer", "synapse", True, True, "f")


class Scripted(Database):
    """A database whose catalog is made up, and which keeps what is written."""

    relations: list[Row] = OWN
    functions: list[Row] = [FUNCTION]
    written: t.ClassVar[list[str]] = []
    refuses = ""
    # Where new tables are created, whether that is allowed, and as which user.
    place: Row = ("public", True, "synapse")
    locale: Row = ("15.8", 150008, "UTF8", "C", "C")
    # What is connected at each look.
    connected: t.ClassVar[list[list[Row]]] = []

    def __init__(self, settings: DatabaseSettings, **_options: t.Any) -> None:
        self._settings = settings

    def __exit__(self, *_ignored: object) -> None:
        pass

    def rows(self, sql: str, *values: t.Any) -> list[Row]:
        if "pg_class AS relation" in sql:
            return self.relations
        if "pg_proc AS routine" in sql:
            return self.functions
        if "current_schema()" in sql:
            return [self.place]
        if "FROM pg_database" in sql:
            return [self.locale]
        if "FROM schema_version" in sql:
            return [(94, 93)]
        if "FROM pg_stat_activity" in sql:
            return self.connected.pop(0) if self.connected else []
        self.written.append(f"{sql} {values}")
        return []

    def write(self, sql: str, *values: t.Any) -> int:
        self.written.append(sql)
        if self.refuses:
            raise SynapseError(self.refuses)
        return 0


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    Scripted.written.clear()
    monkeypatch.setattr(postgresql, "Database", Scripted)
    return Scripted(SETTINGS)


def test_inventory(database: Scripted) -> None:
    own, foreign = take_inventory(database, NAMES)
    assert [found.sql for found in own] == [
        '"public"."users"',
        '"public"."rooms"',
        '"public"."user_id_seq"',
        '"public"."_temp_populate_user_directory_rooms"',
        '"public"."check_it"(a integer)',
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("relation", "shown"),
    [
        (("public", "invoices", "r", "shop", False, True), "the table invoices"),
        (("shop", "users", "r", "shop", False, False), "the table shop.users"),
        (("public", "users", "v", "synapse", True, True), "the view users"),
        (("public", 'odd"name', "m", "synapse", True, True), 'the materialized view odd"name'),
        (("public", "rooms", "f", "synapse", True, True), "the foreign table rooms"),
    ],
)
def test_foreign(database: Scripted, monkeypatch: pytest.MonkeyPatch, relation: Row, shown: str) -> None:
    monkeypatch.setattr(Scripted, "relations", [*OWN, relation])
    with pytest.raises(
        InvalidInput, match=f"also contains what does not come from Synapse: {shown}. Nothing was dropped"
    ):
        require_droppable(database, NAMES)


def test_many_foreign(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    other = [("public", f"other{number}", "r", "shop", True, True) for number in range(8)]
    monkeypatch.setattr(Scripted, "relations", other)
    with pytest.raises(InvalidInput, match="the table other4 and 3 more. Nothing"):
        require_droppable(database, NAMES)


@pytest.mark.parametrize("function", [("public", "other", "", "a", True, True, "f"), (*FUNCTION[:6], "p")])
def test_foreign_function(database: Scripted, monkeypatch: pytest.MonkeyPatch, function: Row) -> None:
    monkeypatch.setattr(Scripted, "functions", [function])
    with pytest.raises(InvalidInput, match=f"not come from Synapse: the function {function[1]}"):
        require_droppable(database, NAMES)


def test_of_another_owner(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "relations", [("public", "users", "r", "postgres", False, True)])
    with pytest.raises(InvalidInput, match="cannot drop: the table users, which belongs to postgres. Give it"):
        require_droppable(database, NAMES)


def test_fillable(database: Scripted) -> None:
    require_fillable(database)
    assert database.written == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            ('od"d', False, "synapse"),
            r'does not let synapse create tables in the schema od"d, so Synapse would not start again\. Nothing was'
            r' dropped\. Run GRANT CREATE ON SCHEMA "od""d" TO "synapse" in it\.$',
        ),
        ((None, None, "synapse"), r"has no schema, so Synapse would not start again\. Nothing was dropped\.$"),
    ],
)
def test_no_new_tables(database: Scripted, monkeypatch: pytest.MonkeyPatch, place: Row, expected: str) -> None:
    monkeypatch.setattr(Scripted, "place", place)
    with pytest.raises(InvalidInput, match=expected):
        require_fillable(database)


def test_a_locale_that_synapse_refuses(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "locale", ("15.8", 150008, "UTF8", "C.UTF-8", "C.UTF-8"))
    with pytest.raises(InvalidInput, match=r"would not start with an empty PostgreSQL database synapse at .* Nothing"):
        require_fillable(database)


def test_dropped_without_cascade(database: Scripted) -> None:
    drop_contents(SETTINGS, NAMES)
    timeout, *dropped = database.written
    assert "lock_timeout" in timeout
    assert dropped == [
        'DROP TABLE "public"."users", "public"."rooms", "public"."_temp_populate_user_directory_rooms"',
        'DROP SEQUENCE "public"."user_id_seq"',
        'DROP FUNCTION "public"."check_it"(a integer)',
    ]


@pytest.mark.parametrize(
    ("refuses", "expected"),
    [
        ("canceling statement due to lock timeout.", "Another program uses the PostgreSQL database synapse"),
        ("deadlock detected.", "Another program uses"),
        ("the disk is broken.", "the disk is broken"),
    ],
)
def test_refused(database: Scripted, monkeypatch: pytest.MonkeyPatch, refuses: str, expected: str) -> None:
    monkeypatch.setattr(Scripted, "refuses", refuses)
    with pytest.raises(SynapseError, match=expected):
        drop_contents(SETTINGS, NAMES)


def test_what_came_after_the_plan_stays(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "relations", [*OWN, ("public", "invoices", "r", "synapse", True, True)])
    with pytest.raises(InvalidInput, match="the table invoices"):
        drop_contents(SETTINGS, NAMES)
    assert not any(statement.startswith("DROP") for statement in database.written)


def test_nothing_to_drop(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "relations", [])
    monkeypatch.setattr(Scripted, "functions", [])
    drop_contents(SETTINGS, NAMES)
    assert len(database.written) == 1


def test_another_program_is_connected(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Synapse of another host, which this one would take the tables from."""
    monkeypatch.setattr(postgresql, "_PATIENCE", 0.0)
    monkeypatch.setattr(postgresql, "_PAUSE", 0.01)
    monkeypatch.setattr(Scripted, "connected", [[("main", "at 192.0.2.7", 5)]] * 9)
    with pytest.raises(SynapseError, match=r"5 connections of main at 192\.0\.2\.7\. Nothing was dropped"):
        drop_contents(SETTINGS, NAMES)
    assert not any(statement.startswith("DROP") for statement in database.written)


def test_connections_that_end_in_time(database: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_PAUSE", 0.01)
    monkeypatch.setattr(Scripted, "connected", [[("", "at 192.0.2.7", 1)], []])
    drop_contents(SETTINGS, NAMES)
    assert any(statement.startswith("DROP") for statement in database.written)
