# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A copy of an SQLite database in one consistent state, while Synapse writes to it (sqlite3_backup_init, WAL).

A read transaction is open during the copy. In WAL mode, which Synapse sets at each start, it stops nobody from writing.
The copy is next to the database, because there is a file system that is made for it, and belongs to the user of the
database: whoever could read it can read the database too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import EXCLUDED_TABLES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

# The same name in each run, so that a later run finds what a killed one has left.
DIRECTORY = ".matrix_ops.synapse.backup"
COPY, SCRATCH = "homeserver.db", "scratch.db"
_FILES = tuple(f"{name}{ending}" for name in (COPY, SCRATCH) for ending in ("", "-journal", "-wal", "-shm"))
# Of mostly 4 KiB: between two reports.
_PAGES = 4096
_WAIT = 30

T = t.TypeVar("T")


class Place:
    """The directory for copies, open and locked. `path` is safe for the user of the database only."""

    def __init__(self, path: str, uid: int) -> None:
        self.path = path
        self.uid = uid

    def settings(self, name: str, source: str) -> DatabaseSettings:
        """Return a database in the directory. `source`: the configuration that sets the original."""
        return DatabaseSettings("sqlite3", {"database": os.path.join(self.path, name)}, source)

    def open_for_reading(self, name: str) -> int:
        """Return a descriptor of a file in the directory. Raises OSError."""
        with acting_as(self.uid):
            return os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NOFOLLOW)


def place_of(database: str) -> str:
    """Return the directory for copies of the database file."""
    return os.path.join(os.path.dirname(os.path.realpath(database)), DIRECTORY)


def owner_of(database: str) -> int:
    """Return the user who owns the database file. Raises SynapseError if it cannot be found out."""
    try:
        return os.stat(database).st_uid
    except FileNotFoundError as error:
        raise SynapseError(
            f"The SQLite database {database} does not exist. Check its path in the configuration, and"
            " working_directory, where a relative path starts."
        ) from error
    except OSError as error:
        raise SynapseError(f"{database} cannot be read: {error.strerror}. Run the task with become.") from error


def require_place(database: str) -> None:
    """Raise SynapseError if `open_place` would fail. Changes nothing."""
    uid, path = owner_of(database), place_of(database)
    with acting_as(uid):
        if os.path.lexists(path):
            os.close(_opened(path))
            return
        parent = os.path.dirname(path)
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            raise SynapseError(
                f"{user_name(uid)}, the owner of the database {database}, cannot write in {parent}, where a backup"
                " copies it first. Let this user write there, as Synapse must."
            )


@contextlib.contextmanager
def open_place(database: str) -> t.Iterator[Place]:
    """Make the directory for copies, for the block, and remove it with its files at the end.

    What a killed run has left in it is removed first. Raises SynapseError if another run uses it, or if there is
    anything else at its path.
    """
    uid, path = owner_of(database), place_of(database)
    with acting_as(uid):
        descriptor = _locked(path)
    try:
        with acting_as(uid):
            _clear(path)
        yield Place(path, uid)
    finally:
        with acting_as(uid), contextlib.suppress(OSError):
            _clear(path)
            os.rmdir(path)
        os.close(descriptor)


def copy_database(database: str, place: Place) -> None:
    """Copy the database to COPY in the directory, without the rows of the excluded tables. Raises SynapseError."""
    target = os.path.join(place.path, COPY)
    with acting_as(place.uid):
        try:
            source = sqlite3.connect(f"file:{urllib.parse.quote(database)}?mode=ro", uri=True, timeout=_WAIT)
            with contextlib.closing(source):
                _copy(source, target)
        except sqlite3.Error as error:
            raise SynapseError(
                f"The SQLite database {database} could not be copied to {place.path}: {error}."
                + (" Free some space there." if "full" in str(error) else "")
            ) from error
        except OSError as error:
            raise SynapseError(f"{target} could not be written: {error.strerror}.") from error


def remove_copy(place: Place) -> None:
    """Remove COPY, which is not needed any more. Raises SynapseError."""
    with acting_as(place.uid):
        try:
            os.unlink(os.path.join(place.path, COPY))
        except OSError as error:
            raise SynapseError(f"{place.path} could not be cleared: {error.strerror}.") from error


def read_copy(place: Place, name: str, source: str, read: t.Callable[[Database], T]) -> T:
    """Return what `read` returns for a database in the directory."""
    with acting_as(place.uid), Database(place.settings(name, source)) as database:
        return read(database)


def _copy(source: sqlite3.Connection, target: str) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    [(page_size,)] = source.execute("PRAGMA page_size").fetchall()
    with contextlib.closing(sqlite3.connect(target, timeout=_WAIT, isolation_level=None)) as copy:
        source.execute("BEGIN")
        # A transaction begins with its first query.
        source.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        source.backup(
            copy,
            pages=_PAGES,
            progress=lambda _status, left, total: progress.report(
                Work.DATABASE_COPIED, (total - left) * page_size, total * page_size
            ),
        )
        # The copy is a file of its own, without a WAL beside it. Deleted rows are overwritten with zeros.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        copy.execute("PRAGMA secure_delete = ON").fetchall()
        for table in EXCLUDED_TABLES:
            if copy.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchall():
                copy.execute(f"DELETE FROM {table}")


def _locked(path: str) -> int:
    """Return a descriptor of the directory, which is made if it is missing, with a lock of this process."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise SynapseError(f"{path} could not be created: {error.strerror}.") from error
    return _opened(path)


def _opened(path: str) -> int:
    """Return a descriptor of the existing directory, with a lock of this process. Raises SynapseError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise SynapseError(f"{path} is not a directory of a backup. Move it away.") from error
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077 or set(os.listdir(path)) - {*_FILES}:
            raise SynapseError(f"{path} is not a directory of a backup of this collection. Move it away.")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SynapseError(f"Another run is copying the database into {path}. Wait until it has ended.") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _clear(path: str) -> None:
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))
