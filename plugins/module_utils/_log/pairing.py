# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Pairs the lines `Received request` and `Processed request` of a log, to find the requests that were not finished."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import endpoint_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import (
    AnyLayout,
    Layout,
    record_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    Processed,
    parse_processed,
    parse_received,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.regions import regions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request import require_tags
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import MARK, RECEIVED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import (
    START_MESSAGE,
    access_of,
    is_start,
    origin_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.unfinished import Unfinished
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

_ANY = b" request: "
# Neither a method nor a URI contains a space. The tag of the listener is a word, or the line is looked at by itself.
_RECEIVED_LINE = rb"([^ \n]+ - [^ \n]+ - Received request: [^ \n]+ [^ \n]+)(?=\n)"
_PROCESSED_LINE = rb"([^ \n]+ - [^ \n]+ - \{[^} \n]*\} Processed request: [^\n]*)(?=\n)"
_PID = re.compile(r"\[[0-9]{1,10}\](?=:?\)\Z)")
_CAPTURED = ("time", "request", "prefix")
# Between the source and the tag of the listener, which tells processes apart that write the same file.
_LISTENER = "\x1f"


class _Process:
    """What is known about a process that writes to a log. `source`: the log.

    `streams`: its names in `Unfinished`, one for each listener. `last`: the number of its last access record.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.streams: set[str] = set()
        self.last = 0


class Pairing:
    """Finds what was received and not processed, in blocks that come in the order of the log."""

    def __init__(self, after_seconds: float, window: Window) -> None:
        """`after_seconds`: how long a request may be pending at the end of the log. Only `window` counts."""
        self._unfinished = Unfinished(after_seconds)
        self._window = window
        self._number = 0
        self._processes: dict[str, _Process] = {}
        # The number and the time of the last start of any process that only its number (PID) tells apart from others.
        self._starts: dict[str, tuple[int, float | None]] = {}
        self._ends: dict[str, float] = {}

    def read(self, file: LogFile) -> None:
        """Read one file; those of one stream in their order.

        Raises SynapseError if it cannot be read, or if its records do not have the tag of their request.
        """
        require_tags(file)
        for start, end in regions(file, self._window):
            for layout, block in file.counted(start, end):
                self.add(layout, block, file.stream, file.layouts)
        self.reaches(file.stream, file.last)

    def add(self, layout: Layout, block: bytes, source: str, layouts: t.Sequence[AnyLayout]) -> None:
        """Read a block of the log `source`: the path of its files, or the unit that wrote to the journal."""
        received = layout.pattern(_RECEIVED_LINE, _CAPTURED)
        processed = layout.pattern(_PROCESSED_LINE, _CAPTURED)
        began, ended = list(received.finditer(block)), list(processed.finditer(block))
        # Otherwise there are lines that clients or other loggers have made look like these.
        is_usual = len(began) == block.count(RECEIVED) and len(ended) == block.count(MARK)
        if not is_usual or START_MESSAGE in block:
            self._read_lines(block, source, (layout, *layouts))
            return
        for match in sorted([*began, *ended], key=lambda match: match.start()):
            tag, message = readable(match["request"]), match[match.re.groups]
            self._note(source, match["prefix"], layout.moment(match["time"]), tag, message)

    def reaches(self, source: str, time: float | None) -> None:
        """Note that a log has records until `time`, in seconds since 1970, of which only those in the window count."""
        if time is None:
            return
        if self._window.until is not None:
            time = min(time, self._window.until)
        self._ends[source] = max(time, self._ends.get(source, time))

    @property
    def has_received(self) -> bool:
        """Whether there was any line about a received request: Synapse writes them only at DEBUG."""
        return self._unfinished.has_received

    @property
    def without_tag(self) -> int:
        """How many lines about a received request had no tag, so that nothing is known about the request."""
        return self._unfinished.without_tag

    def returned(self) -> dict[str, t.Any]:
        """Return what `Unfinished.returned` does, with the endpoint of each request."""
        self._end_replaced()
        ends: dict[str, float | None] = {}
        for process in self._processes.values():
            ends.update(dict.fromkeys(process.streams, self._ends.get(process.source)))
        found = self._unfinished.returned(ends)
        for request in [*found["requests"], *found["ended_by_restart"]["requests"]]:
            request["source"] = request["source"].partition(_LISTENER)[0]
            request["endpoint"] = endpoint_of(request["uri"].partition("?")[0].encode())
        return found

    def _read_lines(self, block: bytes, source: str, layouts: t.Sequence[AnyLayout]) -> None:
        for line in block.split(b"\n"):
            if _ANY not in line and START_MESSAGE not in line:
                continue
            record = record_of(line, layouts)
            if record is None:
                continue
            if is_start(record):
                self._start(source, record.prefix, record.time)
            elif access_of(record) is not None:
                self._note(source, record.prefix, record.time, record.request, record.message)

    def _note(self, source: str, prefix: bytes, time: float | None, tag: str, message: bytes) -> None:
        if not self._window.admits(time):
            return
        found = parse_processed(message) or parse_received(message)
        if found is None:
            return
        self.reaches(source, time)
        name = _name(source, prefix)
        process = self._processes.get(name)
        if process is None:
            process = self._processes[name] = _Process(source)
        self._number += 1
        process.last = self._number
        stream = f"{name}{_LISTENER}{found.site_tag}"
        process.streams.add(stream)
        if isinstance(found, Processed):
            self._unfinished.processed(stream, time, tag, found.processing_seconds)
        else:
            self._unfinished.received(stream, time, tag, found)

    def _start(self, source: str, prefix: bytes, time: float | None) -> None:
        if not self._window.admits(time):
            return
        name = _name(source, prefix)
        self._end_process(name, time)
        self._starts[_without_pid(name)] = self._number, time

    def _end_process(self, name: str, time: float | None) -> None:
        process = self._processes.pop(name, None)
        for stream in process.streams if process else ():
            self._unfinished.started(stream, time)

    def _end_replaced(self) -> None:
        """End the requests of each process that wrote nothing more after another one with its name was started."""
        for name, process in list(self._processes.items()):
            number, time = self._starts.get(_without_pid(name), (-1, None))
            if process.last <= number:
                self._end_process(name, time)


def _name(source: str, prefix: bytes) -> str:
    """What tells processes apart that write to one log: the container or the process in the prefix of a line."""
    name = origin_of(source, prefix).prefix if prefix else ""
    return f"{source} ({name})" if name else source


def _without_pid(name: str) -> str:
    return _PID.sub("", name)
