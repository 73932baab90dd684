# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nginx of this host listens, and who else does."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import read


def has_ipv6() -> bool:
    """Return whether this host has IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def addresses_of(question: dict[str, t.Any]) -> list[str]:
    """Return the addresses on which nginx listens."""
    return question["addresses"] or ["0.0.0.0", *(["::"] if has_ipv6() else [])]


def ports_of(question: dict[str, t.Any]) -> set[int]:
    """Return the ports on which nginx listens."""
    return {int(port) for ports in question["ports"].values() for port in ports}


def listening() -> list[tuple[str, int, str]]:
    """Return address, port and inode of each TCP socket that listens on this host."""
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in (read(f"/proc/net/{table}") or "").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] != "0A":
                continue
            parts = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
            packed = b"".join(part.to_bytes(4, sys.byteorder) for part in parts)
            found.append((socket.inet_ntop(family, packed), int(port, 16), fields[9]))
    return found


def owners_of(inodes: set[str]) -> dict[str, str]:
    """Return the names of the programs that have these sockets, as far as they can be seen."""
    names = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names[os.path.dirname(path)] = (read(path) or "").strip()
    found: dict[str, str] = {}
    # Usually nginx has all of them, and no other process has to be looked at.
    for process, name in sorted(names.items(), key=lambda item: item[1] != "nginx"):
        if len(found) == len(inodes):
            break
        for link in glob.glob(f"{process}/fd/*"):
            with contextlib.suppress(OSError):
                inode = os.readlink(link)[len("socket:[") : -1]
                if inode in inodes:
                    found[inode] = name
    return found


def taken_ports(question: dict[str, t.Any]) -> list[str]:
    """Return which ports another program than nginx has, as sentences: nginx would not notice before it needs them."""
    ours = addresses_of(question)
    ports = ports_of(question)
    taken = [
        (address, port, inode)
        for address, port, inode in listening()
        if port in ports
        and any(
            (":" in address) == (":" in mine) and ({address, mine} & {"0.0.0.0", "::"} or address == mine)
            for mine in ours
        )
    ]
    owners = owners_of({inode for _address, _port, inode in taken}) if taken else {}
    others = {port: owners.get(inode, "") for _address, port, inode in taken if owners.get(inode) != "nginx"}
    return [
        f"Port {port} of this host is used by {others[port] or 'another program'}, so nginx cannot listen there. Stop "
        f"that program, or set {question['port_names'][str(port)]} to another port."
        for port in sorted(others)
    ]
