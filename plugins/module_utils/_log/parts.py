# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Divides the files of a log into parts, which several processors read at the same time."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parallel import processors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.regions import regions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

# Less than this is read faster than another process is started, in bytes.
_WORTH_A_PROCESS = 32 << 20
_LARGEST_PART = 256 << 20
# A compressed file contains about this many times its size.
_COMPRESSION = 10
_PARTS_OF_PROCESSOR = 4


class Part(t.NamedTuple):
    """A part of a file: the lines that begin in [start, end), offsets in its (decompressed) text."""

    file: LogFile
    start: int
    end: int

    @property
    def weight(self) -> int:
        """About how many bytes of text are read."""
        return self.file.size * _COMPRESSION if self.file.compressed else self.end - self.start


def parts_of(files: t.Sequence[LogFile], window: Window) -> list[Part]:
    """Return the parts of all files, in their order, that may have records of the window.

    There are some for each processor, so that none waits long for another at the end.
    """
    whole = [Part(file, start, end) for file in files for start, end in regions(file, window)]
    plain = sum(part.weight for part in whole if not part.file.compressed)
    size = min(max(plain // (processors() * _PARTS_OF_PROCESSOR), _WORTH_A_PROCESS), _LARGEST_PART)
    return [each for part in whole for each in ([part] if part.file.compressed else _divided(part, size))]


def processes_for(parts: t.Sequence[Part]) -> int | None:
    """Return how many processes should read the parts: None for one on each processor."""
    return None if sum(part.weight for part in parts) > _WORTH_A_PROCESS else 1


def _divided(part: Part, size: int) -> t.Iterator[Part]:
    for start in range(part.start, part.end, size):
        yield Part(part.file, start, min(start + size, part.end))
