# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where the database of a restored server will be on this host."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import (
    advice_for_archive,
    advice_for_options,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import creation_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.archived import archived_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.connection import MEMBER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import Directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.postgresql import (
    PostgresqlTarget,
    directory_before,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.sqlite import SqliteTarget
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Counts, Pieces, Target

Json = dict[str, t.Any]
# Gets the name of a value, why it is not known, and what to do about it.
Unseen = t.Callable[[str, str, str], None]

_CREATE = "Install Synapse, and create the database, and run the task again."
_MAJOR = re.compile(r"\d+")


class UnseenTarget:
    """A PostgreSQL database that may not exist yet: what cannot be seen of it is reported to `unseen`."""

    def __init__(self, target: Target, unseen: Unseen) -> None:
        self._target = target
        self._unseen = unseen

    @property
    def shown(self) -> str:
        """The database as a message shows it."""
        return self._target.shown

    @property
    def server_directory(self) -> str:
        """Where a server of this host keeps it, or will keep it."""
        return self._target.server_directory

    @property
    def emptying(self) -> str:
        """How an operator removes what is there."""
        return self._target.emptying

    def data(self) -> str:
        """Return in words what data there is, or "" if it cannot be seen yet."""
        try:
            return self._target.data()
        except (ConnectionFailed, MissingLibrary) as error:
            self._unseen("database", error.message, _CREATE)
            return ""

    def problems(self) -> list[str]:
        """Return why Synapse could not use the database, as far as that can be seen."""
        try:
            return self._target.problems()
        except (ConnectionFailed, MissingLibrary, InvalidInput):
            return []

    def differences(self, counts: Counts) -> list[str]:
        """Return where the rows differ."""
        return self._target.differences(counts)

    def restore(self, pieces: Pieces, counts: Counts) -> None:
        """Restore the database."""
        self._target.restore(pieces, counts)

    def complete(self, counts: Counts) -> None:
        """Complete the database."""
        self._target.complete(counts)


class UnreadTarget:
    """A PostgreSQL database whose connection cannot be read, because PyYAML is not installed yet: see UnseenTarget."""

    def __init__(self, described: Json, error: MissingLibrary, unseen: Unseen) -> None:
        self._described = described
        self._error = error
        self._unseen = unseen

    @property
    def shown(self) -> str:
        """The database as a message shows it."""
        host = self._described.get("host") or "the local socket"
        return f"the PostgreSQL database {self._described.get('name')} at {host}"

    @property
    def server_directory(self) -> str:
        """Where a server of this host will keep it."""
        return directory_before(str(self._described.get("host") or ""))

    @property
    def emptying(self) -> str:
        """How an operator removes what is there."""
        return f"replace {self.shown} by an empty one"

    def data(self) -> str:
        """Return nothing: it cannot be seen."""
        self._unseen("database", self._error.message, _CREATE)
        return ""

    def problems(self) -> list[str]:
        """Return nothing: it cannot be seen."""
        return []

    def differences(self, _counts: Counts) -> list[str]:
        """Raise MissingLibrary."""
        raise self._error

    def restore(self, _pieces: Pieces, _counts: Counts) -> None:
        """Raise MissingLibrary."""
        raise self._error

    def complete(self, _counts: Counts) -> None:
        """Raise MissingLibrary."""
        raise self._error


def find_target(
    manifest: Json,
    contents: t.Mapping[str, bytes],
    directories: Directories,
    owner: Attributes,
    unseen: Unseen | None,
) -> Target:
    """Return the place of the database. `contents`: the archived files by their paths. `owner`: the user of Synapse.

    `unseen`: is called with what cannot be seen yet, if that is allowed. Raises ConfigurationError if the archived
    configuration cannot be used, MissingLibrary without PyYAML.
    """
    described = manifest["database"]
    if manifest["engine"] == "sqlite":
        return SqliteTarget(str(described["path"]), directories, owner)
    try:
        settings = archived_database(manifest, contents)
    except MissingLibrary as error:
        if unseen is None:
            raise
        return UnreadTarget(described, error, unseen)
    target = PostgresqlTarget(
        _advised(settings, manifest),
        owner,
        dumped_by=major(described.get("dump_version") or described.get("server_version")),
        made_in=major(described.get("server_version")),
    )
    return target if unseen is None else UnseenTarget(target, unseen)


def _advised(settings: DatabaseSettings, manifest: Json) -> DatabaseSettings:
    """Return the settings with advice for a host that does not have the file yet which sets them."""
    names = ("dbname", "database", "user")
    name, other, user = (str(settings.arguments.get(each) or "") for each in names)
    createdb = creation_command(name or other, user)
    declared = any(file["member"] == MEMBER for file in manifest["files"])
    advice = advice_for_options(createdb) if declared else advice_for_archive(settings.source, createdb)
    # On the host of the backup, it was as it is in the archive.
    return dataclasses.replace(settings, doubt="", advice=advice)


def major(version: t.Any) -> int:
    """Return the major version in a text such as "15.8 (Debian 15.8-0)", or 0 if there is none."""
    found = _MAJOR.match(str(version or ""))
    return int(found.group()) if found else 0
