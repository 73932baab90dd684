# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts that are exported: everything in them is made by plain HTTP, and printed as JSON.

people.py BASE_URL ADMIN_ACCESS_TOKEN SERVER_NAME MEDIA_STORE
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import typing as t
import urllib.parse
import urllib.request

ODD = "a/b=c.d+e-f_g"
MESSAGES = 40
FILLING = "ä" * 4000
UNSAFE_ROOM = "!slash/../../outside%2F:{server_name}"
NAMES = (
    "plain.png",
    "/../../../etc/passwd",
    """"double" and 'single' quotes.png""",
    "<script>alert(1)</script><img src=x onerror=alert(2)>.png",
    "\N{GREEK SMALL LETTER OMEGA} \N{SNOWMAN} \N{GRINNING FACE}\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "no ending, and long " * 10,
)
BIG = 3_000_000


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
        return Person(self, user_id, self._log_in(user_id)["access_token"])

    def log_in(self, user_id: str, device_id: str) -> str:
        """Log an account in on another device, and return how the server calls that."""
        return str(self._log_in(user_id, device_id=device_id)["device_id"])

    def _log_in(self, user_id: str, **more: str) -> dict[str, t.Any]:
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user_id},
            "password": "a password",
            "initial_device_display_name": f"The device of {user_id}",
            **more,
        }
        return self.ask("POST", "/_matrix/client/v3/login", "", login)

    def quarantine(self, media_id: str) -> None:
        """Put a medium away."""
        self.ask("POST", f"/_synapse/admin/v1/media/quarantine/{quote(self._name)}/{media_id}", self._admin, {})

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
        """Send a request below /_matrix/client/v3. The body is bytes, or what becomes JSON."""
        return self._server.ask(method, f"/_matrix/client/v3{path}", self._token, body)

    def make_room(self, version: str, join_rule: str = "public", encrypted: bool = False) -> str:
        """Create a room and return its id."""
        state = [{"type": "m.room.join_rules", "content": {"join_rule": join_rule}}]
        if encrypted:
            state.append({"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}})
        body = {"room_version": version, "name": f"Version {version}", "initial_state": state}
        return str(self.ask("POST", "/createRoom", body)["room_id"])

    def act(self, room_id: str, action: str, **body: t.Any) -> None:
        """Join, leave, forget or knock at a room, or invite somebody."""
        path = f"/knock/{quote(room_id)}" if action == "knock" else f"/rooms/{quote(room_id)}/{action}"
        self.ask("POST", path, body)

    def say(self, room_id: str, text: str, **more: str) -> None:
        """Send a message, a text if `more` does not say what else."""
        self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": text, **more})

    def send(self, room_id: str, kind: str, content: dict[str, t.Any]) -> None:
        """Send an event of any type."""
        self._sent += 1
        self.ask("PUT", f"/rooms/{quote(room_id)}/send/{kind}/{self._sent}", content)

    def set_data(self, content: dict[str, t.Any], room_id: str | None = None) -> None:
        """Set account data of the type `test`, for everything or for one room."""
        where = f"/rooms/{quote(room_id)}" if room_id else ""
        self.ask("PUT", f"/user/{quote(self.user_id)}{where}/account_data/test", content)

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its media id."""
        path = f"/_matrix/media/v3/upload?filename={quote(name)}"
        answer = self._server.ask("POST", path, self._token, content, "image/png")
        return str(answer["content_uri"]).rpartition("/")[2]

    def announce_upload(self) -> str:
        """Let the server give a media id to what never comes, and return it."""
        answer = self._server.ask("POST", "/_matrix/media/v1/create", self._token, {})
        return str(answer["content_uri"]).rpartition("/")[2]


def quote(text: str) -> str:
    """Return `text` as one part of a path."""
    return urllib.parse.quote(text, safe="")


def make_collector(server: Server, server_name: str, media_store: str) -> dict[str, t.Any]:
    """Make somebody with files of every kind, in an encrypted room and others, and return what the export must hold."""
    person = server.create("collector", displayname="</title><script>alert(3)</script>")
    room_id, encrypted = person.make_room("11"), person.make_room("12", encrypted=True)
    contents = {name: os.urandom(1000 + number) for number, name in enumerate(NAMES)}
    contents |= {"big": os.urandom(BIG), "one byte": b"x"}
    uploaded = {person.upload(name, content): (name, content) for name, content in contents.items()}
    for media_id, (name, _content) in uploaded.items():
        person.say(room_id, name, msgtype="m.image", url=f"mxc://{server_name}/{media_id}")
    ciphertext = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgA", "session_id": "x", "device_id": "x"}
    person.send(encrypted, "m.room.encrypted", ciphertext)
    quarantined, lost = person.upload("quarantined", b"evil"), person.upload("lost", b"gone")
    server.quarantine(quarantined)
    os.unlink(os.path.join(media_store, "local_content", lost[:2], lost[2:4], lost[4:]))
    announced = person.announce_upload()
    return {
        "rooms": sorted([room_id, encrypted]),
        "encrypted_rooms": [encrypted],
        "files": {
            media_id: {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
            for media_id, (name, content) in uploaded.items()
        },
        "missing": {quarantined: "quarantined", lost: "media store", announced: "never came"},
        "quarantined": quarantined,
    }


def make_people(server: Server, server_name: str, media_store: str) -> dict[str, t.Any]:
    """Make everybody, and return what their exports must hold."""
    odd = server.create(ODD, displayname="Odd <b>'One'</b>")
    rooms = [odd.make_room("12"), odd.make_room("11")]
    for number in range(MESSAGES):
        odd.say(rooms[number % 2], f"{number} \N{WHITE SMILING FACE} {FILLING}")
    media = [odd.upload(name, name.encode()) for name in ("one.png", "../../two.png")]
    odd.set_data({"everywhere": True})
    odd.set_data({"only": "here"}, rooms[0])
    left, forgotten, knockable = odd.make_room("12"), odd.make_room("11"), odd.make_room("12", "knock")
    left_open = odd.make_room("11", "invite")
    for room_id in (left, forgotten):
        odd.act(room_id, "leave")
    odd.act(forgotten, "forget")

    pending = server.create("pending")
    odd.act(rooms[0], "invite", user_id=pending.user_id)
    odd.act(left_open, "invite", user_id=pending.user_id)
    pending.act(left_open, "leave")
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
        "odd": {
            "rooms": sorted([*rooms, left, left_open, knockable]),
            "media": sorted(media),
            "messages": MESSAGES + 2,
        },
        "forgotten_by_odd": forgotten,
        "returning": {"rooms": [rooms[1]]},
        "invited_to": rooms[0],
        "knocked_at": knockable,
        "declined": left_open,
        "collector": make_collector(server, server_name, media_store),
        "pending_access_token": pending._token,
    }


if __name__ == "__main__":
    print(json.dumps(make_people(Server(*sys.argv[1:4]), sys.argv[3], sys.argv[4])))
