# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a connection is made with, checked before it is made: the URL, the token, the authorities, the patience."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# A day, in seconds: what the system's own clocks cannot hold is no timeout.
_LONGEST_TIMEOUT = 86400


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this one, by its address or as localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_base_url(base_url: str) -> str:
    """Return the URL without what is superfluous in it. Raises InvalidInput if it is not the URL of a server."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        labels = (parts.hostname or "").rstrip(".").split(".")
        valid = parts.scheme in ("http", "https") and all(labels) and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise InvalidInput("base_url is not a URL: write it as http://127.0.0.1:8008.") from None
    if parts.username or parts.password:
        raise InvalidInput("base_url holds a user name or password: Synapse takes an access token, leave them out.")
    if not valid or parts.query or parts.fragment:
        raise InvalidInput(f"base_url {base_url!r} is not the URL of a server: write it as http://127.0.0.1:8008.")
    path = parts.path.rstrip("/")
    if path.startswith(("/_matrix", "/_synapse")):
        raise InvalidInput(
            f"base_url {base_url!r} holds the path of an endpoint: leave out everything from {path[:8]} on."
        )
    return f"{parts.scheme}://{parts.netloc}{path}"


def checked_authorities(verify: bool | str, source: str) -> bool | str:
    """Return `verify` if it is a flag, or leads to certificates. Raises InvalidInput that begins with `source`."""
    if isinstance(verify, bool):
        return verify
    import ssl

    try:
        context = ssl.create_default_context()
        context.load_verify_locations(**{"capath" if os.path.isdir(verify) else "cafile": verify})
    except (OSError, ValueError) as error:
        reason = "holds no certificate"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            reason = f"cannot be read: {error.strerror}"
        raise InvalidInput(f"{source} {verify} {reason}.") from error
    return verify


def checked_timeout(timeout: float) -> float:
    """Return the number of seconds. Raises InvalidInput if that is none in which something could be waited for."""
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise InvalidInput(
            f"timeout is {timeout:g}: it is how many seconds an answer may take, more than 0 and at most"
            f" {_LONGEST_TIMEOUT}."
        )
    return timeout


def checked_access_token(access_token: str | None) -> str | None:
    """Return the token. Raises InvalidInput, which does not quote it, for what cannot be one."""
    # What no header can carry would fail deep below, in words that quote the token.
    if access_token and not re.fullmatch(r"[!-~]+", access_token):
        raise InvalidInput(
            "The access token holds characters that no access token has, such as white space:"
            " see whether it is complete, and alone in its file or variable."
        )
    return access_token
