# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An export as one archive file. It contains one directory with the name of the file, the manifest first."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import sys
import tarfile
import time
import typing as t
import zipfile
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    Manifest,
)

ENDINGS = {"tar.gz": ".tar.gz", "zip": ".zip"}
# The header of the first file.
_ZIP = b"PK\x03\x04"
_PIECE = 1 << 20
# The rest that is not unpacked yet is copied each time.
_PACKED_PIECE = 1 << 14
# More than the best compression of deflate, which is 1032 to 1.
_LARGEST_RATIO = 1100
# In bytes: the longest path, and a list of about 2,000,000 entries.
_LONGEST_HEADER, _LONGEST_LIST = 1 << 14, 1 << 28
# The largest size after each type of header.
_LARGEST_AFTER = {tarfile.REGTYPE: sys.maxsize, tarfile.XHDTYPE: _LONGEST_HEADER}
_MODE = 0o600
# What the libraries raise for files that are not archives, truncated or damaged.
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError),
    *(RuntimeError, ValueError, OverflowError, LookupError, struct.error),
)


def write_archive(kind: str, directory: int, manifest: Manifest, file: t.IO[bytes], name: str) -> None:
    """Write an archive with the manifest and its files to `file`.

    The files are in the open `directory`, a descriptor. `kind` is one of ENDINGS, `name` the name of the directory in
    the archive. All modes in the archive are private, and it does not contain the name of the owner. Raises OSError.
    """
    members = [MANIFEST, *(found.path for found in manifest.files)]
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for member in members:
                with _opened(member, directory) as content:
                    _add(archive, _zip_entry(f"{name}/{member}", os.fstat(content.fileno())), content)
    else:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
            for member in members:
                with _opened(member, directory) as content:
                    tar.addfile(_tar_entry(f"{name}/{member}", os.fstat(content.fileno())), content)
    file.flush()
    os.fsync(file.fileno())


def read_manifest(file: t.IO[bytes]) -> Manifest:
    """Return the manifest of the archive in `file`, which is at its beginning.

    Raises ValueError if it is not the archive of an export, and OSError.
    """
    try:
        if _is_zip(file):
            with _opened_zip(file) as archive:
                [entry] = [entry for entry in _entries(archive) if _inside(entry.filename) == MANIFEST]
                with archive.open(entry) as text:
                    return Manifest.read(text, entry.file_size)
        with _opened_tar(_Unpacked(file)) as tar:
            first = tar.next()
            content = tar.extractfile(first) if first and _inside(first.name) == MANIFEST else None
            if first is None or content is None:
                raise ValueError("no manifest")
            return Manifest.read(content, first.size)
    except _DAMAGED as error:
        raise ValueError("not an archive") from error
    except OSError as error:
        if _is_of_disk(error):
            raise
        raise ValueError("not an archive") from error


def is_whole(file: t.IO[bytes], sizes: t.Mapping[str, int]) -> bool:
    """Return whether the archive is undamaged and contains a manifest and exactly the files in `sizes` (bytes by path).

    `file` is at its beginning. It is read completely, but not more than such files can contain. Raises OSError.
    """
    if sum(sizes.values()) > os.fstat(file.fileno()).st_size * _LARGEST_RATIO + _PIECE:
        return False
    try:
        return _is_whole_zip(file, sizes) if _is_zip(file) else _is_whole_tar(file, sizes)
    except _DAMAGED:
        return False
    except OSError as error:
        if _is_of_disk(error):
            raise
        return False


def _is_zip(file: t.IO[bytes]) -> bool:
    """Return whether it begins like a zip, whatever its files contain. Leaves it at its beginning."""
    beginning = file.read(len(_ZIP))
    file.seek(0)
    return beginning == _ZIP


def _is_whole_zip(file: t.IO[bytes], sizes: t.Mapping[str, int]) -> bool:
    expected = _Expected(sizes)
    with _opened_zip(file) as archive:
        for entry in _entries(archive):
            expected.meet(entry.filename, entry.file_size)
        return expected.are_met() and archive.testzip() is None


def _opened_zip(file: t.IO[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(t.cast("t.IO[bytes]", _ReadInPieces(file)))


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return its entries. Raises ValueError for other compressions than that of an export: they raise other errors."""
    if any(entry.compress_type != zipfile.ZIP_DEFLATED for entry in archive.infolist()):
        raise ValueError("another compression")
    return archive.infolist()


def _is_whole_tar(file: t.IO[bytes], sizes: t.Mapping[str, int]) -> bool:
    expected, stream = _Expected(sizes), _Unpacked(file)
    with _opened_tar(stream) as tar:
        for entry in tar:
            # Before tarfile continues at the position that the size leads to.
            expected.meet(entry.name, entry.size)
    # The checksum is at the end, after the padding of the last record.
    after = len(stream.read(tarfile.RECORDSIZE))
    while after <= tarfile.RECORDSIZE and not stream.ended:
        after += len(stream.read(tarfile.RECORDSIZE))
    return expected.are_met() and after <= tarfile.RECORDSIZE


def _opened_tar(stream: _Unpacked) -> tarfile.TarFile:
    # Not "r|gz", which raises errors of many types for damaged headers.
    return tarfile.open(fileobj=t.cast("t.IO[bytes]", stream), mode="r|", tarinfo=_Header)


class _Expected:
    """The files that must be in an archive, each once, and the manifest."""

    def __init__(self, sizes: t.Mapping[str, int]) -> None:
        self._left: dict[str, int | None] = {**sizes, MANIFEST: None}

    def meet(self, name: str, size: int) -> None:
        """Register an entry. Raises ValueError if it is not expected."""
        path = _inside(name)
        if path not in self._left:
            raise ValueError("an unexpected entry")
        expected = self._left.pop(path)
        if not (0 <= size <= LARGEST_MANIFEST if expected is None else size == expected):
            raise ValueError("another size")

    def are_met(self) -> bool:
        """Return whether all of them were registered."""
        return not self._left


class _Header(tarfile.TarInfo):
    """A header as `write_archive` writes it: of a file, or a short extended header for a long name."""

    def _proc_member(self, tarfile: tarfile.TarFile) -> _Header:
        """Continue after a header, a hook of tarfile. Raises ValueError for any other type of header.

        tarfile would read some of those into memory, or follow them without end.
        """
        if not 0 <= self.size <= _LARGEST_AFTER.get(self.type, -1):
            raise ValueError("another type of header")
        beyond: t.Any = super()
        return t.cast("_Header", beyond._proc_member(tarfile))


class _Unpacked:
    """The content of a gzip for tarfile, which would otherwise read without end after the end."""

    def __init__(self, file: t.IO[bytes]) -> None:
        self.ended = False
        self._file = file
        self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or no bytes at the end, but only once.

        Raises EOFError if the gzip is truncated, or for the second read at the end; ValueError if data follows it;
        zlib.error if it is damaged; OSError.
        """
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._file.read(_PACKED_PIECE)
            unpacked = self._unpacker.decompress(packed, size)
            if unpacked:
                return unpacked
            if not packed:
                raise EOFError("truncated")
        if self.ended:
            raise EOFError("nothing more")
        if self._unpacker.unused_data or self._file.read(1):
            raise ValueError("data after the end")
        self.ended = True
        return b""


class _ReadInPieces:
    """A file for zipfile, which would otherwise read any length that the end of an archive claims into memory."""

    def __init__(self, file: t.IO[bytes]) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int = -1) -> bytes:
        """Raises ValueError for more than the longest list of entries."""
        if size > _LONGEST_LIST:
            raise ValueError("too long for an archive")
        return self._file.read(size)

    def seekable(self) -> bool:
        """Return that it supports any position."""
        return True


def _is_of_disk(error: OSError) -> bool:
    """Return whether it is an error of the disk, not of an archive with a position before the start of the file."""
    return error.errno not in (None, errno.EINVAL)


def _inside(name: str) -> str:
    return name.partition("/")[2]


def _opened(path: str, directory: int) -> t.IO[bytes]:
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory), "rb")


def _add(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, content: t.IO[bytes]) -> None:
    with archive.open(entry, "w") as packed:
        shutil.copyfileobj(content, packed, _PIECE)


def _tar_entry(name: str, status: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), _MODE
    return entry


def _zip_entry(name: str, status: os.stat_result) -> zipfile.ZipInfo:
    # The format does not support earlier or later years.
    year, *rest = time.localtime(status.st_mtime)[:6]
    entry = zipfile.ZipInfo(name, (min(max(year, 1980), 2107), rest[0], rest[1], rest[2], rest[3], rest[4]))
    entry.compress_type = zipfile.ZIP_DEFLATED
    # It determines whether the entry needs the format for large files.
    entry.file_size = status.st_size
    entry.external_attr = (stat.S_IFREG | _MODE) << 16
    return entry
