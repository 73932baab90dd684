# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_info takes on a server with four workers, and what it costs these processes."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

from commands import execute
from machine import postgresql_bin, redis_server
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_LONGEST = 1.5
_PROGRAM = Path(__file__).resolve().parent / "runtime_rounds.py"


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about a minute."""
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        environment = {
            "PYTHONPATH": str(collection.parents[2]),
            "CONTRACT_SYNAPSE_PYTHON": str(ENVIRONMENTS["synapse"].build() / "bin" / "python"),
            "CONTRACT_POSTGRESQL_BIN": str(postgresql_bin()),
            "CONTRACT_REDIS_SERVER": str(redis_server()),
        }
        python = ENVIRONMENTS["contract"].build() / "bin" / "python"
        printed = execute([python, _PROGRAM], Path(directory), environment, lasting=True)
    found: dict[str, list[float]] = json.loads(printed.splitlines()[-1])
    name = "synapse_runtime_info, main and four workers"
    seconds = figure(found["seconds"])
    yield Measurement(f"{name}: time of everything that it gathers", seconds, Figure((_LONGEST,)), "<=", 1)
    # What the processes need for the answer itself is the least that reading their metrics can cost.
    ours, theirs = figure(found["cost"], 1000), figure(found["cost_of_metrics"], 1000)
    yield Measurement(f"{name}: CPU time of these processes, against one GET of each", ours, theirs, "<=", 1.5, "ms")
