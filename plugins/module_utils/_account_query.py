# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who is registered: the rows of accounts that filters leave, from the Admin API or from the database.

Relies on GET /_synapse/admin/v3/users, GET v2/users/<id>, and on the tables users, profiles, erased_users, devices and
user_ips of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._users import listed_state

Row = dict[str, t.Any]

_LIST = "/_synapse/admin/v3/users"
_PAGE = 1000


@dataclasses.dataclass(frozen=True)
class AccountFilter:
    """Which accounts to return. None means: whatever it is.

    `name`: text that the localpart or the display name contains, in either case, with no special characters.
    `user_type`: "" for ordinary accounts.
    """

    user_id: str | None = None
    name: str | None = None
    admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    guest: bool | None = None
    user_type: str | None = None

    def matches(self, row: Row) -> bool:
        """Whether a row is one of those."""
        exact = {
            "user_id": self.user_id,
            "admin": self.admin,
            "deactivated": self.deactivated,
            "locked": self.locked,
            "is_guest": self.guest,
        }
        if any(wanted is not None and row[name] != wanted for name, wanted in exact.items()):
            return False
        if self.user_type is not None and (row["user_type"] or "") != self.user_type:
            return False
        if self.name is None:
            return True
        localpart = row["user_id"][1:].partition(":")[0]
        return self.name.casefold() in localpart.casefold() or self.name.casefold() in row["displayname"].casefold()


def rows_by_api(client: Client, wanted: AccountFilter, *, guests_listed: bool) -> list[Row]:
    """Return the rows by the Admin API, ordered by user id. `guests_listed`: false where Synapse refuses to list guests.

    The server leaves out what it can tell exactly; its own search by name takes `_` and `%` as wildcards, so that
    is done here.
    """
    parameters: dict[str, str] = {"locked": "true"}
    if not guests_listed or wanted.guest is False:
        parameters["guests"] = "false"
    for name, value in (("admins", wanted.admin), ("deactivated", wanted.deactivated)):
        if value is not None:
            parameters[name] = str(value).lower()
    # Pages are counted from the start, so an account made meanwhile can show one row twice.
    unique = {row["name"]: _listed_row(row) for row in client.pages(_LIST, "users", limit=_PAGE, params=parameters)}
    return [unique[name] for name in sorted(unique) if wanted.matches(unique[name])]


def _listed_row(row: JsonObject) -> Row:
    return {**listed_state(row), **_times(row.get("creation_ts"), row.get("last_seen_ts"))}


def _times(creation_ts: int | None, last_seen_ts: int | None) -> Row:
    """Points of time, both in milliseconds and as text."""
    return {
        "creation_ts": creation_ts,
        "created": _iso(creation_ts),
        "last_seen_ts": last_seen_ts or None,
        "last_seen": _iso(last_seen_ts or None),
    }


def _iso(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
