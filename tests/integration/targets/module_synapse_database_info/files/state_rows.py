# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests need in the database of a server, by SQL of their own.

state_rows.py SERVER COMMAND
    SERVER: as setup_synapse describes it, as JSON. COMMAND is one of
    shuffled: rows of many rooms in state_groups_state, in no order. together: the same, room by room.
    rooms: prints the rooms with the most rows, as the FAQ looks for them, but with those that have no statistics.
    facts: prints what the engine says of the database.
    update: notes a background update that is not done. updated: forgets it.
    stranger: makes a user of PostgreSQL who may read nothing but Synapse's versions and updates.
    lock MODE PATH: locks state_groups_state, makes the file PATH, and holds the lock until that file is gone.
"""

from __future__ import annotations

import json
import sys
import time
import typing as t
from pathlib import Path

ROWS = 200_000
ROOMS = 200
PATIENCE = 60.0
PREFIX = "!made_by_the_test_"

SPREAD = {
    # The n-th room has 1/n as many rows as the first one.
    "sqlite": """
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?),
        room (n, size) AS (SELECT n, CAST(? / 5.878 / n AS INT) FROM numbers),
        line (n, k) AS (SELECT n, 1 FROM room UNION ALL
            SELECT line.n, k + 1 FROM line JOIN room ON room.n = line.n WHERE k < room.size)
        INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
        SELECT 1000000, ? || n, 'm.room.member', '@' || n || '_' || k || ':s.test', '$event' FROM line
    """,
    "postgresql": """
        INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
        SELECT 1000000, made.prefix || n, 'm.room.member', '@' || n || '_' || k || ':s.test', '$event'
        FROM (
            SELECT n, generate_series(1, (? / 5.878 / n)::int) AS k, ? AS prefix FROM generate_series(1, ?) AS n
        ) AS made
        ORDER BY {order}
    """,
}
ORDERS = {"shuffled": "hashint8(n::bigint * 1000000 + k), n, k", "together": "n, k"}
BIGGEST = """
    SELECT g.room_id, count(*) AS num_rows, s.name, s.canonical_alias, c.current_state_events
    FROM state_groups_state AS g
    LEFT JOIN room_stats_state AS s ON g.room_id = s.room_id
    LEFT JOIN room_stats_current AS c ON g.room_id = c.room_id
    GROUP BY g.room_id, s.name, s.canonical_alias, c.current_state_events
    ORDER BY num_rows DESC, g.room_id
"""


class Sql:
    """The database of one server."""

    def __init__(self, described: dict[str, t.Any]) -> None:
        arguments = dict(described["database"])
        self.engine = described["engine"]
        if arguments.pop("name") == "sqlite3":
            import sqlite3

            self._connection: t.Any = sqlite3.connect(**arguments, timeout=30)
        else:
            import psycopg2

            self._connection = psycopg2.connect(**arguments)

    def run(self, statement: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Run one statement. `?` stands for a value."""
        if self.engine == "postgresql":
            statement = statement.replace("?", "%s")
        cursor = self._connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        """Keep what was written."""
        self._connection.commit()


def fill(sql: Sql, layout: str) -> None:
    """Put the rows in place of what is there of them."""
    sql.run("DELETE FROM state_groups_state WHERE room_id LIKE ?", PREFIX + "%")
    sql.commit()
    if sql.engine == "sqlite":
        sql.run(SPREAD["sqlite"], ROOMS, ROWS // 10, PREFIX)
        return
    # Else the blocks of what was deleted stay.
    kept = sql.run("SELECT * FROM state_groups_state")
    sql.run("TRUNCATE state_groups_state")
    for row in kept:
        sql.run("INSERT INTO state_groups_state VALUES (?, ?, ?, ?, ?)", *row)
    sql.run(SPREAD["postgresql"].format(order=ORDERS[layout]), ROWS, PREFIX, ROOMS)


def rooms(sql: Sql) -> list[dict[str, t.Any]]:
    """Return what must be told of each room."""
    names = ("room_id", "state_rows", "name", "canonical_alias", "state_events")
    return [{**dict(zip(names, row, strict=True)), "standard_error": None} for row in sql.run(BIGGEST)]


def facts(sql: Sql) -> dict[str, t.Any]:
    """Return what the engine says."""
    if sql.engine == "sqlite":
        [(version,)] = sql.run("SELECT sqlite_version()")
        return {"version": version}
    [(version, size)] = sql.run("SELECT current_setting('server_version'), pg_database_size(current_database())")
    return {"version": version.split()[0], "size": size}


def lock(sql: Sql, mode: str, path: Path) -> None:
    """Hold a lock while there is a file."""
    sql.run(f"LOCK TABLE state_groups_state IN {mode} MODE")
    path.touch()
    deadline = time.monotonic() + PATIENCE
    while path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"Nobody has removed {path}.")
        time.sleep(0.05)


def main(described: str, command: str, *given: str) -> None:
    """Run one of the commands above."""
    sql = Sql(json.loads(described))
    if command in ORDERS:
        fill(sql, command)
    elif command in ("rooms", "facts"):
        print(json.dumps(rooms(sql) if command == "rooms" else facts(sql)))
    elif command == "update":
        sql.run(
            "INSERT INTO background_updates (update_name, progress_json, ordering) VALUES (?, ?, 1)",
            "made_by_the_test",
            '{"position": 4711}',
        )
    elif command == "updated":
        sql.run("DELETE FROM background_updates WHERE update_name = ?", "made_by_the_test")
    elif command == "stranger":
        sql.run("CREATE USER stranger PASSWORD 'a password'")
        sql.run("GRANT SELECT ON schema_version, schema_compat_version, background_updates TO stranger")
    elif command == "lock":
        lock(sql, given[0], Path(given[1]))
    else:
        raise SystemExit(__doc__)
    sql.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
