# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The number of rows in every table of a database of Synapse, counted exactly.

Both engines count all tables in one statement, which sees one state of the database, also while Synapse writes to it.
Relies on PostgreSQL's catalog, and on the names of the hidden tables of SQLite's full-text search (FTS4).
"""

from __future__ import annotations

import re

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database

# The table in which synapse_port_db keeps how far it is. It does not belong to the data of a server.
PORT_TABLE = "port_from_sqlite3"

_SQLITE_TABLES = "SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type = 'table'"
_POSTGRESQL_TABLES = """
    SELECT relation.relname FROM pg_class AS relation
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'p') AND NOT relation.relispartition AND pg_table_is_visible(relation.oid)
        AND space.nspname NOT IN ('pg_catalog', 'information_schema')
"""
# All names of Synapse's tables are of this form.
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_HIDDEN_TABLES = ("content", "docsize", "segdir", "segments", "stat")
# SQLite allows 500 parts of a compound statement.
_PARTS_AT_MOST = 400


def count_rows(database: Database) -> dict[str, int]:
    """Return the exact number of rows of each table, with the tables in alphabetical order.

    In SQLite, a table of the full-text search is one table: its hidden tables are left out. Tables that Synapse does
    not make, such as that of synapse_port_db, are left out if their names show it. Raises what the database raises.
    """
    return count_tables(database, table_names(database))


def count_tables(database: Database, tables: list[str]) -> dict[str, int]:
    """Return the exact number of rows of each of these tables, which must exist. The same rules as in `count_rows`."""
    docsizes = _docsizes(database) if database.settings.engine == "sqlite3" else {}
    counts: dict[str, int] = {}
    for begin in range(0, len(tables), _PARTS_AT_MOST):
        parts = [
            f"""SELECT '{table}' AS name, count(*) AS rows FROM "{docsizes.get(table, table)}\""""
            for table in tables[begin : begin + _PARTS_AT_MOST]
        ]
        counts.update({str(name): int(rows) for name, rows in database.rows(" UNION ALL ".join(parts))})
    return dict(sorted(counts.items()))


def table_names(database: Database) -> list[str]:
    """Return the names of the tables that `count_rows` counts, in alphabetical order."""
    if database.settings.engine != "sqlite3":
        names = {name for (name,) in database.rows(_POSTGRESQL_TABLES)}
    else:
        found = dict(database.rows(_SQLITE_TABLES))
        hidden = {f"{name}_{part}" for name, sql in found.items() if _is_virtual(sql) for part in _HIDDEN_TABLES}
        names = {name for name in found if name not in hidden and not name.startswith("sqlite_")}
    return sorted(name for name in names if _NAME.fullmatch(name) and name != PORT_TABLE)


def _docsizes(database: Database) -> dict[str, str]:
    """Return for each table of the full-text search the hidden table with one small row for each of its rows."""
    found = dict(database.rows(_SQLITE_TABLES))
    return {name: f"{name}_docsize" for name, sql in found.items() if _is_virtual(sql) and f"{name}_docsize" in found}


def _is_virtual(sql: str) -> bool:
    return sql.lstrip().upper().startswith("CREATE VIRTUAL TABLE")
