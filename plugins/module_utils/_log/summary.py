# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The summary of processed requests, as it is returned: counts, times, and what they needed."""

from __future__ import annotations

import bisect
import collections
import itertools
import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import endpoint_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import parse_processed, returned_fields
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Slow
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tally import Requester, Sums, Tally
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

_PERCENTILES = (50, 95, 99)

Values = dict[str, t.Any]


def returned_summary(
    tally: Tally, layouts_of: t.Callable[[str], t.Sequence[AnyLayout]], most_requesters: int
) -> Values:
    """Return the summary of `tally`. `layouts_of`: the formats of the file of a path, in which slow requests are read.

    Only the `most_requesters` with the most requests are returned.
    """
    by_endpoint: dict[tuple[str, str], list[tuple[bytes, Sums]]] = collections.defaultdict(list)
    by_status: dict[int, list[tuple[bytes, Sums]]] = collections.defaultdict(list)
    for (endpoint, status), sums in tally.cells.items():
        by_endpoint[endpoint.method, endpoint.path].append((status, sums))
        by_status[int(status.rstrip(b"!"))].append((status, sums))
    endpoints = [
        {"method": method, "endpoint": path, **_measures(cells)} for (method, path), cells in by_endpoint.items()
    ]
    requesters = tally.requesters
    everything = [cell for cells in by_endpoint.values() for cell in cells]
    return {
        **_measures(everything),
        "by_endpoint": sorted(endpoints, key=_importance),
        "by_status": [{"status": status, **_measures(by_status[status])} for status in sorted(by_status)],
        "by_requester": _requesters(requesters, most_requesters),
        # Otherwise it is only how many were kept.
        **({"requesters": len(requesters)} if tally.requesters_are_exact else {}),
        "requesters_are_exact": tally.requesters_are_exact,
        "by_hour": [
            {**returned_seconds("hour", hour), **_measures_of_hour(tally, hour)}
            for hour in sorted(hour for hour in tally.hours if hour is not None)
        ],
        "slowest": [_returned_slow(slow, layouts_of(slow.path)) for slow in tally.slowest],
    }


def _measures(cells: t.Sequence[tuple[bytes, Sums]]) -> Values:
    together = Sums()
    statuses: collections.Counter[bytes] = collections.Counter()
    for status, sums in cells:
        together.add(sums)
        statuses[status] += sum(sums.times.values())
    return _returned_measures(together, statuses)


def _measures_of_hour(tally: Tally, hour: float) -> Values:
    return _returned_measures(tally.hours[hour], tally.hour_statuses[hour])


def _returned_measures(sums: Sums, statuses: t.Mapping[bytes, int]) -> Values:
    return {
        "count": sum(statuses.values()),
        "errors": sum(count for status, count in statuses.items() if status >= b"400"),
        "server_errors": sum(count for status, count in statuses.items() if status >= b"500"),
        "disconnected": sum(count for status, count in statuses.items() if status.endswith(b"!")),
        "processing_seconds": _times(sums),
        "cpu_seconds": _seconds(sums.cpu),
        "database_seconds": _seconds(sums.database),
        "database_wait_seconds": _seconds(sums.database_wait),
        "database_transactions": sums.transactions,
        "database_events": sums.events,
        "response_bytes": sums.size,
    }


def _times(sums: Sums) -> dict[str, float]:
    """The percentiles of times: each is the shortest time that so many percent of the requests did not exceed."""
    seconds = sorted((float(text), count) for text, count in sums.times.items())
    running = list(itertools.accumulate(count for _second, count in seconds))
    if not running:
        return {}
    ranks = {percent: max(1, math.ceil(running[-1] * percent / 100)) for percent in _PERCENTILES}
    found = {f"p{percent}": seconds[bisect.bisect_left(running, rank)][0] for percent, rank in ranks.items()}
    # Rounded times may be longer than the longest one.
    limited = {name: _seconds(min(time, sums.longest)) for name, time in found.items()}
    return {**limited, "max": _seconds(sums.longest), "total": _seconds(sums.processing)}


def _seconds(time: float) -> float:
    """A time as it is returned: Synapse also writes -0.000."""
    return round(time, 3) + 0.0


def _importance(endpoint: Values) -> tuple[float, str, str]:
    return (-endpoint["processing_seconds"]["total"], endpoint["endpoint"], endpoint["method"])


def _requesters(requesters: t.Mapping[bytes, Requester], most: int) -> list[Values]:
    found = sorted(requesters.items(), key=lambda item: (-item[1].count, item[0]))
    return [
        {
            "requester": "" if name == b"None" else readable(name),
            "count": requester.count,
            "processing_seconds": _seconds(requester.processing),
            "cpu_seconds": _seconds(requester.cpu),
            "database_seconds": _seconds(requester.database),
        }
        for name, requester in found[:most]
    ]


def _returned_slow(slow: Slow, layouts: t.Sequence[AnyLayout]) -> Values:
    record = record_of(slow.line, layouts)
    processed = None if record is None else parse_processed(record.message)
    if record is None or processed is None:
        return {"path": slow.path, "processing_seconds": slow.seconds, "line": readable(slow.line)}
    return {
        "request": record.request,
        **returned_seconds("time", record.time),
        "endpoint": endpoint_of(processed.uri.partition("?")[0].encode()),
        **returned_fields(processed),
        "path": slow.path,
    }
