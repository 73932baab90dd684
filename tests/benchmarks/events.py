# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events of an export, read as a stream, against a text that is in memory."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from commands import Failed, execute
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_ROUNDS = 3
_MEGABYTE = 1_000_000
_MEGABYTES = 500
_MOST_MEMORY = 100
_STREAM = Path(__file__).resolve().with_name("event_stream.py")


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about two minutes. They need 500 MB for temporary files."""
    python = ENVIRONMENTS["synapse"].build() / "bin" / "python"
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        environment = {"PYTHONPATH": str(collection.parents[2])}
        path = os.path.join(directory, "events")

        def run(command: str, *further: str) -> dict[str, float]:
            printed = execute([python, _STREAM, command, path, *further], Path(directory), environment)
            return t.cast("dict[str, float]", json.loads(printed))

        run("write", str(_MEGABYTES))
        streamed, decoded = zip(*((run("stream"), run("memory")) for _round in range(_ROUNDS)), strict=True)
    if len({one["events"] for one in (*streamed, *decoded)}) != 1:
        raise Failed("Both did not read the same number of events.")
    name = f"events of {_MEGABYTES} MB"
    # No round may take more.
    most = figure([max(one["memory"] for one in streamed)], 1 / _MEGABYTE)
    yield Measurement(f"{name}: most memory", most, Figure((_MOST_MEMORY,)), "<=", 1, "MB")
    ours, theirs = (figure(one["seconds"] for one in column) for column in (streamed, decoded))
    yield Measurement(f"{name}: speed, against the text in memory", ours, theirs, ">=", 0.6, inverted=True)
