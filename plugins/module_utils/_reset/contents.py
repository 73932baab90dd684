# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the database of a Synapse has in it, as far as it matters to whether it may be dropped.

Relies on the tables users and rooms of Synapse 1.163. Synapse does not start if an account in `users` has another
server name than the configuration (synapse/storage/databases/main/__init__.py, check_database_before_upgrade).
"""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings


@dataclasses.dataclass(frozen=True)
class Contents:
    """What is in a database.

    `has_tables`: whether Synapse has created its tables. `server_names`: those of its accounts, sorted. `accounts`:
    how many accounts do not belong to an application service. `rooms`: how many rooms Synapse knows. `oldest`: when the
    oldest account was created, in seconds since 1970, or None without accounts. `identity`: what another database in
    the same place does not have, or "" without tables.
    """

    has_tables: bool = False
    server_names: tuple[str, ...] = ()
    accounts: int = 0
    rooms: int = 0
    oldest: int | None = None
    identity: str = ""

    def is_unused(self, server_name: str) -> bool:
        """Whether nobody has used it, and Synapse would start on it with this server name.

        An application service may have registered its accounts at the first start.
        """
        return not self.accounts and not self.rooms and set(self.server_names) <= {server_name}


def read_contents(settings: DatabaseSettings) -> Contents:
    """Return what is in the database. An SQLite file that does not exist has nothing in it. Reads only.

    Raises what `Database` raises.
    """
    if settings.engine == "sqlite3" and not os.path.lexists(settings.arguments["database"]):
        return Contents()
    with Database(settings) as database:
        if not _has_table(database, "users"):
            return Contents()
        position = "instr(name, ':')" if settings.engine == "sqlite3" else "strpos(name, ':')"
        # After the first colon: the server name may contain more, before a port or in an IPv6 literal.
        names = database.rows(f"SELECT DISTINCT substr(name, {position} + 1) FROM users")
        [(accounts,)] = database.rows("SELECT COUNT(*) FROM users WHERE appservice_id IS NULL")
        [(oldest,)] = database.rows("SELECT MIN(creation_ts) FROM users")
        [(rooms,)] = database.rows("SELECT COUNT(*) FROM rooms")
        return Contents(
            True,
            tuple(sorted(row[0] for row in names)),
            accounts,
            rooms,
            None if oldest is None else int(oldest),
            _identity(database),
        )


def _has_table(database: Database, name: str) -> bool:
    if database.settings.engine == "sqlite3":
        return bool(database.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name))
    [(found,)] = database.rows("SELECT to_regclass(?) IS NOT NULL", name)
    return bool(found)


def _identity(database: Database) -> str:
    """Return the number of the file of SQLite, or of the table in PostgreSQL."""
    if database.settings.engine == "sqlite3":
        status = os.stat(database.settings.arguments["database"])
        return f"{status.st_dev}:{status.st_ino}"
    [(number,)] = database.rows("SELECT to_regclass('users')::oid::bigint")
    return str(number)
