# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether processes run, as the declared user, with the present files."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    names_of,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.not_running import (
    why_no_main_process,
    why_not_running,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.workers import workers_of

_SHOWN_CONTAINERS = 3


def judge_running(declared: Declared, found: Mapping, verdict: Verdict, units: Units | None = None) -> bool:
    """Return whether processes of this Synapse run, and check that each of them is `fresh` and has the `user`.

    `found`: what RuntimeReader returns. `units`: to find out why none or no main process runs.
    """
    doubt = unknown_of(found["unknown"], ("processes",))
    if doubt and (declared.judges_processes or not found["processes"]):
        verdict.fail("config_path", f"Whether all processes are as declared is unknown. {doubt}")
    if not found["processes"] and not doubt:
        _report_none(declared, found, verdict, units)
    if units and found["processes"] and not doubt:
        _judge_main_process(declared, found["processes"], units, verdict)
    for process in found["processes"]:
        if declared.user and process["user"] != declared.user:
            reason = f"{identified(process)} runs as {process['user']}, not as {declared.user}."
            verdict.fail("user", f"{reason} Restart {declared.restart(process)}.", process)
        if declared.fresh:
            _judge_freshness(declared, process, verdict)
    return bool(found["processes"])


def _report_none(declared: Declared, found: Mapping, verdict: Verdict, units: Units | None) -> None:
    why = why_not_running(declared, units) if units else ""
    reason = (
        f"No Synapse process runs on this host with the configuration {', '.join(declared.config_path)}."
        f" {why or f'Start Synapse. {declared.log_hint} if it does not stay up.'}{_in_containers(found)}"
    )
    if why and not found.get("server"):
        # It is the reason why no server answers.
        verdict.fail("config_path", reason)
        verdict.explain((Need.ANSWER, Need.CONNECTION), [None], reason)
        return
    fix = f"set {declared.designation('this server')}"
    another = f"If a server still answers at {declared.address}, it is a different one: {fix}."
    verdict.fail("config_path", f"{reason} {another}")


def _judge_main_process(declared: Declared, processes: t.Sequence[Mapping], units: Units, verdict: Verdict) -> None:
    """Report a main process that is missing next to workers. A host that has only workers needs none."""
    if len(workers_of(processes)) < len(processes):
        return
    why = why_no_main_process(declared, units, answers=not verdict.failed("answers"))
    if why:
        elsewhere = f"If the main process runs on another host, run systemctl disable --now {declared.unit} here"
        verdict.fail(
            "config_path",
            f"No main process of this Synapse runs on this host, but the workers {names_of(processes)} do. {why}"
            f" {elsewhere}, and systemctl reset-failed {declared.unit}.",
        )


def _in_containers(found: Mapping) -> str:
    """Return which processes of any Synapse run in containers, as sentences that follow others."""
    others = found.get("in_containers", [])
    shown = [
        f"process {one['pid']} with {', '.join(one['config_path'])} in {one['container']}"
        for one in others[:_SHOWN_CONTAINERS]
    ]
    more = f", and {len(others) - len(shown)} more" if len(others) > len(shown) else ""
    reason = f" In containers, Synapse runs as {'; '.join(shown)}{more}. A process in a container has other files at"
    return f"{reason} the same paths, so it is never taken for this one." if others else ""


def _judge_freshness(declared: Declared, process: Mapping, verdict: Verdict) -> None:
    reasons = " ".join(dict.fromkeys(finding["reason"] for finding in process.get("outdated_by", [])))
    if reasons:
        verdict.fail(
            "fresh",
            f"{identified(process)} does not run with its present files. {reasons} Restart"
            f" {declared.restart(process)}.",
            process,
        )
        return
    doubt = unknown_of(process["unknown"], ("outdated_by",))
    if doubt:
        reason = f"Whether {identified(process)} runs with all of its present files is unknown. {doubt}"
        verdict.warn(f"fresh {process['pid']}", reason)
