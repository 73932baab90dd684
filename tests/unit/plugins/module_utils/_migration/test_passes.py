# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import passes as passes_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import Workplace

PROGRAM = PortProgram("python", "program", "1.163.2", 94, frozenset(), frozenset(), frozenset(), True)


@pytest.mark.parametrize(
    ("user", "owner", "directory", "isolated", "started_in"),
    [
        (1000, 1000, "/srv", False, "/srv"),
        (0, 1000, "/srv", False, "/srv"),
        (0, 0, "/srv", True, "/srv"),
        (1000, 1000, None, True, "/data"),
    ],
)
def test_modules_in_the_working_directory_of_synapse_are_used(
    *,
    user: int,
    owner: int,
    directory: str | None,
    isolated: bool,
    started_in: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[t.Any] = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(passes_module, "read_schema_names", lambda _python: None)
    monkeypatch.setattr(passes_module, "PortProcess", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(Workplace, "write_configuration", lambda _self, _settings: "port.yaml")
    declared = DeclaredMigration(("main",), "python", "localhost", 5432, "synapse", "synapse", "", 5, 10, directory)
    workplace = Workplace(str(tmp_path), owner, 3)
    Passes(declared, PROGRAM, workplace, "/data/homeserver.db", {}).process("/data/copy.db")
    [(arguments, place, _lock, _options)] = started
    assert ("-I" in arguments) is isolated
    assert place == started_in
