# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of every kind on one server, and what must be returned of each.

They are created by plain HTTP, or in the database if Synapse does not create such accounts any more.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

Row = dict[str, t.Any]

_PASSWORD = "contract-people-0123"
_LIST = "/_synapse/admin/v3/users?locked=true&limit=1000"
# The body of PUT v2/users/<id> for each account.
_MADE: dict[str, dict[str, t.Any]] = {
    "alice": {"displayname": "Alice Liddell 🐇", "avatar_url": "mxc://media.test/alice"},
    "a/b=c.d-e_f+g": {"displayname": "ÄRGER mit 100%"},
    "under_score": {"displayname": ""},
    "under-score": {"displayname": "under-score_"},
    "underxscore": {"displayname": "50 % or _100_"},
    "umlaut": {"displayname": "kein Ärger in der Straße"},
    "boss": {"admin": True},
    "locked": {"locked": True},
    "locked_boss": {"admin": True, "locked": True},
    "robot": {"user_type": "bot"},
    "supporter": {"user_type": "support"},
    "banned": {},
    "gone": {"displayname": "Gone Home"},
    "erased": {"displayname": "Nobody"},
    "inactive": {},
    "departed": {},
    "two_devices": {},
}
_OLD = "Old\\Name"
# The accounts that were seen with a device, as far as Synapse still knows it.
SEEN = ("departed", "inactive", "setup_admin", "two_devices")
_STORED = """
    SELECT name, admin, deactivated, user_type, locked, shadow_banned, displayname, avatar_url,
        (SELECT COUNT(*) FROM devices WHERE devices.user_id = name),
        (SELECT MAX(last_seen) FROM devices WHERE devices.user_id = name),
        (SELECT MAX(id) FROM access_tokens WHERE access_tokens.user_id = name)
    FROM users LEFT JOIN profiles ON full_user_id = name
"""
_FLAGS = ("admin", "guest", "locked", "shadow_banned", "deactivated", "erased")


@dataclasses.dataclass
class People:
    """All accounts of a server.

    `rows`: what must be returned of each, sorted by user ID. `guest`: a user ID that Synapse has chosen. `token`: the
    token of an admin, made by another admin, so that Synapse does not record that the account was seen.
    `running`: whether the server runs.
    """

    server: Server
    rows: list[Row]
    guest: str
    token: str
    running: bool = True

    def stored(self) -> dict[str, t.Any]:
        """Return what the database contains of each account, its devices and tokens."""
        return {str(name): values for name, *values in self.server.rows(_STORED)}


def make_people(server: Server) -> People:
    """Make all accounts on a server that allows guests and has no other accounts, and use some of them."""
    guest = _make(server)
    _be_seen(server)
    listed = {row["name"]: row for row in server.get(_LIST)["users"]}
    rows = _rows(server, guest)
    assert sorted(listed) == sorted(row["user_id"] for row in rows)
    rows = [{**row, **_times(listed[row["user_id"]])} for row in rows]
    return People(server, rows, guest, server.speaking_as(server.user_id("boss")))


def _path(server: Server, version: str, localpart: str) -> str:
    return f"/_synapse/admin/{version}/{urllib.parse.quote(server.user_id(localpart), safe='')}"


def _make(server: Server) -> str:
    """Make all accounts and return the user ID of the guest."""
    for localpart, body in _MADE.items():
        known = {name: value for name, value in body.items() if name != "locked"}
        server.send("PUT", _path(server, "v2/users", localpart), {"password": _PASSWORD, **known})
    for localpart in ("locked", "locked_boss"):
        server.send("PUT", _path(server, "v2/users", localpart), {"locked": True})
    server.send("POST", f"{_path(server, 'v1/users', 'banned')}/shadow_ban")
    guest = str(server.send("POST", "/_matrix/client/v3/register?kind=guest", {}, "")["user_id"])
    for localpart in ("gone", "erased"):
        server.send("POST", _path(server, "v1/deactivate", localpart), {"erase": localpart == "erased"})
    # Synapse created such accounts until 2017, and still has them.
    server.write("INSERT INTO users (name, creation_ts) VALUES (?, 1400000000)", server.user_id(_OLD))
    profile = "INSERT INTO profiles (user_id, full_user_id, displayname) VALUES (?, ?, 'Old Name')"
    server.write(profile, _OLD, server.user_id(_OLD))
    return guest


def _be_seen(server: Server) -> None:
    """Use some accounts in every way that Synapse records."""
    _use(server, "inactive", "ONE")
    departing = _use(server, "departed", "ONE")
    _use(server, "two_devices", "EARLIER")
    later = _use(server, "two_devices", "LATER")
    _wait_until_seen(server)
    # The devices are removed, but the IP addresses they were used from stay.
    server.send("POST", "/_matrix/client/v3/logout", {}, departing)
    server.send("POST", "/_matrix/client/v3/logout", {}, later)
    # Synapse does this itself after some weeks. The device stays.
    server.write("DELETE FROM user_ips WHERE user_id = ?", server.user_id("inactive"))


def _use(server: Server, localpart: str, device: str) -> str:
    """Log in on a device, use it, and return its token."""
    token = server.log_in(server.user_id(localpart), _PASSWORD, device)
    assert token is not None, localpart
    server.ask("GET", "/_matrix/client/v3/account/whoami", None, token)
    return token


def _wait_until_seen(server: Server) -> None:
    """Wait until Synapse has stored which accounts were seen. It does this every few seconds."""
    wanted = {server.user_id(localpart) for localpart in SEEN}
    until(lambda: {row["name"] for row in server.get(_LIST)["users"] if row["last_seen_ts"]}, wanted.issubset)


def _rows(server: Server, guest: str) -> list[Row]:
    """Return what must be returned of each account, without times."""
    declared: dict[str, dict[str, t.Any]] = {
        **{localpart: {"displayname": localpart, **body} for localpart, body in _MADE.items()},
        "setup_admin": {"displayname": "setup_admin", "admin": True},
        "setup_user": {"displayname": "setup_user"},
        _OLD: {"displayname": "Old Name"},
        guest[1:].partition(":")[0]: {"displayname": guest[1:].partition(":")[0], "guest": True},
    }
    declared["banned"]["shadow_banned"] = True
    declared["gone"]["deactivated"] = True
    declared["erased"] |= {"deactivated": True, "erased": True, "displayname": ""}
    blank = {"avatar_url": "", "user_type": "", **dict.fromkeys(_FLAGS, False)}
    rows = [{"user_id": server.user_id(localpart), **blank, **_shown(body)} for localpart, body in declared.items()]
    return sorted(rows, key=lambda row: str(row["user_id"]).encode())


def _shown(body: Row) -> Row:
    """Return the attributes under the names that the module returns."""
    return {"display_name" if name == "displayname" else name: value for name, value in body.items()}


def _times(listed: Row) -> Row:
    """Return when an account was created and seen, as Synapse's own list shows it, and in ISO 8601."""
    shown: Row = {}
    for name, milliseconds in (("created", listed["creation_ts"]), ("last_seen", listed["last_seen_ts"])):
        if milliseconds is not None:
            shown |= {name: _iso(milliseconds), f"{name}_ts": milliseconds}
    return shown


def _iso(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
