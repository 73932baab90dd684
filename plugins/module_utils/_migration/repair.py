# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Brings rows in PostgreSQL up to date that Synapse's program does not copy again: see _migration.difference.

It needs that the other tables are empty, which may refer to rows that are removed here. Values are converted as the
program does it: SQLite has numbers where PostgreSQL has booleans, and a row with a NUL character is left out. But a
boolean that is not set stays so: see _migration.unset.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.difference import SEARCH, Difference, Row
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import add_mark, has_mark

_BOOLEANS = """
    SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type = 'boolean'
"""
# The columns of each unique index, without those of expressions and of parts of a table.
_UNIQUE = """
    SELECT relation.relname, constrained.indexrelid::bigint, attribute.attname
    FROM pg_index AS constrained
    JOIN pg_class AS relation ON relation.oid = constrained.indrelid
    JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum = ANY (constrained.indkey)
    WHERE constrained.indisunique AND constrained.indpred IS NULL AND constrained.indexprs IS NULL
        AND pg_table_is_visible(relation.oid)
    ORDER BY NOT constrained.indisprimary, constrained.indexrelid, attribute.attnum
"""
_REFERENCES = """
    SELECT DISTINCT own.relname, other.relname FROM pg_constraint AS reference
    JOIN pg_class AS own ON own.oid = reference.conrelid JOIN pg_class AS other ON other.oid = reference.confrelid
    WHERE reference.contype = 'f' AND own.oid <> other.oid
"""


class Tables:
    """What is needed to find and to write rows of tables.

    `booleans`: tables with their columns. `unset`: those of them that can be without a value, in tables with a key.
    """

    def __init__(self, database: Database) -> None:
        """Read it in PostgreSQL. Raises what the database raises."""
        booleans = database.rows(_BOOLEANS)
        indexes: dict[tuple[str, int], list[str]] = {}
        for table, index, column in database.rows(_UNIQUE):
            indexes.setdefault((table, index), []).append(column)
        self._keys: dict[str, list[list[str]]] = {}
        for (table, _index), columns in indexes.items():
            self._keys.setdefault(table, []).append(columns)
        self.booleans = {(table, column) for table, column, _nullable in booleans}
        self.unset = {(table, column) for table, column, nullable in booleans if nullable and table in self._keys}
        self._references = database.rows(_REFERENCES)

    def key(self, table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return columns that identify a row: of a unique index that SQLite's `columns` cover, or all columns."""
        for unique in self._keys.get(table, ()):
            if set(unique) <= set(columns):
                return tuple(unique)
        return columns

    def is_referred_to(self, table: str) -> bool:
        """Whether rows of other tables refer to rows of this one."""
        return any(other == table for _own, other in self._references)

    def referring_last(self, differences: t.Iterable[Difference]) -> list[Difference]:
        """Return the tables in an order in which each is after those that it refers to."""
        waiting, ordered = {difference.table: difference for difference in differences}, []
        while waiting:
            free = [
                name for name in waiting if not any(own == name and other in waiting for own, other in self._references)
            ]
            # Tables that refer to each other have no order.
            for name in free or list(waiting):
                ordered.append(waiting.pop(name))
        return ordered


def prepare_rows(database: Database, differences: t.Sequence[Difference], move: str, what: str) -> None:
    """Before the last pass: remove and change rows in one transaction, which also marks `what` as done.

    New rows are only written to tables that others refer to. Does nothing if the mark is there: rows that the last pass
    has copied must not be removed.
    """
    if has_mark(database, move, what):
        return
    tables = Tables(database)
    ordered = tables.referring_last(differences)
    for difference in reversed(ordered):
        key = tables.key(difference.table, difference.columns)
        for old, new in difference.rows:
            # One that cannot be stored was never copied.
            if old is not None and _is_storable(old) and not _is_updated(difference, key, old, new):
                _delete(database, tables, difference, key, old)
    for difference in ordered:
        _write(database, tables, difference, insert=tables.is_referred_to(difference.table))
    add_mark(database, move, what)


def add_rows(database: Database, differences: t.Sequence[Difference], move: str, what: str) -> None:
    """After the last pass: write the new rows that it has not copied, which may refer to rows that it has copied."""
    if has_mark(database, move, what):
        return
    tables = Tables(database)
    for difference in tables.referring_last(differences):
        if not tables.is_referred_to(difference.table):
            _write(database, tables, difference, insert=True)
    add_mark(database, move, what)


def _write(database: Database, tables: Tables, difference: Difference, *, insert: bool) -> None:
    """Change the rows that stay, and `insert` the others."""
    key = tables.key(difference.table, difference.columns)
    for old, new in difference.rows:
        if new is None or not _is_storable(new):
            continue
        updated = old is not None and _is_updated(difference, key, old, new)
        if (not updated or not _update(database, tables, difference, key, new)) and insert:
            _insert(database, tables, difference, new)


def _is_updated(difference: Difference, key: t.Sequence[str], old: Row, new: Row | None) -> bool:
    """Whether the row stays, with other values. Other rows may refer to it."""
    if new is None or not _is_storable(new) or difference.table == SEARCH:
        return False
    before, after = dict(zip(difference.columns, old)), dict(zip(difference.columns, new))
    return len(key) < len(difference.columns) and all(before[name] == after[name] for name in key)


def _delete(database: Database, tables: Tables, difference: Difference, key: t.Sequence[str], old: Row) -> None:
    condition, values = _condition(tables, difference, key, old)
    # Without a unique key there may be several equal rows.
    database.write(
        f'DELETE FROM "{difference.table}" WHERE ctid = (SELECT ctid FROM "{difference.table}" WHERE {condition}'
        " LIMIT 1)",
        *values,
    )


def _update(database: Database, tables: Tables, difference: Difference, key: t.Sequence[str], new: Row) -> bool:
    changed = [
        (name, _converted(tables, difference.table, name, value))
        for name, value in zip(difference.columns, new)
        if name not in key
    ]
    condition, values = _condition(tables, difference, key, new)
    assigned = ", ".join(f'"{name}" = ?' for name, _value in changed)
    statement = f'UPDATE "{difference.table}" SET {assigned} WHERE {condition}'
    # The old one may have been left out.
    return database.write(statement, *(value for _name, value in changed), *values) > 0


def _insert(database: Database, tables: Tables, difference: Difference, new: Row) -> None:
    if difference.table == SEARCH:
        _insert_search(database, dict(zip(difference.columns, new)))
        return
    names = ", ".join(f'"{name}"' for name in difference.columns)
    values = [_converted(tables, difference.table, name, value) for name, value in zip(difference.columns, new)]
    database.write(
        f'INSERT INTO "{difference.table}" ({names}) VALUES ({", ".join("?" for _value in values)})', *values
    )


def _insert_search(database: Database, row: dict[str, t.Any]) -> None:
    """As Synapse's program does it, with the time and the place of the event."""
    database.write(
        f"INSERT INTO {SEARCH} (event_id, room_id, key, sender, vector, origin_server_ts, stream_ordering)"
        " SELECT ?, ?, ?, ?, to_tsvector('english', ?), origin_server_ts, stream_ordering FROM events"
        " WHERE event_id = ? AND room_id = ?",
        *(row[name] for name in ("event_id", "room_id", "key", "sender", "value", "event_id", "room_id")),
    )


def _condition(tables: Tables, difference: Difference, key: t.Sequence[str], row: Row) -> tuple[str, list[t.Any]]:
    found = dict(zip(difference.columns, row))
    parts, values = [], []
    # The values of the full-text search are words in another form.
    for name in key if difference.table != SEARCH or key != difference.columns else ("event_id", "room_id", "key"):
        value = _converted(tables, difference.table, name, found[name])
        if value is None:
            parts.append(f'"{name}" IS NULL')
        else:
            parts.append(f'"{name}" = ?')
            values.append(value)
    return " AND ".join(parts), values


def _converted(tables: Tables, table: str, name: str, value: t.Any) -> t.Any:
    if value is None and (table, name) in tables.unset:
        return None
    return bool(value) if (table, name) in tables.booleans else value


def _is_storable(row: Row) -> bool:
    return not any(isinstance(value, str) and "\0" in value for value in row)
