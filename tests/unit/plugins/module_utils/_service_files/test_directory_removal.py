# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only directories that this collection has created are removed, when nothing is left in them."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.installation import (
    DeclaredInstallation,
    InstallationResource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, put_marker
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.service_files import (
    ServiceFilesResource,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._service_files.declarations import (
    OWN,
    absent,
    plan_of,
    present,
    run,
    steps_of,
)

UNFINISHED = HIDDEN_PREFIX + "0123456789abcdef" * 2


class Killed(BaseException):
    """The process ends at this moment."""


def test_several_levels(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "c" / "x.conf"
    run(present(path), present(path.with_name("y.conf")))
    run(absent(path))
    assert path.parent.exists()
    run(absent(path), absent(path.with_name("y.conf")))
    assert os.listdir(tmp_path) == []


def test_as_far_as_there_is_nothing_else(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    run(present(path))
    (tmp_path / "a" / "own.conf").touch()
    run(absent(path))
    assert sorted(os.listdir(tmp_path / "a")) == [MARKER, "own.conf"]


def test_a_directory_that_is_not_marked_stays(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    path.parent.mkdir(parents=True)
    run(present(path))
    run(absent(path))
    assert os.listdir(path.parent) == []
    # It was copied, so that the marker file has another path.
    run(present(path.parent / "c" / "x.conf"))
    (path.parent / "c").rename(tmp_path / "copy")
    run(absent(tmp_path / "copy" / "x.conf"))
    assert os.listdir(tmp_path / "copy") == [MARKER]


def test_a_directory_that_another_file_needs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "x.conf"
    run(present(path))
    run(absent(path), present(tmp_path / "a" / "b" / "y.conf"))
    assert sorted(os.listdir(tmp_path / "a")) == [MARKER, "b"]


def test_a_directory_of_an_installation(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    declared = DeclaredDirectory(str(path.parent), Ownership(0o750))
    InstallationResource(DeclaredInstallation((declared,)), []).plan().execute()
    run(present(path))
    assert path.parent.stat().st_mode & 0o777 == 0o750
    run(absent(path))
    assert os.listdir(tmp_path) == []
    # The other way round: of a task that used to remove it.
    run(present(path))
    path.unlink()
    InstallationResource(DeclaredInstallation((declared,), present=False, purge=True), []).plan().execute()
    assert os.listdir(tmp_path) == []


def test_after_a_run_that_was_killed_while_it_wrote(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    (path.parent / UNFINISHED).write_text("half")
    run(absent(path))
    assert os.listdir(tmp_path) == []


def test_a_hidden_directory_is_not_taken_for_an_unfinished_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    (path.parent / UNFINISHED).mkdir()
    run(absent(path))
    assert sorted(os.listdir(path.parent)) == [MARKER, UNFINISHED]


@pytest.mark.parametrize("was_present", [True, False])
@pytest.mark.parametrize("is_present", [True, False])
def test_a_run_that_was_killed_is_completed_by_the_next(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, was_present: bool, is_present: bool
) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    calls = 0
    killed = True
    while killed:
        if not was_present:
            run(present(path))
        with monkeypatch.context() as patched:
            _kill_after(calls, patched)
            try:
                for step in plan_of(present(path) if was_present else absent(path)).steps:
                    step.run()
                killed = False
            except Killed:
                calls += 1
        run(present(path) if is_present else absent(path))
        assert is_present is path.exists()
        if is_present:
            assert os.listdir(tmp_path) == ["a"], f"after {calls} calls"
            assert sorted(os.listdir(path.parent)) == [MARKER, "x.conf"], f"after {calls} calls"
            run(absent(path))
        assert os.listdir(tmp_path) == [], f"after {calls} calls"
    assert calls > 5


def _kill_after(calls: int, patched: pytest.MonkeyPatch) -> None:
    """Let this process end after some calls that change something: all later ones fail, so that nothing is undone."""
    left = [calls]

    def limit(original: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def act(*arguments: t.Any, **named: t.Any) -> t.Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(*arguments, **named)

        return act

    for name in ("mkdir", "rename", "unlink", "rmdir", "fsync", "fchmod", "fchown"):
        patched.setattr(os, name, limit(getattr(os, name)))


def test_another_process_creates_a_file_after_the_plan(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a" / "b" / "x.conf"
    run(present(path))
    resource = ServiceFilesResource([absent(path)])
    plan = resource.plan()
    (path.parent / "own.conf").touch()
    result = carry_out(resource, plan).result
    assert result == {"changed_paths": [str(path)], "changed": True, "steps": [f"remove {path}"]}
    assert sorted(os.listdir(path.parent)) == [MARKER, "own.conf"]
    assert run(absent(path)) == []


def test_another_process_creates_a_file_while_the_directory_is_removed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    path.unlink()
    resource = ServiceFilesResource([absent(path)])
    plan = resource.plan()
    rename = Directory.rename

    def rename_late(directory: Directory, name: str, new: str, to: Directory | None = None) -> None:
        if name == "a.d":
            (path.parent / "own.conf").touch()
        rename(directory, name, new, to)

    monkeypatch.setattr(Directory, "rename", rename_late)
    assert carry_out(resource, plan).result == {"changed_paths": [], "changed": False, "steps": []}
    assert os.listdir(tmp_path) == ["a.d"]
    assert sorted(os.listdir(path.parent)) == [MARKER, "own.conf"]


def test_an_empty_directory_that_cannot_be_removed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    plan = plan_of(absent(path))

    def refuse(_directory: Directory, name: str) -> None:
        raise SynapseError(f"{name} could not be removed: Input/output error.")

    monkeypatch.setattr(Directory, "remove_empty", refuse)
    with pytest.raises(SynapseError, match="could not be removed: Input/output error"):
        plan.execute()
    assert os.listdir(path.parent) == [MARKER]


def test_another_process_replaces_the_directory_at_the_same_moment(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    plan = plan_of(absent(path))
    path.parent.rename(tmp_path / "away")
    path.parent.mkdir()
    with pytest.raises(SynapseError, match=f"Another process replaced {path.parent} at the same moment"):
        plan.execute()
    assert os.listdir(path.parent) == []


def test_a_mount_point_stays(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    monkeypatch.setattr(_directory, "mount_points", lambda: [str(path.parent)])
    assert steps_of(absent(path)) == [f"remove {path}"]
    monkeypatch.setattr(_directory, "mount_points", lambda: [str(path)])
    for declared in (absent(path), present(path, f"{OWN}x")):
        with pytest.raises(SynapseError, match="is a mount point and is not removed"):
            plan_of(declared)


def test_a_marker_of_somebody_else_does_not_count(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    path.parent.mkdir()
    with open_directory(str(path.parent)) as directory:
        put_marker(Directory(str(tmp_path / "b.d"), directory.descriptor), str(tmp_path / "b.d"))
    run(present(path))
    run(absent(path))
    assert os.listdir(path.parent) == [MARKER]
