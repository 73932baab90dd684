# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten million rows of state groups in a real PostgreSQL, and what it takes to say which rooms they belong to.

state_rows.py measure DIRECTORY POSTGRESQL_BIN
    DIRECTORY: an empty one for the servers. Prints the measurements as JSON.
state_rows.py remember DATABASE
    DATABASE: how it is reached, as JSON. Makes one estimate and prints the most memory that it took, in kilobytes.

Runs on a Python with Synapse and psycopg2, with the collection and the files of setup_synapse on its path.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import typing as t

import postgresql
import processes
import psycopg2
import synapse_server

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.biggest_rooms import (
    Estimate,
    count_exactly,
    estimate,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings

_ROWS = 10_000_000
_FEW_ROWS = 1_000_000
_ROOMS = 2000
_ROUNDS = 3
_BLOCKS = 4500
# The n-th room has 1/n as many rows as the first one.
_MAKE_ROOMS = f"""
    CREATE TABLE shares AS
    SELECT n, '!' || translate(encode(sha256(('room' || n)::bytea), 'base64'), '+/=', '-_') AS room_id,
        1.0 / n / sum(1.0 / n) OVER () AS share
    FROM generate_series(1, {_ROOMS}) AS n;
    INSERT INTO room_stats_state (room_id, name, canonical_alias)
    SELECT room_id, 'Room ' || n, CASE WHEN n % 3 = 0 THEN '#room' || n || ':example.org' END FROM shares;
"""
_FILL = """
    INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
    SELECT row_number() OVER (), room_id, 'm.room.member', '@person' || k || ':example.org',
        '$' || translate(encode(sha256((n || '/' || k)::bytea), 'base64'), '+/=', '-_')
    FROM (
        SELECT n, room_id, k FROM shares, generate_series(1, round(share * {rows})::bigint) AS k ORDER BY {order}
    ) AS rows
"""
_INDEX = "state_groups_state_type_idx"
# In which order the rows lie on the disk.
_SHUFFLED = "hashint8(n::bigint * 10000000 + k), n, k"
_TOGETHER = "n, k"
_HEAPS = "hashint8(n::bigint * 10000000 + k / 1000), n, k"
# As the FAQ has it, with the words that were lost from it.
_FAQ = """
    SELECT s.canonical_alias, g.room_id, count(*) AS num_rows
    FROM
      state_groups_state AS g,
      room_stats_state AS s
    WHERE g.room_id = s.room_id
    GROUP BY s.canonical_alias, g.room_id
    ORDER BY num_rows desc
    LIMIT 10
"""


class StateRows:
    """The table state_groups_state of one database."""

    def __init__(self, database: dict[str, t.Any]) -> None:
        self._database = {name: value for name, value in database.items() if name != "name"}

    def prepare(self) -> None:
        """Make the rooms, in a database that Synapse has made."""
        self._run(_MAKE_ROOMS)

    def fill(self, rows: int, order: str) -> None:
        """Put that many rows in place of what is there, in that order."""
        [(definition,)] = self._run(f"SELECT indexdef FROM pg_indexes WHERE indexname = '{_INDEX}'")
        self._run("TRUNCATE state_groups_state")
        self._run(f"DROP INDEX {_INDEX}")
        self._run(_FILL.format(rows=rows, order=order))
        self._run(definition)
        self._run("VACUUM ANALYZE state_groups_state")

    def ask_as_the_faq(self) -> list[tuple[t.Any, ...]]:
        """Return the biggest rooms by the SQL of the FAQ."""
        return self._run(_FAQ)

    def count(self) -> dict[str, int]:
        """Return how many rows each room has, the biggest first."""
        with Database(self.settings) as database:
            return {room["room_id"]: room["state_rows"] for room in count_exactly(database, _ROOMS)}

    def estimate(self) -> Estimate:
        """Return the estimate of the biggest rooms, with the module's own defaults."""
        with Database(self.settings, statement_timeout=600) as database:
            return estimate(database, 10, blocks=_BLOCKS, seed=1)

    @property
    def settings(self) -> DatabaseSettings:
        """How our own code reaches the database."""
        return DatabaseSettings("psycopg2", self._database, "the benchmark")

    def _run(self, statement: str) -> list[tuple[t.Any, ...]]:
        with contextlib.closing(psycopg2.connect(**self._database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []


def measure(directory: str, binaries: str) -> list[dict[str, t.Any]]:
    """Return all measurements."""
    rows = StateRows(start(directory, binaries))
    rows.prepare()
    rows.fill(_FEW_ROWS, _SHUFFLED)
    few = [remember(rows) for _round in range(_ROUNDS)]
    measurements = []
    for name, order in (("rows shuffled", _SHUFFLED), ("rows of a room together", _TOGETHER)):
        rows.fill(_ROWS, order)
        measurements += [compare_times(rows, name), compare_figures(rows, name)]
    many = [remember(rows) for _round in range(_ROUNDS)]
    measurements.insert(2, _measurement("estimate, memory, 10 times the rows", many, few, "<=", 1.1, "MB"))
    rows.fill(_ROWS, _HEAPS)
    measurements.append(compare_errors(rows, "rows in heaps of a thousand"))
    return measurements


def start(directory: str, binaries: str) -> dict[str, t.Any]:
    """Let a real Synapse make its tables in a PostgreSQL of its own, and return how that is reached."""
    server = synapse_server.describe(directory, "postgresql")
    server["database"] = postgresql.start(directory, binaries, "nobody")
    synapse_server.configure(server, {})
    synapse_server.wait(synapse_server.start(server["directory"]), server["directory"], server["base_url"])
    processes.end(directory, "synapse.app.")
    return t.cast("dict[str, t.Any]", server["database"])


def compare_times(rows: StateRows, name: str) -> dict[str, t.Any]:
    """How long both take, by turns, after each was run once: then the table lies in memory for both, if it can."""
    rows.ask_as_the_faq()
    rows.estimate()
    theirs, ours = [], []
    for _round in range(_ROUNDS):
        theirs.append(_timed(rows.ask_as_the_faq))
        ours.append(_timed(rows.estimate))
    return _measurement(f"estimate against the FAQ, {name}", ours, theirs, ">=", 40, inverted=True)


def compare_figures(rows: StateRows, name: str) -> dict[str, t.Any]:
    """The greatest relative error of the ten biggest rooms; 1 if they are not the right ones in the right order."""
    counted, found = rows.count(), rows.estimate().rooms
    biggest = list(counted)[:10]
    if [room["room_id"] for room in found] == biggest == [row[1] for row in rows.ask_as_the_faq()]:
        worst = max(abs(room["state_rows"] / counted[room["room_id"]] - 1) for room in found)
    else:
        worst = 1.0
    return bounded(f"estimate, greatest error of the ten biggest, {name}", worst, 0.05, 1.0, unit="of the truth")


def compare_errors(rows: StateRows, name: str) -> dict[str, t.Any]:
    """The greatest error in standard errors: where the sample shows little, the estimate has to say so."""
    counted, found = rows.count(), rows.estimate().rooms
    worst = max(abs(room["state_rows"] - counted[room["room_id"]]) / room["standard_error"] for room in found)
    return bounded(f"estimate, greatest error, {name}", worst, 3.0, 1.0, unit="standard errors")


def remember(rows: StateRows) -> float:
    """Return the most memory (MB) that a process takes which makes one estimate."""
    done = subprocess.run(
        [sys.executable, __file__, "remember", json.dumps(rows.settings.arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


def bounded(name: str, ours: float, allowed: float, limit: float, *, unit: str) -> dict[str, t.Any]:
    """A figure of ours and one that it may not exceed."""
    return _measurement(name, [ours], [allowed], "<=", limit, unit)


def _measurement(
    name: str,
    ours: list[float],
    alternative: list[float],
    comparison: str,
    limit: float,
    unit: str = "s",
    inverted: bool = False,
) -> dict[str, t.Any]:
    """What the class Measurement is made of, in another process: of both figures, the rounds."""
    return {
        "name": name,
        "ours": ours,
        "alternative": alternative,
        "comparison": comparison,
        "limit": limit,
        "unit": unit,
        "inverted": inverted,
    }


def _timed(run: t.Callable[[], t.Any]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main(command: str, *given: str) -> None:
    """Run one of the commands above."""
    if command == "remember":
        StateRows(json.loads(given[0])).estimate()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    directory, binaries = given
    try:
        measured = measure(directory, binaries)
    finally:
        processes.stop(directory)
        # Who has made the directory removes it.
        os.mkdir(directory)
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
