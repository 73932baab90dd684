# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sockets of a process, as the kernel lists them.

Relies on /proc/<pid>/net/tcp, tcp6 and unix (proc(5)), which show the network namespace of that process, and on the
socket diagnostics of Linux for Unix sockets (sock_diag(7)). Only the latter name the other end of a connection.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import struct
import sys
import time
import typing as t

# An IP address as the 4 or 16 bytes that are sent on the network. Mapped IPv4 addresses have 4.
Address = bytes

_LISTENS = b"0A"
_MAPPED = bytes(10) + b"\xff\xff"
# Flag of a Unix socket that listens (__SO_ACCEPTCON).
_ACCEPTS = 0x10000

# linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h
_SOCK_DIAG, _BY_FAMILY, _REQUEST_DUMP, _ERROR, _DONE = 4, 20, 0x301, 2, 3
_SHOW_NAME_AND_PEER, _NAME, _PEER = 0x5, 0, 2
_STATE_LISTEN = 10
_REQUEST = struct.Struct("=LHHLLBBHLLL8s")
_MESSAGE, _ENTRY, _ATTRIBUTE = struct.Struct("=LHHLL"), struct.Struct("=BBBBL8s"), struct.Struct("=HH")
# In seconds. A host with 100,000 Unix sockets needs less.
_LONGEST = 0.5


class TcpSocket(t.NamedTuple):
    """A TCP socket that listens, or a connection in any state, also one that only the other end has closed."""

    listens: bool
    local: Address
    local_port: int
    remote: Address
    remote_port: int


class UnixSocket(t.NamedTuple):
    """A Unix socket: its own name and the name of the other end, each "" if it has none or it is not known.

    A name is a path, or @ and the name in the abstract namespace. An accepted connection has the name of its listener.
    """

    listens: bool
    name: str
    peer: str


def read_tcp_sockets(pid: int, inodes: t.Collection[int], proc: str = "/proc") -> dict[int, TcpSocket]:
    """Return those of the sockets `inodes` that are TCP sockets with an address, by inode number.

    Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    found: dict[int, TcpSocket] = {}
    directory = os.path.join(proc, str(pid), "net")
    # A kernel without IPv6 has no tcp6.
    for family in ("tcp", "tcp6") if os.path.exists(os.path.join(directory, "tcp6")) else ("tcp",):
        with open(os.path.join(directory, family), "rb") as file:
            # The first line has the headings.
            for line in itertools.islice(file, 1, None):
                fields = line.split(None, 10)
                inode = int(fields[9])
                if inode in inodes:
                    (local, _colon, local_port), (remote, _colon, remote_port) = (
                        fields[1].partition(b":"),
                        fields[2].partition(b":"),
                    )
                    found[inode] = TcpSocket(
                        fields[3] == _LISTENS,
                        _address(local),
                        int(local_port, 16),
                        _address(remote),
                        int(remote_port, 16),
                    )
    return found


def read_unix_sockets(pid: int, inodes: t.Collection[int], proc: str = "/proc") -> dict[int, UnixSocket]:
    """Return those of the sockets `inodes` that are Unix sockets, by inode number.

    The other end is unknown if it or the process is in another network namespace, or if the kernel has no diagnostics.
    Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    if _has_same_network(pid, proc):
        found = ask_kernel(inodes)
        if found is not None:
            return found
    return _listed(os.path.join(proc, str(pid), "net", "unix"), inodes)


def ask_kernel(inodes: t.Collection[int]) -> dict[int, UnixSocket] | None:
    """Return those of the sockets `inodes` that are Unix sockets in the network namespace of this process.

    Returns None if the kernel does not answer, or not completely.
    """
    # Mapped to whether it listens, and the inode number of the other end.
    wanted: dict[int, tuple[bool, int]] = {}
    names: dict[int, str] = {}
    try:
        for state, inode, attributes in _dump():
            if _NAME in attributes:
                names[inode] = _decoded(attributes[_NAME])
            if inode in inodes:
                peer = attributes.get(_PEER, bytes(4))
                wanted[inode] = state == _STATE_LISTEN, int.from_bytes(peer[:4], sys.byteorder)
    except (OSError, struct.error):
        return None
    return {
        inode: UnixSocket(listens, names.get(inode, ""), names.get(peer, ""))
        for inode, (listens, peer) in wanted.items()
    }


def packed(text: str) -> Address | None:
    """Return the IP address that is written as `text`, with brackets or not, or None if it is not an address."""
    text = text.strip("[]").partition("%")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return _unmapped(socket.inet_pton(family, text))
        except (OSError, ValueError):
            continue
    return None


def written(address: Address) -> str:
    """Return the usual text of an IP address."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


@functools.lru_cache(maxsize=1 << 16)
def _address(digits: bytes) -> Address:
    # The kernel writes words of 4 bytes as numbers.
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    return _unmapped(b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def _unmapped(address: Address) -> Address:
    return address[12:] if address.startswith(_MAPPED) else address


def _has_same_network(pid: int, proc: str) -> bool:
    try:
        other = os.readlink(os.path.join(proc, str(pid), "ns", "net"))
        return other == os.readlink(os.path.join(proc, "self", "ns", "net"))
    except (PermissionError, FileNotFoundError):
        return False


def _listed(path: str, inodes: t.Collection[int]) -> dict[int, UnixSocket]:
    found: dict[int, UnixSocket] = {}
    with open(path, "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(None, 7)
            # Any user can give a socket a name with a line break, and so add lines with any content.
            try:
                inode, flags = int(fields[6]), int(fields[3], 16)
            except (IndexError, ValueError):
                continue
            if inode not in inodes:
                continue
            name = os.fsdecode(fields[7]) if len(fields) > 7 else ""
            # If a line was added for the same socket, neither is used.
            found[inode] = UnixSocket(False, "", "") if inode in found else UnixSocket(bool(flags & _ACCEPTS), name, "")
    return found


def _dump() -> t.Iterator[tuple[int, int, dict[int, bytes]]]:
    """Yield the state, the inode number and the attributes of each Unix socket. Raises OSError or struct.error."""
    end = time.monotonic() + _LONGEST
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as diagnostics:
        diagnostics.settimeout(_LONGEST)
        diagnostics.send(
            _REQUEST.pack(
                _REQUEST.size,
                _BY_FAMILY,
                _REQUEST_DUMP,
                1,
                0,
                socket.AF_UNIX,
                0,
                0,
                0xFFFFFFFF,
                0,
                _SHOW_NAME_AND_PEER,
                b"\xff" * 8,
            )
        )
        while time.monotonic() < end:
            answer, position = diagnostics.recv(1 << 17), 0
            while position < len(answer):
                length, kind, *_rest = _MESSAGE.unpack_from(answer, position)
                if kind == _DONE:
                    return
                if kind == _ERROR or length < _MESSAGE.size:
                    raise OSError("The kernel does not list Unix sockets.")
                _family, _type, state, _pad, inode, _cookie = _ENTRY.unpack_from(answer, position + _MESSAGE.size)
                start = position + _MESSAGE.size + _ENTRY.size
                yield state, inode, _attributes(answer[start : position + length])
                position += _aligned(length)
    raise TimeoutError("The kernel needs too long to list Unix sockets.")


def _attributes(content: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position + _ATTRIBUTE.size <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, position)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = content[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _decoded(name: bytes) -> str:
    # A path ends with a NUL character, a name in the abstract namespace begins with one.
    path = name.partition(b"\0")[0]
    return os.fsdecode(path or name.replace(b"\0", b"@"))
