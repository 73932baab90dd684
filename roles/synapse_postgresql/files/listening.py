# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a PostgreSQL on this host is reached: at which addresses, and in the directories of which sockets."""

from __future__ import annotations

import os
import socket
import typing as t

# Where Debian's PostgreSQL has its socket, and where its client looks for one.
SOCKET_DIRECTORY = "/var/run/postgresql"


class Listening(t.NamedTuple):
    """The settings listen_addresses and unix_socket_directories, without quotation marks."""

    addresses: list[str]
    directories: list[str]

    @property
    def directory(self) -> str:
        """The directory in which the administrator connects."""
        return self.directories[0] if self.directories else SOCKET_DIRECTORY


DEFAULT = Listening(["localhost"], [SOCKET_DIRECTORY])


def listening(settings: t.Callable[[str, str], str]) -> Listening:
    """Return where a server is reached. `settings`: returns the value of a setting, or a default."""
    addresses = settings("listen_addresses", "localhost")
    return Listening(_split(addresses), _split(settings("unix_socket_directories", SOCKET_DIRECTORY)))


def reached_at(host: str, server: Listening) -> str:
    """Return the first address of this host at which a client reaches the server, or "" if there is none."""
    own: list[str] = []
    for name in server.addresses:
        own += {"*": ["4", "6"], "0.0.0.0": ["4"], "::": ["6"]}.get(name) or addresses_of(name)
    for address in addresses_of(host):
        if address in own or ("6" if ":" in address else "4") in own:
            return address
    return ""


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a name of this host, in the order in which a client tries them."""
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        found = ["127.0.0.1"]
    return [address for address in found if _exists(address)]


def _exists(address: str) -> bool:
    """Return whether this host has the address: /etc/hosts often lists ::1 where there is no IPv6."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
            return True
    except OSError:
        return False


def refusal(host: str, server: Listening, prefix: str) -> str:
    """Return why the server is not reached at this host, or nothing. `prefix`: how the names of the variables begin."""
    if not host or host.startswith("/"):
        directory = host or SOCKET_DIRECTORY
        if os.path.realpath(directory) in map(os.path.realpath, server.directories):
            return ""
        place = ", ".join(server.directories) or "no directory"
        instead = server.directory if server.directories else "localhost"
        return (
            f"PostgreSQL has its socket in {place} (unix_socket_directories), but {prefix}_host is"
            f" {host or 'empty, which is ' + directory}. Set it to {instead}."
        )
    if reached_at(host, server):
        return ""
    return (
        f"PostgreSQL does not listen at {host}, which is {prefix}_host: its listen_addresses is"
        f" {', '.join(server.addresses) or 'empty'}. Set {prefix}_host to {server.directory}, or add {host} to"
        " listen_addresses and restart PostgreSQL."
    )


def _split(text: str) -> list[str]:
    return [name for name in (part.strip(" '\"") for part in text.split(",")) if name]
