# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile


@pytest.fixture
def file(tmp_path: pathlib.Path) -> StateFile:
    directory = tmp_path / "etc"
    directory.mkdir(mode=0o755)
    return StateFile(str(directory / "state.json"), [os.geteuid()])


def test_what_is_written_is_read(file: StateFile) -> None:
    assert file.read() is None
    state = MoveState("a name", "/data/homeserver.db", "a target", phase=Phase.LAST_PASS, rowids={"users": [5, 0]})
    file.write(state)
    assert file.read() == state
    assert os.stat(file.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1, "phase": "done"}',
        '{"format": 1, "move": "a", "source": "b", "target": "c", "phase": "unknown"}',
        '{"format": 1, "move": "a", "source": "b", "target": "c", "phase": "done", "other": 1}',
        '{"format": 1, "move": ["a"], "source": "b", "target": "c", "phase": "done"}',
        '{"format": 1, "move": "a", "source": "b", "target": "c", "phase": "done", "running": null}',
    ],
)
def test_anything_else_is_no_state(file: StateFile, text: str) -> None:
    pathlib.Path(file.path).write_text(text)
    with pytest.raises(SynapseError, match="is not the state of a move that this collection can continue"):
        file.read()


def test_a_link_is_not_followed(file: StateFile, tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").write_text("{}")
    os.symlink(tmp_path / "other", file.path)
    with pytest.raises(SynapseError, match="symbolic link"):
        file.read()
