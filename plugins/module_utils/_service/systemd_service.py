# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A Synapse whose main process and workers are units of systemd (systemctl(1), systemd.service(5))."""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.not_running import why_not_ready
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    ProcessReader,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import read_unit, unit_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.managed import (
    COMMAND,
    Managed,
    Running,
    Service,
    identified,
    left_until,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import (
    ACTIVE,
    Shown,
    running_instances,
    show_units,
)

_AS_ROOT = "Run the task with become, as root."
_ENDED = ("inactive", "failed", "")


class SystemdService(Service):
    """The unit of the main process, the instances of the template of workers, and other units with workers."""

    def __init__(self, managed: Managed, host: Host | None = None) -> None:
        """Raises InvalidInput if no unit is given."""
        super().__init__(managed, host)
        if not managed.unit:
            raise InvalidInput("unit is empty. Set it to the unit that starts Synapse, or set manager to daemon.")
        self.unit = managed.unit

    @property
    def described(self) -> str:
        """The name of the unit."""
        return self.unit

    def is_running(self) -> bool:
        """Return whether a process of this configuration runs, or one of the units is not at rest."""
        if self.processes():
            return True
        return self._has_systemd and (_is_active(self._shown()) or bool(self._instances()))

    def require_control(self) -> None:
        """Raise SynapseError unless root can stop and start the unit, and all processes belong to units."""
        self.require_rights()
        shown, processes = self._shown(), self.processes()
        state = shown.text("LoadState")
        if state != "loaded":
            reason = "There is no unit" if state in ("not-found", "") else f"systemd cannot start (LoadState={state})"
            raise SynapseError(f"{reason} {self.unit}. Correct it, or set unit to the unit that starts Synapse.")
        self._units_of(processes, shown)
        has_main = any(process.app == MAIN_APP for process in processes)
        if not has_main and self._starts_another(shown):
            raise SynapseError(
                f"{self.unit} does not start Synapse with {self.managed.config_path[0]}, but with"
                f" {', '.join(shown.started())}. Set config_path to these paths, or unit to another unit."
            )

    def require_rights(self) -> None:
        """Raise SynapseError unless systemd runs, and this user is root."""
        if not self._has_systemd:
            raise SynapseError(
                f"systemd does not run on this host, so {self.unit} cannot be stopped or started. Set manager."
            )
        if os.geteuid() != 0:
            raise SynapseError(f"Only root can stop and start {self.unit}. {_AS_ROOT}")

    def running(self, before: Running | None = None) -> Running:
        """Return whether the main process runs, and the units of the workers that run."""
        known = before or {}
        units, main = set(known.get("units", [])), bool(known.get("main"))
        if self._has_systemd:
            shown, processes = self._shown(), self.processes()
            units |= self._units_of(processes, shown) | set(self._instances())
            main = main or _is_active(shown)
        return {"main": main, "units": sorted(units), "daemons": [], "directory": ""}

    def stop(self) -> None:
        """Stop all units with one command, in the order that systemd gives them, and wait for their processes."""
        end = time.monotonic() + self.managed.start_timeout
        shown, processes = self._shown(), self.processes()
        units = self._units_of(processes, shown) | set(self._instances())
        names = [*([self.unit] if _is_active(shown) else []), *sorted(units)]
        if names:
            self._stop(names, end)
        self.await_end(end, {process.pid for process in processes})

    def start(self, running: Running | None = None) -> None:
        """Start the unit, and the units of workers when the server answers, because they need its database."""
        end = time.monotonic() + self.managed.start_timeout
        wanted: Running = {"main": True} if running is None else running
        units = list(wanted.get("units", []))
        if not wanted.get("main") and not units:
            return
        shown = self._shown()
        if shown.text("NeedDaemonReload") == "yes" or shown.text("LoadState") != "loaded":
            self._command("daemon-reload", [], end)
            shown = self._shown()
        self._units_of(self.processes(), shown)
        if wanted.get("main"):
            if not _is_active(shown):
                # It may have failed too often for another start.
                self._reset([self.unit])
                self._start_main(end)
            self.await_answer(end, self._is_starting)
        if units:
            self._start_workers(units, end)

    def processes(self) -> list[Process]:
        """Return the processes of this configuration. Raises SynapseError if this user cannot see all of them."""
        found = self.found()
        doubts = [each for each in found.unknown if each.name == "processes"]
        if doubts:
            raise SynapseError(f"{doubts[0].reason} {doubts[0].fix}")
        return found.processes

    def _stop(self, names: t.Sequence[str], end: float) -> None:
        try:
            self._command("stop", names, end)
        except SynapseError as error:
            fix = f"Look at systemctl status {' '.join(names)}, and run the task again."
            raise StateNotReached(f"{self.unit} was not stopped. {error.message} {fix}") from error

    def _start_main(self, end: float) -> None:
        try:
            self._command("start", [self.unit], end)
        except SynapseError as error:
            raise StateNotReached(f"{self.unit} did not start. {self.why() or error.message}") from error

    def _start_workers(self, units: t.Sequence[str], end: float) -> None:
        self._reset(units)
        failed = ""
        try:
            self._command("start", units, end)
        except SynapseError as error:
            failed = error.message
        states = show_units(units, self.host.run, COMMAND)
        # Between two attempts of systemd, a unit that does not start is activating.
        wrong = [name for name, shown in zip(units, states) if shown.text("ActiveState") not in ("active", "reloading")]
        if not wrong and not failed:
            return
        declared = Declared(config_path=self.managed.config_path, unit=self.unit)
        known = Units(self.host, COMMAND)
        reasons = [why_not_ready(declared, known, name, has_ended=True, is_worker=True) for name in wrong]
        names = ", ".join(wrong) or "A worker"
        raise StateNotReached(f"{names} did not start. {' '.join(filter(None, reasons)) or failed}".strip())

    def _is_starting(self) -> bool:
        shown = self._shown()
        # Between two attempts of systemd, a start has failed.
        return _is_active(shown) and not shown.text("SubState").startswith("auto-restart")

    def _units_of(self, processes: t.Sequence[Process], shown: Shown) -> set[str]:
        """Return the units of workers. Raises SynapseError for a process that systemd has not started in a unit."""
        main = {self.unit, shown.text("Id")}
        units: set[str] = set()
        for process in processes:
            try:
                name = self._unit_of(process, main)
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
            if name is None:
                raise SynapseError(
                    f"{identified([process])} runs with this configuration, but no unit of systemd has started it. End"
                    f" it (kill {process.pid}), and run the task again."
                )
            if process.app == MAIN_APP and name not in main:
                raise SynapseError(
                    f"{identified([process])} runs in {name}, not in {self.unit}. Set unit to {name}, and run the task"
                    " again."
                )
            units.add(name)
        return units - main

    def _unit_of(self, process: Process, main: t.Collection[str]) -> str | None:
        reader = ProcessReader(process.pid, self.host.proc)
        group = reader.control_group()
        name = unit_name(group)
        prefix, _at, suffix = self.managed.worker_unit.partition("@")
        is_instance = bool(suffix) and (name or "").startswith(f"{prefix}@") and (name or "").endswith(suffix)
        if name is None or name in main or is_instance:
            return name
        # Another unit may run more than Synapse, such as that of cron.
        numbers = (process.pid, process.pid)
        unit = read_unit(group, numbers, self.host.run, COMMAND, self.host.systemd)
        return unit.name if unit else None

    def _starts_another(self, shown: Shown) -> bool:
        """Return whether the unit is known to start Synapse with another configuration; a script can hide it."""
        wanted = self.managed.config_path[0]
        now: UnitNow = Units(self.host, COMMAND).called(self.unit)
        directory = shown.text("WorkingDirectory").lstrip("!")
        paths = {os.path.realpath(os.path.join(directory or "/", path)) for path in shown.started()}
        return bool(paths) and os.path.realpath(wanted) not in paths and not now.starts_with(wanted)

    def _shown(self) -> Shown:
        return show_units([self.unit], self.host.run, COMMAND)[0]

    def _instances(self) -> list[str]:
        if not self.managed.worker_unit:
            return []
        return running_instances(self.managed.worker_unit, self.host.run, COMMAND, ACTIVE)

    @property
    def _has_systemd(self) -> bool:
        return os.path.isdir(self.host.systemd.running)

    def _reset(self, units: t.Sequence[str]) -> None:
        # It fails for a unit that systemd has not loaded yet, which needs no reset.
        self.run(["systemctl", "reset-failed", "--", *units], COMMAND)

    def _command(self, verb: str, units: t.Sequence[str], end: float) -> None:
        """Run systemctl, which waits for the result. Raises SynapseError if it fails, or does not end in time."""
        done = self.run(["systemctl", verb, *(["--", *units] if units else [])], left_until(end))
        if done.status != 0:
            reason = (done.errors.strip().splitlines() or [f"status {done.status}"])[0].rstrip(".")
            fix = "" if os.geteuid() == 0 else f" {_AS_ROOT}"
            raise SynapseError(f"{' '.join(['systemctl', verb, *units])} failed: {reason}.{fix}")


def _is_active(shown: Shown) -> bool:
    return shown.text("ActiveState") not in _ENDED
