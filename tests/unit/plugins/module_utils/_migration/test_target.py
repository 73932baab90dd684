# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import target as target_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import (
    APPLICATION,
    DeclaredMigration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target

DECLARED = DeclaredMigration(
    config_path=("/etc/synapse/homeserver.yaml",),
    synapse_python="python",
    login_host="localhost",
    login_port=5432,
    login_db="synapse",
    login_user="matrix",
    login_password="a secret",
    cp_min=5,
    cp_max=10,
)
NAMES = SchemaNames(frozenset({"users"}), frozenset({"a_sequence"}), frozenset({"a_function"}))
GOOD = (15, "UTF8", "C", "C", True, "public", False, False)


class Sequence(t.NamedTuple):
    """A sequence, as the check of sequences returns it."""

    name: str
    wanted: int
    fault: str


class Postgresql:
    """A database that answers from what it has, and keeps what is written."""

    def __init__(self) -> None:
        self.settings = DatabaseSettings("psycopg2", {"dbname": "synapse"}, "the task")
        self.properties = GOOD
        self.connections = (97, "max_connections")
        self.relations: list[tuple[str, str, str, bool]] = []
        self.marks: set[str] = set()
        self.ported: list[tuple[str, int, int]] = []
        self.written: list[str] = []

    def __enter__(self) -> Postgresql:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Answer."""
        if "pg_tablespace_location" in sql:
            return [("", 7_500_000, 2**30)]
        if "server_version_num" in sql:
            return [self.properties]
        if "rolconnlimit" in sql:
            return [self.connections]
        if "format(" in sql:
            return list(self.relations)
        if "to_regclass" in sql:
            return [(1,)] if self.marks else []
        if "NOT LIKE" in sql:
            return [(1,)] if self.ported else []
        if "WHERE table_name" in sql:
            return [(1,)] if values[0] in self.marks else []
        if "regprocedure" in sql:
            return [("a_function()", "a_function"), ("of_others()", "of_others")]
        if "FROM port_from_sqlite3" in sql:
            return list(self.ported)
        if "pg_current_xact_id" in sql:
            return [("77",)]
        self.written.append(f"{sql} {values}")
        return []

    def write(self, sql: str, *values: t.Any) -> int:
        """Keep a statement."""
        if sql.startswith("INSERT INTO port_from_sqlite3"):
            self.marks.add(values[0])
        elif sql.startswith("DROP TABLE"):
            self.relations, self.marks = [], set()
        self.written.append(" ".join(filter(None, (sql, ", ".join(map(str, values))))))
        return 1


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Postgresql:
    made = Postgresql()
    monkeypatch.setattr(target_module, "Database", lambda *_arguments, **_options: made)
    return made


def test_a_usable_database(database: Postgresql) -> None:
    Target(DECLARED).require_usable(9)
    assert database.written == []


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ((13, *GOOD[1:]), "PostgreSQL 13 is too old"),
        ((15, "LATIN1", *GOOD[2:]), "The encoding is LATIN1"),
        ((15, "UTF8", "en_US.UTF-8", *GOOD[3:]), "The collation is en_US.UTF-8"),
        (
            (*GOOD[:3], "C.UTF-8", *GOOD[4:]),
            "createdb --encoding=UTF8 --locale=C --template=template0 --owner=matrix syna",
        ),
        ((*GOOD[:4], False, *GOOD[5:]), "matrix may not create tables in the schema public of the PostgreSQL database"),
        ((*GOOD[:4], False, *GOOD[5:]), "Make it the owner .*: ALTER DATABASE synapse OWNER TO matrix."),
        ((*GOOD[:4], False, "A schema", *GOOD[6:]), 'Allow it: GRANT CREATE ON SCHEMA "A schema" TO matrix.'),
        (
            (*GOOD[:4], False, "", *GOOD[6:]),
            "names no schema of .* that exists .*: ALTER ROLE matrix RESET search_path",
        ),
        ((*GOOD[:6], True, False), "this server is a standby. Set login_host to the primary server"),
        ((*GOOD[:6], False, True), "default_transaction_read_only is on for it"),
    ],
)
def test_a_database_that_synapse_could_not_use(
    database: Postgresql, properties: tuple[t.Any, ...], message: str
) -> None:
    database.properties = properties
    with pytest.raises(InvalidInput, match=message):
        Target(DECLARED).require_usable(9)


@pytest.mark.parametrize("limit", ["max_connections", "the CONNECTION LIMIT of the role"])
def test_too_few_connections(database: Postgresql, limit: str) -> None:
    database.connections = (90, limit)
    Target(DECLARED).require_usable(9)
    database.connections = (89, limit)
    message = rf"allows 89 connections \({limit}\), .* up to 90: 9 processes with cp_max 10. Increase {limit}, or"
    with pytest.raises(InvalidInput, match=message):
        Target(DECLARED).require_usable(9)


def test_where_the_database_is(database: Postgresql) -> None:
    assert Target(DECLARED).storage() == ("", 7_500_000, 2**30)
    assert database.written == []


def test_an_empty_database_is_marked_once(database: Postgresql) -> None:
    target = Target(DECLARED)
    assert target.is_empty()
    assert not target.holds("a move")
    target.mark("a move")
    assert target.holds("a move")
    assert not target.holds("another move")
    database.relations = [("public.users", "r", "users", True)]
    assert not target.is_empty()
    with pytest.raises(SynapseError, match="got content at the same moment"):
        target.mark("a move")


def test_only_what_is_ours_is_removed(database: Postgresql) -> None:
    target = Target(DECLARED)
    database.relations = [("public.a_sequence", "S", "a_sequence", True), ("public.users", "r", "users", True)]
    with pytest.raises(SynapseError, match="is not that of the interrupted move"):
        target.reset("a move", NAMES)
    assert database.written == []
    database.marks = {"matrix_ops.synapse a move"}
    target.reset("a move", NAMES)
    assert [sql for sql in database.written if sql.startswith("DROP")] == [
        "DROP SEQUENCE IF EXISTS public.a_sequence CASCADE",
        "DROP TABLE IF EXISTS public.users CASCADE",
        "DROP FUNCTION IF EXISTS a_function() CASCADE",
    ]
    assert target.holds("a move")


@pytest.mark.parametrize(
    "other",
    [
        ("public.posts", "r", "posts", True),
        ("blog.users", "r", "users", False),
        ("public.users", "v", "users", True),
    ],
)
def test_what_others_have_is_not_removed(database: Postgresql, other: tuple[str, str, str, bool]) -> None:
    target = Target(DECLARED)
    database.marks = {"matrix_ops.synapse a move"}
    database.relations = [("public.events", "r", "users", True), other]
    message = f"what does not come from Synapse: {other[0]}. Nothing is removed"
    with pytest.raises(InvalidInput, match=message):
        target.require_own(NAMES)
    with pytest.raises(InvalidInput, match=message):
        target.reset("a move", NAMES)
    assert database.written == []


def test_how_far_the_program_is(database: Postgresql) -> None:
    database.ported = [("users", 5, 0), ("devices", 3, 0), ("events", 9, -4), ("matrix_ops.synapse a move", 1, 0)]
    assert Target(DECLARED).rowids(["users", "events"]) == {"events": [9, -4], "users": [5, 0]}


def test_what_is_emptied(database: Postgresql) -> None:
    names = ["users", "devices", "schema_version", "schema_compat_version", "port_from_sqlite3", "stream_positions"]
    Target(DECLARED).empty_the_rest(names, ["users"])
    assert database.written == ['TRUNCATE "devices", "stream_positions"']
    Target(DECLARED).empty_the_rest([], ["users"])
    assert len(database.written) == 1


def test_what_the_program_leaves_undone(database: Postgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = [Sequence("right", 5, ""), Sequence("device_inbox_sequence", 100, "It is behind.")]
    monkeypatch.setattr(target_module, "read_sequences", lambda _database: sequences)
    assert Target(DECLARED).complete(rebuild_directory=True) == "77"
    assert database.written[0] == "SELECT setval(?, ?) ('device_inbox_sequence', 100)"
    assert len([sql for sql in database.written if "INSERT INTO background_updates" in sql]) == 4
    database.written.clear()
    Target(DECLARED).complete(rebuild_directory=False)
    assert len(database.written) == 1


PORT = ("public.port_from_sqlite3", "r", "port_from_sqlite3", True)
USERS = ("public.users", "r", "users", True)


@pytest.mark.parametrize(
    ("relations", "ported", "is_half_made"),
    [([PORT], [], False), ([PORT, USERS], [], True), ([PORT, USERS], [("users", 1, 0)], False)],
)
def test_tables_that_are_not_complete(
    database: Postgresql,
    relations: list[tuple[str, str, str, bool]],
    ported: list[tuple[str, int, int]],
    is_half_made: bool,
) -> None:
    database.relations, database.ported = relations, ported
    assert Target(DECLARED).is_half_made() is is_half_made


def test_what_a_killed_run_has_left_is_ended(database: Postgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def end(connect: t.Callable[[], t.Any], application: str) -> bool:
        assert connect() is database
        asked.append(application)
        return len(asked) == 1

    monkeypatch.setattr(target_module, "end_sessions", end)
    Target(DECLARED).end_sessions()
    with pytest.raises(SynapseError, match="An interrupted move still works on the PostgreSQL database synapse"):
        Target(DECLARED).end_sessions()
    assert asked == [APPLICATION] * 2
