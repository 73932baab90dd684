# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The check of the running processes: reads their state, waits where that is declared, and judges it."""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import find_ignored_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.background_updates import (
    BackgroundUpdates,
    ReadUpdates,
    are_as_declared,
    judge_background_updates,
    read_background_updates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.caches import judge_caches, wrong_caches
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared, Mapping
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.jemalloc import (
    judge_autotuning,
    judge_jemalloc,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.open_files import judge_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.presence import judge_presence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.requests import judge_requests
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.running import judge_running
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.server import (
    health_problem,
    judge_server,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unready import explain_failures
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.workers import judge_workers, workers_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.writing import RunScript, judge_writing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.server import read_server

# In seconds. After a reload, Synapse resizes its caches within a moment.
_RESIZING = 10.0
# In seconds. A Synapse that has just been started may not have created its database yet.
_READABLE = 10.0
_PAUSE, _LONG_PAUSE = 0.25, 1.0
_SHORTEST_REQUEST = 1
# What is compared with the configuration.
_OF_SETTINGS = ("cache_factor", "cache_autotuning", "presence")
_RETURNED = ("server", "processes", "cache_settings", "unknown")


class Connect(t.Protocol):
    """Makes a client of the server."""

    def __call__(self, seconds: int | None) -> Client:
        """Return a client whose requests need at most so many seconds, also for rate limits. None: as declared."""


class Waiting(t.NamedTuple):
    """How to wait: the clock, in seconds, which nobody sets, and a pause."""

    now: t.Callable[[], float] = time.monotonic
    pause: t.Callable[[float], None] = time.sleep


class RuntimeCheck:
    """Compares the running processes of a Synapse with what is declared. It changes nothing."""

    def __init__(
        self,
        declared: Declared,
        read: t.Callable[[], dict[str, t.Any]],
        *,
        timeout: float,
        connect: Connect | None = None,
        connect_as_user: t.Callable[[], Client] | None = None,
        host: Host | None = None,
        waiting: Waiting | None = None,
        run_script: RunScript = run_command,
        read_updates: ReadUpdates = read_background_updates,
    ) -> None:
        """`read`: that of a RuntimeReader for what is declared, without a client.

        `timeout`: how many seconds to wait for each command. `connect`: to ask the server, if something is declared of
        it. `connect_as_user`: to ask it with the access token, if there may be one. `read_updates`: reads the
        background updates of the databases, if something is declared of them.
        """
        self._declared = declared
        self._read = read
        self._timeout = timeout
        self._connect = connect
        self._connect_as_user = connect_as_user
        self._host = host or Host()
        self._waiting = waiting or Waiting()
        self._run_script = run_script
        self._read_updates = read_updates
        self._start = self._waited = self._waited_for_updates = 0.0

    def run(self) -> dict[str, t.Any]:
        """Return what the module returns. Raises StateNotReached, with all failures, if something is not as declared.

        Raises ConfigurationError if the configuration is needed and cannot be read.
        """
        self._start = self._waiting.now()
        found, health = self._settled()
        found, updates = self._updated(found)
        found = self._resized(found)
        declared, verdict = self._declared, Verdict()
        judge_server(declared, found, health, verdict, self._waited)
        caches_proven = presence_proven = False
        units = Units(self._host, self._timeout)
        if judge_running(declared, found, verdict, units):
            processes = found["processes"]
            judge_open_files(declared, processes, units, verdict)
            judge_jemalloc(declared, processes, units, verdict)
            caches_proven = judge_caches(declared, found, verdict)
            judge_autotuning(declared, processes, verdict)
            judge_workers(declared, found, self._host, self._timeout, verdict)
            judge_requests(declared, processes, verdict)
            judge_background_updates(declared, updates, self._waited_for_updates, verdict)
            presence_proven = judge_presence(declared, found, self._connect_as_user, verdict)
            judge_writing(declared, processes, self._run_script, self._timeout, verdict, self._host)
            explain_failures(declared, processes, units, verdict)
        if verdict.failed(*_OF_SETTINGS):
            # It may be in a file that only looks as if Synapse read it.
            for fault in find_ignored_files(declared.config_path):
                verdict.warn(fault.file, fault.message)
        left = {} if updates is None or updates.problem else {"background_updates": list(updates.pending)}
        if verdict.failures:
            # The state of all processes would hide the sentences.
            raise StateNotReached(verdict.message, failures=verdict.failures, warnings=verdict.warnings, **left)
        return {
            **{key: found[key] for key in _RETURNED if key in found},
            **left,
            "caches_proven": caches_proven,
            "presence_proven": presence_proven,
            "proofs": verdict.proofs,
            "warnings": verdict.warnings,
        }

    @property
    def _left(self) -> float:
        """How many seconds of `wait_timeout` are left. It is the time for everything together."""
        return self._start + self._declared.wait_timeout - self._waiting.now()

    def _settled(self) -> tuple[dict[str, t.Any], str | None]:
        """Return the state of the processes, and why the server is not healthy, as soon as there is enough of both."""
        pause = _PAUSE
        while True:
            client = self._client() if self._declared.answers else None
            health = health_problem(client) if client else None
            self._waited = self._waiting.now() - self._start
            late = self._left <= 0
            # A server that does not answer yet is not worth more than this one request.
            if not health or late:
                found = self._found()
                # The server may have needed the rest of the time.
                if late or self._left <= 0 or self._runs(found):
                    break
            progress.report(Work.RUNNING)
            self._waiting.pause(min(pause, max(self._left, 0)))
            pause = min(pause * 2, _LONG_PAUSE)
        return found, health

    def _updated(self, found: dict[str, t.Any]) -> tuple[dict[str, t.Any], BackgroundUpdates | None]:
        """Wait for the background updates. Return the state of the processes afterwards, and which updates are left."""
        if self._declared.pending_background_updates is None or not found["processes"]:
            return found, None
        start, pause = self._waiting.now(), _PAUSE
        while True:
            updates = self._read_updates(self._declared, self._timeout)
            waited = self._waiting.now() - start
            useless = updates.lasting or (updates.problem and waited >= _READABLE)
            if are_as_declared(self._declared, updates) or useless or self._left <= 0:
                break
            if not self._still_run(found["processes"]):
                found = self._found()
                if not found["processes"]:
                    return found, None
            progress.report(Work.BACKGROUND_UPDATES, None if updates.problem else len(updates.pending))
            self._waiting.pause(min(pause, max(self._left, 0)))
            pause = min(pause * 2, _LONG_PAUSE)
        self._waited_for_updates = waited
        # It may have been days.
        return self._found() if waited >= _LONG_PAUSE else found, updates

    def _still_run(self, processes: t.Sequence[Mapping]) -> bool:
        return any(os.path.isdir(os.path.join(self._host.proc, str(process["pid"]))) for process in processes)

    def _client(self) -> Client | None:
        if self._connect is None:
            return None
        if not self._declared.wait_timeout:
            return self._connect(None)
        return self._connect(max(_SHORTEST_REQUEST, int(self._left)))

    def _found(self) -> dict[str, t.Any]:
        """Return the state of the processes, with that of the server if something is declared of it."""
        client = self._client()
        if client is None:
            return self._read()
        server, unknown = read_server(client)
        found = self._read()
        shown = {"server": server} if server else {}
        return {**shown, **found, "unknown": [*(one._asdict() for one in unknown), *found["unknown"]]}

    def _runs(self, found: Mapping) -> bool:
        workers = self._declared.workers
        if workers is not None and len(workers_of(found["processes"])) != workers:
            return False
        if self._declared.answers:
            # Its processes run and its name is known before it is healthy.
            return True
        server = found.get("server", {})
        wanted = {"name": self._declared.server_name, "version": self._declared.version}
        return bool(found["processes"]) and all(key in server for key, value in wanted.items() if value)

    def _resized(self, found: dict[str, t.Any]) -> dict[str, t.Any]:
        if not self._declared.judges_caches:
            return found
        end = self._waiting.now() + min(_RESIZING, self._left)
        while any(map(wrong_caches, found["processes"])) and self._waiting.now() < end:
            self._waiting.pause(min(_LONG_PAUSE, end - self._waiting.now()))
            found = self._found()
        return found
