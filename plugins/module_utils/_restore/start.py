# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Starts a restored server: its units are new to systemd, and are enabled as they were on the server of the backup."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Running, Service

Json = dict[str, t.Any]

_TIMEOUT = 60


def start_server(
    service: Service,
    described: Json,
    *,
    system: bool,
    run: t.Callable[[t.Sequence[str], float], Completed] = run_command,
) -> None:
    """Start the main process and the workers that ran. `described`: the service in the manifest.

    `system`: whether they are units of systemd. Raises SynapseError if one of them does not start.
    """
    if system:
        _systemctl(run, "daemon-reload")
        service.require_control()
        enabled = [str(unit["name"]) for unit in described["units"] if unit.get("enabled") is True]
        if enabled:
            _systemctl(run, "enable", "--", *enabled)
    service.start(_wanted(described, system=system))


def is_started(service: Service, described: Json, *, system: bool) -> bool:
    """Return whether the main process and all workers that ran are running. Raises SynapseError as the service does."""
    running, wanted = service.running(), _wanted(described, system=system)
    daemons = [tuple(daemon["config_path"]) for daemon in running["daemons"]]
    return (
        bool(running["main"])
        and {*wanted["units"]} <= {*running["units"]}
        and all(tuple(daemon["config_path"]) in daemons for daemon in wanted["daemons"])
    )


def _wanted(described: Json, *, system: bool) -> Running:
    daemons = [] if system else [{**daemon, "directory": ""} for daemon in described.get("daemons", [])]
    workers = [str(name) for name in described.get("workers", [])]
    directory = "" if system else str(described.get("working_directory", ""))
    return {"main": True, "units": workers, "daemons": daemons, "directory": directory}


def _systemctl(run: t.Callable[[t.Sequence[str], float], Completed], *arguments: str) -> None:
    done = run(["systemctl", *arguments], _TIMEOUT)
    if done.status:
        said = (done.errors.strip().splitlines() or ["it printed nothing"])[-1].rstrip(".")
        raise SynapseError(f"systemctl {' '.join(arguments)} failed: {said}. Correct this, and run the task again.")
