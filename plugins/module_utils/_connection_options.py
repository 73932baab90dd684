# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Checks of the connection options before a connection is made: URL, access token, certificates and timeout."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# In bytes: more do not fit into the address of a socket (unix(7)).
_LONGEST_SOCKET = 107
# A day, in seconds. Much larger numbers are too large for the timers of the system.
_LONGEST_TIMEOUT = 86400


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this host: a loopback address or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_base_url(base_url: str, option: str = "base_url") -> str:
    """Return the URL in its normal form. Raises InvalidInput, which names the option, if it is not that of a server."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        labels = (parts.hostname or "").rstrip(".").split(".")
        valid = parts.scheme in ("http", "https") and all(labels) and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise InvalidInput(f"{option} is not a URL. Set it to a URL such as {_example(option)}.") from None
    if parts.username or parts.password:
        raise InvalidInput(
            f"{option} contains a user name or password. Remove them, because Synapse uses access tokens."
        )
    if not valid or parts.query or parts.fragment:
        raise InvalidInput(
            f"{option} {base_url!r} is not the URL of a server. Set it to a URL such as {_example(option)}."
        )
    path = parts.path.rstrip("/")
    if path.startswith(("/_matrix", "/_synapse")):
        raise InvalidInput(
            f"{option} {base_url!r} contains the path of an endpoint. Remove everything from {path[:8]} on."
        )
    return f"{parts.scheme}://{parts.netloc}{path}"


def _example(option: str) -> str:
    return "http://127.0.0.1:8008" if option == "base_url" else "https://matrix.example.org"


def checked_unix_socket(unix_socket: str | None, base_url: str) -> str:
    """Return the path of the socket, "" if there is none. Raises InvalidInput if it can never be one.

    `base_url`: the URL that is used with it.
    """
    if not unix_socket:
        return ""
    example = "Set it to the path of a listener of Synapse, such as /run/matrix-synapse/main.sock."
    try:
        size = len(unix_socket.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"unix_socket {unix_socket!a} is not text. {example}") from None
    if not unix_socket.isprintable():
        raise InvalidInput(f"unix_socket {unix_socket!a} contains control characters. {example}")
    if not unix_socket.startswith("/"):
        raise InvalidInput(f"unix_socket {unix_socket} is not an absolute path. {example}")
    if size > _LONGEST_SOCKET:
        raise InvalidInput(
            f"unix_socket {unix_socket} has {size} bytes, but the path of a socket has at most {_LONGEST_SOCKET}."
            " Set it to a shorter path, such as that of a symbolic link."
        )
    if base_url.lower().startswith("https:"):
        raise InvalidInput(
            f"unix_socket {unix_socket} is set, but base_url {base_url} begins with https://, and a Unix socket has no"
            " TLS. Begin base_url with http://."
        )
    return unix_socket


def checked_authorities(verify: bool | str, source: str) -> bool | str:
    """Return `verify` if it is a boolean or the path of certificates. Raises InvalidInput that begins with `source`."""
    if isinstance(verify, bool):
        return verify
    import ssl

    try:
        context = ssl.create_default_context()
        context.load_verify_locations(**{"capath" if os.path.isdir(verify) else "cafile": verify})
    except (OSError, ValueError) as error:
        reason = "contains no certificate"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            reason = f"cannot be read: {error.strerror}"
        raise InvalidInput(f"{source} {verify} {reason}.") from error
    return verify


def checked_timeout(timeout: float, option: str = "timeout") -> float:
    """Return the number of seconds. Raises InvalidInput, which names the option, if it is out of range."""
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise InvalidInput(
            f"{option} is {timeout:g}. Set it to a number of seconds that is more than 0 and at most"
            f" {_LONGEST_TIMEOUT}."
        )
    return timeout


def checked_access_token(access_token: str | None) -> str | None:
    """Return the token. Raises InvalidInput, without the token, if it has characters that no token has."""
    # A library would refuse such a header with a message that contains the token.
    if access_token and not re.fullmatch(r"[!-~]+", access_token):
        raise InvalidInput(
            "The access token contains characters that no access token has, such as white space."
            " Check that it is complete, and that its file or variable contains nothing else."
        )
    return access_token
