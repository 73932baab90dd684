# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What interrupted runs have left is found and removed, and nothing that looks like it."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import HIDDEN_PREFIX, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    find_leavings,
    removal_of_leavings,
    remove_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    hidden_name,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import layout_of

BEGUN = HIDDEN_PREFIX + "0123456789abcdef" * 2
EMPTIED = hidden_name("data", "emptied")


def marked(path: pathlib.Path, place: str = "data") -> pathlib.Path:
    path.mkdir()
    with open_directory(str(path)) as directory:
        put_marker(directory, str(path.parent / place))
    return path


def test_leavings_are_removed(tmp_path: pathlib.Path) -> None:
    layout = layout_of(tmp_path / "data")
    (tmp_path / BEGUN).mkdir()
    marked(tmp_path / EMPTIED)
    foreign = {f"{BEGUN[:-1]}0": "content", hidden_name("other", "emptied"): MARKER}
    for name, content in foreign.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / content).touch()
    found = find_leavings(layout)
    assert found == sorted([str(tmp_path / BEGUN), str(tmp_path / EMPTIED)])
    for path in found:
        removal_of_leavings(layout, path).run()
        removal_of_leavings(layout, path).run()
    assert sorted(os.listdir(tmp_path)) == sorted(foreign)
    assert find_leavings(layout) == []


def test_a_mark_of_another_place_makes_no_leavings(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / EMPTIED, "other")
    assert find_leavings(layout_of(tmp_path / "data")) == []


def test_leavings_beside_a_directory_on_the_way(tmp_path: pathlib.Path) -> None:
    (tmp_path / BEGUN).mkdir()
    assert find_leavings(layout_of(tmp_path / "a" / "b" / "data")) == [str(tmp_path / BEGUN)]
    (tmp_path / "a").mkdir()
    assert find_leavings(layout_of(tmp_path / "a" / "b" / "data")) == []


def test_a_directory_is_removed_with_its_mark(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / "data")
    with open_directory(str(tmp_path)) as parent:
        remove_directory(parent, "data")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("entry", ["new.log", "media"])
def test_a_directory_into_which_something_was_put_stays(tmp_path: pathlib.Path, entry: str) -> None:
    (marked(tmp_path / "data") / entry).mkdir()
    with open_directory(str(tmp_path)) as parent, pytest.raises(SynapseError, match="something was put into it"):
        remove_directory(parent, "data")
    assert os.listdir(tmp_path) == ["data"]
    assert sorted(os.listdir(tmp_path / "data")) == sorted([MARKER, entry])
