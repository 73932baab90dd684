# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_proxy_info takes for one server behind nginx, where clients and other servers use different ports."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

from commands import execute
from machine import postgresql_bin, proxies, redis_server
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_LONGEST = 5.0
_MOST_REQUESTS = 60.0
_PROGRAM = Path(__file__).resolve().parent / "proxy_rounds.py"


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about a minute."""
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        environment = {
            "PYTHONPATH": str(collection.parents[2]),
            "CONTRACT_SYNAPSE_PYTHON": str(ENVIRONMENTS["synapse"].build() / "bin" / "python"),
            "CONTRACT_POSTGRESQL_BIN": str(postgresql_bin()),
            "CONTRACT_REDIS_SERVER": str(redis_server()),
            "CONTRACT_PROXIES": json.dumps(proxies()),
        }
        python = ENVIRONMENTS["contract"].build() / "bin" / "python"
        printed = execute([python, _PROGRAM], Path(directory), environment, lasting=True)
    found: dict[str, list[float]] = json.loads(printed.splitlines()[-1])
    for wrong in ("right", "wrong"):
        name = f"synapse_proxy_info, a {wrong} nginx"
        yield Measurement(f"{name}: time of everything", figure(found[wrong]), Figure((_LONGEST,)), "<=", 1)
        sent = figure(found[f"{wrong}_requests"])
        yield Measurement(f"{name}: requests", sent, Figure((_MOST_REQUESTS,)), "<=", 1, "requests")
    # Several requests at the same time: that is what matters on the Internet, where each takes as long as its way.
    far, one = figure(found["far"]), figure(found["far_one_by_one"])
    name = "synapse_proxy_info, 50 ms away: time without the upload, against the same number of requests one by one"
    yield Measurement(name, far, one, "<=", 0.5)
