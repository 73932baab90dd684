# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.written import (
    find_written,
    read_identities,
    shown,
)

COUNTS = {"events": 10, "users": 2, "access_tokens": 3, "user_ips": 4, "federation_stream_position": 2}


class Postgresql:
    """A database with numbers of rows, and of rows that are younger than a transaction."""

    def __init__(self, rows: dict[str, int], changed: dict[str, int], age: int = 5, identity: str = "then") -> None:
        self.identity = identity
        self.settings = DatabaseSettings("psycopg2", {"dbname": "synapse"}, "homeserver.yaml")
        self._rows = {**COUNTS, **rows}
        self._changed = changed
        self._age = age

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Answer."""
        if "pg_class" in sql:
            return [(name,) for name in self._rows]
        if "UNION ALL" in sql or "AS name" in sql:
            return [(name, rows) for name, rows in self._rows.items() if f"'{name}'" in sql]
        if "to_jsonb" in sql:
            return [(self.identity if '"access_tokens"' in sql and values == (["last_validated", "used"],) else "",)]
        if "xmin" in sql:
            return [(next((rows for name, rows in self._changed.items() if f'"{name}"' in sql), 0),)]
        return [(self._age,)]


def written(rows: dict[str, int], changed: dict[str, int], age: int = 5, identity: str = "then") -> list[str]:
    database = t.cast("t.Any", Postgresql(rows, changed, age, identity))
    return find_written(database, "77", COUNTS, {"access_tokens": "then"})


def test_nothing_was_written() -> None:
    assert written({}, {}) == []


def test_what_a_server_does_by_itself_does_not_count() -> None:
    assert written({"user_ips": 9, "federation_stream_position": 3}, {"user_ips": 9, "access_tokens": 3}) == []


def test_new_changed_and_removed_rows_count() -> None:
    assert written({"events": 12}, {"events": 2}) == ["2 new or changed rows of events"]
    assert written({}, {"users": 1}) == ["1 new or changed rows of users"]
    assert written({"events": 7}, {}) == ["3 removed rows of events"]
    assert written({"new_table": 1}, {"new_table": 1}) == ["1 new or changed rows of new_table"]
    # One of another program, with rows from before the switch.
    assert written({"of_others": 5}, {}) == []


def test_a_new_login_counts_but_not_the_use_of_a_token() -> None:
    assert written({"access_tokens": 4}, {"access_tokens": 4}) == ["1 new or changed rows of access_tokens"]


def test_a_login_that_replaces_another_one_counts() -> None:
    assert read_identities(t.cast("t.Any", Postgresql({}, {}))) == {"access_tokens": "then"}
    assert written({}, {"access_tokens": 1}, identity="now") == ["changed rows of access_tokens"]


def test_a_database_that_was_restored_is_not_judged() -> None:
    assert "cannot be found out" in written({}, {}, age=-3)[0]


def test_few_tables_are_shown() -> None:
    assert shown(["a", "b"]) == "a, b"
    assert shown(list("abcdefg")) == "a, b, c, d, e and 2 more tables"
