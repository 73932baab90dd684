# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two people have on a server: people.py URL, with {} or with what an earlier call has printed on standard input.

The first call lets Alice and Bob, who exist with the passwords below, write, upload and invite, and prints what must be
there from then on. A later call looks for it, as clients do, and ends with an assertion if anything is missing.
"""

from __future__ import annotations

import hashlib
import json
import sys
import typing as t
import urllib.parse
import urllib.request

URL = sys.argv[1]
PASSWORDS = {"alice": "first of alice", "bob": "first of bob"}
CLIENT = "/_matrix/client/v3"
PICTURE = bytes(range(256)) * 40


def ask(method: str, path: str, token: str = "", body: t.Any = None) -> t.Any:
    """Return the answer: parsed if it is JSON, else as bytes."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "image/png" if isinstance(body, bytes) else "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content


def quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def log_in(user: str) -> dict[str, t.Any]:
    identifier = {"type": "m.id.user", "user": user}
    body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORDS[user], "device_id": "PHONE"}
    return t.cast("dict[str, t.Any]", ask("POST", f"{CLIENT}/login", body=body))


def create() -> dict[str, t.Any]:
    alice, bob = log_in("alice"), log_in("bob")
    token = alice["access_token"]
    device = {
        "user_id": alice["user_id"],
        "device_id": "PHONE",
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {"curve25519:PHONE": "A" * 43, "ed25519:PHONE": "B" * 43},
        "signatures": {alice["user_id"]: {"ed25519:PHONE": "C" * 86}},
    }
    one_time = {f"curve25519:AAAA{number}": "D" * 43 for number in range(5)}
    ask("POST", f"{CLIENT}/keys/upload", token, {"device_keys": device, "one_time_keys": one_time})
    media = ask("POST", "/_matrix/media/v3/upload?filename=picture.png", token, PICTURE)["content_uri"]
    rooms = {}
    for version in ("1", "6", "11", "12"):
        body = {"room_version": version, "room_alias_name": f"club{version}", "name": f"Club {version}"}
        rooms[version] = ask("POST", f"{CLIENT}/createRoom", token, body)["room_id"]
        message = {"msgtype": "m.text", "body": f"The first words in {version}"}
        ask("PUT", f"{CLIENT}/rooms/{quoted(rooms[version])}/send/m.room.message/one", token, message)
    for version in ("6", "12"):
        ask("POST", f"{CLIENT}/rooms/{quoted(rooms[version])}/invite", token, {"user_id": bob["user_id"]})
    ask("POST", f"{CLIENT}/rooms/{quoted(rooms['12'])}/join", bob["access_token"], {})
    return {"alice": alice["user_id"], "bob": bob["user_id"], "rooms": rooms, "media": media, "device": device}


def check(kept: dict[str, t.Any]) -> None:
    alice, bob = log_in("alice")["access_token"], log_in("bob")["access_token"]
    for version, room in kept["rooms"].items():
        found = ask("GET", f"{CLIENT}/rooms/{quoted(room)}/messages?dir=b&limit=50", alice)["chunk"]
        assert f"The first words in {version}" in [event["content"].get("body") for event in found], version
        # It can still be written to, in the order of what was written before.
        message = {"msgtype": "m.text", "body": "Later words"}
        ask("PUT", f"{CLIENT}/rooms/{quoted(room)}/send/m.room.message/{hash(alice)}", alice, message)
        found = ask("GET", f"{CLIENT}/rooms/{quoted(room)}/messages?dir=b&limit=50", alice)["chunk"]
        assert found[0]["content"].get("body") == "Later words", (version, found[0])
    path = kept["media"].removeprefix("mxc://")
    content = ask("GET", f"/_matrix/client/v1/media/download/{path}", alice)
    assert hashlib.sha256(content).digest() == hashlib.sha256(PICTURE).digest(), "the picture"
    keys = ask("POST", f"{CLIENT}/keys/query", bob, {"device_keys": {kept["alice"]: []}})["device_keys"]
    assert keys[kept["alice"]]["PHONE"]["keys"] == kept["device"]["keys"], keys
    synced = ask("GET", f"{CLIENT}/sync?timeout=0", bob)["rooms"]
    assert kept["rooms"]["6"] in synced["invite"], "the invitation"
    assert kept["rooms"]["12"] in synced["join"], "the membership"


given = json.load(sys.stdin)
if given:
    check(given)
print(json.dumps(given or create()))
