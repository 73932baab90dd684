# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The remains of interrupted runs are found and removed, and nothing that looks similar."""

from __future__ import annotations

import fcntl
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    find_leavings,
    removal_of_leavings,
    remove_directory,
    require_directory_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    hidden_name,
    is_ours,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    layout_of,
    let_be_fixed,
)

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


def test_what_another_run_is_making_is_not_removed(tmp_path: pathlib.Path) -> None:
    (tmp_path / BEGUN).mkdir()
    layout = layout_of(tmp_path / "data")
    [found] = find_leavings(layout)
    descriptor = os.open(tmp_path / BEGUN, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        removal_of_leavings(layout, found).run()
        assert os.listdir(tmp_path) == [BEGUN]
    finally:
        os.close(descriptor)
    removal_of_leavings(layout, found).run()
    assert os.listdir(tmp_path) == []


def test_a_mark_of_another_place_makes_no_leavings(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / EMPTIED, "other")
    assert find_leavings(layout_of(tmp_path / "data")) == []


def test_leavings_beside_a_directory_on_the_way(tmp_path: pathlib.Path) -> None:
    (tmp_path / BEGUN).mkdir()
    assert find_leavings(layout_of(tmp_path / "a" / "b" / "data")) == [str(tmp_path / BEGUN)]
    (tmp_path / "a").mkdir()
    assert find_leavings(layout_of(tmp_path / "a" / "b" / "data")) == []


@pytest.mark.parametrize("fixed", ["", MARKER])
def test_a_leaving_that_cannot_be_removed_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, fixed: str
) -> None:
    let_be_fixed(monkeypatch, marked(tmp_path / EMPTIED) / fixed)
    with pytest.raises(InvalidInput, match=f"{EMPTIED} cannot be removed: .* is immutable. Run chattr -i"):
        find_leavings(layout_of(tmp_path / "data"))


def test_an_empty_directory_of_somebody_else_is_no_leaving(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / EMPTIED).mkdir()
    assert find_leavings(layout_of(tmp_path / "data")) == [str(tmp_path / EMPTIED)]
    other = os.geteuid() + 4711
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert find_leavings(layout_of(tmp_path / "data")) == []


def test_where_this_user_cannot_list_nothing_is_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / BEGUN).mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(os, "access", lambda _path, mode, **_where: mode == os.X_OK)
    assert find_leavings(layout_of(tmp_path / "data")) == []


@pytest.mark.parametrize("name", [BEGUN, EMPTIED])
def test_what_is_gone_meanwhile_is_no_leaving(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    names = Directory.names

    def vanish(directory: Directory) -> list[str]:
        found = names(directory)
        if name in found:
            (tmp_path / name / MARKER).unlink()
            (tmp_path / name).rmdir()
        return found

    status = marked(tmp_path / name).stat()
    monkeypatch.setattr(Directory, "names", vanish)
    monkeypatch.setattr(Directory, "status", lambda _directory, entry: status if entry == name else None)
    assert find_leavings(layout_of(tmp_path / "data")) == []


def test_a_directory_is_removed_with_its_mark(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / "data")
    with open_directory(str(tmp_path)) as parent:
        remove_directory(parent, "data")
    assert os.listdir(tmp_path) == []


def test_a_directory_takes_the_place_of_an_earlier_one_that_was_emptied(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / "data")
    marked(tmp_path / EMPTIED)
    with open_directory(str(tmp_path)) as parent:
        require_directory_removable(parent, "data")
        remove_directory(parent, "data")
    assert os.listdir(tmp_path) == []


def test_something_else_by_the_hidden_name_is_in_the_way(tmp_path: pathlib.Path) -> None:
    marked(tmp_path / "data")
    (tmp_path / EMPTIED / "content").mkdir(parents=True)
    with open_directory(str(tmp_path)) as parent, pytest.raises(InvalidInput) as error:
        require_directory_removable(parent, "data")
    assert error.value.message == (
        f"{tmp_path}/data cannot be removed, because {tmp_path}/{EMPTIED} is in the way and contains files that this"
        " collection has not created: check what they are, and remove them."
    )


@pytest.mark.parametrize("method", ["remove", "remove_empty"])
def test_a_directory_that_cannot_be_removed_keeps_its_place_and_its_mark(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    marked(tmp_path / "data")

    def fail(directory: Directory, name: str) -> None:
        raise SynapseError(f"{directory.place(name)} could not be removed: Operation not permitted.")

    with open_directory(str(tmp_path)) as parent:
        with monkeypatch.context() as patch:
            patch.setattr(Directory, method, fail)
            with pytest.raises(SynapseError, match="Operation not permitted"):
                remove_directory(parent, "data")
        assert os.listdir(tmp_path) == ["data"]
        with parent.child("data") as directory:
            assert is_ours(directory)
        remove_directory(parent, "data")


@pytest.mark.parametrize("entry", ["new.log", "media"])
def test_a_directory_into_which_something_was_put_stays(tmp_path: pathlib.Path, entry: str) -> None:
    (marked(tmp_path / "data") / entry).mkdir()
    with (
        open_directory(str(tmp_path)) as parent,
        pytest.raises(SynapseError, match="another process created a file in it"),
    ):
        remove_directory(parent, "data")
    assert os.listdir(tmp_path) == ["data"]
    assert sorted(os.listdir(tmp_path / "data")) == sorted([MARKER, entry])
