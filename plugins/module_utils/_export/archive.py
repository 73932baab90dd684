# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An export in one file: everything in a directory that is called as the file is, the manifest before the rest."""

from __future__ import annotations

import gzip
import os
import tarfile
import typing as t
import zipfile
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST, Manifest

ENDINGS = {"tar.gz": ".tar.gz", "zip": ".zip"}
_LARGEST_MANIFEST = 1 << 30
_PIECE = 1 << 20
# What the libraries below raise for files that are no archives, cut off or damaged.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, RuntimeError)


def write_archive(kind: str, directory: str, manifest: Manifest, path: str, name: str) -> None:
    """Put the files of the manifest, and it itself, from `directory` into a new archive at `path`.

    `kind` is one of ENDINGS, `name` what the directory in the archive is called. In it everything is for its owner
    alone, and nothing tells who made it. Raises OSError.
    """
    members = [MANIFEST, *(file.path for file in manifest.files)]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if kind == "zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                for member in members:
                    archive.write(os.path.join(directory, member), f"{name}/{member}")
        else:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                for member in members:
                    tar.add(os.path.join(directory, member), f"{name}/{member}", recursive=False, filter=_nobody)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(path: str) -> Manifest:
    """Return what the archive says of itself. Raises ValueError if it is not that of an export, and OSError."""
    try:
        with open(path, "rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    [name] = [name for name in archive.namelist() if _inside(name) == MANIFEST]
                    if archive.getinfo(name).file_size > _LARGEST_MANIFEST:
                        raise ValueError("too long for a manifest")
                    return Manifest.from_json(archive.read(name).decode())
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r|gz") as tar:
                first = tar.next()
                content = tar.extractfile(first) if first and _inside(first.name) == MANIFEST else None
                if first is None or content is None or first.size > _LARGEST_MANIFEST:
                    raise ValueError("no manifest")
                return Manifest.from_json(content.read().decode())
    except _DAMAGED as error:
        raise ValueError("not an archive") from error


def read_sizes(path: str) -> dict[str, int] | None:
    """Return the size of every file in the archive in bytes, without the manifest, or None if it is damaged.

    Everything in it is read. Raises OSError.
    """
    try:
        with open(path, "rb") as file:
            sizes = _read_zip(file) if zipfile.is_zipfile(file) else _read_tar(file)
    except _DAMAGED:
        return None
    if sizes is not None:
        sizes.pop(MANIFEST, None)
    return sizes


def _read_zip(file: t.IO[bytes]) -> dict[str, int] | None:
    with zipfile.ZipFile(file) as archive:
        if archive.testzip() is not None:
            return None
        return {_inside(entry.filename): entry.file_size for entry in archive.infolist()}


def _read_tar(file: t.IO[bytes]) -> dict[str, int]:
    file.seek(0)
    with gzip.open(file) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            sizes = {_inside(entry.name): entry.size for entry in tar}
        # The checksum comes at the very end.
        while stream.read(_PIECE):
            pass
    return sizes


def _inside(name: str) -> str:
    return name.partition("/")[2]


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
