# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An upload of zeros that stops as soon as it is refused, or after a second."""

from __future__ import annotations

import contextlib
import re
import secrets
import select
import socket
import ssl
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import client_address_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.message import message_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.response import (
    Ended,
    NotHttp,
    Stream,
    read_answer,
)

# Without an access token, Synapse receives all of it, answers 401 M_MISSING_TOKEN, and stores nothing.
TARGET = "/_matrix/media/v3/upload"
# In seconds: to send the header; to wait for an answer to it alone; to send zeros; to wait for an answer to all of it.
_TO_BEGIN, _TO_REFUSE, _TO_SEND, _TO_ANSWER = 5.0, 0.7, 1.0, 5.0
# In seconds and bytes, of the body of the answer.
_TO_EXPLAIN, _LONGEST_ANSWER = 1.0, 64 * 1024
_ZEROS = bytes(64 * 1024)
_INTERIM = re.compile(rb"HTTP/1\.[0-9] 1[0-9]{2}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
_HEAD = re.compile(rb"(HTTP/1\.[0-9]) ([2-9][0-9]{2})[^\r\n]*\r\n(?P<fields>(?:[^\r\n]+\r\n)*)\r\n")
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(r"[0-9]{1,9}")
# What a socket without blocking raises if it has to be tried again.
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Opens(t.Protocol):
    """What opens connections."""

    def open(self, place: Place) -> contextlib.AbstractContextManager[socket.socket]:
        """Give a connected socket, with TLS for https. Raises OSError, whose text is a piece of a sentence."""


class Uploaded(t.NamedTuple):
    """How far an upload came.

    `sent`: how many bytes were handed to the system; the other end may have received fewer. `answer`: None if there was
    none. `is_closed`: whether the other end closed the connection without an answer.
    """

    sent: int
    answer: Answer | None
    is_closed: bool


def upload(opens: Opens, place: Place, size: int) -> Uploaded:
    """Begin to upload `size` bytes to a place, without an access token. Raises OSError if there is no connection.

    A proxy can refuse it because of its header alone, so the first byte is sent after a moment. What a proxy with a
    limit does besides: it answers, or closes the connection, after so many bytes.
    """
    tag = secrets.token_hex(6)
    headers = (
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(size)),
        ("Connection", "close"),
    )
    head = message_of(Request(TARGET, "POST", headers), tag, place.netloc, client_address_of(place))
    if head is None:
        raise OSError(f"{place.netloc} is not a valid host")
    with opens.open(place) as connection:
        connection.setblocking(False)
        exchange = _Exchange(connection, head, size)
        begin = time.monotonic()
        exchange.run()
        answer = exchange.answer(place, tag, time.monotonic() - begin)
    return Uploaded(exchange.sent, answer, exchange.is_closed and answer is None)


class _Exchange:
    """Sends on a connection, and watches for the answer at the same time."""

    def __init__(self, connection: socket.socket, head: bytes, size: int) -> None:
        self.is_closed = False
        self._connection = connection
        self._head = head
        self._size = size
        self._position = 0
        self._received = bytearray()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @property
    def sent(self) -> int:
        """How many bytes of the body were sent."""
        return max(self._position - len(self._head), 0)

    def run(self) -> None:
        """Send the header and the body, as far as they are wanted, and receive the answer."""
        all_of_it = len(self._head) + self._size
        self._send(_TO_BEGIN, len(self._head))
        self._wait(_TO_REFUSE, self._is_answered)
        self._send(_TO_SEND, all_of_it)
        if self._position == all_of_it:
            self._wait(_TO_ANSWER, self._is_answered)
        if self._is_answered():
            self._wait(_TO_EXPLAIN, self._is_complete)

    def answer(self, place: Place, tag: str, seconds: float) -> Answer | None:
        """Return what was received, None if it is not the header of an answer."""
        match = self._answered()
        if match is None:
            return None
        return Answer(
            place=place,
            request=Request(TARGET, "POST"),
            tag=tag,
            status=int(match[2]),
            headers=_fields(match),
            body=_body(bytes(self._received), match),
            seconds=seconds,
            version=match[1].decode(),
            address="",
            local_address="",
        )

    def _send(self, seconds: float, until: int) -> None:
        end = time.monotonic() + seconds
        while self._position < until and not self._is_answered() and not self.is_closed:
            if not self._next(end, select.POLLIN | select.POLLOUT):
                return
            self._receive()
            if not self._is_answered() and not self.is_closed:
                self._write(until)

    def _wait(self, seconds: float, is_over: t.Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while not is_over() and not self.is_closed and self._next(end, select.POLLIN):
            self._receive()

    def _next(self, end: float, events: int) -> bool:
        left = end - time.monotonic()
        self._poll.modify(self._connection, events)
        return left > 0 and bool(self._poll.poll(left * 1000))

    def _write(self, until: int) -> None:
        if self._position < len(self._head):
            piece = memoryview(self._head)[self._position :]
        else:
            piece = memoryview(_ZEROS)[: until - self._position]
        try:
            self._position += self._connection.send(piece)
        except _AGAIN:
            pass
        except OSError:
            # Who has refused may have sent an answer before closing.
            self._receive()
            self.is_closed = True

    def _receive(self) -> None:
        try:
            while not self.is_closed and len(self._received) < _LONGEST_ANSWER:
                piece = self._connection.recv(_LONGEST_ANSWER)
                self._received += piece
                self.is_closed = not piece
        except _AGAIN:
            pass
        except OSError:
            self.is_closed = True
        if len(self._received) >= _LONGEST_ANSWER:
            self.is_closed = True
        interim = _INTERIM.match(self._received)
        while interim:
            del self._received[: interim.end()]
            interim = _INTERIM.match(self._received)

    def _answered(self) -> re.Match[bytes] | None:
        return _HEAD.match(self._received)

    def _is_answered(self) -> bool:
        return bool(self._received) and self._answered() is not None

    def _is_complete(self) -> bool:
        match = self._answered()
        if match is None:
            return False
        length = next((value for name, value in _fields(match) if name.lower() == "content-length"), "")
        if _LENGTH.fullmatch(length):
            return len(self._received) - match.end() >= int(length)
        return self._received.endswith(_LAST_CHUNK)


class _Replay:
    """Gives what was received to the reader of answers."""

    def __init__(self, received: bytes) -> None:
        self._left = received

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing: it never waits."""

    def recv(self, size: int) -> bytes:
        """Return the next bytes, none at the end."""
        piece, self._left = self._left[:size], self._left[size:]
        return piece


def _body(received: bytes, head: re.Match[bytes]) -> bytes:
    replay = t.cast("socket.socket", _Replay(received))
    try:
        return read_answer(Stream(replay, Deadline(_TO_EXPLAIN)), "POST").body
    except (Ended, NotHttp, OSError):
        # Who refuses a body often closes the connection too early. The status tells enough.
        return received[head.end() :]


def _fields(match: re.Match[bytes]) -> tuple[tuple[str, str], ...]:
    fields = []
    for line in match["fields"].decode("latin-1").split("\r\n")[:-1]:
        name, _colon, value = line.partition(":")
        fields.append((name, value.strip()))
    return tuple(fields)
