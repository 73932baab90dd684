# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only the Synapse of the backup starts with its database, unless another one is allowed and can use it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.version import read_installed, require_version


def _manifest(version: str = "1.163.2", kind: str = "virtualenv") -> dict[str, t.Any]:
    return {
        "synapse_version": version,
        "installation": {"kind": kind},
        "database": {"schema_compat_version": 88},
    }


@pytest.mark.parametrize(
    ("installed", "archived"), [("1.163.2", "1.163.2"), ("1.163.0", "1.163"), ("1.163.2+abc", "1.163.2")]
)
def test_the_same_version(installed: str, archived: str) -> None:
    require_version(SynapsePython("/p", installed, 94), _manifest(archived), "/p", other_allowed=False)


def test_what_to_install() -> None:
    with pytest.raises(
        InvalidInput, match="Install version 1.163.2 of the package matrix-synapse-py3, and set synapse_python"
    ):
        require_version(None, _manifest(kind="package"), "/p", other_allowed=True)
    with pytest.raises(InvalidInput, match="Install Synapse 1.163.2, and set synapse_python"):
        require_version(None, _manifest(kind="other"), "/p", other_allowed=True)


def test_a_python_that_does_not_exist_is_not_asked(tmp_path: pathlib.Path) -> None:
    def asked(path: str) -> SynapsePython:
        return SynapsePython(path, "1", 1)

    assert read_installed(str(tmp_path / "python"), asked) is None
    (tmp_path / "python").touch()
    assert read_installed(str(tmp_path / "python"), asked) is not None
