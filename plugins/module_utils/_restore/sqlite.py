# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Restores an SQLite database: it gets its name only when it is complete and proven."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import UNFINISHED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import (
    Directories,
    directory_attributes,
    synchronise,
    write_stream,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import (
    Counts,
    Pieces,
    count_differences,
    delete_one_time_keys,
    require_no_difference,
    users_in,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import check_sequences
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import MissingDirectory

_HIDDEN = ".matrix_ops.synapse.restored.db"
# Other files that SQLite reads with a database of this name.
_BESIDE = ("-journal", "-wal", "-shm")


def unfinished_in(directory: str) -> int:
    """Return how many bytes an interrupted restore has left in the directory of a database. They are replaced."""
    size = 0
    for name in (UNFINISHED, _HIDDEN):
        with contextlib.suppress(OSError):
            size += os.lstat(os.path.join(directory, name)).st_size
    return size


class SqliteTarget:
    """The file of a database. `owner`: its mode, owner and group, and the user who opens it."""

    def __init__(self, path: str, directories: Directories, owner: Attributes) -> None:
        self._path = path
        self._parent, self._name = os.path.split(path)
        self._directories = directories
        self._owner = owner

    @property
    def shown(self) -> str:
        """The database as a message shows it."""
        return f"the SQLite database {self._path}"

    @property
    def server_directory(self) -> str:
        """There is no server."""
        return ""

    @property
    def emptying(self) -> str:
        """How an operator removes what is there."""
        return f"move {self._path} away, with the files next to it that end in -wal, -shm and -journal"

    def data(self) -> str:
        """Return in words what data there is already, or ""."""
        with self._opened() as directory:
            if directory is None:
                return ""
            found = [name for name in (self._name, *(self._name + end for end in _BESIDE)) if directory.status(name)]
        if self._name not in found:
            return f"{os.path.join(self._parent, found[0])}, which belongs to a database" if found else ""
        return f"the SQLite database {self._path}{self._users()}"

    def problems(self) -> list[str]:
        """Return nothing: each Synapse can use SQLite."""
        return []

    def differences(self, counts: Counts) -> list[str]:
        """Return where the rows of the existing database differ from `counts`."""
        with acting_as(self._owner.uid), Database(self._settings(self._path)) as database:
            return count_differences(database, counts)

    def restore(self, pieces: Pieces, counts: Counts) -> None:
        """Write the database under a hidden name, prove it, and rename it. Raises SynapseError."""
        self._directories.create(self._parent, directory_attributes(self._owner))
        with self._directories.opened(self._parent) as directory:
            self._sweep(directory)
            try:
                self._write(directory, pieces, counts)
            except BaseException:
                # It would take the space that the next run needs.
                with contextlib.suppress(SynapseError):
                    self._sweep(directory)
                raise

    def complete(self, counts: Counts) -> None:
        """Do nothing: the database was complete and proven before it got its name."""

    def _write(self, directory: Directory, pieces: Pieces, counts: Counts) -> None:
        write_stream(directory, _HIDDEN, pieces, self._owner)
        # SQLite opens files by their paths, in a directory in which another user may write.
        with acting_as(self._owner.uid):
            self._prove(os.path.join(self._parent, _HIDDEN), counts)
        for end in _BESIDE:
            with contextlib.suppress(SynapseError):
                directory.remove(_HIDDEN + end)
        # After a power failure, a database with its name must be complete.
        synchronise(directory, _HIDDEN)
        if directory.status(self._name) is not None:
            raise SynapseError(
                f"{self._path} was created by another program while it was being restored, and stays as it is. Find out"
                " which one it was, move the file away, and run the task again."
            )
        directory.rename(_HIDDEN, self._name)

    def _prove(self, path: str, counts: Counts) -> None:
        with Database(self._settings(path), writable=True) as database:
            said = [str(row[0]) for row in database.rows("PRAGMA quick_check(1)")]
            if said != ["ok"]:
                raise StateNotReached(f"The database in the archive is damaged: {said[0]}. Use another backup.")
            delete_one_time_keys(database)
        with Database(self._settings(path)) as database:
            require_no_difference(
                "Tables have another number of rows than in the backup", count_differences(database, counts)
            )
            require_no_difference("Sequences do not fit to their tables", check_sequences(database))

    def _users(self) -> str:
        try:
            with acting_as(self._owner.uid), Database(self._settings(self._path)) as database:
                return f" with {users_in(database)} accounts"
        except SynapseError:
            return ""

    def _settings(self, path: str) -> DatabaseSettings:
        return DatabaseSettings("sqlite3", {"database": path}, path)

    def _sweep(self, directory: Directory) -> None:
        for name in (_HIDDEN, *(_HIDDEN + end for end in _BESIDE)):
            if directory.status(name):
                directory.remove(name)

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[Directory | None]:
        with contextlib.ExitStack() as stack:
            try:
                opened = stack.enter_context(self._directories.opened(self._parent))
            except MissingDirectory:
                yield None
                return
            yield opened
