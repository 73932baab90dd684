# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The URL of a listener: over TCP, over TLS, or on a Unix socket.

For a Unix socket it has the form `http+unix://%2Frun%2Fsynapse%2Fmain.sock/_synapse/metrics`, which other clients use.
"""

from __future__ import annotations

import ipaddress
import typing as t
import urllib.parse

_UNIX = "http+unix"


class Place(t.NamedTuple):
    """Where a connection to a URL leads: to `host` and `port`, or to the Unix socket `unix_path` if that is not empty.

    `path`: the path of the request.
    """

    host: str
    port: int
    unix_path: str
    path: str
    tls: bool


def tcp_url(address: str, port: int, path: str, *, tls: bool = False) -> str | None:
    """Return the URL of a listener at `address`, a name or an IP address, or None if there is no such address."""
    if ":" in address:
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            return None
        # The scope of an address, such as %eth0, is quoted like any other percent sign (RFC 6874).
        host = f"[{address.replace('%', '%25')}]"
    else:
        try:
            host = urllib.parse.quote(address, safe="")
        except UnicodeEncodeError:
            return None
    return f"http{'s' if tls else ''}://{host}:{port}{path}"


def unix_url(unix_path: str, path: str) -> str | None:
    """Return the URL of a listener at the Unix socket `unix_path`, or None if there is no such path."""
    try:
        return None if "\0" in unix_path else f"{_UNIX}://{urllib.parse.quote(unix_path, safe='')}{path}"
    except UnicodeEncodeError:
        return None


def place_of(url: str) -> Place:
    """Return where a connection to `url` leads. Raises ValueError if it is not a URL."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == _UNIX:
        return Place("", 0, urllib.parse.unquote(parts.netloc), parts.path, False)
    host = urllib.parse.unquote(parts.hostname or "")
    return Place(host, parts.port or 0, "", parts.path, parts.scheme == "https")
