# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The check of the running processes: reads their state, waits where that is declared, and judges it."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.caches import judge_caches, wrong_caches
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared, Mapping
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.jemalloc import (
    judge_autotuning,
    judge_jemalloc,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.open_files import judge_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.running import judge_running
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.server import (
    health_problem,
    judge_server,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.writing import RunScript, judge_writing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host

# In seconds. After a reload, Synapse resizes its caches within a moment.
_RESIZING = 10.0
_PAUSE, _LONG_PAUSE = 0.25, 1.0
_RETURNED = ("server", "processes", "cache_settings", "unknown")


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
        client: Client | None = None,
        host: Host | None = None,
        waiting: Waiting | None = None,
        run_script: RunScript = run_command,
    ) -> None:
        """`read`: that of a RuntimeReader for what is declared. `timeout`: how many seconds to wait for each command.

        `client`: to ask for the health of the server, if something is declared of it.
        """
        self._declared = declared
        self._read = read
        self._timeout = timeout
        self._client = client
        self._host = host or Host()
        self._waiting = waiting or Waiting()
        self._run_script = run_script

    def run(self) -> dict[str, t.Any]:
        """Return what the module returns. Raises StateNotReached, with all failures, if something is not as declared.

        Raises ConfigurationError if the configuration is needed and cannot be read.
        """
        found, health = self._settled()
        declared, verdict = self._declared, Verdict()
        judge_server(declared, found, health, verdict)
        caches_proven = False
        if judge_running(declared, found, verdict):
            processes, units = found["processes"], Units(self._host, self._timeout)
            judge_open_files(declared, processes, units, verdict)
            judge_jemalloc(declared, processes, units, verdict)
            caches_proven = judge_caches(declared, found, verdict)
            judge_autotuning(declared, processes, verdict)
            judge_writing(declared, processes, self._run_script, self._timeout, verdict, self._host.proc)
        if verdict.failures:
            # The state of all processes would hide the sentences.
            raise StateNotReached(verdict.message, failures=verdict.failures, warnings=verdict.warnings)
        return {
            **{key: found[key] for key in _RETURNED if key in found},
            "caches_proven": caches_proven,
            "proofs": verdict.proofs,
            "warnings": verdict.warnings,
        }

    def _settled(self) -> tuple[dict[str, t.Any], str | None]:
        """Return the state of the processes, and why the server is not healthy, as soon as there is enough of both."""
        start = self._waiting.now()
        pause = _PAUSE
        while True:
            health = health_problem(self._client) if self._client else None
            late = self._waiting.now() - start >= self._declared.wait_timeout
            # A server that does not answer yet is not worth more than this one request.
            if not (self._declared.answers and health) or late:
                found = self._read()
                if late or self._runs(found):
                    break
            self._waiting.pause(pause)
            pause = min(pause * 2, _LONG_PAUSE)
        return self._resized(found), health

    def _runs(self, found: Mapping) -> bool:
        if self._declared.answers:
            # Its processes run and its name is known before it is healthy.
            return True
        server = found.get("server", {})
        wanted = {"name": self._declared.server_name, "version": self._declared.version}
        return bool(found["processes"]) and all(key in server for key, value in wanted.items() if value)

    def _resized(self, found: dict[str, t.Any]) -> dict[str, t.Any]:
        declared = self._declared
        if not declared.judges_caches:
            return found
        start, limit = self._waiting.now(), min(_RESIZING, declared.wait_timeout)
        while any(map(wrong_caches, found["processes"])) and self._waiting.now() - start < limit:
            self._waiting.pause(_LONG_PAUSE)
            found = self._read()
        return found
