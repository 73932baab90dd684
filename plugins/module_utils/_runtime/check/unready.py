# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""Replaces failures that only result from a process that is not ready, or that has a network of its own, by that cause.

Until Synapse is ready, it has not raised its limit for open files and answers nothing (synapse/app/_base.py, 1.163).
systemd is only asked if something has failed that a process that is ready could fulfil.
"""

from __future__ import annotations

import ipaddress
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.not_running import why_not_ready
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.container import has_other_namespace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP

_ANY = (Need.READY, Need.ANSWER, Need.CONNECTION)


def explain_failures(declared: Declared, processes: t.Sequence[Mapping], units: Units, verdict: Verdict) -> None:
    """Replace the failures of processes that are not ready, and those of a server that cannot be reached."""
    for process in processes:
        # The server is the main process.
        is_worker = process["app"] != MAIN_APP
        pids = [process["pid"], *([] if is_worker else [None])]
        unit = process.get("unit")
        if unit and units.has_systemd and verdict.needs(_ANY, pids):
            has_ended = not os.path.isdir(os.path.join(units.proc, str(process["pid"])))
            why = why_not_ready(declared, units, unit, has_ended=has_ended, is_worker=is_worker)
            if why:
                state = "has ended" if has_ended else "is not ready"
                verdict.explain(_ANY, pids, f"{identified(process)} {state}. {why}")
        if None in pids and verdict.needs((Need.CONNECTION,), [None]):
            why = _of_network(declared, process, units)
            if why:
                verdict.explain((Need.CONNECTION,), [None], why)


def _of_network(declared: Declared, process: Mapping, units: Units) -> str:
    """Return that the process has a network of its own in which the URL of the server leads elsewhere, or ""."""
    if declared.unix_socket or not _is_loopback(declared.base_url):
        return ""
    try:
        if not has_other_namespace(process["pid"], "net", units.proc):
            return ""
    except OSError:
        # It has just ended.
        return ""
    try:
        unit = units.of(process)
    except SynapseError:
        unit = None
    lines = [line for line in unit.lines() if line.key == "PrivateNetwork" and line.value] if unit else []
    reason = f"{identified(process)} has a network of its own, so {declared.base_url} of this host does not lead to it."
    if unit and lines:
        line = lines[-1]
        return f"{reason} {line.place} sets PrivateNetwork={line.value}: remove it there, and {unit.apply}."
    return f"{reason} Start it in the network of the host ({unit.hint if unit else 'look at how it is started'})."


def _is_loopback(url: str) -> bool:
    try:
        host = place_of(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
