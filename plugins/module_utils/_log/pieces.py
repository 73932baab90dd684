# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Joins the pieces into which container engines divide long lines: after 16 kB, in the middle of what a client sent.

A piece by itself could be a forged record. Docker's json-file ends only the last piece with a line feed (its jsonlog
and copier); in CRI logs, P is before all pieces but the last one (kubelet's logs, containerd, CRI-O).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import (
    ContainerLayout,
    stored_event,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import bytes_of

# The next piece of a line is at most this far away, because both engines write it at once. In bytes.
DISTANCE = 512 << 10
# Longer than what Synapse writes for any request, in bytes.
LONGEST = 1 << 20
CUT_OFF = b" [...] (the rest of this line is missing)"
# In front of a line that may be the rest of another one: it prevents that the line passes for a record.
REST = b"[...] "

_DOCKER, _CRI = "docker", "cri"
_CRI_LINE = re.compile(rb"([^ \n]+ (std[a-z]+)) ([FP])(?::[^ \n]*)? ([^\n]*)")
_CRI_PIECE = re.compile(rb"\n[^ \n]+ std[a-z]+ P[ :]")
_Read = t.Callable[[int, int, int], t.Iterator[tuple[int, bytes]]]


class _Piece(t.NamedTuple):
    """What a line contains. `stream`: stdout or stderr."""

    stream: bytes
    text: bytes
    is_last: bool


class _Held:
    """The beginning of a line whose end has not been read. `line`: the first piece as the engine has written it."""

    def __init__(self, line: bytes, text: bytes) -> None:
        self.line = line
        self.texts = [text]
        self.room = LONGEST - len(text)
        # Whether the line counts, or belongs to the part of the file before this one.
        self.counts = True

    def add(self, text: bytes) -> None:
        self.texts.append(text[: max(0, self.room)])
        self.room -= len(text)


class Pieces:
    """The lines that have begun but not ended, by their streams.

    `is_continued`: whether the first line of each stream may be the rest of a line in a file that is not known.
    """

    def __init__(self, kind: str, *, is_continued: bool = False) -> None:
        self._kind = kind
        self._is_continued = is_continued
        self._held: dict[bytes, _Held] = {}
        self._seen: set[bytes] = set()

    @property
    def are_pending(self) -> bool:
        """Whether the end of a line that counts has not been read."""
        return any(held.counts for held in self._held.values())

    def is_stored(self, line: bytes) -> bool:
        """Whether it is a line, or a piece of one, as the engine writes it."""
        return self._piece(line) is not None

    def leave(self) -> None:
        """Note that what has begun until now does not count."""
        for held in self._held.values():
            held.counts = False

    def join(self, block: bytes) -> bytes:
        """Return a block of lines, each line where its last piece was, without those that have not ended."""
        if not self._held and not self._is_continued and self._is_without_pieces(block):
            return block
        lines = [found for found in map(self.add, block[1:-1].split(b"\n")) if found is not None]
        self._is_continued = False
        return b"\n".join([b"", *lines, b""]) if lines else b"\n"

    def add(self, line: bytes) -> bytes | None:
        """Return a line that ends with the next line of the file, None if there is none."""
        piece = self._piece(line)
        if piece is None:
            return line
        held = self._held.get(piece.stream)
        if held is None and self._is_continued and piece.stream not in self._seen:
            if piece.is_last:
                self._seen.add(piece.stream)
            return REST + line
        if held is None:
            if piece.is_last:
                return line
            self._held[piece.stream] = _Held(line, piece.text)
            return None
        held.add(piece.text)
        if not piece.is_last:
            return None
        del self._held[piece.stream]
        return self._joined(held) if held.counts else None

    def end(self, line: bytes) -> bytes | None:
        """As `add`, but only for a line that continues one that has begun."""
        piece = self._piece(line)
        return self.add(line) if piece is not None and piece.stream in self._held else None

    def rest(self) -> list[bytes]:
        """Return the lines whose end is missing, as far as they were read. No record of a request ends like them."""
        held, self._held = self._held, {}
        return [self._joined(each, is_whole=False) for each in held.values() if each.counts]

    def _is_without_pieces(self, block: bytes) -> bool:
        if self._kind == _CRI:
            return _CRI_PIECE.search(block) is None
        # A backslash may be there that was logged, so that no line feed follows it.
        ends = block.count(b'\\n","stream":"')
        return ends == block.count(b"\n") - 1 and b'\\\\n","stream":"' not in block

    def _piece(self, line: bytes) -> _Piece | None:
        if self._kind == _CRI:
            match = _CRI_LINE.match(line)
            return None if match is None else _Piece(match[2], match[4], match[3] == b"F")
        event = stored_event(line)
        if event is None:
            return None
        text = bytes_of(event["log"])
        return _Piece(str(event["stream"]).encode("utf-8", "backslashreplace"), text, text.endswith(b"\n"))

    def _joined(self, held: _Held, *, is_whole: bool = True) -> bytes:
        text = b"".join(held.texts)
        if not is_whole or held.room < 0:
            text += CUT_OFF
        if self._kind == _CRI:
            match = t.cast("re.Match[bytes]", _CRI_LINE.match(held.line))
            return match[1] + b" F " + text
        event = {**(stored_event(held.line) or {}), "log": text.decode("utf-8", "surrogateescape")}
        if not text.endswith(b"\n"):
            event["log"] += "\n"
        return bytes_of(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


def kind_of(layouts: t.Iterable[Layout | JsonLayout]) -> str:
    """Return in which way long lines of these layouts are divided, "" if they are not."""
    for layout in layouts:
        if isinstance(layout, ContainerLayout):
            return _DOCKER
        if layout.prefix.is_divided:
            return _CRI
    return ""


def joined_blocks(read: _Read, start: int, end: int, size: int, pieces: Pieces) -> t.Iterator[tuple[int, bytes]]:
    """Return the blocks of `read` for [start, end) with joined lines, those that begin in [start, end).

    `read`: as LogFile.blocks. `pieces`: the state at the beginning of the file. The offset of a block is that of the
    lines it was made of; it may contain an end that was read behind `end`.
    """
    if start > 0:
        for _offset, block in read(max(0, start - DISTANCE), start, size):
            pieces.join(block)
        pieces.leave()
    for offset, block in read(start, end, size):
        text = pieces.join(block)
        if len(text) > 1:
            yield offset, text
    lines: list[bytes] = []
    if pieces.are_pending:
        for _offset, block in read(end, end + DISTANCE, DISTANCE):
            lines += [found for found in map(pieces.end, block[1:-1].split(b"\n")) if found is not None]
            if not pieces.are_pending:
                break
    lines += pieces.rest()
    if lines:
        yield end, b"\n".join([b"", *lines, b""])


def pieces_before(kind: str, path: str, stream: str, modified: float) -> Pieces:
    """Return the state at the beginning of a file: a rotation may have divided a line between it and an older file.

    `stream`: the path without rotation suffix. `modified`: when the file was written to, in seconds since 1970.
    """
    older = _older(path, stream, modified)
    if older is None:
        # A rotation removes the oldest file.
        return Pieces(kind, is_continued=path != stream)
    lines = _last_lines(older)
    pieces = Pieces(kind)
    if not lines or not any(map(pieces.is_stored, lines)):
        return Pieces(kind, is_continued=True)
    for line in lines:
        pieces.add(line)
    pieces.leave()
    return pieces


def _older(path: str, stream: str, modified: float) -> str | None:
    """Return the file of the stream that was written to last before another one, None if there is none."""
    found: list[tuple[float, str]] = []
    name = os.path.basename(stream)
    with contextlib.suppress(OSError), os.scandir(os.path.dirname(path) or ".") as entries:
        for entry in entries:
            if entry.name.startswith(name) and entry.name != os.path.basename(path) and entry.is_file():
                written = entry.stat().st_mtime
                if written <= modified:
                    found.append((written, entry.path))
    return max(found)[1] if found else None


def _last_lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, size - DISTANCE))
            # The first one may be the end of a line.
            return stream.read(DISTANCE).split(b"\n")[size > DISTANCE : -1]
    except OSError:
        return []
