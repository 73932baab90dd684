# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an environment is ours, whether it works, and what an interrupted run left of it."""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import (
    BEFORE,
    DISCARDED,
    NEXT,
    examine,
    look,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import ask_interpreter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    hidden_name,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import Scratch

HIDDEN = {ending: hidden_name("venv", ending) for ending in (NEXT, BEFORE, DISCARDED)}


def put(parent: pathlib.Path, name: str) -> None:
    (parent / name).mkdir()
    (parent / name / "pyvenv.cfg").touch()
    with open_directory(str(parent / name)) as directory:
        put_marker(directory, str(parent / "venv"))


@pytest.mark.parametrize("there", [*itertools.product([False, True], repeat=4)])
def test_what_counts_as_the_environment(tmp_path: pathlib.Path, there: tuple[bool, ...]) -> None:
    names = [name for name, is_there in zip(["venv", *HIDDEN.values()], there) if is_there]
    for name in names:
        put(tmp_path, name)
    with open_directory(str(tmp_path)) as parent:
        standing = look(parent, str(tmp_path / "venv"))
    has_place, has_next, has_before, _name = there
    current = "venv" if has_place else None
    if not has_place and has_before:
        current = HIDDEN[NEXT if has_next else BEFORE]
    assert (standing.current, standing.foreign) == (current, False)
    assert {*standing.leavings, current or "none"} == {*names, current or "none"}
    assert standing.is_displaced == (current not in (None, "venv"))


@pytest.mark.parametrize("ending", [NEXT, BEFORE, DISCARDED])
def test_something_else_by_a_hidden_name_is_in_the_way(tmp_path: pathlib.Path, ending: str) -> None:
    (tmp_path / HIDDEN[ending]).mkdir()
    (tmp_path / HIDDEN[ending] / "content").touch()
    with (
        open_directory(str(tmp_path)) as parent,
        pytest.raises(InvalidInput, match="is in the way and was not created by this collection"),
    ):
        look(parent, str(tmp_path / "venv"))


def test_the_rest_of_a_removal_has_no_mark(tmp_path: pathlib.Path) -> None:
    (tmp_path / HIDDEN[DISCARDED]).mkdir()
    with open_directory(str(tmp_path)) as parent:
        assert look(parent, str(tmp_path / "venv")).leavings == (HIDDEN[DISCARDED],)


@pytest.mark.parametrize("lacking", ["pyvenv.cfg", MARKER, "directory", "own", "configuration"])
def test_what_is_not_ours(tmp_path: pathlib.Path, lacking: str) -> None:
    put(tmp_path, "venv")
    if lacking == "directory":
        shutil.rmtree(tmp_path / "venv")
        (tmp_path / "venv").touch()
    elif lacking == "own":
        if os.geteuid() == 0:
            os.chown(tmp_path / "venv", 65534, 65534)
        else:
            (tmp_path / "venv" / MARKER).unlink()
    elif lacking == "configuration":
        (tmp_path / "venv" / "pyvenv.cfg").unlink()
        (tmp_path / "venv" / "pyvenv.cfg").symlink_to("/etc/passwd")
    else:
        (tmp_path / "venv" / lacking).unlink()
    with open_directory(str(tmp_path)) as parent:
        assert look(parent, str(tmp_path / "venv")).foreign


def reason(scratch: Scratch) -> str | None:
    return examine(str(scratch.environment), ask_interpreter(str(scratch.python))).broken


class TestExamine:
    @pytest.fixture(autouse=True)
    def _made(self, scratch: Scratch) -> None:
        scratch.run()

    def test_sound(self, scratch: Scratch) -> None:
        assert reason(scratch) is None

    def test_another_version(self, scratch: Scratch) -> None:
        scratch.let_python_be("3.99")
        assert reason(scratch) == f"it was created for Python 3.98, and {scratch.python} is Python 3.99"

    def test_another_python(self, scratch: Scratch) -> None:
        other = scratch.python.with_name("python3.98")
        scratch.python.rename(other)
        scratch.let_python_be("3.98")
        link = scratch.environment / "bin" / "python"
        link.unlink()
        link.symlink_to(other)
        assert reason(scratch) == f"it was created with {other}, and {scratch.python} is {scratch.python}"

    def test_a_python_that_is_gone(self, scratch: Scratch) -> None:
        (scratch.environment / "bin" / "python").unlink()
        assert reason(scratch) == "the Python that created it does not exist any more"

    def test_a_copy_of_the_python(self, scratch: Scratch) -> None:
        copy = scratch.environment / "bin" / "python3"
        shutil.copy(scratch.python, copy)
        (copy.parent / "python").unlink()
        (copy.parent / "python").symlink_to("python3")
        assert reason(scratch) is None

    def test_no_pip(self, scratch: Scratch) -> None:
        (scratch.environment / "lib/python3.98/site-packages/pip").rmdir()
        assert reason(scratch) == "pip is missing in it"

    @pytest.mark.parametrize("installs", [False, True])
    def test_pip_is_tried_as_it_is_used(self, scratch: Scratch, installs: bool) -> None:
        interpreter = ask_interpreter(str(scratch.python))
        text = scratch.python.read_text()
        # A pip whose commands fail, although its package is there.
        scratch.python.write_text(text.replace('*"pip --version"*|', '*"pip --version"*) false ;;\n'))
        broken = examine(str(scratch.environment), interpreter, lambda _packages: installs).broken
        assert broken == ("pip is missing in it" if installs else None)

    def test_no_pip_where_nothing_is_to_install(self, scratch: Scratch) -> None:
        interpreter = ask_interpreter(str(scratch.python))
        (scratch.environment / "lib/python3.98/site-packages/pip").rmdir()
        assert examine(str(scratch.environment), interpreter, lambda _packages: False).broken == "pip is missing in it"

    def test_a_python_that_does_not_run(self, scratch: Scratch) -> None:
        interpreter = ask_interpreter(str(scratch.python))
        scratch.python.write_text("#!/bin/false\n")
        assert examine(str(scratch.environment), interpreter).broken == "its Python does not run"

    def test_an_interrupted_installation(self, scratch: Scratch) -> None:
        (scratch.environment / "lib/python3.98/site-packages/~wisted").mkdir()
        assert reason(scratch) == "an installation in it was interrupted (~wisted)"

    def test_a_configuration_that_says_nothing(self, scratch: Scratch) -> None:
        (scratch.environment / "pyvenv.cfg").write_text("")
        assert reason(scratch) == f"it was created for Python (unknown), and {scratch.python} is Python 3.98"
