# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The running processes of a Synapse, for its logs: the units that run them, and how each was started."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    ProcessReader,
    Unknown,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import read_unit

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


def started_processes(config_path: t.Sequence[str], host: Host | None = None) -> tuple[list[Started], list[Unknown]]:
    """Return how each running process with this configuration was started, the main process before workers.

    If none runs, or none can be seen, the list has one element: the configuration itself. The second value: which
    processes cannot be seen. Raises SynapseError if there is no /proc.
    """
    proc = (host or Host()).proc
    found: list[Started] = []
    processes, hidden, _in_containers = find_processes(config_path, proc)
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
    return found or [Started(tuple(config_path), None)], hidden


def units_of(processes: t.Sequence[Started], hidden: t.Sequence[Unknown] = (), host: Host | None = None) -> list[str]:
    """Return the names of the systemd units that run what `started_processes` returns, that of the main first.

    Raises SynapseError if no process runs, or if one of them does not belong to a unit.
    """
    host = host or Host()
    units = [_unit_of(process.pid, host) for process in processes if process.pid is not None]
    found = [unit for unit in units if unit is not None]
    if not found:
        reason = " Some processes cannot be seen by this user: run the task with become." if hidden else ""
        raise SynapseError(
            "Synapse logs to the journal, and no running process with the configuration"
            f" {processes[0].config_path[0]} shows with which unit: set unit to the units that run Synapse.{reason}"
        )
    return list(dict.fromkeys(found))


def _unit_of(pid: int, host: Host) -> str | None:
    """Return the unit of a process, None if the process has ended."""
    reader = ProcessReader(pid, host.proc)
    try:
        unit = read_unit(reader.control_group(), (pid, reader.parent()), host.run, _TIMEOUT, host.systemd)
        reason = "It was not started by a unit of systemd."
    except (FileNotFoundError, ProcessLookupError):
        return None
    except SynapseError as error:
        unit, reason = None, error.message
    if unit is None:
        raise SynapseError(
            f"Synapse logs to standard output, standard error or the journal, and the unit of its process {pid} is not"
            f" known: set unit to the units that run Synapse. {reason}"
        )
    return unit.name
