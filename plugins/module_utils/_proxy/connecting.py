# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Connections to a place: name resolution, TCP, TLS, and in plain words why there is none."""

from __future__ import annotations

import errno
import ipaddress
import os
import queue
import re
import socket
import ssl
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_authorities
from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import joined
from ansible_collections.matrix_ops.synapse.plugins.module_utils._unix_socket import connect_to_path, problem_of

# In seconds, for each address of a host.
_LONGEST_CONNECT = 5.0
_MOST_ADDRESSES = 8
# In the log of a server on the same host, it shows which requests came directly from here.
LOOPBACK_SOURCE = "127.0.0.77"
_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^\s\[\]:/@?#]+)):([0-9]{1,5})")
# OpenSSL has these words for a server that answers the TLS handshake with text.
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
}
NO_AGREEMENT = "did not agree on TLS"
# Parts of what OpenSSL says, in lower case, and what it means.
_VERSIONS = "there is no common version of TLS, of which this host needs 1.2 or newer"
_PLAIN_WORDS = (
    ("protocol version", _VERSIONS),
    ("unsupported protocol", _VERSIONS),
    ("no protocols available", _VERSIONS),
    ("wrong ssl version", _VERSIONS),
    ("unrecognized name", "it has no certificate for this name"),
    ("internal error", "it has an error of its own, which is often that it has no certificate for this name"),
    ("handshake failure", "there is no common cipher, or it has no certificate for this name"),
    ("no shared cipher", "there is no common cipher"),
    ("dh key too small", "its Diffie-Hellman key is too short"),
    ("key too small", "the key of its certificate is too short"),
    ("unknown error", "without a reason"),
)
# If the addresses of a host fail for different reasons, the one that shows most.
_MOST_TELLING = ("refused", "timeout", "unreachable")


class NotConnected(OSError):
    """There is no connection. `kind` and `reason` are those of NoAnswer, `verify_code` is that of OpenSSL or 0."""

    def __init__(self, kind: str, reason: str, verify_code: int = 0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.verify_code = verify_code


class Connection(t.NamedTuple):
    """A connection. `label`: the place, and the address to which the connection was made if that differs.

    `address`: the IP address and the port of the other end. `local_address`: the IP address of this end.
    """

    socket: socket.socket
    label: str
    address: str
    local_address: str


def read_connect_to(values: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the entries of the option connect_to, each "host:port" to "host:port", in lower case.

    Raises InvalidInput if a text is not a host and a port, or if an IPv6 address is not in brackets.
    """
    return {_address_text(key): _address_text(value) for key, value in values.items()}


def split_address(text: str) -> tuple[str, int]:
    """Return the host without brackets and the port. Raises ValueError if it is something else."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(text)
    if match[1]:
        ipaddress.IPv6Address(match[1])
    return match[1] or match[2], int(match[3])


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Return the settings of TLS. `verify`: whether to verify certificates, or the path of authorities.

    Raises InvalidInput if the authorities cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    # The default of Python 3.10 and newer, and what browsers need.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Synapse and browsers do.
    context.hostname_checks_common_name = False
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif verify is True:
        context.load_default_certs()
    else:
        checked_authorities(verify, "ca_path")
        context.load_verify_locations(**{"capath" if os.path.isdir(verify) else "cafile": verify})
    return context


def connect(place: Place, target: str, context: ssl.SSLContext, deadline: Deadline) -> Connection:
    """Return a new connection to `place`, with TLS for https. `target`: "host:port" to which TCP connects.

    A place with a Unix socket has no `target`. Raises NotConnected.
    """
    if place.unix_socket:
        return _connect_to_socket(place.unix_socket, deadline)
    failures: list[NotConnected] = []
    for family, address in addresses_of(target, deadline)[:_MOST_ADDRESSES]:
        label = _label(place, address)
        try:
            plain = _connect_to_address(family, address, deadline)
        except OSError as error:
            failures.append(_why_not(label, error))
            continue
        connected = plain if place.scheme == "http" else _encrypt(plain, context, place, label, deadline)
        local = str(connected.getsockname()[0])
        return Connection(connected, label, _text_of(address), local)
    kind = next(kind for kind in (*_MOST_TELLING, failures[0].kind) if kind in [failure.kind for failure in failures])
    raise NotConnected(kind, ", ".join(dict.fromkeys(failure.reason for failure in failures)))


def client_address_of(place: Place) -> str:
    """Return which address a request to a place has to name, because the connection shows none; "" if it shows one."""
    return LOOPBACK_SOURCE if place.unix_socket else ""


def addresses_of(target: str, deadline: Deadline) -> list[tuple[int, tuple[t.Any, ...]]]:
    """Return the family and the address of a socket for each IP address of a host. `target`: "host:port".

    Raises NotConnected, and ValueError if `target` is something else.
    """
    host, port = split_address(target)
    answers: queue.SimpleQueue[t.Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        # A name that cannot be encoded is a ValueError.
        except (OSError, ValueError) as error:
            answers.put(error)

    # The resolver of the system has time limits of its own, which can be longer.
    threading.Thread(target=look_up, daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left())
    except (queue.Empty, TimeoutError):
        raise NotConnected("unresolved", f"no name server answered for {host} in time") from None
    if isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN:
        raise NotConnected("unresolved", f"the name servers gave no answer for {host} ({found.strerror})")
    if isinstance(found, Exception):
        reason = getattr(found, "strerror", None) or "it is not a valid name"
        raise NotConnected("unresolved", f"the name {host} has no address ({reason})")
    return [(family, address) for family, _type, _protocol, _name, address in found]


def is_timeout(error: BaseException) -> bool:
    """Whether a time limit of a socket has been exceeded."""
    # Before Python 3.10, these are different.
    return isinstance(error, (TimeoutError, socket.timeout))


def shown(text: str, most: int = 100) -> str:
    """Return what another program has sent as text for a sentence: without control characters, and not too long."""
    clean = " ".join("".join(character if character.isprintable() else " " for character in text[: 4 * most]).split())
    return clean if len(clean) <= most else f"{clean[:most]}..."


def _address_text(value: t.Any) -> str:
    try:
        host, port = split_address(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"connect_to contains {value!r}, which is not a host and a port, such as matrix.example.org:443 or"
            " [2001:db8::1]:443."
        ) from error
    return joined(host.lower(), port)


def _label(place: Place, address: tuple[t.Any, ...]) -> str:
    text = _text_of(address)
    return text if text == place.address else f"{place.address} ({text})"


def _text_of(address: tuple[t.Any, ...]) -> str:
    return joined(str(address[0]), int(address[1]))


def _connect_to_address(family: int, address: tuple[t.Any, ...], deadline: Deadline) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(min(deadline.left(), _LONGEST_CONNECT))
        if family == socket.AF_INET and str(address[0]).startswith("127."):
            try:
                connection.bind((LOOPBACK_SOURCE, 0))
            except OSError:
                # Not all systems have more than one address on loopback.
                connection.close()
                connection = socket.socket(family, socket.SOCK_STREAM)
                connection.settimeout(min(deadline.left(), _LONGEST_CONNECT))
        connection.connect(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_socket(path: str, deadline: Deadline) -> Connection:
    try:
        return Connection(connect_to_path(path, deadline.left), path, path, LOOPBACK_SOURCE)
    except OSError as error:
        if is_timeout(error):
            raise NotConnected("timeout", f"{path} did not accept the connection in time") from error
        kind = "refused" if isinstance(error, ConnectionRefusedError) else "unreachable"
        problem = problem_of([error], path).partition(". ")[0]
        raise NotConnected(kind, problem or f"{path}: {error}") from error


def _why_not(label: str, error: OSError) -> NotConnected:
    if is_timeout(error) or error.errno == errno.ETIMEDOUT:
        return NotConnected("timeout", f"{label} did not accept the connection in time")
    if isinstance(error, ConnectionRefusedError):
        return NotConnected("refused", f"{label} refused the connection")
    return NotConnected("unreachable", f"{label} cannot be reached ({error.strerror or error})")


def _encrypt(
    plain: socket.socket, context: ssl.SSLContext, place: Place, label: str, deadline: Deadline
) -> ssl.SSLSocket:
    try:
        plain.settimeout(deadline.left())
        # The dot at the end of a name is not in certificates.
        return context.wrap_socket(plain, server_hostname=place.host.rstrip("."))
    except (OSError, ValueError) as error:
        plain.close()
        raise _why_no_tls(label, error) from error


def _why_no_tls(label: str, error: Exception) -> NotConnected:
    if is_timeout(error):
        return NotConnected("silent", f"{label} accepted the connection, but did not answer the TLS handshake in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotConnected(
            "certificate",
            f"{label} has a certificate that was not accepted: {error.verify_message}",
            error.verify_code,
        )
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        return NotConnected("tls", f"{label} does not use TLS")
    # Before Python 3.10, the first is reported where it is now the second.
    if isinstance(error, (ssl.SSLZeroReturnError, ssl.SSLEOFError, ConnectionError)):
        return NotConnected("tls", f"{label} closed the connection during the TLS handshake")
    words = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
    plain = next((plain for part, plain in _PLAIN_WORDS if part in words), shown(words, 200))
    return NotConnected("tls", f"{label} {NO_AGREEMENT} ({plain})")
