# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import threading

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import PIECE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.writing import HashingWriter, flushed


def test_pieces_are_written_in_order_and_hashed() -> None:
    found: list[tuple[str, bytes]] = []
    descriptor = os.memfd_create("written")
    try:
        with HashingWriter(descriptor, lambda name, digest: found.append((name, digest))) as writer:
            for number in range(2000):
                writer.put(b"header", content=False)
                writer.put(b"%d" % number * 100, content=True)
                writer.put(b"end", content=True, end_of=str(number))
            writer.flush()
            assert writer.written == os.fstat(descriptor).st_size
        content = b"".join(b"header" + b"%d" % number * 100 + b"end" for number in range(2000))
        assert os.pread(descriptor, len(content) + 1, 0) == content
    finally:
        os.close(descriptor)
    expected = [(str(number), hashlib.sha256(b"%d" % number * 100 + b"end").digest()) for number in range(2000)]
    assert found == expected


def test_a_reader_that_ends_is_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(BrokenPipeError), HashingWriter(writing, lambda _name, _digest: None) as writer:
            for _number in range(100):
                writer.put(bytes(PIECE))
            writer.flush()
    finally:
        os.close(writing)


def test_an_error_of_the_caller_ends_the_threads() -> None:
    descriptor = os.memfd_create("written")
    try:
        with pytest.raises(RuntimeError), HashingWriter(descriptor, lambda _name, _digest: None) as writer:
            writer.put(bytes(PIECE))
            raise RuntimeError
    finally:
        os.close(descriptor)


def test_a_descriptor_that_cannot_be_written() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        with pytest.raises(OSError) as raised, HashingWriter(descriptor, lambda _name, _digest: None) as writer:
            writer.put(b"x")
    finally:
        os.close(descriptor)
    assert raised.value.errno == errno.EBADF


def test_a_file_is_on_the_disk_after_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    calls: list[str] = []
    advised: list[tuple[int, ...]] = []
    during = threading.Event()
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT, 0o600)

    def flush(_descriptor: int) -> None:
        calls.append("during")
        during.set()

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: calls.append("end"))
    monkeypatch.setattr(os, "posix_fadvise", lambda _descriptor, *advice: advised.append(advice))
    with flushed(descriptor):
        assert during.wait(10)
    os.close(descriptor)
    assert calls[-1] == "end"
    assert set(calls[:-1]) == {"during"}
    # Each time that it is on the disk, it leaves the memory.
    assert advised == [(0, 0, os.POSIX_FADV_DONTNEED)] * len(calls)


def test_an_error_of_the_disk_is_raised_at_the_end() -> None:
    descriptor = os.open("/dev/null", os.O_WRONLY)
    with pytest.raises(OSError), flushed(descriptor):
        os.close(descriptor)


def test_an_error_that_the_disk_reports_once(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    during = threading.Event()

    def flush(_descriptor: int) -> None:
        during.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", flush)
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT, 0o600)
    with pytest.raises(OSError, match="Input/output error"), flushed(descriptor):
        assert during.wait(10)
    os.close(descriptor)
