# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A Synapse that a user has started as a daemon: its processes are found by the paths of their configuration."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import secret_values
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.held_ports import IN_USE, held_ports
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.last_words import shown, words_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.log_end import log_paths, read_log_end
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    ProcessReader,
    user_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import read_unit
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.managed import (
    COMMAND,
    Running,
    Service,
    identified,
    left_until,
)

# The clock of a file system can be a moment behind, in seconds.
_BEHIND = 1.0
# A daemon changes to /, so only this variable shows where relative paths begin.
_IN_DIRECTORY = 'cd -- "$0" && export PWD && exec "$@"'


class DaemonService(Service):
    """The daemon of the main process, and those of workers."""

    _started_at = 0.0

    @property
    def described(self) -> str:
        """The daemon by its configuration."""
        return f"The daemon with {self.managed.config_path[0]}"

    def is_running(self) -> bool:
        """Return whether a process of this configuration runs."""
        return bool(self.processes())

    def require_control(self) -> None:
        """Raise SynapseError unless this user can end the processes and start them again."""
        processes = self.processes()
        self._require_own(processes)
        python = self.managed.synapse_python
        if not os.access(python, os.X_OK) or not os.path.isfile(python):
            raise SynapseError(
                f"synapse_python {python} is not a program that this user can run. Set it to the Python of Synapse."
            )
        self._require_directory(self._directory(self.running()))
        for process in processes:
            if process.app != MAIN_APP:
                _require_pid_file(process)

    def require_rights(self) -> None:
        """Accept each user: a daemon belongs to whoever starts it."""

    def running(self, before: Running | None = None) -> Running:
        """Return whether the main process runs, and the workers that run, with their directories."""
        known = before or {}
        main, directory = bool(known.get("main")), str(known.get("directory", ""))
        daemons: list[Running] = []
        for process in self.processes():
            try:
                place = ProcessReader(process.pid, self.host.proc).directory_at_start(process.daemonized)
            except OSError:
                # Without access to it, the process belongs to another user, or has just ended.
                place = ""
            if process.app == MAIN_APP:
                main, directory = True, place or directory
            else:
                daemons.append({"app": process.app, "config_path": list(process.config_path), "directory": place})
        new = {tuple(daemon["config_path"]) for daemon in daemons}
        daemons += [daemon for daemon in known.get("daemons", []) if tuple(daemon["config_path"]) not in new]
        return {"main": main, "units": [], "daemons": daemons, "directory": directory}

    def stop(self) -> None:
        """Send each process the signal to end, and wait for them."""
        end = time.monotonic() + self.managed.start_timeout
        processes = self.processes()
        self._require_own(processes)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        self.await_end(end, {process.pid for process in processes})

    def start(self, running: Running | None = None) -> None:
        """Start the main process, and the workers when the server answers, because they need its database."""
        end = time.monotonic() + self.managed.start_timeout
        wanted: Running = {"main": True} if running is None else running
        present = self.processes()
        self._require_own(present)
        directory = self._directory(wanted)
        if wanted.get("main") and not self._becomes_ready(present, end):
            self._launch(MAIN_APP, self.managed.config_path, directory, end)
            self.await_answer(end, self._has_main)
        started = {process.config_path for process in present}
        for daemon in wanted.get("daemons", []):
            if tuple(daemon["config_path"]) not in started:
                place = daemon.get("directory") or directory
                self._launch(str(daemon["app"]), daemon["config_path"], place, end)

    def processes(self) -> list[Process]:
        """Return the processes of this configuration. Those of other users that this user cannot see are left out."""
        return self.found().processes

    def why(self) -> str:
        """Return why the daemon has ended, in its own words at the end of its log, or what else is known."""
        with contextlib.suppress(SynapseError):
            settings = read_configuration(self.managed.config_path).settings
            directory = self._directory({})
            end = read_log_end(log_paths(settings, directory), since=self._started_at - _BEHIND, starting=False)
            if end:
                words = shown(end.words, end.first, secret_values(settings))
                return f"Synapse reported: {words} It is at the end of {end.path}.{self._held(words)}"
        return super().why()

    def _held(self, words: str) -> str:
        """Return which process holds a port that Synapse needs, as sentences that follow others, or ""."""
        if IN_USE not in words:
            return ""
        held = held_ports(read_configuration(self.managed.config_path).settings, 0, self.host.proc)
        return f" {held}" if held else ""

    def _becomes_ready(self, present: t.Sequence[Process], end: float) -> bool:
        """Wait for a main process that is there already. Returns False if there is none, or if it ends.

        One that a task was stopping, or starting, when that was killed may end before it answers.
        """
        if all(process.app != MAIN_APP for process in present):
            return False
        try:
            self.await_answer(end, self._has_main)
        except StateNotReached:
            if self._has_main():
                raise
            return False
        return True

    def _has_main(self) -> bool:
        return any(process.app == MAIN_APP for process in self.processes())

    def _launch(self, app: str, config_path: t.Sequence[str], directory: str, end: float) -> None:
        """Start a daemon. Raises StateNotReached with its words if it ends with an error."""
        self._require_directory(directory)
        self._started_at = time.time()
        options = [f"--config-path={path}" for path in config_path]
        command = [self.managed.synapse_python, "-m", app, "--daemonize", *options]
        name = self.described if app == MAIN_APP else f"The worker with {', '.join(config_path)}"
        try:
            done = self.run(["sh", "-c", _IN_DIRECTORY, directory, *command], left_until(end))
        except SynapseError as error:
            limit = f"{self.managed.start_timeout:g} seconds (start_timeout)"
            raise StateNotReached(f"{name} did not start within {limit}. If it needs longer, raise it.") from error
        if done.status == 0:
            return
        words, first = words_in(done.errors.splitlines())
        try:
            secrets = secret_values(read_configuration(config_path).settings)
        except SynapseError:
            secrets = None
        reason = f"Synapse reported: {shown(words, first, secrets)}" if words else self.why()
        raise StateNotReached(f"{name} did not start (exit status {done.status}). {reason}".strip())

    def _directory(self, running: Running) -> str:
        """Return where relative paths of the configuration begin."""
        first = os.path.dirname(os.path.abspath(self.managed.config_path[0]))
        return self.managed.working_directory or str(running.get("directory") or first)

    def _require_directory(self, directory: str) -> None:
        if not os.path.isdir(directory):
            raise SynapseError(f"The directory {directory} does not exist. Set working_directory to that of Synapse.")

    def _require_own(self, processes: t.Sequence[Process]) -> None:
        """Raise SynapseError for a process of another user, or one that systemd would start again."""
        for process in processes:
            reader = ProcessReader(process.pid, self.host.proc)
            try:
                user = reader.user_number()
                numbers = (process.pid, reader.parent())
                unit = read_unit(reader.control_group(), numbers, self.host.run, COMMAND, self.host.systemd)
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
            if unit:
                raise SynapseError(
                    f"{identified([process])} runs in {unit.name}, so systemd would start it again. Set manager to"
                    f" systemd, and unit to the unit of Synapse."
                )
            if user != os.geteuid():
                raise SynapseError(
                    f"{identified([process])} runs as {user_name(user)}, and would be started as"
                    f" {user_name(os.geteuid())}. Run the task as {user_name(user)} (become_user)."
                )


def _require_pid_file(process: Process) -> None:
    settings = read_configuration(process.config_path).settings
    if not settings.get("worker_pid_file"):
        raise SynapseError(
            f"{identified([process])} cannot be started again as a daemon, because worker_pid_file is not set in"
            f" {process.config_path[-1]}. Set it there to a path that this user can write."
        )
