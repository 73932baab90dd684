# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An account as it is in the database, if the task has no access token of a server admin.

Relies on the tables users, profiles, user_threepids, user_external_ids and ratelimit_override of Synapse 1.163.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    account_state,
    rate_limit_state,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database

_FLAGS = ("admin", "deactivated", "is_guest", "locked", "suspended", "shadow_banned")
_USER = f"SELECT {', '.join(_FLAGS)}, user_type, appservice_id FROM users WHERE name = ?"
_PROFILE = "SELECT displayname, avatar_url FROM profiles WHERE full_user_id = ?"
_THREEPIDS = "SELECT medium, address FROM user_threepids WHERE user_id = ?"
_EXTERNAL_IDS = "SELECT auth_provider, external_id FROM user_external_ids WHERE user_id = ?"
_RATE_LIMIT = "SELECT messages_per_second, burst_count FROM ratelimit_override WHERE user_id = ?"


def read_stored(database: Database, user_id: str) -> dict[str, t.Any] | None:
    """Return the account as `account_state` shows it, with its rate limit, or None. Raises SynapseError."""
    users = database.rows(_USER, user_id)
    if not users:
        return None
    *flags, user_type, owner = users[0]
    answer: dict[str, t.Any] = {
        "name": user_id,
        **{name: bool(flag) for name, flag in zip(_FLAGS, flags)},
        "user_type": user_type,
        "appservice_id": owner,
        "threepids": _objects(database, _THREEPIDS, user_id, "medium", "address"),
        "external_ids": _objects(database, _EXTERNAL_IDS, user_id, "auth_provider", "external_id"),
    }
    for profile in _objects(database, _PROFILE, user_id, "displayname", "avatar_url"):
        answer.update(profile)
    limits = _objects(database, _RATE_LIMIT, user_id, "messages_per_second", "burst_count")
    return {**account_state(answer), "rate_limit": rate_limit_state(limits[0] if limits else {})}


def read_other_admins(database: Database, user_id: str) -> list[str]:
    """Return the user IDs of all other active server admins."""
    rows = database.rows(
        "SELECT name FROM users WHERE admin = 1 AND deactivated = 0 AND name <> ? ORDER BY name", user_id
    )
    return [str(name) for (name,) in rows]


def read_namesakes(database: Database, user_id: str) -> list[str]:
    """Return the user IDs that differ from `user_id` only in case. Synapse registers no account that does."""
    rows = database.rows(
        "SELECT name FROM users WHERE lower(name) = lower(?) AND name <> ? ORDER BY name", *[user_id] * 2
    )
    return [str(name) for (name,) in rows]


def _objects(database: Database, sql: str, user_id: str, *names: str) -> list[dict[str, t.Any]]:
    return [dict(zip(names, row)) for row in database.rows(sql, user_id)]
