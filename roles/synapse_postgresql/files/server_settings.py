# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings of PostgreSQL this role writes: sizes by the memory of the host, and enough connections."""

from __future__ import annotations

import re
import typing as t

MIB = 1024 * 1024
# What initdb writes into postgresql.conf. Other values there are those of an administrator.
_PACKAGED = {"shared_buffers": 128 * MIB, "max_connections": 100}
_UNITS = {"B": 1, "kB": 1024, "8kB": 8192, "MB": MIB, "GB": 1024 * MIB, "TB": MIB * MIB}
_SIZES = ("shared_buffers", "effective_cache_size", "maintenance_work_mem", "work_mem")
NAMES = (*_SIZES, "max_connections")
# For administrators, backups and monitoring.
_FURTHER_CONNECTIONS = 20
# PostgreSQL has at most 262143 processes (MAX_BACKENDS), of which some are not for connections.
_MOST_CONNECTIONS = 262000
# A size that is this near stays: the memory that a system reports is not always the same.
_NEAR = (0.75, 1.3)
MARK = "# Written by the role matrix_ops.synapse.synapse_postgresql, which overwrites what is changed here."

Row = dict[str, t.Any]


def wanted_sizes(memory: int, share: int, connections: int) -> dict[str, int]:
    """Return sizes in bytes. `memory`: of the host, of which PostgreSQL may use `share` percent."""
    usable = memory * share // 100
    shared = _rounded(min(usable // 4, 8192 * MIB))
    return {
        "shared_buffers": shared,
        "effective_cache_size": _rounded(usable * 3 // 4),
        "maintenance_work_mem": _rounded(min(usable // 20, 1024 * MIB)),
        # A query can use several of them, and Synapse has up to this many queries at the same time.
        "work_mem": _rounded(min((usable - shared) // max(connections * 3, 1), 64 * MIB)),
    }


def _rounded(size: int) -> int:
    """Return the greatest size that is not greater, among those with three significant bits, in MiB."""
    number = size // MIB
    shift = max(number.bit_length() - 3, 0)
    return (number >> shift << shift) * MIB


def needed_connections(processes: int, most: int) -> int:
    """Return how many connections Synapse can have. `most`: of one process (cp_max)."""
    return max(processes, 1) * most


def impossible(connections: int) -> str:
    """Return why no server can have as many connections as Synapse needs, or nothing."""
    most = _MOST_CONNECTIONS - _FURTHER_CONNECTIONS
    if connections <= most:
        return ""
    return (
        f"Synapse can have {connections} connections, but no PostgreSQL can have more than {most} for it. Reduce"
        " synapse_homeserver_postgresql_cp_max or synapse_postgresql_processes."
    )


class Server(t.NamedTuple):
    """The settings of a server: `current` are the rows of pg_settings by their names, `written` those in its files.

    `included_at`: the line of postgresql.conf that reads the file of this role, or 0 if it is not known.
    """

    current: dict[str, Row]
    written: list[Row]
    included_at: int = 0

    def value(self, name: str) -> int:
        """Return the present value, a size in bytes."""
        return in_bytes(self.current[name]["setting"], self.current[name]["unit"])

    def setting(self, name: str, default: str = "") -> str:
        """Return the present value as text."""
        return str(self.current[name]["setting"]) if name in self.current else default

    def place(self, name: str, path: str) -> str:
        """Return where somebody else than this role has set it, or nothing. `path`: the file of this role."""
        main = self.setting("config_file")
        for row in self.written:
            if row["name"] != name or row["sourcefile"] == path:
                continue
            packaged = row["sourcefile"] == main and in_bytes(row["setting"], self.current[name]["unit"]) == (
                _PACKAGED.get(name)
            )
            # What is read after the file of this role counts more.
            if not packaged or 0 < self.included_at < row["sourceline"]:
                return f"{row['sourcefile']} line {row['sourceline']}"
        source = self.current[name]["source"]
        return "" if source in ("default", "configuration file") else f"the {source}"

    def needs_restart(self, name: str, chosen: int | None, path: str) -> bool:
        """Return whether a setting needs a restart. `chosen`: the value in the file of this role, or None without it.

        What an administrator has set is in force already, or waits until he restarts the server himself.
        """
        if self.current[name]["context"] != "postmaster" or self.place(name, path):
            return False
        return self.value(name) != (default_of(self, name) if chosen is None else chosen)

    def reserved(self) -> int:
        """Return how many connections are kept for others than Synapse."""
        kept = ("superuser_reserved_connections", "reserved_connections")
        return sum(int(self.setting(name, "0")) for name in kept)

    def left_over(self) -> list[str]:
        """Return which settings of this role are not in force as the files say."""
        written = {row["name"] for row in self.written}
        # In force and in no file any more. Only a superuser sees what is in the files, and only if they have no error.
        removed = [
            name for name in NAMES if name not in written and self.current[name]["source"] == "configuration file"
        ]
        removed = removed if written and None not in written else []
        return self.pending(NAMES) + removed

    def pending(self, names: t.Collection[str]) -> list[str]:
        """Return which of these settings wait for a restart."""
        return sorted(name for name in names if self.current.get(name, {}).get("pending_restart"))


def in_bytes(value: t.Any, unit: str | None) -> int:
    """Return a size in bytes, or a number without a unit as it is. -1 for text that is neither."""
    found = re.fullmatch(r"\s*([0-9]+)\s*(B|kB|MB|GB|TB)?\s*", str(value))
    if not found:
        return -1
    own = found.group(2) or unit or "B"
    return int(found.group(1)) * _UNITS.get(own, 1)


def choose(server: Server, path: str, sizes: t.Mapping[str, int], connections: int, ours: t.Mapping[str, int]) -> Row:
    """Return which settings the file of this role has to have, as values in bytes.

    What an administrator has set stays, and so does what is higher. `ours`: what the file has at present.
    `connections`: how many Synapse needs.
    """
    chosen = {}
    for name in _SIZES:
        if server.place(name, path):
            continue
        size, present = sizes[name], ours.get(name, 0)
        if present and _NEAR[0] <= size / present <= _NEAR[1]:
            size = present
        if size > default_of(server, name):
            chosen[name] = size
    least = connections + server.reserved() + _FURTHER_CONNECTIONS
    most = max(least, ours.get("max_connections", 0))
    if not server.place("max_connections", path) and most > default_of(server, "max_connections"):
        chosen["max_connections"] = most
    return chosen


def default_of(server: Server, name: str) -> int:
    """Return the value, in bytes, of a setting that neither this role nor an administrator has set."""
    row = server.current[name]
    return max(_PACKAGED.get(name, 0), in_bytes(row["boot_val"], row["unit"]))


def too_few(server: Server, path: str, connections: int) -> str:
    """Return why Synapse cannot have its connections, if an administrator has set how many there are; else nothing."""
    place = server.place("max_connections", path)
    if not place or server.value("max_connections") - server.reserved() >= connections:
        return ""
    return (
        f"max_connections is {server.value('max_connections')} in {place}, of which {server.reserved()} are reserved,"
        f" but Synapse can have {connections} connections. Set it there to at least"
        f" {connections + server.reserved() + _FURTHER_CONNECTIONS} and restart PostgreSQL, or reduce"
        " synapse_homeserver_postgresql_cp_max."
    )


def text_of(chosen: t.Mapping[str, int]) -> str:
    """Return the text of the file of this role, or nothing if there is nothing to set."""
    lines = [f"{name} = {value // MIB}MB" if name in _SIZES else f"{name} = {value}" for name, value in chosen.items()]
    return "\n".join([MARK, *lines, ""]) if lines else ""


def parse(text: str) -> dict[str, int]:
    """Return what the file of this role sets, sizes in bytes."""
    found = re.findall(r"(?m)^([a-z_]+) = ([0-9]+(?:MB)?)$", text)
    return {name: in_bytes(value, None) for name, value in found}
