# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Counts what is in a log: processed requests, failed signatures, and lines that cannot be read. Parts are added up."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parallel import in_processes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import Part, parts_of, processes_for
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts_read import PartsRead
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import Scanner, Unread, lines_with, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.signature_messages import NEEDLES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.signatures import SignatureFailures
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tally import Tally
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window


class Wanted(t.NamedTuple):
    """What to count: records of `window`. Of the processed requests, the `most_slow` slowest are kept."""

    window: Window
    most_slow: int
    summary: bool = True
    signatures: bool = False


class Counts:
    """The counts of a part of a log, which can be pickled and added to those of other parts."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._scanners: dict[int, Scanner] = {}
        self.tally = Tally(wanted.most_slow)
        self.unread = Unread()
        self.signatures = SignatureFailures()

    def __getstate__(self) -> dict[str, t.Any]:
        return {**vars(self), "_scanners": {}}

    def count(self, layout: Layout, block: bytes, path: str, stream: str, layouts: t.Sequence[AnyLayout]) -> None:
        """Count a block of lines of the file (or the unit) `path`, which belongs to the log `stream`.

        `layouts`: all formats in it. The blocks of a stream come in their order.
        """
        if self._wanted.summary:
            scanner = self._scanners.get(id(layout))
            if scanner is None:
                scanner = self._scanners[id(layout)] = Scanner(layout, layouts, self._wanted.window)
            self.tally.count(scanner.find(block, path, self.unread), path)
        if self._wanted.signatures:
            self._find_signatures(layout, block, stream)

    def _find_signatures(self, layout: Layout, block: bytes, stream: str) -> None:
        window = self._wanted.window
        lines = {place: line for needle in NEEDLES for place, line in lines_with(needle, block)}
        for place in sorted(lines):
            record = layout.record(lines[place])
            if record is None or not window.admits(record.time):
                continue
            self.signatures.add(record, stream, shown(lines[place], layout))

    def add(self, other: Counts) -> None:
        """Add the counts of another part."""
        self.tally.add(other.tally)
        self.unread.add(other.unread)
        self.signatures.merge(other.signatures)


def count_files(files: t.Sequence[LogFile], wanted: Wanted) -> Counts:
    """Return the counts of all files, which are read on all processors. Raises SynapseError if one cannot be read."""
    counts = Counts(wanted)
    parts = parts_of(files, wanted.window)
    with PartsRead(parts) as read:
        count = functools.partial(_count_part, wanted=wanted, read=read)
        for found in in_processes(count, list(enumerate(parts)), processes=processes_for(parts)):
            counts.add(found)
    return counts


def _count_part(numbered: tuple[int, Part], wanted: Wanted, read: PartsRead) -> Counts:
    number, part = numbered
    counts = Counts(wanted)
    for layout, block in part.file.counted(part.start, part.end):
        counts.count(layout, block, part.file.path, part.file.stream, part.file.layouts)
        read.note(number)
    return counts
