# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import (
    Damaged,
    Source,
    header_of,
    read_entry,
)


@pytest.mark.parametrize(
    ("name", "size", "owner"),
    [
        ("media/0/a", 0, "root"),
        ("m" * 100, 1, "a" * 31),
        ("m" * 101, 1, "root"),
        ("media/0/ä", 7, "root"),
        ("media/0/b", 8**11, "root"),
        ("media/0/\udcff", 3, "jörg"),
        ("media/0/c", 5, "a" * 40),
    ],
)
def test_tar_reads_the_header(name: str, size: int, owner: str) -> None:
    header = header_of(name, size, Attributes(0o640, owner, "users", 1_700_000_000))
    assert len(header) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024)), errors="surrogateescape") as tar:
        found = tar.next()
    assert found is not None
    assert (found.name, found.size, found.mode, found.mtime) == (name, size, 0o640, 1_700_000_000)
    assert (found.uname, found.gname, found.type) == (owner, "users", tarfile.REGTYPE)
    entry = read_entry(Source(io.BytesIO(header)))
    assert entry == (name, size, 0o640, owner, "users", 1_700_000_000)


@pytest.mark.parametrize("place", range(512))
def test_a_flipped_byte_of_a_header_is_found(place: int) -> None:
    header = bytearray(header_of("media/0/a", 3, Attributes()))
    header[place] ^= 0x20
    with pytest.raises(Damaged):
        read_entry(Source(io.BytesIO(header)))


@pytest.mark.parametrize("record", [b"", b"5 a=b\n", b"99 path=x\n", b"7 path=x", b"path=x\n", b"14 size=-00001\n"])
def test_a_damaged_extended_header_is_found(record: bytes) -> None:
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, len(record)
    header = entry.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512) + header_of("a", 1, Attributes())
    with pytest.raises(Damaged):
        read_entry(Source(io.BytesIO(header)))


@pytest.mark.parametrize(
    ("record", "is_valid"),
    [
        (b"29 mtime=9223372036854775807\n", True),
        (b"30 mtime=-9223372036854775808\n", True),
        # os.utime and os.read would not accept them.
        (b"29 mtime=9223372036854775808\n", False),
        (b"28 size=9223372036854775808\n", False),
        (b"13 mtime=1.5\n", False),
    ],
)
def test_numbers_that_the_kernel_does_not_have(record: bytes, is_valid: bool) -> None:
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, len(record)
    header = entry.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512) + header_of("a", 1, Attributes())
    if is_valid:
        assert read_entry(Source(io.BytesIO(header)))
        return
    with pytest.raises(Damaged, match="a header in it is not valid"):
        read_entry(Source(io.BytesIO(header)))


def test_a_very_long_extended_header_is_not_read_into_memory() -> None:
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, 2**33 - 1
    with pytest.raises(Damaged, match="too long"):
        read_entry(Source(io.BytesIO(entry.tobuf(tarfile.USTAR_FORMAT))))


def test_the_end() -> None:
    assert read_entry(Source(io.BytesIO(bytes(512)))) is None
    with pytest.raises(Damaged, match="ends too early"):
        read_entry(Source(io.BytesIO(bytes(511))))
