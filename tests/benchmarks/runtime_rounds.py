# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print, as JSON, what rounds of synapse_runtime_info take, and of reading the metrics of the same processes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import typing as t
import urllib.request
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases, servers, workers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place

_ROUNDS = 5
# The kernel counts CPU time in steps of 10 ms.
_RUNS_OF_A_ROUND = 10
_WORKERS = 4


def cpu_seconds(pids: t.Sequence[int]) -> float:
    """Return the CPU time that all processes have needed since their start."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure both by turns."""
    found: dict[str, list[float]] = {"seconds": [], "cost": [], "cost_of_metrics": []}
    with contextlib.ExitStack() as running:
        [server] = running.enter_context(servers.own_servers("postgresql"))
        running.enter_context(workers.with_workers(server, _WORKERS))
        directory = running.enter_context(tempfile.TemporaryDirectory())
        place = Place(server, "runtime", Path(directory))
        runtime_cases.use(server, place.unique)
        processes = runtime_cases.look(place)["processes"]
        if len(processes) != _WORKERS + 1:
            sys.exit(f"There are {len(processes)} processes.")
        pids = [process["pid"] for process in processes]
        urls = [process["metrics_url"] for process in processes]
        for _round in range(_ROUNDS):
            before, began = cpu_seconds(pids), time.monotonic()
            for _run in range(_RUNS_OF_A_ROUND):
                runtime_cases.look(place)
            found["seconds"].append((time.monotonic() - began) / _RUNS_OF_A_ROUND)
            found["cost"].append((cpu_seconds(pids) - before) / _RUNS_OF_A_ROUND)
            before = cpu_seconds(pids)
            for url in urls * _RUNS_OF_A_ROUND:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    answer.read()
            found["cost_of_metrics"].append((cpu_seconds(pids) - before) / _RUNS_OF_A_ROUND)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
