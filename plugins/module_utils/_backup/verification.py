# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The trial of an archive: it is read again, its database is restored beside the original, and all rows are counted."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    ArchiveReader,
    Member,
    is_database,
    open_archive,
    unpacked_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import SCRATCH, Place, read_copy
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_NAMED_AT_MOST = 5

# Gets the unpacked database, restores it, and returns the rows of its tables.
Restore = t.Callable[[t.Iterable[bytes]], dict[str, int]]


def verify_archive(path: str, identity: Identity, total: int, restore: Restore) -> None:
    """Read the archive, restore its database and compare. `total`: about how many bytes it has, for the progress.

    Raises SynapseError if anything in it is not as it was when it was made.
    """
    with open_archive(path, identity, report=reporting(total)) as reader:
        found = restore_database(reader, restore)
        expected = reader.manifest["row_counts"]
    differences = [
        f"{table} has {found.get(table, 'no')} rows instead of {expected.get(table, 'none')}"
        for table in sorted({**expected, **found})
        if found.get(table) != expected.get(table)
    ]
    if differences:
        more = f", and {len(differences) - _NAMED_AT_MOST} more" if len(differences) > _NAMED_AT_MOST else ""
        raise StateNotReached(
            f"The backup {path} was restored into a scratch database, which is not as the original was:"
            f" {', '.join(differences[:_NAMED_AT_MOST])}{more}. It is not kept. Run the task again."
        )


def reporting(total: int) -> t.Callable[[int], None]:
    """Return what reports the progress of reading an archive. `total`: about how many bytes it has."""
    done = 0

    def report(size: int) -> None:
        nonlocal done
        done += size
        progress.report(Work.BACKUP_VERIFIED, done, max(total, done))

    return report


def restore_database(reader: ArchiveReader, restore: Restore) -> dict[str, int]:
    """Restore the database of an open archive, read the rest of the archive, and return the rows of the tables."""
    members = reader.members()
    found = restore(unpacked_database(reader.header["engine"], _pieces(members)))
    for _member in members:
        pass
    return found


def restore_sqlite(place: Place, source: str, pieces: t.Iterable[bytes]) -> dict[str, int]:
    """Write the database into SCRATCH, check it, and return the rows of its tables. Raises SynapseError."""
    path = os.path.join(place.path, SCRATCH)
    try:
        with acting_as(place.uid):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
        with acting_as(place.uid), contextlib.closing(sqlite3.connect(path)) as scratch:
            [(said,)] = scratch.execute("PRAGMA quick_check(1)").fetchall()
    except OSError as error:
        raise SynapseError(f"{path} could not be written: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise SynapseError(f"The database in the backup cannot be opened: {error}.") from error
    if said != "ok":
        raise StateNotReached(f"The database in the backup is damaged: {said}.")
    return read_copy(place, SCRATCH, source, count_rows)


def _pieces(members: t.Iterator[Member]) -> t.Iterator[bytes]:
    for member in members:
        if not is_database(member):
            return
        yield from member.chunks()
