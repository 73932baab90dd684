# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""From the records with one tag to the requests that had this tag: each process numbers its requests from 0."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    Processed,
    Received,
    returned_fields,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import LINES, Origin, Started, Tagged
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

# A record may have a time that is this much earlier than the calculated beginning of its request.
_ROUNDING = 0.02
_WHOLE_SECONDS = 1.0
# How many requests with the same tag, which were received and not processed, are compared with a processed one.
_MOST_OPEN = 100


@dataclasses.dataclass
class Occurrence:
    """One request that had the tag. Times are in seconds since 1970, None if the records have none.

    `started`: when its process started, None if that was not seen. `lines`: all lines of the log that belong to it;
    `omitted_lines`: how many more there are. `processed`: None if it was not finished, as far as the log tells.
    """

    origin: Origin
    started: float | None = None
    received: Received | None = None
    processed: Processed | None = None
    first: float | None = None
    last: float | None = None
    lines: list[bytes] = dataclasses.field(default_factory=list)
    omitted_lines: int = 0
    files: list[str] = dataclasses.field(default_factory=list)

    @property
    def process(self) -> dict[str, t.Any]:
        """What tells its process from others. A value that is not known is left out."""
        access = self.processed or self.received
        result: dict[str, t.Any] = {"source": self.origin.source}
        if self.origin.prefix:
            result["prefix"] = self.origin.prefix
        if self.origin.pid is not None:
            result["pid"] = self.origin.pid
        if access is not None:
            result["site_tag"] = access.site_tag
        return {**result, **returned_seconds("started", self.started)}

    def add(self, record: Tagged) -> None:
        """Add the next record of this request."""
        if isinstance(record.access, Processed):
            self.processed = record.access
        elif isinstance(record.access, Received):
            self.received = record.access
        if record.time is not None:
            self.first = record.time if self.first is None else min(self.first, record.time)
            self.last = record.time if self.last is None else max(self.last, record.time)
        # The records of the access logger are kept in any case: at most two of them belong to a request.
        room = max(LINES - len(self.lines), 0 if record.access is None else 1)
        self.lines += record.lines[:room]
        self.omitted_lines += record.omitted + len(record.lines[room:])
        if record.file and record.file not in self.files:
            self.files.append(record.file)


def returned(occurrence: Occurrence) -> dict[str, t.Any]:
    """Return the values of an occurrence for users, of which none is null."""
    processed = occurrence.processed
    return {
        "process": occurrence.process,
        **returned_seconds("first", occurrence.first),
        **returned_seconds("last", occurrence.last),
        "received": occurrence.received is not None,
        "finished": processed is not None,
        **({} if processed is None else {"processed": returned_fields(processed)}),
        "lines": [readable(line) for line in occurrence.lines],
        "omitted_lines": occurrence.omitted_lines,
        "files": list(occurrence.files),
    }


def occurrences(records: t.Iterable[Tagged | Started]) -> list[Occurrence]:
    """Return the requests, in order of their beginning, to which records with the same tag belong.

    `records`: all of them, those of one source in the order in which they were written. Only records of one origin are
    put together, and only without a start of Synapse between them. Within these, a request begins with its `Received`
    record, or else at the time of its `Processed` record minus its duration. A record belongs to the request that was
    running when it was written; after the end of all, to the one that began last: it is one of its background tasks.
    """
    segments: dict[Origin, list[Tagged]] = {}
    started: dict[Origin, float | None] = {}
    result: list[Occurrence] = []
    for record in records:
        if isinstance(record, Started):
            result += _of_segment(segments.pop(record.origin, []), started.get(record.origin))
            started[record.origin] = record.time
        else:
            segments.setdefault(record.origin, []).append(record)
    for origin, segment in segments.items():
        result += _of_segment(segment, started.get(origin))
    # Without a time at the end, in the order of the files.
    return sorted(result, key=lambda each: (each.first is None, each.first or 0.0))


class _Span(t.NamedTuple):
    """A request within a segment: the positions of its first record and of its `Processed` record (None: not there)."""

    begin: int
    end: int | None


def _of_segment(records: list[Tagged], started: float | None) -> list[Occurrence]:
    """The requests of one process, between two starts."""
    spans = _spans(records)
    found: dict[_Span | None, Occurrence] = {}
    running: list[_Span] = []
    latest: _Span | None = None
    pending = iter(spans)
    following = next(pending, None)
    ends = {span.end: span for span in spans if span.end is not None}
    # Another one may begin at a record that is not `Received`, but then not at one that is.
    begins = {span.begin: span for span in spans}
    for position, record in enumerate(records):
        while following is not None and following.begin <= position:
            # One that was never processed is over when another one begins.
            if running and running[-1].end is None:
                running.pop()
            running.append(following)
            latest, following = following, next(pending, None)
        while running and running[-1].end is not None and running[-1].end < position:
            running.pop()
        span: _Span | None
        if isinstance(record.access, Processed):
            span = ends[position]
        elif isinstance(record.access, Received):
            span = begins[position]
        else:
            span = running[-1] if running else latest
        if span not in found:
            found[span] = Occurrence(record.origin, started)
        found[span].add(record)
    return list(found.values())


def _spans(records: list[Tagged]) -> list[_Span]:
    """The requests whose `Received` or `Processed` records are there, in the order of their beginning."""
    rounding = _WHOLE_SECONDS if all(each.time is None or each.time.is_integer() for each in records) else _ROUNDING
    spans: list[_Span] = []
    open_ones: list[int] = []
    after = 0
    for position, record in enumerate(records):
        if isinstance(record.access, Received):
            open_ones.append(position)
        elif isinstance(record.access, Processed):
            begin = _received(records, open_ones, record, record.access)
            if begin is None:
                begin = _calculated(records, after, position, record.access, rounding)
            else:
                open_ones.remove(begin)
            spans.append(_Span(begin, position))
            after = position + 1
    spans += [_Span(position, None) for position in open_ones]
    return sorted(spans, key=lambda span: span.begin)


def _received(records: list[Tagged], open_ones: list[int], record: Tagged, processed: Processed) -> int | None:
    """The position of the `Received` record of a processed request, None if there is none."""
    wanted = (processed.site_tag, processed.method, processed.uri)
    fitting = []
    for position in open_ones[-_MOST_OPEN:]:
        access = records[position].access
        if isinstance(access, Received) and (access.site_tag, access.method, access.uri) == wanted:
            fitting.append(position)
    if not fitting:
        return None
    begin = _begin(record, processed)
    if begin is None:
        return fitting[-1]
    # An earlier one is that of a process which ended before the request did.
    return min(reversed(fitting), key=lambda position: abs((records[position].time or 0.0) - begin))


def _calculated(records: list[Tagged], after: int, end: int, processed: Processed, rounding: float) -> int:
    """The position of the first record that was written while the request ran. What is before `after` is not its."""
    begin = _begin(records[end], processed)
    for position in range(after, end):
        time = records[position].time
        if records[position].access is not None:
            continue
        if begin is None or time is None or time >= begin - rounding:
            return position
    return end


def _begin(record: Tagged, processed: Processed) -> float | None:
    """When a request began, from its `Processed` record, which is written after the response has been sent."""
    if record.time is None:
        return None
    # It is negative if the client went away before the response was ready.
    return record.time - processed.processing_seconds - max(processed.response_seconds, 0.0)
