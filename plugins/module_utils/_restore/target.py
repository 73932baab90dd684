# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a restored database must contain, on both engines: the rows of the backup, and sequences that fit to them."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_tables, table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached

Json = dict[str, t.Any]
Counts = t.Mapping[str, int]
Pieces = t.Iterable[bytes]

# Upstream's documentation: a client would otherwise use a key that another one has used already.
ONE_TIME_KEYS = "e2e_one_time_keys_json"
_SHOWN_AT_MOST = 5


class Target(t.Protocol):
    """The place of the database on this host, and how a database gets there."""

    @property
    def shown(self) -> str:
        """The database as a message shows it."""

    @property
    def server_directory(self) -> str:
        """Where a server of this host keeps it, or "" if there is no server, or if it keeps it elsewhere."""

    @property
    def emptying(self) -> str:
        """How an operator removes what is there, as a part of a sentence."""

    def data(self) -> str:
        """Return in words what data there is already, or "". Raises SynapseError if it cannot be seen."""

    def problems(self) -> list[str]:
        """Return why Synapse could not use the database, as sentences. Changes nothing."""

    def differences(self, counts: Counts) -> list[str]:
        """Return where the rows of an existing database differ from `counts`. Raises SynapseError."""

    def restore(self, pieces: Pieces, counts: Counts) -> None:
        """Put the database there. After a failure there is none. Raises SynapseError."""

    def complete(self, counts: Counts) -> None:
        """Complete and prove the database, also if an interrupted run has put it there. Raises SynapseError."""


def differing_counts(found: Counts, expected: Counts) -> list[str]:
    """Return the tables whose number of rows differs, with both numbers."""
    names = sorted((found.keys() | expected.keys()) - {ONE_TIME_KEYS})
    return [
        f"{name} ({found.get(name, 'missing')} instead of {expected.get(name, 'no table')})"
        for name in names
        if found.get(name) != expected.get(name)
    ]


def count_differences(database: Database, expected: Counts) -> list[str]:
    """Return the tables of an open database whose number of rows differs from `expected`."""
    return differing_counts(count_tables(database, table_names(database)), expected)


def users_in(database: Database) -> int:
    """Return the number of accounts in a database of Synapse."""
    [(number,)] = database.rows("SELECT count(*) FROM users")
    return int(number)


def delete_one_time_keys(database: Database) -> None:
    """Delete the one-time keys: clients upload new ones."""
    if ONE_TIME_KEYS in table_names(database):
        database.write(f"DELETE FROM {ONE_TIME_KEYS}")


def require_no_difference(what: str, differences: t.Sequence[str]) -> None:
    """Raise StateNotReached with the first differences, if there are any. `what`: the beginning of the sentence."""
    if differences:
        more = f" and {len(differences) - _SHOWN_AT_MOST} more" if len(differences) > _SHOWN_AT_MOST else ""
        shown = "; ".join(each.rstrip(".") for each in differences[:_SHOWN_AT_MOST])
        raise StateNotReached(f"{what}: {shown}{more}. Synapse was not started. Use another backup, or report this.")
