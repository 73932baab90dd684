# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options of a restore, and what in an archive does not fit to them. Nothing here reads the host."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.allowed import AllowedPaths, is_instance
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.connection import Connection

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class DeclaredRestore:
    """The options of the module, with the same names.

    `identity`: what decrypts the archive. `connection`: another one to the database than in the archive.
    """

    src: str
    config_path: t.Sequence[str]
    synapse_python: str
    manager: str = "systemd"
    unit: str = ""
    worker_unit: str = ""
    working_directory: str | None = None
    allowed_paths: t.Sequence[str] = ()
    allow_other_version: bool = False
    allow_missing_installation: bool = False
    identity: Identity = Identity()
    connection: Connection | None = None

    @property
    def is_system(self) -> bool:
        """Whether the server runs in units of systemd."""
        return self.manager == "systemd"

    def allowed(self) -> AllowedPaths:
        """Return where the restore may write."""
        more = (*self.allowed_paths, *([self.working_directory] if self.working_directory else []))
        return AllowedPaths(self.config_path, (self.unit, self.worker_unit), more, system=self.is_system)


def require_same_server(declared: DeclaredRestore, manifest: Json) -> None:
    """Raise InvalidInput if the server in the archive ran in another way than the task declares.

    The server would otherwise start with another configuration, or not at all.
    """
    service, wrong = manifest["service"], []
    if service["manager"] != declared.manager:
        wrong.append(f"manager is {declared.manager}, but was {service['manager']}")
    names = [str(unit["name"]) for unit in service.get("units", [])]
    if declared.is_system and service["manager"] == declared.manager and names and declared.unit not in names:
        wrong.append(f"unit is {declared.unit}, but was {names[0]}")
    others = [
        name
        for name in (*names, *map(str, service.get("workers", [])))
        if declared.is_system and not any(is_instance(name, unit) for unit in (declared.unit, declared.worker_unit))
    ]
    if others and not wrong:
        wrong.append(f"the unit {ascii(others[0])} in it is neither unit nor worker_unit")
    there = [str(path) for path in service["config_path"]]
    # A role of this collection may have added the directory of drop-ins to the command of the unit.
    if there[: len(declared.config_path)] != list(declared.config_path):
        wrong.append(f"config_path is {', '.join(declared.config_path)}, but was {', '.join(there)}")
    directory = service.get("working_directory")
    if not declared.is_system and directory and declared.working_directory not in (None, directory):
        wrong.append(f"working_directory is {declared.working_directory}, but was {directory}")
    if wrong:
        raise InvalidInput(
            f"The task does not declare the server in {declared.src}: {'; '.join(wrong)}. Set the options as they were"
            " on the server of the backup."
        )
