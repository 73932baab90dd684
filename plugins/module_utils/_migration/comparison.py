# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether PostgreSQL has as many rows of each table as SQLite: the last proof before Synapse uses it.

What Synapse's program leaves out is explained by its source (synapse/_scripts/synapse_port_db.py, 1.163): rows with a
NUL character, rows of event_search without their event, transactions that were sent more than a day ago, and the tables
that Synapse fills again by itself.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_tables, table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.difference import SEARCH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import settings_of

# The schema differs between the engines. The program writes one row into the last one, and leaves out old transactions.
_OTHER_RULES = frozenset({"schema_version", "applied_schema_deltas", "user_directory_stream_pos", "sent_transactions"})
_SEARCHABLE = """
    SELECT count(*) FROM event_search_content AS stored
    JOIN events ON events.event_id = stored.c0event_id AND events.room_id = stored.c1room_id
    WHERE instr(stored.c4value, char(0)) = 0
"""


@dataclasses.dataclass(frozen=True)
class Expected:
    """What PostgreSQL must have: `counts` of the tables that are copied, and `left` of those that are not.

    `left` has the tables that only SQLite has, or that the program ignores, if they have rows.
    """

    counts: dict[str, int]
    left: dict[str, int]


def expect_rows(path: str, names: t.Collection[str] | None, ignored: t.Collection[str]) -> Expected:
    """Count the copy of the SQLite database at `path`.

    `names`: the tables of PostgreSQL, None if it has none yet; `ignored`: those that are not copied.
    """
    with Database(settings_of(path)) as database:
        counts = count_tables(database, table_names(database))
        if SEARCH in counts:
            [(counts[SEARCH],)] = database.rows(_SEARCHABLE)
    copied = set(counts if names is None else names) - set(ignored) - _OTHER_RULES
    left = {name: rows for name, rows in counts.items() if rows and name not in copied and name not in _OTHER_RULES}
    return Expected({name: rows for name, rows in counts.items() if name in copied}, left)


def find_missing(path: str, expected: t.Mapping[str, int], found: t.Mapping[str, int]) -> list[str]:
    """Return in words which tables do not have the `expected` number of rows, after those that cannot be copied."""
    unequal = [name for name, rows in expected.items() if found.get(name) != rows]
    if not unequal:
        return []
    missing = []
    with Database(settings_of(path)) as database:
        for name in unequal:
            rows = expected[name] - (0 if name == SEARCH else _unstorable(database, name))
            if found.get(name) != rows:
                missing.append(f"{name} has {found.get(name, 'no')} rows instead of {rows}")
    return missing


def left_out(expected: t.Mapping[str, int], found: t.Mapping[str, int]) -> dict[str, int]:
    """Return how many rows of which tables were left out because PostgreSQL cannot store a NUL character."""
    return {name: rows - found[name] for name, rows in expected.items() if found.get(name, rows) < rows}


def _unstorable(database: Database, table: str) -> int:
    names = [name for (name,) in database.rows("SELECT name FROM pragma_table_info(?)", table)]
    condition = " OR ".join(f'(typeof("{name}") = \'text\' AND instr("{name}", char(0)) > 0)' for name in names)
    [(rows,)] = database.rows(f'SELECT count(*) FROM "{table}" WHERE {condition}')
    return int(rows)
