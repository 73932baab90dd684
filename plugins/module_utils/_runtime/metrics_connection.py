# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One request to a listener on this host, which ends within a given time and returns a limited amount of text.

Relies on /proc/<pid>/root (proc(5)) and SO_PEERCRED (unix(7)) for Unix sockets. The resource `metrics` of Synapse 1.163
answers at /_synapse/metrics.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import ssl
import struct
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import Place, place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._unix_socket import connect_to_path

_BYTES_AT_MOST = 64 * 1024 * 1024
_PIECE = 256 * 1024
_CREDENTIALS = struct.Struct("3i")
_NOT_RESTARTED = "Synapse was probably not restarted since the listener was changed."


class Response(t.NamedTuple):
    """The text of a response. `certificate`: the certificate that the server presented, as DER, None without TLS.

    `is_certain`: it was proven by the connection itself that the process serves it, which only a Unix socket can prove.
    """

    text: str
    certificate: bytes | None
    is_certain: bool


def fetch(url: str, pid: int, timeout: float, proc: str = "/proc") -> Response:
    """Return the response of `url`, at which the process `pid` is expected. `timeout`: in seconds, for all of it.

    Raises ConnectionFailed if there is no complete response in this time. Raises UnexpectedAnswer for any status other
    than 200, for more than 64 MiB, and if another process has opened the Unix socket.
    """
    deadline = Deadline(timeout)
    with contextlib.ExitStack() as stack:
        try:
            place = place_of(url)
            connection = stack.enter_context(_connect(place, pid, deadline, proc))
            if place.unix_path:
                _check_peer(connection, url, pid)
            certificate = None
            if place.tls:
                connection = stack.enter_context(_encrypt(connection, deadline))
                certificate = connection.getpeercert(binary_form=True)
            text = _request(_BoundedSocket(connection, deadline), url, place.path)
        except ssl.SSLError as error:
            message = f"GET {url} failed: {_reason(error)}. The listener may not use TLS. {_NOT_RESTARTED}"
            raise ConnectionFailed(message) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ConnectionFailed(f"GET {url} failed: {_reason(error)}.") from error
    return Response(text, certificate, bool(place.unix_path))


class _BoundedSocket:
    """The part of a socket that http.client uses. A timeout of a socket itself is only one for each of its reads."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, request: bytes) -> None:
        """Send all of `request`."""
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(request)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file that reads from the socket."""
        return io.BufferedReader(_BoundedReader(self._connection, self._deadline), _PIECE)


class _BoundedReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


def _connect(place: Place, pid: int, deadline: Deadline, proc: str) -> socket.socket:
    if place.unix_path:
        return _connect_at_path(place.unix_path, pid, deadline, proc)
    failure = OSError("no such host")
    for family, kind, protocol, _name, address in socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.left())
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _connect_at_path(path: str, pid: int, deadline: Deadline, proc: str) -> socket.socket:
    try:
        # The process can have a /tmp of its own (PrivateTmp of systemd).
        opened = os.open(f"{proc}/{pid}/root{path}", os.O_PATH)
    except PermissionError:
        opened = os.open(path, os.O_PATH)
    try:
        # The path of a socket has at most 107 bytes. This one is short.
        return connect_to_path(f"/proc/self/fd/{opened}", deadline.left)
    finally:
        os.close(opened)


def _check_peer(connection: socket.socket, url: str, pid: int) -> None:
    # Another user may have replaced the path, or a part of it. The kernel knows which process listens at this end.
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    peer = _CREDENTIALS.unpack(credentials)[0]
    if peer != pid:
        raise UnexpectedAnswer(f"{url} is served by a different process{f', process {peer}' if peer else ''}.")


def _encrypt(connection: socket.socket, deadline: Deadline) -> ssl.SSLSocket:
    # The listener is on this host, and its process is proven by the inode of its socket, so encryption proves nothing
    # more. The certificate has the name of the server and not of 127.0.0.1, and may have expired. If the process is not
    # proven, the caller compares the certificate with that of the configuration, byte for byte.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection.settimeout(deadline.left())
    return context.wrap_socket(connection)


def _request(connection: _BoundedSocket, url: str, path: str) -> str:
    # Without Accept-Encoding, the response is not compressed, so its size is known.
    connection.sendall(
        f"GET {path or '/'} HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain; version=0.0.4\r\n"
        "Connection: close\r\n\r\n".encode("ascii")
    )
    with contextlib.closing(http.client.HTTPResponse(t.cast(socket.socket, connection), method="GET")) as response:
        response.begin()
        if response.status != 200:
            why = f" It does not serve metrics there. {_NOT_RESTARTED}" if response.status == 404 else ""
            raise UnexpectedAnswer(f"GET {url} failed: status {response.status}.{why}")
        pieces: list[bytes] = []
        size = 0
        while piece := response.read(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > _BYTES_AT_MOST:
                raise UnexpectedAnswer(f"GET {url} failed: the response has more than {_BYTES_AT_MOST} bytes.")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces).decode("utf-8", errors="replace")


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error)[:200]
    return "".join(character if character.isprintable() else "?" for character in text)
