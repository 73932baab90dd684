# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The file of an SQLite database: moved aside by one rename, put back by one rename, or removed at the end.

Synapse creates a new file when it starts. SQLite keeps recent changes in a second file (-wal) until it moves them into
the first one, and a database without its own -wal, or with that of another, is damaged. So the -wal is emptied and
removed first, which SQLite only allows if no other process uses the database.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_ASIDE = ".matrix_ops-before-reset"
# What SQLite keeps next to a database.
_BESIDE = ("-wal", "-shm", "-journal")
# How long SQLite waits for another process, in seconds.
_PATIENCE = 10.0


class DatabaseFile:
    """The file of one SQLite database. Every method raises SynapseError if the system refuses."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Reads nothing yet."""
        self.path = os.path.abspath(str(settings.arguments["database"]))
        self._shown = settings.shown
        self._directory, self._name = os.path.split(self.path)
        self._aside = self._name + _ASIDE

    @property
    def aside(self) -> str:
        """The path of the old database while the new one is not proven."""
        return os.path.join(self._directory, self._aside)

    def exists(self) -> bool:
        """Whether there is a database."""
        return os.path.lexists(self.path)

    def has_aside(self) -> bool:
        """Whether an old database is aside."""
        return os.path.lexists(self.aside)

    def require_movable(self) -> None:
        """Raise InvalidInput if the file cannot be moved aside. Changes nothing."""
        with self._opened() as directory:
            status = directory.status(self._name)
            if status is None:
                return
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise InvalidInput(
                    f"{self.path} is a link, or no ordinary file, and is not moved. Set the path of the file itself in"
                    " the configuration of Synapse."
                )
            directory.require_unmounted(self._name)
            directory.require_writable(f"The directory of {self._shown}")

    def move_aside(self) -> None:
        """Move the database aside. Nothing is changed if that fails. Does nothing if it is aside already."""
        with self._opened() as directory:
            if directory.status(self._name) is None:
                return
            if directory.status(self._aside):
                raise SynapseError(f"{self.aside} is the old database of another reset, and is not replaced.")
            self._require_free()
            # An index of the -wal, which a killed process leaves and SQLite makes anew.
            if directory.status(self._name + "-shm"):
                directory.remove(self._name + "-shm")
            left = [self._name + ending for ending in _BESIDE if directory.status(self._name + ending)]
            if left:
                raise SynapseError(
                    f"{', '.join(map(directory.place, left))} is still there although no process uses {self._shown}."
                    " Check what has it open, for example with fuser, and run the task again."
                )
            directory.rename(self._name, self._aside)

    def put_back(self) -> None:
        """Replace the new database, if there is one, by the old one. Synapse must be stopped."""
        with self._opened() as directory:
            if directory.status(self._aside) is None:
                return
            # The new database first: without its -wal, it would be damaged if this is interrupted.
            for ending in ("", *_BESIDE):
                if directory.status(self._name + ending):
                    directory.remove(self._name + ending)
            directory.rename(self._aside, self._name)

    def forget(self) -> None:
        """Remove the old database, if one is aside."""
        with self._opened() as directory:
            if directory.status(self._aside):
                directory.remove(self._aside)
                directory.synchronise()

    def _require_free(self) -> None:
        """Empty and remove the -wal. Raises SynapseError if another process uses the database."""
        address = f"file:{urllib.parse.quote(self.path)}?mode=rw"
        # SQLite opens files by their paths, in a directory in which another user may write.
        owner = acting_as(os.lstat(self.path).st_uid)
        try:
            with owner, contextlib.closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as connection:
                connection.isolation_level = None
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("COMMIT")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            said = str(error).rstrip(".")
            fix = "End the process that uses it (see fuser)" if "locked" in said else "Check the file"
            raise SynapseError(
                f"{_capital(self._shown)} cannot be closed: {said}. {fix}, and run the task again."
            ) from error

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[Directory]:
        # The user of Synapse, to whom the file belongs, may exchange it anyway.
        trusted = {os.lstat(path).st_uid for path in (self.path, self.aside) if os.path.lexists(path)}
        with open_directory(self._directory, trusted=trusted, option=self._shown) as directory:
            yield directory


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
