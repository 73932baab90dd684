# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A Synapse that can be stopped and started, whatever manages it: what both ways have in common."""

from __future__ import annotations

import abc
import dataclasses
import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    MissingLibrary,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.check import RuntimeCheck
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Found,
    Process,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host, RuntimeReader

# What ran before a stop, in a form that JSON can contain: see `Service.running`.
Running = dict[str, t.Any]

VERSIONS = "/_matrix/client/versions"
# In seconds: between two looks, for one request, between two looks at what systemd shows, and for one command.
PAUSE = 0.05
_REQUEST = 5.0
_LONG_PAUSE = 0.5
COMMAND = 30.0
# How long a running server may need for an answer, which may have been started a moment ago.
_PATIENCE = 10.0
_MOST_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Managed:
    """Which Synapse is stopped and started. `worker_unit` is empty if there are no workers.

    `working_directory`: that of a daemon; None for the one in which it ran. `start_timeout`: how many seconds a start
    may last, and a stop as well. `client`: without an access token, and without patience.
    """

    config_path: tuple[str, ...]
    client: Client
    unit: str = "matrix-synapse.service"
    worker_unit: str = "matrix-synapse-worker@.service"
    synapse_python: str = "/opt/venvs/matrix-synapse/bin/python"
    working_directory: str | None = None
    start_timeout: float = 120


def read_managed(parameters: t.Mapping[str, t.Any]) -> Managed:
    """Return which Synapse the options of a module mean. Raises InvalidInput for what cannot be meant."""
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    if parameters["start_timeout"] < 1:
        raise InvalidInput(f"start_timeout is {parameters['start_timeout']}. Set it to 1 or more.")
    client = Client(
        parameters["base_url"],
        verify=(parameters["ca_path"] or True) if parameters["validate_certs"] else False,
        timeout=_REQUEST,
        rate_limit_retry_timeout=0,
        unix_socket=parameters["unix_socket"],
    )
    return Managed(
        config_path=tuple(parameters["config_path"]),
        client=client,
        unit=parameters["unit"],
        worker_unit=parameters["worker_unit"] or "",
        synapse_python=parameters["synapse_python"],
        working_directory=parameters["working_directory"],
        start_timeout=parameters["start_timeout"],
    )


class Service(abc.ABC):
    """A Synapse with its workers on this host. It reads when a method is called, and keeps nothing.

    Every method raises SynapseError if the processes or their units cannot be seen.
    """

    # The unit, for the reasons why it does not run.
    unit = ""

    def __init__(self, managed: Managed, host: Host | None = None) -> None:
        """`host`: by default this one."""
        self.managed = managed
        self.host = host or Host()

    @property
    @abc.abstractmethod
    def described(self) -> str:
        """What it is, at the beginning of a sentence."""

    @property
    def described_within(self) -> str:
        """What it is, within a sentence."""
        described = self.described
        return f"the {described[4:]}" if described.startswith("The ") else described

    @abc.abstractmethod
    def is_running(self) -> bool:
        """Return whether a process of this configuration runs, or is about to be started again."""

    @abc.abstractmethod
    def require_control(self) -> None:
        """Raise SynapseError for the reason why `stop` or `start` would refuse. Changes nothing."""

    @abc.abstractmethod
    def require_rights(self) -> None:
        """Raise SynapseError if this user could not start it on this host, even if all its files were there."""

    @abc.abstractmethod
    def running(self, before: Running | None = None) -> Running:
        """Return what runs now, together with what ran by `before`.

        It has to be kept before a stop, so that an interrupted run can be continued: what this run has stopped already
        is only in `before` then. Keys: `main`, `units` (of workers), `daemons` (workers) and `directory`.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """End all processes of this configuration, and return when none is left.

        Raises SynapseError before anything is stopped if one of them was started in another way. Raises StateNotReached
        if one does not end in time.
        """

    @abc.abstractmethod
    def start(self, running: Running | None = None) -> None:
        """Start what ran by `running`, by default the main process: first that, and then workers.

        Returns when the server answers. Raises StateNotReached with the cause if it does not start or answer. Does
        nothing for what runs already.
        """

    def found(self) -> Found:
        """Return the processes of this configuration."""
        return find_processes(self.managed.config_path, self.host.proc)

    @abc.abstractmethod
    def processes(self) -> list[Process]:
        """Return the processes of this configuration. Raises SynapseError if this user cannot see them."""

    def require_same_configuration(self) -> None:
        """Raise SynapseError if the main process was started with other paths than `config_path`.

        What is read there may not be what the server uses then, such as its database.
        """
        declared = self.managed.config_path
        for process in self.processes():
            if process.app == MAIN_APP and _real(process.config_path) != _real(declared):
                raise SynapseError(
                    f"{identified([process])} was started with {', '.join(process.config_path)}, but config_path is"
                    f" {', '.join(declared)}. Set it to all paths that Synapse is started with, in the same order;"
                    " if Synapse will be started so only the next time, restart it first."
                )

    def require_answer(self) -> None:
        """Raise SynapseError if the main process runs, but does not answer where it is looked for after a start.

        One that ends meanwhile does not run: systemd starts a Synapse again and again that refuses its database.
        """
        present = [process.pid for process in self.processes() if process.app == MAIN_APP]
        end = time.monotonic() + _PATIENCE
        while any(map(self._is_there, present)) and not self._answers():
            if time.monotonic() >= end:
                raise StateNotReached(
                    f"{self.described} runs, but does not answer. {self.why()} If it should not answer, stop it first."
                )
            time.sleep(_LONG_PAUSE)

    def await_end(self, end: float, known: t.Collection[int]) -> None:
        """Return when no process of this configuration is left. `end`: until when, of the monotonic clock.

        `known`: the process IDs of those that have to end. Raises StateNotReached, also if there is another one.
        """
        while True:
            left = self.processes()
            others = [process for process in left if process.pid not in known]
            if others:
                raise StateNotReached(
                    f"{identified(others[:1])} was started while Synapse was being stopped. Find out what starts it,"
                    " end that, and run the task again."
                )
            if not left:
                return
            if time.monotonic() >= end:
                limit = f"{self.managed.start_timeout:g} seconds (start_timeout)"
                raise StateNotReached(
                    f"{identified(left)} did not end within {limit} after it was told to. Wait until it has ended, or"
                    " end it, and run the task again."
                )
            # To look at all processes of a host needs more time.
            until = min(end, time.monotonic() + _LONG_PAUSE)
            while time.monotonic() < until and any(self._is_there(process.pid) for process in left):
                time.sleep(PAUSE)

    def await_answer(self, end: float, is_starting: t.Callable[[], bool]) -> None:
        """Return when the server answers and a main process runs. `end`: until when, of the monotonic clock.

        `is_starting`: whether there is still something to wait for; asked from time to time. Raises StateNotReached
        with the cause.
        """
        next_look = time.monotonic() + _LONG_PAUSE
        while True:
            if self._answers() and any(process.app == MAIN_APP for process in self.found().processes):
                return
            now = time.monotonic()
            if now >= end:
                waited = f" Synapse did not answer within {self.managed.start_timeout:g} seconds (start_timeout)."
                raise StateNotReached(f"{self.described} was started, but is not ready.{waited} {self.why()}".strip())
            if now >= next_look:
                next_look = now + _LONG_PAUSE
                if not is_starting():
                    raise StateNotReached(f"{self.described} did not start. {self.why()}".strip())
            progress.report(Work.RUNNING)
            time.sleep(PAUSE)

    def why(self) -> str:
        """Return why the server does not run or answer, as synapse_runtime_check reports it, or ""."""
        managed, address = self.managed, self.managed.client.address
        declared = Declared(
            config_path=managed.config_path,
            base_url=address.base_url,
            unix_socket=address.unix_socket or None,
            answers=True,
            working_directory=managed.working_directory,
            synapse_python=managed.synapse_python,
            unit=self.unit,
        )
        reader = RuntimeReader(
            managed.config_path, declared.wanted, synapse_python=managed.synapse_python, timeout=COMMAND, host=self.host
        )
        check = RuntimeCheck(
            declared, reader.read, timeout=COMMAND, connect=lambda _seconds: managed.client, host=self.host
        )
        try:
            check.run()
        except SynapseError as error:
            return error.message
        return ""

    def run(self, arguments: t.Sequence[str], seconds: float) -> Completed:
        """Run a command on the host. Raises SynapseError if it does not end in so many seconds."""
        return self.host.run(arguments, seconds)

    def _is_there(self, pid: int) -> bool:
        try:
            with open(os.path.join(self.host.proc, str(pid), "cmdline"), "rb") as file:
                # It is empty when a process has ended, and its parent has not noticed yet.
                return bool(file.read(1))
        except OSError:
            return False

    def _answers(self) -> bool:
        try:
            return "versions" in self.managed.client.get(VERSIONS)
        except (MissingLibrary, InvalidInput):
            raise
        except SynapseError:
            return False


def _real(paths: t.Iterable[str]) -> list[str]:
    return [os.path.realpath(path) for path in paths]


def identified(processes: t.Sequence[Process]) -> str:
    """Return the words for processes, as the beginning of a sentence."""
    shown = [f"{process.pid} ({process.app})" for process in processes[:_MOST_SHOWN]]
    more = f" and {len(processes) - len(shown)} more" if len(processes) > len(shown) else ""
    return f"Process {', '.join(shown)}{more}"


def left_until(end: float) -> float:
    """Return how many seconds are left until a moment of the monotonic clock, at least a moment."""
    return max(end - time.monotonic(), PAUSE)
