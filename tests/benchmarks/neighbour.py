# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One who uses a server: an account with a device, its keys, its files."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import threading
import typing as t
import urllib.parse
import urllib.request

from PIL import Image
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key
from signedjson.sign import sign_json

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

PASSWORD = "a password of the big server"
# Each copy has its own number in place of this one.
MARK = "neighbourhood 0."
_CLIENT = "/_matrix/client/v3"


class Reached(threading.local):
    """A server, with a connection of its own for each thread."""

    def __init__(self, described: Json) -> None:
        self.server = Server(described)


class Person:
    """An account that is logged in on one device."""

    def __init__(self, reached: Reached, number: int) -> None:
        self._reached = reached
        server = reached.server
        self.name = f"person-{number:02}"
        self.user_id = server.user_id(self.name)
        body: Json = {"password": PASSWORD, "displayname": f"Person {number} of {MARK}"}
        if number % 5 == 0:
            body["threepids"] = [{"medium": "email", "address": f"{self.name}@mail.test"}]
        if number % 8 == 0:
            body["external_ids"] = [{"auth_provider": "oidc-test", "external_id": f"subject-{self.name}"}]
        server.send("PUT", f"/_synapse/admin/v2/users/{quoted(self.user_id)}", body)
        self.device_id = "FIRST"
        self._token = self.log_in(self.device_id, refresh_token=number % 16 == 3)
        self._sent = itertools.count()

    def log_in(self, device_id: str, **more: t.Any) -> str:
        """Log in on a device and return its access token."""
        identifier = {"type": "m.id.user", "user": self.user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD, "device_id": device_id}
        answer = self._reached.server.send("POST", f"{_CLIENT}/login", {**body, **more}, "")
        return str(answer["access_token"])

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send a request below /_matrix/client/v3 that has to be accepted."""
        return self._reached.server.send(method, f"{_CLIENT}{path}", body, self._token)

    def count(self, query: str, *values: str) -> int:
        """Return what a query counts in the database of the server."""
        return int(self._reached.server.rows(query, *values)[0][0])

    def slide(self) -> None:
        """Synchronize as new clients do, which Synapse remembers."""
        wanted = {"ranges": [[0, 20]], "timeline_limit": 5, "required_state": [["m.room.name", ""]]}
        path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
        self._reached.server.send("POST", path, {"lists": {"all": wanted}, "conn_id": "main"}, self._token)

    def send(self, room_id: str, kind: str, content: Json) -> str:
        """Send an event and return its id."""
        path = f"/rooms/{quoted(room_id)}/send/{kind}/{next(self._sent)}"
        return str(self.ask("PUT", path, content)["event_id"])

    def upload(self, number: int) -> str:
        """Upload a picture that no other one is like, and return its mxc: URI."""
        size = 40 + number
        picture = Image.frombytes("RGB", (size, size), os.urandom(size * size * 3))
        written = io.BytesIO()
        picture.save(written, "PNG")
        request = urllib.request.Request(
            f"{self._reached.server.base_url}/_matrix/media/v3/upload?filename=picture%20{number}.png",
            data=written.getvalue(),
            headers={"Content-Type": "image/png", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return str(json.load(answer)["content_uri"])


def quoted(part: str) -> str:
    """Return a part of a path with everything written out that has a meaning there."""
    return urllib.parse.quote(part, safe="")


def unpadded(content: bytes) -> str:
    """Return base64 as Matrix writes it."""
    return base64.b64encode(content).decode().rstrip("=")


def give_keys(person: Person, *, signs: bool) -> None:
    """Upload the keys of a device and, if it `signs`, those with which a user signs devices and other users."""
    key = generate_signing_key(person.device_id)
    device: Json = {
        "user_id": person.user_id,
        "device_id": person.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            f"curve25519:{person.device_id}": unpadded(os.urandom(32)),
            f"ed25519:{person.device_id}": encode_verify_key_base64(get_verify_key(key)),
        },
    }
    device = sign_json(device, person.user_id, key)

    def curve(**more: t.Any) -> Json:
        return t.cast("Json", sign_json({"key": unpadded(os.urandom(32)), **more}, person.user_id, key))

    one_time = {f"signed_curve25519:AAAA{letter}": curve() for letter in "ABCDEFGHIJ"}
    fallback = {"signed_curve25519:AAAAZ": curve(fallback=True)}
    body = {"device_keys": device, "one_time_keys": one_time, "fallback_keys": fallback}
    person.ask("POST", "/keys/upload", body)
    if not signs:
        return
    master, own, others = (generate_signing_key("unused") for _number in range(3))

    def described(usage: str, made: t.Any) -> tuple[str, Json]:
        public = encode_verify_key_base64(get_verify_key(made))
        return public, {"user_id": person.user_id, "usage": [usage], "keys": {f"ed25519:{public}": public}}

    name, described_master = described("master", master)
    master.version = name
    body = {"master_key": described_master}
    for usage, made in (("self_signing", own), ("user_signing", others)):
        body[f"{usage}_key"] = sign_json(described(usage, made)[1], person.user_id, master)
    person.ask("POST", "/keys/device_signing/upload", body)
    own.version = described("self_signing", own)[0]
    signed = sign_json(device, person.user_id, own)
    answer = person.ask("POST", "/keys/signatures/upload", {person.user_id: {person.device_id: signed}})
    assert not answer.get("failures"), answer
    version = person.ask(
        "POST", "/room_keys/version", {"algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": name}}
    )
    session = {
        "first_message_index": 0,
        "forwarded_count": 0,
        "is_verified": True,
        "session_data": {"ciphertext": name},
    }
    path = f"/room_keys/keys/{quoted('!kept:elsewhere.test')}/session?version={version['version']}"
    person.ask("PUT", path, session)
