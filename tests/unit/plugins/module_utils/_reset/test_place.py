# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import Surroundings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import Place, find_place


def surroundings(path: pathlib.Path, working_directory: str | None) -> Surroundings:
    return Surroundings((str(path),), "daemon", "", "", (), sys.executable, working_directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_root_is_the_owner_of_the_configuration_for_a_moment(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.yaml"
    path.touch()
    os.chown(path, 65534, 65534)
    place = find_place(surroundings(path, "/srv"))
    assert place == Place(65534, "/srv")
    with place.as_synapse():
        assert os.geteuid() == 65534
    assert os.geteuid() == 0


def test_without_a_configuration(tmp_path: pathlib.Path) -> None:
    place = find_place(surroundings(tmp_path / "missing.yaml", None))
    assert place.working_directory is None
    with place.as_synapse():
        assert os.geteuid() == os.getuid()
