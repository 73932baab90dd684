# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether running processes have a database open. What this user is not allowed to see counts as open."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings

# Those of other users too, because a new user may be in the configuration already. Not what PostgreSQL itself runs.
_SESSIONS = """
    SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename IS NOT NULL AND pid <> pg_backend_pid()
"""


def is_open_in(settings: DatabaseSettings, pids: t.Iterable[int], proc: str = "/proc") -> bool:
    """Return whether one of the processes has the file of SQLite open, or anything is connected to PostgreSQL.

    Raises what `Database` raises.
    """
    if settings.engine == "sqlite3":
        return any(_has_open(os.path.join(proc, str(pid), "fd"), settings.arguments["database"]) for pid in pids)
    with Database(settings) as database:
        [(sessions,)] = database.rows(_SESSIONS)
    return bool(sessions)


def _has_open(descriptors: str, path: str) -> bool:
    try:
        # By its number, because the process may see it at another path.
        wanted = os.stat(path)
        return any(_is_file(os.path.join(descriptors, name), wanted) for name in os.listdir(descriptors))
    except PermissionError:
        return True
    except OSError:
        return False


def _is_file(descriptor: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(descriptor), wanted)
    except OSError:
        # It was closed meanwhile.
        return False
