# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is counted of a processed request, in the texts of its line."""

from __future__ import annotations

import typing as t


class Row(t.NamedTuple):
    """One processed request, in the order in which `scan` finds its parts. All are texts of the log.

    `what`: the method, a space, and the path without its query.
    """

    time: bytes
    requester: bytes
    processing: bytes
    user_cpu: bytes
    system_cpu: bytes
    database_wait: bytes
    database: bytes
    transactions: bytes
    size: bytes
    status: bytes
    what: bytes
    events: bytes


class Columns(t.NamedTuple):
    """The same of many requests: each value is a tuple with the texts of all of them."""

    time: tuple[bytes, ...]
    requester: tuple[bytes, ...]
    processing: tuple[bytes, ...]
    user_cpu: tuple[bytes, ...]
    system_cpu: tuple[bytes, ...]
    database_wait: tuple[bytes, ...]
    database: tuple[bytes, ...]
    transactions: tuple[bytes, ...]
    size: tuple[bytes, ...]
    status: tuple[bytes, ...]
    what: tuple[bytes, ...]
    events: tuple[bytes, ...]


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
