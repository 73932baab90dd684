# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A record that carries the tag of a request, with the lines that continue it, and the record of a start of Synapse."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    ACCESS_LOGGER,
    Processed,
    Received,
    parse_processed,
    parse_received,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, readable

LINES = 10_000
START_MESSAGE = b"***** STARTING SERVER *****"

# Synapse up to 1.152 used the root logger. A format may leave out the logger and the level.
_START_LOGGERS = ("", "root", "synapse.config.logger")
_START_LEVELS = ("", "WARNING")
_LONGEST_SHOWN = 1 << 20
_BEGINNING = 64 << 10
# What the lines of one record may need in memory.
_MOST_BYTES = 4 << 20
# In memory a record needs about this much besides its lines.
_OF_A_RECORD, _OF_AN_ACCESS_RECORD, _OF_A_LINE = 300, 2500, 60
_CHANGING = re.compile(
    r"\x1b\[[0-9;]*m"
    r"|(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?: UTC| [A-Z]{3,5} | [+-]\d\d )?"
    r"|[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|(?<![\w.])\d{9,}\.\d+(?![\w.])"
    r"|<\d+>"
    r"|(?<=\s)(?:stdout|stderr) [FP]\s",
)
_PID = re.compile(r"\[(\d{1,10})\]:?")


class Origin(t.NamedTuple):
    """What tells processes apart. `source`: the path of a log or the name of a unit; `prefix`: what a container or a
    journal writes before each record, without times; `pid`: None if it is not known."""

    source: str
    prefix: str = ""
    pid: int | None = None


class Tagged(t.NamedTuple):
    """A record with the tag of the request. `time`: in seconds since 1970, None if it has none.

    `access`: what it tells about the request, if it is a record of the access logger. `lines`: its own line and those
    that continue it, without line feeds; `omitted`: how many more there are. `file`: the path of the file, or "".
    """

    origin: Origin
    time: float | None
    access: Processed | Received | None
    lines: tuple[bytes, ...]
    omitted: int
    file: str

    @property
    def cost(self) -> int:
        """About how many bytes of memory it needs."""
        fixed = _OF_A_RECORD if self.access is None else _OF_AN_ACCESS_RECORD
        return fixed + sum(len(line) + _OF_A_LINE for line in self.lines)


class Started(t.NamedTuple):
    """The record that Synapse writes when it starts. `time`: in seconds since 1970, None if it has none."""

    origin: Origin
    time: float | None

    @property
    def cost(self) -> int:
        """About how many bytes of memory it needs."""
        return _OF_A_RECORD


class Gathering:
    """A record with the tag whose continuation is being read."""

    def __init__(self, record: Record, origin: Origin, text: bytes, file: str = "") -> None:
        self._record = record
        self._origin = origin
        self._file = file
        self._lines: list[bytes] = []
        self._bytes = 0
        self._omitted = 0
        self.add(text)

    def add(self, line: bytes) -> None:
        """Add a line (without its line feed) as it stands, or count it if there are too many."""
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > _LONGEST_SHOWN:
            line = line[:_BEGINNING] + b" [...] (%d more bytes are left out)" % (len(line) - _BEGINNING)
        if len(self._lines) >= LINES or self._bytes + len(line) > _MOST_BYTES:
            self._omitted += 1
        else:
            self._lines.append(line)
            self._bytes += len(line)

    def tagged(self) -> Tagged:
        """Return the record with everything that was added."""
        record = self._record
        return Tagged(self._origin, record.time, access_of(record), tuple(self._lines), self._omitted, self._file)


class Collected:
    """The records with a tag and the starts of Synapse, in their order, as far as there is room for them in memory.

    `room`: about how many bytes the records may still need. `omitted_lines`: how many lines had no room.
    """

    def __init__(self, room: int) -> None:
        self.records: list[Tagged | Started] = []
        self.omitted_lines = 0
        self.room = room

    def add(self, record: Tagged | Started) -> None:
        """Keep a record, or count its lines."""
        self.room -= record.cost
        if self.room >= 0:
            self.records.append(record)
        elif isinstance(record, Tagged):
            self.omitted_lines += len(record.lines) + record.omitted

    def extend(self, other: Collected) -> None:
        """Keep what another one has collected after this one."""
        self.omitted_lines += other.omitted_lines
        for record in other.records:
            self.add(record)


def access_of(record: Record) -> Processed | Received | None:
    """Return what a record of Synapse's access logger tells about its request; None for every other record."""
    if record.logger and not record.logger.startswith(ACCESS_LOGGER):
        return None
    return parse_processed(record.message) or parse_received(record.message)


def mentions_request(line: bytes) -> bool:
    """Whether a line contains what only a record of the access logger, or a forged one, contains."""
    return b" Processed request: " in line or b" Received request: " in line


def belongs_to(record: Record, tag: str) -> bool:
    """Whether a record was written for the request with this tag.

    For each event or room that a request contains, Synapse adds its ID to the tag (`nested_logging_context` in
    synapse/logging/context.py). A client can choose a method such as GET-37, but its request then has a number too.
    """
    if record.request == tag:
        return True
    return (
        record.request.startswith((f"{tag}-$", f"{tag}-!"))
        and not record.logger.startswith(ACCESS_LOGGER)
        and access_of(record) is None
    )


def is_start(record: Record) -> bool:
    """Whether it is the record that Synapse writes when it starts (`setup_logging` in synapse/config/logger.py)."""
    return record.message.strip() == START_MESSAGE and record.logger in _START_LOGGERS and record.level in _START_LEVELS


def origin_of(source: str, prefix: bytes) -> Origin:
    """Return the origin of a record in a file. `prefix`: what stands before the record, with or without a time."""
    if not prefix:
        return Origin(source)
    text = " ".join(_CHANGING.sub(" ", readable(prefix)).split())
    pid = _PID.search(text)
    return Origin(source, text, int(pid[1]) if pid else None)
