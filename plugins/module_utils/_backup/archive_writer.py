# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Writes the members of an archive as a tar stream, each with its size first."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    BLOCK,
    DATABASE,
    PIECE,
    PIECE_OF_DATABASE,
    RECORD,
    SUMS,
    Attributes,
    padding,
    sum_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import header_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.writing import HashingWriter

_ZEROS = bytes(RECORD)


class ArchiveWriter:
    """Writes the members to `descriptor`, a file or a pipe. To be used with `with`. The caller closes it."""

    def __init__(self, descriptor: int, created: int) -> None:
        """`created`: the time of members that are not files, in seconds since 1970."""
        self._own = Attributes(modified=created)
        self._sums: list[bytes] = []
        self._stream = HashingWriter(descriptor, self._ended)

    def __enter__(self) -> ArchiveWriter:
        self._stream.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._stream.__exit__(kind, *rest)

    @property
    def size(self) -> int:
        """How many bytes were given to be written."""
        return self._stream.written

    def add(self, name: str, content: bytes, attributes: Attributes | None = None) -> str:
        """Add a member that is in memory, and return its SHA-256 in hexadecimal. Raises OSError."""
        self._begin(name, len(content), attributes or self._own)
        self._end(name, len(content), content)
        return hashlib.sha256(content).hexdigest()

    def add_json(self, name: str, value: t.Any) -> None:
        """Add a member with a value as JSON. Raises OSError."""
        self.add(name, json.dumps(value, ensure_ascii=True, indent=1, sort_keys=True).encode("ascii"))

    def add_file(self, name: str, descriptor: int, attributes: Attributes, report: t.Callable[[int], None]) -> int:
        """Add an open file, and return its size. `report` is called with the size of each piece.

        A file that is cut off while it is read is filled with zeros, and what is appended is left out: its size is
        already written. Raises OSError.
        """
        size = left = os.fstat(descriptor).st_size
        self._begin(name, size, attributes)
        while True:
            wanted = min(left, PIECE)
            piece = os.read(descriptor, wanted) or bytes(wanted)
            report(len(piece))
            left -= len(piece)
            if not left:
                self._end(name, size, piece)
                return size
            self._stream.put(piece, content=True)

    def add_database(self, pieces: t.Iterable[bytes]) -> int:
        """Add the stream of the database in members of a limited size, and return their number. Raises OSError."""
        held: list[bytes] = []
        size = number = 0
        for piece in pieces:
            for start in range(0, len(piece), PIECE_OF_DATABASE):
                part = piece[start : start + PIECE_OF_DATABASE]
                if held and size + len(part) > PIECE_OF_DATABASE:
                    self._add_piece(number, held, size)
                    number, held, size = number + 1, [], 0
                held.append(part)
                size += len(part)
        if held:
            self._add_piece(number, held, size)
            number += 1
        return number

    def finish(self) -> None:
        """Add SHA256SUMS and the end of the tar. Nothing can be added afterwards. Raises OSError."""
        self._stream.flush()
        self.add(SUMS, b"".join(self._sums))
        ending = 2 * BLOCK
        self._stream.put(_ZEROS[:ending])
        self._stream.put(_ZEROS[: padding(self._stream.written, RECORD)])
        self._stream.flush()

    def _add_piece(self, number: int, pieces: t.Sequence[bytes], size: int) -> None:
        name = f"{DATABASE}{number:04d}"
        self._begin(name, size, self._own)
        for piece in pieces[:-1]:
            self._stream.put(piece, content=True)
        self._end(name, size, pieces[-1])

    def _begin(self, name: str, size: int, attributes: Attributes) -> None:
        self._stream.put(header_of(name, size, attributes))

    def _end(self, name: str, size: int, last: bytes) -> None:
        self._stream.put(last, content=True, end_of=name)
        self._stream.put(_ZEROS[: padding(size)])

    def _ended(self, name: str, digest: bytes) -> None:
        self._sums.append(sum_line(digest, name))
