# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Makes an archive of a server: the database first, so that it names no media that were uploaded after the media."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.collection import (
    describe_directories,
    read_kept,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import INCLUDE, DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import (
    PARTIAL,
    Sidecar,
    make_partial,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import encrypted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    ENDINGS,
    FILES,
    FORMAT,
    HEADER,
    MANIFEST,
    Attributes,
    safe_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.media import (
    NAMED_AT_MOST,
    Left,
    attributes_of,
    describe,
    member_name,
    open_media,
    walk_all,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.preparation import Prepared, prepare
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.source_database import (
    SourceDatabase,
    open_source,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.verification import verify_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.writing import flushed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_FULL = (errno.ENOSPC, errno.EDQUOT)
Manifest = dict[str, t.Any]


class WrittenBackup(t.NamedTuple):
    """An archive that was made: its path, its size in bytes, what it contains, and whether it was verified."""

    path: str
    size: int
    manifest: Manifest
    sidecar: Sidecar

    @property
    def verified(self) -> bool:
        """Whether it was read again, and its database restored."""
        return bool(self.sidecar["verified"])


class Backup:
    """One archive of a server, which runs or is stopped."""

    def __init__(self, declared: DeclaredBackup) -> None:
        self._declared = declared
        self._prepared: Prepared | None = None

    def prepare(self) -> Prepared:
        """Look at everything. Changes nothing. Raises SynapseError for what would make `write` fail."""
        self._prepared = prepare(self._declared)
        return self._prepared

    def write(self) -> WrittenBackup:
        """Make a new archive, and return it. Raises SynapseError; then nothing is left of it."""
        prepared = self._prepared or self.prepare()
        destination = prepared.destination
        if not destination.exists:
            destination.make()
        with destination.locked() as directory:
            created, name = _free_name(prepared, directory)
            try:
                with _explained(directory):
                    return self._write(prepared, directory, name, created)
            finally:
                if directory.status(name + PARTIAL) is not None:
                    directory.remove(name + PARTIAL)

    def _write(self, prepared: Prepared, directory: Directory, name: str, created: int) -> WrittenBackup:
        descriptor = make_partial(directory, name)
        try:
            with open_source(prepared.database) as source:
                with flushed(descriptor):
                    manifest = self._write_archive(prepared, source, descriptor, created)
                size = os.fstat(descriptor).st_size
                if self._declared.verify:
                    partial = directory.place(name + PARTIAL)
                    verify_archive(partial, self._declared.identity, size, source.restore)
        finally:
            os.close(descriptor)
        sidecar = self._sidecar(prepared, manifest, name, size)
        prepared.destination.write_sidecar(directory, sidecar)
        directory.rename(name + PARTIAL, name)
        return WrittenBackup(directory.place(name), size, manifest, sidecar)

    def _write_archive(self, prepared: Prepared, source: SourceDatabase, descriptor: int, created: int) -> Manifest:
        header = {
            "format": FORMAT,
            "server_name": prepared.server_name,
            "created_ts": created,
            "synapse_version": prepared.installation["synapse_version"],
            "engine": prepared.database.engine,
            "schema_version": prepared.database.described["schema_version"],
            "media_mode": self._declared.media,
        }
        with encrypted(prepared.recipients, descriptor) as stream, ArchiveWriter(stream, created // 1000) as writer:
            report = _Report(prepared.estimate)
            writer.add_json(HEADER, header)
            database = source.write(writer, report)
            files = _write_files(prepared, writer)
            media = self._write_media(prepared, writer, report)
            manifest = {
                **header,
                "database": database.described,
                "row_counts": database.row_counts,
                "sample": database.sample,
                "files": files,
                "directories": describe_directories(
                    [*(each["path"] for each in files), *self._data_directories(prepared)]
                ),
                "media": media,
                "installation": prepared.installation,
                "service": prepared.service.described,
            }
            writer.add_json(MANIFEST, manifest)
            writer.finish()
        return manifest

    def _write_media(self, prepared: Prepared, writer: ArchiveWriter, report: _Report) -> dict[str, t.Any]:
        left = Left([], [])
        files, sizes = 0, [0] * len(prepared.media)
        described = [describe(directory) for directory in prepared.media]
        is_included = self._declared.media == INCLUDE
        for number, found in walk_all(prepared.media if is_included else (), left, prepared.apart):
            descriptor = open_media(found, left, number)
            if descriptor is None:
                continue
            try:
                name = member_name(number, found.path)
                sizes[number] += writer.add_file(name, descriptor, attributes_of(descriptor), report)
            finally:
                os.close(descriptor)
            files += 1
        return {
            "mode": self._declared.media,
            "directories": (
                [{**each, "bytes": size} for each, size in zip(described, sizes)] if is_included else described
            ),
            "files": files,
            "bytes": sum(sizes),
            "vanished": left.vanished[:NAMED_AT_MOST],
            "vanished_count": len(left.vanished),
            "skipped": left.skipped[:NAMED_AT_MOST],
            "skipped_count": len(left.skipped),
        }

    def _data_directories(self, prepared: Prepared) -> list[str]:
        found = [directory.path for directory in prepared.media]
        path = prepared.database.described.get("path")
        home = prepared.service.described["home"]
        there = [each for each in prepared.written if os.path.isdir(each)]
        return [*found, *([os.path.dirname(path)] if path else []), *([home] if home else []), *there]

    def _sidecar(self, prepared: Prepared, manifest: Manifest, name: str, size: int) -> Sidecar:
        media = manifest["media"]
        return {
            "format": FORMAT,
            "archive": name,
            "size": size,
            "server_name": manifest["server_name"],
            "created_ts": manifest["created_ts"],
            "synapse_version": manifest["synapse_version"],
            "engine": manifest["engine"],
            "schema_version": manifest["schema_version"],
            "media": manifest["media"]["mode"],
            "media_files": media["files"],
            "media_bytes": media["bytes"],
            "files": len(manifest["files"]),
            "extra_paths": sorted(self._declared.extra_paths),
            "encryption": prepared.recipients.kind,
            "recipients": sorted(prepared.recipients.shown),
            "verified": self._declared.verify,
        }


class _Report:
    """Reports how many bytes are done of all."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def __call__(self, size: int) -> None:
        self._done += size
        progress.report(Work.BACKUP, self._done, max(self._total, self._done))


def _write_files(prepared: Prepared, writer: ArchiveWriter) -> list[dict[str, t.Any]]:
    described = []
    for number, kept in enumerate(prepared.files):
        opened = read_kept(kept)
        found = opened.described
        attributes = Attributes(int(found["mode"], 8), found["owner"], found["group"], found["modified"])
        member = f"{FILES}{number:04d}"
        described.append({"member": member, **found, "sha256": writer.add(member, opened.content, attributes)})
    return described


def _free_name(prepared: Prepared, directory: Directory) -> tuple[int, str]:
    """Return the time in milliseconds, and the name of an archive of this time. Waits if it was just used."""
    while True:
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        name = f"synapse-{safe_name(prepared.server_name)}-{stamp}{ENDINGS[prepared.recipients.kind]}"
        if directory.status(name) is None:
            return int(now * 1000), name
        time.sleep(0.1)


@contextlib.contextmanager
def _explained(directory: Directory) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        fix = " Free some space there." if error.errno in _FULL else ""
        raise SynapseError(f"The backup could not be written to {directory.path}: {error.strerror}.{fix}") from error
