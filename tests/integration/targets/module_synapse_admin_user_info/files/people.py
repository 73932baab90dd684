# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of every kind, made by plain HTTP, and in the database where Synapse makes no such account any more.

people.py SERVER
    SERVER: as setup_synapse describes it, as JSON.
    Prints what must be told of each account, as a list ordered by user id: all but points of time, and `seen` in their
    place, which says whether there is one.
"""

from __future__ import annotations

import json
import sys
import time
import typing as t
import urllib.parse
import urllib.request

PATIENCE = 30.0
# How each is made, in the words of PUT v2/users/<id>.
MADE: dict[str, dict[str, t.Any]] = {
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
OLD = "Old\\Name"
# Who has used a device, as far as Synapse still knows.
SEEN = ("inactive", "departed", "two_devices", "setup_admin")


class Server:
    """One Synapse and its database."""

    def __init__(self, described: dict[str, t.Any]) -> None:
        self._described = described
        self.admin = described["admin_access_token"]

    def user_id(self, localpart: str) -> str:
        """Return the whole user id."""
        return f"@{localpart}:{self._described['server_name']}"

    def path(self, version: str, localpart: str) -> str:
        """Return the path of an account in the Admin API."""
        return f"/_synapse/admin/{version}/{urllib.parse.quote(self.user_id(localpart), safe='')}"

    def ask(self, method: str, path: str, token: str = "", body: t.Any = None) -> dict[str, t.Any]:
        """Send one request and return the answer."""
        request = urllib.request.Request(
            self._described["base_url"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return t.cast("dict[str, t.Any]", json.load(answer))

    def use(self, localpart: str, device: str) -> str:
        """Log in on a device, use it, and return its token."""
        identifier = {"type": "m.id.user", "user": self.user_id(localpart)}
        login = {"type": "m.login.password", "identifier": identifier, "password": "a password", "device_id": device}
        token = str(self.ask("POST", "/_matrix/client/v3/login", "", login)["access_token"])
        self.ask("GET", "/_matrix/client/v3/account/whoami", token)
        return token

    def write(self, statement: str, *values: str) -> None:
        """Run one statement in the database. `?` stands for a value."""
        arguments = dict(self._described["database"])
        if arguments.pop("name") == "sqlite3":
            import sqlite3

            connection: t.Any = sqlite3.connect(**arguments, timeout=PATIENCE)
        else:
            import psycopg2

            connection, statement = psycopg2.connect(**arguments), statement.replace("?", "%s")
        connection.cursor().execute(statement, values)
        connection.commit()
        connection.close()

    def wait_until_seen(self, localparts: t.Collection[str]) -> None:
        """Wait until Synapse has written down who was seen, which it does every few seconds."""
        deadline = time.monotonic() + PATIENCE
        wanted = {self.user_id(localpart) for localpart in localparts}
        while wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"Synapse has not seen {', '.join(sorted(wanted))}.")
            time.sleep(0.2)
            rows = self.ask("GET", "/_synapse/admin/v3/users?limit=1000", self.admin)["users"]
            wanted -= {row["name"] for row in rows if row["last_seen_ts"]}


def make(server: Server) -> str:
    """Make all accounts and return the user id of the guest."""
    for localpart, body in MADE.items():
        known = {name: value for name, value in body.items() if name != "locked"}
        server.ask("PUT", server.path("v2/users", localpart), server.admin, {"password": "a password", **known})
    for localpart in ("locked", "locked_boss"):
        server.ask("PUT", server.path("v2/users", localpart), server.admin, {"locked": True})
    server.ask("POST", f"{server.path('v1/users', 'banned')}/shadow_ban", server.admin, {})
    guest = str(server.ask("POST", "/_matrix/client/v3/register?kind=guest", "", {})["user_id"])
    for localpart in ("gone", "erased"):
        server.ask("POST", server.path("v1/deactivate", localpart), server.admin, {"erase": localpart == "erased"})
    # Synapse made such accounts until 2017, and keeps them.
    server.write("INSERT INTO users (name, creation_ts) VALUES (?, 1400000000)", server.user_id(OLD))
    server.write(
        "INSERT INTO profiles (user_id, full_user_id, displayname) VALUES (?, ?, 'Old Name')", OLD, server.user_id(OLD)
    )
    return guest


def be_seen(server: Server) -> None:
    """Let some be seen in every way that Synapse notes."""
    server.use("inactive", "ONE")
    departing = server.use("departed", "ONE")
    server.use("two_devices", "EARLIER")
    later = server.use("two_devices", "LATER")
    server.wait_until_seen(SEEN)
    # The devices go, the addresses that they were used from stay.
    server.ask("POST", "/_matrix/client/v3/logout", departing, {})
    server.ask("POST", "/_matrix/client/v3/logout", later, {})
    # That is what Synapse itself does after some weeks; the device stays.
    server.write("DELETE FROM user_ips WHERE user_id = ?", server.user_id("inactive"))


def expectations(server: Server, guest: str) -> list[dict[str, t.Any]]:
    """Return what must be told of each account."""
    rows = [
        {"user_id": server.user_id(localpart), "displayname": localpart, **body} for localpart, body in MADE.items()
    ]
    rows += [
        {"user_id": server.user_id("setup_admin"), "displayname": "setup_admin", "admin": True},
        {"user_id": server.user_id("setup_user"), "displayname": "setup_user"},
        {"user_id": server.user_id(OLD), "displayname": "Old Name"},
        {"user_id": guest, "displayname": guest[1:].partition(":")[0], "is_guest": True},
    ]
    more = {
        "banned": {"shadow_banned": True},
        "gone": {"deactivated": True},
        "erased": {"deactivated": True, "erased": True, "displayname": ""},
        **{localpart: {"seen": True} for localpart in SEEN},
    }
    flags = ("admin", "is_guest", "locked", "shadow_banned", "deactivated", "erased", "seen")
    blank = {"displayname": "", "avatar_url": "", "user_type": None, **dict.fromkeys(flags, False)}
    rows = [{**blank, **row, **more.get(row["user_id"][1:].partition(":")[0], {})} for row in rows]
    return sorted(rows, key=lambda row: row["user_id"].encode())


def main(described: str) -> None:
    """Make the accounts, use some of them, and print what must be told of all."""
    server = Server(json.loads(described))
    guest = make(server)
    be_seen(server)
    print(json.dumps(expectations(server, guest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
