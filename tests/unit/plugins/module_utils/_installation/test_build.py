# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real environment with a real pip, and packages from a directory instead of the network."""

from __future__ import annotations

import fcntl
import os
import pathlib
import struct
import subprocess
import sys
import typing as t
import zipfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import lock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.build import Workshop
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.distribution import read_packages
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import examine
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import (
    Interpreter,
    ask_interpreter,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    Scratch,
    layout_of,
)

VERSION = "{}.{}".format(*sys.version_info)


def put_wheel(directory: pathlib.Path, name: str, version: str) -> None:
    """Write a package with one command that prints its version and the path of its environment."""
    directory.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"import sys\ndef main():\n    print({version!r}, sys.prefix)\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/RECORD,,\n")


def output_of(program: pathlib.Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True, env=environment).stdout


def executed(scratch: Scratch, declared: dict[str, t.Any]) -> dict[str, t.Any]:
    resource = scratch.resource(**declared)
    plan = resource.plan()
    plan.execute()
    return t.cast("dict[str, t.Any]", resource.result(plan, True)["installation"])


@pytest.fixture
def python() -> Interpreter:
    return ask_interpreter(sys.executable)


def test_a_real_environment(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, python: Interpreter) -> None:
    wheels = scratch.root / "wheels"
    put_wheel(wheels, "greeting", "1.0")
    put_wheel(wheels, "extra", "3.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    declared: dict[str, t.Any] = {"directories": (), "virtualenv_python": sys.executable, "packages": ("greeting==1",)}
    result = executed(scratch, declared)
    assert result["packages_installed"] == ["greeting==1"]
    programs = scratch.environment / "bin"
    assert output_of(programs / "greeting") == f"1.0 {scratch.environment}\n"
    assert output_of(programs / "pip", "--version").startswith("pip ")
    assert all(".matrix_ops.synapse." not in path.read_text("latin-1") for path in programs.iterdir() if path.is_file())
    assert ".matrix_ops.synapse." not in (scratch.environment / "pyvenv.cfg").read_text()
    assert f"{scratch.environment.stat().st_mode & 0o777:o}" == "755"

    # A package of a user is ignored until the environment must be created again.
    output_of(programs / "pip", "install", "--quiet", "extra")
    (scratch.environment / "pip.conf").write_text("[global]\nretries = 1\n")
    put_wheel(wheels, "greeting", "1.1")
    declared["packages"] = ("greeting==1.1",)
    result = executed(scratch, declared)
    assert (result["packages_installed"], "rebuild_reason" in result) == (["greeting==1.1"], False)
    assert output_of(programs / "greeting") == f"1.1 {scratch.environment}\n"

    site_packages = scratch.environment / "lib" / f"python{VERSION}" / "site-packages"
    for path in site_packages.glob("pip*"):
        path.rename(scratch.root / path.name)
    result = executed(scratch, declared)
    assert (result["packages_installed"], result["rebuild_reason"]) == (
        ["greeting==1.1", "extra==3.0"],
        "pip is missing in it",
    )
    assert output_of(programs / "extra") == f"3.0 {scratch.environment}\n"
    assert output_of(programs / "greeting") == f"1.1 {scratch.environment}\n"
    assert (scratch.environment / "pip.conf").read_text() == "[global]\nretries = 1\n"
    assert os.listdir(scratch.environment.parent).count("matrix-synapse") == 1
    assert len(os.listdir(scratch.environment.parent)) == 2

    assert scratch.resource(**declared).plan().steps == ()

    # An installation of a real pip without its last file counts as interrupted.
    (site_packages / "greeting-1.1.dist-info" / "RECORD").unlink()
    assert read_packages(str(scratch.environment), VERSION).interrupted == ("greeting",)
    assert examine(str(scratch.environment), python).broken == "an installation in it was interrupted (greeting)"


def test_a_venv_that_fails_leaves_nothing(scratch: Scratch) -> None:
    scratch.environment.parent.mkdir()
    interpreter = Interpreter("python3", "/bin/false", "3.98", "/bin/false", ())
    with layout_of(environment=scratch.environment).parent_of(str(scratch.environment)) as parent:
        assert parent
        with pytest.raises(SynapseError, match=f"^python3 could not create .*{scratch.environment}"):
            Workshop(parent, str(scratch.environment)).make(interpreter, [], None)
    assert os.listdir(scratch.environment.parent) == []


def test_the_old_environment_comes_back_if_the_new_one_cannot_take_its_place(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.run()
    inode = scratch.environment.stat().st_ino
    scratch.let_python_be("3.99")
    rename = os.rename
    calls: list[str] = []

    def fail(source: str, target: str, **where: int) -> None:
        calls.append(target)
        if calls.count("matrix-synapse") == 1 and target == "matrix-synapse":
            raise OSError(5, "Input/output error")
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(SynapseError, match="Input/output error"):
        scratch.resource().plan().execute()
    assert scratch.environment.stat().st_ino == inode
    assert len(os.listdir(scratch.environment.parent)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="others count for root alone")
def test_an_environment_inherits_nothing_that_lets_others_write(scratch: Scratch) -> None:
    scratch.environment.parent.mkdir()
    # The owner, the group and the group 4 may read, write and enter; others may read and enter.
    entries = ((1, 7, -1), (4, 5, -1), (8, 7, 4), (16, 7, -1), (32, 5, -1))
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(scratch.environment.parent, "system.posix_acl_default", packed)
    except OSError:
        pytest.skip("this file system keeps no access lists")
    scratch.run()
    _plan, result = scratch.run()
    assert result["installation"]["created_paths"] == []
    assert os.listxattr(scratch.environment / "bin") == []


def test_nobody_installs_where_another_task_does(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    monkeypatch.setattr(lock, "_LOCKED_AT_MOST", 0.2)
    plan = scratch.resource(packages=("other==1.0",)).plan()
    descriptor = os.open(scratch.environment / lock.LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(SynapseError, match=f"is working on {scratch.environment}: wait until it ends"):
            plan.execute()
    finally:
        os.close(descriptor)
    plan.execute()
