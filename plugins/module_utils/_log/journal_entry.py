# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Entries of the systemd journal, as `journalctl --output json` prints them, and the records of a log in them.

Relies on systemd.journal-fields(7), on the JSON format in journalctl(1), and on the fields that the handlers of
python-systemd (LOGGER, PRIORITY) and cysystemd (LOGGER_NAME, REQUEST) add.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import ACCESS_LOGGER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

# The fields that are read here. __REALTIME_TIMESTAMP is always printed.
FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "LOGGER",
    "LOGGER_NAME",
    "REQUEST",
    "EXTRA_REQUEST",
    "N_DROPPED",
    "UNIT",
    "OBJECT_SYSTEMD_UNIT",
    "CONTAINER_PARTIAL_MESSAGE",
    "CONTAINER_PARTIAL_ID",
    "_PID",
    "_SYSTEMD_UNIT",
    "_TRANSPORT",
    "_STREAM_ID",
    "_LINE_BREAK",
)
# Those with the name of a unit: of its processes, and of what systemd and journald write about it.
_UNITS = ("_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT")
# By the priorities of syslog(3).
_LEVELS = {"7": "DEBUG", "6": "INFO", "5": "INFO", "4": "WARNING", "3": "ERROR", "2": "CRITICAL", "1": "CRITICAL"}
# What journald and container engines write where they divide a line, and what was there instead.
_DIVIDED = {"nul": b"\0", "line-max": b""}
# In bytes. Synapse writes no request that is longer.
_LONGEST_MESSAGE = 1024 * 1024
_HELD_AT_MOST = 64


class Entry(t.NamedTuple):
    """One entry of the journal. A text that it does not contain is empty.

    `time`: when journald received it, in seconds since 1970. `pid`: of the process that wrote it. `unit`: the unit that
    it belongs to. `identifier`: the name of the program. `message`: as it was written, and whole if journald divided
    the line. `logger`, `level` and `request`: set by a handler that writes to the journal itself. `dropped`: how many
    entries of the unit journald discarded before this one, because there were too many.
    """

    time: float
    pid: int | None
    unit: str
    identifier: str
    message: bytes
    logger: str = ""
    level: str = ""
    request: str = ""
    dropped: int = 0


class EntryReader:
    """Turns lines of `journalctl --output json` into entries.

    journald ends a line of standard output at a NUL character, and where it is too long. Clients can send both, so that
    the rest of a line could look like a record of its own: it is joined again.
    """

    def __init__(self, is_wanted: t.Callable[[str], bool]) -> None:
        """`is_wanted`: whether the name of a unit is one of those that are read."""
        self._is_wanted = is_wanted
        # The beginnings of lines by their streams, with what ended them.
        self._held: dict[tuple[str, ...], tuple[Entry, bytes]] = {}

    def read(self, line: str) -> t.Iterator[Entry]:
        """Yield the entries that are complete after the next line. Raises SynapseError if it has another format."""
        # journalctl prints comments such as "-- No entries --".
        if not line.strip() or line.startswith("-- "):
            return
        try:
            fields = json.loads(line)
            entry = self._entry(fields)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise SynapseError(
                "journalctl printed something that is not an entry of the journal in JSON: check with"
                " journalctl --output json that the journal can be read."
            ) from error
        names = ("_STREAM_ID", "CONTAINER_PARTIAL_ID", "_PID")
        stream = tuple(_text(fields.get(name)) for name in names)
        held = self._held.pop(stream, None)
        if held:
            beginning, divider = held
            room = max(0, _LONGEST_MESSAGE - len(beginning.message))
            entry = beginning._replace(message=beginning.message + (divider + entry.message)[:room])
        divider_of_next = _DIVIDED.get(_text(fields.get("_LINE_BREAK")))
        if divider_of_next is None and _text(fields.get("CONTAINER_PARTIAL_MESSAGE")) == "true":
            divider_of_next = b""
        if divider_of_next is None:
            yield entry
            return
        self._held[stream] = entry, divider_of_next
        if len(self._held) > _HELD_AT_MOST:
            yield self._released()

    def rest(self) -> t.Iterator[Entry]:
        """Yield the entries that were waiting for the end of their lines, when there are no more lines."""
        while self._held:
            yield self._released()

    def _released(self) -> Entry:
        """The entry that has waited longest, without the rest of its line."""
        oldest = list(self._held)[0]
        return self._held.pop(oldest)[0]

    def _entry(self, fields: dict[str, t.Any]) -> Entry:
        units = [unit for unit in (_text(fields.get(name)) for name in _UNITS) if unit]
        pid = _text(fields.get("_PID"))
        logger = _text(fields.get("LOGGER")) or _text(fields.get("LOGGER_NAME"))
        priority = _text(fields.get("PRIORITY"))
        # Only journald itself uses this transport.
        dropped = _text(fields.get("N_DROPPED")) if _text(fields.get("_TRANSPORT")) == "driver" else ""
        return Entry(
            int(fields["__REALTIME_TIMESTAMP"]) / 1_000_000,
            int(pid) if pid.isdecimal() else None,
            next((unit for unit in units if self._is_wanted(unit)), units[0] if units else ""),
            _text(fields.get("SYSLOG_IDENTIFIER")),
            _bytes(fields.get("MESSAGE"))[:_LONGEST_MESSAGE],
            logger,
            _LEVELS.get(priority, "CRITICAL" if priority else "") if logger else "",
            (_text(fields.get("REQUEST")) or _text(fields.get("EXTRA_REQUEST"))) if logger else "",
            int(dropped) if dropped.isdecimal() else 0,
        )


def record_of_entry(entry: Entry, layouts: t.Sequence[AnyLayout]) -> Record | None:
    """Return the record in an entry, or None if the entry is not the beginning of one, as a line of a traceback.

    `layouts`: those of the handler; () for a handler without a formatter that writes to the journal itself. Its LOGGER
    field cannot be forged, and counts more than a layout. The time is that of the entry if the layout has none. An
    entry of the request log with several lines is not a record, because Synapse writes each request in one line.
    """
    first, line_feed, rest = entry.message.partition(b"\n")
    record = record_of(first, layouts)
    if entry.logger and (record is None or record.logger not in ("", entry.logger)):
        record = Record(None, "", "", "", first)
    if record is None:
        return None
    logger = entry.logger or record.logger
    if line_feed and logger.startswith(ACCESS_LOGGER):
        return None
    return Record(
        entry.time if record.time is None else record.time,
        logger,
        record.level or entry.level,
        record.request or entry.request,
        record.message + line_feed + rest,
        record.prefix,
    )


def _bytes(value: t.Any) -> bytes:
    """Return a field as it was written. JSON has a list of numbers where it is not text, and a list of its values."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    if isinstance(value, list):
        if value and not isinstance(value[0], int):
            return _bytes(value[0])
        return bytes(value)
    raise TypeError(type(value).__name__)


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else _bytes(value).decode("utf-8", "backslashreplace")
