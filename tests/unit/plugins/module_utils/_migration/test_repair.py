# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.difference import Difference
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.repair import add_rows, prepare_rows

EVENTS = ("stream_ordering", "event_id", "outlier")
MEMBERS = ("event_id", "membership")
SEARCH = ("event_id", "room_id", "sender", "key", "value")


class Postgresql:
    """A target with some tables, which keeps what is written."""

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.written: list[tuple[str, tuple[t.Any, ...]]] = []
        self.updated = 1

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Answer what the catalog would answer."""
        if "port_from_sqlite3" in sql:
            return [(1,)] if values[0] in self.marks else []
        if "information_schema.columns" in sql:
            return [
                ("events", "outlier", False),
                ("members", "participant", True),
                ("without_key", "participant", True),
            ]
        if "indisunique" in sql:
            return [
                ("events", 1, "event_id"),
                ("members", 2, "only_in_postgresql"),
                ("members", 3, "event_id"),
                ("event_search", 4, "event_id"),
            ]
        return [("members", "events"), ("others", "rooms")]

    def write(self, sql: str, *values: t.Any) -> int:
        """Keep a statement without its white space."""
        if "INSERT INTO port_from_sqlite3" in sql:
            self.marks.add(values[0])
        else:
            self.written.append((" ".join(sql.split()), values))
        return self.updated

    @property
    def kinds(self) -> list[str]:
        """The first word and the table of what was written."""
        return [f"{sql.split()[0]} {sql.split(chr(34))[1]}" for sql, _values in self.written]


def prepare(target: Postgresql, *differences: Difference) -> None:
    prepare_rows(t.cast("t.Any", target), differences, "a move", "removed")


def add(target: Postgresql, *differences: Difference) -> None:
    add_rows(t.cast("t.Any", target), differences, "a move", "added")


def test_a_changed_row_is_changed_in_place_with_booleans() -> None:
    target = Postgresql()
    prepare(target, Difference("events", EVENTS, (((4, "$4", 1), (4, "$4", 0)),)))
    [(sql, values)] = target.written
    assert sql == 'UPDATE "events" SET "stream_ordering" = ?, "outlier" = ? WHERE "event_id" = ?'
    assert values == (4, False, "$4")
    assert target.marks == {"matrix_ops.synapse a move removed"}


def test_a_boolean_without_a_value_stays_so_where_it_can_be_found_again() -> None:
    for table, expected in (("events", False), ("members", None), ("without_key", False)):
        target = Postgresql()
        column = "outlier" if table == "events" else "participant"
        add(target, Difference(table, ("number", column), ((None, (1, None)),)))
        prepare(target, Difference(table, ("number", column), ((None, (1, None)),)))
        [(_sql, values)] = target.written
        assert values == (1, expected)


def test_it_is_done_once() -> None:
    target = Postgresql()
    difference = Difference("events", EVENTS, (((4, "$4", 1), None),))
    prepare(target, difference)
    prepare(target, difference)
    assert target.kinds == ["DELETE events"]
    add(target, difference)
    add(target, difference)
    assert target.kinds == ["DELETE events"]


def test_a_row_with_another_key_is_replaced_and_rows_are_removed_before_those_that_they_refer_to() -> None:
    target = Postgresql()
    events = Difference("events", EVENTS, (((4, "$4", 1), (4, "$5", 1)),))
    members = Difference("members", MEMBERS, ((("$4", "join"), ("$5", "leave")),))
    prepare(target, events, members)
    assert target.kinds == ["DELETE members", "DELETE events", "INSERT events"]
    # It may refer to an event that only the last pass copies.
    target.written.clear()
    add(target, events, members)
    assert target.kinds == ["INSERT members"]
    assert target.written[0][1] == ("$5", "leave")


def test_a_changed_row_that_was_left_out_is_added() -> None:
    target = Postgresql()
    target.updated = 0
    members = Difference("members", MEMBERS, ((("$4", "a\0"), ("$4", "join")),))
    prepare(target, members)
    assert target.kinds == ["UPDATE members"]
    add(target, members)
    assert target.kinds == ["UPDATE members", "UPDATE members", "INSERT members"]


def test_a_row_that_postgresql_cannot_store_is_removed() -> None:
    target = Postgresql()
    members = Difference("members", MEMBERS, ((("$4", "join"), ("$4", "a\0")),))
    prepare(target, members)
    add(target, members)
    assert target.kinds == ["DELETE members"]


def test_a_table_without_a_key_is_compared_with_all_columns() -> None:
    target = Postgresql()
    prepare(target, Difference("auth", ("event_id", "room_id"), ((("$4", None), ("$4", "!r")),)))
    [(sql, values)] = target.written
    assert 'WHERE "event_id" = ? AND "room_id" IS NULL LIMIT 1)' in sql
    assert values == ("$4",)


def test_a_row_that_was_left_out_is_not_searched() -> None:
    target = Postgresql()
    changed = Difference("auth", ("event_id", "room_id"), ((("$4", "a\0"), None), (("$5", "b\0"), ("$5", "!r"))))
    prepare(target, changed)
    assert target.written == []
    add(target, changed)
    assert target.kinds == ["INSERT auth"]


@pytest.mark.parametrize("old", [None, ("$1", "!r", "@a", "content.body", "old")])
def test_the_full_text_search_is_written_after_the_events(old: tuple[t.Any, ...] | None) -> None:
    target = Postgresql()
    search = Difference("event_search", SEARCH, ((old, ("$1", "!r", "@a", "content.body", "new")),))
    prepare(target, search)
    assert target.kinds == (["DELETE event_search"] if old else [])
    target.written.clear()
    add(target, search)
    [(sql, values)] = target.written
    assert "to_tsvector('english', ?), origin_server_ts, stream_ordering FROM events" in sql
    assert values == ("$1", "!r", "content.body", "@a", "new", "$1", "!r")


def test_tables_that_refer_to_each_other_have_an_order() -> None:
    class Circular(Postgresql):
        def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
            if "pg_constraint" in sql:
                return [("events", "members"), ("members", "events")]
            return super().rows(sql, *values)

    target = Circular()
    prepare(
        target,
        Difference("events", EVENTS, (((4, "$4", 1), None),)),
        Difference("members", MEMBERS, ((("$4", "join"), None),)),
    )
    assert sorted(target.kinds) == ["DELETE events", "DELETE members"]
