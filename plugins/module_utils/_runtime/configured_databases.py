# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The databases in the configuration, as Synapse finds them (synapse/config/database.py, 1.163)."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings

SQLITE, POSTGRESQL = "sqlite3", "psycopg2"


def configured_databases(settings: Settings) -> list[Settings]:
    """Return the settings of each database, always with a `name`. The list is empty if the configuration has none.

    Synapse ignores the old setting `database_path` if there is a block.
    """
    several = settings.get("databases")
    given = list(several.values()) if isinstance(several, dict) and several else [settings.get("database")]
    found = [{"name": SQLITE, **database} for database in given if isinstance(database, dict)]
    path = settings.get("database_path")
    return [{"name": SQLITE, "args": {"database": path}}] if path and not any(given) else found


def database_engine(settings: Settings) -> str | None:
    """Return the name of the engine of the databases, or None if there is none or if there are several engines."""
    names = [database["name"] for database in configured_databases(settings)]
    name = names[0] if names and names.count(names[0]) == len(names) else None
    return name if isinstance(name, str) else None
