# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts that are made to break their own export, or that of others, and printed as JSON with what must be in it.

hostile.py BASE_URL ADMIN_ACCESS_TOKEN SERVER_NAME
    What a server does not accept is left out, but there must be something of each kind.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sys
import typing as t
import urllib.error
import zipfile

from people import Person, Server, quote

ROOM_IDS = (
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
KINDS = ("../../x", "%2F", "\x01\n", "TWIN", "twin", "x" * 400, ".", "con", "\N{GRINNING FACE}", "")
# From what every Python decodes to more than any does.
SHALLOW, DEEP = 10, 20_000
LOCALPARTS = ("hostile.zip", "hostile.tar.gz", "..", "con", "hostile/../hostile", "h" * 200)


def accepted(person: Person, method: str, path: str, body: t.Any) -> bool:
    """Ask, and return whether the server took it."""
    try:
        person.ask(method, path, body)
    except urllib.error.HTTPError:
        return False
    return True


def make_names(server: Server, server_name: str) -> dict[str, t.Any]:
    """Make somebody whose ids are paths, control characters, reserved, too long, or differ by case alone."""
    person = server.create("hostile", displayname="../../\x1b]0;x\x07")
    mine = f"/user/{quote(person.user_id)}"
    kept = {}
    for room_id in (found.format(server_name=server_name) for found in ROOM_IDS):
        if accepted(person, "PUT", f"{mine}/rooms/{quote(room_id)}/account_data/test", {"of": room_id}):
            text = json.dumps({"test": {"of": room_id}})
            kept[room_id] = hashlib.sha256(text.encode()).hexdigest()
    kinds = [kind for kind in KINDS if accepted(person, "PUT", f"{mine}/account_data/{quote(kind)}", {"kind": kind})]
    devices = [server.log_in(person.user_id, device_id) for device_id in ("../../DEVICE", "%00\x1b\n", "twin", "TWIN")]
    assert len(kept) >= 10 and len(kinds) >= 5, (kept, kinds)
    return {"data": kept, "kinds": kinds, "devices": devices}


def make_deep(server: Server) -> dict[str, t.Any]:
    """Make somebody who nests everything as deeply as the server takes it."""
    person = server.create("deep")
    room_id = person.make_room("11")
    mine = f"/user/{quote(person.user_id)}"
    places = {
        "account data": ("PUT", f"{mine}/account_data/deep"),
        "account data of a room": ("PUT", f"{mine}/rooms/{quote(room_id)}/account_data/deep"),
        "message": ("PUT", f"/rooms/{quote(room_id)}/send/m.deep/{{}}"),
        "state": ("PUT", f"/rooms/{quote(room_id)}/state/deep"),
        "profile": ("PUT", f"/profile/{quote(person.user_id)}/m.deep"),
    }
    taken = {place: find_deepest(person, *call) for place, call in places.items()}
    assert taken["account data"] > 900 and min(taken.values()) > 50, taken
    kept = '{"deep": ' + nested(taken["account data of a room"]) + "}"
    return {"taken": taken, "room_id": room_id, "data": {room_id: hashlib.sha256(kept.encode()).hexdigest()}}


def find_deepest(person: Person, method: str, path: str) -> int:
    """Find the deepest that the server takes, leave that there, and return how deep it is."""
    least, too_much = SHALLOW, DEEP
    while too_much - least > 1:
        middle = (least + too_much) // 2
        if accepted(person, method, path.format(middle), nested(middle).encode()):
            least = middle
        else:
            too_much = middle
    return least


def nested(depth: int) -> str:
    """Return an object that is so deep, as the server keeps it."""
    return '{"m.deep": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def make_archives(server: Server) -> dict[str, t.Any]:
    """Make somebody whose files look like the archives that the export is packed into."""
    person = server.create("archives")
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        archive.writestr("manifest.json", "{}")
    # In the middle of what is random, which cannot be packed any tighter, it stands in the archive as it is.
    before, after = os.urandom(40_000), b"PK\x05\x06" + os.urandom(20_000)
    contents = {
        "the end of a zip": before + after,
        "a zip, and the end of another": small.getvalue() + before + after,
        "a gzip, and the end of a zip": gzip.compress(before) + after,
        "the beginnings of both": b"\x1f\x8b\x08PK\x03\x04" + before + after,
    }
    uploaded = {person.upload(name, content): hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return {"files": uploaded}


def main(base_url: str, admin_access_token: str, server_name: str) -> None:
    """Make everybody."""
    server = Server(base_url, admin_access_token, server_name)
    localparts = ["hostile"]
    for localpart in LOCALPARTS:
        try:
            server.create(localpart)
        except urllib.error.HTTPError:
            continue
        localparts.append(localpart)
    made = {"names": None, "deep": make_deep(server), "archives": make_archives(server), "localparts": localparts}
    print(json.dumps({**made, "names": make_names(server, server_name)}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
