# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The requests that the running processes of a Synapse are processing now, as their metrics count them.

Relies on a gauge of Synapse 1.163 (see `requests_in_flight`), which has no line for an endpoint without requests.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.activity import requests_in_flight
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import NoMetrics, read_metrics
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    Unknown,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sample_index import SampleIndex

_NAME = "in_flight_requests"


def in_flight_requests(
    config_path: t.Sequence[str], timeout: float, proc: str = "/proc"
) -> tuple[list[dict[str, t.Any]], list[Unknown]]:
    """Return the requests in flight of each running process that was started with `config_path`, and what is unknown.

    Each has `pid`, `worker` (the name, without it for the main process), `method`, `servlet` (the part of Synapse that
    answers) and `count`, which is above 0; the highest count first. `timeout`: in seconds, for each response. Raises
    SynapseError if there is no /proc, and MissingLibrary without PyYAML.
    """
    processes, unknown, _in_containers = find_processes(config_path, proc)
    if not processes and not unknown:
        reason = f"No running process of Synapse was started with the configuration {config_path[0]}."
        unknown.append(
            Unknown(_NAME, reason, "Start Synapse, or set config_path to the paths that it is started with.")
        )
    found: list[dict[str, t.Any]] = []
    for process in processes:
        try:
            found += _of_process(process, timeout, proc, unknown)
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
    return sorted(found, key=lambda one: (-one["count"], one["pid"], one["method"], one["servlet"])), unknown


def _of_process(process: Process, timeout: float, proc: str, unknown: list[Unknown]) -> list[dict[str, t.Any]]:
    try:
        settings = read_configuration(process.config_path).settings
    except ConfigurationError as error:
        fix = f"Run the task with become, as root, or correct the configuration of process {process.pid}."
        unknown.append(Unknown(_NAME, error.message, fix))
        return []
    metrics = read_metrics(settings, process, timeout, proc)
    if isinstance(metrics, NoMetrics):
        reason = f"The requests in flight of process {process.pid} are unknown: {metrics.reason}"
        unknown.append(Unknown(_NAME, reason, metrics.fix))
        return []
    if metrics.doubt is not None:
        unknown.append(metrics.doubt)
    named = {"worker": str(settings["worker_name"])} if process.app != MAIN_APP and settings.get("worker_name") else {}
    return [
        {"pid": process.pid, **named, "method": method, "servlet": servlet, "count": int(count)}
        for (method, servlet), count in requests_in_flight(SampleIndex(metrics.samples)).items()
        if count
    ]
