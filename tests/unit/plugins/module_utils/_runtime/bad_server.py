# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on which each advice applies, and the advice of changed ones."""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice import Thresholds, advise

Tree = dict[str, t.Any]

CACHE: Tree = {
    "name": "get_users_in_room",
    "factor": 0.5,
    "lookups": 20_000,
    "hits": 12_000,
    "evicted": {"size": 7000, "time": 0, "invalidation": 0},
    "factor_source": {"kind": "global_factor", "name": "caches.global_factor"},
}
# Each figure of it gives an advice.
PROCESS: Tree = {
    "name": "main",
    "app": "synapse.app.homeserver",
    "pid": 7,
    "version": "1.100.0",
    "uptime_seconds": 36_000,
    "environment": {"SYNAPSE_CACHE_FACTOR": "4"},
    "file_limits": {"soft": 1024, "hard": 4096},
    "open_files": 900,
    "growth": {"seconds": 7200, "open_files": 100},
    "jemalloc": {"loaded": False},
    "memory": {"resident_bytes": 2 * 1024**3, "proportional_bytes": 2 * 1024**3, "swapped_bytes": 0},
    "cpu": {"average_share": 0.95},
    "presence": {"updates": 6_000_000, "sent_edus": 3_000_000},
    "database": {
        "connections": {"working": 10, "open": 10, "max": 10},
        "transactions": 50_000,
        "average_wait_seconds": 0.5,
    },
    "event_loop": {"ticks": 100_000, "average_tick_seconds": 0.2, "slow_ticks": 2000},
    "caches": [{**CACHE, "name": name} for name in ("a", "b", "c")],
}
FOUND: Tree = {
    "processes": [PROCESS],
    "host": {
        "memory_total_bytes": 8 * 1024**3,
        "memory_available_bytes": 5 * 1024**3,
        "processors": 1,
        "io_pressure_share": 0.4,
    },
    "cache_settings": {"global_factor": 0.5},
    "presence_settings": {"mode": "enabled"},
    "database_engine": "psycopg2",
    "server": {"version": "1.100.0"},
}


def changed(process: Tree | None = None, **values: t.Any) -> Tree:
    """Return the bad server with other values; None removes one."""
    found = copy.deepcopy(FOUND)
    for target, given in ((found["processes"][0], process or {}), (found, values)):
        for key, value in given.items():
            target[key] = value
            if value is None:
                del target[key]
    return found


def advised(found: Tree, **thresholds: t.Any) -> dict[str, Tree]:
    """Return the advice by topic. Each advice must have evidence, and be JSON."""
    advice = advise(found, Thresholds.read(thresholds))
    json.dumps(advice, allow_nan=False)
    for one in advice:
        assert list(one) == ["topic", "advice", "evidence", "variables"]
        assert one["evidence"] and all(sentence.endswith(".") for sentence in one["evidence"])
    assert len({one["topic"] for one in advice}) == len(advice)
    return {one["topic"]: one for one in advice}
