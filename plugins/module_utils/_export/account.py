# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads what the database has about an account before the export, so that no export starts that cannot succeed.

Relies on the tables users, local_current_membership, room_memberships, events, rooms, room_account_data,
local_media_repository, schema_version and schema_compat_version, and on what export_user_data reads from them
(synapse/handlers/admin.py, 1.163).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython

# The memberships that export_user_data reads. It skips rooms that the account has forgotten.
_MEMBERSHIPS = """
    FROM local_current_membership AS c
    INNER JOIN events AS e ON e.room_id = c.room_id AND e.event_id = c.event_id
    INNER JOIN rooms AS r ON r.room_id = c.room_id
    WHERE c.user_id = ?
"""
_REMEMBERED = """
    EXISTS (
        SELECT 1 FROM room_memberships AS m
        WHERE m.user_id = c.user_id AND m.room_id = c.room_id AND m.forgotten = 0
    )
"""

# In rooms that the account has never joined, export_user_data fails on the state of an invite or a knock.
_PENDING = f"""
    SELECT c.room_id, c.membership {_MEMBERSHIPS} AND {_REMEMBERED}
    AND c.membership IN ('invite', 'knock') AND e.rejection_reason IS NULL AND NOT EXISTS (
        SELECT 1 FROM room_memberships AS j
        WHERE j.user_id = c.user_id AND j.room_id = c.room_id AND j.membership = 'join'
    )
    ORDER BY c.room_id
"""

_FORGOTTEN = f"SELECT c.room_id {_MEMBERSHIPS} AND NOT {_REMEMBERED} ORDER BY c.room_id"

# Rooms that it skips silently: the account has never joined them, and no invite or knock is pending any more.
_DECLINED = f"""
    SELECT c.room_id {_MEMBERSHIPS} AND {_REMEMBERED}
    AND c.membership NOT IN ('join', 'invite', 'knock') AND NOT EXISTS (
        SELECT 1 FROM room_memberships AS j
        WHERE j.user_id = c.user_id AND j.room_id = c.room_id AND j.membership = 'join'
    )
    ORDER BY c.room_id
"""

# What decides that there is no file of a medium. Previews of links are no files of the account.
_MEDIA = """
    SELECT media_id, media_length, quarantined_by FROM local_media_repository
    WHERE user_id = ? AND url_cache IS NULL ORDER BY media_id
"""

# Other data of an account that Synapse's export omits: its name, its table, and the column with the user ID.
_NO_COMMAND = "Synapse's export-data command does not export them, and the Admin API does not return them"
_LEFT_OUT = (
    ("end-to-end keys of devices", "e2e_device_keys_json", "user_id"),
    ("cross-signing keys", "e2e_cross_signing_keys", "user_id"),
    ("keys in the encrypted key backup", "e2e_room_keys", "user_id"),
    ("to-device messages that were not delivered yet", "device_inbox", "user_id"),
    ("notification rules", "push_rules", "user_name"),
    ("read receipts", "receipts_linearized", "user_id"),
    ("filters of clients", "user_filters", "full_user_id"),
)


class Pending(t.NamedTuple):
    """A room that the account was invited to or has knocked at, and has never joined."""

    room_id: str
    membership: str


def require_schema(database: Database, synapse: SynapsePython) -> None:
    """Raise SynapseError unless `synapse` supports the schema of the database. Only the server itself upgrades it."""
    version = max((int(row[0]) for row in database.rows("SELECT version FROM schema_version")), default=0)
    oldest = max((int(row[0]) for row in database.rows("SELECT compat_version FROM schema_compat_version")), default=0)
    if version < synapse.schema_version:
        raise SynapseError(
            f"The database has the schema version {version}, but Synapse {synapse.version} of synapse_python"
            f" {synapse.path} needs {synapse.schema_version}. Start the server with this version of Synapse first, so"
            " that it upgrades its database."
        )
    if oldest > synapse.schema_version:
        raise SynapseError(
            f"The database is from a newer Synapse (schema version {version}) than Synapse {synapse.version} of"
            f" synapse_python {synapse.path}. Set synapse_python to the Python interpreter that the server runs with."
        )


def require_account(database: Database, user_id: str) -> None:
    """Raise InvalidInput unless the account exists. A deactivated or erased account exists."""
    if database.rows("SELECT name FROM users WHERE name = ?", user_id):
        return
    similar = database.rows("SELECT name FROM users WHERE LOWER(name) = LOWER(?) ORDER BY name", user_id)
    fix = f"Did you mean {similar[0][0]}?" if similar else "Check the spelling of user_id."
    raise InvalidInput(f"The account {user_id} does not exist on this server. {fix}")


def find_pending(database: Database, user_id: str) -> list[Pending]:
    """Return the invites and knocks of the account, which make Synapse's own export fail."""
    return [Pending(*row) for row in database.rows(_PENDING, user_id)]


def find_forgotten(database: Database, user_id: str) -> list[str]:
    """Return the ids of the rooms that the account has forgotten. Synapse's export omits them silently."""
    return [str(row[0]) for row in database.rows(_FORGOTTEN, user_id)]


def find_declined(database: Database, user_id: str) -> list[str]:
    """Return the ids of the rooms that the account was invited to, knocked at or banned from, and has never joined.

    Rooms with a pending invite or knock are not among them. Synapse's export omits these rooms.
    """
    return [str(row[0]) for row in database.rows(_DECLINED, user_id)]


def find_media(database: Database, user_id: str) -> list[dict[str, t.Any]]:
    """Return the media of the account, as objects like those in media_ids/* of the export, with fewer keys."""
    names = ("media_id", "media_length", "quarantined_by")
    return [dict(zip(names, row)) for row in database.rows(_MEDIA, user_id)]


def find_left_out(database: Database, user_id: str) -> list[dict[str, str]]:
    """Return other data of the account that Synapse's export omits, as objects with `name` and `reason`."""
    found = []
    for name, table, column in _LEFT_OUT:
        [(number,)] = database.rows(f"SELECT COUNT(*) FROM {table} WHERE {column} = ?", user_id)
        if number:
            found.append({"name": f"{number} {name}", "reason": _NO_COMMAND})
    return found
