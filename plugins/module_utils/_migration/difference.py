# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The rows that Synapse has changed, removed or replaced since the first pass, in the tables that are not copied anew.

Synapse's program takes these tables for append-only, but they are not: passwords, deactivations, redacted content,
quarantined media and others are changed in place, and a purge removes rows. The program does not copy such a row again,
and fails at a row that was removed and inserted again. So the snapshot that the first pass has copied is compared with
the database of the last pass, row by row with all columns.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import sqlite3
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

Row = tuple[t.Any, ...]

SEARCH = "event_search"
# The rows of the full-text search are in a hidden table, whose columns have a number in front of their names.
_SEARCH_ROWS = "event_search_content"
_SEARCH_COLUMNS = ("event_id", "room_id", "sender", "key", "value")
_THREADS = max(1, min(4, os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Difference:
    """What differs in one table. `old` and `new` are rows with the same columns, in the order of `columns`.

    A row is (old, new): one of them is None for a row that was removed or that is new below the numbers that the last
    pass copies.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Row | None, Row | None], ...]


def find_differences(snapshot: str, database: str, rowids: t.Mapping[str, t.Sequence[int]]) -> list[Difference]:
    """Return the tables in `rowids` with differences between the files `snapshot` and `database`.

    `rowids`: for each table the first rowid after those that the first pass has copied, and the last one before them.
    Raises SynapseError if one of the files cannot be read.
    """
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda item: _compare(snapshot, database, item[0], item[1]), rowids.items())
        return [difference for difference in found if difference is not None]


def _compare(snapshot: str, database: str, table: str, rowids: t.Sequence[int]) -> Difference | None:
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("ATTACH DATABASE ? AS snapshot", (snapshot,))
            return _compare_attached(connection, table, rowids)
    except sqlite3.Error as error:
        raise SynapseError(f"The table {table} of {database} could not be compared with its copy: {error}.") from error


def _compare_attached(connection: sqlite3.Connection, table: str, rowids: t.Sequence[int]) -> Difference | None:
    stored = _SEARCH_ROWS if table == SEARCH else table
    # A table that one of the files does not have has no rows there.
    names = [_columns(connection, schema, stored) for schema in ("snapshot", "main")]
    if not names[0] or not names[1]:
        return None
    if names[0] != names[1]:
        raise SynapseError(
            f"The columns of the table {table} have changed since the copy was made. Run the task again."
        )
    columns = names[0]
    unequal = " OR ".join(f'new."{name}" IS NOT old."{name}"' for name in columns)
    selected = ", ".join(f'old."{name}"' for name in columns), ", ".join(f'new."{name}"' for name in columns)
    # What the last pass copies itself is not compared, and was not in the snapshot.
    changed = connection.execute(
        f"""
        SELECT new.rowid, {selected[0]}, {selected[1]} FROM snapshot."{stored}" AS old
        LEFT JOIN main."{stored}" AS new ON new.rowid = old.rowid
        WHERE new.rowid IS NULL OR {unequal}
        """
    ).fetchall()
    added = connection.execute(
        f"""
        SELECT {selected[1]} FROM main."{stored}" AS new
        WHERE new.rowid < ? AND new.rowid > ?
            AND NOT EXISTS (SELECT 1 FROM snapshot."{stored}" AS old WHERE old.rowid = new.rowid)
        """,
        tuple(rowids),
    ).fetchall()
    count = len(columns)
    rows: list[tuple[Row | None, Row | None]] = [
        (row[1 : count + 1], None if row[0] is None else row[count + 1 :]) for row in changed
    ]
    rows += [(None, row) for row in added]
    return Difference(table, _SEARCH_COLUMNS if table == SEARCH else columns, tuple(rows)) if rows else None


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> tuple[str, ...]:
    found = tuple(row[1] for row in connection.execute(f'PRAGMA {schema}.table_info("{table}")'))
    if table != _SEARCH_ROWS:
        return found
    by_name = {name.lstrip("c0123456789"): name for name in found if name[:1] == "c"}
    return tuple(by_name[name] for name in _SEARCH_COLUMNS if name in by_name)
