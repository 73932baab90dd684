# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only directories that this collection has created get another owner or mode. Others must be usable as they are."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.directory_plan import DirectoryPlan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory, lay_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, put_marker
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    OTHER,
    Scratch,
    snapshot,
)

ALONE: dict[str, object] = {"virtualenv": None, "packages": ()}


def plan_of(path: pathlib.Path, ownership: Ownership) -> DirectoryPlan:
    return DirectoryPlan(lay_out([DeclaredDirectory(str(path), ownership)], None, []))


def run(plan: DirectoryPlan) -> None:
    for step in plan.steps:
        step.run()


def mark(path: pathlib.Path) -> None:
    with open_directory(str(path), trusted=[65534]) as directory:
        put_marker(directory, str(path))


def test_makes_directories_with_their_owners_whatever_the_umask(scratch: Scratch) -> None:
    previous = os.umask(0o077)
    try:
        _ignored, result = scratch.run(**ALONE)
    finally:
        os.umask(previous)
    on_the_way = [scratch.configuration.parent, scratch.data.parent]
    made = [*on_the_way, scratch.configuration, scratch.data, scratch.drop_ins]
    assert result["installation"]["created_paths"] == [str(path) for path in made]
    modes = {path: f"{path.stat().st_mode & 0o7777:o}" for path in made}
    assert [*modes.values()] == ["755", "755", "750", "700", "750"]
    assert all(os.listdir(path).count(MARKER) == 1 for path in made)
    assert scratch.data.owner() == (OTHER or scratch.root.owner())
    assert (scratch.data / MARKER).owner() == scratch.root.owner()


def test_what_is_ours_is_kept_as_declared(scratch: Scratch) -> None:
    scratch.run(**ALONE)
    scratch.configuration.chmod(0o2777)
    scratch.data.chmod(0o500)
    if OTHER:
        os.chown(scratch.data, 12345, 12345)
    plan, result = scratch.run(**ALONE)
    assert result["installation"]["created_paths"] == []
    assert [step.description.split(" on ")[1] for step in plan.steps] == [str(scratch.configuration), str(scratch.data)]
    assert plan.before and plan.after
    before, after = (state["directories"][str(scratch.configuration)] for state in (plan.before, plan.after))
    assert (before["mode"], after["mode"], before["ours"]) == ("2777", "0750", True)


def test_what_was_there_before_stays_as_it_is(scratch: Scratch) -> None:
    scratch.configuration.mkdir(parents=True)
    scratch.configuration.chmod(0o755)
    (scratch.configuration / "nginx.log").write_text("foreign")
    before = snapshot(scratch.configuration.parent)
    scratch.run(**ALONE)
    after = snapshot(scratch.configuration.parent)
    assert {path: after[path] for path in before} == before
    assert not (scratch.configuration / MARKER).exists()
    assert (scratch.drop_ins / MARKER).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root there is somebody else to whom a directory can belong")
def test_what_was_there_before_must_serve(scratch: Scratch) -> None:
    scratch.data.mkdir(parents=True)
    assert scratch.refusal(**ALONE) == (
        f"{scratch.data} exists and belongs to root:root (mode 0755), so that nobody could not write there:"
        " give nobody that permission, or set a directory that does not exist yet."
    )
    os.chown(scratch.data, 65534, 65534)
    scratch.run(**ALONE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root there is somebody else who could lead it astray")
def test_root_makes_nothing_where_others_may_write(scratch: Scratch) -> None:
    scratch.data.parent.mkdir()
    scratch.data.parent.chmod(0o777)
    assert "every user may write to" in scratch.refusal(**ALONE)
    scratch.data.parent.chmod(0o755)
    os.chown(scratch.data.parent, 12345, 12345)
    assert "belongs to 12345, who could exchange what root writes there" in scratch.refusal(**ALONE)
    os.chown(scratch.data.parent, 65534, 65534)
    scratch.run(**ALONE)


def test_a_file_in_the_place(scratch: Scratch) -> None:
    scratch.data.parent.mkdir()
    scratch.data.touch()
    assert "which is not a directory: set another path" in scratch.refusal(**ALONE)
    scratch.data.unlink()
    scratch.data.parent.rmdir()
    scratch.data.parent.touch()
    assert "a part of the path is a file" in scratch.refusal(**ALONE)


def test_owners_that_are_made_by_an_earlier_task(tmp_path: pathlib.Path) -> None:
    plan = plan_of(tmp_path / "a" / "b", Ownership(0o750, "not_yet_there"))
    assert plan.after()[str(tmp_path / "a" / "b")]["owner"] == "not_yet_there"
    with pytest.raises(InvalidInput, match="owner not_yet_there does not exist on this host"):
        plan.require_known()
    plan.steps[0].run()
    with pytest.raises(InvalidInput, match="owner not_yet_there"):
        plan.steps[1].run()


def test_an_owner_that_is_missing_stops_the_run_before_anything_is_done(scratch: Scratch) -> None:
    directory = DeclaredDirectory(str(scratch.data), Ownership(0o750, "not_yet_there"))
    before = snapshot(scratch.root)
    with pytest.raises(InvalidInput, match="owner not_yet_there"):
        scratch.resource(directories=(directory,)).plan().execute()
    assert snapshot(scratch.root) == before


def test_only_root_gives_directories_away(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(InvalidInput, match="only root can set it"):
        plan_of(tmp_path / "a", Ownership(0o750, "root"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only what root has made belongs to this collection for another user too")
def test_a_user_gets_no_directory_that_root_has_made(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    mark(tmp_path / "a")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(InvalidInput, match=f"of {tmp_path}/a cannot be set: it belongs to root, and not to this user"):
        plan_of(tmp_path / "a", Ownership(0o750))


@pytest.mark.parametrize(
    ("mode", "below", "said"),
    [
        (0o000, None, "list it and enter it: set a mode that starts with 05 or 07, or run the task with become."),
        (0o400, None, "list it and enter it"),
        (0o300, None, "list it and enter it"),
        (0o500, "x", "create anything in it: set a mode that starts with 07, or run the task with become."),
        (0o500, None, None),
        (0o700, "x", None),
    ],
)
def test_a_mode_that_keeps_its_owner_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, mode: int, below: str | None, said: str | None
) -> None:
    declared = [DeclaredDirectory(str(tmp_path / "data"), Ownership(mode))]
    if below:
        declared.append(DeclaredDirectory(str(tmp_path / "data" / below), Ownership(0o700)))
    if os.geteuid() == 0:
        DirectoryPlan(lay_out(declared, None, []))
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
        monkeypatch.setattr(os, "getegid", lambda: 65534)
    if said is None:
        DirectoryPlan(lay_out(declared, None, []))
        return
    with pytest.raises(InvalidInput) as error:
        DirectoryPlan(lay_out(declared, None, []))
    assert f"{tmp_path}/data with the mode {mode:04o}, with which this user could not {said}" in error.value.message


def test_a_directory_that_was_exchanged_meanwhile_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir(0o700)
    mark(tmp_path / "a")
    plan = plan_of(tmp_path / "a", Ownership(0o750))
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir(0o711)
    with pytest.raises(SynapseError, match="Another process replaced .* at the same moment"):
        run(plan)
    (tmp_path / "a").rmdir()
    (tmp_path / "a").symlink_to("b")
    with pytest.raises(SynapseError):
        run(plan)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700


def test_nothing_takes_the_place_of_what_came_meanwhile(tmp_path: pathlib.Path) -> None:
    plan = plan_of(tmp_path / "a", Ownership(0o750))
    (tmp_path / "a").mkdir(0o711)
    with pytest.raises(SynapseError):
        run(plan)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o711
    assert plan.problems() == []


def test_problems(tmp_path: pathlib.Path) -> None:
    plan = plan_of(tmp_path / "a", Ownership(0o750))
    assert plan.problems() == [f"{tmp_path / 'a'} does not exist"]
    run(plan)
    assert plan.problems() == []
    (tmp_path / "a").chmod(0o700)
    assert plan.problems() == [f"{tmp_path / 'a'} has another owner, group or mode"]


def test_loops_that_make_different_directories_in_one_parent(scratch: Scratch) -> None:
    def loop(number: int) -> None:
        for count in range(150):
            directory = DeclaredDirectory(str(scratch.root / f"{number}-{count}"), Ownership(0o700))
            resource = scratch.resource(directories=(directory,), **ALONE)
            plan = resource.plan()
            plan.execute()
            resource.verify(plan)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(loop, number) for number in range(3)]:
            done.result()
    assert len([path for path in scratch.root.iterdir() if (path / MARKER).is_file()]) == 450
