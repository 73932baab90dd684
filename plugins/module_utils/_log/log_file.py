# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One file of a log: its blocks and lines, also while Synapse writes to it and after it was renamed by a rotation."""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.blocks import (
    BLOCK,
    Truncated,
    file_blocks,
    stream_blocks,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.canonical import CANONICAL, canonical_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.compression import decompressed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.pieces import (
    Pieces,
    joined_blocks,
    kind_of,
    pieces_before,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import AnyLayout, record_of

# Without waiting: at a pipe, opening would wait for a writer.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# Larger blocks do not fit into the cache of a processor, which makes counting slower.
_COUNTED = 1 << 20


class Vanished(SynapseError):
    """The file is not there any more, or another one has its name."""


class LogFile:
    """A file of a log. It is opened only while it is read, and read only up to the size that it had at first.

    `path`: where it is, which a rotation may change. `stream`: see `files.stream_of`. `size`: in bytes on the disk.
    `compression`: such as gzip, "" for none. `end`: an offset at or after the end of its (decompressed) text.
    `modified`: when it was written to, in seconds since 1970. `layouts`: the formats of its records. `first`, `last`:
    the times of its first and last record that has one, in seconds since 1970, None if there is none; `last` is None
    also for a compressed file. `not_after`: no record is later; None if that is unknown.
    """

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = self.stream = path
        # A rotation may let a link point to another file.
        self._directories = {os.path.dirname(path): None, os.path.dirname(os.path.realpath(path)): None}
        self.size = status.st_size
        self.modified = status.st_mtime
        self.identity = (status.st_dev, status.st_ino)
        self.compression = ""
        self.layouts: tuple[AnyLayout, ...] = ()
        self.first: float | None = None
        self.last: float | None = None
        self.not_after: float | None = None
        # How far it was read, in bytes of the file itself.
        self.position = 0

    @property
    def compressed(self) -> bool:
        return bool(self.compression)

    @property
    def end(self) -> int:
        return sys.maxsize if self.compression else self.size

    def blocks(self, start: int = 0, end: int | None = None, size: int = BLOCK) -> t.Iterator[tuple[int, bytes]]:
        """Return the lines that begin in [start, end), offsets in the (decompressed) text, as `blocks` describes them.

        Lines that a container engine has divided are joined; each belongs to where it begins. A compressed file is read
        from its beginning each time. Raises SynapseError.
        """
        end = self.end if end is None else end
        kind = kind_of(self.layouts)
        if not kind:
            return self._blocks(start, end, size)
        pieces = pieces_before(kind, self.path, self.stream, self.modified) if start == 0 else Pieces(kind)
        return joined_blocks(self._blocks, start, min(end, self.end), size, pieces)

    def _blocks(self, start: int, end: int, size: int) -> t.Iterator[tuple[int, bytes]]:
        if start >= self.end:
            return
        with self.opened() as descriptor:
            if self.compression:
                with decompressed(descriptor, self.path, self.compression) as read:
                    for found in stream_blocks(read, start, end, size):
                        self.position = os.lseek(descriptor, 0, os.SEEK_CUR)
                        yield found
            else:
                try:
                    for found in file_blocks(descriptor, start, end, self.size, size):
                        self.position = found[0] + len(found[1])
                        yield found
                except Truncated as error:
                    raise self._truncated() from error

    def lines(self, start: int = 0, end: int | None = None) -> t.Iterator[tuple[int, bytes]]:
        """Return the offset and the text, without its line feed, of each line that begins in [start, end)."""
        for offset, block in self.blocks(start, end, 1 << 20):
            for line in block[1:-1].split(b"\n"):
                yield offset, line
                offset += len(line) + 1

    def counted(self, start: int = 0, end: int | None = None) -> t.Iterator[tuple[Layout, bytes]]:
        """Return the blocks of [start, end) as they can be counted: each with the layout of its records.

        The layout is `direct`. Records of other layouts, such as JSON, become lines of CANONICAL; the lines between
        them remain as they are, except for the separator of CANONICAL. Lines of several direct layouts are returned in
        blocks of one layout each.
        """
        direct = [layout for layout in self.layouts if isinstance(layout, Layout) and layout.direct]
        for _offset, block in self.blocks(start, end, _COUNTED):
            if len(direct) < len(self.layouts):
                yield CANONICAL, self._canonical(block)
            elif len(direct) == 1:
                yield direct[0], block
            else:
                yield from _by_layout(block, direct)

    def _canonical(self, block: bytes) -> bytes:
        result = [b"\n"]
        for line in block[1:-1].split(b"\n"):
            record = record_of(line, self.layouts)
            result.append(line.replace(b"\x1f", b" ") + b"\n" if record is None else canonical_line(record))
        return b"".join(result)

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[int]:
        """Open the file and return its descriptor; after a rotation under its new name in the same directory.

        Raises Vanished if it is not there any more, SynapseError if it cannot be read or was truncated.
        """
        descriptor = self._open(self.path)
        if descriptor is None:
            path = self._new_path()
            descriptor = None if path is None else self._open(path)
            if path is None or descriptor is None:
                raise Vanished(f"{self.path} was removed or replaced while the log was being read: run the task again.")
            self.path = path
        try:
            if os.fstat(descriptor).st_size < self.size:
                raise self._truncated()
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, path: str) -> int | None:
        try:
            descriptor = os.open(path, _OPEN)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise SynapseError(f"No permission to read {path}: run the task with become.") from error
        except OSError as error:
            raise SynapseError(f"{path} cannot be read: {error.strerror}.") from error
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == self.identity:
            return descriptor
        os.close(descriptor)
        return None

    def _new_path(self) -> str | None:
        for directory in self._directories:
            with contextlib.suppress(OSError), os.scandir(directory or ".") as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if (status.st_dev, status.st_ino) == self.identity:
                        return os.path.join(directory, entry.name)
        return None

    def _truncated(self) -> SynapseError:
        return SynapseError(
            f"{self.path} was truncated while it was being read, as copytruncate of logrotate does: run the task again."
        )


def _by_layout(block: bytes, layouts: t.Sequence[Layout]) -> t.Iterator[tuple[Layout, bytes]]:
    """Return the parts of a block of lines: consecutive records of one layout, with the lines that continue them."""
    current, start, position = layouts[0], 0, 0
    for line in block[1:-1].split(b"\n"):
        if current.record(line) is None:
            fitting = next((layout for layout in layouts if layout.record(line) is not None), current)
            if fitting is not current:
                if position > start:
                    yield current, block[start : position + 1]
                current, start = fitting, position
        position += len(line) + 1
    yield current, block[start:]
