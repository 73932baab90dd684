# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Another connection to PostgreSQL than in the archive: the drop-in of the database, as the role writes it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_file import DropinFile, header
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.login import require_possible
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, MissingLibrary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.archived import archived_configuration

Json = dict[str, t.Any]

NAME = "60-matrix_ops-database.yaml"
MEMBER = "declared/database"


@dataclasses.dataclass(frozen=True)
class Connection:
    """How Synapse connects to its database on this host: the options of the module, with the same names."""

    login_host: str
    login_port: int
    login_db: str
    login_user: str
    login_password: str
    cp_min: int
    cp_max: int

    def check(self) -> None:
        """Raise InvalidInput for a connection that can never work."""
        require_possible(self)

    def settings(self) -> Json:
        """Return the settings of the drop-in, in the order in which the role synapse_homeserver writes them."""
        arguments: Json = {
            "host": self.login_host,
            "port": self.login_port,
            "dbname": self.login_db,
            "user": self.login_user,
            "cp_min": self.cp_min,
            "cp_max": self.cp_max,
        }
        if self.login_password:
            arguments["password"] = self.login_password
        return {"database": {"name": "psycopg2", "args": arguments}}

    def text(self) -> str:
        """Return the content of the drop-in. Raises MissingLibrary without PyYAML."""
        secret = [("database", "args", "password")] if self.login_password else []
        try:
            return DropinFile(header(secret), self.settings(), Attributes(0o640, 0, 0)).text()
        except ImportError as error:
            raise MissingLibrary("PyYAML", "to write the configuration of Synapse") from error


def with_connection(
    connection: Connection, manifest: Json, kept: t.Mapping[str, bytes]
) -> tuple[Json, dict[str, bytes]]:
    """Return the manifest and the content of its files as if the backup had this connection.

    Raises InvalidInput if the archive has no PostgreSQL database, or if another file of its configuration would win.
    """
    if manifest["engine"] != "postgresql":
        raise InvalidInput("login_host is set, but the database in the archive is SQLite. Remove login_host.")
    service, files = manifest["service"], manifest["files"]
    config_path = [str(path) for path in service["config_path"]]
    directories = [path for path in config_path if not path.endswith((".yaml", ".yml"))]
    if not directories:
        raise InvalidInput("login_host is set, but the configuration in the archive has no directory for a drop-in.")
    path, content = os.path.join(directories[0], NAME), connection.text().encode()
    first = [file for file in files if config_path[0] in (file["path"], os.path.dirname(file["path"]))]
    if not first:
        raise InvalidInput(f"The archive does not contain {config_path[0]}, its own configuration. Use another backup.")
    [model, *_others] = first
    entry = {
        **{name: model[name] for name in ("owner", "group")},
        "member": MEMBER,
        "path": path,
        "kind": "drop_in",
        "mode": "0640" if service["manager"] == "systemd" else "0600",
        "modified": 0,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    changed = [*(file for file in files if file["path"] != path), entry]
    contents = {file["path"]: {**kept, MEMBER: content}.get(file["member"], b"") for file in changed}
    configuration = archived_configuration(config_path, contents)
    if configuration.settings.get("databases"):
        raise InvalidInput(
            f"login_host is set, but {configuration.source_of('databases')} in the archive sets databases, with which"
            " Synapse accepts no other database. Remove login_host, and create the database with the connection in the"
            " archive."
        )
    source = configuration.source_of("database")
    if source != path:
        raise InvalidInput(
            f"login_host is set, but {source} in the archive sets the database after {path}, so that Synapse would"
            " ignore it. Remove login_host, and create the database with the connection in the archive."
        )
    return {**manifest, "files": changed}, {**kept, MEMBER: content}
