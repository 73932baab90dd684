# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Requests that were received and not processed: those in which Synapse hangs, and those that ended with the process.

Relies on Synapse 1.163: http/site.py logs `Received request` at DEBUG with the logger synapse.access, and numbers the
requests of a process from 0; config/logger.py logs `STARTING SERVER`.
"""

from __future__ import annotations

import collections
import heapq
import re
import sys
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import is_long_poll
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

# How many requests are returned.
MOST_REQUESTS = 1000
# How many pending requests of a process are in memory, and how many characters of them. Others are only counted.
_MOST_PENDING = 20_000
_MOST_TEXT = 8_000_000
# Of a URI or an address, in characters.
_LONGEST_TEXT = 2_000
_EXAMPLES = 20
# When a request began is known with this precision, in seconds.
_PRECISION = 1.0
_NUMBERED = re.compile(r"[A-Z]{1,20}-([0-9]{1,15})")
# Synapse was started again if as many requests in a row have these numbers, although there were higher ones before.
_NEW_NUMBERS, _NEW_NUMBER, _OLD_NUMBER = 10, 50, 200
_TIMEOUT = re.compile(r"[0-9]{1,12}")
# What /events waits for without a timeout (rest/client/events.py), in milliseconds.
_TIMEOUT_OF_EVENTS = 30_000


class _Pending(t.NamedTuple):
    """A pending request. `long_poll`: for how many seconds it waits on purpose, None if it is no long poll."""

    tag: str
    time: float | None
    position: int
    request: Received
    long_poll: float | None

    @property
    def size(self) -> int:
        return len(self.tag) + len(self.request.uri) + len(self.request.client_address)


class _Stream:
    """The pending requests of one process, in the order in which they were received.

    `dropped`: how many others may be pending. There was no room for them, because they are the newest. `dropped_since`:
    the time of the first of them.
    """

    def __init__(self) -> None:
        self.pending: dict[str, list[_Pending]] = {}
        self.position = 0
        self.highest = -1
        self.new_numbers: collections.deque[int] = collections.deque(maxlen=_NEW_NUMBERS)
        self.dropped = 0
        self.dropped_since: float | None = None
        self.dropped_before_new_numbers = 0
        self._count = 0
        self._size = 0

    def add(self, one: _Pending) -> None:
        """Add a request, or count it if there is no room for it."""
        if self._count < _MOST_PENDING and self._size + one.size <= _MOST_TEXT:
            self.pending.setdefault(one.tag, []).append(one)
            self._count += 1
            self._size += one.size
            return
        if not self.dropped:
            self.dropped_since = one.time
        self.dropped += 1

    def remove(self, one: _Pending) -> None:
        """Remove a request."""
        same = self.pending[one.tag]
        same.remove(one)
        if not same:
            del self.pending[one.tag]
        self._count -= 1
        self._size -= one.size

    def is_of_dropped(self, begin: float | None) -> bool:
        """Whether a request that began at a time may be one of those for which there was no room."""
        if not self.dropped:
            return False
        return begin is None or self.dropped_since is None or begin > self.dropped_since - _PRECISION


class Unfinished:
    """Finds requests without a line `Processed request`. Only requests that are pending are in memory."""

    def __init__(self, after_seconds: float) -> None:
        """`after_seconds`: a request that has been pending for longer is unfinished."""
        self._after_seconds = after_seconds
        self._streams: dict[str, _Stream] = {}
        self._ended = 0
        self._ended_examples: list[tuple[tuple[t.Any, ...], dict[str, t.Any]]] = []
        self.has_received = False
        self.without_tag = 0

    def received(self, stream: str, time: float | None, tag: str, received: Received) -> None:
        """Note that a request was received. `stream`: the log of one process. `time`: in seconds since 1970.

        Without a tag it cannot be found out whether the request was processed, so it is only counted in `without_tag`.
        """
        self.has_received = True
        if not tag:
            self.without_tag += 1
            return
        state = self._streams.setdefault(stream, _Stream())
        state.position += 1
        self._notice_restart(stream, state, time, tag)
        same = state.pending.get(tag)
        if same and _NUMBERED.fullmatch(tag):
            # A process gives each number once, so the process of the earlier request has ended. Only the values of a
            # header (request_id_header) can be the same at the same time.
            self._end(stream, same[0], None)
            state.remove(same[0])
        state.add(_Pending(tag, time, state.position, _shortened(received), _long_poll_seconds(received)))

    def processed(self, stream: str, time: float | None, tag: str, processing_seconds: float | None = None) -> None:
        """Note that the request `tag` is finished. A request that was received before the log began is ignored.

        `processing_seconds`: how long it took, to tell requests apart that have the same tag.
        """
        state = self._streams.get(stream)
        if state is None:
            return
        begin = None if time is None or processing_seconds is None else time - processing_seconds
        one = _nearest(state.pending.get(tag, ()), begin)
        if (one is None or _began_before(one, begin)) and state.is_of_dropped(begin):
            state.dropped -= 1
        elif one is not None:
            state.remove(one)

    def started(self, stream: str, time: float | None) -> None:
        """Note that a new process began to write this log (STARTING SERVER). The pending requests have ended."""
        state = self._streams.pop(stream, None)
        for one in _all(state):
            self._end(stream, one, time)
        self._ended += state.dropped if state else 0

    def returned(self, ends: t.Mapping[str, float | None]) -> dict[str, t.Any]:
        """Return what is pending. `ends`: the time at which the log of each stream ends.

        `requests`: those that were pending for longer than `after_seconds` at the end, the longest first, each with
        `request` (the tag), `received`, `received_ts`, `seconds` (until the end), `method`, `uri`, `client_address`,
        `site_tag`, `source` (the stream) and `long_poll`. URIs and addresses have at most 2,000 characters. A long poll
        also waits for its timeout before it is one of them. Without times in the log, `seconds` is left out and all
        pending requests are returned. There are at most MOST_REQUESTS; `omitted_requests`: how many are left out.
        `waiting`: how many others were pending at the end. `ended_by_restart`: how many were pending when Synapse was
        started again (`count`), and up to 20 of them in the same form (`requests`; `seconds` until the start, if its
        time is known).

        If more than 20,000 requests of a process are pending at the same time, the newest are only counted: they are
        omitted ones, if the first of them was pending for longer than `after_seconds`.
        """
        unfinished: list[tuple[str, _Pending]] = []
        waiting = dropped = 0
        for stream, state in self._streams.items():
            end = ends.get(stream)
            for one in _all(state):
                if self._is_unfinished(_seconds(one.time, end), one.long_poll):
                    unfinished.append((stream, one))
                else:
                    waiting += 1
            if self._is_unfinished(_seconds(state.dropped_since, end), None):
                dropped += state.dropped
            else:
                waiting += state.dropped
        shown = heapq.nsmallest(MOST_REQUESTS, unfinished, key=lambda item: _order(item[0], item[1], ends.get(item[0])))
        return {
            "requests": [_described(stream, one, ends.get(stream)) for stream, one in shown],
            "omitted_requests": len(unfinished) - len(shown) + dropped,
            "waiting": waiting,
            "ended_by_restart": {
                "count": self._ended,
                "requests": [dict(described) for _order_of_it, described in self._ended_examples],
            },
        }

    def _is_unfinished(self, seconds: float | None, long_poll: float | None) -> bool:
        return seconds is None or seconds > self._after_seconds + (long_poll or 0)

    def _notice_restart(self, stream: str, state: _Stream, time: float | None, tag: str) -> None:
        """End the requests of the previous process if the numbers have begun again.

        One low number proves nothing: a request is logged when its body has arrived, which can take minutes.
        """
        match = _NUMBERED.fullmatch(tag)
        if match is None:
            return
        number = int(match[1])
        if state.highest < _OLD_NUMBER or number > _NEW_NUMBER:
            state.highest = max(state.highest, number)
            state.new_numbers.clear()
            return
        if not state.new_numbers:
            state.dropped_before_new_numbers = state.dropped
        state.new_numbers.append(state.position)
        if len(state.new_numbers) < _NEW_NUMBERS:
            return
        first = state.new_numbers[0]
        for one in _all(state):
            if one.position < first:
                state.remove(one)
                self._end(stream, one, None)
        ended = min(state.dropped, state.dropped_before_new_numbers)
        state.dropped -= ended
        self._ended += ended
        state.highest = number
        state.new_numbers.clear()

    def _end(self, stream: str, one: _Pending, time: float | None) -> None:
        self._ended += 1
        # Long polls are pending at every restart, so they are examples only if there are no others.
        order = (one.long_poll is not None, *_order(stream, one, time))
        if len(self._ended_examples) >= _EXAMPLES and order >= self._ended_examples[-1][0]:
            return
        self._ended_examples.append((order, _described(stream, one, time)))
        self._ended_examples.sort(key=lambda example: example[0])
        del self._ended_examples[_EXAMPLES:]


def _all(state: _Stream | None) -> list[_Pending]:
    return [one for same in state.pending.values() for one in same] if state else []


def _shortened(request: Received) -> Received:
    """The same request without the end of long texts. Most have the same method and tag of the listener."""
    return Received(
        request.client_address[:_LONGEST_TEXT],
        sys.intern(request.site_tag),
        sys.intern(request.method[:_LONGEST_TEXT]),
        request.uri[:_LONGEST_TEXT],
    )


def _nearest(same: t.Sequence[_Pending], begin: float | None) -> _Pending | None:
    """The request of those with one tag that began next to a time."""
    if not same:
        return None
    if begin is None:
        return same[-1]
    return min(same, key=lambda one: 0.0 if one.time is None or begin is None else abs(one.time - begin))


def _began_before(one: _Pending, begin: float | None) -> bool:
    """Whether a request surely is not the one with the same tag that began at a time, but an earlier one."""
    if begin is None or one.time is None or _NUMBERED.fullmatch(one.tag):
        return False
    return one.time < begin - _PRECISION


def _described(stream: str, one: _Pending, end: float | None) -> dict[str, t.Any]:
    described: dict[str, t.Any] = {
        "request": one.tag,
        **returned_seconds("received", one.time),
        "method": one.request.method,
        "uri": one.request.uri,
        "client_address": one.request.client_address,
        "site_tag": one.request.site_tag,
        "source": stream,
        "long_poll": one.long_poll is not None,
    }
    seconds = _seconds(one.time, end)
    return described if seconds is None else {**described, "seconds": seconds}


def _seconds(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(end - begin, 3)


def _order(stream: str, one: _Pending, end: float | None) -> tuple[float, str, int]:
    """The longest come first, of equal ones the first."""
    return -(_seconds(one.time, end) or 0.0), stream, one.position


def _long_poll_seconds(request: Received) -> float | None:
    """Return for how many seconds a request waits on purpose, None if it is no long poll."""
    path, _mark, query = request.uri.partition("?")
    if request.method not in ("GET", "POST") or not is_long_poll(path):
        return None
    values = urllib.parse.parse_qs(query).get("timeout", [])
    if not values:
        return _TIMEOUT_OF_EVENTS / 1000 if path.endswith("/events") else None
    milliseconds = int(values[0]) if _TIMEOUT.fullmatch(values[0]) else 0
    return milliseconds / 1000 if milliseconds else None
