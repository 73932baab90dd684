# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The description of a database of Synapse: engine, whether Synapse accepts it, sizes, pending background updates.

Relies on the tables schema_version, schema_compat_version and background_updates of Synapse 1.163, on the checks of
Synapse when it starts (synapse/storage/engines/postgres.py), on PostgreSQL's catalog, and on SQLite's table dbstat.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database

Row = dict[str, t.Any]

_OLDEST_POSTGRESQL = 14

_LOCALE = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int,
        current_setting('server_encoding'), datcollate, datctype
    FROM pg_database WHERE datname = current_database()
"""
# The tables that the user of Synapse can use without a schema name, without PostgreSQL's catalog.
_VISIBLE = """
    pg_table_is_visible(relation.oid) AND relation.relnamespace NOT IN (
        SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema')
    )
"""
_TABLES = f"""
    SELECT relation.relname, pg_total_relation_size(relation.oid), pg_table_size(relation.oid),
        pg_indexes_size(relation.oid), relation.reltuples::bigint
    FROM pg_class AS relation
    WHERE relation.relkind = 'r' AND {_VISIBLE}
    ORDER BY 2 DESC NULLS LAST, 1 LIMIT ?
"""
_INDEXES = f"""
    SELECT relation.relname, owner.relname, pg_relation_size(relation.oid)
    FROM pg_class AS relation
    JOIN pg_index AS belonging ON belonging.indexrelid = relation.oid
    JOIN pg_class AS owner ON owner.oid = belonging.indrelid
    WHERE {_VISIBLE}
    ORDER BY 3 DESC NULLS LAST, 1 LIMIT ?
"""
_SQLITE_PAGES = """
    SELECT object.name, object.tbl_name, object.type, stored.pgsize
    FROM dbstat AS stored JOIN sqlite_master AS object ON object.name = stored.name
    WHERE stored.aggregate = TRUE
"""


def describe(database: Database) -> Row:
    """Return the engine, its version and locale, and whether Synapse accepts it. Raises what the database raises."""
    described = _describe_sqlite(database) if _is_sqlite(database) else _describe_postgresql(database)
    [(version, compatible)] = database.rows(
        "SELECT schema_version.version, schema_compat_version.compat_version FROM schema_version, schema_compat_version"
    )
    return {**described, "schema_version": version, "schema_compat_version": compatible}


def measure(database: Database, *, tables: int, indexes: int) -> Row:
    """Return the size of the database, and its biggest `tables` and `indexes`, with their sizes in bytes.

    The tables and indexes are left out if SQLite was built without the table dbstat (see `unmeasured`). Raises what the
    database raises.
    """
    measure_engine = _measure_sqlite if _is_sqlite(database) else _measure_postgresql
    return measure_engine(database, tables, indexes)


def unmeasured(measured: Row) -> list[Row]:
    """Return what `measure` has left out, with the reason and the fix."""
    return [
        {
            "name": name,
            "reason": "The SQLite library of the Python that runs the module was built without the table dbstat.",
            "fix": "Set ansible_python_interpreter to a Python whose SQLite library has it.",
        }
        for name in ("tables", "indexes")
        if name not in measured
    ]


def pending_updates(database: Database) -> list[Row]:
    """Return the background updates that are not finished, in the order in which Synapse runs them."""
    rows = database.rows(
        "SELECT update_name, progress_json, depends_on FROM background_updates ORDER BY ordering, update_name"
    )
    return [
        {"name": name, **_progress(text), **({} if required is None else {"depends_on": required})}
        for name, text, required in rows
    ]


def _is_sqlite(database: Database) -> bool:
    return database.settings.engine == "sqlite3"


def _describe_sqlite(database: Database) -> Row:
    [(version, encoding)] = database.rows("SELECT sqlite_version(), encoding FROM pragma_encoding")
    return {
        "engine": "sqlite",
        "version": version,
        "encoding": encoding,
        "accepted": True,
        "problems": [],
    }


def _describe_postgresql(database: Database) -> Row:
    [(version, number, encoding, collation, ctype)] = database.rows(_LOCALE)
    return {
        "engine": "postgresql",
        "version": version.split()[0],
        "encoding": encoding,
        "collation": collation,
        "ctype": ctype,
        **judge(number // 10000, encoding, collation, ctype, any_locale=database.settings.allow_unsafe_locale),
    }


def judge(version: int, encoding: str, collation: str, ctype: str, *, any_locale: bool) -> Row:
    """Return whether Synapse accepts such a PostgreSQL database (`accepted`), and its `problems` as sentences.

    `version`: the major version. `any_locale`: Synapse is set to accept any locale; any other than C is still a
    problem.
    """
    fatal = []
    if version < _OLDEST_POSTGRESQL:
        fatal.append(f"PostgreSQL {version} is too old. Synapse requires {_OLDEST_POSTGRESQL} or later.")
    if encoding != "UTF8":
        fatal.append(f"The encoding is {encoding}. Synapse requires UTF8.")
    locale = [
        f"The {name} is {value}. Synapse requires C, because an update of the system's locales may corrupt indexes."
        for name, value in (("collation", collation), ("ctype", ctype))
        if value != "C"
    ]
    return {"accepted": not fatal and (any_locale or not locale), "problems": fatal + locale}


def _measure_postgresql(database: Database, tables: int, indexes: int) -> Row:
    [(size,)] = database.rows("SELECT pg_database_size(current_database())")
    return {
        "size": size,
        "tables": [
            {
                "name": name,
                "size": total,
                "table_size": own,
                "index_size": total_of_indexes,
                # Negative: PostgreSQL has not counted them yet.
                **({"estimated_rows": rows} if rows >= 0 else {}),
            }
            for name, total, own, total_of_indexes, rows in database.rows(_TABLES, tables)
        ],
        "indexes": [
            {"name": name, "table": table, "size": own} for name, table, own in database.rows(_INDEXES, indexes)
        ],
    }


def _measure_sqlite(database: Database, tables: int, indexes: int) -> Row:
    [(size,)] = database.rows("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    [(countable,)] = database.rows("SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')")
    if not countable:
        return {"size": size}
    by_table: dict[str, Row] = {}
    all_indexes: list[Row] = []
    for name, table, kind, own in database.rows(_SQLITE_PAGES):
        row = by_table.setdefault(table, {"name": table, "table_size": 0, "index_size": 0})
        row["index_size" if kind == "index" else "table_size"] += own
        if kind == "index":
            all_indexes.append({"name": name, "table": table, "size": own})
    all_tables = [{**row, "size": row["table_size"] + row["index_size"]} for row in by_table.values()]
    return {"size": size, "tables": _biggest(all_tables, tables), "indexes": _biggest(all_indexes, indexes)}


def _biggest(rows: list[Row], limit: int) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["size"], row["name"]))[:limit]


def _progress(text: str) -> Row:
    """Return `progress`, unless it is not a JSON object."""
    try:
        progress = json.loads(text)
    except ValueError:
        return {}
    return {"progress": progress} if isinstance(progress, dict) else {}
