# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is counted of processed requests."""

from __future__ import annotations

import typing as t


class Row(t.NamedTuple):
    """One processed request, in texts of the log: for the order of requests that took equally long.

    `what`: the method, a space, and the path without its query. `numbers`: see the module of this name.
    """

    time: bytes
    requester: bytes
    processing: bytes
    status: bytes
    what: bytes
    numbers: int


class Rows(t.NamedTuple):
    """The same of many requests: each value is a list with those of all of them.

    `hours`: the beginning of the hour in which each ended, in seconds since 1970, or None. `lines`: where they are
    written, without line feeds at the end; there may be one at the beginning.
    """

    time: t.Sequence[bytes]
    requester: t.Sequence[bytes]
    processing: t.Sequence[bytes]
    status: t.Sequence[bytes]
    what: t.Sequence[bytes]
    numbers: t.Sequence[int]
    hours: t.Sequence[float | None]
    lines: t.Sequence[bytes]

    def row(self, place: int) -> Row:
        """Return one of them."""
        return Row(
            self.time[place],
            self.requester[place],
            self.processing[place],
            self.status[place],
            self.what[place],
            self.numbers[place],
        )

    def chosen(self, places: t.Sequence[int]) -> Rows:
        """Return some of them."""
        return Rows(*t.cast("t.Any", ([column[place] for place in places] for column in self)))


class Slow(t.NamedTuple):
    """A slow request: its processing time in seconds, its line, and the file or the unit that the line is in."""

    seconds: float
    row: Row
    line: bytes
    path: str

    @property
    def order(self) -> tuple[t.Any, ...]:
        """The slowest come first. Those that are equal have the order of the log, however it is divided into parts."""
        return -self.seconds, self.row, self.path
