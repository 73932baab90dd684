# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Search for the records of one request in a part of a log file, at the speed of `bytes.find`.

Only lines that contain the tag are looked at. Whether a line carries the tag is decided by the format of its record.
"""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import (
    ContainerLayout,
    stored_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.needle import hits, needles_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import Part
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import (
    Collected,
    Gathering,
    Origin,
    Started,
    belongs_to,
    is_start,
    origin_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

# Larger blocks do not fit into the cache of a processor, which makes the search slower.
_BLOCK = 512 << 10


def search(part: Part, tag: str, window: Window, room: int) -> Collected:
    """Return the records with exactly this tag in a part of a file, and the starts of Synapse, in their order.

    A record outside of the window is left out, but a start never is. `room`: about how many bytes of memory the records
    may need. Raises what `LogFile.blocks` raises.
    """
    scan = _Scan(part.file, tag, window, room)
    for _offset, block in part.file.blocks(part.start, part.end, _BLOCK):
        scan.block(block)
    if scan.gathering is not None and part.end < part.file.end and not part.file.compressed:
        for _offset, line in part.file.lines(part.end):
            if not scan.continued(line):
                break
    scan.close()
    return scan.collected


class _Scan:
    """The state between two blocks: what was found, and the record whose continuation may follow."""

    def __init__(self, file: LogFile, tag: str, window: Window, room: int) -> None:
        self.collected = Collected(room)
        self.gathering: Gathering | None = None
        self._file = file
        self._tag = tag
        self._window = window
        self._stored = any(isinstance(layout, ContainerLayout) for layout in file.layouts)
        self._needles = needles_of(tag, file.layouts)
        self._latest: tuple[bytes | None, tuple[Record, AnyLayout] | None] = None, None
        # The same few prefixes are before all records.
        self._origins: dict[bytes, Origin] = {}

    def block(self, block: bytes) -> None:
        """Search a block of `LogFile.blocks`."""
        position = 1
        if self.gathering is not None:
            position = self._continuation(block, position)
        for hit in sorted(hit for needle in self._needles for hit in hits(block, needle)):
            if hit < position:
                continue
            start = block.rfind(b"\n", 0, hit) + 1
            position = block.find(b"\n", hit) + 1
            if self._record(block[start : position - 1]):
                position = self._continuation(block, position)

    def continued(self, line: bytes) -> bool:
        """Add a line to the record before it, unless it is the beginning of another one."""
        if self.gathering is None or self._read(line) is not None:
            return False
        if any(layout.begins(line) for layout in self._file.layouts):
            # It may be a record of the access logger with a tag that a client has chosen.
            return False
        self.gathering.add(self._text(line))
        return True

    def close(self) -> None:
        """Keep the record whose continuation has been read."""
        if self.gathering is not None:
            self.collected.add(self.gathering.tagged())
            self.gathering = None

    def _continuation(self, block: bytes, position: int) -> int:
        """Add the lines from `position` on to the record before them, and return where another record begins."""
        while position < len(block):
            end = block.find(b"\n", position)
            if not self.continued(block[position:end]):
                self.close()
                return position
            position = end + 1
        return position

    def _record(self, line: bytes) -> bool:
        """Look at a line with a hit. Returns whether its continuation belongs to the request."""
        read = self._read(line)
        if read is None:
            return False
        record, layout = read
        if belongs_to(record, self._tag):
            if not self._window.admits(record.time):
                return False
            self.gathering = Gathering(record, self._origin(record.prefix), self._text(line), self._file.path)
            written = layout.inner if isinstance(layout, ContainerLayout) else layout
            if not written.is_json:
                return True
            # JSON has no lines that continue a record.
            self.close()
        elif is_start(record):
            self.collected.add(Started(self._origin(record.prefix), record.time))
        return False

    def _origin(self, prefix: bytes) -> Origin:
        found = self._origins.get(prefix)
        if found is None:
            found = origin_of(self._file.stream, prefix)
            if len(self._origins) < 10_000:
                self._origins[prefix] = found
        return found

    def _read(self, line: bytes) -> tuple[Record, AnyLayout] | None:
        # The line behind a record is read to see whether it continues it, and again if it has a hit.
        if line != self._latest[0]:
            self._latest = line, self._read_anew(line)
        return self._latest[1]

    def _read_anew(self, line: bytes) -> tuple[Record, AnyLayout] | None:
        for layout in self._file.layouts:
            record = layout.record(line)
            if record is not None:
                return record, layout
        return None

    def _text(self, line: bytes) -> bytes:
        """A line as Synapse has written it."""
        stored = stored_line(line) if self._stored else None
        return line if stored is None else stored
