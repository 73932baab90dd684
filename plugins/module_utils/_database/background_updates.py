# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The background updates that Synapse still has to run, in all databases of its configuration.

Each database has a table background_updates of its own (synapse/storage/background_updates.py, 1.163).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import pending_updates

# What every database of a configuration is used for.
_DATA_STORES = ("main", "state")


def find_databases(configuration: Configuration, working_directory: str | None = None) -> list[DatabaseSettings]:
    """Return where each database is, that with the accounts first. See `find_database` for the errors."""
    found: list[DatabaseSettings] = []
    for data_store in _DATA_STORES:
        settings = find_database(configuration, working_directory, data_store)
        if settings not in found:
            found.append(settings)
    return found


def read_pending_updates(
    databases: t.Iterable[DatabaseSettings], *, statement_timeout: float | None = None
) -> list[dict[str, t.Any]]:
    """Return the background updates that are not finished, as `pending_updates` does, of one database after another.

    Reads only, in a transaction of its own for each database, and locks nothing that Synapse waits for. Raises what
    `Database` raises. `statement_timeout`: in seconds.
    """
    updates: list[dict[str, t.Any]] = []
    for settings in databases:
        with Database(settings, statement_timeout=statement_timeout) as database:
            updates += pending_updates(database)
    return updates
