# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Finds processed requests in blocks of a log, and what looks like one but cannot be read.

Usual lines are found by one regular expression for a whole block. In a block where it does not find all of them, each
line is looked at by itself, so that a text that a client has sent never counts as a request.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import (
    CANONICAL,
    AnyLayout,
    Layout,
    record_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.numbers import NotANumber, NumberTexts, packed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    ACCESS_LOGGER,
    Processed,
    parse_processed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Row, Rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

MARK = b" Processed request: "
RECEIVED = b" Received request: "
MOST_SAMPLES = 5

# The message, as far as it is not read in `numbers`. A line feed is excluded only where that costs nothing, see
# `_usual_rows`.
_USUAL = (
    rb"[^ ]+ - [^ ]+ - \{([^} \n]+)\} Processed request: ([^s]+)sec/-?[0-9]{1,12}\.[0-9]{3}sec (?:ru=)?\(([^)]+)sec\)"
    rb' (?:db=)?\(([^)]+)\) ([^B]+)B ([0-9]{3}!?) "([^ ?]+ [^ ]+) [^ ]+" "[^\n]*" \[([^ ]+)'
)
_ENDS = frozenset(b" dbevts]" + quote + feed for quote in (b"", b'"') for feed in (b"", b"\r"))
_WITHOUT_LINE_FEED = {rb"[^ \n]": rb"[^ ]", rb"[^\x1f\n]": rb"[^\x1f]"}
# A longer line is cut in a sample, in characters.
_SAMPLE = 500
_UNUSUAL = {
    "format": "It is not in a format that was recognised in this file.",
    "message": "It is a record of synapse.access, but not in the form of a processed request.",
    "time": "Its time cannot be read, so it is not known whether it belongs to the chosen time.",
}
_LOCAL_TIME = len("2026-01-31 12:00:00,000")
_MINUTE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:")


class Unread:
    """How many lines look like a processed request but cannot be read, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.samples: list[dict[str, str]] = []

    def note(self, path: str, line: bytes, why: str) -> None:
        """Count one more line of the file `path`. `why`: a key of the reasons above."""
        self.count += 1
        if len(self.samples) < MOST_SAMPLES:
            text = readable(line[:_SAMPLE])
            self.samples.append({"path": path, "line": text, "reason": _UNUSUAL[why]})

    def add(self, other: Unread) -> None:
        """Add the lines of another part of the log."""
        self.count += other.count
        self.samples = [*self.samples, *other.samples][:MOST_SAMPLES]


class Scanner:
    """Finds the requests in blocks of one layout. `layouts`: in which formats a line can be that it does not fit."""

    def __init__(self, layout: Layout, layouts: t.Sequence[AnyLayout], window: Window) -> None:
        self._layout = layout
        self._layouts = (layout, *(other for other in layouts if other is not layout))
        self._window = window
        expression = layout.pattern(_USUAL, ("time",)).pattern
        for usual, faster in _WITHOUT_LINE_FEED.items():
            expression = expression.replace(usual, faster)
        self._usual = re.compile(expression)
        self._hours: dict[bytes, float | None] = {}

    def find(self, block: bytes, path: str, unread: Unread) -> Rows:
        """Return the requests of a block that ended within the window, and note in `unread` what cannot be read."""
        lines = _marked_lines(block)
        rows = self._usual_rows(lines)
        if rows is not None and self._window.limited:
            moments = list(map(self._layout.moment, rows.time))
            wanted = [place for place, moment in enumerate(moments) if self._window.admits(moment)]
            rows = None if None in moments else rows.chosen(wanted)
        return self._read_each(lines, path, unread) if rows is None else rows

    def _usual_rows(self, lines: t.Sequence[bytes]) -> Rows | None:
        """The requests in lines of which each begins with a line feed; None if one of them is not usual."""
        if not lines:
            return Rows([], [], [], [], [], [], [], [])
        # Clients may have chosen the tag: then the layout has to read a line with more than one mark.
        if self._layout.free_tags and any(RECEIVED in line or line.count(MARK) > 1 for line in lines):
            return None
        pieces = self._usual.split(b"".join(lines))
        step = self._usual.groups + 1
        # There are no other line feeds, and each match begins with one of them: so each is one line, without its end.
        if len(pieces) != len(lines) * step + 1 or pieces[0] or not _ENDS.issuperset(pieces[step::step]):
            return None
        time, requester, processing, cpu, database, size, status, what, events = (
            pieces[place::step] for place in range(1, step)
        )
        try:
            numbers = packed(NumberTexts(processing, cpu, database, size, events))
        except NotANumber:
            return None
        paths = [text.partition(b"?")[0] for text in what]
        return Rows(time, requester, processing, status, paths, numbers, self._hours_of(time), lines)

    def _read_each(self, lines: t.Sequence[bytes], path: str, unread: Unread) -> Rows:
        """The requests in lines of which not all are usual."""
        found: list[tuple[t.Any, ...]] = []
        for line in lines:
            usual = self._usual_rows([line]) if line.count(MARK) == 1 else None
            if usual is not None:
                row: tuple[t.Any, ...] = (*usual.row(0), usual.hours[0], line)
                time = self._layout.moment(usual.time[0])
            else:
                record = record_of(line[1:], self._layouts)
                if record is None:
                    if not is_continuation(line[1:], self._layouts):
                        unread.note(path, shown(line[1:], self._layout), "format")
                    continue
                if record.logger and not record.logger.startswith(ACCESS_LOGGER):
                    # Another logger quotes what a client has sent.
                    continue
                processed = parse_processed(record.message)
                if processed is None:
                    if record.time is None or self._window.admits(record.time):
                        unread.note(path, shown(line[1:], self._layout), "message")
                    continue
                time = record.time
                row = (*_row_of(processed, time), _hour_of(time), line)
            if time is None and self._window.limited:
                unread.note(path, shown(line[1:], self._layout), "time")
            elif self._window.admits(time):
                found.append(row)
        return Rows(*map(list, zip(*found))) if found else Rows([], [], [], [], [], [], [], [])

    def _hours_of(self, texts: t.Sequence[bytes]) -> list[float | None]:
        # A text with an offset from UTC is longer, and the same minute may come again with another one.
        if not texts or not _MINUTE.match(texts[0]) or max(map(len, texts)) > _LOCAL_TIME:
            return [_hour_of(self._layout.moment(text)) for text in texts]
        known = self._hours
        # All texts of one minute begin alike.
        minutes = [text[:16] for text in texts]
        different = set(minutes)
        if not different.issubset(known):
            for minute, text in zip(minutes, texts):
                if minute not in known:
                    known[minute] = _hour_of(self._layout.moment(text))
        hours = {known[minute] for minute in different}
        return list(hours) * len(texts) if len(hours) == 1 else [known[minute] for minute in minutes]


def _marked_lines(block: bytes) -> list[bytes]:
    """Return each line of a block that contains MARK, with the line feed before it instead of its own."""
    lines: list[bytes] = []
    find, rfind = block.find, block.rfind
    end = 0
    while True:
        place = find(MARK, end)
        if place < 0:
            return lines
        start = rfind(b"\n", 0, place)
        end = find(b"\n", place)
        lines.append(block[start:end])


def lines_with(needle: bytes, block: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Return each line of a block that contains `needle`, without its line feed, and where it begins."""
    end = 0
    while True:
        place = block.find(needle, end)
        if place < 0:
            return
        start = block.rfind(b"\n", 0, place) + 1
        end = block.find(b"\n", place)
        end = len(block) if end < 0 else end
        yield start, block[start:end]


def is_continuation(line: bytes, layouts: t.Sequence[AnyLayout]) -> bool:
    """Whether a line that none of the `layouts` of its log reads continues a record of another logger.

    Clients can put the words of an access record there, for example in the last line of a traceback. An access record
    names its logger before them, where each line of the log does that.
    """
    own = [layout for layout in layouts if layout is not CANONICAL]
    names_loggers = bool(own) and all(layout.has_logger and not layout.is_json for layout in own)
    return names_loggers and ACCESS_LOGGER.encode() not in line.partition(MARK)[0]


def shown(line: bytes, layout: Layout) -> bytes:
    """Return a line of a block with this layout as it can be shown."""
    return line.replace(b"\x1f", b" - ") if layout is CANONICAL else line


def _hour_of(time: float | None) -> float | None:
    return None if time is None else math.floor(time / 3600) * 3600.0


def _row_of(processed: Processed, time: float | None) -> Row:
    requester = processed.requester or "None"
    if processed.authenticated_entity:
        requester = f"{processed.authenticated_entity}|{requester}"
    texts = NumberTexts(
        [b"%.3f" % processed.processing_seconds],
        [b"%.3fsec, %.3f" % (processed.user_cpu_seconds, processed.system_cpu_seconds)],
        [
            b"%.3fsec/%.3fsec/%d"
            % (processed.database_wait_seconds, processed.database_seconds, processed.database_transactions)
        ],
        [b"%d" % processed.response_bytes],
        [b"%d" % processed.database_events],
    )
    return Row(
        time=b"" if time is None else b"%.6f" % time,
        requester=requester.encode(),
        processing=texts.processing[0],
        status=b"%03d%s" % (processed.status, b"!" if processed.client_disconnected else b""),
        what=f"{processed.method} {processed.uri.partition('?')[0]}".encode(),
        numbers=packed(texts)[0],
    )
