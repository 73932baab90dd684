# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Finds processed requests in blocks of a log, and what looks like one but cannot be read.

Usual lines are found by one regular expression for a whole block. In a block where it does not find all of them, each
line is looked at by itself, so that a text that a client has sent never counts as a request.
"""

from __future__ import annotations

import collections
import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import (
    ACCESS_LOGGER,
    CANONICAL,
    AnyLayout,
    Layout,
    record_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Processed, parse_processed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Row
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

MARK = b" Processed request: "
RECEIVED = b" Received request: "
MOST_SAMPLES = 5
ACCESS = "synapse.access."

_TIME = rb"(-?[0-9]{1,12}\.[0-9]{3})sec"
_NUMBER = rb"([0-9]{1,18})"
_USUAL = (
    rb"[^ \n]+ - [^ \n]+ - \{([^} \n]+)\} Processed request: "
    + _TIME
    + rb"/-?[0-9]{1,12}\.[0-9]{3}sec (?:ru=)?\("
    + _TIME
    + rb", "
    + _TIME
    + rb"\) (?:db=)?\("
    + _TIME
    + b"/"
    + _TIME
    + b"/"
    + _NUMBER
    + rb"\) "
    + _NUMBER
    + rb'B ([0-9]{3}!?) "([^ \n]+ [^ ?\n]+)(?:\?[^ \n]*)? [^ \n]+" "[^\n]*" \['
    + _NUMBER
    + rb" dbevts\]\"?\r?(?=\n)"
)
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


class Found(t.NamedTuple):
    """The processed requests in a block, with the hours in which they ended.

    `lines_of` returns the lines of some rows: of those that are equal, the first ones in the order of the block.
    """

    rows: t.Sequence[Row]
    hours: t.Sequence[float | None]
    lines_of: t.Callable[[t.Sequence[Row]], t.Sequence[bytes]]


class Scanner:
    """Finds the requests in blocks of one layout. `layouts`: in which formats a line can be that it does not fit."""

    def __init__(self, layout: Layout, layouts: t.Sequence[AnyLayout], window: Window) -> None:
        self._layout = layout
        self._layouts = (layout, *(other for other in layouts if other is not layout))
        self._window = window
        self._usual = layout.pattern(_USUAL, logger=ACCESS_LOGGER, capture=("time",), ambiguous=True)
        self._hours: dict[bytes, float | None] = {}

    def find(self, block: bytes, path: str, unread: Unread) -> Found:
        """Return the requests of a block that ended within the window, and note in `unread` what cannot be read."""
        rows = t.cast("list[Row]", self._usual.findall(block))
        if block.count(MARK) != len(rows) or self._is_ambiguous(block):
            return self._find_in_lines(block, path, unread)
        if self._window.limited:
            moments = [self._layout.moment(row[0]) for row in rows]
            if None in moments:
                return self._find_in_lines(block, path, unread)
            rows = [row for row, moment in zip(rows, moments) if self._is_wanted(moment)]
        return Found(rows, self._hours_of([row[0] for row in rows]), lambda some: self._lines_of(some, block))

    def _find_in_lines(self, block: bytes, path: str, unread: Unread) -> Found:
        rows: list[Row] = []
        hours: list[float | None] = []
        lines: dict[Row, list[bytes]] = {}
        for _start, line in lines_with(MARK, block):
            match = self._usual.match(b"\n" + line + b"\n")
            if match is not None and line.count(MARK) == 1 and not self._is_ambiguous(line):
                row, time = t.cast("Row", match.groups()), self._layout.moment(match[1])
            else:
                record = record_of(line, self._layouts)
                if record is None:
                    if not is_continuation(line, self._layouts):
                        unread.note(path, shown(line, self._layout), "format")
                    continue
                if record.logger and not record.logger.startswith(ACCESS):
                    # Another logger quotes what a client has sent.
                    continue
                processed = parse_processed(record.message)
                if processed is None:
                    if record.time is None or self._is_wanted(record.time):
                        unread.note(path, shown(line, self._layout), "message")
                    continue
                row, time = _row_of(processed, record.time), record.time
            if time is None and self._window.limited:
                unread.note(path, shown(line, self._layout), "time")
            elif self._is_wanted(time):
                rows.append(row)
                hours.append(_hour_of(time))
                lines.setdefault(row, []).append(line)
        return Found(rows, hours, lambda some: _taken_from(lines, some))

    def _is_ambiguous(self, block: bytes) -> bool:
        """Whether a tag that a client has chosen may be in a line with one mark, so that its layout has to read it."""
        return self._layout.free_tags and any(MARK in line for _start, line in lines_with(RECEIVED, block))

    def _is_wanted(self, time: float | None) -> bool:
        return not self._window.limited or (time is not None and self._window.contains(time))

    def _hours_of(self, texts: t.Sequence[bytes]) -> list[float | None]:
        # A text with an offset from UTC is longer, and the same minute may come again with another one.
        if not texts or not _MINUTE.match(texts[0]) or max(map(len, texts)) > _LOCAL_TIME:
            return [_hour_of(self._layout.moment(text)) for text in texts]
        known = self._hours
        # All texts of one minute begin alike.
        minutes = [text[:16] for text in texts]
        for minute, text in dict(zip(minutes, texts)).items():
            if minute not in known:
                known[minute] = _hour_of(self._layout.moment(text))
        return [known[minute] for minute in minutes]

    def _lines_of(self, rows: t.Sequence[Row], block: bytes) -> list[bytes]:
        """The lines of rows that `find` has found in a block."""
        wanted: dict[bytes, collections.Counter[tuple[bytes, ...]]] = {}
        for row in rows:
            needle = b"{" + row[1] + b"}" + MARK + row[2] + b"sec/"
            wanted.setdefault(needle, collections.Counter())[tuple(row)] += 1
        found: dict[Row, list[bytes]] = {row: [] for row in rows}
        for needle, missing in wanted.items():
            for _start, line in lines_with(needle, block):
                match = self._usual.match(b"\n" + line + b"\n")
                row = t.cast("Row", () if match is None else match.groups())
                if missing[row] > 0:
                    found[row].append(line)
                    missing[row] -= 1
                    if not any(missing.values()):
                        break
        return _taken_from(found, rows)


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
    return names_loggers and ACCESS.encode() not in line.partition(MARK)[0]


def shown(line: bytes, layout: Layout) -> bytes:
    """Return a line of a block with this layout as it can be shown."""
    return line.replace(b"\x1f", b" - ") if layout is CANONICAL else line


def _hour_of(time: float | None) -> float | None:
    return None if time is None else math.floor(time / 3600) * 3600.0


def _taken_from(lines: t.Mapping[Row, t.Sequence[bytes]], rows: t.Sequence[Row]) -> list[bytes]:
    """The next of the `lines` for each row."""
    following = {row: iter(lines[row]) for row in rows}
    return [next(following[row], b"") for row in rows]


def _row_of(processed: Processed, time: float | None) -> Row:
    requester = processed.requester or "None"
    if processed.authenticated_entity:
        requester = f"{processed.authenticated_entity}|{requester}"
    return Row(
        time=b"" if time is None else b"%.6f" % time,
        requester=requester.encode(),
        processing=b"%.3f" % processed.processing_seconds,
        user_cpu=b"%.3f" % processed.user_cpu_seconds,
        system_cpu=b"%.3f" % processed.system_cpu_seconds,
        database_wait=b"%.3f" % processed.database_wait_seconds,
        database=b"%.3f" % processed.database_seconds,
        transactions=b"%d" % processed.database_transactions,
        size=b"%d" % processed.response_bytes,
        status=b"%03d%s" % (processed.status, b"!" if processed.client_disconnected else b""),
        what=f"{processed.method} {processed.uri.partition('?')[0]}".encode(),
        events=b"%d" % processed.database_events,
    )
