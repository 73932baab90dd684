# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Sends requests byte for byte as they are given, and returns the answers, whatever the other end does.

Libraries for HTTP normalise the path of a URL, so it is written by hand.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import ssl
import threading
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    Connection,
    NotConnected,
    client_address_of,
    connect,
    is_timeout,
    read_connect_to,
    tls_context,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.message import message_of, secrets_of, without
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.patience import Patience
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.response import (
    Ended,
    NotHttp,
    Received,
    Stream,
    read_answer,
)

_MOST_KEPT = 4
_PIECE = 16 * 1024
# These have no effect, so they can be sent once more.
_REPEATABLE = {"GET", "HEAD", "OPTIONS"}


class Sender:
    """Sends requests, also from several threads at the same time, and keeps connections for the next request.

    `verify`: whether to verify certificates, or the path of a file or directory with the authorities. `timeout`: in
    seconds, for a request and its answer. `connect_to`: "host:port" mapped to "host:port", to which only TCP connects,
    as `--connect-to` of curl. After `most_requests` requests, nothing more is sent. Raises InvalidInput for
    `connect_to` and `verify`.

    `address` of an answer has the port, `local_address` is only the IP address, as Synapse logs it. Connections to an
    IPv4 address of loopback come from 127.0.0.77, and so requests over a Unix socket say of themselves.
    """

    def __init__(
        self,
        verify: bool | str = True,
        timeout: float = 10.0,
        connect_to: t.Mapping[str, t.Any] | None = None,
        most_requests: int = 60,
    ) -> None:
        self.verify = verify
        self.timeout = timeout
        self._connect_to = read_connect_to(connect_to or {})
        self._most_requests = most_requests
        self._context = tls_context(verify)
        self._lock = threading.Lock()
        self._sent = 0
        self._is_closed = False
        self._kept: dict[Place, list[Connection]] = {}
        self._hosts: dict[Place, str] = {}
        self._patience = Patience(timeout)

    @property
    def sent(self) -> int:
        """How many requests were sent, or were tried to be sent. One that had to be repeated counts as one."""
        with self._lock:
            return self._sent

    @property
    def is_exhausted(self) -> bool:
        """Whether no further request is sent, because there were too many."""
        return self.sent >= self._most_requests

    @property
    def connect_to(self) -> dict[str, str]:
        """Where TCP connects in place of other addresses, as read_connect_to returns it."""
        with self._lock:
            return dict(self._connect_to)

    def connect_also(self, more: t.Mapping[str, t.Any]) -> None:
        """Add entries to connect_to. Those that are there already stay. Raises InvalidInput."""
        entries = read_connect_to(more)
        with self._lock:
            self._connect_to = {**entries, **self._connect_to}

    def target_of(self, place: Place) -> str:
        """Return "host:port" to which TCP connects for a place."""
        with self._lock:
            return self._connect_to.get(place.address.lower(), place.address)

    def name_host(self, place: Place, host: str) -> None:
        """Send `host` as the header Host to a place from now on, in place of its own host and port."""
        with self._lock:
            self._hosts[place] = host

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections. Requests can still be sent, but their connections are not kept."""
        with self._lock:
            self._is_closed = True
            kept = [connection for connections in self._kept.values() for connection in connections]
            self._kept.clear()
        for connection in kept:
            connection.socket.close()

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        """Send one request, and return its answer or why there is none. `timeout`: in seconds, for all of it.

        Without it, it is that of the sender, but less after a place did not answer in time. A place that has never
        answered is not asked again then: the reason is that of the first time. Redirects are not followed. A body of
        more than 256 KiB is cut.
        """
        tag = secrets.token_hex(6)
        message = message_of(request, tag, self._hosts.get(place, place.netloc), client_address_of(place))
        if message is None:
            return NoAnswer(place, request, tag, "not_asked", "the request contains a character that cannot be sent")
        refusal = self._refusal(place)
        if refusal:
            return NoAnswer(place, request, tag, *refusal)
        begin = time.monotonic()
        deadline = Deadline(self._patience.seconds(place) if timeout is None else timeout)
        got = self._ask(place, request, tag, message, deadline)
        if isinstance(got, Answer):
            self._patience.answered(place)
        elif timeout is None:
            self._patience.failed(place, got.kind, got.reason, time.monotonic() - begin)
        return got

    def _ask(self, place: Place, request: Request, tag: str, message: bytes, deadline: Deadline) -> Answer | NoAnswer:
        is_repeatable = request.method in _REPEATABLE and not request.is_sent_once
        kept = self._take(place) if is_repeatable else None
        if kept:
            sent = _Exchange(kept, place, request, tag, deadline)
            got = sent.run(message)
            # The other end may have closed a connection that was not used.
            if isinstance(got, Answer) or got.kind != "closed" or sent.has_begun:
                self._give_back(place, sent)
                return got
            kept.socket.close()
        try:
            connection = self._connect(place, self._context, deadline)
        except NotConnected as error:
            return NoAnswer(place, request, tag, error.kind, error.reason)
        sent = _Exchange(connection, place, request, tag, deadline)
        got = sent.run(message)
        self._give_back(place, sent)
        return got

    @contextlib.contextmanager
    def open(
        self, place: Place, timeout: float | None = None, context: ssl.SSLContext | None = None
    ) -> t.Iterator[socket.socket]:
        """Give a new connection, which is closed at the end, for what is not a usual request. It counts as a request.

        `timeout`: in seconds, to connect, and of each operation of the socket. `context`: other settings of TLS than
        those for requests. Raises NotConnected, which is an OSError with the `kind` and the `reason` of NoAnswer.
        """
        refusal = self._refusal(place)
        if refusal:
            raise NotConnected(*refusal)
        seconds = self._patience.seconds(place) if timeout is None else timeout
        begin = time.monotonic()
        try:
            connection = self._connect(place, context or self._context, Deadline(seconds))
        except NotConnected as error:
            self._patience.failed(place, error.kind, error.reason, time.monotonic() - begin)
            raise
        with connection.socket:
            connection.socket.settimeout(seconds)
            yield connection.socket

    def _connect(self, place: Place, context: ssl.SSLContext, deadline: Deadline) -> Connection:
        try:
            return connect(place, self.target_of(place), context, deadline)
        except ValueError as error:
            raise NotConnected("unresolved", f"{place.address} is not a valid host and port") from error

    def _refusal(self, place: Place) -> tuple[str, str] | None:
        """Count a request, or return the kind and the reason of a NoAnswer if it is not sent."""
        refusal = self._patience.refusal(place)
        if refusal:
            return refusal
        with self._lock:
            if self._sent >= self._most_requests:
                return "not_asked", f"the limit of {self._most_requests} requests was reached"
            self._sent += 1
        return None

    def _take(self, place: Place) -> Connection | None:
        while True:
            with self._lock:
                connections = self._kept.get(place)
                if not connections:
                    return None
                connection = connections.pop()
            # Nothing was asked, so what can be read is the end of the connection.
            poll = select.poll()
            poll.register(connection.socket, select.POLLIN)
            if not poll.poll(0):
                return connection
            connection.socket.close()

    def _give_back(self, place: Place, sent: _Exchange) -> None:
        with self._lock:
            connections = self._kept.setdefault(place, [])
            if sent.is_reusable and not self._is_closed and len(connections) < _MOST_KEPT:
                connections.append(sent.connection)
                return
        sent.connection.socket.close()


class _Exchange:
    """One request and its answer on a connection."""

    def __init__(self, connection: Connection, place: Place, request: Request, tag: str, deadline: Deadline) -> None:
        self.connection = connection
        self.is_reusable = False
        self._place = place
        self._request = request
        self._tag = tag
        self._deadline = deadline
        self._stream = Stream(connection.socket, deadline)

    @property
    def has_begun(self) -> bool:
        """Whether a part of the answer has arrived."""
        return self._stream.has_begun

    def run(self, message: bytes) -> Answer | NoAnswer:
        """Send `message` and read the answer."""
        begin = time.monotonic()
        label = self.connection.label
        try:
            # Who refuses a request before all of it has arrived may have sent an answer.
            with contextlib.suppress(ConnectionError):
                self._write(message)
            received = read_answer(self._stream, self._request.method)
        except NotHttp as error:
            return self._nothing("not_http", f"{label} does not answer as HTTP requires: {error}")
        except (Ended, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            part = "in the middle of its answer" if self.has_begun else "without an answer"
            return self._nothing("closed", f"{label} closed the connection {part}")
        except ssl.SSLError as error:
            words = (error.reason or "an error of TLS").replace("_", " ").lower()
            return self._nothing("tls", f"{label} ended TLS ({words})")
        except OSError as error:
            if not is_timeout(error):
                return self._nothing("closed", f"{label} closed the connection ({error.strerror or error})")
            part = "did not complete its answer" if self.has_begun else "accepted the connection, but did not answer"
            return self._nothing("silent", f"{label} {part} within {self._deadline.seconds:g} seconds")
        self.is_reusable = received.is_reusable
        return self._answer(received, time.monotonic() - begin)

    def _write(self, message: bytes) -> None:
        position = 0
        while position < len(message):
            self.connection.socket.settimeout(self._deadline.left())
            position += self.connection.socket.send(message[position : position + _PIECE])

    def _nothing(self, kind: str, reason: str) -> NoAnswer:
        return NoAnswer(self._place, self._request, self._tag, kind, reason)

    def _answer(self, received: Received, seconds: float) -> Answer:
        # A server can repeat what it was sent. Here nothing of it has been cut yet.
        hidden = secrets_of(self._request)
        return Answer(
            place=self._place,
            request=self._request,
            tag=self._tag,
            status=received.status,
            headers=tuple((name, without(value, hidden)) for name, value in received.headers),
            body=without(received.body.decode("latin-1"), hidden).encode("latin-1"),
            seconds=seconds,
            version=received.version,
            address=self.connection.address,
            local_address=self.connection.local_address,
        )
