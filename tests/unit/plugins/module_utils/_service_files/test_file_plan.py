# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other processes change the same files after the plan: nothing of them is lost, and two equal runs both succeed."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files import location
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.service_files import (
    ServiceFilesResource,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._service_files.declarations import (
    OWN,
    absent,
    plan_of,
    present,
    run,
)

Planned = tuple[ServiceFilesResource, Plan]
NOTHING_DONE = {"changed_paths": [], "changed": False, "steps": []}


def planned(*declared: DeclaredFile) -> Planned:
    """Return a run that has made its plan, and has not begun with it."""
    resource = ServiceFilesResource(declared)
    return resource, resource.plan()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(("was", "is_present"), [(None, True), (OWN, True), (OWN, False)])
def test_a_file_that_another_process_writes_after_the_plan_is_kept(
    tmp_path: pathlib.Path, was: str | None, is_present: bool, force: bool
) -> None:
    path = tmp_path / "x.conf"
    if was is not None:
        path.write_text(was)
    declared = present(path, f"{OWN}new", force=force) if is_present else absent(path, force=force)
    resource, plan = planned(declared)
    path.write_text("foreign\n")
    with pytest.raises(SynapseError, match=f"Another process changed {path} at the same moment: run the") as caught:
        carry_out(resource, plan)
    assert "afterwards" not in caught.value.message
    assert (caught.value.details["steps"], caught.value.details["outcome"]) == ([], "not_done")
    assert path.read_text() == "foreign\n"
    assert os.listdir(tmp_path) == ["x.conf"]


def test_a_link_that_another_process_creates_after_the_plan_is_kept(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.conf"
    plan = plan_of(present(path))
    path.symlink_to("target")
    with pytest.raises(SynapseError, match="is a symbolic link, which is not followed"):
        plan.execute()
    assert os.listdir(tmp_path) == ["x.conf"]


def test_a_mode_that_another_process_sets_after_the_plan(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.conf"
    run(present(path))
    plan = plan_of(present(path, f"{OWN}new"))
    path.chmod(0o600)
    with pytest.raises(SynapseError, match=f"Another process changed {path} at the same moment"):
        plan.execute()
    assert path.read_text() == OWN


def test_a_run_that_another_equal_run_overtakes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    for declared in (present(path), present(path, mode="0600"), absent(path)):
        slow, plan = planned(declared)
        fast = carry_out(*planned(declared)).result
        assert fast == {"changed_paths": [str(path)]}
        assert carry_out(slow, plan).result == NOTHING_DONE
    assert os.listdir(tmp_path) == []


def test_a_run_that_another_run_overtakes_in_part(tmp_path: pathlib.Path) -> None:
    path, other = tmp_path / "a" / "x.conf", tmp_path / "a" / "y.conf"
    resource, plan = planned(present(path), present(other))
    run(present(path))
    result = carry_out(resource, plan).result
    assert result == {"changed_paths": [str(other)], "changed": True, "steps": [f"write {other}"]}
    assert sorted(os.listdir(path.parent)) == [MARKER, "x.conf", "y.conf"]


def test_another_run_removes_the_directory_while_the_plan_is_made(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    run(present(path))

    def open_late(place: str, **named: t.Any) -> t.ContextManager[Directory]:
        monkeypatch.setattr(location, "open_directory", open_directory)
        run(absent(path))
        return open_directory(place, **named)

    monkeypatch.setattr(location, "open_directory", open_late)
    assert plan_of(absent(path)).steps == ()
    run(present(path))
    monkeypatch.setattr(location, "open_directory", open_late)
    assert len(plan_of(present(path)).steps) == 3


@pytest.mark.parametrize("content", [OWN, "foreign\n"])
def test_another_process_replaces_the_new_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = tmp_path / "x.conf"
    resource, plan = planned(present(path))
    move = os.rename

    def move_and_lose(*arguments: t.Any, **named: t.Any) -> None:
        move(*arguments, **named)
        (tmp_path / "other").write_text(content)
        move(tmp_path / "other", path)

    monkeypatch.setattr(os, "rename", move_and_lose)
    if content == OWN:
        assert carry_out(resource, plan).done == [f"write {path}"]
    else:
        with pytest.raises(SynapseError, match=f"Another process replaced {path} at the same moment"):
            carry_out(resource, plan)
    assert path.read_text() == content


def test_another_failure_of_a_file_stays_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.conf"
    plan = plan_of(present(path))

    def fail(_directory: Directory) -> None:
        raise SynapseError("It could not be written to the disk.") from OSError(5, "Input/output error")

    monkeypatch.setattr(Directory, "synchronise", fail)
    with pytest.raises(SynapseError, match="could not be written to the disk"):
        plan.execute()
    assert path.read_text() == OWN


def test_another_run_creates_the_directory_in_the_last_moment(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "x.conf"
    resource, plan = planned(present(path))
    move = os.rename

    def move_late(*arguments: t.Any, **named: t.Any) -> None:
        monkeypatch.setattr(os, "rename", move)
        run(present(path.with_name("y.conf")))
        move(*arguments, **named)

    monkeypatch.setattr(os, "rename", move_late)
    plan.steps[0].run()
    assert os.listdir(tmp_path) == ["a"]
    for step in plan.steps[1:]:
        step.run()
    resource.verify(plan)
    assert resource.result(plan, True)["steps"] == [f"write {path}"]


def test_a_directory_that_another_process_creates_is_as_one_that_was_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "x.conf"
    resource, plan = planned(present(path))
    path.parent.mkdir(mode=0o700)
    assert carry_out(resource, plan).result["steps"] == [f"write {path}"]
    assert os.listdir(path.parent) == ["x.conf"]
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_where_the_directory_would_be(tmp_path: pathlib.Path) -> None:
    plan = plan_of(present(tmp_path / "a" / "x.conf"))
    (tmp_path / "a").write_text("foreign\n")
    with pytest.raises(InvalidInput, match="a exists and is not a directory"):
        plan.execute()
    assert (tmp_path / "a").read_text() == "foreign\n"


def test_a_directory_that_appears_and_disappears(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "x.conf"
    plan = plan_of(present(path))

    def clash(*_arguments: t.Any, **_named: t.Any) -> None:
        raise SynapseError(f"{path.parent} could not be created: File exists.") from FileExistsError(17, "File exists")

    monkeypatch.setattr(Directory, "make", clash)
    with pytest.raises(SynapseError, match="File exists. Another process created it at the same moment: run the task"):
        plan.execute()


def test_another_failure_of_a_directory_stays_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "x.conf"
    plan = plan_of(present(path))
    make = Directory.make

    def fail_late(directory: Directory, *arguments: t.Any) -> None:
        make(directory, *arguments)
        raise SynapseError("It could not be written to the disk.") from OSError(5, "Input/output error")

    monkeypatch.setattr(Directory, "make", fail_late)
    with pytest.raises(SynapseError, match="could not be written to the disk"):
        plan.execute()
