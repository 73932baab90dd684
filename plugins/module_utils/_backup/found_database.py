# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a server, as a backup finds it: its engine, its size, and the programs that it needs."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.postgresql_dump import (
    find_dump_program,
    server_version,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import (
    Administrator,
    connected,
    find_administrator,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import owner_of, place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import describe
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.only_database import find_only_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import (
    Program,
    find_program,
)

_SQLITE_FILES = ("", "-wal", "-shm", "-journal")
_POSTGRESQL_SIZE = "SELECT pg_database_size(current_database())"
_SEVERAL = "which cannot be backed up in one consistent state. Back them up with the tools of PostgreSQL."


class DatabaseFound(t.NamedTuple):
    """The database. `uid`: as whom it is read. `size` in bytes. The programs are only for PostgreSQL."""

    settings: DatabaseSettings
    uid: int | None
    described: dict[str, t.Any]
    size: int
    dump_program: Program | None = None
    restore_program: Program | None = None
    administrator: Administrator | None = None

    @property
    def engine(self) -> str:
        """The engine as archives name it: sqlite or postgresql."""
        return str(self.described["engine"])


def find_source(
    configuration: Configuration, directory: str | None, user: int, declared: DeclaredBackup
) -> DatabaseFound:
    """Return the database of the configuration. `directory`: where relative paths start. `user`: that of Synapse.

    Raises SynapseError if it cannot be backed up. Changes nothing.
    """
    settings = find_only_database(configuration, _SEVERAL, directory)
    if settings.engine == "sqlite3":
        path = os.path.normpath(settings.arguments["database"])
        uid = owner_of(path)
        with connected(settings, uid) as database:
            described = describe(database)
        size = sum(os.path.getsize(path + end) for end in _SQLITE_FILES if os.path.exists(path + end))
        return DatabaseFound(settings, uid, {**described, "path": path}, size)
    with connected(settings, user) as database:
        described, major = describe(database), server_version(database)
        [(size,)] = database.rows(_POSTGRESQL_SIZE)
        [(name, name_of_user)] = database.rows("SELECT current_database()::text, current_user::text")
    arguments = settings.arguments
    return DatabaseFound(
        settings,
        user,
        {
            **described,
            "name": name,
            "user": name_of_user,
            "host": str(arguments.get("host") or ""),
            "port": str(arguments.get("port") or ""),
            "server_version": described["version"],
            "size": size,
        },
        size,
        find_dump_program(major),
        find_program("pg_restore", major) if declared.verify else None,
        find_administrator(settings, user, declared.login) if declared.verify else None,
    )


def files_of(database: DatabaseFound) -> list[str]:
    """Return the files of SQLite, with those that a copy of it has meanwhile."""
    if database.engine != "sqlite":
        return []
    path = str(database.settings.arguments["database"])
    return [*(path + end for end in _SQLITE_FILES), place_of(path)]
