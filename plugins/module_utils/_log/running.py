# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The running processes of a Synapse, for its logs: the units that run them, and how each was started."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader, find_processes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host, RuntimeReader

# In seconds, for systemctl.
_TIMEOUT = 60


class Started(t.NamedTuple):
    """How a process was started. `directory`: its working directory at the start, None if this user cannot see it.

    `daemonized`: with -D. `pid`: None if no process runs.
    """

    config_path: tuple[str, ...]
    directory: str | None
    daemonized: bool = False
    pid: int | None = None


def started_processes(config_path: t.Sequence[str], host: Host | None = None) -> list[Started]:
    """Return how each running process with this configuration was started, the main process before workers.

    If none runs, or none can be seen, the list has one element: the configuration itself. Raises SynapseError if there
    is no /proc.
    """
    proc = (host or Host()).proc
    found: list[Started] = []
    processes, _unknown = find_processes(config_path, proc)
    for process in processes:
        try:
            directory = ProcessReader(process.pid, proc).directory_at_start(process.daemonized)
        except PermissionError:
            found.append(Started(process.config_path, None, process.daemonized, process.pid))
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
        else:
            found.append(Started(process.config_path, directory, process.daemonized, process.pid))
    return found or [Started(tuple(config_path), None)]


def units_of(config_path: t.Sequence[str], host: Host | None = None) -> list[str]:
    """Return the names of the systemd units that run the processes with this configuration, that of the main first.

    Raises SynapseError if no process runs, or if one of them does not belong to a unit.
    """
    reader = RuntimeReader(
        config_path, caches=False, freshness=False, synapse_python="", timeout=_TIMEOUT, host=host or Host()
    )
    state = reader.read()
    if not state["processes"]:
        hidden = [each for each in state["unknown"] if each["name"] == "processes"]
        reason = " Some processes cannot be seen by this user: run the task with become." if hidden else ""
        raise SynapseError(
            f"Synapse logs to the journal, and no running process with the configuration {config_path[0]} shows with"
            f" which unit: set unit to the units that run Synapse.{reason}"
        )
    units: list[str] = []
    for process in state["processes"]:
        if "unit" not in process:
            reasons = [each["reason"] for each in process["unknown"] if each["name"] == "unit"]
            reason = reasons[0] if reasons else "It was not started by a unit of systemd."
            raise SynapseError(
                f"Synapse logs to standard output, standard error or the journal, and the unit of its process"
                f" {process['pid']} is not known: set unit to the units that run Synapse. {reason}"
            )
        units.append(process["unit"])
    return list(dict.fromkeys(units))
