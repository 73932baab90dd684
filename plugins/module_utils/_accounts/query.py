# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The accounts of a server that match filters, from the Admin API or from the database.

Relies on GET /_synapse/admin/v3/users, and on the tables users, profiles, erased_users, devices and user_ips of
Synapse 1.163. The list is also used for one account. GET v2/users/<id> reads the last time an account was seen from
the table user_ips, which goes back 28 days only, but the list reads it from the devices.
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
# Large pages, because Synapse sorts and joins the whole table for each page.
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
    # One index lookup for each account of a page, because grouping would read both tables completely for each page.
    "last_seen_ts": "COALESCE((SELECT MAX(devices.last_seen) FROM devices WHERE devices.user_id = account.name),"
    " (SELECT MAX(user_ips.last_seen) FROM user_ips WHERE user_ips.user_id = account.name))",
}
_TABLES = "users account LEFT JOIN profiles profile ON profile.full_user_id = account.name"


@dataclasses.dataclass(frozen=True)
class AccountFilter:
    """The accounts to return. None does not filter.

    `user_id`: the full user ID. `search`: text that the localpart or the display name contains, in either letter case
    and without wildcards. `user_type`: "" for ordinary accounts.
    """

    user_id: str | None = None
    search: str | None = None
    admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    guest: bool | None = None
    user_type: str | None = None

    def for_server(self, server_name: t.Callable[[], str]) -> AccountFilter:
        """Return the same filter with a full `user_id`. `server_name` is called only if there is a user ID.

        Raises InvalidInput if it is not a user ID, or a user ID of another server.
        """
        if self.user_id is None:
            return self
        return dataclasses.replace(self, user_id=str(parse_user_id(self.user_id, server_name())))

    def matches(self, row: Row) -> bool:
        """Whether a row matches all filters."""
        exact = {
            "user_id": self.user_id,
            "admin": self.admin,
            "deactivated": self.deactivated,
            "locked": self.locked,
            "guest": self.guest,
            "user_type": self.user_type,
        }
        if any(wanted is not None and row[name] != wanted for name, wanted in exact.items()):
            return False
        if self.search is None:
            return True
        localpart, text = row["user_id"][1:].partition(":")[0], self.search.casefold()
        return text in localpart.casefold() or text in row["display_name"].casefold()


@dataclasses.dataclass(frozen=True)
class Found:
    """The accounts, sorted by user ID byte by byte (empty if only their number is needed), and their number."""

    users: list[Row]
    total: int


def find_by_api(client: Client, wanted: AccountFilter, *, count_only: bool = False) -> Found:
    """Return the accounts from the Admin API.

    The server applies the filters that it supports exactly. Its own search uses `_` and `%` as wildcards, so the search
    is done here. Raises InvalidInput for a filter that this server does not support, and what the client raises.
    """
    wanted = wanted.for_server(lambda: client.server_name)
    parameters = _parameters(wanted)
    try:
        return _ask(client, wanted, parameters, count_only)
    except ApiError as error:
        if error.errcode != "M_INVALID_PARAM" or "guests" in parameters or not is_delegated(client):
            raise
    # With the Matrix Authentication Service, Synapse refuses every list that may contain guests.
    if wanted.guest:
        raise InvalidInput(f"{IN_CHARGE}, so Synapse does not list guests. Set source to database.")
    return _ask(client, wanted, {**parameters, "guests": "false"}, count_only)


def find_in_database(database: Database, server_name: str, wanted: AccountFilter, *, count_only: bool = False) -> Found:
    """Return the accounts from the database, in the same form as from the Admin API.

    Raises InvalidInput for a user ID of another server or a type that no database can contain, and what the database
    raises.
    """
    if "\0" in (wanted.user_type or ""):
        raise InvalidInput("user_type contains a NUL character, which no user type has. Remove it.")
    wanted = wanted.for_server(lambda: server_name)
    return _gather(_stored_rows(database, wanted), wanted, count_only)


def _parameters(wanted: AccountFilter) -> dict[str, str]:
    """The filters for Synapse, which leaves out locked accounts by default."""
    parameters = {} if wanted.locked is False else {"locked": "true"}
    if wanted.guest is False:
        parameters["guests"] = "false"
    for name, value in (("admins", wanted.admin), ("deactivated", wanted.deactivated)):
        if value is not None:
            parameters[name] = str(value).lower()
    if wanted.user_id is not None:
        # For Synapse this is a pattern in lower case, in which _ matches any character.
        parameters["user_id"] = re.sub(r"[^a-z0-9@:.=/+-]", "_", wanted.user_id)
    return parameters


def _ask(client: Client, wanted: AccountFilter, parameters: dict[str, str], count_only: bool) -> Found:
    inexact = (wanted.user_id, wanted.search, wanted.user_type, wanted.locked or None, wanted.guest or None)
    if count_only and all(value is None for value in inexact):
        return Found([], int(member(client.get(_LIST, params={**parameters, "limit": 1}), "total")))
    rows = client.pages(_LIST, "users", limit=_API_PAGE, params=parameters)
    return _gather((_row(row) for row in rows), wanted, count_only)


def _stored_rows(database: Database, wanted: AccountFilter) -> t.Iterator[Row]:
    """Yield the rows page by page, so that not all of them are in memory at once unless they are returned."""
    exact: dict[str, t.Any] = {
        "account.name = ?": wanted.user_id,
        # Numbers where the API returns booleans. Only `locked`, the newest column, is a boolean.
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
    # The API counts its pages from the start. If an account is created meanwhile, a row can be on two pages.
    unique = {row["user_id"]: None if count_only else row for row in rows if wanted.matches(row)}
    users = [row for _user_id, row in sorted(unique.items()) if row is not None]
    return Found(users, len(unique))


def _row(listed: JsonObject) -> Row:
    """A row as this collection returns it, from a row of the API or of `_COLUMNS`."""
    times = (("created", listed.get("creation_ts")), ("last_seen", listed.get("last_seen_ts")))
    row = listed_state(listed)
    for name, milliseconds in times:
        shown = {name: iso_time(milliseconds), f"{name}_ts": milliseconds}
        row.update({key: value for key, value in shown.items() if value is not None})
    return row


def _number(flag: bool | None) -> int | None:
    return None if flag is None else int(flag)
