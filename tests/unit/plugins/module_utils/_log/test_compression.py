# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compressed files: recognised by their content, and damage told in one sentence."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.compression import compression_of, decompressed

if t.TYPE_CHECKING:
    from pathlib import Path

TEXT = b"".join(b"%d is a line\n" % number for number in range(20000))
COMPRESS: dict[str, t.Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def text_of(path: Path, content: bytes, kind: str) -> bytes:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with decompressed(descriptor, "/var/log/x", kind) as read:
            return b"".join(iter(lambda: read(10000), b""))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", COMPRESS)
def test_that_a_compressed_file_is_read(tmp_path: Path, kind: str) -> None:
    content = COMPRESS[kind](TEXT)
    assert compression_of(content[:10]) == kind
    assert text_of(tmp_path / "x", content, kind) == TEXT
    # Several compressed files put together are one.
    assert text_of(tmp_path / "x", content + COMPRESS[kind](b"more"), kind) == TEXT + b"more"


def test_that_text_is_not_compressed() -> None:
    assert compression_of(b"") == ""
    assert compression_of(b"2026-11-28 ...") == ""


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("length", [12, -1, -4, -9, -5000])
def test_that_an_incomplete_file_is_an_error(tmp_path: Path, kind: str, length: int) -> None:
    with pytest.raises(SynapseError) as caught:
        text_of(tmp_path / "x", COMPRESS[kind](TEXT)[:length], kind)
    assert str(caught.value).startswith("/var/log/x is incomplete: ")


@pytest.mark.parametrize("kind", COMPRESS)
def test_that_a_damaged_file_is_an_error(tmp_path: Path, kind: str) -> None:
    content = bytearray(COMPRESS[kind](TEXT))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(SynapseError) as caught:
        text_of(tmp_path / "x", bytes(content), kind)
    assert "/var/log/x is " in str(caught.value)


def test_that_garbage_after_the_compressed_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SynapseError, match="/var/log/x is damaged"):
        text_of(tmp_path / "x", gzip.compress(TEXT) + b"garbage", "gzip")


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x1f\x9d", b"PK\x03\x04"])
def test_that_a_compression_which_python_does_not_read_is_named(tmp_path: Path, magic: bytes) -> None:
    kind = compression_of(magic + b"...")
    with pytest.raises(SynapseError, match=f"is compressed with {kind}, which cannot be read here: unpack it first"):
        text_of(tmp_path / "x", magic, kind)


def test_that_a_missing_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This makes the import fail.
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(SynapseError, match="has no module lzma: unpack it first"):
        text_of(tmp_path / "x", lzma.compress(TEXT), "xz")


def test_that_damage_which_zlib_finds_is_an_error(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(TEXT))
    # No block of deflate has this type.
    content[10] |= 0b110
    with pytest.raises(SynapseError, match="^/var/log/x is damaged: its gzip data"):
        text_of(tmp_path / "x", bytes(content), "gzip")
