# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether as many workers run on this host as declared, and which worker or unit is missing.

Relies on the settings that name workers (synapse/config/workers.py, 1.163), on `systemctl list-units` and on
`systemctl show`, which every user is allowed to run.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    named,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host

_NAMING = (
    "instance_map",
    "stream_writers",
    "federation_sender_instances",
    "pusher_instances",
    "outbound_federation_restricted_to",
    "media_instance_running_background_jobs",
    "run_background_tasks_on",
    "notify_appservices_from_worker",
    "update_user_directory_from_worker",
)
# The names of the main process in these settings.
_MAIN = ("main", "master")
_NOT_RUNNING = ("failed", "inactive", "activating", "deactivating")
_MOST = 10


class UnitState(t.NamedTuple):
    """A unit of a worker as systemd lists it."""

    name: str
    state: str
    detail: str


def workers_of(processes: t.Iterable[Mapping]) -> list[Mapping]:
    """Return the processes that are workers."""
    return [process for process in processes if process["app"] != MAIN_APP]


def judge_workers(declared: Declared, found: Mapping, host: Host, timeout: float, verdict: Verdict) -> None:
    """Compare the number of workers with `workers`. Two workers must not have the same name.

    `found`: what RuntimeReader returns. `timeout`: how many seconds to wait for systemd.
    """
    if declared.workers is None:
        return
    option, running = declared.called("workers"), workers_of(found["processes"])
    same = _with_the_same_name(running)
    for name, processes in same.items():
        verdict.fail(
            "workers",
            f"{_listed([identified(process) for process in processes])} are workers with the same worker_name {name}:"
            " stop all but one of them, or give each a worker_name of its own.",
        )
    if len(running) != declared.workers:
        names = f" ({_listed([identified(process) for process in running])})" if running else ""
        reason = f"{_count(len(running), ' of this Synapse')} on this host{names}, but {option} is {declared.workers}."
        if len(running) > declared.workers:
            culprits = [f"Stop those that are not needed, or set {option} to {len(running)}."]
        else:
            culprits = [*_unstarted(declared, running), *_unit_culprits(declared, running, host, timeout)]
            culprits = culprits or [f"Start the missing workers, or set {option} to {len(running)}."]
        verdict.fail("workers", " ".join([reason, *culprits]))
    if not verdict.failed("workers"):
        names = f": {_listed([named(process) for process in running])}" if running else ""
        verdict.proofs["workers"] = f"Workers: {_count(len(running))}{names}."


def configured_names(settings: Mapping) -> list[str]:
    """Return the names of workers in the settings of a configuration, each once. What is not a name is left out."""
    names: list[t.Any] = []
    for key in _NAMING:
        value = settings.get(key)
        inner = list(value.values()) if key == "stream_writers" and isinstance(value, dict) else [value]
        for each in inner:
            # The keys of instance_map are names.
            names += each if isinstance(each, (list, dict)) else [each]
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name and name not in _MAIN))


def list_units(template: str, host: Host, timeout: float) -> list[UnitState]:
    """Return the units of a template that systemd knows, such as of name@.service; none if systemd does not run.

    `timeout` in seconds. Raises SynapseError if systemd does not answer.
    """
    if not template or not os.path.isdir(host.systemd.running):
        return []
    pattern = template.replace("@.", "@*.")
    listed = ["list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager", "--", pattern]
    units = []
    for line in _systemctl(listed, host, timeout).splitlines():
        words = line.split()
        if len(words) >= 4:
            units.append(UnitState(words[0], words[2], words[3]))
    return units


def _with_the_same_name(running: t.Sequence[Mapping]) -> dict[str, list[Mapping]]:
    by_name: dict[str, list[Mapping]] = {}
    for process in running:
        if "name" in process:
            by_name.setdefault(str(process["name"]), []).append(process)
    return {name: processes for name, processes in by_name.items() if len(processes) > 1}


def _unstarted(declared: Declared, running: t.Sequence[Mapping]) -> t.Iterator[str]:
    """Yield which workers of the configuration do not run, as a sentence."""
    try:
        names = configured_names(read_configuration(declared.config_path).settings)
    except ConfigurationError as error:
        yield f"Which workers are configured is unknown. {error.message}"
        return
    # One without a known name may be any of them.
    missing = [name for name in names if name not in [process.get("name") for process in running]]
    if missing:
        hidden = [process for process in running if "name" not in process]
        doubt = " (some of them may be the workers whose name is unknown)" if hidden else ""
        reason = f"The configuration names workers that do not run on this host: {_listed(missing)}{doubt}."
        yield f"{reason} Start those that belong here."


def _unit_culprits(declared: Declared, running: t.Sequence[Mapping], host: Host, timeout: float) -> t.Iterator[str]:
    try:
        units = list_units(declared.worker_unit, host, timeout)
        stopped = [unit for unit in units if unit.state in _NOT_RUNNING][:_MOST]
        results = _results([unit.name for unit in stopped], host, timeout)
    except SynapseError as error:
        yield f"The state of the units {declared.worker_unit} is unknown. {error.message}"
        return
    for unit in stopped:
        result = results.get(unit.name, "success")
        why = f" with the result {result}" if result != "success" else ""
        yield f"{unit.name} is {unit.state} ({unit.detail}){why}: see journalctl --unit {unit.name}."
    known = {process.get("unit") for process in running}
    active = [unit.name for unit in units if unit.state == "active" and unit.name not in known]
    if active and None not in known:
        paths = ", ".join(declared.config_path)
        names = f"{_listed(active)} {'runs' if len(active) == 1 else 'run'}"
        yield f"{names}, but not with the configuration {paths}: correct --config-path in their command."


def _results(names: t.Sequence[str], host: Host, timeout: float) -> dict[str, str]:
    """Return the result of each unit. Raises SynapseError."""
    if not names:
        return {}
    results: dict[str, str] = {}
    for part in _systemctl(["show", "--property=Id,Result", "--", *names], host, timeout).split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in part.splitlines())
        if shown.get("Id") and shown.get("Result"):
            results[shown["Id"]] = shown["Result"]
    return results


def _systemctl(arguments: t.Sequence[str], host: Host, timeout: float) -> str:
    # In English, so that the states are the words that are compared.
    done = host.run(["env", "LC_ALL=C", "systemctl", *arguments], timeout)
    if done.status != 0:
        reason = (done.errors.strip().splitlines() or ["it printed nothing"])[0].rstrip(".")
        raise SynapseError(f"systemctl {arguments[0]} failed: {reason}.")
    return done.output


def _count(number: int, which: str = "") -> str:
    return f"1 worker{which} runs" if number == 1 else f"{number} workers{which} run"


def _listed(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
