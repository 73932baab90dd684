# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reading an answer of HTTP/1 from a connection, within limits of time and size, whatever the other end sends.

Follows RFC 9112. It is stricter than `http.client` in what it accepts, and keeps each header as it was sent.
"""

from __future__ import annotations

import re
import socket
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline

# In bytes. A body that is longer is cut.
LONGEST_BODY = 256 * 1024
_LONGEST_HEAD = 64 * 1024
_LONGEST_CHUNK_LINE = 1024
_MOST_INTERIM = 20
_PIECE = 64 * 1024
_STATUS_LINE = re.compile(rb"(HTTP/1\.[0-9]) ([1-9][0-9]{2})(?: .*)?")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")
# The first byte of an alert of TLS, which a server sends that expects TLS.
_TLS_ALERT = b"\x15"


class NotHttp(Exception):
    """What was received is not an answer of HTTP. The text is a piece of a sentence."""


class Ended(Exception):
    """The other end has closed the connection before the answer was complete."""


class Received(t.NamedTuple):
    """What was received. `is_reusable`: whether the connection can be used for another request."""

    version: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_reusable: bool


class Stream:
    """Reads from a socket. `has_begun`: whether anything was received."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = bytearray()
        self.has_begun = False

    @property
    def is_empty(self) -> bool:
        """Whether everything that was received has been read."""
        return not self._buffer

    def line(self, most: int) -> bytes:
        """Return a line without its end. Raises Ended, NotHttp if it has more than `most` bytes, and OSError."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > most:
                break
            self._receive()
        if end < 0 or end > most:
            raise NotHttp("a line of the answer is too long")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes. Raises Ended and OSError."""
        while len(self._buffer) < size:
            self._receive()
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def rest(self, most: int) -> bytes:
        """Return everything until the other end closes the connection, at most `most` bytes. Raises OSError."""
        try:
            while len(self._buffer) < most:
                self._receive()
        except Ended:
            pass
        return bytes(self._buffer[:most])

    def _receive(self) -> None:
        self._connection.settimeout(self._deadline.left())
        piece = self._connection.recv(_PIECE)
        if not piece:
            raise Ended
        self.has_begun = True
        self._buffer += piece


def read_answer(stream: Stream, method: str) -> Received:
    """Return the answer to a request with `method`. Raises NotHttp, Ended and OSError."""
    for _interim in range(_MOST_INTERIM):
        version, status, headers = _read_head(stream)
        # 101 ends HTTP on this connection, other ones are followed by the answer.
        if status >= 200 or status == 101:
            break
    else:
        raise NotHttp("it sends one interim answer (1xx) after another")
    tokens = {token.strip().lower() for value in _all(headers, "connection") for token in value.split(",")}
    keeps = "keep-alive" in tokens if version == "HTTP/1.0" else "close" not in tokens
    if status == 101:
        return Received(version, status, headers, b"", False)
    body, is_complete = _read_body(stream, method, status, headers)
    return Received(version, status, headers, body, keeps and is_complete and stream.is_empty)


def _read_head(stream: Stream) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    left = _LONGEST_HEAD
    line = stream.line(left)
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        expects_tls = line.startswith(_TLS_ALERT)
        raise NotHttp("it expects TLS" if expects_tls else "its first line is not one of HTTP/1")
    headers: list[tuple[str, str]] = []
    while line:
        left -= len(line) + 2
        if left <= 0:
            raise NotHttp("its headers are too long")
        line = stream.line(left)
        name, colon, value = line.decode("latin-1").partition(":")
        if line[:1] in (b" ", b"\t") and headers:
            # The value of the header before continues, which RFC 9112 calls obsolete.
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.decode('latin-1').strip()}")
        elif colon:
            headers.append((name.strip(), value.strip(" \t")))
    return match[1].decode(), int(match[2]), tuple(headers)


def _read_body(stream: Stream, method: str, status: int, headers: tuple[tuple[str, str], ...]) -> tuple[bytes, bool]:
    """Return the body, and whether it has ended without the end of the connection."""
    if method == "HEAD" or status in (204, 304):
        return b"", True
    codings = ",".join(_all(headers, "transfer-encoding")).lower()
    if codings:
        return _read_chunks(stream) if codings.rpartition(",")[2].strip() == "chunked" else (_until_end(stream), False)
    lengths = {length.strip() for value in _all(headers, "content-length") for length in value.split(",")}
    if not lengths:
        return _until_end(stream), False
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise NotHttp("its Content-Length is not a number")
    return stream.exactly(min(int(length), LONGEST_BODY)), int(length) <= LONGEST_BODY


def _until_end(stream: Stream) -> bytes:
    return stream.rest(LONGEST_BODY)


def _read_chunks(stream: Stream) -> tuple[bytes, bool]:
    body = bytearray()
    while True:
        match = _SIZE.fullmatch(stream.line(_LONGEST_CHUNK_LINE))
        if match is None:
            raise NotHttp("the size of a chunk is not a number")
        size = int(match[1], 16)
        if size == 0:
            break
        body += stream.exactly(min(size, LONGEST_BODY - len(body)))
        if len(body) >= LONGEST_BODY:
            return bytes(body), False
        if stream.line(_LONGEST_CHUNK_LINE):
            raise NotHttp("a chunk has another size than was announced")
    left = _LONGEST_HEAD
    while trailer := stream.line(left):
        left -= len(trailer) + 2
        if left <= 0:
            raise NotHttp("its headers are too long")
    return bytes(body), True


def _all(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]
