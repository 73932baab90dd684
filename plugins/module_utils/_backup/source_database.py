# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a server as the content of an archive: in one consistent state, with the rows of each table."""

from __future__ import annotations

import abc
import contextlib
import os
import typing as t
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.found_database import DatabaseFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import EXCLUDED_TABLES, PIECE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.postgresql_dump import (
    begin_snapshot,
    connect_as,
    dump,
    dumped_extensions,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import (
    connected,
    restore,
    scratch_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import (
    COPY,
    Place,
    copy_database,
    open_place,
    read_copy,
    remove_copy,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.verification import restore_sqlite
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import choose_sample

Report = t.Callable[[int], None]


class StoredDatabase(t.NamedTuple):
    """What the manifest says about the database."""

    described: dict[str, t.Any]
    row_counts: dict[str, int]
    sample: dict[str, t.Any]


class SourceDatabase(abc.ABC):
    """The database, for one archive."""

    def __init__(self, found: DatabaseFound) -> None:
        self.found = found

    @abc.abstractmethod
    def write(self, writer: ArchiveWriter, report: Report) -> StoredDatabase:
        """Add it to the archive. `report`: is called with the number of bytes. Raises SynapseError and OSError."""

    @abc.abstractmethod
    def restore(self, pieces: t.Iterable[bytes]) -> dict[str, int]:
        """Restore the unpacked database of the archive into a scratch database, and return its rows."""

    def described(self, chunks: int, size: int) -> dict[str, t.Any]:
        """Return what the manifest says, with the number of members and the size of the unpacked stream."""
        kept = {name: value for name, value in self.found.described.items() if name not in ("accepted", "problems")}
        return {**kept, "chunks": chunks, "bytes": size, "excluded_tables": [*EXCLUDED_TABLES]}


@contextlib.contextmanager
def open_source(found: DatabaseFound) -> t.Iterator[SourceDatabase]:
    """Open the database for the block, with what it needs on the disk. Raises SynapseError."""
    if found.engine == "sqlite":
        with open_place(found.settings.arguments["database"]) as place:
            yield _Sqlite(found, place)
    else:
        yield _Postgresql(found)


class _Sqlite(SourceDatabase):
    def __init__(self, found: DatabaseFound, place: Place) -> None:
        super().__init__(found)
        self._place = place

    def write(self, writer: ArchiveWriter, report: Report) -> StoredDatabase:
        copy_database(self.found.settings.arguments["database"], self._place)
        counts, sample = read_copy(self._place, COPY, self.found.settings.source, _read)
        descriptor = self._place.open_for_reading(COPY)
        try:
            size = os.fstat(descriptor).st_size
            chunks = writer.add_database(_packed(descriptor, report))
        finally:
            os.close(descriptor)
        remove_copy(self._place)
        return StoredDatabase(self.described(chunks, size), counts, sample)

    def restore(self, pieces: t.Iterable[bytes]) -> dict[str, int]:
        return restore_sqlite(self._place, self.found.settings.source, pieces)


class _Postgresql(SourceDatabase):
    def write(self, writer: ArchiveWriter, report: Report) -> StoredDatabase:
        found, size = self.found, 0
        program = found.dump_program
        if program is None:
            raise AssertionError("a PostgreSQL was prepared without its program")

        def counted(pieces: t.Iterable[bytes]) -> t.Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                size += len(piece)
                report(len(piece))
                yield piece

        with connect_as(found.settings, found.uid) as database:
            snapshot = begin_snapshot(database)
            extensions = dumped_extensions(database)
            pieces = dump(found.settings, program, snapshot, found.uid, extensions)
            chunks = writer.add_database(counted(pieces))
            counts, sample = _read(database)
        described = {**self.described(chunks, size), "dump_version": program.major}
        return StoredDatabase(described, {**counts, **dict.fromkeys(EXCLUDED_TABLES, 0)}, sample)

    def restore(self, pieces: t.Iterable[bytes]) -> dict[str, int]:
        found = self.found
        if found.administrator is None or found.restore_program is None:
            raise AssertionError("a PostgreSQL was prepared without a verification")
        with scratch_database(found.administrator, found.settings, found.uid) as scratch:
            restore(found.restore_program, scratch, found.uid, pieces)
            with connected(scratch, found.uid) as database:
                return count_rows(database)


def _read(database: Database) -> tuple[dict[str, int], dict[str, t.Any]]:
    return count_rows(database), choose_sample(database)


def _packed(descriptor: int, report: Report) -> t.Iterator[bytes]:
    packer = zlib.compressobj(1)
    while True:
        piece = os.read(descriptor, PIECE)
        if not piece:
            break
        report(len(piece))
        yield packer.compress(piece)
    yield packer.flush()
