# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.half_done import (
    forget_restore,
    require_nothing_half_done,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import Marker, Stage, write_marker


@pytest.mark.parametrize("stage", Stage)
def test_restore(tmp_path: pathlib.Path, stage: Stage) -> None:
    configuration = str(tmp_path / "homeserver.yaml")
    require_nothing_half_done([configuration])
    write_marker(str(tmp_path / ".matrix_ops-restore.json"), Marker("abc", "example.org", 5, stage), ())
    if stage is Stage.DONE:
        require_nothing_half_done([configuration])
        return
    with pytest.raises(InvalidInput, match="The restore of example.org is not finished"):
        require_nothing_half_done([configuration])


@pytest.mark.parametrize("phase", Phase)
def test_move(tmp_path: pathlib.Path, phase: Phase) -> None:
    configuration = str(tmp_path / "homeserver.yaml")
    file = StateFile(str(tmp_path / ".matrix_ops-migration.json"), set())
    file.write(MoveState("abc", "/srv/homeserver.db", "the PostgreSQL database synapse", phase))
    if phase in (Phase.DONE, Phase.FAILED, Phase.BACK):
        require_nothing_half_done([configuration])
        return
    with pytest.raises(InvalidInput, match="The move of /srv/homeserver.db to PostgreSQL is not finished"):
        require_nothing_half_done([configuration])


def test_forgotten_restore(tmp_path: pathlib.Path) -> None:
    configuration, marker = str(tmp_path / "homeserver.yaml"), tmp_path / ".matrix_ops-restore.json"
    forget_restore([configuration])
    write_marker(str(marker), Marker("abc", "example.org", 5, Stage.DONE), ())
    forget_restore([configuration])
    assert not marker.exists()
