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
import re
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

NO_RECEIVED_LINES = "The log has no lines about received requests. Synapse writes them only at the level DEBUG."
# What to add to the log configuration. A reload (SIGHUP) applies it.
LOG_RECEIVED_REQUESTS = "loggers:\n  synapse.access:\n    level: DEBUG\n"

_EXAMPLES = 20
_NUMBERED = re.compile(r"[A-Z]{1,20}-([0-9]{1,15})")
# Synapse was started again if as many requests in a row have these numbers, although there were higher ones before.
_NEW_NUMBERS, _NEW_NUMBER, _OLD_NUMBER = 10, 50, 200
_WAITS = re.compile(r"/_matrix/client/(?:[^?]*/sync|(?:api/v1|r0|v1|v3|unstable)/events)")
_TIMEOUT = re.compile(r"[0-9]{1,12}")
# What /events waits for without a timeout (rest/client/events.py), in milliseconds.
_TIMEOUT_OF_EVENTS = 30_000


class _Pending(t.NamedTuple):
    tag: str
    time: float | None
    position: int
    request: Received


class _Stream:
    """The pending requests of one process, in the order in which they were received."""

    def __init__(self) -> None:
        self.pending: dict[str, list[_Pending]] = {}
        self.position = 0
        self.highest = -1
        self.new_numbers: collections.deque[int] = collections.deque(maxlen=_NEW_NUMBERS)


class Unfinished:
    """Finds requests without a line `Processed request`. Only requests that are pending are in memory."""

    def __init__(self, after_seconds: float) -> None:
        """`after_seconds`: a request that has been pending for longer is unfinished."""
        self._after_seconds = after_seconds
        self._streams: dict[str, _Stream] = {}
        self._ended = 0
        self._ended_examples: list[dict[str, t.Any]] = []
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
        same = state.pending.setdefault(tag, [])
        if same and _NUMBERED.fullmatch(tag):
            # A process gives each number once, so the process of the earlier request has ended. Only the values of a
            # header (request_id_header) can be the same at the same time.
            self._end(stream, same.pop(0), None)
        same.append(_Pending(tag, time, state.position, received))

    def processed(self, stream: str, time: float | None, tag: str, processing_seconds: float | None = None) -> None:
        """Note that the request `tag` is finished. A request that was received before the log began is ignored.

        `processing_seconds`: how long it took, to tell requests apart that have the same tag.
        """
        state = self._streams.get(stream)
        same = state.pending.get(tag) if state else None
        if state is None or not same:
            return
        if len(same) == 1 or time is None or processing_seconds is None:
            same.pop()
        else:
            begin = time - processing_seconds
            same.remove(min(same, key=lambda one: abs((begin if one.time is None else one.time) - begin)))
        if not same:
            del state.pending[tag]

    def started(self, stream: str, time: float | None) -> None:
        """Note that a new process began to write this log (STARTING SERVER). The pending requests have ended."""
        state = self._streams.pop(stream, None)
        for one in _all(state):
            self._end(stream, one, time)

    def returned(self, ends: t.Mapping[str, float | None]) -> dict[str, t.Any]:
        """Return `requests`, `waiting` and `ended_by_restart`. `ends`: the time at which the log of each stream ends.

        `requests`: those that were pending for longer than `after_seconds` at the end, the longest first, each with
        `request` (the tag), `received`, `received_ts`, `seconds` (until the end), `method`, `uri`, `client_address`,
        `site_tag`, `source` (the stream) and `long_poll`. A long poll also waits for its timeout before it is one of
        them. Without times in the log, `seconds` is left out and all pending requests are returned. `waiting`: how many
        others were pending at the end. `ended_by_restart`: how many were pending when Synapse was started again
        (`count`), and up to 20 of them in the same form (`requests`; `seconds` until the start, if its time is known).
        """
        requests: list[dict[str, t.Any]] = []
        waiting = 0
        for stream, state in self._streams.items():
            for one in _all(state):
                described = _described(stream, one, ends.get(stream))
                seconds = described.get("seconds")
                if seconds is None or seconds > self._after_seconds + (_long_poll_seconds(one.request) or 0):
                    requests.append(described)
                else:
                    waiting += 1
        return {
            "requests": sorted(requests, key=_order),
            "waiting": waiting,
            "ended_by_restart": {"count": self._ended, "requests": [dict(one) for one in self._ended_examples]},
        }

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
        state.new_numbers.append(state.position)
        if len(state.new_numbers) < _NEW_NUMBERS:
            return
        first = state.new_numbers[0]
        for one in _all(state):
            if one.position < first:
                same = state.pending[one.tag]
                same.remove(one)
                if not same:
                    del state.pending[one.tag]
                self._end(stream, one, None)
        state.highest = number
        state.new_numbers.clear()

    def _end(self, stream: str, one: _Pending, time: float | None) -> None:
        self._ended += 1
        # Long polls are pending at every restart, so they are examples only if there are no others.
        self._ended_examples.append(_described(stream, one, time))
        self._ended_examples.sort(key=lambda described: (described["long_poll"], *_order(described)))
        del self._ended_examples[_EXAMPLES:]


def _all(state: _Stream | None) -> list[_Pending]:
    return [one for same in state.pending.values() for one in same] if state else []


def _described(stream: str, one: _Pending, end: float | None) -> dict[str, t.Any]:
    described: dict[str, t.Any] = {
        "request": one.tag,
        **returned_time("received", None if one.time is None else round(one.time * 1000)),
        "method": one.request.method,
        "uri": one.request.uri,
        "client_address": one.request.client_address,
        "site_tag": one.request.site_tag,
        "source": stream,
        "long_poll": _long_poll_seconds(one.request) is not None,
    }
    if one.time is not None and end is not None:
        described["seconds"] = round(end - one.time, 3)
    return described


def _order(described: dict[str, t.Any]) -> tuple[float, str, str]:
    return -described.get("seconds", 0.0), described["source"], described["request"]


def _long_poll_seconds(request: Received) -> float | None:
    """Return for how many seconds a request waits on purpose, None if it is no long poll."""
    path, _mark, query = request.uri.partition("?")
    if request.method not in ("GET", "POST") or not _WAITS.fullmatch(path):
        return None
    values = urllib.parse.parse_qs(query).get("timeout", [])
    if not values:
        return _TIMEOUT_OF_EVENTS / 1000 if path.endswith("/events") else None
    milliseconds = int(values[0]) if _TIMEOUT.fullmatch(values[0]) else 0
    return milliseconds / 1000 if milliseconds else None
