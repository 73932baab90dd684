# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cases of synapse_database_info need in a database, written and read with their own SQL."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t

import psycopg2

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

LAYOUTS = ("shuffled", "together")
ROOMS = 200
UPDATE = {"name": "made_by_the_test", "progress": {"position": 4711}}

_ROWS = 200_000
_PREFIX = "!made_by_the_test_"
# The n-th room has 1/n as many rows as the first one.
_SPREAD_SQLITE = """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?),
    room (n, size) AS (SELECT n, CAST(? / 5.878 / n AS INT) FROM numbers),
    line (n, k) AS (SELECT n, 1 FROM room UNION ALL
        SELECT line.n, k + 1 FROM line JOIN room ON room.n = line.n WHERE k < room.size)
    INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
    SELECT 1000000, ? || n, 'm.room.member', '@' || n || '_' || k || ':s.test', '$event' FROM line
"""
_SPREAD_POSTGRESQL = """
    INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
    SELECT 1000000, made.prefix || n, 'm.room.member', '@' || n || '_' || k || ':s.test', '$event'
    FROM (
        SELECT n, generate_series(1, (%s / 5.878 / n)::int) AS k, %s AS prefix FROM generate_series(1, %s) AS n
    ) AS made
    ORDER BY {order}
"""
# In no order, or room by room.
_ORDERS = {"shuffled": "hashint8(n::bigint * 1000000 + k), n, k", "together": "n, k"}
# The query of the FAQ, but also with rooms that have no statistics.
_BIGGEST = """
    SELECT g.room_id, count(*) AS num_rows, s.name, s.canonical_alias, c.current_state_events
    FROM state_groups_state AS g
    LEFT JOIN room_stats_state AS s ON g.room_id = s.room_id
    LEFT JOIN room_stats_current AS c ON g.room_id = c.room_id
    GROUP BY g.room_id, s.name, s.canonical_alias, c.current_state_events
    ORDER BY num_rows DESC, g.room_id
"""


def fill(server: Server, layout: str) -> None:
    """Write rows of many rooms to state_groups_state. On PostgreSQL they replace those that were written before."""
    if server.engine == "sqlite":
        server.write(_SPREAD_SQLITE, ROOMS, _ROWS // 10, _PREFIX)
        return
    with _connected(server) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        # After a DELETE, the blocks of the deleted rows would remain.
        others = "CREATE TEMPORARY TABLE others AS SELECT * FROM state_groups_state WHERE room_id NOT LIKE %s"
        cursor.execute(others, (f"{_PREFIX}%",))
        cursor.execute("TRUNCATE state_groups_state")
        cursor.execute("INSERT INTO state_groups_state SELECT * FROM others")
        cursor.execute(_SPREAD_POSTGRESQL.format(order=_ORDERS[layout]), (_ROWS, _PREFIX, ROOMS))
        # Now, so that PostgreSQL does not do it by itself between two runs.
        cursor.execute("VACUUM ANALYZE")


def biggest_rooms(server: Server) -> list[Json]:
    """Return what the module must return for each room, the biggest first."""
    return [_returned(*row) for row in server.rows(_BIGGEST)]


def _returned(room_id: str, rows: int, name: str | None, alias: str | None, events: int | None) -> Json:
    # Synapse has both kinds of statistics of a room, or none.
    known = {} if events is None else {"name": name or "", "canonical_alias": alias or "", "state_events": events}
    return {"room_id": room_id, "state_rows": rows, **known}


def version(server: Server) -> str:
    """Return the version of the engine, from the engine itself."""
    asked = "sqlite_version()" if server.engine == "sqlite" else "current_setting('server_version')"
    return str(server.rows(f"SELECT {asked}")[0][0]).split()[0]


def size(server: Server) -> int:
    """Return the size of the whole database in bytes, from the engine itself."""
    if server.engine == "sqlite":
        return int(server.rows("PRAGMA page_count")[0][0]) * int(server.rows("PRAGMA page_size")[0][0])
    return int(server.rows("SELECT pg_database_size(current_database())")[0][0])


def add_update(server: Server) -> None:
    """Add an unfinished background update, which Synapse does not start while it runs."""
    statement = "INSERT INTO background_updates (update_name, progress_json, ordering) VALUES (?, ?, 1)"
    server.write(statement, UPDATE["name"], '{"position": 4711}')


def remove_update(server: Server) -> None:
    """Remove it again."""
    server.write("DELETE FROM background_updates WHERE update_name = ?", UPDATE["name"])


def make_stranger(server: Server, user: str, password: str) -> None:
    """Create a PostgreSQL user who may only read the versions and background updates of Synapse."""
    server.write(f"CREATE USER {user} PASSWORD ?", password)
    server.write(f"GRANT SELECT ON schema_version, schema_compat_version, background_updates TO {user}")


@contextlib.contextmanager
def locked(server: Server, mode: str) -> t.Iterator[None]:
    """Hold a lock: on the whole SQLite database, or on state_groups_state in PostgreSQL."""
    with _connected(server) as connection:
        begin = f"BEGIN {mode}" if server.engine == "sqlite" else f"LOCK TABLE state_groups_state IN {mode} MODE"
        connection.cursor().execute(begin)
        yield
        connection.rollback()


@contextlib.contextmanager
def _connected(server: Server) -> t.Iterator[t.Any]:
    arguments = server.database
    engine = arguments.pop("name")
    connection: t.Any = sqlite3.connect(**arguments) if engine == "sqlite3" else psycopg2.connect(**arguments)
    with contextlib.closing(connection):
        yield connection
