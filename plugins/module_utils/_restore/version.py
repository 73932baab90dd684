# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The Synapse that is installed on this host, compared with the one that has made the database in the archive.

Relies on schema_compat_version: Synapse does not start with a database in which it is greater than its own schema.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import (
    SynapsePython,
    read_synapse_python,
)

Json = dict[str, t.Any]

_INSTALL = {
    "package": "Install version {} of the package matrix-synapse-py3",
    "virtualenv": "Install Synapse {}, for example with the playbook matrix_ops.synapse.restore",
}


def read_installed(python: str, read: t.Callable[[str], SynapsePython] = read_synapse_python) -> SynapsePython | None:
    """Return the Synapse of a Python, or None if there is no such Python. Raises InvalidInput if it has no Synapse."""
    return read(python) if os.path.exists(python) else None


def require_version(installed: SynapsePython | None, manifest: Json, python: str, *, other_allowed: bool) -> None:
    """Raise InvalidInput unless the installed Synapse is the one of the backup, or may and can use its database."""
    version, kind = str(manifest["synapse_version"]), str(manifest["installation"]["kind"])
    install = _INSTALL.get(kind, "Install Synapse {}").format(version)
    fix = f"{install}, and set synapse_python to its Python."
    if installed is None:
        raise InvalidInput(f"Synapse is not installed on this host: {python} (synapse_python) does not exist. {fix}")
    needed = int(manifest["database"]["schema_compat_version"])
    if needed > installed.schema_version:
        raise InvalidInput(
            f"The database in the archive needs a Synapse that knows the schema {needed}, but Synapse"
            f" {installed.version} at {python} knows only {installed.schema_version}. {fix}"
        )
    if not _same(installed.version, version) and not other_allowed:
        raise InvalidInput(
            f"The backup was made by Synapse {version}, but Synapse {installed.version} is installed at {python}. {fix}"
            " Or set allow_other_version to true, and that Synapse changes the database to its own schema."
        )


def _same(one: str, other: str) -> bool:
    # 1.163 is another way to write 1.163.0, and a checkout of Git adds the commit after a plus.
    return _plain(one) == _plain(other)


def _plain(version: str) -> str:
    number = version.split(" ")[0].split("+")[0]
    while number.endswith(".0"):
        number = number[: -len(".0")]
    return number
