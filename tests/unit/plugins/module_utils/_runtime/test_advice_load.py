# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.bad_server import (
    FOUND,
    PROCESS,
    advised,
    changed,
)


def test_the_database() -> None:
    assert len(advised(FOUND)["database"]["evidence"]) == 2
    free = {**PROCESS["database"], "connections": {"working": 1, "max": 2}}
    assert len(advised(changed({"database": free}))["database"]["evidence"]) == 1
    # All connections can be in use for a moment, and no transaction waits.
    assert "database" not in advised(changed({"database": {**PROCESS["database"], "average_wait_seconds": 0.01}}))
    few = {"average_wait_seconds": 9, "transactions": 5}
    assert "database" not in advised(changed({"database": few}))
    assert "database" not in advised(changed({"uptime_seconds": 60}))


def test_the_event_loop() -> None:
    assert "takes 0.200 seconds" in advised(FOUND)["event_loop"]["evidence"][0]
    loop = {**PROCESS["event_loop"], "average_tick_seconds": 0.01}
    assert "2 % of the turns" in advised(changed({"event_loop": loop}))["event_loop"]["evidence"][0]
    assert "event_loop" not in advised(changed({"event_loop": {**loop, "slow_ticks": 5}}))
    assert "event_loop" not in advised(changed({"event_loop": {**PROCESS["event_loop"], "ticks": 5}}))
    assert "event_loop" not in advised(changed({"uptime_seconds": 60}))
    # One long turn while the rates were measured.
    rates = {"average_tick_seconds": 0.5}
    assert "event_loop" not in advised(changed({"event_loop": {**loop, "slow_ticks": 5}, "rates": rates}))
    assert "takes 0.500 seconds" in advised(changed({"rates": rates}))["event_loop"]["evidence"][0]


def test_workers() -> None:
    assert "number of processor cores of the host is 1" in advised(FOUND)["workers"]["evidence"][1]
    assert "workers" in advised(changed({"rates": {"cpu_share": 0.9}, "cpu": None}))
    # A few busy seconds, or a start.
    assert "workers" not in advised(changed({"rates": {"cpu_share": 0.9}, "cpu": {"average_share": 0.1}}))
    assert "workers" not in advised(changed({"uptime_seconds": 60}))
    assert "workers" not in advised(changed({"uptime_seconds": 60, "rates": {"cpu_share": 0.9}}))
    assert "workers" not in advised(changed({"cpu": None}))
