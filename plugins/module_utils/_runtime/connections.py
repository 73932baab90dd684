# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the connections of a Synapse process are for, by its settings.

Relies on Synapse 1.163: synapse/config/server.py (listeners, ranges of addresses, proxies), database.py, redis.py,
workers.py (instance_map), emailconfig.py and mas.py.

Names of hosts are not resolved, because a name server that does not respond would take seconds. A connection to a host
that the settings name is found by its port, and `localhost` by a loopback address. The ports 443 and 8448 of such hosts
cannot be found, because other servers use them too.
"""

from __future__ import annotations

import bisect
import ipaddress
import os
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.configured_databases import (
    POSTGRESQL,
    configured_databases,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sockets import (
    Address,
    TcpSocket,
    UnixSocket,
    packed,
)

LISTENING, CLIENT, FEDERATION, DATABASE = "listening", "client", "federation", "database"
REPLICATION, LOG, MEDIA, OTHER = "replication", "log", "media", "other"
KINDS = (LISTENING, CLIENT, FEDERATION, DATABASE, REPLICATION, LOG, MEDIA, OTHER)

# What a listener with one of these resources is for, the first that applies.
_RESOURCES = (
    (CLIENT, {"client"}),
    (FEDERATION, {"federation", "keys", "openid"}),
    (REPLICATION, {"replication"}),
    (CLIENT, {"media", "consent", "static"}),
)
_EVERYWHERE = ("", "0.0.0.0", "::")
_FEDERATION_PORTS = (443, 8448)
_POSTGRESQL_PORT, _REDIS_PORT = 5432, 6379
# PostgreSQL and PgBouncer give their sockets this name and the port, in a directory of their choice.
_POSTGRESQL_SOCKET = ".s.PGSQL."
_LOG_SOCKET, _JOURNAL = "/dev/log", "/run/systemd/journal"
# DEFAULT_IP_RANGE_BLOCKLIST in synapse/config/server.py
_UNREACHABLE = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "169.254.0.0/16",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
    "2001:db8::/32",
    "ff00::/8",
    "fec0::/10",
)


class Connections:
    """The kinds of connections that a process with these settings has.

    A worker has the listeners of `worker_listeners`. Relative paths start in `working_directory`, if that is known.
    """

    def __init__(self, settings: Settings, worker: bool, working_directory: str | None) -> None:
        self._directory = working_directory or ""
        self._known_paths: dict[str, str] = {}
        # By port: the addresses of a listener (none: all) and its kind.
        self._listeners: dict[int, list[tuple[list[Address], str]]] = {}
        self._own_paths: dict[str, str] = {}
        self._by_address: dict[tuple[Address, int], str] = {}
        self._by_port: dict[int, str] = {}
        self._on_loopback: dict[int, str] = {}
        self._by_path: dict[str, str] = {}
        self._blocked, self._allowed = _federation_ranges(settings)
        self._add_listeners(mappings(settings.get("worker_listeners" if worker else "listeners")))
        # The first that is added for an address or a port counts.
        self._add_databases(settings)
        self._add_replication(settings)
        self._add_others(settings)

    def of_tcp(self, connection: TcpSocket, listening_ports: t.Collection[int]) -> str:
        """Return the kind of a TCP socket. `listening_ports`: where this process listens at present.

        What was accepted has the kind of its listener. What this process has opened to no host in the settings is
        federation, unless Synapse does not federate with such an address (ip_range_blacklist). So connections to push
        gateways and to servers whose URLs are previewed count as federation too.
        """
        if connection.listens:
            return LISTENING
        if connection.local_port in listening_ports or connection.local_port in self._listeners:
            return self._accepted(connection.local, connection.local_port)
        address, port = connection.remote, connection.remote_port
        kind = self._by_address.get((address, port)) or self._by_port.get(port)
        if kind is None and _is_loopback(address):
            kind = self._on_loopback.get(port)
        if kind:
            return kind
        return OTHER if address in self._blocked and address not in self._allowed else FEDERATION

    def of_unix(self, connection: UnixSocket) -> str:
        """Return the kind of a Unix socket. What this process has opened needs the name of the other end."""
        if connection.listens:
            return LISTENING
        if connection.name:
            return self._own_paths.get(self._real(connection.name), OTHER)
        peer = connection.peer
        if os.path.basename(peer).startswith(_POSTGRESQL_SOCKET):
            return DATABASE
        if peer == _LOG_SOCKET or peer.startswith(_JOURNAL):
            return LOG
        return self._by_path.get(self._real(peer), OTHER) if peer else OTHER

    def _accepted(self, address: Address, port: int) -> str:
        kind = OTHER
        for addresses, found in self._listeners.get(port, ()):
            if address in addresses:
                return found
            if not addresses:
                kind = found
        return kind

    def _add_listeners(self, listeners: t.Iterable[Settings]) -> None:
        for listener in listeners:
            kind, path, port = _kind_of(listener), listener.get("path"), _port(listener.get("port"))
            if isinstance(path, str) and path:
                self._own_paths.setdefault(self._real(path), kind)
            if port is not None:
                self._listeners.setdefault(port, []).append((_bindings(listener), kind))

    def _add_databases(self, settings: Settings) -> None:
        for database in configured_databases(settings):
            arguments = database.get("args")
            if database["name"] != POSTGRESQL or not isinstance(arguments, dict):
                continue
            # libpq accepts several hosts and as many ports, with commas. hostaddr has priority over host.
            hosts = _split(arguments.get("hostaddr")) or _split(arguments.get("host")) or [""]
            ports = _split(arguments.get("port")) or [str(_POSTGRESQL_PORT)]
            for number, host in enumerate(hosts):
                self._add(host, ports[number if len(ports) > 1 and number < len(ports) else 0], DATABASE)

    def _add_replication(self, settings: Settings) -> None:
        redis, instances = settings.get("redis"), settings.get("instance_map")
        places = mappings(list(instances.values())) if isinstance(instances, dict) else []
        if isinstance(redis, dict) and redis.get("enabled"):
            defaults = {} if redis.get("path") else {"host": "localhost", "port": _REDIS_PORT}
            places.append({**defaults, **redis})
        for place in places:
            if isinstance(place.get("path"), str):
                self._by_path.setdefault(self._real(place["path"]), REPLICATION)
            elif place.get("host"):
                self._add(str(place["host"]), place.get("port"), REPLICATION)

    def _add_others(self, settings: Settings) -> None:
        email, login = settings.get("email"), settings.get("matrix_authentication_service")
        if isinstance(email, dict):
            default = 465 if email.get("force_tls") else 25
            self._add(str(email.get("smtp_host", "localhost")), email.get("smtp_port", default), OTHER)
        if isinstance(login, dict) and login.get("enabled"):
            self._add_url(login.get("endpoint", "http://localhost:8080/"), OTHER)
        # Synapse federates through these.
        self._add_url(settings.get("https_proxy"), FEDERATION)
        self._add_url(settings.get("http_proxy"), FEDERATION)

    def _add_url(self, url: t.Any, kind: str) -> None:
        if not isinstance(url, str):
            return
        try:
            parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return
        if host:
            self._add(host, port, kind)

    def _add(self, host: str, port: t.Any, kind: str) -> None:
        number, address = _port(port), packed(host)
        if number is None or host.startswith(("/", "@")):
            return
        if address is not None:
            self._by_address.setdefault((address, number), kind)
        elif host.lower() == "localhost":
            self._on_loopback.setdefault(number, kind)
        elif number not in _FEDERATION_PORTS:
            self._by_port.setdefault(number, kind)

    def _real(self, path: str) -> str:
        """Return `path` without links, because a service may be bound to /run and the settings name /var/run."""
        if path not in self._known_paths:
            self._known_paths[path] = os.path.realpath(os.path.join(self._directory, path)) if "\0" not in path else ""
        return self._known_paths[path]


class Ranges:
    """Ranges of IP addresses, in which one is found fast."""

    def __init__(self, texts: t.Any) -> None:
        """Take the addresses and networks in `texts`. What is neither is left out, and so are all if it is no list."""
        self._bounds: dict[int, tuple[list[Address], list[Address]]] = {4: ([], []), 16: ([], [])}
        networks: list[tuple[Address, Address]] = []
        for text in texts if isinstance(texts, (list, tuple)) else ():
            try:
                network = ipaddress.ip_network(str(text), strict=False)
            except ValueError:
                continue
            networks.append((network.network_address.packed, network.broadcast_address.packed))
        for first, last in sorted(networks):
            starts, ends = self._bounds[len(first)]
            if not ends or last > ends[-1]:
                # One network either contains another or they have nothing in common.
                starts.append(first)
                ends.append(last)

    def __contains__(self, address: Address) -> bool:
        starts, ends = self._bounds[len(address)]
        position = bisect.bisect_right(starts, address) - 1
        return position >= 0 and address <= ends[position]


def mappings(value: t.Any) -> list[Settings]:
    """Return the mappings in a list, none if it is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _federation_ranges(settings: Settings) -> tuple[Ranges, Ranges]:
    """Return the ranges with which Synapse does not federate, and the exceptions to them."""
    if "federation_ip_range_blacklist" in settings:
        return Ranges(settings["federation_ip_range_blacklist"]), Ranges([])
    return Ranges(settings.get("ip_range_blacklist", _UNREACHABLE)), Ranges(settings.get("ip_range_whitelist"))


def _kind_of(listener: Settings) -> str:
    if listener.get("type") != "http":
        return OTHER
    lists = [resource.get("names") for resource in mappings(listener.get("resources"))]
    names = {str(name) for found in lists if isinstance(found, list) for name in found}
    return next((kind for kind, wanted in _RESOURCES if names & wanted), OTHER)


def _bindings(listener: Settings) -> list[Address]:
    given = listener.get("bind_addresses")
    texts = [str(text) for text in given] if isinstance(given, list) else []
    texts += [str(listener["bind_address"])] if listener.get("bind_address") else []
    addresses = [None if text in _EVERYWHERE else packed(text) for text in texts]
    known = [address for address in addresses if address is not None]
    return known if len(known) == len(addresses) else []


def _split(value: t.Any) -> list[str]:
    return [part.strip() for part in str(value).split(",")] if value not in (None, "") else []


def _port(value: t.Any) -> int | None:
    text = str(value)
    return (int(text) or None) if text.isascii() and text.isdigit() and len(text) <= 5 else None


def _is_loopback(address: Address) -> bool:
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"
