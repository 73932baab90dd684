# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What others append to a log file from now on, also if the file is rotated meanwhile."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.patterns import find_files

# Without waiting: at a pipe, opening would wait for a writer.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 18


def files_at(paths: t.Sequence[str], option: str) -> list[str]:
    """Return the regular files at paths and patterns, each once.

    Raises InvalidInput, which names `option`, for what does not exist, is not a regular file or cannot be examined.
    """
    if not paths or not all(paths):
        raise InvalidInput(f"{option} is empty: name at least one log file of Synapse.")
    try:
        return [path for path, _status in find_files(paths, option).values()]
    except InvalidInput:
        raise
    except SynapseError as error:
        raise InvalidInput(f"{option} cannot be used: {error.message}") from error


class AppendedLog:
    """What is appended to the file at a path: to the one that is there now, and to those that a rotation puts there.

    `last_count`: how many bytes the last call of `lines` has read. Raises InvalidInput, which names `option`.
    """

    def __init__(self, path: str, option: str) -> None:
        self.path = path
        self.last_count = 0
        self._option = option
        descriptor = _opened(path, option)
        if descriptor is None:
            raise InvalidInput(f"{option} {path} was removed or replaced meanwhile: run the task again.")
        self._files = [_File(descriptor, os.fstat(descriptor).st_size)]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file.descriptor)
        self._files = []

    def lines(self, most: int) -> t.Iterator[tuple[tuple[int, int], bytes]]:
        """Yield the whole lines that were appended since the last call, each with the identity of its file.

        `most`: how many bytes are read at most.
        """
        self._follow()
        self.last_count = 0
        # A program may write to the old file until it opens the new one.
        for file in self._files:
            for block in file.blocks(most - self.last_count):
                self.last_count += len(block)
                for line in file.whole_lines(block):
                    yield file.identity, line

    def _follow(self) -> None:
        try:
            descriptor = _opened(self.path, self._option)
        except InvalidInput:
            # What it contains stays missing, which is reported.
            return
        if descriptor is None:
            return
        file = _File(descriptor, 0)
        if any(file.identity == known.identity for known in self._files):
            os.close(descriptor)
        else:
            self._files.append(file)


class _File:
    """One open file, from an offset on. `identity`: its device and inode."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self._offset = offset
        # A line of which the end is not written yet.
        self._rest: list[bytes] = []

    def blocks(self, most: int) -> t.Iterator[bytes]:
        if os.fstat(self.descriptor).st_size < self._offset:
            # It was copied and truncated.
            self._offset = 0
            self._rest = []
        while most > 0:
            block = os.pread(self.descriptor, min(_BLOCK, most), self._offset)
            if not block:
                return
            self._offset += len(block)
            most -= len(block)
            yield block

    def whole_lines(self, block: bytes) -> t.Iterator[bytes]:
        *lines, rest = block.split(b"\n")
        for line in lines:
            self._rest.append(line)
            yield b"".join(self._rest)
            self._rest = []
        self._rest.append(rest)


def _opened(path: str, option: str) -> int | None:
    """Return the descriptor of a regular file, None if there is none. Raises InvalidInput if it cannot be read."""
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise InvalidInput(f"{option} {path}: no permission to read it. Run the task with become.") from error
    except OSError as error:
        raise InvalidInput(f"{option} {path} cannot be read: {error.strerror}.") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None
