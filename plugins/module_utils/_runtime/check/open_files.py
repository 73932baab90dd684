# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether each process can open as many files as declared, and which file or system gives it less.

When Synapse starts, it raises its limit to the hard limit, or sets it to `soft_file_limit` (synapse/app/_base.py,
1.163). systemd gives at most what its own process has.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    names_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import (
    UNLIMITED,
    UnitNow,
    hidden_files,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict

_SETTING = "soft_file_limit"
_LOWERED, _RESTART = "lowered", "restart"
_RAISED = (_LOWERED, _RESTART)


class Culprit(t.NamedTuple):
    """What causes a failure. `cause` identifies it, `reason` is one or more sentences."""

    cause: str
    reason: str


def judge_open_files(declared: Declared, processes: t.Sequence[Mapping], units: Units, verdict: Verdict) -> None:
    """Compare the limit of each process with `open_files`, and warn of what lowers it at the next start."""
    if declared.open_files is None:
        return
    option, wanted = declared.called("open_files"), declared.open_files
    for process in processes:
        limit = process["file_limits"].get("soft")
        if limit is not None and limit < wanted:
            culprit = _Limits(declared, process, units).culprit()
            reason = f"{identified(process)} can open {limit} files, but {option} is {wanted}. {culprit.reason}"
            # Synapse raises it itself before it is ready, up to the hard limit.
            is_raised = culprit.cause in _RAISED and process["file_limits"].get("hard", UNLIMITED) >= wanted
            verdict.fail("open_files", reason, process, culprit.cause, need=Need.READY if is_raised else None)
        for later in _Limits(declared, process, units).later():
            verdict.warn(later.cause, later.reason)
    if not verdict.failed("open_files"):
        limits = dict.fromkeys(str(process["file_limits"].get("soft", "any number of")) for process in processes)
        verdict.proofs["open_files"] = (
            f"Open files: {names_of(processes)} can open {' or '.join(limits)} files. At least {wanted} are required."
        )


class _Limits:
    """The limits of one process."""

    def __init__(self, declared: Declared, process: Mapping, units: Units) -> None:
        self._option, self._wanted = declared.called("open_files"), t.cast("int", declared.open_files)
        self._process = process
        self._restart = declared.restart(process)
        self._units = units

    def culprit(self) -> Culprit:
        """Return why the process cannot open as many files."""
        hard = self._process["file_limits"].get("hard", UNLIMITED)
        return self._of_hard_limit() if hard < self._wanted else self._of_soft_limit()

    def later(self) -> t.Iterator[Culprit]:
        """Yield what lowers the limit at the next start, as sentences. What cannot be read is no reason to warn."""
        what = f"but {self._option} is {self._wanted}"
        try:
            setting = self._setting()
        except SynapseError:
            setting = None
        if setting:
            path, soft = setting
            name = self._process.get("name", "worker")
            yield Culprit(
                f"{_SETTING} {path}",
                f"After its next start, {name} can open {soft} files, {what}: {path} sets {_SETTING} to {soft}."
                " Remove that setting.",
            )
        try:
            unit = self._units.of(self._process)
        except SynapseError:
            return
        if unit and not hidden_files(unit.paths):
            limit = self._later_limit(unit)
            if limit < self._wanted:
                cause, reason = _of_files(unit, limit, self._wanted)
                yield Culprit(cause, f"After its next start, {unit.name} can open {limit:.0f} files, {what}. {reason}")

    def _later_limit(self, unit: UnitNow) -> float:
        found = unit.limit_line()
        if found:
            return found[1]
        limit = unit.limit if unit.is_read else self._units.default_limit(unit)
        return UNLIMITED if limit is None else limit

    def _of_soft_limit(self) -> Culprit:
        try:
            setting = self._setting()
        except SynapseError as error:
            return Culprit(_SETTING, f"The setting {_SETTING} may lower it, but cannot be read: {error.message}")
        if setting:
            path, limit = setting
            reason = f"{path} sets {_SETTING} to {limit}: remove that setting, and restart {self._restart}."
            return Culprit(f"{_SETTING} {path}", reason)
        return self._not_restarted()

    def _of_hard_limit(self) -> Culprit:
        try:
            unit = self._units.of(self._process)
        except SynapseError as error:
            return Culprit("systemd", f"Why is unknown, because the unit cannot be read. {error.message}")
        if unit and unit.limit is not None and unit.limit < self._wanted:
            return _of_files(unit, unit.limit, self._wanted)
        ceiling, source = self._units.ceiling()
        if ceiling < self._wanted:
            giver = f"{unit.name} sets enough, but the" if unit else "The"
            reason = (
                f"{giver} system gives at most {ceiling:.0f} ({source}): lower {self._option}, or raise the limit of"
            )
            return Culprit("system", f"{reason} the machine or of its container.")
        if unit is None:
            reason = "It was not started by systemd, so no unit sets its limit: raise the limit where it is started"
            return Culprit("start", f"{reason} (ulimit -n {self._wanted}), and restart {self._restart}.")
        return self._not_restarted()

    def _not_restarted(self) -> Culprit:
        if self._process.get("outdated_by") == []:
            reason = "None of its files has changed since it was started, so another program (prlimit), or the command"
            hint = self._process.get("unit")
            shown = f" (systemctl cat {hint} shows it)" if hint else ""
            return Culprit(_LOWERED, f"{reason} that starts it{shown}, has lowered its limit: restart {self._restart}.")
        return Culprit(_RESTART, f"It was not restarted after the limit was set: restart {self._restart}.")

    def _setting(self) -> tuple[str, int] | None:
        """Return the file that sets too low a `soft_file_limit`, and the value. Raises SynapseError."""
        configuration = read_configuration(self._process["config_path"])
        limit = configuration.settings.get(_SETTING)
        source = configuration.source_of(_SETTING)
        if source is None or not isinstance(limit, int) or isinstance(limit, bool):
            return None
        return (source, limit) if 0 < limit < self._wanted else None


def _of_files(unit: UnitNow, limit: float, wanted: int) -> Culprit:
    found = unit.limit_line()
    if found is None:
        reason = f"No file of {unit.name} sets LimitNOFILE, so DefaultLimitNOFILE of systemd applies, which is"
        return Culprit(
            f"default {unit.name}", f"{reason} {limit:.0f}. Set LimitNOFILE={wanted}, and {unit.apply} ({unit.hint})."
        )
    line, hard = found
    if hard >= wanted:
        reason = f"{line.place} sets LimitNOFILE={line.value}, but systemd has not read it since: {unit.apply}"
        return Culprit(f"{line.place} {unit.name}", f"{reason} ({unit.hint}).")
    reason = f"{line.place} sets LimitNOFILE={line.value}: remove it there, and {unit.apply} ({unit.hint})."
    return Culprit(f"{line.place} {unit.name}", reason)
