# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy on loopback in front of one Synapse that lets exactly one request of a run suffer a fault.

Every connection carries one request, because every answer says `Connection: close`: so the n-th request of a run can be
refused a connection too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import typing as t
import unittest.mock
import urllib.parse

# What can happen to a request, and whether it reaches Synapse nevertheless.
FAULTS = {
    # The connection is refused by the kernel.
    "refused": False,
    # No answer until the client gives up; ...
    "timeout_not_done": False,
    # ... here Synapse has done what was asked, and answered.
    "timeout_done": True,
    # As timeout_not_done, but long after the client has given up the request reaches Synapse.
    "delay_done": True,
    # Synapse asks for a longer wait than the task allows.
    "status_429": False,
    "status_500": False,
    "status_500_done": True,
    # The page of a reverse proxy.
    "html_502": False,
    "html_502_done": True,
    # The connection is closed without an answer, and in the middle of one whose headers announce the whole.
    "cut_before_answer": True,
    "cut_in_answer": True,
    # An answer of Synapse that ends too early although the headers fit.
    "json_cut": True,
}
# To a request that only reads these are nothing but others without `done`.
SAME_FOR_READING = {"timeout_done", "delay_done", "status_500_done", "html_502_done"}
_HOLD = 1.6
_PATIENCE = 60.0
_JSON, _HTML = "application/json", "text/html"
_TOO_MANY = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 600_000}
_BROKEN = {"errcode": "M_UNKNOWN", "error": "Internal server error"}
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Request(t.NamedTuple):
    """A request that came: `status` is what Synapse answered, None if it was not asked."""

    method: str
    path: str
    status: int | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class FaultProxy:
    """The proxy; a context in which it listens. `base_url` leads to it."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urllib.parse.urlsplit(upstream).netloc
        self._handlers: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._fault: str | None = None
        self._number = 0
        self._count = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._port = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self._port}"
        self._closed = threading.Event()

    def __enter__(self) -> FaultProxy:
        self._patch = _after_refusal(self._port, self._refused)
        self._patch.__enter__()
        self._accept_from(self._listener)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._patch.__exit__(None, None, None)
        self._close_listener()

    def arm(self, fault: str | None = None, number: int = 0) -> None:
        """Begin a run: its `number`-th request, from 1, will suffer `fault`; None: none of them will."""
        self._reopen()
        self._requests, self._count, self._fault, self._number = [], 0, fault, number
        self._close_before_refusal()

    def settle(self) -> list[Request]:
        """Wait until no request is under way any more, and return those of the run in order."""
        for handler in self._handlers:
            handler.join(_PATIENCE)
        self._handlers = []
        self._reopen()
        return list(self._requests)

    @property
    def suffered(self) -> bool:
        """Whether the request that was to suffer has come."""
        return self._count >= self._number

    def _accept_from(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            handler = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self._handlers.append(handler)
            handler.start()

    def _close_before_refusal(self) -> None:
        """Close the port if the next request is the one that shall find it closed."""
        if self._fault == "refused" and self._count + 1 == self._number:
            self._close_listener()

    def _close_listener(self) -> None:
        self._closed.set()
        # Closing alone does not end the call that waits for connections, nor therefore the listening.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _reopen(self) -> None:
        """Listen on the same port again, if that was closed: the client has been refused."""
        with self._lock:
            if not self._closed.is_set():
                return
            self._closed.clear()
            self._listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
            self._accept_from(self._listener)

    def _refused(self) -> None:
        self._count += 1
        self._reopen()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE)
            received = _receive(connection)
            if received is None:
                return
            method, path, headers, body = received
            with self._lock:
                self._count += 1
                suffers = self._count == self._number
                position = len(self._requests)
                self._requests.append(Request(method, path, None))
            fault = self._fault if suffers else None

            def forward() -> tuple[int, str, bytes]:
                answer = self._forward(method, path, headers, body)
                self._requests[position] = Request(method, path, answer[0])
                return answer

            if fault == "delay_done":
                time.sleep(_HOLD)
            answer = forward() if fault is None or FAULTS[fault] else (0, _JSON, b"")
            self._close_before_refusal()
            _answer(connection, fault, answer)

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Ask Synapse; return its status, the kind of the content, and the content."""
        upstream = http.client.HTTPConnection(self._upstream, timeout=_PATIENCE)
        with contextlib.closing(upstream):
            upstream.request(method, path, body, {**headers, "connection": "close", "accept-encoding": "identity"})
            response = upstream.getresponse()
            return response.status, response.headers.get("Content-Type", _JSON), response.read()


def _receive(connection: socket.socket) -> tuple[str, str, dict[str, str], bytes] | None:
    """Return method, path, headers (names in lower case) and body of a request; None if there is none."""
    with connection.makefile("rb") as stream:
        first = stream.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        lines = iter(lambda: stream.readline().decode("latin-1").strip(), "")
        headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
        return first[0], first[1], headers, stream.read(int(headers.get("content-length", "0")))


def _answer(connection: socket.socket, fault: str | None, answer: tuple[int, str, bytes]) -> None:
    """Send what the client gets to see of Synapse's `answer`."""
    status, kind, content = answer
    half = content[: max(1, len(content) // 2)]
    if fault in ("timeout_not_done", "timeout_done", "delay_done"):
        # Ends when the client closes the connection.
        connection.recv(1)
    elif fault == "cut_before_answer":
        return
    elif fault == "status_429":
        _send(connection, 429, _JSON, json.dumps(_TOO_MANY).encode())
    elif fault in ("status_500", "status_500_done"):
        _send(connection, 500, _JSON, json.dumps(_BROKEN).encode())
    elif fault in ("html_502", "html_502_done"):
        _send(connection, 502, _HTML, _PAGE)
    elif fault == "cut_in_answer":
        _send(connection, status, kind, half, announced=len(content) + 1)
    elif fault == "json_cut":
        _send(connection, status, kind, half)
    else:
        _send(connection, status, kind, content)


def _send(connection: socket.socket, status: int, kind: str, content: bytes, announced: int | None = None) -> None:
    head = (
        f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content) if announced is None else announced}\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(head.encode("latin-1") + content)


@contextlib.contextmanager
def _after_refusal(port: int, reopen: t.Callable[[], None]) -> t.Iterator[None]:
    """Call `reopen` as soon as a connection of this process to `port` was refused: the next request has to get through.

    The kernel tells nobody but the client of a refusal, so the client's own call is listened to.
    """
    connect = socket.socket.connect

    def listened_to(this: socket.socket, address: t.Any) -> None:
        try:
            connect(this, address)
        except ConnectionRefusedError:
            if isinstance(address, tuple) and address[1] == port:
                reopen()
            raise

    with unittest.mock.patch.object(socket.socket, "connect", listened_to):
        yield
