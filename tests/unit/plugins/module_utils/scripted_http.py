# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real HTTP server on loopback whose answers are written down beforehand, for faults that no real Synapse shows.

It knows which requests must come, in their order. `ScriptedServer` used as a context manager fails the test at the end
if one of them did not come, if another one did, or if one was not as expected.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import pathlib
import socketserver
import ssl
import threading
import typing as t
import urllib.parse

ANYTHING: t.Any = ...
UPDATES = "/_synapse/admin/v1/background_updates/status"
CERTIFICATE = pathlib.Path(__file__).with_name("loopback_certificate.pem")


@dataclasses.dataclass(frozen=True)
class Call:
    """One request that must come, and what it is answered.

    `path` is the target as it stands in the request line, without the query; `query` its parameters; `body` the JSON
    object sent; `token` what the header Authorization must carry (None: there must be no such header). What is left at
    ANYTHING is not looked at. `text` is sent as it is, in place of `answer`. `drop` closes the connection without an
    answer; `silent` leaves it open without one, until the server ends. `missing` is how many bytes more are announced
    than sent before the connection is closed.
    """

    method: str
    path: str
    answer: t.Any = dataclasses.field(default_factory=dict)
    status: int = 200
    headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    text: bytes | None = None
    drop: bool = False
    silent: bool = False
    missing: int = 0
    query: t.Any = ANYTHING
    body: t.Any = ANYTHING
    token: t.Any = ANYTHING


class _AtSocket(socketserver.ThreadingUnixStreamServer):
    """Listens at a Unix socket. As many connections as with a port can wait."""

    daemon_threads = True
    request_queue_size = 5


class ScriptedServer:
    """Listens on a free port of 127.0.0.1 while it is entered. `tls`: with the certificate beside this file.

    `unix_socket`: listens at this path instead; `base_url` is then only a name. `headers`: those of each request.
    """

    def __init__(self, *, tls: bool = False, unix_socket: str = "") -> None:
        self._calls: list[Call] = []
        # After an internal error, the client asks this.
        self._standing: list[Call] = [Call("GET", UPDATES, {"enabled": True, "current_updates": {}})]
        self._problems: list[str] = []
        self._ended = threading.Event()
        self.headers: list[dict[str, str]] = []
        self._server: socketserver.BaseServer
        if unix_socket:
            self._server = _AtSocket(unix_socket, self._handler())
            self.base_url = "http://synapse.test:8008"
            return
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def expect(self, *calls: Call) -> None:
        """Say which requests must come next, in this order."""
        self._calls.extend(calls)

    def always(self, *calls: Call) -> None:
        """Say which requests may come at any time, any number of times; of two that fit, the later one is answered."""
        self._standing.extend(calls)

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        if kind is None:
            missing = [f"{call.method} {call.path} did not come" for call in self._calls]
            assert not self._problems + missing, "; ".join(self._problems + missing)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted._answer(self)

            do_PUT = do_POST = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing: what matters is told by the test."""

        return Handler

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.headers.append(dict(request.headers))
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length)) if length else None
        call = self._choose(request)
        if call is None:
            self._problems.append(f"{request.command} {request.path} came without being expected")
            request.send_error(599)
            return
        self._problems.extend(_differences(call, request, body))
        if call.silent:
            self._ended.wait()
        if call.drop or call.silent:
            request.close_connection = True
            return
        content = json.dumps(call.answer).encode() if call.text is None else call.text
        request.send_response(call.status)
        for name, value in {"Content-Type": "application/json", **call.headers}.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content) + call.missing))
        request.end_headers()
        request.close_connection = request.close_connection or call.missing > 0
        request.wfile.write(content)

    def _choose(self, request: http.server.BaseHTTPRequestHandler) -> Call | None:
        if self._calls and _is_meant(self._calls[0], request):
            return self._calls.pop(0)
        standing = [call for call in self._standing if _is_meant(call, request)]
        if standing:
            return standing[-1]
        return self._calls.pop(0) if self._calls else None


def _is_meant(call: Call, request: http.server.BaseHTTPRequestHandler) -> bool:
    token = f"Bearer {call.token}" if isinstance(call.token, str) else call.token
    named = (request.command, request.path.partition("?")[0])
    return named == (call.method, call.path) and token in (ANYTHING, request.headers.get("Authorization"))


def _differences(call: Call, request: http.server.BaseHTTPRequestHandler, body: t.Any) -> list[str]:
    path, _mark, query = request.path.partition("?")
    authorization = request.headers.get("Authorization")
    wanted = {
        "method": (call.method, request.command),
        "path": (call.path, path),
        "query": (call.query, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))),
        "body": (call.body, body),
        "Authorization": (f"Bearer {call.token}" if isinstance(call.token, str) else call.token, authorization),
    }
    return [
        f"{call.method} {call.path}: {what} is {is_there!r}, not {expected!r}"
        for what, (expected, is_there) in wanted.items()
        if expected is not ANYTHING and expected != is_there
    ]
