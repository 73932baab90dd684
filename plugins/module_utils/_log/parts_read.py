# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How much of the parts of a log was read, by all processes together, for the progress."""

from __future__ import annotations

import mmap
import struct
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import Part
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_NUMBER = struct.Struct("<Q")


class PartsRead:
    """The bytes of each part that were read, in memory that forks of this process share. It is used as a context."""

    def __init__(self, parts: t.Sequence[Part]) -> None:
        self._parts = parts
        self._total = sum(_size(part) for part in parts)
        self._memory: mmap.mmap | None = None
        if progress.active and parts:
            self._memory = mmap.mmap(-1, _NUMBER.size * len(parts))
            # Before the forks: they write into the same record.
            progress.report(Work.LOG, 0, self._total)

    def __enter__(self) -> PartsRead:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._memory is not None:
            self._memory.close()

    def note(self, number: int) -> None:
        """Report how far the file of the part with this number was read. A process reads one part at a time."""
        if self._memory is None:
            return
        part = self._parts[number]
        read = part.file.position if part.file.compressed else part.file.position - part.start
        _NUMBER.pack_into(self._memory, _NUMBER.size * number, max(0, min(read, _size(part))))
        progress.report(Work.LOG, sum(each for (each,) in _NUMBER.iter_unpack(self._memory)), self._total)


def _size(part: Part) -> int:
    """How many bytes of the file itself a part has."""
    return part.file.size if part.file.compressed else part.end - part.start
