# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import os
import pathlib
import random
import signal
import struct
import tarfile
import typing as t
import zipfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.archive import is_whole, read_manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import (
    LARGEST_MANIFEST,
    File,
    Manifest,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import MANIFEST

TEXT = MANIFEST.to_json().encode()
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "2"}


@contextlib.contextmanager
def in_time() -> t.Iterator[None]:
    """Fail if the block takes longer than any case here."""

    def fail(*_details: t.Any) -> t.NoReturn:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def entry(
    name: str, content: bytes, size: int | None = None, kind: bytes = b"0", pax: dict[str, str] | None = None
) -> bytes:
    """Return a tar entry that claims to have `size` bytes."""
    info = tarfile.TarInfo(f"alice/{name}")
    info.size, info.type, info.pax_headers = len(content) if size is None else size, kind, pax or {}
    packed = info.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)
    return packed + content + bytes(-len(content) % 512)


def packed(*entries: bytes) -> bytes:
    raw = b"".join(entries) + bytes(1024)
    return gzip.compress(raw + bytes(-len(raw) % tarfile.RECORDSIZE))


def zipped(*entries: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(f"alice/{name}", content)
    return file.getvalue()


def of_size(size: int) -> Manifest:
    """Return the manifest of an export that contains one file."""
    return dataclasses.replace(MANIFEST, files=[File("profile", size, "0" * 64, "text/plain")])


def whole(path: pathlib.Path, content: bytes, manifest: Manifest = MANIFEST) -> bool:
    path.write_bytes(content)
    with in_time(), path.open("rb") as file:
        return is_whole(file, manifest.sizes)


def read(path: pathlib.Path, content: bytes) -> Manifest:
    path.write_bytes(content)
    with in_time(), path.open("rb") as file:
        return read_manifest(file)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "archive"


FIRST = entry("manifest.json", TEXT)
PROFILE = entry("profile", b"{}")


def test_as_made_here(path: pathlib.Path) -> None:
    for content in (packed(FIRST, PROFILE), zipped(("manifest.json", TEXT), ("profile", b"{}"))):
        assert read(path, content) == MANIFEST and whole(path, content)


@pytest.mark.parametrize(
    "hostile",
    [
        *(entry("profile", b"", size) for size in (1 << 86, 1 << 60, -(1 << 86), -1)),
        *(entry("profile", b"{}", kind=kind) for kind in (b"1", b"2", b"5", b"6", b"S", b"7", b"Z")),
        *(entry("long", b"", 1 << 86, kind) for kind in (b"x", b"g", b"L", b"K")),
        entry("long", bytes(1 << 20), kind=b"x"),
        entry("profile", b"{}", pax={"size": "9" * 40}),
        entry("profile", b"{}", pax={"size": "-512"}),
        entry("profile", b"{}", pax=SPARSE),
        entry("profile", b"9\n0\n", pax=SPARSE),
        entry("other", b"{}"),
        b"",
    ],
)
def test_tar_with_a_hostile_entry_is_not_whole(path: pathlib.Path, hostile: bytes) -> None:
    assert not whole(path, packed(FIRST, hostile))
    assert not whole(path, packed(FIRST, hostile, PROFILE)) or not hostile
    with contextlib.suppress(ValueError):
        read(path, packed(hostile, FIRST))


@pytest.mark.parametrize("size", [1 << 86, LARGEST_MANIFEST + 1, -1, -(1 << 86)])
def test_manifest_of_a_hostile_size(path: pathlib.Path, size: int) -> None:
    content = packed(entry("manifest.json", TEXT, size))
    with pytest.raises(ValueError):
        read(path, content)
    assert not whole(path, content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_each_file_is_there_once(path: pathlib.Path) -> None:
    for content in (
        packed(FIRST, PROFILE, PROFILE),
        packed(FIRST, FIRST, PROFILE),
        packed(FIRST),
        packed(PROFILE),
        zipped(("manifest.json", TEXT), ("profile", b"{}"), ("profile", b"{}")),
        zipped(("manifest.json", TEXT), ("profile", b"{}"), ("other", b"{}")),
        zipped(("manifest.json", TEXT), ("profile", b"{ }")),
        zipped(("manifest.json", TEXT)),
        zipped(("profile", b"{}")),
    ):
        assert not whole(path, content)


@pytest.mark.parametrize("size", [2, 512, 1 << 20])
def test_tar_that_ends_before_its_last_file_does(path: pathlib.Path, size: int) -> None:
    assert not whole(path, gzip.compress(FIRST + entry("profile", b"", size)), of_size(size))
    assert not whole(path, gzip.compress(FIRST + entry("profile", bytes(size))), of_size(size))
    assert whole(path, packed(FIRST, entry("profile", bytes(size))), of_size(size))


def test_nothing_follows_a_gzip(path: pathlib.Path) -> None:
    content = packed(FIRST, PROFILE)
    for more in (b"\0", b"more", content, gzip.compress(b"")):
        assert not whole(path, content + more)
    assert not whole(path, gzip.compress(gzip.decompress(content) + bytes(1 << 20)))
    # Reading it byte by byte would take weeks.
    path.write_bytes(content)
    os.truncate(path, 1 << 40)
    with in_time(), path.open("rb") as file:
        assert not is_whole(file, MANIFEST.sizes)
    path.write_bytes(gzip.compress(b"mine"))
    os.truncate(path, 1 << 40)
    with in_time(), path.open("rb") as file, pytest.raises(ValueError):
        read_manifest(file)


def test_more_than_such_an_archive_can_hold_is_not_unpacked(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(_archive: zipfile.ZipFile) -> t.NoReturn:
        raise AssertionError("it is unpacked")

    content, size = zipped(("manifest.json", TEXT), ("profile", b"")), (1 << 32) - 2
    # The same as in the list at the end.
    claimed = content.replace(struct.pack("<II", 2, 0), struct.pack("<II", 2, size))
    assert claimed != content
    monkeypatch.setattr(zipfile.ZipFile, "testzip", unpack)
    assert not whole(path, claimed, of_size(size))
    huge = zipped(("manifest.json", b""), ("profile", b"{}")).replace(
        struct.pack("<II", 2, 0), struct.pack("<II", 2, size)
    )
    assert not whole(path, huge)


class Modest(io.FileIO):
    """A file that must not be asked for so much that it would fill the memory."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is None or size <= 1 << 28
        return super().read(size)


def test_zip_that_claims_a_huge_list(path: pathlib.Path) -> None:
    content = zipped(("manifest.json", TEXT), ("profile", b"{}"))
    position, size = content.rindex(b"PK\x05\x06"), (1 << 32) - 2
    with path.open("wb") as file:
        file.write(content[:position])
        file.truncate(1 << 33)
        file.seek(0, os.SEEK_END)
        file.write(content[position : position + 12] + struct.pack("<II", size, position) + bytes(2))
    with in_time(), Modest(path) as opened, pytest.raises(ValueError):
        read_manifest(opened)
    with in_time(), Modest(path) as opened:
        assert not is_whole(opened, MANIFEST.sizes)


def test_any_headers_and_any_bytes_end_in_an_answer(path: pathlib.Path) -> None:
    chosen = random.Random(3)
    raw = gzip.decompress(packed(FIRST, entry("profile", b"{}", pax={"path": "alice/profile", "size": "2"})))
    heads = [position for position in range(0, len(raw), 512) if raw[position + 257 : position + 262] == b"ustar"]
    for number in range(600):
        changed, head = bytearray(raw), chosen.choice(heads)
        if number % 3 == 0:
            changed[head + 124 : head + 136] = bytes(chosen.randrange(256) for _byte in range(12))
        elif number % 3 == 1:
            changed[head + 156] = chosen.randrange(256)
        changed[chosen.randrange(len(changed))] = chosen.randrange(256)
        changed[head + 148 : head + 156] = b" " * 8
        changed[head + 148 : head + 156] = b"%06o\0 " % sum(changed[head : head + 512])
        content = gzip.compress(bytes(changed), 1)
        whole(path, content)
        with contextlib.suppress(ValueError):
            read(path, content)
