# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Counts processed requests: by endpoint and status, by requester, and by hour. Two tallies can be added up.

A log may have millions of requests, so what is counted is columns of texts and numbers, many requests at a time. Memory
depends on the number of endpoints, hours and requesters, not on the number of requests.
"""

from __future__ import annotations

import collections
import heapq
import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.cells import CellKeys, Endpoint
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import (
    OTHER,
    served_endpoint,
    unserved_endpoint,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.numbers import (
    Numbers,
    count_in,
    not_faster_than,
    unpacked,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Rows, Slow

# Requesters are counted exactly up to this number; afterwards those with the fewest requests are dropped.
MOST_REQUESTERS = 20_000
# Endpoints that Synapse does not serve are counted up to this number, because clients can request any number of them.
MOST_UNSERVED = 500
_METHODS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})
# After so many requests, what was collected is added up.
_MOST_COLLECTED = 200_000
_CACHED_TIMES = 20_000
# Longer texts of a time, in characters, lose their last digits: 12.345 counts as 12.34.
_TIME_DIGITS = 5
# So many characters have more digits before the point.
_LONG_TIME = 10


class Sums:
    """The sums of some requests, the longest processing time, and how often each occurs (texts in seconds)."""

    __slots__ = ("cpu", "database", "database_wait", "events", "longest", "processing", "size", "times", "transactions")

    def __init__(self) -> None:
        self.times: collections.Counter[bytes] = collections.Counter()
        self.longest = -math.inf
        self.processing = self.cpu = self.database_wait = self.database = 0.0
        self.transactions = self.size = self.events = 0

    def add_times(self, texts: t.Sequence[bytes], shorter: t.Mapping[bytes, bytes]) -> None:
        """Add processing times. `shorter`: what a text counts as."""
        counts = collections.Counter(texts)
        for text, count in counts.items():
            self.times[shorter[text]] += count
        self.longest = max(self.longest, *map(float, counts))

    def add_numbers(self, numbers: Numbers) -> None:
        """Add the sums of numbers."""
        self.processing += numbers.processing / 1000
        self.cpu += numbers.cpu / 1000
        self.database += numbers.database / 1000
        self.database_wait += numbers.database_wait / 1000
        self.transactions += numbers.transactions
        self.size += numbers.size
        self.events += numbers.events

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

    def __init__(self, numbers: Numbers) -> None:
        self.count = numbers.requests
        self.cpu = numbers.cpu / 1000
        self.database = numbers.database / 1000
        self.processing = numbers.processing / 1000


class Tally:
    """The counts of some requests.

    `slowest`: at most `most_slow`, the slowest first, without requests that wait on purpose.
    """

    def __init__(self, most_slow: int) -> None:
        self.most_slow = most_slow
        self.requesters_are_exact = True
        self.slowest: list[Slow] = []
        self._cells: dict[tuple[Endpoint, bytes], Sums] = collections.defaultdict(Sums)
        self._hours: dict[float | None, Sums] = collections.defaultdict(Sums)
        self._hour_statuses: dict[float | None, collections.Counter[bytes]] = collections.defaultdict(
            collections.Counter
        )
        self._requesters: dict[bytes, int] = collections.defaultdict(int)
        self._unserved: set[str] = set()
        self._keys = CellKeys(self._endpoint)
        self._collected = _Collected()

    def __getstate__(self) -> dict[str, t.Any]:
        self._add_collected()
        return {name: value for name, value in vars(self).items() if name not in ("_keys", "_collected")}

    def __setstate__(self, state: dict[str, t.Any]) -> None:
        vars(self).update(state, _keys=CellKeys(self._endpoint), _collected=_Collected())

    @property
    def cells(self) -> t.Mapping[tuple[Endpoint, bytes], Sums]:
        """The sums of the requests by endpoint and status."""
        self._add_collected()
        return self._cells

    @property
    def hours(self) -> t.Mapping[float | None, Sums]:
        """The same by the hour in which they ended, in seconds since 1970, None for those of which that is unknown."""
        self._add_collected()
        return self._hours

    @property
    def hour_statuses(self) -> t.Mapping[float | None, collections.Counter[bytes]]:
        """How many requests of each hour had which status."""
        self._add_collected()
        return self._hour_statuses

    @property
    def requesters(self) -> dict[bytes, Requester]:
        """The sums of the requests by requester."""
        return {name: Requester(unpacked(total)) for name, total in self._requesters.items()}

    def count(self, rows: Rows, path: str) -> None:
        """Count requests of the file `path`, which come in the order of the log."""
        hours = rows.hours
        if not hours:
            return
        if hours.count(hours[0]) == len(hours):
            self._count_hour(hours[0], rows, path)
            return
        for hour in dict.fromkeys(hours):
            places = [place for place, its in enumerate(hours) if its == hour]
            self._count_hour(hour, rows.chosen(places), path)

    def _count_hour(self, hour: float | None, rows: Rows, path: str) -> None:
        collected = self._collected
        if hour != collected.hour:
            self._add_hour()
            collected.hour = hour
        keys = self._keys.of(rows.what, rows.status)
        totals, times, requesters = collected.totals, collected.times, self._requesters
        for key, requester, number, text in zip(keys, rows.requester, rows.numbers, rows.processing):
            totals[key] += number
            times[key].append(text)
            requesters[requester] += number
        collected.times_of_hour += rows.processing
        collected.size += len(keys)
        if collected.size > _MOST_COLLECTED:
            self._add_collected()
        if len(requesters) > 2 * MOST_REQUESTERS:
            self._drop_requesters()
        if self.most_slow:
            self._find_slow(rows, keys, path)

    def _add_hour(self) -> None:
        """Add up what was collected of one hour."""
        hour, totals = self._collected.hour, self._collected.totals
        if totals:
            self._hours[hour].add_numbers(unpacked(sum(totals.values())))
            self._hours[hour].add_times(self._collected.times_of_hour, _ROUNDED)
            for cell, total in zip(self._keys.cells(totals), totals.values()):
                numbers = unpacked(total)
                self._cells[cell].add_numbers(numbers)
                self._hour_statuses[hour][cell[1]] += numbers.requests
            totals.clear()
            self._collected.times_of_hour.clear()

    def _add_collected(self) -> None:
        """Add up all that was collected."""
        self._add_hour()
        times = self._collected.times
        for cell, texts in zip(self._keys.cells(times), times.values()):
            self._cells[cell].add_times(texts, _SHORTENED)
        self._collected = _Collected()

    def _endpoint(self, what: bytes) -> Endpoint:
        method, _space, path = what.partition(b" ")
        name = method.decode() if method in _METHODS else OTHER
        found = served_endpoint(path)
        if found is None:
            found = unserved_endpoint(path)
            if found not in self._unserved:
                if len(self._unserved) >= MOST_UNSERVED:
                    return Endpoint(name, OTHER)
                self._unserved.add(found)
        return Endpoint(name, found)

    def _drop_requesters(self) -> None:
        kept = heapq.nlargest(MOST_REQUESTERS, self._requesters.items(), key=lambda item: count_in(item[1]))
        self._requesters.clear()
        self._requesters.update(kept)
        self.requesters_are_exact = False

    def _find_slow(self, rows: Rows, keys: t.Sequence[int], path: str) -> None:
        is_full = len(self.slowest) >= self.most_slow
        least = self.slowest[-1].seconds if is_full else -math.inf
        places: t.Sequence[int] = range(len(keys))
        if is_full:
            limit = not_faster_than(least)
            places = [place for place, number in enumerate(rows.numbers) if number >= limit]
        found: list[Slow] = []
        for place, (endpoint, _status) in zip(places, self._keys.cells([keys[place] for place in places])):
            seconds = float(rows.processing[place])
            if seconds >= least and not endpoint.is_long_poll:
                found.append(Slow(seconds, rows.row(place), rows.lines[place].lstrip(b"\n"), path))
        self._keep_slow(found)

    def _keep_slow(self, found: t.Sequence[Slow]) -> None:
        # Of equal ones, nsmallest keeps the first: they come in the order of the log.
        if found:
            self.slowest = heapq.nsmallest(self.most_slow, [*self.slowest, *found], key=lambda slow: slow.order)

    def add(self, other: Tally) -> None:
        """Add the counts of other requests, which come later in the log."""
        self._add_collected()
        new = sorted(other._unserved - self._unserved)
        room = MOST_UNSERVED - len(self._unserved)
        self._unserved.update(new[:room])
        without_room = set(new[room:])
        for (endpoint, status), sums in other.cells.items():
            place = endpoint._replace(path=OTHER) if endpoint.path in without_room else endpoint
            self._cells[place, status].add(sums)
        for hour, sums in other.hours.items():
            self._hours[hour].add(sums)
        for hour, statuses in other.hour_statuses.items():
            self._hour_statuses[hour].update(statuses)
        for name, total in other._requesters.items():
            self._requesters[name] += total
        self.requesters_are_exact = self.requesters_are_exact and other.requesters_are_exact
        if len(self._requesters) > 2 * MOST_REQUESTERS:
            self._drop_requesters()
        self._keep_slow(other.slowest)


class _Collected:
    """Requests that were not yet added up, by key: the sums of their numbers in an hour, and their times."""

    def __init__(self) -> None:
        self.hour: float | None = None
        self.totals: dict[int, int] = collections.defaultdict(int)
        self.times_of_hour: list[bytes] = []
        self.times: dict[int, list[bytes]] = collections.defaultdict(list)
        self.size = 0


class _Shorter(dict[bytes, bytes]):
    """Texts of times, and the same with fewer digits: so that there are few different ones."""

    def __init__(self, shorten: t.Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._shorten = shorten

    def __missing__(self, text: bytes) -> bytes:
        shorter = self._shorten(text)
        if len(self) < _CACHED_TIMES:
            self[text] = shorter
        return shorter


def _shortened(text: bytes) -> bytes:
    return text[:_TIME_DIGITS] if len(text) < _LONG_TIME else b"%.4g" % float(text)


_SHORTENED = _Shorter(_shortened)
_ROUNDED = _Shorter(lambda text: b"%.3g" % float(text))
