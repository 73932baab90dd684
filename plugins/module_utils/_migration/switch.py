# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the move needs of the configuration of Synapse, and the drop-in that switches it to the new database."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import DropinResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import signing_key_path
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    DatabaseSettings,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    read_attributes,
    read_file,
    remove_file,
    replace_file,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import (
    APPLICATION,
    DeclaredMigration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan


@dataclasses.dataclass(frozen=True)
class Found:
    """The configuration as it is: `database` is the one that Synapse uses with it."""

    configuration: Configuration
    database: DatabaseSettings

    @property
    def uses_sqlite(self) -> bool:
        """Whether Synapse uses SQLite with it."""
        return self.database.engine == "sqlite3"


def read_present(declared: DeclaredMigration) -> Found:
    """Read the configuration. Raises ConfigurationError for one that cannot be moved."""
    configuration = read_configuration(declared.config_path)
    if configuration.is_of_worker(declared.config_path) or configuration.worker_app:
        raise ConfigurationError(
            f"{configuration.source_of('worker_app')} is the configuration of a worker. Remove it from config_path,"
            " which must be the configuration of the main process."
        )
    if configuration.settings.get("databases"):
        raise ConfigurationError(
            f"{configuration.source_of('databases')} sets databases, and Synapse's program for the move only supports"
            " one database. Write it as database."
        )
    return Found(configuration, find_database(configuration, declared.working_directory))


def is_target(found: DatabaseSettings, declared: DeclaredMigration) -> bool:
    """Return whether this is the declared target. Its user and password do not matter."""
    arguments, target = found.arguments, declared.target.arguments
    name = arguments.get("dbname") or arguments.get("database")
    return (name, str(arguments.get("host")), str(arguments.get("port") or 5432)) == (
        target["dbname"],
        str(target["host"]),
        str(target["port"]),
    )


def port_configuration(found: Configuration, declared: DeclaredMigration) -> dict[str, t.Any]:
    """Return the configuration for Synapse's program: all settings, with the new database."""
    settings = {key: value for key, value in found.settings.items() if key not in ("database", "database_path")}
    path = signing_key_path(found)
    # Otherwise the program would look for it in its own directory.
    if path and not settings.get("signing_key_path"):
        settings["signing_key_path"] = path
    database = {**declared.settings["database"]}
    database["args"] = {
        **database["args"],
        **declared.secrets.get("database", {}).get("args", {}),
        "application_name": APPLICATION,
    }
    # Synapse's program runs all background updates on the new database, which is empty, and sleeps after each of them.
    updates = settings.get("background_updates")
    pauses = {**(updates if isinstance(updates, dict) else {}), "sleep_duration_ms": 1}
    return {**settings, "database": database, "background_updates": pauses}


class Switch:
    """The drop-in with the new database. `uid`: the user of Synapse."""

    def __init__(self, declared: DeclaredMigration, uid: int, trusted: t.Collection[int]) -> None:
        self.path = declared.dropin
        self._trusted = trusted
        directory = declared.working_directory
        parser = Parser(declared.config_path, declared.synapse_python, directory or "/", is_guess=directory is None)
        user = user_name(uid) if os.geteuid() == 0 else None
        dropin = DeclaredDropin(self.path, declared.settings, declared.secrets, synapse_user=user)
        self._resource = DropinResource(declared.config_path, dropin, tuple, parser)
        self._plan: Plan | None = None

    def prepare(self) -> None:
        """Let Synapse's own parser judge the configuration with the drop-in. Changes nothing. Raises SynapseError."""
        if os.path.islink(self.path):
            raise InvalidInput(f"{self.path} is a symbolic link. Set dropin_path to another path.")
        self._plan = self._resource.plan()

    def present(self) -> dict[str, t.Any]:
        """Return what is there, for `restore`: {} for no file."""
        file = read_file(self.path, trusted=self._trusted)
        if file is None:
            return {}
        attributes = dataclasses.asdict(file.attributes)
        return {"text": file.content.decode("utf-8", "surrogateescape"), **attributes}

    def write(self) -> None:
        """Write the drop-in, and read the configuration again. Raises SynapseError if that fails."""
        if self._plan is None:
            self.prepare()
        if self._plan is not None:
            self._plan.execute()
            self._resource.verify(self._plan)

    def restore(self, before: dict[str, t.Any]) -> None:
        """Bring back what `present` has returned. Raises SynapseError if that fails."""
        if self.present() == before:
            return
        if not before:
            remove_file(self.path, trusted=self._trusted)
            return
        text = before["text"].encode("utf-8", "surrogateescape").decode("utf-8")
        attributes = Attributes(before["mode"], before["uid"], before["gid"])
        replace_file(self.path, text, attributes, trusted=self._trusted)


def trusted_users(declared: DeclaredMigration, uid: int) -> frozenset[int]:
    """Return the IDs of the users who may write to the directories: those who can change the server anyway."""
    main = read_attributes(declared.config_path[0])
    return frozenset(([main.uid] if main else []) + [uid])


def configuration_owner(declared: DeclaredMigration) -> int:
    """Return the ID of the user who owns the configuration, or that of this process if there is none."""
    main = read_attributes(declared.config_path[0])
    return main.uid if main else os.geteuid()
