# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the database knows of an account before it is exported, so that nothing is begun that cannot succeed.

Relies on the tables users, local_current_membership, room_memberships, events, rooms, room_account_data, schema_version
and schema_compat_version, and on what export_user_data reads from them (synapse/handlers/admin.py, 1.163).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython

# What export_user_data goes through, and what it leaves out of that: rooms of which no membership is remembered.
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

# In rooms that the account was never in, it takes the state in an invite or a knock for something that it is not.
_PENDING = f"""
    SELECT c.room_id, c.membership {_MEMBERSHIPS} AND {_REMEMBERED}
    AND c.membership IN ('invite', 'knock') AND e.rejection_reason IS NULL AND NOT EXISTS (
        SELECT 1 FROM room_memberships AS j
        WHERE j.user_id = c.user_id AND j.room_id = c.room_id AND j.membership = 'join'
    )
    ORDER BY c.room_id
"""

_FORGOTTEN = f"SELECT c.room_id {_MEMBERSHIPS} AND NOT {_REMEMBERED} ORDER BY c.room_id"

# Rooms that it passes over without a word, because the account was never in them, and nothing is pending any more.
_DECLINED = f"""
    SELECT c.room_id {_MEMBERSHIPS} AND {_REMEMBERED}
    AND c.membership NOT IN ('join', 'invite', 'knock') AND NOT EXISTS (
        SELECT 1 FROM room_memberships AS j
        WHERE j.user_id = c.user_id AND j.room_id = c.room_id AND j.membership = 'join'
    )
    ORDER BY c.room_id
"""

# What else Synapse keeps of an account and its export leaves out: what it is, how it is counted, and why it is missing.
_NO_COMMAND = "Synapse's export leaves them out, and its Admin API does not give them"
_LEFT_OUT = (
    ("end-to-end keys of devices", "e2e_device_keys_json", "user_id"),
    ("keys for cross-signing", "e2e_cross_signing_keys", "user_id"),
    ("keys in the encrypted key backup", "e2e_room_keys", "user_id"),
    ("messages waiting for a device", "device_inbox", "user_id"),
    ("notification rules", "push_rules", "user_name"),
    ("read receipts", "receipts_linearized", "user_id"),
    ("filters for clients", "user_filters", "full_user_id"),
)


class Pending(t.NamedTuple):
    """A room that somebody was invited to, or knocked at, and was never in."""

    room_id: str
    membership: str


def require_schema(database: Database, synapse: SynapsePython) -> None:
    """Raise SynapseError unless `synapse` can use the database as it is. Only the server itself upgrades it."""
    version = max((int(row[0]) for row in database.rows("SELECT version FROM schema_version")), default=0)
    oldest = max((int(row[0]) for row in database.rows("SELECT compat_version FROM schema_compat_version")), default=0)
    if version < synapse.schema_version:
        raise SynapseError(
            f"The database has the schema version {version}, but Synapse {synapse.version} of synapse_python"
            f" {synapse.path} needs {synapse.schema_version}: start the server with this version first, so that it"
            " upgrades its database."
        )
    if oldest > synapse.schema_version:
        raise SynapseError(
            f"The database is that of a newer Synapse (schema version {version}) than the {synapse.version} of"
            f" synapse_python {synapse.path}: name the Python that the server runs with."
        )


def require_account(database: Database, user_id: str) -> None:
    """Raise InvalidInput unless the account exists. One that is deactivated or erased does exist."""
    if database.rows("SELECT name FROM users WHERE name = ?", user_id):
        return
    similar = database.rows("SELECT name FROM users WHERE LOWER(name) = LOWER(?) ORDER BY name", user_id)
    mend = f"is {similar[0][0]} meant?" if similar else "see whether the name is spelt right."
    raise InvalidInput(f"The account {user_id} does not exist on this server: {mend}")


def find_pending(database: Database, user_id: str) -> list[Pending]:
    """Return the invites and knocks of the account that Synapse's export stops at."""
    return [Pending(*row) for row in database.rows(_PENDING, user_id)]


def find_forgotten(database: Database, user_id: str) -> list[str]:
    """Return the ids of the rooms that the account has forgotten: Synapse's export leaves them out without a word."""
    return [str(row[0]) for row in database.rows(_FORGOTTEN, user_id)]


def find_declined(database: Database, user_id: str) -> list[str]:
    """Return the ids of the rooms that the account was invited to, knocked at or was banned from, and never was in.

    Only those that it does not wait for an answer from or has to give one. Synapse's export leaves them out.
    """
    return [str(row[0]) for row in database.rows(_DECLINED, user_id)]


def find_left_out(database: Database, user_id: str) -> list[dict[str, str]]:
    """Return what else of the account there is and Synapse's export leaves out, as objects with `what` and `why`."""
    found = []
    for what, table, column in _LEFT_OUT:
        [(number,)] = database.rows(f"SELECT COUNT(*) FROM {table} WHERE {column} = ?", user_id)
        if number:
            found.append({"what": f"{number} {what}", "why": _NO_COMMAND})
    return found
