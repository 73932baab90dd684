# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts that are exported: everything in them is made by plain HTTP, and printed as JSON.

people.py BASE_URL ADMIN_ACCESS_TOKEN SERVER_NAME
"""

from __future__ import annotations

import json
import sys
import typing as t
import urllib.parse
import urllib.request

ODD = "a/b=c.d+e-f_g"
MESSAGES = 40
FILLING = "ä" * 4000
UNSAFE_ROOM = "!slash/../../outside:{server_name}"


class Server:
    """One Synapse, asked as whoever a token belongs to."""

    def __init__(self, base_url: str, admin_access_token: str, server_name: str) -> None:
        self._base_url = base_url
        self._admin = admin_access_token
        self._name = server_name

    def create(self, localpart: str, **more: t.Any) -> Person:
        """Register an account and log it in on one device."""
        user_id = f"@{localpart}:{self._name}"
        path = f"/_synapse/admin/v2/users/{quote(user_id)}"
        self.ask("PUT", path, self._admin, {"password": "a password", **more})
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user_id},
            "password": "a password",
            "initial_device_display_name": f"The device of {localpart}",
        }
        token = self.ask("POST", "/_matrix/client/v3/login", "", login)["access_token"]
        return Person(self, user_id, token)

    def deactivate(self, person: Person, erase: bool) -> None:
        """Deactivate the account, and perhaps erase it."""
        self.ask("POST", f"/_synapse/admin/v1/deactivate/{quote(person.user_id)}", self._admin, {"erase": erase})

    def ask(self, method: str, path: str, token: str, body: t.Any, kind: str = "application/json") -> dict[str, t.Any]:
        """Send one request and return the answer."""
        request = urllib.request.Request(
            self._base_url + path,
            method=method,
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return t.cast("dict[str, t.Any]", json.load(answer))


class Person:
    """Somebody who uses the client API."""

    def __init__(self, server: Server, user_id: str, token: str) -> None:
        self.user_id = user_id
        self._server = server
        self._token = token
        self._sent = 0

    def ask(self, method: str, path: str, body: t.Any) -> dict[str, t.Any]:
        """Send a request below /_matrix/client/v3."""
        return self._server.ask(method, f"/_matrix/client/v3{path}", self._token, body)

    def make_room(self, version: str, join_rule: str = "public") -> str:
        """Create a room and return its id."""
        rule = {"type": "m.room.join_rules", "content": {"join_rule": join_rule}}
        body = {"room_version": version, "name": f"Version {version}", "initial_state": [rule]}
        return str(self.ask("POST", "/createRoom", body)["room_id"])

    def act(self, room_id: str, action: str, **body: t.Any) -> None:
        """Join, leave, forget or knock at a room, or invite somebody."""
        path = f"/knock/{quote(room_id)}" if action == "knock" else f"/rooms/{quote(room_id)}/{action}"
        self.ask("POST", path, body)

    def say(self, room_id: str, text: str) -> None:
        """Send a message."""
        self._sent += 1
        path = f"/rooms/{quote(room_id)}/send/m.room.message/{self._sent}"
        self.ask("PUT", path, {"msgtype": "m.text", "body": text})

    def set_data(self, content: dict[str, t.Any], room_id: str | None = None) -> None:
        """Set account data of the type `test`, for everything or for one room."""
        where = f"/rooms/{quote(room_id)}" if room_id else ""
        self.ask("PUT", f"/user/{quote(self.user_id)}{where}/account_data/test", content)

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its media id."""
        path = f"/_matrix/media/v3/upload?filename={quote(name)}"
        answer = self._server.ask("POST", path, self._token, content, "image/png")
        return str(answer["content_uri"]).rpartition("/")[2]


def quote(text: str) -> str:
    """Return `text` as one part of a path."""
    return urllib.parse.quote(text, safe="")


def make_people(server: Server, server_name: str) -> dict[str, t.Any]:
    """Make everybody, and return what their exports must hold."""
    odd = server.create(ODD, displayname="Odd <b>'One'</b>")
    rooms = [odd.make_room("12"), odd.make_room("11")]
    for number in range(MESSAGES):
        odd.say(rooms[number % 2], f"{number} \N{WHITE SMILING FACE} {FILLING}")
    media = [odd.upload(name, name.encode()) for name in ("one.png", "../../two.png")]
    odd.set_data({"everywhere": True})
    odd.set_data({"only": "here"}, rooms[0])
    left, forgotten, knockable = odd.make_room("12"), odd.make_room("11"), odd.make_room("12", "knock")
    for room_id in (left, forgotten):
        odd.act(room_id, "leave")
    odd.act(forgotten, "forget")

    pending = server.create("pending")
    odd.act(rooms[0], "invite", user_id=pending.user_id)
    pending.act(knockable, "knock")

    returning = server.create("returning")
    returning.act(rooms[1], "join")
    returning.act(rooms[1], "leave")
    odd.act(rooms[1], "invite", user_id=returning.user_id)

    for localpart in ("gone", "erased"):
        person = server.create(localpart)
        person.act(rooms[0], "join")
        person.say(rooms[0], "Good bye")
        server.deactivate(person, erase=localpart == "erased")

    unsafe = server.create("unsafe")
    unsafe.set_data({}, UNSAFE_ROOM.format(server_name=server_name))

    return {
        "odd": {"rooms": sorted([*rooms, left, knockable]), "media": sorted(media), "messages": MESSAGES + 2},
        "forgotten_by_odd": forgotten,
        "returning": {"rooms": [rooms[1]]},
        "invited_to": rooms[0],
        "knocked_at": knockable,
        "pending_access_token": pending._token,
    }


if __name__ == "__main__":
    print(json.dumps(make_people(Server(*sys.argv[1:]), sys.argv[3])))
