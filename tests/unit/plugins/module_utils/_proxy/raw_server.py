# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on loopback that answers each request with given bytes, also such as no real server sends."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place

# Gets the connection and the head of a request, and answers. Returns whether the connection stays open.
Handler = t.Callable[[socket.socket, bytes], bool]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an answer with a body. An underscore in the name of a header is a dash."""
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """Listens while it is entered. `heads`: what was received, without bodies; `connections`: how many there were.

    `certificate`: the path of a file with the certificates and the key, for TLS. `context`: other settings of TLS.
    """

    def __init__(self, handler: Handler, certificate: str = "", context: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.peers: list[str] = []
        self._handler = handler
        self._context = context
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.place = Place("https" if self._context else "http", "127.0.0.1", self.port)

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # Only this wakes a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self._listener.accept()
                self.connections += 1
                self.peers.append(peer[0])
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            received = b""
            while True:
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    received += piece
                head, _end, received = received.partition(b"\r\n\r\n")
                self.heads.append(head)
                if not self._handler(connection, head):
                    break
            # Without this, data that was not read would reset the connection.
            connection.shutdown(socket.SHUT_WR)
            connection.close()


def fixed(content: bytes, stays_open: bool = True) -> Handler:
    """Return what answers each request with `content`."""

    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(content)
        return stays_open

    return handler


def by_target(answers: t.Mapping[str, bytes], otherwise: bytes = b"") -> Handler:
    """Return what answers each target as given, and other ones with 404."""

    def handler(connection: socket.socket, head: bytes) -> bool:
        target = head.split(b" ", 2)[1].decode()
        connection.sendall(answers.get(target, otherwise or answer(404, b"<html>no</html>")))
        return True

    return handler
