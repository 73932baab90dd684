# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which parts of a log file can contain records of a window of time, found without reading all of it."""

from __future__ import annotations

import math
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

# Records may be written this many seconds later than others that were made after them: threads, and the buffer that
# Synapse puts before its file, which is written every five seconds.
_DISORDER = 10.0
_PLACES = 1024
# A part that is not longer than this is read rather than divided further.
_SHORT = 256 << 10
_FIRST_LOOK, _LONGEST_LOOK = 4 << 10, 1 << 20
# From this share of places on that are not in order, the file is read completely.
_MOST_BREAKS = 0.1


class _Place(t.NamedTuple):
    """The beginning of a record in the file, and its time."""

    offset: int
    time: float


def regions(file: LogFile, window: Window) -> list[tuple[int, int]]:
    """Return the parts [start, end) of the (decompressed) file that can contain records of the window, in order.

    The times of at most 1024 records in equal distances are read. Between two of them that are in order, allowing for
    ten seconds, all times are taken to lie between theirs; where they are not (several files put together, a clock that
    was set back), what is between them is always returned. So what is returned has to be filtered by time.
    Raises InvalidInput if records of the file have no time, unless the window has no limits.
    """
    if not window.limited:
        return [(0, file.end)]
    if file.first is None or not all(layout.has_time for layout in file.layouts):
        raise InvalidInput(
            f"since and until cannot be used with {file.path}, because the records in it have no time: leave them out,"
            " or add %(asctime)s to the format in Synapse's log configuration."
        )
    if file.compressed:
        reachable = window.overlaps(file.first - _DISORDER, math.inf if file.not_after is None else file.not_after)
        return [(0, file.end)] if reachable else []
    if file.last is None:
        return [(0, file.end)]
    with file.opened() as descriptor:
        found = _within(file, descriptor, window, _Place(0, file.first), _Place(file.size, file.last))
    return _joined(found)


def _within(file: LogFile, descriptor: int, window: Window, start: _Place, end: _Place) -> list[tuple[int, int]]:
    places = [start, *_places(file, descriptor, start.offset, end.offset), end]
    pairs = list(zip(places, places[1:]))
    breaks = sum(after.time < before.time - _DISORDER for before, after in pairs)
    if breaks > 2 + _MOST_BREAKS * len(pairs):
        return [(start.offset, end.offset)]
    result = []
    for before, after in pairs:
        in_order = after.time >= before.time - _DISORDER
        if in_order and not window.overlaps(before.time - _DISORDER, after.time + _DISORDER):
            continue
        if in_order and len(pairs) > 1 and after.offset - before.offset > 4 * _SHORT:
            result += _within(file, descriptor, window, before, after)
        else:
            result.append((before.offset, after.offset))
    return result


def _places(file: LogFile, descriptor: int, start: int, end: int) -> list[_Place]:
    """The first records behind equally distant offsets in (start, end)."""
    count = min(_PLACES, (end - start) // _SHORT + 1)
    result: list[_Place] = []
    for number in range(1, count):
        lower = start + (end - start) * number // count
        upper = start + (end - start) * (number + 1) // count
        # A record may begin far behind the offset, for example after a long traceback.
        if not result or result[-1].offset < lower:
            place = _first_record(file, descriptor, lower, upper)
            if place is not None:
                result.append(place)
    return result


def _first_record(file: LogFile, descriptor: int, lower: int, upper: int) -> _Place | None:
    """The first record with a time that begins in [lower, upper)."""
    look, position = _FIRST_LOOK, lower
    while position < upper:
        # One byte more before it tells whether a line begins at `lower`.
        text = os.pread(descriptor, look, position - 1)
        begin = text.find(b"\n") + 1
        stop = text.rfind(b"\n")
        if begin == 0 or stop < begin:
            # The file ends here, or this line is too long to be read for its time.
            if len(text) < look or (begin and look > _LONGEST_LOOK):
                return None
            position += begin - 1 if begin else len(text)
            look = look * 4 if begin else min(look * 4, _LONGEST_LOOK)
            continue
        offset = position - 1 + begin
        for line in text[begin:stop].split(b"\n"):
            if offset >= upper:
                return None
            record = record_of(line, file.layouts)
            if record is not None and record.time is not None:
                return _Place(offset, record.time)
            offset += len(line) + 1
        position = offset
        look = min(look * 4, _LONGEST_LOOK)
    return None


def _joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, end in found:
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result
