# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a task declares about the move of a server from SQLite to PostgreSQL."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import advice_for_options
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.login import require_possible
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import creation_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# The file in the directory of drop-ins that the role synapse_homeserver writes too.
DROPIN = "60-matrix_ops-database.yaml"
STATE_NAME = ".matrix_ops-migration.json"
SOURCE = "the options of the task"
# The name of all sessions in PostgreSQL that a move has before Synapse uses it.
APPLICATION = "matrix_ops.synapse.migration"


@dataclasses.dataclass(frozen=True)
class DeclaredMigration:
    """The options of the module, with the same names."""

    config_path: tuple[str, ...]
    synapse_python: str
    login_host: str
    login_port: int
    login_db: str
    login_user: str
    login_password: str
    cp_min: int
    cp_max: int
    working_directory: str | None = None
    dropin_path: str | None = None
    work_directory: str | None = None
    batch_size: int = 1000
    sample_size: int = 50

    def check(self) -> None:
        """Raise InvalidInput for a declaration that can never work."""
        if not self.config_path:
            raise InvalidInput(
                "config_path is empty. Set it to the files and directories that Synapse is started with."
            )
        require_possible(self)
        if self.batch_size < 1 or self.sample_size < 0:
            raise InvalidInput("batch_size must be 1 or more, and sample_size must not be negative.")

    @property
    def target(self) -> DatabaseSettings:
        """Where the data goes, connected to as Synapse will connect, with a name for the sessions."""
        arguments = {**self._public_arguments, **self._secret_arguments, "application_name": APPLICATION}
        advice = advice_for_options(self.createdb)
        return DatabaseSettings("psycopg2", arguments, SOURCE, advice=advice)

    @property
    def target_name(self) -> str:
        """The target in a message."""
        return f"the PostgreSQL database {self.login_db} at {self.login_host}:{self.login_port}"

    @property
    def settings(self) -> dict[str, t.Any]:
        """The settings of the drop-in without secrets, exactly as the role synapse_homeserver writes them."""
        pool = {"cp_min": self.cp_min, "cp_max": self.cp_max}
        return {"database": {"name": "psycopg2", "args": {**self._public_arguments, **pool}}}

    @property
    def secrets(self) -> dict[str, t.Any]:
        """The secrets of the drop-in."""
        return {"database": {"args": self._secret_arguments}} if self._secret_arguments else {}

    @property
    def dropin(self) -> str:
        """The path of the drop-in: by default in the first directory of config_path. Raises InvalidInput if none is."""
        if self.dropin_path:
            return self.dropin_path
        for path in self.config_path:
            if os.path.isdir(path):
                return os.path.join(path, DROPIN)
        raise InvalidInput(
            f"config_path contains only files ({', '.join(self.config_path)}), and the move writes a file of its own"
            " with the new database. Start Synapse with a directory too, and add this directory to config_path."
        )

    @property
    def state_path(self) -> str:
        """Where the state of the move is kept. Only root can write there, or the user who runs Synapse as a daemon."""
        return os.path.join(os.path.dirname(os.path.abspath(self.config_path[0])), STATE_NAME)

    @property
    def createdb(self) -> str:
        """The command that creates such a database as Synapse needs it."""
        return creation_command(self.login_db, self.login_user)

    @property
    def _public_arguments(self) -> dict[str, t.Any]:
        return {"host": self.login_host, "port": self.login_port, "dbname": self.login_db, "user": self.login_user}

    @property
    def _secret_arguments(self) -> dict[str, t.Any]:
        return {"password": self.login_password} if self.login_password else {}
