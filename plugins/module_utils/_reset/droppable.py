# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a Synapse that is dropped, on either engine."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.open_in import is_open_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import read_schema_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents, read_contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.postgresql import (
    drop_contents,
    require_droppable,
    require_fillable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.sqlite_file import DatabaseFile

AsSynapse = t.Callable[[], t.ContextManager[None]]


class Droppable(t.Protocol):
    """A database of Synapse. Every method raises SynapseError if the database or the system refuses."""

    @property
    def shown(self) -> str:
        """The database as a message shows it."""

    @property
    def aside(self) -> str:
        """The path where the old database is kept until `forget`, or "" if it cannot be kept."""

    def contents(self) -> Contents:
        """Return what is in the database."""

    def is_open_in(self, pids: t.Collection[int]) -> bool:
        """Return whether one of these processes of Synapse uses the database. See `_database.open_in`."""

    def require_droppable(self) -> None:
        """Raise InvalidInput for a reason why `drop` would refuse. Changes nothing."""

    def drop(self) -> None:
        """Drop all, or nothing if that fails."""

    def is_aside(self) -> bool:
        """Return whether the old database is kept somewhere, so that what is in its place is the new one."""

    def put_back(self) -> None:
        """Replace the new database by the old one, if that is kept."""

    def forget(self) -> None:
        """Remove the old database, if that is kept."""


def open_database(
    settings: t.Sequence[DatabaseSettings], synapse_python: str, as_synapse: AsSynapse = contextlib.nullcontext
) -> Droppable:
    """Return the database. Raises ConfigurationError if there are several, which cannot be dropped as one.

    `synapse_python`: the Python of Synapse. `as_synapse`: what lets this process be the user of Synapse for a moment,
    because PostgreSQL may accept only that one.
    """
    first, *others = settings
    if others:
        raise ConfigurationError(
            f"databases in {first.source} sets several databases. This module cannot back them up and drop them in one"
            " step, so it does not reset such a server."
        )
    return SqliteDatabase(first) if first.engine == "sqlite3" else PostgresqlDatabase(first, synapse_python, as_synapse)


class SqliteDatabase:
    """The database in a file, which is kept aside until the new one is proven."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Reads nothing yet."""
        self._settings = settings
        self._file = DatabaseFile(settings)

    @property
    def shown(self) -> str:
        """See Droppable."""
        return self._settings.shown

    @property
    def aside(self) -> str:
        """See Droppable."""
        return self._file.aside

    def contents(self) -> Contents:
        """See Droppable."""
        return read_contents(self._settings)

    def is_open_in(self, pids: t.Collection[int]) -> bool:
        """See Droppable."""
        return is_open_in(self._settings, pids)

    def require_droppable(self) -> None:
        """See Droppable."""
        self._file.require_movable()

    def drop(self) -> None:
        """See Droppable."""
        self._file.move_aside()

    def is_aside(self) -> bool:
        """See Droppable."""
        return self._file.has_aside()

    def put_back(self) -> None:
        """See Droppable."""
        self._file.put_back()

    def forget(self) -> None:
        """See Droppable."""
        self._file.forget()


class PostgresqlDatabase:
    """The database of a PostgreSQL server. It is not kept: the backup is the way back."""

    aside = ""

    def __init__(self, settings: DatabaseSettings, synapse_python: str, as_synapse: AsSynapse) -> None:
        """Reads nothing yet."""
        self._settings = settings
        self._python = synapse_python
        self._as_synapse = as_synapse

    @property
    def shown(self) -> str:
        """See Droppable."""
        return self._settings.shown

    def contents(self) -> Contents:
        """See Droppable."""
        with self._as_synapse():
            return read_contents(self._settings)

    def is_open_in(self, pids: t.Collection[int]) -> bool:
        """See Droppable."""
        with self._as_synapse():
            return is_open_in(self._settings, pids)

    def require_droppable(self) -> None:
        """See Droppable."""
        names = read_schema_names(self._python)
        with self._as_synapse(), Database(self._settings) as database:
            require_droppable(database, names)
            require_fillable(database)

    def drop(self) -> None:
        """See Droppable."""
        names = read_schema_names(self._python)
        with self._as_synapse():
            drop_contents(self._settings, names)

    def is_aside(self) -> bool:
        """See Droppable."""
        return False

    def put_back(self) -> None:
        """See Droppable."""

    def forget(self) -> None:
        """See Droppable."""
