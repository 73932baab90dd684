# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts that try to break their own export, or that of others, and what must be in it.

What a server does not accept is skipped, but there must be something of each kind.
"""

from __future__ import annotations

import dataclasses
import fcntl
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.export_people import (
    Person,
    new_word,
    once_for_each_server,
    quote,
    sha256,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

# These names are fixed, because they look like file names. Each exists once on a server.
LOCALPARTS = ("hostile", "hostile.zip", "hostile.tar.gz", "..", "con", "hostile/../hostile", "h" * 200)
_ROOM_IDS = (
    "!" + "x" * 398 + ":{server_name}",
    "!../../../etc/passwd:{server_name}",
    "!..",
    "!/",
    "!%2F..%2F%25%00:{server_name}",
    "!\x01\x1b[2J\x7f\r\n:{server_name}",
    "!\N{RIGHT-TO-LEFT OVERRIDE}\N{GRINNING FACE}\N{LATIN SMALL LETTER A WITH DIAERESIS}:{server_name}",
    "!a\N{COMBINING DIAERESIS}:{server_name}",
    "!TWIN:{server_name}",
    "!twin:{server_name}",
    "!Twin:{server_name}",
    "!con:{server_name}",
    "!a. ",
    "!" + "/" * 250 + ":{server_name}",
    "!global",
)
_KINDS = ("../../x", "%2F", "\x01\n", "TWIN", "twin", "x" * 400, ".", "con", "\N{GRINNING FACE}", "")
# From a depth that every Python decodes to one that no Python decodes.
_SHALLOW, _DEEP = 10, 20_000


@dataclasses.dataclass(frozen=True)
class Hostile:
    """A user whose data try to break an export. `data`: SHA-256 of the account data by room; `files`: by media."""

    person: Person
    rooms: list[str] = dataclasses.field(default_factory=list)
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, str] = dataclasses.field(default_factory=dict)


@once_for_each_server
def names(server: Server) -> Hostile:
    """Return a user whose ids are paths, control characters, reserved, too long, or differ only by case."""
    person = Person(server, f"{new_word()}-hostile", displayname="../../\x1b]0;x\x07")
    mine = f"/user/{quote(person.user_id)}"
    kept = {}
    for room_id in (found.format(server_name=server.name) for found in _ROOM_IDS):
        content = json.dumps({"of": room_id}).encode()
        if person.is_accepted("PUT", f"{mine}/rooms/{quote(room_id)}/account_data/test", content):
            kept[room_id] = sha256(json.dumps({"test": {"of": room_id}}).encode())
    kinds = [
        kind
        for kind in _KINDS
        if person.is_accepted("PUT", f"{mine}/account_data/{quote(kind)}", json.dumps({"kind": kind}).encode())
    ]
    for device_id in ("../../DEVICE", "%00\x1b\n", "twin", "TWIN"):
        person.log_in(device_id)
    assert len(kept) >= 10, kept
    assert len(kinds) >= 5, kinds
    return Hostile(person, data=kept)


@once_for_each_server
def deep(server: Server) -> Hostile:
    """Return a user who nests everything as deeply as the server accepts it."""
    person = Person(server, f"{new_word()}-deep")
    room_id = person.make_room("11")
    mine = f"/user/{quote(person.user_id)}"
    places = {
        "account data": f"{mine}/account_data/deep",
        "account data of a room": f"{mine}/rooms/{quote(room_id)}/account_data/deep",
        "message": f"/rooms/{quote(room_id)}/send/m.deep/{{}}",
        "state": f"/rooms/{quote(room_id)}/state/deep",
        "profile": f"/profile/{quote(person.user_id)}/m.deep",
    }
    taken = {place: _find_deepest(person, path) for place, path in places.items()}
    assert taken["account data"] > 900, taken
    assert min(taken.values()) > 50, taken
    kept = '{"deep": ' + _nested(taken["account data of a room"]) + "}"
    return Hostile(person, rooms=[room_id], data={room_id: sha256(kept.encode())})


def _find_deepest(person: Person, path: str) -> int:
    """Find the deepest object that the server accepts, store it there, and return its depth."""
    least, too_much = _SHALLOW, _DEEP
    while too_much - least > 1:
        middle = (least + too_much) // 2
        if person.is_accepted("PUT", path.format(middle), _nested(middle).encode()):
            least = middle
        else:
            too_much = middle
    return least


def _nested(depth: int) -> str:
    """Return an object of this depth, as the server stores it."""
    return '{"m.deep": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


@once_for_each_server
def archives(server: Server) -> Hostile:
    """Return a user whose files look like the archives of an export."""
    person = Person(server, f"{new_word()}-archives")
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        archive.writestr("manifest.json", "{}")
    # Between random bytes, which cannot be compressed, it appears unchanged in the archive.
    before, after = os.urandom(40_000), b"PK\x05\x06" + os.urandom(20_000)
    contents = {
        "the end of a zip": before + after,
        "a zip, and the end of another": small.getvalue() + before + after,
        "a gzip, and the end of a zip": gzip.compress(before) + after,
        "the beginnings of both": b"\x1f\x8b\x08PK\x03\x04" + before + after,
    }
    return Hostile(person, files={person.upload(name, content): sha256(content) for name, content in contents.items()})


@once_for_each_server
def accounts(server: Server) -> list[str]:
    """Return the user IDs of the accounts with `LOCALPARTS`."""
    # The names are fixed, and another process may create them too.
    with Path(server.directory, "homeserver.yaml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for localpart in LOCALPARTS:
            server.send("PUT", f"/_synapse/admin/v2/users/{quote(server.user_id(localpart))}")
    return [server.user_id(localpart) for localpart in LOCALPARTS]
