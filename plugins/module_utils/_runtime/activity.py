# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a process of Synapse does now and has done since its start, as its metrics show it.

Relies on the metrics of Synapse 1.163. Each function names the file of Synapse that defines them. prometheus_client
adds `_total` to the names of counters, and `_sum`, `_count` and `_bucket` to those of histograms.
"""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.long_polls import LONG_POLLS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sample_index import SampleIndex, valid_sum

METRICS_SERVLET = "MetricsResource"
_MOST_ENDPOINTS = 10
_LONGEST_NAME = 100
_SLOW_TICK = "1.0"
_JEMALLOC_TYPES = ("allocated", "active", "resident", "mapped", "metadata")
Endpoint = tuple[str, str]


def read_activity(samples: t.Sequence[Sample]) -> dict[str, dict[str, t.Any]]:
    """Return `requests`, `database`, `event_loop`, `garbage_collection`, `federation` and `presence` of a process.

    Counts are integers since the start of the process, times are in seconds. A counter that Synapse does not show yet
    is 0. What is unknown, negative, infinite or not a number is left out, also a part in which nothing is known.
    """
    index = SampleIndex(samples)
    parts = {
        "requests": _requests(index),
        "database": _database(index),
        "event_loop": _event_loop(index),
        "garbage_collection": _garbage_collection(index),
        "federation": _federation(index),
        "presence": _presence(index),
    }
    return {name: part for name, part in parts.items() if part}


def requests_in_flight(index: SampleIndex) -> dict[Endpoint, float | None]:
    """Return the number of requests in flight of each method and servlet, without those that read the metrics.

    None if a value is negative, infinite or not a number.
    """
    given: dict[Endpoint, list[float]] = collections.defaultdict(list)
    for sample in index.named("synapse_http_server_in_flight_requests_count"):
        if _endpoint(sample)[1] != METRICS_SERVLET:
            given[_endpoint(sample)].append(sample.value)
    return {endpoint: valid_sum(values) for endpoint, values in given.items()}


def jemalloc_memory(samples: t.Iterable[Sample]) -> dict[str, int] | None:
    """Return the statistics of jemalloc in bytes, such as `allocated_bytes`, or None if the process has none.

    Source: `jemalloc_stats_app_memory_bytes` with the label `type` (synapse/metrics/jemalloc.py), which exists only if
    jemalloc is loaded. Without PYTHONMALLOC=malloc, memory of small objects is not part of `allocated`.
    """
    index = SampleIndex(samples)
    figures = {f"{kind}_bytes": index.gauge("jemalloc_stats_app_memory_bytes", type=kind) for kind in _JEMALLOC_TYPES}
    return {name: int(value) for name, value in figures.items() if value is not None} or None


def running_version(samples: t.Iterable[Sample]) -> str | None:
    """Return the version of Synapse in `synapse_build_info` (synapse/metrics/__init__.py), or None if it is missing."""
    for sample in samples:
        if sample.name == "synapse_build_info" and sample.labels.get("version"):
            return sample.labels["version"][:_LONGEST_NAME]
    return None


def total(samples: t.Iterable[Sample], name: str, **labels: str) -> float | None:
    """Return the sum of the samples with this name and these labels.

    None if there are none, or if a value is negative, not a number or infinite. It walks over all samples, so use
    SampleIndex for more than one name.
    """
    return SampleIndex(samples).gauge(name, **labels)


def average(seconds: float | None, count: float | None) -> float | None:
    """Return the average in seconds, to the microsecond. None if one of the two is unknown, or nothing was counted."""
    return None if seconds is None or not count else round(seconds / count, 6)


def _requests(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/http/request_metrics.py: `synapse_http_server_in_flight_requests_count`, per method and servlet.

    It is missing while there is no request. The request that reads the metrics is in it if the listener is of type
    `http`. The seconds of `..._in_flight_requests_db_*` are not those of requests in flight: they grow while a request
    runs and never fall. `..._response_db_*` gets the same seconds when the request ends, so the difference of the two
    is what the requests that are in flight have used. It is taken only of the servlets with requests in flight, because
    a request that ended in the wrong logging context is missing in the second, and without long polls, which would look
    like requests that the database delays.
    """
    if not index.is_synapse:
        return {}
    counts = requests_in_flight(index)
    busiest = sorted(((count, endpoint) for endpoint, count in counts.items() if count), key=lambda pair: _order(*pair))
    endpoints = [
        {"method": method[:_LONGEST_NAME], "servlet": servlet[:_LONGEST_NAME], "in_flight": int(count)}
        for count, (method, servlet) in busiest[:_MOST_ENDPOINTS]
    ]
    present = {endpoint for endpoint, count in counts.items() if count != 0 and endpoint[1] not in LONG_POLLS}
    return {
        **_integers(
            in_flight=_sum(count for (_method, servlet), count in counts.items() if servlet not in LONG_POLLS),
            long_polls=_sum(count for (_method, servlet), count in counts.items() if servlet in LONG_POLLS),
        ),
        "endpoints": endpoints,
        **_seconds(
            database_wait_seconds=_used_by(index, present, "db_sched_duration_seconds_total"),
            database_seconds=_used_by(index, present, "db_txn_duration_seconds_total"),
        ),
    }


def _database(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/storage/database.py, and the thread pools of synapse/metrics/__init__.py.

    `connections`: each thread of a pool `database-NAME` has one connection; `max` is the setting cp_max.
    `transactions`: `synapse_storage_transaction_time_count_total`, also those that failed. Waits:
    `synapse_storage_schedule_time`, from the wish for a connection until a thread has one. Queries:
    `synapse_storage_query_time`, each statement.
    """
    pools = {
        name: _sum_of_pools(index, f"synapse_threadpool_{metric}_threads")
        for name, metric in (("working", "working"), ("open", "total"), ("max", "max"))
    }
    connections = _integers(**pools)
    waited, waits = (index.counter(f"synapse_storage_schedule_time_{kind}") for kind in ("sum", "count"))
    queried, queries = (index.counter(f"synapse_storage_query_time_{kind}") for kind in ("sum", "count"))
    return {
        **({"connections": connections} if connections else {}),
        **_integers(transactions=index.counter("synapse_storage_transaction_time_count_total"), queries=queries),
        **_seconds(
            wait_seconds=waited,
            average_wait_seconds=average(waited, waits),
            average_query_seconds=average(queried, queries),
        ),
    }


def _event_loop(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/metrics/_reactor_metrics.py, both without labels.

    `python_twisted_reactor_tick_time`: the seconds that one turn of the event loop was busy, without its wait for
    events. Slow turns took more than 1 s. `python_twisted_reactor_last_seen`: seconds since the loop last got events;
    it does so about ten times per second at least, because it checks as often whether to collect garbage.
    """
    ticks = index.gauge("python_twisted_reactor_tick_time_count")
    quick = index.gauge("python_twisted_reactor_tick_time_bucket", le=_SLOW_TICK)
    return {
        **_integers(ticks=ticks, slow_ticks=_difference(ticks, quick)),
        **_seconds(
            average_tick_seconds=average(index.gauge("python_twisted_reactor_tick_time_sum"), ticks),
            last_tick_seconds_ago=index.gauge("python_twisted_reactor_last_seen"),
        ),
    }


def _garbage_collection(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/metrics/_gc.py: the histogram `python_gc_time`, with the label `gen`. PyPy shows its total time only."""
    total_of_pypy = index.gauge("pypy_gc_time_seconds_total")
    if total_of_pypy is not None:
        return _seconds(seconds=total_of_pypy)
    return {
        **_integers(collections=index.counter("python_gc_time_count")),
        **_seconds(seconds=index.counter("python_gc_time_sum")),
    }


def _federation(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/federation/sender, federation_server.py and synapse/metrics/__init__.py.

    `sent_transactions`: accepted by the other server, also those that catch up. `sent_pdus`: PDUs times destinations
    (`..._sent_pdu_destinations_total`), counted when they are queued, so also for servers that are offline; the counter
    `..._sent_pdu_destinations_count_total` would count each PDU once. `sent_edus`: EDUs in accepted transactions, once
    per destination. `received_pdus` and `received_edus`: in the transactions of other servers, before they are checked.
    `pending_destinations`: servers to which this process is sending now. `pending_pdus` and `pending_edus`: queued for
    all destinations. The pending figures exist only in a process that sends.
    """
    client, server = "synapse_federation_client_sent", "synapse_federation_server_received"
    queue = "synapse_federation_transaction_queue_pending"
    return _integers(
        sent_transactions=index.counter(f"{client}_transactions_total"),
        sent_pdus=index.counter(f"{client}_pdu_destinations_total"),
        sent_edus=index.counter(f"{client}_edus_total"),
        received_pdus=index.counter(f"{server}_pdus_total"),
        received_edus=index.counter(f"{server}_edus_total"),
        pending_destinations=index.gauge(f"{queue}_destinations"),
        pending_pdus=index.gauge(f"{queue}_pdus"),
        pending_edus=index.gauge(f"{queue}_edus"),
    )


def _presence(index: SampleIndex) -> dict[str, t.Any]:
    """synapse/handlers/presence.py and synapse/federation/sender/per_destination_queue.py.

    `updates`: states of users that were processed, from clients, other servers and timers, changed or not.
    `state_transitions`: changes such as from offline to online. `notified`: updates passed on to clients and servers.
    `keep_alives`: unchanged states of local users that were sent again so that other servers do not let them
    expire, once per state and not per server. `sent_edus`: EDUs m.presence in accepted transactions, each with up to 50
    states, once per server. `tracked_users`: users in memory; only the process that writes presence shows it.
    """
    handler = "synapse_handler_presence"
    return _integers(
        updates=index.counter(f"{handler}_presence_updates_total"),
        state_transitions=index.counter(f"{handler}_state_transition_total"),
        notified=index.counter(f"{handler}_notified_presence_total"),
        keep_alives=index.counter(f"{handler}_federation_presence_out_total"),
        sent_edus=index.counter("synapse_federation_client_sent_edus_by_type_total", type="m.presence"),
        tracked_users=index.gauge("synapse_handlers_presence_user_to_current_state_size"),
    )


def _used_by(index: SampleIndex, endpoints: t.AbstractSet[Endpoint], figure: str) -> float | None:
    used: dict[Endpoint, list[float]] = {endpoint: [] for endpoint in endpoints}
    ended: dict[Endpoint, list[float]] = {endpoint: [] for endpoint in endpoints}
    for kind, values in (("in_flight_requests", used), ("response", ended)):
        for sample in index.named(f"synapse_http_server_{kind}_{figure}"):
            if _endpoint(sample) in values:
                values[_endpoint(sample)].append(sample.value)
    return _sum(_difference(valid_sum(used[endpoint]), valid_sum(ended[endpoint])) for endpoint in endpoints)


def _sum_of_pools(index: SampleIndex, name: str) -> float | None:
    values = [sample.value for sample in index.named(name) if sample.labels.get("name", "").startswith("database-")]
    return valid_sum(values) if values else None


def _endpoint(sample: Sample) -> Endpoint:
    return sample.labels.get("method", ""), sample.labels.get("servlet", "")


def _order(count: float, endpoint: Endpoint) -> tuple[float, Endpoint]:
    return -count, endpoint


def _difference(value: float | None, part: float | None) -> float | None:
    # Sums of fractions are not exact, so a difference of 0 can come out below 0.
    return None if value is None or part is None else max(value - part, 0.0)


def _sum(values: t.Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else valid_sum(value for value in known if value is not None)


def _integers(**figures: float | None) -> dict[str, t.Any]:
    return {name: int(value) for name, value in figures.items() if value is not None}


def _seconds(**figures: float | None) -> dict[str, t.Any]:
    return {name: round(value, 6) for name, value in figures.items() if value is not None}
