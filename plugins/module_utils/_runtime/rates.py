# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How fast the figures of a process grow: the difference between two readings of its metrics and its CPU time.

Relies on the metrics that activity.py describes, on `synapse_http_server_requests_received_total`
(synapse/http/request_metrics.py), and on `synapse_util_caches_cache_evicted_size` with the label `reason`
(synapse/util/caches/__init__.py: a gauge that only grows), of Synapse 1.163.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.activity import METRICS_SERVLET, average
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sample_index import SampleIndex, valid_sum

_FEDERATION, _PRESENCE = "synapse_federation", "synapse_handler_presence"
_REQUESTS = "synapse_http_server_requests_received_total"
_PER_MINUTE: dict[str, tuple[str, dict[str, str]]] = {
    "database_transactions": ("synapse_storage_transaction_time_count_total", {}),
    "sent_transactions": (f"{_FEDERATION}_client_sent_transactions_total", {}),
    "sent_pdus": (f"{_FEDERATION}_client_sent_pdu_destinations_total", {}),
    "sent_edus": (f"{_FEDERATION}_client_sent_edus_total", {}),
    "received_pdus": (f"{_FEDERATION}_server_received_pdus_total", {}),
    "received_edus": (f"{_FEDERATION}_server_received_edus_total", {}),
    "presence_updates": (f"{_PRESENCE}_presence_updates_total", {}),
    "presence_state_transitions": (f"{_PRESENCE}_state_transition_total", {}),
    "presence_keep_alives": (f"{_PRESENCE}_federation_presence_out_total", {}),
    "presence_edus_sent": (f"{_FEDERATION}_client_sent_edus_by_type_total", {"type": "m.presence"}),
    # Entries that left because their cache was full. Entries that are old or out of date leave a cache of any size.
    "cache_evictions": ("synapse_util_caches_cache_evicted_size", {"reason": "size"}),
}
_AVERAGES = {
    "average_wait_seconds": "synapse_storage_schedule_time",
    "average_query_seconds": "synapse_storage_query_time",
    "average_tick_seconds": "python_twisted_reactor_tick_time",
}


class Reading(t.NamedTuple):
    """The figures of a process at one moment.

    `at`: seconds of a clock that nobody sets (time.monotonic). `cpu_seconds`: the CPU time of the process, if known.
    """

    at: float
    samples: t.Sequence[Sample]
    cpu_seconds: float | None = None


def rates_between(first: Reading, second: Reading) -> dict[str, float]:
    """Return how fast the figures grew between two readings of the same process, with the time between them: `seconds`.

    Per minute to 2 decimals, shares of one CPU core or of the time to 4, averages in seconds to 6. An average is left
    out if nothing happened. A figure that is unknown or that fell is left out. The result is empty if no time passed,
    or if the process was restarted in between.
    """
    seconds = second.at - first.at
    if not (math.isfinite(seconds) and seconds > 0):
        return {}
    change = _Change(SampleIndex(first.samples), SampleIndex(second.samples))
    if change.is_restart:
        return {}
    counts = {"requests": change.requests()}
    counts.update({name: change.of(metric, **labels) for name, (metric, labels) in _PER_MINUTE.items()})
    rates: dict[str, float | None] = {
        "seconds": round(float(seconds), 2),
        "cpu_share": _share(_growth(first.cpu_seconds, second.cpu_seconds), seconds),
        "garbage_collection_share": _share(change.garbage_collection(), seconds),
        **{f"{name}_per_minute": _per_minute(count, seconds) for name, count in counts.items()},
        **{name: average(change.of(f"{each}_sum"), change.of(f"{each}_count")) for name, each in _AVERAGES.items()},
    }
    return {name: rate for name, rate in rates.items() if rate is not None and math.isfinite(rate)}


class _Change:
    """The growth of the figures between two answers."""

    def __init__(self, first: SampleIndex, second: SampleIndex) -> None:
        self._first, self._second = first, second
        starts = [index.gauge("process_start_time_seconds") for index in (first, second)]
        self.is_restart = None not in starts and starts[0] != starts[1]

    def of(self, name: str, **labels: str) -> float | None:
        return _growth(self._first.counter(name, **labels), self._second.counter(name, **labels))

    def requests(self) -> float | None:
        return _growth(_requests(self._first), _requests(self._second))

    def garbage_collection(self) -> float | None:
        of_pypy = (index.gauge("pypy_gc_time_seconds_total") for index in (self._first, self._second))
        growth = _growth(*of_pypy)
        return self.of("python_gc_time_sum") if growth is None else growth


def _requests(index: SampleIndex) -> float | None:
    # Reading the metrics is not a load that the administrator asked about.
    own = (sample.value for sample in index.named(_REQUESTS) if sample.labels.get("servlet") != METRICS_SERVLET)
    return valid_sum(own) if index.is_synapse else None


def _growth(before: float | None, after: float | None) -> float | None:
    # A figure that fell belongs to a different start of the process.
    return None if before is None or after is None or not after >= before else after - before


def _share(growth: float | None, seconds: float) -> float | None:
    return None if growth is None else round(growth / seconds, 4)


def _per_minute(growth: float | None, seconds: float) -> float | None:
    return None if growth is None else round(growth * 60 / seconds, 2)
