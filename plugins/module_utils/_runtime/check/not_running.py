# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Why no process of a Synapse runs: what systemd knows of its unit, the files of the unit, and Synapse's last words.

Relies on `systemctl show` (org.freedesktop.systemd1(5)), on the exit codes of systemd.exec(5), and on the journal.
"""

from __future__ import annotations

import contextlib
import re
import signal
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import secret_values
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.last_words import last_words
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_environment import missing_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow, shown_lines
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "NRestarts",
    "MainPID",
    "ExecMainStatus",
    "ExecMainCode",
    "TimeoutStartUSec",
    "UnitFileState",
    "InvocationID",
    "ExecStartPre",
)
_START_PRE = "ExecStartPre"
_COMMAND = re.compile(
    r"\{ path=.*? ; argv\[\]=(.*?) ; ignore_errors=(yes|no) ; .*?start_time=\[(.*?)\] ; stop_time=\[(.*?)\] ;"
    r".* code=(\S+) ; status=([0-9]{1,9})"
)
_NEVER = ("", "n/a")
_PREFIXES = "-@:+!|"
# The exit codes of systemd for what it cannot prepare, the settings that are to blame, and the problem.
_PREPARATIONS = {
    200: ("WorkingDirectory", "it cannot enter the directory"),
    203: ("ExecStart", "it cannot run the command, which does not exist or is not a program"),
    216: ("Group", "the group does not exist"),
    217: ("User", "the user does not exist"),
    226: ("ReadWritePaths", "it cannot set up the directories that the unit sees, one of which may not exist"),
}
_KILLED = ("2", "3")
# In characters.
_LONGEST_COMMAND = 200


def why_not_running(declared: Declared, units: Units) -> str:
    """Return why the unit `declared.unit` runs no process with the declared configuration, and how to fix it.

    As sentences; "" if the host has no systemd, if no unit is declared, or if systemd shows no reason.
    """
    if not declared.unit or not units.has_systemd:
        return ""
    try:
        return _Search(declared, units).reason()
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
        search = _Search(declared, units)
        return search.reason() if search.is_needed(answers=answers) else ""
    except SynapseError:
        return ""


class _Search:
    """Searches for what keeps a unit from running."""

    def __init__(self, declared: Declared, units: Units) -> None:
        self._declared = declared
        self._name = declared.unit
        self._units = units
        self._lines = shown_lines(_PROPERTIES, ["--", self._name], units.run, units.timeout)
        self._shown = dict(self._lines)

    def is_needed(self, *, answers: bool) -> bool:
        """Return whether the unit does not run, but the main process of a host with workers must be in it."""
        state = self._shown.get("ActiveState", "")
        is_tried = state == "failed" or (state == "activating" and self._number("NRestarts") > 0)
        is_expected = self._shown.get("UnitFileState") == "enabled" and state == "inactive"
        if self._shown.get("LoadState") == "not-found" or state in ("", "active"):
            return False
        return (is_tried or is_expected or not answers) and self._has_configuration

    def reason(self) -> str:
        """Return the reason as sentences, or "" if systemd shows none."""
        state, result = self._shown.get("ActiveState", ""), self._shown.get("Result", "")
        load = self._shown.get("LoadState", "")
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
        # After a restart by systemd, the result is that of the start in progress.
        if result == "success" and (state == "inactive" or not self._number("NRestarts")):
            return self._of_success(state)
        return self._of_failure(result)

    def _of_success(self, state: str) -> str:
        if state == "activating":
            return self._of_slow_start(ended=False)
        if state != "inactive":
            return ""
        boot = "" if self._shown.get("UnitFileState") != "disabled" else ", and is not started at boot (disabled)"
        start = f"systemctl {'enable --now' if boot else 'start'} {self._name}"
        how = "was stopped" if self._shown.get("InvocationID") else "was not started"
        return self._of_unit(f"{how}{boot}: run {start}")

    def _of_failure(self, result: str) -> str:
        if result == "timeout":
            return self._of_slow_start(ended=True)
        if self._shown.get("SubState") == "start-pre" and self._slow_command():
            return self._of_slow_start(ended=False)
        if result == "oom-kill":
            reason = "was ended by the kernel because of too little memory (Result=oom-kill)"
            return self._of_unit(f"{reason}: give the host more memory or Synapse smaller caches, and start it")
        missing = missing_files(self._unit)
        if result == "resources" and missing:
            line, path = missing[0]
            reason = f"does not start, because {path} does not exist. {line.place} sets EnvironmentFile={line.value}"
            how = "create that file, or write a hyphen before its path"
            return self._of_unit(f"{reason}: {how}, and {self._unit.apply}")
        status = self._number("ExecMainStatus")
        if self._shown.get("ExecMainCode") == "1" and status in _PREPARATIONS:
            return self._of_preparation(status)
        words = self._words()
        if words:
            count = self._number("NRestarts")
            again = f" (systemd has restarted it {count} times)" if count else ""
            reason = f"{self._name} does not stay up{again}. Synapse reported: {words} Correct that, and run systemctl"
            return f"{reason} restart {self._name}."
        return self._of_result(result, status)

    def _of_result(self, result: str, status: int) -> str:
        if self._shown.get("ActiveState") == "activating" and self._shown.get("SubState") != "auto-restart":
            return self._of_slow_start(ended=False)
        if result == "success":
            return ""
        command = self._failed_command()
        if command:
            reason = f"does not start, because {command} fails"
            return self._of_unit(f"{reason}: correct or remove it, and {self._unit.apply}")
        ended = f"with exit status {status}"
        if self._shown.get("ExecMainCode") in _KILLED:
            ended = f"by the signal {_signal_name(status)}"
        return self._of_unit(f"does not stay up: it was ended {ended} (Result={result}). {self._log}")

    @property
    def _log(self) -> str:
        return f"{self._declared.log_hint}, correct what is reported there, and start {self._name}"

    def _of_slow_start(self, *, ended: bool) -> str:
        """Return what is slow: a command before the start, or Synapse itself."""
        command = self._slow_command()
        limit = self._limit()
        if command and ended:
            reason = f"does not start: {command} takes longer than {limit}"
            how = f"make it faster or remove it, or raise that limit, and {self._unit.apply}"
            return self._of_unit(f"{reason}, so systemd ends it: {how}")
        if command:
            reason = f"is still starting: {command} has not ended. systemd ends it after {limit}"
            return self._of_unit(f"{reason}: wait, or remove it if it never ends")
        if ended:
            reason = f"does not start: Synapse was not ready within {limit}, so systemd ended it"
            why = "An update of the database schema can take that long"
            how = f"raise that limit in a drop-in, and {self._unit.apply}"
            return self._of_unit(f"{reason}. {why}: {how}. {self._declared.log_hint}")
        reason = "is still starting, and has no process of Synapse yet"
        return self._of_unit(f"{reason}: wait. {self._declared.log_hint} if it does not start")

    def _slow_command(self) -> str:
        """Return the command before the start that has not ended or was ended, with its place, or ""."""
        return self._command(
            lambda found: found[5] == "killed" or (found[3] not in _NEVER and found[4] in _NEVER),
        )

    def _failed_command(self) -> str:
        """Return the command before the start that has failed, with its place, or ""."""
        return self._command(lambda found: found[5] == "exited" and found[6] != "0" and found[2] == "no")

    def _command(self, is_meant: t.Callable[[re.Match[str]], bool]) -> str:
        commands = [_COMMAND.match(value) for name, value in self._lines if name == _START_PRE]
        meant = [(index, found[1]) for index, found in enumerate(commands) if found and is_meant(found)]
        if not meant:
            return ""
        index, words = meant[-1]
        lines = self._unit.assigned(_START_PRE)
        same = [line for line in lines if line.value.lstrip(_PREFIXES).split() == words.split()]
        # A line can have quotes and specifiers, and several commands.
        line = same[0] if same else (lines[index] if len(lines) == len(commands) else None)
        text = f"{_START_PRE}={(line.value if line else words)[:_LONGEST_COMMAND]}"
        return f"{text} ({line.path}, line {line.number})" if line else text

    def _limit(self) -> str:
        """Return the limit for the start, with its place."""
        lines = [line for line in self._unit.lines() if line.key in ("TimeoutStartSec", "TimeoutSec") and line.value]
        value = self._shown.get("TimeoutStartUSec", "")
        if not lines:
            return f"{value}, which is DefaultTimeoutStartSec of systemd (set TimeoutStartSec to change it)"
        line = lines[-1]
        return f"{line.key}={line.value} ({line.path}, line {line.number})"

    def _of_preparation(self, status: int) -> str:
        key, problem = _PREPARATIONS[status]
        lines = [line for line in self._unit.lines() if line.key == key and line.value]
        where = f"{lines[-1].place} sets {key}={lines[-1].value[:_LONGEST_COMMAND]}" if lines else self._unit.hint
        reason = f"does not start, because systemd reports {problem} (exit status {status}). {where}"
        return self._of_unit(f"{reason}: correct that, and {self._unit.apply}")

    def _of_another_configuration(self) -> str:
        lines = self._unit.assigned("ExecStart")
        where = (
            f" {lines[-1].place} sets ExecStart={lines[-1].value[:_LONGEST_COMMAND]}:"
            if lines
            else " Look at its command:"
        )
        main = self._number("MainPID")
        runs = f"runs (process {main})" if main else "is active"
        reason = f"{self._name} {runs}, but not with this configuration.{where}"
        option = self._declared.called("config_path")
        return f"{reason} correct that, or set {option} to the paths in the command."

    def _words(self) -> str:
        secrets: set[str] | None = None
        with contextlib.suppress(SynapseError):
            # The words of a Synapse with another configuration can contain other secrets.
            if self._has_configuration:
                secrets = secret_values(read_configuration(self._declared.config_path).settings)
        try:
            return last_words(self._name, self._units.run, self._units.timeout, secrets)
        except SynapseError:
            # What systemd knows is still a reason.
            return ""

    @property
    def _has_configuration(self) -> bool:
        return self._unit.starts_with(self._declared.config_path[0])

    @property
    def _unit(self) -> UnitNow:
        return self._units.called(self._name)

    def _number(self, name: str) -> int:
        text = self._shown.get(name, "")
        return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0

    def _of_unit(self, reason: str) -> str:
        return f"{self._name} {reason}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
