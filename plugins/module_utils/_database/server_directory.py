# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The data directory of a PostgreSQL server, if it runs on this host.

A server tells only its own administrators where its data is. But the first of its processes works in that directory,
and the file postmaster.pid there names its port, socket and address (src/include/utils/pidfile.h of PostgreSQL).
"""

from __future__ import annotations

import contextlib
import os
import socket

_NAMES = ("postgres", "postmaster")
_PID_FILE = "postmaster.pid"
# More than the file ever has.
_LONGEST = 2**14


def find_server_directory(host: str, port: int, proc: str = "/proc") -> str:
    """Return a path that leads to the data directory of the server at `host` and `port`.

    "" if the server runs elsewhere, or if this user cannot see that: only root can, or the user of the server. A server
    in a container is not found either.
    """
    found = []
    with contextlib.suppress(OSError):
        for pid in filter(str.isdecimal, os.listdir(proc)):
            # It may end at any time, and may belong to others.
            with contextlib.suppress(OSError, ValueError):
                directory = os.path.join(proc, pid, "cwd")
                if _text(os.path.join(proc, pid, "comm")).strip() in _NAMES and _is_meant(directory, pid, host, port):
                    found.append(directory)
    return found[0] if len(found) == 1 else ""


def _is_meant(directory: str, pid: str, host: str, port: int) -> bool:
    """Return whether the first process of the server at `host` and `port` is this one, which works in `directory`."""
    number, _directory, _started, own_port, socket_directory, address, *_further = _text(
        os.path.join(directory, _PID_FILE)
    ).split("\n")
    if number != pid or int(own_port) != port:
        return False
    if host.startswith("/"):
        return os.path.realpath(socket_directory) == os.path.realpath(host)
    return bool(address) and _is_this_host(host)


def _is_this_host(host: str) -> bool:
    """Return whether a host is this one: what it sends to its own addresses, it sends from them."""
    own = []
    for family, _kind, _protocol, _name, address in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
        # Without IPv6, ::1 may still be listed.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Nothing is sent.
            probe.connect(address)
            own.append(probe.getsockname()[0] == address[0])
    return bool(own) and all(own)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST)
