# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who is registered: the rows of accounts that filters leave, from the Admin API or from the database.

Relies on GET /_synapse/admin/v3/users, and on the tables users, profiles, erased_users, devices and user_ips of
Synapse 1.163. One account is looked up in the list as well: GET v2/users/<id> forgets when it was last seen after the
28 days that the table user_ips goes back, while the list knows it from the devices.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import listed_state
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.delegation import IN_CHARGE, is_delegated
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ApiError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

Row = dict[str, t.Any]

_LIST = "/_synapse/admin/v3/users"
# Large pages, because Synapse sorts and joins the whole table for each of them.
_API_PAGE = 1000
_DATABASE_PAGE = 5000

# The names of the columns are those in the rows of the API.
_COLUMNS = {
    "name": "account.name",
    "admin": "account.admin",
    "displayname": "profile.displayname",
    "avatar_url": "profile.avatar_url",
    "user_type": "account.user_type",
    "is_guest": "account.is_guest",
    "locked": "account.locked",
    "shadow_banned": "account.shadow_banned",
    "deactivated": "account.deactivated",
    "erased": "EXISTS (SELECT 1 FROM erased_users WHERE erased_users.user_id = account.name)",
    "creation_ts": "account.creation_ts * 1000",
    # For each account of a page its own look into the index: grouping both tables would read them whole every time.
    "last_seen_ts": "COALESCE((SELECT MAX(devices.last_seen) FROM devices WHERE devices.user_id = account.name),"
    " (SELECT MAX(user_ips.last_seen) FROM user_ips WHERE user_ips.user_id = account.name))",
}
_TABLES = "users account LEFT JOIN profiles profile ON profile.full_user_id = account.name"


@dataclasses.dataclass(frozen=True)
class AccountFilter:
    """Which accounts to return. None means: whatever it is.

    `user_id`: in full, exactly. `name`: text that the localpart or the display name contains, in either case, with no
    special characters. `user_type`: "" for ordinary accounts.
    """

    user_id: str | None = None
    name: str | None = None
    admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    guest: bool | None = None
    user_type: str | None = None

    def for_server(self, server_name: t.Callable[[], str]) -> AccountFilter:
        """Return the same filter with `user_id` in full. `server_name` is asked only if there is a user id.

        Raises InvalidInput if that is no user id, or one of another server.
        """
        if self.user_id is None:
            return self
        return dataclasses.replace(self, user_id=str(parse_user_id(self.user_id, server_name())))

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


@dataclasses.dataclass(frozen=True)
class Found:
    """The rows, ordered by user id byte by byte (none if only their number was asked for), and how many they are."""

    users: list[Row]
    count: int


def find_by_api(client: Client, wanted: AccountFilter, *, count_only: bool = False) -> Found:
    """Return the accounts by the Admin API.

    The server leaves out what it can tell exactly. Its search by name takes `_` and `%` as wildcards, so that is done
    here. Raises InvalidInput for what cannot be asked of this server, and what the client raises.
    """
    wanted = wanted.for_server(lambda: client.server_name)
    parameters = _parameters(wanted)
    try:
        return _ask(client, wanted, parameters, count_only)
    except ApiError as error:
        if error.errcode != "M_INVALID_PARAM" or "guests" in parameters or not is_delegated(client):
            raise
    # There Synapse refuses every list that might hold guests.
    if wanted.guest:
        raise InvalidInput(f"{IN_CHARGE}, so Synapse lists no guests: ask its database, with the method database.")
    return _ask(client, wanted, {**parameters, "guests": "false"}, count_only)


def find_in_database(database: Database, server_name: str, wanted: AccountFilter, *, count_only: bool = False) -> Found:
    """Return the accounts that stand in the database, as the Admin API of the server would show them.

    Raises InvalidInput for a user id of another server, and what the database raises.
    """
    wanted = wanted.for_server(lambda: server_name)
    return _gather(_stored_rows(database, wanted), wanted, count_only)


def _parameters(wanted: AccountFilter) -> dict[str, str]:
    """What Synapse is told to leave out. It leaves out locked accounts by default."""
    parameters = {} if wanted.locked is False else {"locked": "true"}
    if wanted.guest is False:
        parameters["guests"] = "false"
    for name, value in (("admins", wanted.admin), ("deactivated", wanted.deactivated)):
        if value is not None:
            parameters[name] = str(value).lower()
    if wanted.user_id is not None:
        # Synapse looks for a pattern, in which _ is any character, and makes capital letters small before.
        parameters["user_id"] = re.sub(r"[^a-z0-9@:.=/+-]", "_", wanted.user_id)
    return parameters


def _ask(client: Client, wanted: AccountFilter, parameters: dict[str, str], count_only: bool) -> Found:
    inexact = (wanted.user_id, wanted.name, wanted.user_type, wanted.locked or None, wanted.guest or None)
    if count_only and all(value is None for value in inexact):
        return Found([], int(member(client.get(_LIST, params={**parameters, "limit": 1}), "total")))
    rows = client.pages(_LIST, "users", limit=_API_PAGE, params=parameters)
    return _gather((_row(row) for row in rows), wanted, count_only)


def _stored_rows(database: Database, wanted: AccountFilter) -> t.Iterator[Row]:
    """Yield the rows page by page, so that they never are all in memory at once unless they are wanted."""
    exact: dict[str, t.Any] = {
        "account.name = ?": wanted.user_id,
        # A number where the API shows a boolean, but for the one that Synapse has added last.
        "account.admin = ?": _number(wanted.admin),
        "account.deactivated = ?": _number(wanted.deactivated),
        "account.is_guest = ?": _number(wanted.guest),
        "account.locked = ?": wanted.locked,
        "COALESCE(account.user_type, '') = ?": wanted.user_type,
    }
    chosen = {condition: value for condition, value in exact.items() if value is not None}
    sql = (
        f"SELECT {', '.join(_COLUMNS.values())} FROM {_TABLES}"
        f" WHERE {' AND '.join([*chosen, 'account.name > ?'])} ORDER BY account.name LIMIT ?"
    )
    last = ""
    while True:
        page = database.rows(sql, *chosen.values(), last, _DATABASE_PAGE)
        yield from (_row(dict(zip(_COLUMNS, row))) for row in page)
        if len(page) < _DATABASE_PAGE:
            return
        last = page[-1][0]


def _gather(rows: t.Iterable[Row], wanted: AccountFilter, count_only: bool) -> Found:
    # The API counts its pages from the start, so an account made meanwhile can show one row twice.
    unique = {row["user_id"]: None if count_only else row for row in rows if wanted.matches(row)}
    users = [row for _user_id, row in sorted(unique.items()) if row is not None]
    return Found(users, len(unique))


def _row(listed: JsonObject) -> Row:
    """A row as this collection returns it, from one of the API or of `_COLUMNS`."""
    creation_ts, last_seen_ts = listed.get("creation_ts"), listed.get("last_seen_ts")
    return {
        **listed_state(listed),
        "creation_ts": creation_ts,
        "created": iso_time(creation_ts),
        "last_seen_ts": last_seen_ts,
        "last_seen": iso_time(last_seen_ts),
    }


def _number(flag: bool | None) -> int | None:
    return None if flag is None else int(flag)
