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
    """The processed requests in a block, and a function that returns the line of one of them."""

    rows: t.Sequence[Row]
    hours: t.Sequence[float | None]
    line_of: t.Callable[[Row], bytes]


class Scanner:
    """Finds the requests in blocks of one layout. `layouts`: in which formats a line can be that it does not fit."""

    def __init__(self, layout: Layout, layouts: t.Sequence[AnyLayout], window: Window) -> None:
        self._layout = layout
        self._layouts = (layout, *(other for other in layouts if other is not layout))
        self._window = window
        self._usual = layout.pattern(_USUAL, logger=ACCESS_LOGGER, capture=("time",))
        self._hours: dict[bytes, float | None] = {}

    def find(self, block: bytes, path: str, unread: Unread) -> Found:
        """Return the requests of a block that ended within the window, and note in `unread` what cannot be read."""
        rows = t.cast("list[Row]", self._usual.findall(block))
        if block.count(MARK) != len(rows):
            return self._find_in_lines(block, path, unread)
        if self._window.limited:
            moments = [self._layout.moment(row[0]) for row in rows]
            if None in moments:
                return self._find_in_lines(block, path, unread)
            rows = [row for row, moment in zip(rows, moments) if self._is_wanted(moment)]
        return Found(rows, self._hours_of([row[0] for row in rows]), lambda row: self._line_of(row, block))

    def _find_in_lines(self, block: bytes, path: str, unread: Unread) -> Found:
        rows: list[Row] = []
        hours: list[float | None] = []
        lines: dict[Row, bytes] = {}
        for _start, line in lines_with(MARK, block):
            match = self._usual.match(b"\n" + line + b"\n")
            if match is not None and line.count(MARK) == 1:
                row, time = t.cast("Row", match.groups()), self._layout.moment(match[1])
            else:
                record = record_of(line, self._layouts)
                if record is None:
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
                row, time = _row_of(processed), record.time
            if time is None and self._window.limited:
                unread.note(path, shown(line, self._layout), "time")
            elif self._is_wanted(time):
                rows.append(row)
                hours.append(_hour_of(time))
                lines[row] = line
        return Found(rows, hours, lines.__getitem__)

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

    def _line_of(self, row: Row, block: bytes) -> bytes:
        """The line of a row that `find` has found in a block."""
        needle = b"{" + row[1] + b"}" + MARK + row[2] + b"sec/"
        for _start, line in lines_with(needle, block):
            match = self._usual.match(b"\n" + line + b"\n")
            if match is not None and match.groups() == tuple(row):
                return line
        return b""


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


def shown(line: bytes, layout: Layout) -> bytes:
    """Return a line of a block with this layout as it can be shown."""
    return line.replace(b"\x1f", b" - ") if layout is CANONICAL else line


def _hour_of(time: float | None) -> float | None:
    return None if time is None else math.floor(time / 3600) * 3600.0


def _row_of(processed: Processed) -> Row:
    requester = processed.requester or "None"
    if processed.authenticated_entity:
        requester = f"{processed.authenticated_entity}|{requester}"
    return Row(
        time=b"",
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
