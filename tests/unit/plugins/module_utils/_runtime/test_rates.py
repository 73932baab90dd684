# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import math
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import parse
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.rates import Reading, rates_between

REQUESTS = "synapse_http_server_requests_received_total"
EVICTED = "synapse_util_caches_cache_evicted_size"
FIRST = f"""
process_start_time_seconds 1.7e+09
{REQUESTS}{{method="GET",servlet="SyncRestServlet",server_name="a.test"}} 100.0
{REQUESTS}{{method="GET",servlet="MetricsResource",server_name="a.test"}} 5.0
synapse_storage_transaction_time_count_total{{desc="a",server_name="a.test"}} 10.0
synapse_storage_schedule_time_count{{server_name="a.test"}} 10.0
synapse_storage_schedule_time_sum{{server_name="a.test"}} 1.0
synapse_storage_query_time_count{{verb="SELECT"}} 10.0
synapse_storage_query_time_sum{{verb="SELECT"}} 1.0
python_gc_time_sum{{gen="0"}} 1.0
python_twisted_reactor_tick_time_count 100.0
python_twisted_reactor_tick_time_sum 10.0
{EVICTED}{{name="a",reason="size"}} 7.0
{EVICTED}{{name="a",reason="time"}} 7.0
"""
SECOND = f"""
process_start_time_seconds 1.7e+09
{REQUESTS}{{method="GET",servlet="SyncRestServlet",server_name="a.test"}} 104.0
{REQUESTS}{{method="PUT",servlet="FederationSendServlet",server_name="a.test"}} 3.0
{REQUESTS}{{method="GET",servlet="MetricsResource",server_name="a.test"}} 50.0
synapse_storage_transaction_time_count_total{{desc="a",server_name="a.test"}} 11.0
synapse_storage_transaction_time_count_total{{desc="b",server_name="a.test"}} 1.0
synapse_storage_schedule_time_count{{server_name="a.test"}} 14.0
synapse_storage_schedule_time_sum{{server_name="a.test"}} 3.0
synapse_storage_query_time_count{{verb="SELECT"}} 12.0
synapse_storage_query_time_sum{{verb="SELECT"}} 1.5
python_gc_time_sum{{gen="0"}} 1.25
python_gc_time_sum{{gen="1"}} 0.25
python_twisted_reactor_tick_time_count 200.0
python_twisted_reactor_tick_time_sum 11.0
{EVICTED}{{name="a",reason="size"}} 8.0
{EVICTED}{{name="a",reason="time"}} 70.0
synapse_federation_client_sent_transactions_total 1.0
synapse_federation_client_sent_pdu_destinations_total 2.0
synapse_federation_client_sent_pdu_destinations_count_total 100.0
synapse_federation_client_sent_edus_total 3.0
synapse_federation_client_sent_edus_by_type_total{{type="m.presence"}} 4.0
synapse_federation_client_sent_edus_by_type_total{{type="m.typing"}} 100.0
synapse_federation_server_received_pdus_total 5.0
synapse_federation_server_received_edus_total 6.0
synapse_handler_presence_presence_updates_total 7.0
synapse_handler_presence_state_transition_total{{from="offline",to="online"}} 8.0
synapse_handler_presence_federation_presence_out_total 9.0
"""


def reading(at: float, text: str, cpu_seconds: float | None = None) -> Reading:
    return Reading(at, parse(text), cpu_seconds)


def test_every_rate() -> None:
    assert rates_between(reading(10.0, FIRST, 5.0), reading(16.0, SECOND, 6.5)) == {
        "seconds": 6.0,
        "cpu_share": 0.25,
        "requests_per_minute": 70.0,
        "database_transactions_per_minute": 20.0,
        "average_wait_seconds": 0.5,
        "average_query_seconds": 0.25,
        "sent_transactions_per_minute": 10.0,
        "sent_pdus_per_minute": 20.0,
        "sent_edus_per_minute": 30.0,
        "presence_edus_sent_per_minute": 40.0,
        "received_pdus_per_minute": 50.0,
        "received_edus_per_minute": 60.0,
        "presence_updates_per_minute": 70.0,
        "presence_state_transitions_per_minute": 80.0,
        "presence_keep_alives_per_minute": 90.0,
        "cache_evictions_per_minute": 10.0,
        "garbage_collection_share": 0.0833,
        "average_tick_seconds": 0.01,
    }


def test_without_any_activity_rates_are_0_and_averages_are_left_out() -> None:
    rates = rates_between(reading(10.0, FIRST, 5.0), reading(17.0, FIRST, 5.0))
    assert rates.pop("seconds") == 7.0
    assert set(rates.values()) == {0.0}
    assert not [name for name in rates if name.startswith("average_")]


def test_rates_are_rounded() -> None:
    rates = rates_between(reading(0.0, FIRST, 0.0), reading(7.0001, SECOND, 1.0))
    assert rates["seconds"] == 7.0
    assert rates["cpu_share"] == 0.1429
    assert rates["requests_per_minute"] == 60.0
    assert rates["sent_transactions_per_minute"] == 8.57


@pytest.mark.parametrize("at", [10.0, 9.0, math.nan, math.inf, -math.inf])
def test_no_time_no_rates(at: float) -> None:
    assert rates_between(reading(10.0, FIRST, 1.0), reading(at, SECOND, 2.0)) == {}


def test_a_counter_that_fell_is_left_out() -> None:
    rates = rates_between(reading(0.0, SECOND, 5.0), reading(6.0, FIRST, 4.0))
    assert rates == {"seconds": 6.0}


def test_a_process_that_was_restarted_has_no_rates() -> None:
    restarted = SECOND.replace("1.7e+09", "1.8e+09")
    assert rates_between(reading(0.0, FIRST, 5.0), reading(6.0, restarted, 6.0)) == {}


def test_metrics_without_the_start_of_the_process() -> None:
    first, second = (text.replace("process_start_time_seconds", "process_other") for text in (FIRST, SECOND))
    assert rates_between(reading(0.0, first), reading(6.0, second))["sent_pdus_per_minute"] == 20.0


def test_unknown_cpu_time() -> None:
    assert "cpu_share" not in rates_between(reading(0.0, FIRST), reading(6.0, SECOND, 1.0))
    assert "cpu_share" not in rates_between(reading(0.0, FIRST, 1.0), reading(6.0, SECOND))


def test_without_metrics_only_the_cpu_share_is_known() -> None:
    assert rates_between(Reading(0.0, [], 1.0), Reading(10.0, [], 2.0)) == {"seconds": 10.0, "cpu_share": 0.1}


def test_pypy() -> None:
    first, second = (text + f"pypy_gc_time_seconds_total {time}\n" for text, time in ((FIRST, 1), (SECOND, 4)))
    assert rates_between(reading(0.0, first), reading(6.0, second))["garbage_collection_share"] == 0.5


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-5", "1e300"])
def test_impossible_values_are_left_out(value: str) -> None:
    lines = [line.rpartition(" ")[0] + f" {value}" for line in SECOND.split("\n") if line]
    hostile: t.Any = "\n".join(lines)
    for first, second in ((FIRST, hostile), (hostile, SECOND), (hostile, hostile)):
        rates = rates_between(reading(0.0, first), reading(6.0, second))
        assert rates == {"seconds": 6.0}
        assert json.dumps(rates, allow_nan=False)


def test_the_shortest_time_gives_no_infinite_rate() -> None:
    rates = rates_between(reading(0.0, FIRST, 1.0), reading(5e-324, SECOND, 2.0))
    assert json.dumps(rates, allow_nan=False)
    assert "cpu_share" not in rates
