# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One line about how far a module is: what is done, the rate, and the time that is left."""

from __future__ import annotations

import collections
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Measure, Record, Work

# The rate is that between the oldest and the newest of so many measures.
_MEASURES = 6
# In seconds. A rate over a shorter time says nothing.
_SHORTEST_TIME = 1.0


class ProgressLine:
    """Makes the lines for one run of a module, which begins now, from one record after the other."""

    def __init__(self, title: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        """`title`: the module and the host. Characters that cannot be printed are replaced."""
        self._title = _printable(title)
        self._clock = clock
        self._start = clock()
        self._work: Work | None = None
        self._measures: collections.deque[Measure] = collections.deque(maxlen=_MEASURES)

    def text(self, record: Record) -> str:
        """Return the line for the next record."""
        if record.work is not self._work:
            self._work = record.work
            self._measures.clear()
            self._measures.append(record.begin)
        self._measures.append(record.now)
        parts = [_state(record), *self._rates(record)]
        if record.total is None:
            parts.append(f"{duration(self._clock() - self._start)} so far")
        return f"{self._title}: {', '.join(part for part in parts if part)}"

    def _rates(self, record: Record) -> list[str]:
        """The rate, if something is done, and the time that is left, if the total is known."""
        oldest, newest = self._measures[0], record.now
        seconds = newest.time - oldest.time
        if seconds < _SHORTEST_TIME or newest.done is None or oldest.done is None:
            return []
        per_second = (newest.done - oldest.done) / seconds
        if newest.size is not None and oldest.size is not None and not record.work.counts_tables:
            bytes_per_second = (newest.size - oldest.size) / seconds
            rate = f"{amount(bytes_per_second)}/s" if bytes_per_second > 0 else ""
        elif per_second <= 0:
            rate = ""
        elif record.work.in_bytes:
            rate = f"{amount(per_second)}/s"
        else:
            rate = f"{per_second:.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"
        left = ""
        if record.total is not None and per_second > 0 and newest.done < record.total:
            left = f"about {duration(max(1.0, (record.total - newest.done) / per_second))} left"
        # Less than 0.05 per second is no rate that anybody reads.
        return [rate if rate != "0.0/s" else "", left]


def _state(record: Record) -> str:
    text, done, total = record.work.value, record.now.done, record.total
    if done is None:
        return str(text)
    number = amount if record.work.in_bytes else str
    if total is None:
        return f"{text} {number(done)}"
    # What grows while it is read can be more than its total.
    percent = f" ({min(100, done * 100 // total)} %)" if total > 0 else ""
    tables = f", {record.now.size} tables complete" if record.work.counts_tables and record.now.size is not None else ""
    return f"{text} {number(done)} of {number(total)}{percent}{tables}"


def amount(size: float) -> str:
    """Return a number of bytes in the largest decimal unit that suits."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def duration(seconds: float) -> str:
    """Return a number of seconds as a person says it: 25 s, 4 min, 2 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
