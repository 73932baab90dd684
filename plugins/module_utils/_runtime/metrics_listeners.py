# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The listeners where a process of Synapse serves its metrics, as its configuration says.

Relies on Synapse 1.163: synapse/config/server.py (parse_listener_def, bind_port, no_tls, metrics_port), and how
synapse/app/homeserver.py and generic_worker.py open them:

- Type `metrics` has a thread of its own (listen_metrics), never TLS, even with `tls: true`, and no Unix socket.
- Type `http` with the resource `metrics` can have TLS or a Unix socket. On a worker, it ignores enable_metrics.
- Workers have only the listeners in `worker_listeners`. There is no worker_metrics_port.
"""

from __future__ import annotations

import ipaddress
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import tcp_url, unix_url

_PATH = "/_synapse/metrics"
_LOOPBACK = ("127.0.0.1", "::1")


class NoMetrics(t.NamedTuple):
    """The reason why a process serves no metrics that can be read, and the fix."""

    reason: str
    fix: str


def metrics_urls(
    settings: Settings, *, worker: bool, working_directory: t.Callable[[], str | None] = lambda: None
) -> list[str] | NoMetrics:
    """Return the URLs where a process with the configuration `settings` serves its metrics, the best first.

    A worker has the listeners of `worker_listeners`. An address that stands for all addresses becomes loopback.
    `working_directory`: called for a relative path of a Unix socket; it returns None if this user cannot see it.
    """
    key = "worker_listeners" if worker else "listeners"
    fix = f"Add a listener {{type: metrics, port: 9000, bind_addresses: [127.0.0.1]}} to {key}, and restart Synapse."
    configured = [listener for listener in _mappings(settings.get(key)) if _serves_metrics(listener)]
    listeners = configured if worker else _of_main_process(settings, configured)
    if isinstance(listeners, NoMetrics):
        return listeners
    if not listeners:
        enable = "" if settings.get("enable_metrics") else "Set enable_metrics to true. "
        return NoMetrics("The configuration has no listener for metrics.", enable + fix)
    # Any value that Python takes for true enables them, also the text "false".
    if not settings.get("enable_metrics"):
        listeners = [listener for listener in listeners if worker and listener["type"] == "http"]
        if not listeners:
            value = f", but {_shown(settings['enable_metrics'])}" if "enable_metrics" in settings else ""
            return NoMetrics(
                f"enable_metrics is not true{value}, so Synapse ignores the listener for metrics.",
                "Set enable_metrics to true and restart Synapse.",
            )
    usable = [listener for listener in listeners if _port(listener) or _unix_path(listener)]
    if not usable:
        reason = f"No listener for metrics in {key} has an address that Synapse can open: type metrics needs a port,"
        return NoMetrics(f"{reason} and type http a port or a path.", fix)
    found = [url for listener in sorted(usable, key=_rank) for url in _urls(listener, working_directory)]
    if not found:
        reason = f"The address of the listener for metrics in {key} is not valid, or it is a path relative to the"
        reason += " working directory of the process, which this user is not allowed to see."
        fix = f"Run the task with become, as root, or set an absolute path or bind_addresses: [127.0.0.1] in {key}."
        return NoMetrics(reason, fix)
    return list(dict.fromkeys(found))


def _of_main_process(settings: Settings, listeners: list[Settings]) -> list[Settings] | NoMetrics:
    without_tls = [listener for listener in listeners if not listener.get("tls")]
    ignored = None
    if settings.get("bind_port") and listeners:
        listeners, ignored = [], "bind_port is set, so Synapse ignores all listeners."
    elif settings.get("no_tls") and len(without_tls) < len(listeners):
        listeners, ignored = without_tls, "no_tls is set, so Synapse ignores the listener for metrics with tls."
    if settings.get("metrics_port"):
        address = settings.get("metrics_bind_host", "127.0.0.1")
        return [*listeners, {"type": "http", "port": settings["metrics_port"], "bind_addresses": [address]}]
    if ignored and not listeners:
        return NoMetrics(ignored, f"Remove {ignored.partition(' ')[0]} and restart Synapse.")
    return listeners


def _rank(listener: Settings) -> int:
    """Return the place of a listener in the order: first the one that answers while Synapse is busy."""
    if listener["type"] == "metrics":
        return 0
    if _unix_path(listener):
        return 2
    return 3 if listener.get("tls") else 1


def _urls(listener: Settings, working_directory: t.Callable[[], str | None]) -> list[str]:
    path = _unix_path(listener)
    if path:
        directory = "/" if os.path.isabs(path) else working_directory()
        urls = [] if directory is None else [unix_url(os.path.join(directory, path), _PATH)]
    else:
        tls = listener["type"] == "http" and bool(listener.get("tls"))
        port = _port(listener)
        urls = [tcp_url(address, port, _PATH, tls=tls) for address in _addresses(listener)]
    return [url for url in urls if url]


def _serves_metrics(listener: Settings) -> bool:
    if listener.get("type") == "metrics":
        return True
    names = [resource.get("names") for resource in _mappings(listener.get("resources"))]
    return listener.get("type") == "http" and any(isinstance(each, list) and "metrics" in each for each in names)


def _port(listener: Settings) -> int:
    port = listener.get("port")
    return port if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 else 0


def _unix_path(listener: Settings) -> str:
    path = listener.get("path")
    usable = isinstance(path, str) and listener["type"] == "http" and not listener.get("port")
    return str(path) if usable else ""


def _addresses(listener: Settings) -> list[str]:
    given = listener.get("bind_addresses")
    addresses = [*given] if isinstance(given, list) else []
    if listener.get("bind_address"):
        addresses.append(listener["bind_address"])
    # Synapse opens :: only for type http. It accepts IPv4 connections too.
    default = ["0.0.0.0"] if listener["type"] == "metrics" else ["0.0.0.0", "::"]
    return [each for address in addresses or default for each in _reachable(str(address or ""))]


def _reachable(address: str) -> tuple[str, ...]:
    """Return the addresses at which this host reaches a socket that is bound to `address`, the best first."""
    if not address:
        return _LOOPBACK[:1]
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return (address,)
    if not number.is_unspecified:
        return (address,)
    return _LOOPBACK[:1] if number.version == 4 else _LOOPBACK[::-1]


def _mappings(value: t.Any) -> list[Settings]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _shown(value: t.Any) -> str:
    return json.dumps(value, default=str)
