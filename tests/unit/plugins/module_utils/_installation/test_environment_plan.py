# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps for an environment, and its results and errors."""

from __future__ import annotations

import os
import shutil
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory as directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import build
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import environment as environments
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import run_python
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    SYNAPSE,
    Scratch,
    snapshot,
)


def test_made_whole_with_its_packages(scratch: Scratch) -> None:
    plan, result = scratch.run(directories=(), packages=(SYNAPSE, "psycopg2-binary"))
    assert result == {
        "installation": {
            "virtualenv": str(scratch.environment),
            "created_paths": [str(scratch.environment.parent), str(scratch.environment)],
            "packages_installed": [SYNAPSE, "psycopg2-binary"],
            "packages_replaced": [],
            "removed_paths": [],
            "kept_paths": [],
        },
        "restart_required": True,
    }
    assert plan.after and plan.after["virtualenv"] == {
        "path": str(scratch.environment),
        "python": "3.98",
        "works": True,
        "packages": {"matrix-synapse": "1.163.2", "psycopg2-binary": "present"},
    }
    assert (scratch.environment / "bin" / "tool").read_text() == f'#!/bin/sh\necho "made for {scratch.environment}"\n'
    assert os.access(scratch.environment / "bin" / "tool", os.X_OK)
    assert sorted(os.listdir(scratch.environment.parent)) == [MARKER, "matrix-synapse"]


def test_packages_are_installed_in_place(scratch: Scratch) -> None:
    scratch.run()
    inode = scratch.environment.stat().st_ino
    _ignored, result = scratch.run(packages=("Matrix_Synapse==1.164.0rc1", "lxml"))
    assert result["installation"]["packages_installed"] == ["Matrix_Synapse==1.164.0rc1", "lxml"]
    assert result["installation"]["packages_replaced"] == ["Matrix_Synapse==1.163.2"]
    assert result["restart_required"]
    assert "rebuild_reason" not in result["installation"]
    assert scratch.environment.stat().st_ino == inode
    _ignored, result = scratch.run(packages=("matrix-synapse==1.164rc1",))
    assert (result["installation"]["packages_installed"], result["restart_required"]) == ([], False)


INITIAL: dict[str, t.Any] = {"packages": ("Matrix_Synapse", "lxml"), "initial_versions": {"matrix.synapse": "1.163.2"}}


def version_of(scratch: Scratch, name: str, python: str = "3.98") -> list[str]:
    packages = scratch.environment / "lib" / f"python{python}" / "site-packages"
    return [path.name[len(name) + 1 : -len(".dist-info")] for path in packages.glob(f"{name}-*.dist-info")]


def test_an_initial_version_is_installed_into_a_new_environment(scratch: Scratch) -> None:
    plan, result = scratch.run(**INITIAL)
    assert result["installation"]["packages_installed"] == ["Matrix_Synapse==1.163.2", "lxml"]
    assert version_of(scratch, "Matrix_Synapse") == ["1.163.2"]
    assert plan.after and plan.after["virtualenv"]["packages"] == {"Matrix_Synapse": "present", "lxml": "present"}
    _ignored, result = scratch.run(**{**INITIAL, "initial_versions": {"matrix-synapse": "1.164.0"}})
    assert (result["installation"]["packages_installed"], result["restart_required"]) == ([], False)
    assert version_of(scratch, "Matrix_Synapse") == ["1.163.2"]


def test_an_initial_version_is_installed_into_an_environment_without_the_package(scratch: Scratch) -> None:
    scratch.run(packages=("lxml==5.0",))
    _ignored, result = scratch.run(**INITIAL)
    assert result["installation"]["packages_installed"] == ["Matrix_Synapse==1.163.2"]
    assert (version_of(scratch, "Matrix_Synapse"), version_of(scratch, "lxml")) == (["1.163.2"], ["5.0"])


@pytest.mark.parametrize("version", ["1.162.0", "1.165.0"])
def test_an_initial_version_changes_no_other_version(scratch: Scratch, version: str) -> None:
    scratch.run(packages=(f"matrix-synapse=={version}",))
    _ignored, result = scratch.run(**{**INITIAL, "packages": ("matrix-synapse",)})
    assert result["installation"]["packages_installed"] == []
    # Not even if the environment must be created again.
    scratch.let_python_be("3.99")
    _ignored, result = scratch.run(**INITIAL)
    assert result["installation"]["packages_installed"] == [f"matrix-synapse=={version}", "lxml"]
    assert result["restart_required"]
    assert version_of(scratch, "matrix_synapse", "3.99") == [version]


def test_an_initial_version_does_not_replace_one_whose_installation_was_interrupted(scratch: Scratch) -> None:
    scratch.run(packages=("matrix-synapse==1.165.0",))
    packages = scratch.environment / "lib" / "python3.98" / "site-packages"
    (packages / "matrix_synapse-1.165.0.dist-info").rename(packages / "~atrix_synapse-1.165.0.dist-info")
    (packages / "~atrix_synapse").mkdir()
    _ignored, result = scratch.run(**INITIAL)
    assert result["installation"]["packages_installed"] == ["matrix-synapse==1.165.0", "lxml"]
    assert version_of(scratch, "matrix_synapse") == ["1.165.0"]


def test_a_declared_version_has_precedence_over_an_initial_one(scratch: Scratch) -> None:
    initial = {"matrix-synapse": "1.162.0"}
    _ignored, result = scratch.run(initial_versions=initial)
    assert result["installation"]["packages_installed"] == [SYNAPSE]
    scratch.let_python_be("3.99")
    _ignored, result = scratch.run(packages=("matrix-synapse==1.164.0",), initial_versions=initial)
    assert result["installation"]["packages_installed"] == ["matrix-synapse==1.164.0"]


def test_without_an_initial_version_any_version_is_installed(scratch: Scratch) -> None:
    scratch.run(packages=("lxml==5.0",))
    scratch.let_python_be("3.99")
    _ignored, result = scratch.run(**INITIAL)
    assert result["installation"]["packages_installed"] == ["Matrix_Synapse==1.163.2", "lxml"]


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ({"matrix-synapse": 1.16}, "initial_versions has 1.16 for matrix-synapse, which is not a version"),
        ({"matrix-synapse": None}, "initial_versions has None for matrix-synapse"),
        ({"matrix-synapse": "1.163.2 lxml"}, "initial_versions has '1.163.2 lxml' for"),
        ({"matrix-synapse": "one"}, "initial_versions has 'one' for"),
        ({"matrix-synapes": "1.163.2"}, "a version of matrix-synapes, which is not in packages"),
        ({"matrix-synapse": "1.1", "matrix_synapse": "1.2"}, "has matrix_synapse twice"),
    ],
)
def test_initial_versions_that_cannot_be(scratch: Scratch, versions: dict[str, t.Any], words: str) -> None:
    assert words in scratch.refusal(initial_versions=versions)
    # The option has no effect with state=absent.
    scratch.run(present=False, initial_versions=versions)


def test_an_upgrade_of_the_system_s_python_is_repaired(scratch: Scratch) -> None:
    scratch.run(packages=(SYNAPSE, "lxml==5.0"))
    scratch.let_python_be("3.99")
    plan, result = scratch.run()
    assert (
        result["installation"]["rebuild_reason"]
        == f"it was created for Python 3.98, and {scratch.python} is Python 3.99"
    )
    assert result["installation"]["packages_installed"] == [SYNAPSE, "lxml==5.0"]
    assert result["installation"]["created_paths"] == []
    assert result["restart_required"]
    assert plan.before and plan.before["virtualenv"]["works"] is False
    assert sorted(os.listdir(scratch.environment.parent)) == [MARKER, "matrix-synapse"]


def test_a_failure_of_pip_leaves_the_old_environment(scratch: Scratch) -> None:
    scratch.run()
    scratch.let_python_be("3.99")
    before = snapshot(scratch.environment.parent)
    scratch.order("fail")
    with pytest.raises(SynapseError) as failure:
        scratch.resource().plan().execute()
    assert failure.value.message == (
        f"pip could not install {SYNAPSE} into {scratch.environment} (the package index could not be reached): No"
        f" matching distribution found for {SYNAPSE} in https://i.test/simple."
    )
    assert snapshot(scratch.environment.parent) == before


@pytest.mark.parametrize("kind", ["empty", "file", "environment", "marked"])
def test_what_somebody_else_has_made_is_refused(scratch: Scratch, kind: str) -> None:
    scratch.environment.parent.mkdir()
    if kind == "file":
        scratch.environment.touch()
    else:
        scratch.environment.mkdir()
        if kind == "environment":
            (scratch.environment / "pyvenv.cfg").touch()
        elif kind == "marked":
            (scratch.environment / MARKER).touch()
    assert str(scratch.environment) in scratch.refusal()


def test_a_python_that_does_not_run_is_refused(scratch: Scratch) -> None:
    scratch.run()
    assert "does not exist or cannot be run" in scratch.refusal(virtualenv_python="/nonexistent/python3")
    # Removing the environment does not need a Python.
    scratch.run(present=False, virtualenv_python="/nonexistent/python3")


def test_a_python_without_venv_stops_the_run_before_anything_is_done(scratch: Scratch) -> None:
    scratch.let_python_be("3.98", '["ensurepip"]')
    before = snapshot(scratch.root)
    with pytest.raises(InvalidInput, match="python3-venv"):
        scratch.resource().plan().execute()
    assert snapshot(scratch.root) == before


def test_packages_need_an_environment(scratch: Scratch) -> None:
    assert "needs an environment to install them into: set virtualenv." in scratch.refusal(virtualenv=None)
    assert "packages contains" in scratch.refusal(packages=("-r x",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root there is somebody else who could exchange programs")
def test_root_runs_no_program_that_somebody_else_could_exchange(scratch: Scratch) -> None:
    scratch.environment.parent.mkdir()
    os.chown(scratch.environment.parent, 65534, 65534)
    assert "could exchange what root writes there" in scratch.refusal()


@pytest.mark.skipif(os.geteuid() != 0, reason="about what root runs")
@pytest.mark.parametrize(
    "place",
    [
        "",
        "bin",
        "bin/python3",
        "pyvenv.cfg",
        "pip.conf",
        "lib/python3.98/site-packages",
        "lib/python3.98/site-packages/pip",
    ],
)
def test_root_runs_nothing_of_an_environment_that_others_can_write(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    scratch.run()
    (scratch.environment / "pip.conf").touch()
    if place == "bin/python3":
        shutil.copy(scratch.python, scratch.environment / place)
        (scratch.environment / "bin" / "python").unlink()
        (scratch.environment / "bin" / "python").symlink_to("python3")
    plan = scratch.resource(packages=("other==1.0",)).plan()
    mode = 0o1777 if (scratch.environment / place).is_dir() else 0o646
    (scratch.environment / place).chmod(mode)
    ran: list[str] = []

    def note(arguments: list[str], *others: t.Any) -> object:
        ran.append(arguments[0])
        return run_python(arguments, *others)

    for module in (environments, build):
        monkeypatch.setattr(module, "run_python", note)
    said = scratch.refusal()
    assert str(scratch.environment / place) in said and f"chmod -R go-w {scratch.environment}" in said
    with pytest.raises(InvalidInput, match="chmod -R go-w"):
        plan.execute()
    assert ran == []
    if place:
        os.chown(scratch.environment / place, 65534, 0)
        (scratch.environment / place).chmod(0o755)
        assert f"{scratch.environment / place}" in scratch.refusal()
        assert ran == []
    scratch.run(present=False)
    assert ran == []


@pytest.mark.parametrize("where", ["lib", "."])
def test_what_is_mounted_in_an_environment_is_not_removed_with_it(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    scratch.run()
    mounted = os.path.normpath(scratch.environment / where)
    monkeypatch.setattr(directories, "mount_points", lambda: frozenset({mounted}))
    # An environment that does not change may contain a mount point.
    scratch.run()
    scratch.let_python_be("3.99")
    before = snapshot(scratch.root)
    assert f"{mounted} is a mount point that must be removed: unmount it first" in scratch.refusal()
    assert snapshot(scratch.root) == before


def test_problems(scratch: Scratch) -> None:
    resource = scratch.resource(directories=())
    plan = resource.plan()
    with pytest.raises(SynapseError, match="venvs does not exist; .*matrix-synapse does not exist"):
        resource.verify(plan)
    scratch.run(packages=())
    with pytest.raises(SynapseError, match=f"{SYNAPSE} is not installed in {scratch.environment}"):
        resource.verify(plan)
    (scratch.environment / "bin" / "python").unlink()
    with pytest.raises(SynapseError, match="does not work: the Python that created it"):
        resource.verify(plan)
