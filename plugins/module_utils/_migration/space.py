# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the disks of PostgreSQL have enough free space for what a move writes, if it runs on this host."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_MIB = 1024 * 1024
# What PostgreSQL needs against the pages that SQLite uses: 1.34 for 600 MB with 200,000 events, 1.42 for 33 MB.
_CONTENT = 1.5
# What it logs against that, 1.8 and 2.0 in the same moves, of which it keeps no more than max_wal_size.
_LOGGED = 2
# For each file system: tables and indexes without rows, and temporary files.
_SPARE = 64 * _MIB


class Need(t.NamedTuple):
    """How many bytes will be written on the file system of a path, and for what."""

    path: str
    size: int
    what: str


class Storage(t.NamedTuple):
    """What the target says of its storage.

    `tablespace`: the directory of its database, or "" if it is in the data directory. `size`: that of the database, and
    `most_logged`: how much of its log is kept (max_wal_size), both in bytes.
    """

    tablespace: str
    size: int
    most_logged: int


def needs_of(used: int, storage: Storage, data: str) -> list[Need]:
    """Return what the target needs. `used`: the pages that SQLite uses, in bytes. `data`: the directory of the server.

    What an interrupted move has left in the target is used again, or removed first.
    """
    content = max(0, int(used * _CONTENT) - storage.size)
    logged = min(used * _LOGGED, storage.most_logged)
    return [
        Need(storage.tablespace or data, content, "the data of PostgreSQL"),
        Need(os.path.join(data, "pg_wal"), logged, "its write-ahead log"),
    ]


def used_size(settings: DatabaseSettings) -> int:
    """Return how many bytes of its file an SQLite database uses. It keeps the pages of what was removed."""
    with Database(settings) as database:
        [(pages,)], [(free,)], [(size,)] = (
            database.rows(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
    return (int(pages) - int(free)) * int(size)


def copies_of(size: int, directory: str, existing: str) -> Need:
    """Return what both copies of a database with this size still need in `directory`, which may not exist yet.

    `existing`: it, or the one around it.
    """
    left = 0
    with contextlib.suppress(OSError):
        left = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(directory))
    return Need(existing, max(0, 2 * size - left), "the copies of the SQLite database")


def require_server_space(needs: t.Sequence[Need], copies: Need) -> None:
    """Raise InvalidInput if a file system has too little free space. One that cannot be seen is left out.

    `copies`: what is written by the move itself, which may be on one of these file systems too.
    """
    systems: dict[int, list[Need]] = {}
    for need in (*needs, copies):
        with contextlib.suppress(OSError):
            systems.setdefault(_file_system(need.path), []).append(need)
    for written in systems.values():
        first = written[0]
        needed = sum(need.size for need in written) + _SPARE
        free = shutil.disk_usage(first.path).free
        # The space for nothing but the copies is judged where they are made.
        if free < needed and first is not copies:
            elsewhere = " or set work_directory to a directory on another one," if copies in written else ""
            raise InvalidInput(
                f"The file system of {os.path.realpath(first.path)} has {free // _MIB} MiB of free space, but the move"
                f" needs {needed // _MIB} MiB there for {' and '.join(need.what for need in written)}. Nothing was"
                f" changed. Free space there,{elsewhere} or give PostgreSQL a larger one."
            )


def _file_system(path: str) -> int:
    return os.stat(path).st_dev
