# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib
import tarfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    HEADER,
    MANIFEST,
    PIECE,
    PIECE_OF_DATABASE,
    Attributes,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup.made_archive import (
    HEADER_OF_TEST,
    manifest,
)


def _write(path: pathlib.Path, pieces: list[bytes]) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with ArchiveWriter(descriptor, 0) as writer:
            writer.add_json(HEADER, HEADER_OF_TEST)
            number = writer.add_database(pieces)
            writer.add_json(MANIFEST, manifest({}, chunks=number))
            writer.finish()
            assert writer.size == os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    return number


@pytest.mark.parametrize(
    ("sizes", "members"),
    [
        ([], 0),
        ([1], 1),
        ([PIECE_OF_DATABASE], 1),
        ([PIECE_OF_DATABASE, 1], 2),
        ([PIECE] * 33, 3),
        ([2 * PIECE_OF_DATABASE + 1], 3),
    ],
)
def test_the_database_is_cut_into_members(tmp_path: pathlib.Path, sizes: list[int], members: int) -> None:
    assert _write(tmp_path / "a.tar", [bytes(size) for size in sizes]) == members
    prove_archive(str(tmp_path / "a.tar"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        stored = [member.size for member in tar if member.name.startswith("database/")]
    assert sum(stored) == sum(sizes)
    assert max(stored, default=0) <= PIECE_OF_DATABASE


@pytest.mark.parametrize("size", [0, 1, 511, 512, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_file_is_stored(tmp_path: pathlib.Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    done = 0

    def report(number: int) -> None:
        nonlocal done
        done += number

    target = os.open(tmp_path / "a.tar", os.O_WRONLY | os.O_CREAT, 0o600)
    source = os.open(tmp_path / "file", os.O_RDONLY)
    with ArchiveWriter(target, 0) as writer:
        assert writer.add_file("media/0/file", source, Attributes(), report) == size
        writer.finish()
    os.close(source)
    os.close(target)
    with tarfile.open(tmp_path / "a.tar") as tar:
        stored = tar.extractfile("media/0/file")
        assert stored is not None
        assert stored.read() == content
    assert done == size


def test_a_file_that_is_cut_off_meanwhile_is_filled(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (3 * PIECE))
    target = os.open(tmp_path / "a.tar", os.O_WRONLY | os.O_CREAT, 0o600)
    source = os.open(path, os.O_RDONLY)
    with ArchiveWriter(target, 0) as writer:
        size = writer.add_file("media/0/file", source, Attributes(), lambda _size: os.truncate(path, PIECE))
        writer.add("media/0/next", b"next")
        writer.finish()
    os.close(source)
    os.close(target)
    assert size == 3 * PIECE
    with tarfile.open(tmp_path / "a.tar") as tar:
        stored, following = tar.extractfile("media/0/file"), tar.extractfile("media/0/next")
        assert stored is not None and following is not None
        assert stored.read() == b"x" * PIECE + bytes(2 * PIECE)
        assert following.read() == b"next"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_disk_is_an_error() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError) as raised, ArchiveWriter(descriptor, 0) as writer:
            for number in range(100):
                writer.add(f"media/0/{number}", bytes(PIECE))
            writer.finish()
    finally:
        os.close(descriptor)
    assert raised.value.errno == errno.ENOSPC
