# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import (
    average,
    entries,
    figure,
    named,
    per_minute,
    plain,
    processor_share,
    section,
    share,
    used_bytes,
)


@pytest.mark.parametrize("value", [None, True, "5", -1, float("nan"), float("inf"), 10**400, [5], {}])
def test_a_figure_that_is_unknown(value: t.Any) -> None:
    assert figure({"a": {"b": value}}, "a", "b") is None


def test_figures() -> None:
    assert figure({"a": {"b": 5}}, "a", "b") == 5.0
    assert figure({"a": 5}, "a", "b") is None
    assert section({"a": {"b": {"c": 1}}}, "a", "b") == {"c": 1}
    assert section(["a"], "a") == {}
    assert entries({"a": [{"b": 1}, 2, None]}, "a") == [{"b": 1}]
    assert entries({"a": "text"}, "a") == []
    assert (share(1, 4), share(1, 0), share(None, 4), share(1, None)) == (0.25, None, None, None)


def test_rates_and_averages_since_the_start() -> None:
    rate, total = ("rates", "x"), ("presence", "updates")
    process = {"rates": {"x": 7}, "presence": {"updates": 1200}, "uptime_seconds": 600}
    assert per_minute(process, rate, total, 600) == 7
    del process["rates"]
    assert per_minute(process, rate, total, 600) == 120
    assert per_minute(process, rate, total, 601) is None
    assert per_minute({"presence": {"updates": 1200}}, rate, total, 0) is None


def test_averages() -> None:
    process: dict[str, t.Any] = {"loop": {"ticks": 10, "tick": 0.5}, "rates": {"tick": 0.25}}
    assert average(process, "tick", "loop", "ticks", 10) == 0.25
    assert average(process, "tick", "loop", "ticks", 11) is None
    assert average({"loop": process["loop"]}, "tick", "loop", "ticks", 10) == 0.5
    assert average({"rates": process["rates"]}, "tick", "loop", "ticks", 0) is None


def test_the_processor_and_the_memory() -> None:
    assert processor_share({"rates": {"cpu_share": 0.1}, "cpu": {"average_share": 0.9}}) == 0.1
    assert processor_share({"cpu": {"average_share": 0.9}}) == 0.9
    assert used_bytes({"memory": {"proportional_bytes": 1, "resident_bytes": 2}}) == 1
    assert used_bytes({"memory": {"resident_bytes": 2}}) == 2


def test_names() -> None:
    assert named({"name": "one\n\x1b[31mtwo", "pid": 5}) == "one [31mtwo (process 5)"
    assert named({"app": "synapse.app.generic_worker"}) == "synapse.app.generic_worker"
    assert named({}) == "Synapse"
    assert len(plain("x" * 500)) == 80
