# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import (
    entries,
    figure,
    has_run,
    lasting,
    named,
    per_minute,
    percent,
    plain,
    processor_share,
    section,
    share,
    used_bytes,
    waiting,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import Thresholds


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


@pytest.mark.parametrize(
    ("measured", "since_start", "expected"),
    [
        (0.9, 0.5, 0.9),
        (0.9, 0.4, 0.9),
        (0.9, None, 0.9),
        (None, 0.9, 0.9),
        # A few busy seconds.
        (0.9, 0.39, None),
        # It was busy, and is not now.
        (0.7, 0.9, None),
        (None, 0.7, None),
        (None, None, None),
    ],
)
def test_what_lasts(measured: float | None, since_start: float | None, expected: float | None) -> None:
    assert lasting(measured, since_start, 0.8) == expected


def test_a_process_that_has_just_been_started() -> None:
    assert has_run({"uptime_seconds": 600}, Thresholds())
    assert not has_run({"uptime_seconds": 599}, Thresholds())
    assert not has_run({}, Thresholds())


def test_transactions_that_wait() -> None:
    process = {"name": "main", "database": {"transactions": 1000, "average_wait_seconds": 0.2}, "uptime_seconds": 600}
    assert waiting(process, Thresholds()) == (
        "A transaction of main waits 0.200 seconds on average for a connection to the database."
    )
    assert waiting({**process, "uptime_seconds": 599}, Thresholds()) == ""
    assert waiting(process, Thresholds(database_transactions=1001)) == ""
    # One transaction of an idle server waited while the rates were measured.
    idle = {**process, "database": {"transactions": 1000, "average_wait_seconds": 0.001}}
    assert waiting({**idle, "rates": {"average_wait_seconds": 0.4}}, Thresholds()) == ""


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "0 %"), (1e-9, "less than 0.001 %"), (0.0123456, "1.23 %"), (0.9999, "100 %"), (12.34, "1234 %")],
)
def test_shares_have_no_exponent(part: float, text: str) -> None:
    assert percent(part) == text


def test_the_processor_and_the_memory() -> None:
    assert processor_share({"rates": {"cpu_share": 0.1}, "cpu": {"average_share": 0.9}}) == 0.1
    assert processor_share({"cpu": {"average_share": 0.9}}) == 0.9
    assert used_bytes({"memory": {"proportional_bytes": 1, "resident_bytes": 2}}) == 1
    assert used_bytes({"memory": {"resident_bytes": 2}}) == 2
    # Memory that is short is already in swap.
    assert used_bytes({"memory": {"proportional_bytes": 1, "resident_bytes": 2, "swapped_bytes": 4}}) == 5
    assert used_bytes({"memory": {"swapped_bytes": 4}}) is None


def test_names() -> None:
    assert named({"name": "one\n\x1b[31mtwo", "pid": 5}) == "one [31mtwo (process 5)"
    assert named({"app": "synapse.app.generic_worker"}) == "synapse.app.generic_worker"
    assert named({}) == "Synapse"
    assert len(plain("x" * 500)) == 80
