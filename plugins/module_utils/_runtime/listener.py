# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Finds the process that has the listening socket of a URL, by the inode number of the socket.

Relies on /proc/net/tcp, tcp6 and unix (proc(5)) and on the links in /proc/<pid>/fd. It does not depend on a clock.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import Place, place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader

_LISTENS = "0A"
# A line of /proc/net/unix: number, references, protocol, flags (__SO_ACCEPTCON), type, state, inode, path.
_UNIX_LISTENS = re.compile(r"\S+: \S+ \S+ 00010000 0001 \S+ +(\d+) (.+)")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Socket(t.NamedTuple):
    """A listening socket: the address that it is bound to, as the kernel writes it, its inode number and its user.

    `uid`: None for a Unix socket, because the kernel does not show it.
    """

    address: str
    inode: int
    uid: int | None


class Owner(t.NamedTuple):
    """The process that answers at a URL. `is_own`: whether it is the process in question, None if that is hidden.

    `inodes`: the sockets at which a connection arrives, none if no process listens. `other`: a text that names another
    process that has them, "" if none can be seen. Several processes can share one address: then `is_own` is None too.
    """

    is_own: bool | None
    inodes: frozenset[int]
    other: str = ""


def owner_of(url: str, pid: int, proc: str = "/proc") -> Owner:
    """Return whether the process `pid` has the socket at which a connection to `url` arrives now.

    Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    place = place_of(url)
    sockets = _at_path(place.unix_path, pid, proc) if place.unix_path else _behind(place, proc)
    inodes = frozenset(found.inode for found in sockets)
    own = _sockets_of(pid, proc)
    if own is None:
        others = _holders(inodes, pid, proc)
        if inodes and (
            others or {found.uid for found in sockets}.isdisjoint({ProcessReader(pid, proc).user_number(), None})
        ):
            return Owner(False, inodes, others)
        return Owner(None, inodes)
    if not inodes & own:
        return Owner(False, inodes, _holders(inodes, pid, proc))
    # It is unknown which of the processes answers.
    return Owner(True, inodes) if inodes <= own else Owner(None, inodes, _holders(inodes, pid, proc))


def _at_path(path: str, pid: int, proc: str) -> list[Socket]:
    """Return the sockets that were bound to the Unix socket `path`, in the network namespace of the process `pid`.

    A process that binds a socket to a relative path has it here as it was given, so that the directory is unknown. Such
    sockets are left out, except those of the process itself.
    """
    directory = os.path.join(proc, str(pid))
    try:
        with open(os.path.join(directory, "net", "unix"), encoding="utf-8", errors="surrogateescape") as file:
            lines = [match for match in map(_UNIX_LISTENS.fullmatch, file.read().split("\n")) if match]
    except PermissionError:
        return []
    sockets = [Socket(line[2], int(line[1]), None) for line in lines]
    own = _sockets_of(pid, proc) or set()
    relative = [found for found in sockets if found.inode in own and not os.path.isabs(found.address)]
    base = os.readlink(os.path.join(directory, "cwd")) if relative else ""
    return [found for found in sockets if found.address == path] + [
        found for found in relative if os.path.join(base, found.address) == path
    ]


def _behind(place: Place, proc: str) -> list[Socket]:
    try:
        answers = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    # The sockets in the network namespace of this process, because this process connects.
    listening = {family: _listening(os.path.join(proc, "self", "net", family)) for family in ("tcp", "tcp6")}
    for answer in answers:
        for family, address in _bindings(str(answer[4][0])):
            wanted = f"{_as_kernel_writes(address)}:{place.port:04X}"
            found = [one for one in listening[family] if one.address == wanted]
            if found:
                return found
    return []


def _bindings(address: str) -> list[tuple[str, str]]:
    """Return the addresses to bind to that get connections to `address`, in the order in which the kernel chooses."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address):
        if number.ipv4_mapped is None:
            return [("tcp6", address), ("tcp6", "::")]
        address = str(number.ipv4_mapped)
    return [("tcp", address), ("tcp6", f"::ffff:{address}"), ("tcp", "0.0.0.0"), ("tcp6", "::")]


def _as_kernel_writes(address: str) -> str:
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _listening(path: str) -> list[Socket]:
    try:
        with open(path, encoding="ascii") as file:
            lines = [line.split() for line in file.readlines()[1:]]
    except FileNotFoundError:
        # A kernel without IPv6.
        return []
    return [Socket(line[1], int(line[9]), int(line[7])) for line in lines if line[3] == _LISTENS]


def _sockets_of(pid: int, proc: str) -> set[int] | None:
    directory = os.path.join(proc, str(pid), "fd")
    found: set[int] = set()
    try:
        for name in os.listdir(directory):
            try:
                match = _SOCKET.fullmatch(os.readlink(os.path.join(directory, name)))
            except OSError as error:
                # It has just been closed, or its name is longer than Linux returns. Names of sockets are short.
                if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                    continue
                raise
            if match:
                found.add(int(match[1]))
    except PermissionError:
        return None
    return found


def _holders(inodes: frozenset[int], pid: int, proc: str) -> str:
    found: list[str] = []
    for other in sorted(int(name) for name in os.listdir(proc) if name.isdigit()) if inodes else ():
        try:
            if other != pid and inodes & (_sockets_of(other, proc) or set()):
                with open(os.path.join(proc, str(other), "comm"), encoding="utf-8", errors="replace") as file:
                    found.append(f"process {other} ({file.read().strip()})")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ", ".join(found)
