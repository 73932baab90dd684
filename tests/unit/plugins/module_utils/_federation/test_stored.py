# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the names of servers in a table are read. Which tables are read is tested by test_query."""

from __future__ import annotations

import functools
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.stored import STORED, Stored


@pytest.fixture
def connection() -> t.Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE pokes (destination TEXT, user_id TEXT)")
    made.execute("CREATE INDEX pokes_index ON pokes (destination, user_id)")
    yield made
    made.close()


def _names(connection: sqlite3.Connection, stored: Stored) -> list[str]:
    return sorted(name for (name,) in connection.execute(stored.query("sqlite3")))


@pytest.mark.parametrize("begins_index", [True, False])
def test_each_name_once(connection: sqlite3.Connection, begins_index: bool) -> None:
    stored = Stored("pokes", "destination", begins_index=begins_index)
    assert _names(connection, stored) == []
    rows = [("b.org", "@a:x"), ("b.org", "@b:x"), (None, "@a:x"), ("A.org", "@a:x"), ("b.org:8448", "@a:x"), ("", "")]
    connection.executemany("INSERT INTO pokes VALUES (?, ?)", rows)
    assert _names(connection, stored) == ["", "A.org", "b.org", "b.org:8448"]


def test_of_user_ids(connection: sqlite3.Connection) -> None:
    stored = Stored("pokes", "user_id", True, "destination <> 'left out'")
    users = ["@a:x.org:8448", "@b:[2001:db8::1]", "without a server"]
    connection.executemany("INSERT INTO pokes VALUES ('', ?)", [(user,) for user in users])
    connection.execute("INSERT INTO pokes VALUES ('left out', '@c:left.out')")
    assert _names(connection, stored) == ["[2001:db8::1]", "x.org:8448"]


def test_an_index_needs_one_look_up_for_each_name(connection: sqlite3.Connection) -> None:
    """However many rows have the name: SQLite runs the same number of instructions."""
    stored, counts = Stored("pokes", "destination", begins_index=True), []
    for _time in range(2):
        connection.executemany("INSERT INTO pokes VALUES ('b.org', ?)", [(f"@{n}:x",) for n in range(5_000)])
        instructions: list[None] = []
        # None lets SQLite go on.
        connection.set_progress_handler(functools.partial(instructions.append, None), 1)
        assert _names(connection, stored) == ["b.org"]
        connection.set_progress_handler(None, 1)
        counts.append(len(instructions))
    assert counts[0] == counts[1] < 1_000


def test_all_events_are_never_read() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript("""
        CREATE TABLE events (stream_ordering INTEGER PRIMARY KEY, event_id TEXT, sender TEXT, UNIQUE (event_id));
        CREATE TABLE event_forward_extremities (event_id TEXT, room_id TEXT, UNIQUE (event_id, room_id));
        CREATE TABLE rejections (event_id TEXT, UNIQUE (event_id));
    """)
    for stored in STORED["events"]:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {stored.query('sqlite3')}")]
        assert any("SEARCH events USING" in step for step in plan), plan
        assert not any("SCAN events" in step for step in plan), plan
    connection.close()
