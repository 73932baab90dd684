# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How a process of Synapse was started, and the current state of the files that it was started with."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import (
    Input,
    configuration_inputs,
    package_inputs,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import Finding, Start
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    ProcessReader,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot, look_at
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import UNIT, Unit


def read_start(process: Process, reader: ProcessReader, unit: Unit | None) -> tuple[Start, list[Finding]]:
    """Return how a process was started, and the changes since then that are known without comparing times.

    `unit`: the unit that started it, if it is known. What cannot be found out is added to `reader`. Raises
    FileNotFoundError or ProcessLookupError if the process has ended, and MissingLibrary without PyYAML.
    """
    inputs, unknown = configuration_inputs(
        process.config_path,
        worker=process.app != MAIN_APP,
        directory=lambda: reader.directory_at_start(process.daemonized),
    )
    reader.unknown += unknown
    package = package_inputs(process.interpreter)
    if not package:
        reason = f"Process {process.pid} runs {process.interpreter}, for which no package matrix-synapse is installed."
        fix = "Start Synapse with the path of the Python for which it is installed."
        reader.unknown.append(Unknown("outdated_by", reason, fix))
    found: list[Finding] = []
    replaced = reader.replaced_program()
    if replaced:
        reason = (
            f"The program {replaced} was removed or replaced after the process was started, for example by an upgrade."
        )
        found.append({"path": replaced, "kind": "interpreter", "reason": reason})
    if unit is None:
        return Start(reader.started(), (*inputs, *package)), found
    if unit.outdated:
        reason = f"{unit.name} or one of its drop-ins was changed, and systemd has not read it again."
        found.append({"path": unit.name, "kind": UNIT, "reason": reason})
    return Start(reader.started(), (*inputs, *package, *unit.inputs), unit.started), found


def take_snapshot(inputs: t.Iterable[Input], clock: t.Callable[[], Clock]) -> tuple[Snapshot, dict[str, str]]:
    """Return the current state of each path, and for each path that cannot be read the reason, a sentence."""
    places: dict[str, Seen | None] = {}
    hidden: dict[str, str] = {}
    for place in inputs:
        try:
            places[place.path] = look_at(place.path, place.reloaded, place.suffix)
        except OSError as error:
            hidden[place.path] = f"{place.path} cannot be read: {error.strerror}."
    # The clock is read last: a process that starts later has read this state of the files, or a newer one.
    return Snapshot(clock(), places), hidden
