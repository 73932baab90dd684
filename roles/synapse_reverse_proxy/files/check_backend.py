# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the backend is the Synapse of the declared name, before the proxy forwards anything to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.listening_sockets import ports_of

# In seconds, for each step of the request.
ANSWER_LIMIT = 10
# Synapse answers it itself, and no other program has it.
PATH = "/_matrix/key/v2/server"
MOST_BYTES = 65536
SET_IT = "Set synapse_reverse_proxy_backend to the URL of its listener."


def backend_faults(question: dict[str, t.Any]) -> list[str]:
    """Return why requests to the backend would not reach the declared server, as a sentence."""
    if question["unix_socket"]:
        return asked(question, "http", "localhost", 80) if question["asks_backend"] else []
    url = urllib.parse.urlsplit(question["backend"])
    port = url.port or (443 if url.scheme == "https" else 80)
    host = url.hostname or ""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [
            f"synapse_reverse_proxy_backend is {question['backend']}, but nginx cannot find {host}: {error}. {SET_IT}"
        ]
    if port in ports_of(question) and is_here(addresses):
        return [
            f"synapse_reverse_proxy_backend is {question['backend']}, which is the proxy itself: it would send each "
            f"request to itself again and again. {SET_IT}"
        ]
    return asked(question, url.scheme, host, port) if question["asks_backend"] else []


def is_here(addresses: list[t.Any]) -> bool:
    """Return whether one of these addresses (of `socket.getaddrinfo`) is one of this host."""
    for family, kind, _protocol, _name, address in addresses:
        with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
            probe.bind((address[0], 0, *address[2:]))
            return True
    return False


def asked(question: dict[str, t.Any], scheme: str, host: str, port: int) -> list[str]:
    """Return what is wrong with the answer of the backend to a request, as a sentence."""
    place = f"synapse_reverse_proxy_backend ({question['backend']})"
    try:
        status, body = answer_of(scheme, host, port, question["unix_socket"])
    except OSError as error:
        # In check mode, the Synapse that would be installed before is not there yet.
        return [] if question["may_be_down"] else [f"{place} does not answer: {error}. Start Synapse first. {SET_IT}"]
    except http.client.HTTPException as error:
        return [f"{place} does not answer as Synapse does: {type(error).__name__}. {SET_IT}"]
    try:
        said = json.loads(body)
        running, code = said.get("server_name"), said.get("errcode")
    except (ValueError, AttributeError):
        running = code = None
    if running and running != question["server_name"]:
        return [
            f"{place} is the server {running}, but synapse_reverse_proxy_server_name is {question['server_name']}. "
            f"Correct one of both."
        ]
    if not running and not code:
        return [f"{place} is not Synapse: it answers {PATH} with status {status}, and without JSON of Matrix. {SET_IT}"]
    return []


class SocketConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        """`path`: that of the socket. Connects with the first request."""
        super().__init__("localhost", timeout=ANSWER_LIMIT)
        self._path = path

    def connect(self) -> None:
        """Connect; raises `OSError`."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_LIMIT)
        self.sock.connect(self._path)


def answer_of(scheme: str, host: str, port: int, unix_socket: str) -> tuple[int, bytes]:
    """Return status and body, over the socket if there is one; raises `OSError` or `http.client.HTTPException`."""
    # nginx does not verify the certificate of a backend either.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = (
        SocketConnection(unix_socket)
        if unix_socket
        else http.client.HTTPSConnection(host, port, timeout=ANSWER_LIMIT, context=context)
        if scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=ANSWER_LIMIT)
    )
    with contextlib.closing(connection):
        connection.request("GET", PATH)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
