# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Counts processed requests: by endpoint and status, by requester, and by hour. Two tallies can be added up.

A log may have millions of requests, so what is counted is the rows of a regular expression, many at a time and as
bytes. Memory depends on the number of endpoints, hours and requesters, not on the number of requests.
"""

from __future__ import annotations

import collections
import heapq
import math
import operator
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import (
    OTHER,
    endpoint_of,
    served_endpoint,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Columns, Row, Slow

# Requesters are counted exactly up to this number; afterwards those with the fewest requests are dropped.
MOST_REQUESTERS = 20_000
# Endpoints that Synapse does not serve are counted up to this number, because clients can request any number of them.
MOST_UNSERVED = 500
_METHODS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})
_CACHED_TIMES = 20_000
_LONGEST_CACHED_PATH = 200
# Of all paths together.
_CACHED_BYTES = 4 << 20
# What a path needs in memory besides its text, about.
_CACHED_ENTRY = 140
# Longer texts of a time, in characters, lose their last digits: 12.345 counts as 12.34.
_TIME_DIGITS = 5
# So many characters have more digits before the point.
_LONG_TIME = 10
_LONG_POLLS = ("/sync", "/events")

LinesOf = t.Callable[[t.Sequence[Row]], t.Sequence[bytes]]


class Endpoint(t.NamedTuple):
    """The method and the endpoint of a request; "(other)" for any that is not usual."""

    method: str
    path: str

    @property
    def is_long_poll(self) -> bool:
        """Whether its requests wait on purpose until something happens."""
        return self.path.endswith(_LONG_POLLS)


class Sums:
    """The sums of some requests, the longest processing time, and how often each occurs (texts in seconds)."""

    __slots__ = ("cpu", "database", "database_wait", "events", "longest", "processing", "size", "times", "transactions")

    def __init__(self) -> None:
        self.times: collections.Counter[bytes] = collections.Counter()
        self.longest = -math.inf
        self.processing = self.cpu = self.database_wait = self.database = 0.0
        self.transactions = self.size = self.events = 0

    def add(self, other: Sums) -> None:
        """Add the sums of other requests."""
        self.times.update(other.times)
        self.longest = max(self.longest, other.longest)
        self.processing += other.processing
        self.cpu += other.cpu
        self.database_wait += other.database_wait
        self.database += other.database
        self.transactions += other.transactions
        self.size += other.size
        self.events += other.events


class Requester:
    """The sums of the requests of one requester: seconds, and counts."""

    __slots__ = ("count", "cpu", "database", "processing")

    def __init__(self) -> None:
        self.count = 0
        self.processing = self.cpu = self.database = 0.0

    def add(self, other: Requester) -> None:
        """Add the sums of other requests."""
        self.count += other.count
        self.processing += other.processing
        self.cpu += other.cpu
        self.database += other.database


class Tally:
    """The counts of some requests.

    `cells`: by endpoint and status, `hours`: by the hour in which they ended (seconds since 1970), with the statuses in
    `hour_statuses`. `slowest`: at most `most_slow`, the slowest first, without requests that wait on purpose.
    """

    def __init__(self, most_slow: int) -> None:
        self.most_slow = most_slow
        self.cells: dict[tuple[Endpoint, bytes], Sums] = {}
        self.hours: dict[float | None, Sums] = {}
        self.hour_statuses: dict[float | None, collections.Counter[bytes]] = {}
        self.requesters: dict[bytes, Requester] = collections.defaultdict(Requester)
        self.requesters_are_exact = True
        self.slowest: list[Slow] = []
        self._unserved: set[str] = set()
        self._endpoints: dict[bytes, Endpoint] = {}
        self._cached_bytes = 0
        self._rounded = _Rounded()

    def __getstate__(self) -> dict[str, t.Any]:
        return {**vars(self), "_endpoints": {}, "_cached_bytes": 0, "_rounded": _Rounded()}

    def count(self, rows: t.Sequence[Row], hours: t.Sequence[float | None], lines_of: LinesOf, path: str) -> None:
        """Count `rows` of the file `path`, which come in the order of the log.

        `hours`: for each row the beginning of the hour in which it ended, in seconds since 1970, or None. `lines_of`
        returns the lines of some rows, see `scan.Found`; it is only called for slow requests.
        """
        by_hour: dict[float | None, t.Sequence[Row]] = dict.fromkeys(hours, rows)
        if len(by_hour) > 1:
            chosen: dict[float | None, list[Row]] = {hour: [] for hour in by_hour}
            for row, hour in zip(rows, hours):
                chosen[hour].append(row)
            by_hour.update(chosen)
        for hour, its_rows in by_hour.items():
            self._count_hour(hour, its_rows, lines_of, path)
        if len(self.requesters) > 2 * MOST_REQUESTERS:
            self._drop_requesters()

    def _count_hour(self, hour: float | None, rows: t.Sequence[Row], lines_of: LinesOf, path: str) -> None:
        columns = Columns(*zip(*rows))
        endpoints = self._endpoints_of(columns.what)
        processing = list(map(float, columns.processing))
        cpu = list(map(operator.add, map(float, columns.user_cpu), map(float, columns.system_cpu)))
        values = (
            _shortened(columns.processing),
            processing,
            cpu,
            list(map(float, columns.database_wait)),
            list(map(float, columns.database)),
            list(map(int, columns.transactions)),
            list(map(int, columns.size)),
            list(map(int, columns.events)),
        )
        _add_values(
            self.hours.setdefault(hour, Sums()), (map(self._rounded.__getitem__, columns.processing), *values[1:])
        )
        self.hour_statuses.setdefault(hour, collections.Counter()).update(columns.status)
        places: dict[tuple[Endpoint, bytes], list[int]] = collections.defaultdict(list)
        for place, cell in enumerate(zip(endpoints, columns.status)):
            places[cell].append(place)
        for cell, chosen in places.items():
            take = operator.itemgetter(*chosen) if len(chosen) > 1 else _taker_of_one(chosen[0])
            _add_values(self.cells.setdefault(cell, Sums()), [take(column) for column in values])
        self._count_requesters(columns.requester, processing, cpu, values[4])
        if self.most_slow:
            self._find_slow(rows, processing, endpoints, lines_of, path)

    def _endpoints_of(self, what: t.Iterable[bytes]) -> list[Endpoint]:
        known = self._endpoints
        found: list[Endpoint] = []
        for text in what:
            endpoint = known.get(text)
            if endpoint is None:
                endpoint = self._endpoint(text)
                # Most paths of rooms and events occur once, those of others again and again.
                if len(text) <= _LONGEST_CACHED_PATH and self._cached_bytes < _CACHED_BYTES:
                    known[text] = endpoint
                    self._cached_bytes += len(text) + _CACHED_ENTRY
            found.append(endpoint)
        return found

    def _endpoint(self, what: bytes) -> Endpoint:
        method, _space, path = what.partition(b" ")
        name = method.decode() if method in _METHODS else OTHER
        found = served_endpoint(path)
        if found is None:
            found = endpoint_of(path)
            if found not in self._unserved:
                if len(self._unserved) >= MOST_UNSERVED:
                    return Endpoint(name, OTHER)
                self._unserved.add(found)
        return Endpoint(name, found)

    def _count_requesters(
        self, names: t.Iterable[bytes], processing: list[float], cpu: list[float], database: list[float]
    ) -> None:
        requesters = self.requesters
        for name, its_processing, its_cpu, its_database in zip(names, processing, cpu, database):
            requester = requesters[name]
            requester.count += 1
            requester.processing += its_processing
            requester.cpu += its_cpu
            requester.database += its_database

    def _drop_requesters(self) -> None:
        kept = heapq.nlargest(MOST_REQUESTERS, self.requesters.items(), key=lambda item: item[1].count)
        self.requesters.clear()
        self.requesters.update(kept)
        self.requesters_are_exact = False

    def _find_slow(
        self,
        rows: t.Sequence[Row],
        processing: list[float],
        endpoints: list[Endpoint],
        lines_of: LinesOf,
        path: str,
    ) -> None:
        is_full = len(self.slowest) >= self.most_slow
        least = self.slowest[-1].seconds if is_full else -math.inf
        if max(processing) < least:
            return
        places = [
            place for place, seconds in enumerate(processing) if seconds >= least and not endpoints[place].is_long_poll
        ]
        found: list[Slow] = []
        for place in heapq.nsmallest(self.most_slow, places, key=lambda place: (-processing[place], rows[place])):
            slow = Slow(processing[place], rows[place], b"", path)
            if is_full and slow.order >= self.slowest[-1].order:
                break
            found.append(slow)
        lines = lines_of([slow.row for slow in found])
        self._keep_slow([slow._replace(line=line) for slow, line in zip(found, lines)])

    def _keep_slow(self, found: t.Sequence[Slow]) -> None:
        # Of equal ones, nsmallest keeps the first: they come in the order of the log.
        self.slowest = heapq.nsmallest(self.most_slow, [*self.slowest, *found], key=lambda slow: slow.order)

    def add(self, other: Tally) -> None:
        """Add the counts of other requests, which come later in the log."""
        new = sorted(other._unserved - self._unserved)
        room = MOST_UNSERVED - len(self._unserved)
        self._unserved.update(new[:room])
        without_room = set(new[room:])
        for (endpoint, status), sums in other.cells.items():
            place = endpoint._replace(path=OTHER) if endpoint.path in without_room else endpoint
            self.cells.setdefault((place, status), Sums()).add(sums)
        for hour, sums in other.hours.items():
            self.hours.setdefault(hour, Sums()).add(sums)
        for hour, statuses in other.hour_statuses.items():
            self.hour_statuses.setdefault(hour, collections.Counter()).update(statuses)
        for name, requester in other.requesters.items():
            self.requesters[name].add(requester)
        self.requesters_are_exact = self.requesters_are_exact and other.requesters_are_exact
        if len(self.requesters) > 2 * MOST_REQUESTERS:
            self._drop_requesters()
        self._keep_slow(other.slowest)


class _Rounded(dict[bytes, bytes]):
    """Texts of times, and the same with three digits: so that each hour has few different ones."""

    def __missing__(self, text: bytes) -> bytes:
        rounded = b"%.3g" % float(text)
        if len(self) < _CACHED_TIMES:
            self[text] = rounded
        return rounded


def _shortened(texts: t.Sequence[bytes]) -> list[bytes]:
    """Texts of times with the digits that count: so that each endpoint has few different ones."""
    return [text[:_TIME_DIGITS] if len(text) < _LONG_TIME else b"%.4g" % float(text) for text in texts]


def _taker_of_one(place: int) -> t.Callable[[t.Sequence[t.Any]], tuple[t.Any]]:
    return lambda column: (column[place],)


def _add_values(sums: Sums, values: t.Sequence[t.Iterable[t.Any]]) -> None:
    sums.times.update(values[0])
    sums.longest = max(sums.longest, *values[1])
    sums.processing += sum(values[1])
    sums.cpu += sum(values[2])
    sums.database_wait += sum(values[3])
    sums.database += sum(values[4])
    sums.transactions += sum(values[5])
    sums.size += sum(values[6])
    sums.events += sum(values[7])
