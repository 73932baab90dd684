# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a database of Synapse is like: its engine, whether Synapse takes it, its sizes, what is still to be done.

Relies on the tables schema_version, schema_compat_version and background_updates of Synapse 1.163, on what Synapse
checks when it starts (synapse/storage/engines/postgres.py), on PostgreSQL's catalog, and on SQLite's table dbstat.
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
# The tables that Synapse's user sees by their bare name; the catalog is not Synapse's.
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
    """Return the engine, its version and locale, and what Synapse does not take. Raises what the database does."""
    described = _describe_sqlite(database) if _is_sqlite(database) else _describe_postgresql(database)
    [(version, compatible)] = database.rows(
        "SELECT schema_version.version, schema_compat_version.compat_version FROM schema_version, schema_compat_version"
    )
    return {**described, "schema_version": version, "schema_compat_version": compatible}


def measure(database: Database, limit: int) -> Row:
    """Return the size of the database, and its `limit` biggest tables and indexes, in bytes.

    The tables and indexes are None where SQLite was built without the table dbstat. Raises what the database does.
    """
    return _measure_sqlite(database, limit) if _is_sqlite(database) else _measure_postgresql(database, limit)


def pending_updates(database: Database) -> list[Row]:
    """Return the background updates that are not done, in the order in which Synapse runs them."""
    rows = database.rows(
        "SELECT update_name, progress_json, depends_on FROM background_updates ORDER BY ordering, update_name"
    )
    return [{"name": name, "progress": _progress(text), "depends_on": first} for name, text, first in rows]


def _is_sqlite(database: Database) -> bool:
    return database.settings.engine == "sqlite3"


def _describe_sqlite(database: Database) -> Row:
    [(version, encoding)] = database.rows("SELECT sqlite_version(), encoding FROM pragma_encoding")
    return {
        "engine": "sqlite",
        "version": version,
        "encoding": encoding,
        "collation": None,
        "ctype": None,
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
    """Return whether Synapse takes such a PostgreSQL database (`accepted`), and its `problems` in sentences.

    `version`: the first number. `any_locale`: Synapse is told to take any locale; it is a problem all the same.
    """
    grave = []
    if version < _OLDEST_POSTGRESQL:
        grave.append(f"PostgreSQL {version} is too old: Synapse wants {_OLDEST_POSTGRESQL} or newer.")
    if encoding != "UTF8":
        grave.append(f"The encoding is {encoding}: Synapse wants UTF8.")
    locale = [
        f"The {name} is {value}: Synapse wants C, because indexes may break when the system's locales are updated."
        for name, value in (("collation", collation), ("ctype", ctype))
        if value != "C"
    ]
    return {"accepted": not grave and (any_locale or not locale), "problems": grave + locale}


def _measure_postgresql(database: Database, limit: int) -> Row:
    [(size,)] = database.rows("SELECT pg_database_size(current_database())")
    return {
        "size": size,
        "tables": [
            {
                "name": name,
                "size": total,
                "table_size": own,
                "index_size": indexes,
                # Below zero: nobody has counted them yet.
                "estimated_rows": rows if rows >= 0 else None,
            }
            for name, total, own, indexes, rows in database.rows(_TABLES, limit)
        ],
        "indexes": [{"name": name, "table": table, "size": own} for name, table, own in database.rows(_INDEXES, limit)],
    }


def _measure_sqlite(database: Database, limit: int) -> Row:
    [(size,)] = database.rows("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    [(countable,)] = database.rows("SELECT sqlite_compileoption_used('ENABLE_DBSTAT_VTAB')")
    if not countable:
        return {"size": size, "tables": None, "indexes": None}
    tables: dict[str, Row] = {}
    indexes: list[Row] = []
    for name, table, kind, own in database.rows(_SQLITE_PAGES):
        row = tables.setdefault(table, {"name": table, "table_size": 0, "index_size": 0, "estimated_rows": None})
        row["index_size" if kind == "index" else "table_size"] += own
        if kind == "index":
            indexes.append({"name": name, "table": table, "size": own})
    sized = [{**row, "size": row["table_size"] + row["index_size"]} for row in tables.values()]
    return {"size": size, "tables": _biggest(sized, limit), "indexes": _biggest(indexes, limit)}


def _biggest(rows: list[Row], limit: int) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["size"], row["name"]))[:limit]


def _progress(text: str) -> t.Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
