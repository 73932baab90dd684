# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts that are exported, made by plain HTTP, and what must be in their exports.

They are created once in a process for each server, because exports only read them. A case that changes users creates
its own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.client
import json
import os
import secrets
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

MESSAGES = 16
# Six bytes each in an export: all messages together are more than 64 KiB.
_FILLING = "ä" * 4000
_PASSWORD = "a password"
_NAMES = (
    "plain.png",
    "/../../../etc/passwd",
    """"double" and 'single' quotes.png""",
    "<script>alert(1)</script><img src=x onerror=alert(2)>.png",
    "\N{GREEK SMALL LETTER OMEGA} \N{SNOWMAN} \N{GRINNING FACE}\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "no ending, and long " * 10,
)
# More than 2 MiB.
_BIG = 3_000_000
_CLIENT = "/_matrix/client/v3"
_PATIENCE = 30.0

_Made = t.TypeVar("_Made")


class Person:
    """A user with a password and one device, who uses the client API."""

    def __init__(self, server: Server, localpart: str, **more: t.Any) -> None:
        self.server = server
        self.localpart = localpart
        self.user_id = server.user_id(localpart)
        body = {"password": _PASSWORD, **more}
        server.send("PUT", f"/_synapse/admin/v2/users/{quote(self.user_id)}", body)
        self._token = str(self._log_in()["access_token"])
        self._sent = 0

    def log_in(self, device_id: str) -> None:
        """Log in on another device."""
        self._log_in(device_id=device_id)

    def _log_in(self, **more: str) -> Json:
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.user_id},
            "password": _PASSWORD,
            "initial_device_display_name": f"The device of {self.user_id}",
            **more,
        }
        return self.server.send("POST", f"{_CLIENT}/login", login, "")

    def ask(self, method: str, path: str, body: Json) -> Json:
        """Send a request below /_matrix/client/v3 that must be accepted."""
        return self.server.send(method, f"{_CLIENT}{path}", body, self._token)

    def is_accepted(self, method: str, path: str, content: bytes) -> bool:
        """Send JSON to a path below /_matrix/client/v3, and return whether the server accepts it."""
        return self._send(method, f"{_CLIENT}{path}", content, "application/json")[0] == 200

    def make_room(self, version: str, join_rule: str = "public", encrypted: bool = False) -> str:
        """Create a room and return its id."""
        state: list[Json] = [{"type": "m.room.join_rules", "content": {"join_rule": join_rule}}]
        if encrypted:
            state.append({"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}})
        body = {"room_version": version, "name": f"Version {version}", "initial_state": state}
        return str(self.ask("POST", "/createRoom", body)["room_id"])

    def act(self, room_id: str, action: str, **body: t.Any) -> None:
        """Join, leave, forget or knock at a room, or invite a user."""
        path = f"/knock/{quote(room_id)}" if action == "knock" else f"/rooms/{quote(room_id)}/{action}"
        self.ask("POST", path, body)

    def say(self, room_id: str, text: str, **more: str) -> None:
        """Send a message, which is a text unless `more` sets another type."""
        self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": text, **more})

    def send(self, room_id: str, kind: str, content: Json) -> None:
        """Send an event of any type."""
        self._sent += 1
        self.ask("PUT", f"/rooms/{quote(room_id)}/send/{kind}/{self._sent}", content)

    def set_data(self, content: Json, room_id: str | None = None) -> None:
        """Set account data of the type `test`, for everything or for one room."""
        where = f"/rooms/{quote(room_id)}" if room_id else ""
        self.ask("PUT", f"/user/{quote(self.user_id)}{where}/account_data/test", content)

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its media ID."""
        path = f"/_matrix/media/v3/upload?filename={quote(name)}"
        status, answer = self._send("POST", path, content, "image/png")
        assert status == 200, (name, status, answer)
        return str(answer["content_uri"]).rpartition("/")[2]

    def announce_upload(self) -> str:
        """Reserve a media ID on the server without uploading a file, and return it."""
        answer = self.server.send("POST", "/_matrix/media/v1/create", {}, self._token)
        return str(answer["content_uri"]).rpartition("/")[2]

    def deactivate(self, *, erase: bool = False) -> None:
        """Deactivate the account as an admin, and erase it if `erase`."""
        self.server.send("POST", f"/_synapse/admin/v1/deactivate/{quote(self.user_id)}", {"erase": erase})

    def _send(self, method: str, path: str, content: bytes, kind: str) -> tuple[int, Json]:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.server.base_url).netloc, timeout=_PATIENCE)
        try:
            connection.request(method, path, content, {"Content-Type": kind, "Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@dataclasses.dataclass(frozen=True)
class People:
    """Users who share rooms. `odd`: has every odd character in the name, and everything that an account can have."""

    odd: Person
    odd_rooms: list[str]
    odd_media: list[str]
    odd_messages: int
    forgotten_by_odd: str
    returning: Person
    returned_to: str
    pending: Person
    invited_to: str
    knocked_at: str
    gone: Person
    erased: Person


@dataclasses.dataclass(frozen=True)
class Collector:
    """A user with files. `files`: SHA-256 by media ID; `missing`: a regular expression for the reason, by media ID."""

    person: Person
    rooms: list[str]
    files: dict[str, str]
    missing: dict[str, str]
    quarantined: str


def quote(text: str) -> str:
    """Return `text` as one part of a path."""
    return urllib.parse.quote(text, safe="")


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def once_for_each_server(make: t.Callable[[Server], _Made]) -> t.Callable[[Server], _Made]:
    """Let `make` run only once for each server in this process."""
    made: dict[str, _Made] = {}

    @functools.wraps(make)
    def found(server: Server) -> _Made:
        # Another server may have the same port later.
        if server.directory not in made:
            made[server.directory] = make(server)
        return made[server.directory]

    return found


def new_word() -> str:
    """Return a unique word."""
    return f"c{secrets.token_hex(4)}"


@once_for_each_server
def people(server: Server) -> People:
    """Return the users who share rooms."""
    word = new_word()
    odd = Person(server, f"{word}/b=c.d+e-f_g", displayname="Odd <b>'One'</b>")
    rooms = [odd.make_room("12"), odd.make_room("11")]
    for number in range(MESSAGES):
        odd.say(rooms[number % 2], f"{number} \N{WHITE SMILING FACE} {_FILLING}")
    media = [odd.upload(name, name.encode()) for name in ("one.png", "../../two.png")]
    odd.set_data({"everywhere": True})
    odd.set_data({"only": "here"}, rooms[0])
    left, forgotten, knockable = odd.make_room("12"), odd.make_room("11"), odd.make_room("12", "knock")
    left_open = odd.make_room("11", "invite")
    for room_id in (left, forgotten):
        odd.act(room_id, "leave")
    odd.act(forgotten, "forget")

    pending = make_pending(odd, f"{word}-pending", rooms[0], knockable)
    odd.act(left_open, "invite", user_id=pending.user_id)
    pending.act(left_open, "leave")

    returning = Person(server, f"{word}-returning")
    returning.act(rooms[1], "join")
    returning.act(rooms[1], "leave")
    odd.act(rooms[1], "invite", user_id=returning.user_id)

    ended = [Person(server, f"{word}-{ending}") for ending in ("gone", "erased")]
    for person in ended:
        person.act(rooms[0], "join")
        person.say(rooms[0], "Good bye")
        person.deactivate(erase=person is ended[1])
    return People(
        odd=odd,
        odd_rooms=sorted([*rooms, left, left_open, knockable]),
        odd_media=sorted(media),
        odd_messages=MESSAGES + len(ended),
        forgotten_by_odd=forgotten,
        returning=returning,
        returned_to=rooms[1],
        pending=pending,
        invited_to=rooms[0],
        knocked_at=knockable,
        gone=ended[0],
        erased=ended[1],
    )


def make_pending(leader: Person, localpart: str, invited_to: str, knocked_at: str) -> Person:
    """Create a user whom `leader` has invited to one room, and who has knocked at another."""
    pending = Person(leader.server, localpart)
    leader.act(invited_to, "invite", user_id=pending.user_id)
    pending.act(knocked_at, "knock")
    return pending


@once_for_each_server
def collector(server: Server) -> Collector:
    """Return a user with files of every kind, in an encrypted room and another room."""
    person = Person(server, f"{new_word()}-collector", displayname="</title><script>alert(3)</script>")
    room_id, encrypted = person.make_room("11"), person.make_room("12", encrypted=True)
    contents = {name: os.urandom(1000 + number) for number, name in enumerate(_NAMES)}
    contents |= {"big": os.urandom(_BIG), "one byte": b"x"}
    uploaded = {person.upload(name, content): (name, content) for name, content in contents.items()}
    for media_id, (name, _content) in uploaded.items():
        person.say(room_id, name, msgtype="m.image", url=f"mxc://{server.name}/{media_id}")
    ciphertext = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgA", "session_id": "x", "device_id": "x"}
    person.send(encrypted, "m.room.encrypted", ciphertext)
    quarantined, lost = person.upload("quarantined", b"evil"), person.upload("lost", b"gone")
    server.send("POST", f"/_synapse/admin/v1/media/quarantine/{quote(server.name)}/{quarantined}")
    (Path(server.directory) / "media_store" / "local_content" / lost[:2] / lost[2:4] / lost[4:]).unlink()
    return Collector(
        person=person,
        rooms=sorted([room_id, encrypted]),
        files={media_id: sha256(content) for media_id, (_name, content) in uploaded.items()},
        missing={quarantined: "quarantined", lost: "media store", person.announce_upload(): "no file was uploaded"},
        quarantined=quarantined,
    )
