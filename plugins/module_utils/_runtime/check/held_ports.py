# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""Which process holds a port that Synapse needs, if Synapse has ended because an address is in use.

Relies on the settings `listeners`, `bind_port` and `metrics_port` (synapse/config/server.py, 1.163), and on the sockets
in /proc (proc(5)).
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import owner_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import tcp_url

IN_USE = "Address already in use"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_DEFAULT = ("127.0.0.1", "::1")
_MOST = 50
_HIGHEST = 65535


class Port(t.NamedTuple):
    """A port that the configuration sets. `setting`: where, `addresses`: those that Synapse listens at."""

    number: int
    setting: str
    addresses: tuple[str, ...]


def held_ports(settings: t.Mapping[str, t.Any], own: int, proc: str = "/proc") -> str:
    """Return which other processes hold ports that the configuration sets, as sentences, or "".

    `own`: the process of Synapse, which may hold some of its ports, 0 if it has none.
    """
    found = []
    for port in configured_ports(settings):
        for address in port.addresses:
            holder = _holder(address, port.number, own, proc)
            if holder:
                reason = f"Port {port.number}, which {port.setting} sets, is held by {holder}: end it, or set another"
                found.append(f"{reason} port.")
                break
    return " ".join(dict.fromkeys(found))


def configured_ports(settings: t.Mapping[str, t.Any]) -> list[Port]:
    """Return the ports of the main process in a configuration. What is not a port is left out."""
    listeners = settings.get("listeners")
    given: list[tuple[t.Any, str, t.Any]] = []
    for listener in listeners[:_MOST] if isinstance(listeners, list) else ():
        if isinstance(listener, dict):
            addresses = listener.get("bind_addresses") or listener.get("bind_address")
            given.append((listener.get("port"), "a listener in listeners", addresses))
    given.append((settings.get("bind_port"), "bind_port", settings.get("bind_host")))
    given.append((settings.get("metrics_port"), "metrics_port", settings.get("metrics_bind_host")))
    return [
        Port(number, setting, _addresses(addresses))
        for number, setting, addresses in given
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= _HIGHEST
    ]


def _addresses(value: t.Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    found = [_EVERYWHERE.get(one, one) for one in values[:_MOST] if isinstance(one, str) and one]
    return tuple(dict.fromkeys(found)) or _DEFAULT


def _holder(address: str, port: int, own: int, proc: str) -> str:
    url = tcp_url(address, port, "/")
    with contextlib.suppress(OSError, ValueError):
        owner = owner_of(url, os.getpid(), proc) if url else None
        if owner and owner.inodes and not owner.is_own:
            others = [one for one in owner.other.split(", ") if one and not one.startswith(f"process {own} (")]
            return ", ".join(others) if others or owner.other else "another process, which this user cannot see"
    return ""
