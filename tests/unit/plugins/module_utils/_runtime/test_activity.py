# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.activity import (
    average,
    jemalloc_memory,
    read_activity,
    running_version,
    total,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample, parse

# From a main process of Synapse 1.163.2 with PostgreSQL, shortened.
TEXT = """
python_twisted_reactor_tick_time_bucket{le="0.5"} 225.0
python_twisted_reactor_tick_time_bucket{le="1.0"} 230.0
python_twisted_reactor_tick_time_bucket{le="2.0"} 231.0
python_twisted_reactor_tick_time_bucket{le="+Inf"} 231.0
python_twisted_reactor_tick_time_count 231.0
python_twisted_reactor_tick_time_sum 1.1887426376342773
python_twisted_reactor_last_seen 0.02402329444885254
python_gc_time_count{gen="0"} 2.0
python_gc_time_sum{gen="0"} 0.000701904296875
python_gc_time_count{gen="2"} 3.0
python_gc_time_sum{gen="2"} 0.5
synapse_build_info{osversion="Linux 6.18.44",version="1.163.2"} 1.0
synapse_threadpool_total_threads{name="database-master",server_name="a.test:1"} 5.0
synapse_threadpool_total_threads{name="default",server_name="a.test:1"} 1.0
synapse_threadpool_working_threads{name="database-master",server_name="a.test:1"} 1.0
synapse_threadpool_working_threads{name="database-state",server_name="a.test:1"} 2.0
synapse_threadpool_working_threads{name="gai_resolver",server_name="a.test:1"} 7.0
synapse_threadpool_max_threads{name="database-master",server_name="a.test:1"} 5.0
synapse_threadpool_max_threads{name="database-state",server_name="a.test:1"} 10.0
synapse_threadpool_max_threads{name="gai_resolver",server_name="a.test:1"} 20.0
synapse_storage_schedule_time_count{server_name="a.test:1"} 133.0
synapse_storage_schedule_time_sum{server_name="a.test:1"} 0.7270597919923603
synapse_storage_query_time_count{server_name="a.test:1",verb="SET"} 36.0
synapse_storage_query_time_sum{server_name="a.test:1",verb="SET"} 0.14518952369689941
synapse_storage_query_time_count{server_name="a.test:1",verb="SELECT"} 282.0
synapse_storage_query_time_sum{server_name="a.test:1",verb="SELECT"} 0.21311521530151367
synapse_storage_transaction_time_count_total{desc="a",server_name="a.test:1"} 4.0
synapse_storage_transaction_time_count_total{desc="b",server_name="a.test:1"} 5.0
synapse_storage_transaction_time_sum_total{desc="a",server_name="a.test:1"} 0.0005
synapse_handler_presence_notified_presence_total{server_name="a.test:1"} 1.0
synapse_handler_presence_presence_updates_total{server_name="a.test:1"} 2.0
synapse_handler_presence_federation_presence_out_total{server_name="a.test:1"} 6.0
synapse_handler_presence_state_transition_total{from="offline",locality="local",server_name="a.test:1",to="online"} 3.0
synapse_handler_presence_state_transition_total{from="online",locality="remote",server_name="a.test:1",to="offline"} 4.0
synapse_handlers_presence_user_to_current_state_size{server_name="a.test:1"} 9.0
synapse_federation_client_sent_transactions_total{server_name="a.test:1"} 11.0
synapse_federation_client_sent_pdu_destinations_total{server_name="a.test:1"} 12.0
synapse_federation_client_sent_pdu_destinations_count_total{server_name="a.test:1"} 2.0
synapse_federation_client_sent_edus_total{server_name="a.test:1"} 13.0
synapse_federation_client_sent_edus_by_type_total{server_name="a.test:1",type="m.presence"} 8.0
synapse_federation_client_sent_edus_by_type_total{server_name="a.test:1",type="m.typing"} 5.0
synapse_federation_server_received_pdus_total{server_name="a.test:1"} 14.0
synapse_federation_server_received_edus_total{server_name="a.test:1"} 15.0
synapse_federation_transaction_queue_pending_destinations{server_name="a.test:1"} 16.0
synapse_federation_transaction_queue_pending_pdus{server_name="a.test:1"} 17.0
synapse_federation_transaction_queue_pending_edus{server_name="a.test:1"} 18.0
"""
IN_FLIGHT = "synapse_http_server_in_flight_requests"
REQUESTS = f"""
{IN_FLIGHT}_count{{method="GET",servlet="SyncRestServlet",server_name="a.test"}} 40.0
{IN_FLIGHT}_count{{method="POST",servlet="SlidingSyncRestServlet",server_name="a.test"}} 2.0
{IN_FLIGHT}_count{{method="GET",servlet="EventStreamRestServlet",server_name="a.test"}} 1.0
{IN_FLIGHT}_count{{method="GET",servlet="RoomMemberListRestServlet",server_name="a.test"}} 3.0
{IN_FLIGHT}_count{{method="PUT",servlet="FederationSendServlet",server_name="a.test"}} 4.0
{IN_FLIGHT}_count{{method="GET",servlet="MetricsResource",server_name="a.test"}} 1.0
{IN_FLIGHT}_db_sched_duration_seconds_total{{method="PUT",servlet="FederationSendServlet"}} 100.5
{IN_FLIGHT}_db_sched_duration_seconds_total{{method="GET",servlet="RoomMemberListRestServlet"}} 8.25
{IN_FLIGHT}_db_sched_duration_seconds_total{{method="GET",servlet="VersionsRestServlet"}} 50.0
{IN_FLIGHT}_db_txn_duration_seconds_total{{method="PUT",servlet="FederationSendServlet"}} 3.0
synapse_http_server_response_db_sched_duration_seconds_total{{method="PUT",servlet="FederationSendServlet",tag=""}} 60.0
synapse_http_server_response_db_sched_duration_seconds_total{{method="PUT",servlet="FederationSendServlet",tag="x"}} 40
synapse_http_server_response_db_txn_duration_seconds_total{{method="PUT",servlet="FederationSendServlet",tag=""}} 1.0
"""


def activity(text: str) -> dict[str, t.Any]:
    return read_activity(parse(text))


def test_requests_in_flight_are_counted_apart_from_long_polls() -> None:
    requests = activity(REQUESTS)["requests"]
    assert requests["in_flight"] == 7
    assert requests["long_polls"] == 43
    assert requests["endpoints"] == [
        {"method": "GET", "servlet": "SyncRestServlet", "in_flight": 40},
        {"method": "PUT", "servlet": "FederationSendServlet", "in_flight": 4},
        {"method": "GET", "servlet": "RoomMemberListRestServlet", "in_flight": 3},
        {"method": "POST", "servlet": "SlidingSyncRestServlet", "in_flight": 2},
        {"method": "GET", "servlet": "EventStreamRestServlet", "in_flight": 1},
    ]


def test_only_the_wait_of_requests_that_did_not_end_counts() -> None:
    requests = activity(REQUESTS)["requests"]
    assert requests["database_wait_seconds"] == 8.75
    assert requests["database_seconds"] == 2


def test_without_requests_nothing_waits() -> None:
    # A request that ended in a wrong logging context is missing in the second counter forever.
    ended = f'{IN_FLIGHT}_db_sched_duration_seconds_total{{method="GET",servlet="A"}} 3.0'
    assert activity(ended)["requests"] == {
        "in_flight": 0,
        "long_polls": 0,
        "endpoints": [],
        "database_wait_seconds": 0.0,
        "database_seconds": 0.0,
    }


def test_an_inexact_difference_is_not_negative() -> None:
    text = f"""
{IN_FLIGHT}_count{{method="GET",servlet="A"}} 1
{IN_FLIGHT}_db_sched_duration_seconds_total{{method="GET",servlet="A"}} 0.3
synapse_http_server_response_db_sched_duration_seconds_total{{method="GET",servlet="A",tag=""}} 0.30000000000000004
"""
    assert activity(text)["requests"]["database_wait_seconds"] == 0


def test_at_most_ten_endpoints_are_listed() -> None:
    lines = [f'{IN_FLIGHT}_count{{method="GET",servlet="S{number:02}"}} {number}' for number in range(30)]
    requests = activity("\n".join(lines))["requests"]
    assert requests["in_flight"] == sum(range(30))
    assert [endpoint["in_flight"] for endpoint in requests["endpoints"]] == list(range(29, 19, -1))


def test_one_endpoint_of_two_servers_in_a_process_is_one_endpoint() -> None:
    lines = [f'{IN_FLIGHT}_count{{method="GET",servlet="A",server_name="{name}"}} 2' for name in ("a.test", "b.test")]
    requests = activity("\n".join(lines))["requests"]
    assert requests["endpoints"] == [{"method": "GET", "servlet": "A", "in_flight": 4}]


def without_server_name(text: str) -> str:
    return re.sub(r',?server_name="[^"]*",?', lambda match: "," if match[0].count(",") == 2 else "", text)


@pytest.mark.parametrize("text", [TEXT, without_server_name(TEXT)], ids=["server name", "no server name"])
def test_the_figures_of_a_process(text: str) -> None:
    found = activity(text)
    assert found["database"] == {
        "connections": {"working": 3, "open": 5, "max": 15},
        "transactions": 9,
        "queries": 318,
        "wait_seconds": 0.72706,
        "average_wait_seconds": 0.005467,
        "average_query_seconds": 0.001127,
    }
    assert found["event_loop"] == {
        "ticks": 231,
        "slow_ticks": 1,
        "average_tick_seconds": 0.005146,
        "last_tick_seconds_ago": 0.024023,
    }
    assert found["garbage_collection"] == {"collections": 5, "seconds": 0.500702}
    assert found["federation"] == {
        "sent_transactions": 11,
        "sent_pdus": 12,
        "sent_edus": 13,
        "received_pdus": 14,
        "received_edus": 15,
        "pending_destinations": 16,
        "pending_pdus": 17,
        "pending_edus": 18,
    }
    assert found["presence"] == {
        "updates": 2,
        "state_transitions": 7,
        "notified": 1,
        "keep_alives": 6,
        "sent_edus": 8,
        "tracked_users": 9,
    }


def test_counts_are_integers() -> None:
    found = activity(TEXT)
    for part in ("federation", "presence"):
        assert {type(value) for value in found[part].values()} == {int}
    assert isinstance(found["event_loop"]["slow_ticks"], int)
    assert isinstance(found["database"]["connections"]["max"], int)


def test_a_process_that_has_done_nothing_shows_0_and_no_averages() -> None:
    found = activity('synapse_build_info{version="1.163.2"} 1.0')
    assert found["federation"] == dict.fromkeys(
        ("sent_transactions", "sent_pdus", "sent_edus", "received_pdus", "received_edus"), 0
    )
    assert found["presence"] == dict.fromkeys(
        ("updates", "state_transitions", "notified", "keep_alives", "sent_edus"), 0
    )
    assert found["database"] == {"transactions": 0, "queries": 0, "wait_seconds": 0.0}
    assert found["garbage_collection"] == {"collections": 0, "seconds": 0.0}
    assert "event_loop" not in found


def test_an_answer_of_another_program() -> None:
    assert activity("") == {}
    assert activity("go_goroutines 12") == {}


def test_pypy_shows_only_the_time_of_its_garbage_collection() -> None:
    text = 'synapse_build_info{version="1"} 1.0\npypy_gc_time_seconds_total 2.5'
    assert activity(text)["garbage_collection"] == {"seconds": 2.5}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1.0", "1e308"])
def test_impossible_values_are_left_out(value: str) -> None:
    hostile = re.sub(r" [0-9.e-]+$", f" {value}", TEXT + REQUESTS, flags=re.MULTILINE)
    found = activity(hostile)
    assert found == {"requests": {"endpoints": []}}
    assert json.dumps(found, allow_nan=False)
    assert jemalloc_memory(parse(f'jemalloc_stats_app_memory_bytes{{type="active"}} {value}')) is None


def test_one_impossible_value_leaves_out_only_its_figures() -> None:
    found = activity(REQUESTS + f'{IN_FLIGHT}_count{{method="GET",servlet="X"}} NaN')["requests"]
    assert "in_flight" not in found
    assert found["long_polls"] == 43
    assert len(found["endpoints"]) == 5


def test_a_name_without_end_is_cut() -> None:
    found = activity(f'{IN_FLIGHT}_count{{method="GET",servlet="{"x" * 10_000}"}} 1')["requests"]
    assert len(found["endpoints"][0]["servlet"]) == 100


def test_samples_without_labels_are_no_error() -> None:
    bare = re.sub(r"\{.*\}", "", TEXT + REQUESTS)
    assert activity(bare)["requests"]["in_flight"] == 51
    assert "connections" not in activity(bare)["database"]


def test_the_samples_are_read_once() -> None:
    class Counted(list[Sample]):
        walks = 0

        def __iter__(self) -> t.Iterator[Sample]:
            self.walks += 1
            return super().__iter__()

    samples = Counted(parse(TEXT))
    read_activity(samples)
    assert samples.walks == 1


def test_a_large_answer_with_many_endpoints_is_quick() -> None:
    labels = [{"method": "GET", "servlet": f"S{number}"} for number in range(10_000)]
    names = ("in_flight_requests_count", "in_flight_requests_db_sched_duration_seconds_total")
    samples = [Sample(f"synapse_http_server_{name}", label, 1.0) for name in names for label in labels]
    began = time.process_time()
    assert read_activity(samples)["requests"]["in_flight"] == 10_000
    assert time.process_time() - began < 2


def test_the_memory_of_jemalloc() -> None:
    text = """
jemalloc_stats_app_memory_bytes{type="allocated"} 6.5e+07
jemalloc_stats_app_memory_bytes{type="resident"} 9.0e+07
jemalloc_stats_app_memory_bytes{type="unheard of"} 1.0
"""
    assert jemalloc_memory(parse(text)) == {"allocated_bytes": 65_000_000, "resident_bytes": 90_000_000}
    assert jemalloc_memory(parse(TEXT)) is None


def test_the_running_version() -> None:
    assert running_version(parse(TEXT)) == "1.163.2"
    assert running_version(parse('synapse_build_info{version=""} 1.0')) is None
    assert running_version([]) is None


def test_the_total_of_a_metric() -> None:
    samples = parse(TEXT)
    assert total(samples, "synapse_storage_query_time_count") == 318
    assert total(samples, "synapse_storage_query_time_count", verb="SET") == 36
    assert total(samples, "synapse_missing") is None


def test_an_average_needs_a_count() -> None:
    assert average(3.0, 2.0) == 1.5
    assert average(3.0, 0.0) is None
    assert average(None, 2.0) is None
    assert average(3.0, None) is None
