# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a restore survives interruptions, and no other file is taken for one."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import (
    Marker,
    Stage,
    marker_path,
    read_marker,
    write_marker,
)


def test_what_is_written_is_read(tmp_path: pathlib.Path) -> None:
    path = marker_path([str(tmp_path / "homeserver.yaml")])
    assert read_marker(path, ()) is None
    marker = Marker("0f", "example.org", 5, Stage.BEGUN)
    for stage in Stage:
        write_marker(path, marker._replace(stage=stage), ())
        assert read_marker(path, ()) == marker._replace(stage=stage)
    assert stat.S_IMODE(pathlib.Path(path).stat().st_mode) == 0o600


def test_a_missing_directory(tmp_path: pathlib.Path) -> None:
    assert read_marker(str(tmp_path / "missing" / "x"), ()) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_the_user_of_synapse(tmp_path: pathlib.Path) -> None:
    own = tmp_path / "own"
    own.mkdir(0o750)
    os.chown(own, 4321, -1)
    path, marker = str(own / "x"), Marker("0f", "example.org", 5, Stage.BEGUN)
    with pytest.raises(InvalidInput, match="belongs to 4321, who could exchange what root writes there"):
        write_marker(path, marker, ())
    write_marker(path, marker, {4321})
    assert read_marker(path, {4321}) == marker


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "stage": "other"}'])
def test_another_file(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(SynapseError, match="is not a record of a restore"):
        read_marker(str(tmp_path / "x"), ())
