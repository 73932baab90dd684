# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Booleans without a value, which rows have that are older than the column. Synapse's program writes false instead.

For Synapse that is not the same: such a pusher is enabled, and such an account is approved (synapse/storage/databases/
main/pusher.py and registration.py, 1.163). After a move by the program alone, phones get no notifications any more.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.repair import Tables
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import settings_of

# How many rows are changed by one statement.
_BATCH = 1000


def restore_unset(target: Database, path: str, rowids: t.Mapping[str, t.Sequence[int]]) -> None:
    """Take the value away again, in PostgreSQL, of each boolean that has none in the copy of SQLite at `path`.

    `rowids`: of the tables in it, only rows from the first of both numbers on, and up to the second one. Tables without
    a unique key are left out: Synapse has none where it matters. Raises what the databases raise.
    """
    tables = Tables(target)
    with Database(settings_of(path)) as source:
        known = set(table_names(source))
        for table, column in sorted(tables.unset):
            columns = _columns(source, table) if table in known else ()
            key = tables.key(table, columns)
            if column in columns and column not in key:
                listed = ", ".join(f'"{name}"' for name in key)
                where, values = _where(rowids.get(table))
                found = source.rows(f'SELECT {listed} FROM "{table}" WHERE "{column}" IS NULL{where}', *values)
                for begin in range(0, len(found), _BATCH):
                    # A list of rows with one column each is a list of values.
                    rows = tuple(row if len(row) > 1 else row[0] for row in found[begin : begin + _BATCH])
                    target.write(f'UPDATE "{table}" SET "{column}" = NULL WHERE ({listed}) IN ?', rows)


def _columns(source: Database, table: str) -> tuple[str, ...]:
    return tuple(name for (name,) in source.rows("SELECT name FROM pragma_table_info(?)", table))


def _where(rowids: t.Sequence[int] | None) -> tuple[str, tuple[int, ...]]:
    return ("", ()) if rowids is None else (" AND (rowid >= ? OR rowid <= ?)", tuple(rowids))
