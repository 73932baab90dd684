# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of whole lines: each line exactly once, whatever the text and wherever it is divided."""

from __future__ import annotations

import io
import itertools
import os
import random
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import blocks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.blocks import (
    CUT,
    Truncated,
    file_blocks,
    stream_blocks,
)

if t.TYPE_CHECKING:
    from pathlib import Path

Blocks = list[tuple[int, bytes]]
Read = t.Callable[[bytes, int, int, int], Blocks]

TEXTS = [
    b"",
    b"a",
    b"\n",
    b"\n\n",
    b"a\n",
    b"a\nbb",
    b"a\nbb\n",
    b"\na\n\nbb\r\n\x0b\x1c\n",
    b"first line\nsecond\n\nthe fourth line is longer\nlast",
]


@pytest.fixture(params=["file", "stream"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Reads a text in both ways."""

    def from_file(text: bytes, start: int, end: int, size: int) -> Blocks:
        path = tmp_path / "log"
        path.write_bytes(text)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return list(file_blocks(descriptor, start, end, len(text), size))
        finally:
            os.close(descriptor)

    def from_stream(text: bytes, start: int, end: int, size: int) -> Blocks:
        return list(stream_blocks(io.BytesIO(text).read, start, end, size))

    return from_file if request.param == "file" else from_stream


def lines_of(found: Blocks) -> list[tuple[int, bytes]]:
    """The lines of blocks with their offsets. Checks the form of each block."""
    result = []
    for offset, block in found:
        assert block.startswith(b"\n") and block.endswith(b"\n") and len(block) > 1
        position = offset
        for line in block[1:-1].split(b"\n"):
            result.append((position, line))
            position += len(line) + 1
    return result


def expected_lines(text: bytes) -> list[tuple[int, bytes]]:
    offsets = itertools.accumulate((len(line) + 1 for line in text.split(b"\n")), initial=0)
    lines = list(zip(offsets, text.split(b"\n")))
    return lines if lines[-1][1] else lines[:-1]


@pytest.mark.parametrize("text", TEXTS)
def test_that_each_line_is_read_once_wherever_the_text_is_divided(read: Read, text: bytes) -> None:
    expected = expected_lines(text)
    for size in (1, 3, 7, 100):
        assert lines_of(read(text, 0, len(text), size)) == expected
    for first, second in itertools.combinations_with_replacement(range(len(text) + 2), 2):
        for size in (2, 100):
            parts = [read(text, *part, size) for part in ((0, first), (first, second), (second, len(text)))]
            assert sum(map(lines_of, parts), []) == expected, (first, second, size)


def test_that_a_part_contains_the_lines_that_begin_in_it(read: Read) -> None:
    text = b"aaaa\nbbbb\ncccc\n"
    assert lines_of(read(text, 0, 5, 100)) == [(0, b"aaaa")]
    assert lines_of(read(text, 0, 6, 100)) == [(0, b"aaaa"), (5, b"bbbb")]
    assert lines_of(read(text, 1, 5, 100)) == []
    assert lines_of(read(text, 5, 10, 100)) == [(5, b"bbbb")]
    assert lines_of(read(text, 6, 100, 100)) == [(10, b"cccc")]


def test_random_texts(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_STEP", 16)
    random.seed(20)
    for number in range(100):
        text = b"\n".join(b"x" * random.choice((0, 1, 5, 20, 100)) for line in range(random.randrange(40)))
        places = sorted(random.randrange(len(text) + 1) for place in range(4))
        parts = [read(text, *part, 30) for part in zip([0, *places], [*places, len(text)])]
        assert sum(map(lines_of, parts), []) == expected_lines(text), number


def test_that_blocks_are_not_longer_than_asked_for_unless_a_line_is(read: Read) -> None:
    found = read(b"a" * 10 + b"\n" + b"b\n" * 50, 0, 111, 8)
    assert found[0][1].startswith(b"\naaaaaaaaaa\n")
    # What follows it in the same piece of a stream is in one block with it.
    assert max(len(block) for offset, block in found) <= 1 + 8 + 11


@pytest.mark.parametrize("size", [10, 64, 100])
def test_that_a_line_which_is_too_long_is_cut(read: Read, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 100)
    monkeypatch.setattr(blocks, "_SHOWN", 7)
    text = b"one\n" + b"long " * 30 + b"\ntwo\nthree\n"
    found = read(text, 0, len(text), size)
    by_offset = dict(found)
    lines = b"".join(block[1:] for offset, block in found).split(b"\n")
    assert lines == [b"one", b"long lo" + CUT, b"two", b"three", b""]
    # What is after a line that was cut is found where it is.
    assert by_offset[text.index(b"two")].startswith(b"\ntwo\n")
    tail = read(text, 50, len(text), size)
    assert [line for offset, line in lines_of(tail)] == [b"two", b"three"]
    assert lines_of(tail)[0][0] == text.index(b"two")


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_that_a_last_line_which_is_too_long_is_cut(read: Read, monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 100)
    monkeypatch.setattr(blocks, "_SHOWN", 7)
    text = b"one\n" + b"x" * 200 + ending
    assert [line for offset, line in lines_of(read(text, 0, len(text), 16))][1].endswith(CUT)


def test_that_the_end_of_a_line_which_is_too_long_is_only_searched_for_when_more_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 100)
    text = b"one\n" + b"x" * 5000 + b"\ntwo\n"
    source = io.BytesIO(text)
    for offset, block in stream_blocks(source.read, 0, len(text), 16):
        if offset == 4:
            assert block.endswith(CUT + b"\n") and source.tell() < 200
    path = tmp_path / "log"
    path.write_bytes(text)
    with path.open("rb") as opened:
        found = file_blocks(opened.fileno(), 0, len(text), len(text), 16)
        assert [next(found)[0], next(found)[0]] == [0, 4]
        monkeypatch.setattr(os, "pread", None)
        with pytest.raises(TypeError):
            next(found)


def test_that_holes_of_a_sparse_file_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    with path.open("wb") as written:
        written.write(b"one\n")
        written.seek(20 << 30)
        written.write(b"\ntwo\n")
        written.truncate(40 << 30)
    read: list[int] = []
    pread = os.pread

    def count(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    with path.open("rb") as opened:
        try:
            os.lseek(opened.fileno(), 4096, os.SEEK_DATA)
        except OSError:
            pytest.skip("This file system does not tell where the holes of a file are.")
        monkeypatch.setattr(os, "pread", count)
        found = file_blocks(opened.fileno(), 0, 40 << 30, 40 << 30, 1 << 20)
        lines = [line for offset, block in found for line in block[1:-1].split(b"\n")]
    assert [line for line in lines if b"\0" not in line] == [b"one", b"two"]
    assert sum(read) < 200 << 20


@pytest.mark.parametrize("size", [1, 3, 100])
def test_that_a_byte_order_mark_hides_no_line(read: Read, size: int) -> None:
    text = b"\xef\xbb\xbfone\ntwo \xef\xbb\xbf\n\xef\xbb\xbfthree\n"
    lines = [(0, b""), (1, b""), (2, b""), (3, b"one"), (7, b"two \xef\xbb\xbf"), (15, b"\xef\xbb\xbfthree")]
    assert lines_of(read(text, 0, len(text), size)) == lines
    for start in range(1, len(text)):
        assert lines_of(read(text, start, len(text), size)) == [line for line in lines if line[0] >= start]


def test_that_what_is_appended_meanwhile_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")
    descriptor = os.open(path, os.O_RDONLY)
    assert list(file_blocks(descriptor, 0, 100, 8, 100)) == [(0, b"\none\ntwo\n")]
    os.close(descriptor)


def test_that_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")
    descriptor = os.open(path, os.O_RDONLY)
    found = file_blocks(descriptor, 0, 14, 14, 5)
    assert next(found) == (0, b"\none\n")
    path.write_bytes(b"new\n")
    with pytest.raises(Truncated):
        next(found)
    path.write_bytes(b"one\ntwo\nthree\n")
    found = file_blocks(descriptor, 0, 14, 14, 5)
    next(found)
    path.write_bytes(b"written again, and longer\n")
    with pytest.raises(Truncated):
        next(found)
    os.close(descriptor)
