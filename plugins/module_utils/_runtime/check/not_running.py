# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Why no process of a Synapse runs or is ready: what systemd knows of its unit, its files, and Synapse's last words.

Relies on `systemctl show` (org.freedesktop.systemd1(5)), on the exit codes of systemd.exec(5), and on the journal.
"""

from __future__ import annotations

import signal

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.conditions import (
    unmet_conditions,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.journal import (
    Attempt,
    Ending,
    last_failed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.start_commands import (
    START_PRE,
    program_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_environment import missing_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_evidence import Evidence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units

# The exit codes of systemd for what it cannot prepare, the settings that are to blame, and the problem.
_PREPARATIONS = {
    200: ("WorkingDirectory", "it cannot enter the directory"),
    203: ("ExecStart", "it cannot run the command, which does not exist or is not a program"),
    216: ("Group", "the group does not exist"),
    217: ("User", "the user does not exist"),
    226: ("ReadWritePaths", "it cannot set up the directories that the unit sees, one of which may not exist"),
}
# ExecMainCode of systemd (CLD_EXITED and others of waitid(2)), as the journal names it.
_CODES = {"1": "exited", "2": "killed", "3": "dumped"}
_NO_ENDING = Ending("", 0)
# In characters.
_LONGEST_VALUE = 200


def why_not_running(declared: Declared, units: Units) -> str:
    """Return why the unit `declared.unit` runs no process with the declared configuration, and how to fix it.

    As sentences; "" if the host has no systemd, if no unit is declared, or if systemd shows no reason.
    """
    if not declared.unit or not units.has_systemd:
        return ""
    try:
        return _Search(declared, units, declared.unit).reason()
    except SynapseError as error:
        return f"Why is unknown, because its unit cannot be read. {error.message}"


def why_no_main_process(declared: Declared, units: Units, *, answers: bool) -> str:
    """Return why the unit `declared.unit` runs no main process, on a host that has workers, or "" if it need not run.

    A host can have workers only. The main process belongs to it if the unit starts it with the declared configuration,
    and has failed, is started again and again, or is enabled. If the server does not answer although that is declared
    (`answers` is false), then also if the unit is not enabled. Nothing is reported of a unit that cannot be read.
    """
    if not declared.unit or not units.has_systemd:
        return ""
    try:
        search = _Search(declared, units, declared.unit)
        return search.reason() if search.is_needed(answers=answers) else ""
    except SynapseError:
        return ""


def why_not_ready(
    declared: Declared, units: Units, name: str, *, has_ended: bool = False, is_worker: bool = False
) -> str:
    """Return why a process of the unit `name` is not ready, as sentences, or "" if systemd does not show that.

    `has_ended`: whether the process does not exist any more, so that a unit that does not run is the reason.
    `is_worker`: whether it is a worker.
    A unit is ready when Synapse has told systemd so (Type=notify), or at once.
    """
    try:
        search = _Search(declared, units, name, has_process=True, is_worker=is_worker)
        return search.reason_of_process(has_ended=has_ended)
    except SynapseError:
        return ""


class _Search:
    """Searches for what keeps a unit from running. `has_process`: whether it has just had a process of Synapse."""

    def __init__(
        self, declared: Declared, units: Units, name: str, *, has_process: bool = False, is_worker: bool = False
    ) -> None:
        self._declared = declared
        self._name = name
        self._found = Evidence(declared, units, name, is_worker=is_worker)
        self._has_process = has_process

    def reason_of_process(self, *, has_ended: bool) -> str:
        """Return why a process that the unit has or had a moment ago is not ready, or "" if it is."""
        states = ("activating", "deactivating", *(("failed", "inactive") if has_ended else ()))
        return self.reason() if self._found.state("ActiveState") in states else ""

    def is_needed(self, *, answers: bool) -> bool:
        """Return whether the unit does not run, but the main process of a host with workers must be in it."""
        state = self._found.state("ActiveState")
        is_tried = state == "failed" or (state == "activating" and self._found.number("NRestarts") > 0)
        is_expected = self._found.state("UnitFileState") == "enabled" and state == "inactive"
        if self._found.state("LoadState") == "not-found" or state in ("", "active"):
            return False
        return (is_tried or is_expected or not answers) and self._found.has_configuration

    def reason(self) -> str:
        """Return the reason as sentences, or "" if systemd shows none."""
        state, result = self._found.state("ActiveState"), self._found.state("Result")
        load = self._found.state("LoadState")
        if load == "masked":
            return self._of_unit(
                f"is masked, so systemd never starts it: run systemctl unmask {self._name}, and start it"
            )
        if load == "not-found":
            reason = f"There is no unit {self._name} on this host: install Synapse, or set"
            return f"{reason} {self._declared.called('unit')} to the unit that starts it."
        if load in ("error", "bad-setting"):
            reason = (
                f"has files that systemd refuses: run systemd-analyze verify {self._name}, and correct what it reports"
            )
            return self._of_unit(reason)
        if state == "active":
            return self._of_another_configuration()
        if state == "deactivating":
            return self._of_unit("is being stopped: wait until it has ended, and start it")
        if not state:
            return ""
        unmet = "" if state == "activating" else unmet_conditions(self._found.shown, lambda: self._found.unit)
        if unmet:
            how = f"correct or remove that, and {self._found.unit.apply}"
            return self._of_unit(f"was not started, because {unmet}: {how}")
        # After a restart by systemd, the result is that of the start in progress.
        if result == "success" and (state == "inactive" or not self._found.number("NRestarts")):
            return self._of_success(state)
        return self._of_failure(result)

    def _of_success(self, state: str) -> str:
        if state == "activating":
            return self._of_slow_start(ended=False)
        if state != "inactive":
            return ""
        boot = "" if self._found.state("UnitFileState") != "disabled" else ", and is not started at boot (disabled)"
        start = f"systemctl {'enable --now' if boot else 'start'} {self._name}"
        how = "was stopped" if self._found.state("InvocationID") else "was not started"
        return self._of_unit(f"{how}{boot}: run {start}")

    def _of_failure(self, result: str) -> str:
        is_trying = self._found.is_trying
        failed = last_failed(self._found.attempts) if is_trying else None
        if failed:
            # systemd has forgotten the result of the start before.
            result = failed.result
        if result == "timeout":
            return self._of_slow_start(ended=True, failed=failed)
        if self._found.state("SubState") == "start-pre" and not failed and self._found.commands.slow():
            return self._of_slow_start(ended=False)
        if result == "oom-kill":
            reason = "was ended by the kernel because of too little memory (Result=oom-kill)"
            return self._of_unit(f"{reason}: give the host more memory or Synapse smaller caches, and start it")
        missing = missing_files(self._found.unit)
        if result == "resources" and missing:
            line, path = missing[0]
            reason = f"does not start, because {path} does not exist. {line.place} sets EnvironmentFile={line.value}"
            how = "create that file, or write a hyphen before its path"
            return self._of_unit(f"{reason}: {how}, and {self._found.unit.apply}")
        return self._of_ending(result, failed)

    def _of_ending(self, result: str, failed: Attempt | None) -> str:
        """Return the reason for a start in which a process has ended. `failed`: that start, if another one runs."""
        code, status = self._found.state("ExecMainCode"), self._found.number("ExecMainStatus")
        endings = failed.endings if failed else {"ExecStart": Ending(_CODES.get(code, ""), status)}
        main, before = endings.get("ExecStart", _NO_ENDING), endings.get(START_PRE, _NO_ENDING)
        for ending in (main, before):
            if ending.code == "exited" and ending.status in _PREPARATIONS:
                return self._of_preparation(ending.status)
        words = self._found.words()
        if not words and main.code == "exited" and main.status:
            words = self._found.logged()
        if words:
            reason = f"{self._name} does not stay up{self._found.again}. Synapse reported: {words}"
            return f"{reason}{self._found.refused()} Correct that, and run systemctl restart {self._name}."
        if self._found.is_trying and not failed:
            return self._of_slow_start(ended=False)
        if result == "success" and self._found.state("ActiveState") != "activating":
            return ""
        # In the start in progress, it may be running again.
        command = self._found.commands.failed()
        command = command or ("" if before == _NO_ENDING else self._found.commands.failed_before())
        if command:
            reason = f"does not start, because {command} fails"
            return self._of_unit(f"{reason}: correct or remove it, and {self._found.unit.apply}")
        ended = "before it was ready" if failed and main == _NO_ENDING else f"with exit status {main.status}"
        if main.code in ("killed", "dumped"):
            ended = f"by the signal {_signal_name(main.status)}"
        return self._of_unit(f"does not stay up: it was ended {ended} (Result={result}). {self._log}")

    @property
    def _log(self) -> str:
        return f"{self._declared.log_hint}, correct what is reported there, and start {self._name}"

    def _of_slow_start(self, *, ended: bool, failed: Attempt | None = None) -> str:
        """Return what is slow: a command before the start, or Synapse itself. `failed`: as for `_of_ending`."""
        commands = self._found.commands
        command = commands.failed_before() if failed and START_PRE in failed.endings else commands.slow()
        limit = self._found.limit
        if command and ended:
            reason = f"does not start: {command} takes longer than {limit}"
            how = f"make it faster or remove it, or raise that limit, and {self._found.unit.apply}"
            return self._of_unit(f"{reason}, so systemd ends it: {how}")
        if command:
            reason = f"is still starting: {command} has not ended. systemd ends it after {limit}"
            return self._of_unit(f"{reason}: wait, or remove it if it never ends")
        if ended:
            reason = f"does not start: Synapse was not ready within {limit}, so systemd ended it"
            why = "An update of the database schema can take that long"
            how = f"raise that limit in a drop-in, and {self._found.unit.apply}"
            return self._of_unit(f"{reason}. {why}: {how}. {self._declared.log_hint}")
        if self._found.again:
            reason = f"does not stay up{self._found.again}, and is starting once more: correct what the log reports"
            return self._of_unit(f"{reason}. {self._declared.log_hint}")
        lacks = "Synapse is not ready yet" if self._has_process else "it has no process of Synapse yet"
        return self._of_unit(f"is still starting, and {lacks}: wait. {self._declared.log_hint} if it does not start")

    def _of_preparation(self, status: int) -> str:
        key, problem = _PREPARATIONS[status]
        lines = [line for line in self._found.unit.lines() if line.key == key and line.value]
        value = lines[-1].value[:_LONGEST_VALUE] if lines else ""
        # An argument of a command can be a secret.
        value = program_of(value) if key == "ExecStart" else value
        where = f"{lines[-1].place} sets {key}={value}" if lines else self._found.unit.hint
        reason = f"does not start, because systemd reports {problem} (exit status {status}). {where}"
        return self._of_unit(f"{reason}: correct that, and {self._found.unit.apply}")

    def _of_another_configuration(self) -> str:
        lines = self._found.unit.assigned("ExecStart")
        where = (
            f" {lines[-1].place} sets ExecStart={program_of(lines[-1].value)}:" if lines else " Look at its command:"
        )
        main = self._found.number("MainPID")
        runs = f"runs (process {main})" if main else "is active"
        reason = f"{self._name} {runs}, but not with this configuration.{where}"
        option = self._declared.called("config_path")
        return f"{reason} correct that, or set {option} to the paths in the command."

    def _of_unit(self, reason: str) -> str:
        return f"{self._name} {reason}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
