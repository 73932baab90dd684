# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How a process of Synapse was started, and what the files that it was started with are now."""

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
    Unseen,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot, look_at
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import UNIT, Unit


def read_start(process: Process, reader: ProcessReader, unit: Unit | None) -> tuple[Start, list[Finding]]:
    """Return how a process was started, and what has changed since without any need to compare times.

    `unit`: what started it, if that is known. What cannot be seen is noted in `reader`. Raises FileNotFoundError or
    ProcessLookupError if the process has ended, and MissingLibrary without PyYAML.
    """
    inputs, unseen = configuration_inputs(
        process.config_path,
        worker=process.app != MAIN_APP,
        directory=lambda: reader.directory_at_start(process.daemonized),
    )
    reader.unseen += unseen
    package = package_inputs(process.interpreter)
    if not package:
        why = f"No installed matrix-synapse belongs to {process.interpreter}, which process {process.pid} runs."
        mend = "Start Synapse with the path of the Python for which it is installed."
        reader.unseen.append(Unseen("outdated_by", why, mend))
    found: list[Finding] = []
    replaced = reader.replaced_program()
    if replaced:
        why = f"The program {replaced} that the process runs was removed or replaced since, as an upgrade does."
        found.append({"path": replaced, "kind": "interpreter", "why": why})
    if unit is None:
        return Start(reader.started(), (*inputs, *package)), found
    if unit.outdated:
        why = f"systemd has not read {unit.name} again since it or one of its drop-ins was changed."
        found.append({"path": unit.name, "kind": UNIT, "why": why})
    return Start(reader.started(), (*inputs, *package, *unit.inputs), unit.started), found


def take_snapshot(inputs: t.Iterable[Input], clock: t.Callable[[], Clock]) -> tuple[Snapshot, dict[str, str]]:
    """Return what is at each place now, and by its path the reason, a sentence, of each that cannot be looked at."""
    places: dict[str, Seen | None] = {}
    hidden: dict[str, str] = {}
    for place in inputs:
        try:
            places[place.path] = look_at(place.path, place.reloaded, place.suffix)
        except OSError as error:
            hidden[place.path] = f"{place.path} cannot be looked at: {error.strerror}."
    # The clock comes last: whatever starts after it has read what was seen, or something newer.
    return Snapshot(clock(), places), hidden
