# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Blocks of whole lines, from an open file or from what a decompressor returns, in bounded memory.

A line ends with a line feed and with nothing else; what follows the last line feed is a line as well. A block is
`(offset, text)`: the offset of its first line, and a line feed followed by whole lines, each of which ends with a line
feed. So a regular expression that begins with a line feed finds the first line, too.

A line longer than LONGEST_LINE is the last one of its block and appears as its beginning followed by CUT: it is not
what was written, and CUT at its end prevents that it passes for the record of a request. Its end is only searched for
when the block after it is asked for.

A byte order mark at the beginning appears as empty lines of the same length, so that it hides no record.
"""

from __future__ import annotations

import errno
import os
import typing as t

BLOCK = 4 << 20
LONGEST_LINE = 16 << 20
CUT = b" [...] (the rest of this line is left out, because it is longer than 16 MiB)"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# How much of a line that is too long is shown.
_SHOWN = 64 << 10
_STEP = 64 << 10


class Truncated(Exception):
    """The file is shorter than it was, or its lines are not where they were."""


def file_blocks(descriptor: int, start: int, end: int, total: int, size: int) -> t.Iterator[tuple[int, bytes]]:
    """Return blocks of at most `size` bytes (or one line) with the lines that begin in [start, end).

    `size`: at most LONGEST_LINE. `total`: the size of the file as far as it counts. The last line is complete, also if
    it ends after `end`. So [a, b) and [b, c) together contain each line that begins in [a, c) exactly once.
    Raises Truncated.
    """
    end = min(end, total)
    position = _next_line(descriptor, start, end)
    while position < end:
        # What follows the last line feed of the file is a line as well.
        stop = (
            total
            if total <= min(position + size, end)
            else _last_boundary(descriptor, position, min(position + size, end))
        )
        if stop is not None:
            yield position, _whole_lines(descriptor, position, stop)
        else:
            stop = _line_end(descriptor, min(position + size, end), min(total, position + LONGEST_LINE + 1))
            if stop - position <= LONGEST_LINE:
                yield position, _whole_lines(descriptor, position, stop)
            else:
                yield position, b"\n" + _read(descriptor, position, min(position + _SHOWN, stop)) + CUT + b"\n"
                stop = _line_end(descriptor, stop, end)
        position = stop


def stream_blocks(read: t.Callable[[int], bytes], start: int, end: int, size: int) -> t.Iterator[tuple[int, bytes]]:
    """Return the blocks of a stream that can only be read from its beginning; otherwise as file_blocks.

    `read` returns at most the given number of bytes, and b"" at the end; what it raises is passed on.
    """
    for offset, text in _stream_lines(read, size):
        if offset >= end:
            return
        skipped = 0
        if offset < start:
            skipped = text.find(b"\n", start - 1 - offset) + 1
            if skipped in (0, len(text)) or offset + skipped >= end:
                continue
        stop = text.find(b"\n", end - 1 - offset) + 1 or len(text)
        yield offset + skipped, b"\n" + text[skipped:stop]


def _stream_lines(read: t.Callable[[int], bytes], size: int) -> t.Iterator[tuple[int, bytes]]:
    """Return all lines of the stream in blocks without the line feed at the beginning."""
    offset, rest = 0, b""
    for data in iter(lambda: read(size), b""):
        rest += data
        if offset == 0 and rest.startswith(_BYTE_ORDER_MARK):
            rest = b"\n" * len(_BYTE_ORDER_MARK) + rest[len(_BYTE_ORDER_MARK) :]
        if len(rest) > LONGEST_LINE and not 0 < rest.find(b"\n") + 1 <= LONGEST_LINE:
            yield offset, rest[:_SHOWN] + CUT + b"\n"
            length, rest = _skip_line(rest, read, size)
            offset += length
        stop = rest.rfind(b"\n") + 1
        if stop:
            yield offset, rest[:stop]
            offset, rest = offset + stop, rest[stop:]
    if rest:
        yield offset, rest + b"\n"


def _skip_line(rest: bytes, read: t.Callable[[int], bytes], size: int) -> tuple[int, bytes]:
    """Return the length of the line with which `rest` begins, and what was read behind it."""
    length = 0
    while True:
        found = rest.find(b"\n") + 1
        if found:
            return length + found, rest[found:]
        length += len(rest)
        rest = read(size)
        if not rest:
            return length, b""


def _next_line(descriptor: int, start: int, end: int) -> int:
    """Return the first offset from `start` on at which a line begins; `end` if there is none before it."""
    if start <= 0:
        return 0
    return _line_end(descriptor, start, end)


def _line_end(descriptor: int, position: int, end: int) -> int:
    """Return the offset behind the first line feed from `position - 1` on; `end` if there is none before it."""
    position -= 1
    while position < end:
        data = _read(descriptor, position, min(position + _STEP, end))
        found = data.find(b"\n")
        if found >= 0:
            return position + found + 1
        position = _next_data(descriptor, position + len(data), end)
    return end


def _next_data(descriptor: int, position: int, end: int) -> int:
    """Return the first offset from `position` on that is in no hole of a sparse file: a hole contains no line feed."""
    try:
        return min(os.lseek(descriptor, position, os.SEEK_DATA), end)
    except OSError as error:
        # Not every file system knows its holes.
        return end if error.errno == errno.ENXIO else position


def _last_boundary(descriptor: int, start: int, end: int) -> int | None:
    """Return the last offset in (start, end] at which a line begins or the text ends; None if there is none."""
    step, upper = 4 << 10, end
    while upper > start:
        lower = max(start, upper - step)
        found = _read(descriptor, lower, upper).rfind(b"\n")
        if found >= 0:
            return lower + found + 1
        upper, step = lower, _STEP
    return None


def _whole_lines(descriptor: int, start: int, stop: int) -> bytes:
    # The line feed before the first line is read together with it: adding it would copy the block.
    text = _read(descriptor, start - 1, stop) if start else b"\n" + _read(descriptor, 0, stop)
    if text[:1] != b"\n":
        raise Truncated
    return text if text.endswith(b"\n") else text + b"\n"


def _read(descriptor: int, start: int, stop: int) -> bytes:
    data = os.pread(descriptor, stop - start, start)
    while len(data) < stop - start:
        more = os.pread(descriptor, stop - start - len(data), start + len(data))
        if not more:
            raise Truncated
        data += more
    if start < len(_BYTE_ORDER_MARK) and os.pread(descriptor, len(_BYTE_ORDER_MARK), 0) == _BYTE_ORDER_MARK:
        hidden = len(_BYTE_ORDER_MARK[start:stop])
        data = b"\n" * hidden + data[hidden:]
    return data
