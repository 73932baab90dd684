# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An export in one file: everything in a directory that is called as the file is, the manifest before the rest."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import struct
import tarfile
import time
import typing as t
import zipfile
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST, Manifest

ENDINGS = {"tar.gz": ".tar.gz", "zip": ".zip"}
# The header of the first file.
_ZIP = b"PK\x03\x04"
_LARGEST_MANIFEST = 1 << 30
_PIECE = 1 << 20
_MODE = 0o600
# What the libraries below raise for files that are no archives, cut off or damaged.
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile),
    *(RuntimeError, ValueError, OverflowError, struct.error),
)


def write_archive(kind: str, directory: int, manifest: Manifest, file: t.IO[bytes], name: str) -> None:
    """Put the files of the manifest, and it itself, into an archive, which is written to `file`.

    They are in the open `directory`, a descriptor. `kind` is one of ENDINGS, `name` what the directory in the archive
    is called. In it everything is for its owner alone, and nothing tells who made it. Raises OSError.
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
    """Return what the archive in `file`, at its beginning, says of itself.

    Raises ValueError if it is not that of an export, and OSError.
    """
    try:
        if _is_zip(file):
            with zipfile.ZipFile(file) as archive:
                [entry] = [entry for entry in _entries(archive) if _inside(entry.filename) == MANIFEST]
                if entry.file_size > _LARGEST_MANIFEST:
                    raise ValueError("too long for a manifest")
                return Manifest.from_json(archive.read(entry).decode())
        # Not by "r|gz", which stumbles over damaged headers with errors of all kinds.
        with gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            first = tar.next()
            content = tar.extractfile(first) if first and _inside(first.name) == MANIFEST else None
            if first is None or content is None or first.size > _LARGEST_MANIFEST:
                raise ValueError("no manifest")
            return Manifest.from_json(content.read().decode())
    except _DAMAGED as error:
        raise ValueError("not an archive") from error
    except OSError as error:
        if _is_of_disk(error):
            raise
        raise ValueError("not an archive") from error


def read_sizes(file: t.IO[bytes]) -> dict[str, int] | None:
    """Return the size in bytes of every file in the archive, without the manifest, or None if it is damaged.

    `file` is at its beginning. Everything in it is read. Raises OSError.
    """
    try:
        sizes = _read_zip(file) if _is_zip(file) else _read_tar(file)
    except _DAMAGED:
        return None
    except OSError as error:
        if _is_of_disk(error):
            raise
        return None
    if sizes is not None:
        sizes.pop(MANIFEST, None)
    return sizes


def _is_zip(file: t.IO[bytes]) -> bool:
    """Whether it begins like a zip, whatever the files in it look like. Leaves it at its beginning."""
    beginning = file.read(len(_ZIP))
    file.seek(0)
    return beginning == _ZIP


def _read_zip(file: t.IO[bytes]) -> dict[str, int] | None:
    with zipfile.ZipFile(file) as archive:
        entries = _entries(archive)
        if archive.testzip() is not None:
            return None
        return {_inside(entry.filename): entry.file_size for entry in entries}


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return what is in it. Raises ValueError if it is packed as no export is: every way has errors of its own."""
    if any(entry.compress_type != zipfile.ZIP_DEFLATED for entry in archive.infolist()):
        raise ValueError("packed by something else")
    return archive.infolist()


def _read_tar(file: t.IO[bytes]) -> dict[str, int]:
    with gzip.open(file) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            sizes = {_inside(entry.name): entry.size for entry in tar}
        # The checksum comes at the very end.
        while stream.read(_PIECE):
            pass
    return sizes


def _is_of_disk(error: OSError) -> bool:
    """Whether it tells of the disk, not of an archive that leads to a place before the beginning of its file."""
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
    # Its format knows no earlier and no later years.
    year, *rest = time.localtime(status.st_mtime)[:6]
    entry = zipfile.ZipInfo(name, (min(max(year, 1980), 2107), rest[0], rest[1], rest[2], rest[3], rest[4]))
    entry.compress_type = zipfile.ZIP_DEFLATED
    # Tells whether the entry needs the format for large files.
    entry.file_size = status.st_size
    entry.external_attr = (stat.S_IFREG | _MODE) << 16
    return entry
