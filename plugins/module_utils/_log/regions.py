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
# By less than this, the clock of the file system and local times of another time zone differ.
_DAY = 86_400
# A file that is not longer than this is read completely, which takes a tenth of a second.
_SHORT = 32 << 20
# The distance of the places at which a longer file is looked at, and the most of them.
_DISTANCE = 256 << 10
_PLACES = 8192
_FIRST_LOOK, _LONGEST_LOOK = 4 << 10, 1 << 20
# From this share of places on that are not in order, the file is read completely.
_MOST_BREAKS = 0.1


class _Place(t.NamedTuple):
    """The beginning of a record in the file, and its time."""

    offset: int
    time: float


def regions(file: LogFile, window: Window) -> list[tuple[int, int]]:
    """Return the parts [start, end) of the (decompressed) file that can contain records of the window, in order.

    A file of up to 32 MiB is one part, unless it is older than the window by a day: by its first record, by its last
    record and as a file. A compressed file is one part, unless it begins after the window or a later file shows that it
    is older. Of a longer file, one record in every 256 kB is looked at, or 8192 records of more than 2 GiB. Between two
    of them that are in order, allowing for ten seconds, all times are taken to lie between theirs; where they are not
    (several files put together, a clock that was set back), what is between them is always returned, and so is what is
    next to a part with times of the window. So what is returned has to be filtered by time.

    What remains: in a file of more than 32 MiB, records that are more than ten seconds out of order are missed if they
    lie between two records that are looked at, whose times and those of their neighbours are outside the window.

    Raises InvalidInput if records of the file have no time, unless the window has no limits.
    """
    if not window.limited:
        return [(0, file.end)]
    if file.first is None or not all(layout.has_time for layout in file.layouts):
        raise InvalidInput(
            f"since and until cannot be used with {file.path}, because the records in it have no time that is"
            " recognised: if they have one, set log_format and log_datefmt as in Synapse's log configuration, else"
            " leave since and until out, and add %(asctime)s to the format there."
        )
    if file.compressed:
        reachable = window.overlaps(file.first - _DISORDER, math.inf if file.not_after is None else file.not_after)
        return [(0, file.end)] if reachable else []
    if file.last is None:
        return [(0, file.end)]
    if file.size <= _SHORT:
        # Both its records and its file system tell that it is old, whatever is between the first and the last record.
        latest = max(file.first, file.last, file.modified)
        return [(0, file.end)] if window.since is None or latest >= window.since - _DAY else []
    with file.opened() as descriptor:
        places = [_Place(0, file.first), *_places(file, descriptor), _Place(file.size, file.last)]
    return _joined(_between(places, window))


def _between(places: list[_Place], window: Window) -> t.Iterator[tuple[int, int]]:
    """The parts between two places that can contain records of the window, and those on both sides of them."""
    pairs = list(zip(places, places[1:]))
    ordered = [after.time >= before.time - _DISORDER for before, after in pairs]
    if ordered.count(False) > 2 + _MOST_BREAKS * len(pairs):
        yield places[0].offset, places[-1].offset
        return
    needed = [window.overlaps(before.time - _DISORDER, after.time + _DISORDER) for before, after in pairs]
    for number, (before, after) in enumerate(pairs):
        if not ordered[number] or any(needed[max(0, number - 1) : number + 2]):
            yield before.offset, after.offset


def _places(file: LogFile, descriptor: int) -> list[_Place]:
    """The first records behind equally distant offsets of the file."""
    count = min(_PLACES, file.size // _DISTANCE + 1)
    result: list[_Place] = []
    for number in range(1, count):
        lower, upper = file.size * number // count, file.size * (number + 1) // count
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
        # Nothing but zeros is the rest of a crash, or of a truncation, and may be very long.
        if begin == 0 and not text.strip(b"\0"):
            return None
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


def _joined(found: t.Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, end in found:
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result
