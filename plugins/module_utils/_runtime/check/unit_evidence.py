# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is known of a unit that does not run: what systemd shows, its files, and its last starts in the journal.

Relies on `systemctl show` (org.freedesktop.systemd1(5)) and on the journal.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import time

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import find_faults
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    Settings,
    secret_values,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.conditions import PROPERTIES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.held_ports import IN_USE, held_ports
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.journal import Attempt, read_attempts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.last_words import last_words, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.log_end import log_paths, read_log_end
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.start_commands import (
    START_PRE,
    StartCommands,
)
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
    "ExecMainStartTimestampMonotonic",
    "TimeoutStartUSec",
    "UnitFileState",
    "InvocationID",
    START_PRE,
    *PROPERTIES,
)
_MOST_FAULTS = 3


class Evidence:
    """What is known of one unit. `shown`: what systemd shows; `commands`: those before its start.

    Its files and the journal are read when they are needed. Reading the files raises SynapseError if systemd fails.
    """

    def __init__(self, declared: Declared, units: Units, name: str, *, is_worker: bool = False) -> None:
        """Raises SynapseError if systemd does not show the unit.

        `is_worker`: whether the unit runs a worker, whose log and ports are set in a file of its own.
        """
        self._declared = declared
        self._units = units
        self._is_worker = is_worker
        self.name = name
        lines = shown_lines(_PROPERTIES, ["--", name], units.run, units.timeout)
        self.shown = dict(lines)
        self.commands = StartCommands(lines, lambda: self.unit)

    def state(self, name: str) -> str:
        """Return a property that systemd shows, "" if it does not."""
        return self.shown.get(name, "")

    def number(self, name: str) -> int:
        """Return a property that is a number, 0 if it is not."""
        text = self.state(name)
        return int(text) if re.fullmatch(r"[0-9]{1,19}", text) else 0

    @property
    def is_trying(self) -> bool:
        """Whether a start is in progress, so that systemd shows nothing of those before."""
        return self.state("ActiveState") == "activating" and not self.state("SubState").startswith("auto-restart")

    @property
    def again(self) -> str:
        """How often systemd has restarted it, in parentheses after a space, or ""."""
        count = self.number("NRestarts")
        times = {1: "once", 2: "twice"}.get(count, f"{count} times")
        return f" (systemd has restarted it {times})" if count else ""

    @property
    def limit(self) -> str:
        """The limit for the start, with its place."""
        lines = [line for line in self.unit.lines() if line.key in ("TimeoutStartSec", "TimeoutSec") and line.value]
        value = self.state("TimeoutStartUSec")
        if not lines:
            return f"{value}, which is DefaultTimeoutStartSec of systemd (set TimeoutStartSec to change it)"
        line = lines[-1]
        return f"{line.key}={line.value} ({line.path}, line {line.number})"

    @functools.cached_property
    def _configuration(self) -> Configuration | None:
        """The configuration of the Synapse in the unit; None if it is unknown."""
        with contextlib.suppress(SynapseError):
            if self.has_configuration:
                return read_configuration(self._declared.config_path)
        return None

    @property
    def _settings(self) -> Settings | None:
        """The settings of the Synapse in the unit; None if they are unknown."""
        return self._configuration.settings if self._configuration else None

    @functools.cached_property
    def attempts(self) -> list[Attempt]:
        """The last starts; none if the journal cannot be read."""
        try:
            return read_attempts(self.name, self._units.run, self._units.timeout)
        except SynapseError:
            # What systemd knows is still a reason.
            return []

    def words(self) -> str:
        """Return the last words of Synapse, and which process holds a port that it needs, as sentences, or ""."""
        # The words of a Synapse with another configuration can contain other secrets.
        secrets = None if self._settings is None else secret_values(self._settings)
        words = last_words(self.attempts, secrets)
        return f"{words}{self._held(words)}"

    def logged(self) -> str:
        """Return what Synapse has written to its own log before it ended, as sentences, or ""."""
        if self._settings is None or self._is_worker:
            return ""
        directory = self._declared.working_directory
        named = [self._declared.log_path] if self._declared.log_path else []
        # An earlier start may have left its words there.
        since = 0.0 if self.is_trying else self._started()
        found = read_log_end([*named, *log_paths(self._settings, directory)], since=since, starting=self.is_trying)
        if found is None:
            return ""
        return f"{shown(found.words, found.first, secret_values(self._settings))} It is at the end of {found.path}."

    def _started(self) -> float:
        """Return when the last main process was started, in seconds since 1970; infinite if systemd does not know."""
        moment = self.number("ExecMainStartTimestampMonotonic")
        if not moment:
            return math.inf
        return time.time() - (time.monotonic() - moment / 1e6) - 1

    def refused(self) -> str:
        """Return with which settings Synapse does not start, as sentences that follow others, or ""."""
        configuration = self._configuration
        if configuration is None:
            return ""
        faults = [fault.message for fault in find_faults(configuration) if fault.is_refused]
        return "".join(f" {message}" for message in faults[:_MOST_FAULTS])

    def _held(self, words: str) -> str:
        """Return which process holds the port of which Synapse reports that it is in use, as sentences, or ""."""
        if IN_USE not in words or self._settings is None or self._is_worker:
            return ""
        held = held_ports(self._settings, self.number("MainPID"), self._units.proc)
        return f" {held}" if held else ""

    @property
    def has_configuration(self) -> bool:
        """Whether the unit starts Synapse with the declared configuration."""
        return self.unit.starts_with(self._declared.config_path[0])

    @property
    def unit(self) -> UnitNow:
        """The files of the unit."""
        return self._units.called(self.name)
