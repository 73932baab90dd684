# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Those who use a server while something is done with it: one who only asks whether it is there, one who talks."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import threading
import time
import types
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.meeting import quoted
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PAUSE = 0.02
_PATIENCE = 2.0


class _Repeated(threading.Thread):
    """Does something again and again in a thread of its own, from the beginning of a block to its end."""

    pause = _PAUSE

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()

    def __enter__(self) -> t.Self:
        self.start()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | types.TracebackType | None) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Do it until the block ends."""
        while not self._over.wait(self.pause):
            self.do()

    def do(self) -> None:
        """Do it once."""
        raise NotImplementedError


class Watch(_Repeated):
    """Asks a server every 20 ms whether it answers. `longest`: how long it did not, at a time (s)."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._netloc = urllib.parse.urlsplit(server.base_url).netloc
        self._answered = time.monotonic()
        self.longest = 0.0

    def do(self) -> None:
        """Ask once."""
        connection = http.client.HTTPConnection(self._netloc, timeout=_PATIENCE)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            asked = time.monotonic()
            connection.request("GET", "/_matrix/client/versions")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                # What it took to answer is no outage.
                self.longest = max(self.longest, asked - self._answered)
                self._answered = time.monotonic()


class Talk(_Repeated):
    """Somebody says something twice a second, and changes other things, until the server does not answer any more.

    `said`: the events that the server has accepted.
    """

    pause = 0.5

    def __init__(self, server: Server) -> None:
        super().__init__()
        # A connection is for one thread.
        self._server = Server(json.loads(Path(server.directory, "described.json").read_text()))
        self._user = server.make_account("talker")
        self._token = server.speaking_as(self._user)
        self._room = quoted(server.make_room(self._token))
        self.said: list[str] = []

    def do(self) -> None:
        """Say something, and change something else."""
        try:
            self._speak()
        except (OSError, http.client.HTTPException, AssertionError):
            self._over.set()

    def _speak(self) -> None:
        body = {"msgtype": "m.text", "body": f"word {len(self.said)}"}
        path = f"/rooms/{self._room}/send/m.room.message/{secrets.token_hex(8)}"
        event_id = self._ask("PUT", path, body)["event_id"]
        self.said.append(event_id)
        self._ask("POST", f"/rooms/{self._room}/receipt/m.read/{quoted(event_id)}")
        own = f"/user/{quoted(self._user)}"
        self._ask("PUT", f"{own}/account_data/org.test.talk", {"number": len(self.said)})
        if len(self.said) % 5 == 0:
            self._ask("PUT", f"/profile/{quoted(self._user)}/displayname", {"displayname": f"P {len(self.said)}"})
            redacted = self.said[-3]
            self._ask("PUT", f"/rooms/{self._room}/redact/{quoted(redacted)}/{secrets.token_hex(8)}")

    def lost(self) -> list[str]:
        """Return the events that were accepted and are gone."""
        self._server.forget_connection()
        path = "/_synapse/admin/v1/fetch_event/"
        return [event_id for event_id in self.said if self._server.found(path + quoted(event_id)) is None]

    def _ask(self, method: str, path: str, body: t.Any = None) -> dict[str, t.Any]:
        return self._server.send(method, f"/_matrix/client/v3{path}", body, self._token)
