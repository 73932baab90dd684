# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to an environment, and what is said of it."""

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
        "environment": str(scratch.environment),
        "made": [str(scratch.environment.parent), str(scratch.environment)],
        "packages_installed": [SYNAPSE, "psycopg2-binary"],
        "rebuilt": None,
        "removed": [],
        "left": [],
    }
    assert plan.after and plan.after["environment"] == {
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
    assert (result["packages_installed"], result["rebuilt"]) == (["Matrix_Synapse==1.164.0rc1", "lxml"], None)
    assert scratch.environment.stat().st_ino == inode
    _ignored, result = scratch.run(packages=("matrix-synapse==1.164rc1",))
    assert result["packages_installed"] == []


def test_an_upgrade_of_the_system_s_python_is_mended(scratch: Scratch) -> None:
    scratch.run(packages=(SYNAPSE, "lxml==5.0"))
    scratch.let_python_be("3.99")
    plan, result = scratch.run()
    assert result["rebuilt"] == f"it was made for Python 3.98, and {scratch.python} is Python 3.99"
    assert result["packages_installed"] == [SYNAPSE, "lxml==5.0"]
    assert result["made"] == []
    assert plan.before and plan.before["environment"]["works"] is False
    assert sorted(os.listdir(scratch.environment.parent)) == [MARKER, "matrix-synapse"]


def test_a_failure_of_pip_leaves_the_old_environment(scratch: Scratch) -> None:
    scratch.run()
    scratch.let_python_be("3.99")
    before = snapshot(scratch.environment.parent)
    scratch.order("fail")
    with pytest.raises(SynapseError) as failure:
        scratch.resource().plan().execute()
    assert failure.value.message == (
        f"pip could not install {SYNAPSE} into {scratch.environment} (the index of packages could not be reached): No"
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
    assert "is not there" in scratch.refusal(python="/nonexistent/python3")
    # What is to be taken away needs none.
    scratch.run(present=False, python="/nonexistent/python3")


def test_a_python_without_venv_stops_the_run_before_anything_is_done(scratch: Scratch) -> None:
    scratch.let_python_be("3.98", '["ensurepip"]')
    before = snapshot(scratch.root)
    with pytest.raises(InvalidInput, match="python3-venv"):
        scratch.resource().plan().execute()
    assert snapshot(scratch.root) == before


def test_packages_need_an_environment(scratch: Scratch) -> None:
    assert "needs an environment" in scratch.refusal(environment=None)
    assert "packages holds" in scratch.refusal(packages=("-r x",))


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
    # What stays as it is may hold it.
    scratch.run()
    scratch.let_python_be("3.99")
    before = snapshot(scratch.root)
    assert f"{mounted} is a mount point and would have to be removed. Unmount it first" in scratch.refusal()
    assert snapshot(scratch.root) == before


def test_problems(scratch: Scratch) -> None:
    resource = scratch.resource(directories=())
    plan = resource.plan()
    with pytest.raises(SynapseError, match="venvs is not there; .*matrix-synapse is not there"):
        resource.verify(plan)
    scratch.run(packages=())
    with pytest.raises(SynapseError, match=f"{SYNAPSE} is not in {scratch.environment}"):
        resource.verify(plan)
    (scratch.environment / "bin" / "python").unlink()
    with pytest.raises(SynapseError, match="does not work: the Python that it was made with"):
        resource.verify(plan)
