# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The units of the processes, each read once, and only if something asks for it; and the limit of the system."""

from __future__ import annotations

import os

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Mapping
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import (
    UNLIMITED,
    UnitNow,
    read_default_limit,
    read_unit_now,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host


class Units:
    """The units of the processes of a host."""

    def __init__(self, host: Host, timeout: float) -> None:
        """`timeout`: how many seconds to wait for systemd."""
        self._host = host
        self.run, self.timeout = host.run, timeout
        self._read: dict[str, UnitNow | SynapseError] = {}

    def of(self, process: Mapping) -> UnitNow | None:
        """Return the unit of a process, or None if systemd has not started it. Raises SynapseError if systemd fails."""
        name = process.get("unit")
        return None if name is None else self.called(name)

    def called(self, name: str) -> UnitNow:
        """Return the unit with this name, whether it runs or not. Raises SynapseError if systemd fails."""
        if name not in self._read:
            try:
                self._read[name] = read_unit_now(name, self.run, self.timeout, self._host.systemd)
            except SynapseError as error:
                self._read[name] = error
        found = self._read[name]
        if isinstance(found, SynapseError):
            raise found
        return found

    @property
    def proc(self) -> str:
        """Where the processes of the host are."""
        return self._host.proc

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs on the host."""
        return os.path.isdir(self._host.systemd.running)

    def program(self, process: Mapping) -> str:
        """Return the path at which the program of a process can be read."""
        return os.path.join(self._host.proc, str(process["pid"]), "exe")

    def default_limit(self, unit: UnitNow) -> float | None:
        """Return the hard limit for open files of a unit whose files set none, or None if systemd does not show it."""
        try:
            return read_default_limit(self.run, self.timeout)
        except SynapseError:
            return unit.limit

    def ceiling(self) -> tuple[float, str]:
        """Return the highest limit for open files that this system gives to a process, and what sets it."""
        return highest_limit(self._host.proc)


def highest_limit(proc: str) -> tuple[float, str]:
    """Return the highest limit that this system gives to a process, and what sets it."""
    try:
        with open(os.path.join(proc, "sys", "fs", "nr_open"), encoding="ascii") as file:
            highest = float(file.read())
        hard = ProcessReader(1, proc).file_limits().get("hard", UNLIMITED)
    except (OSError, ValueError, SynapseError):
        return UNLIMITED, ""
    return min((highest, "fs.nr_open"), (float(hard), "the hard limit of process 1"))
