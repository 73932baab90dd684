# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import (
    ask_interpreter,
    last_words,
    run_python,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import Scratch


def test_a_python_knows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    found = ask_interpreter(sys.executable)
    assert found.version == "{}.{}".format(*sys.version_info)
    # Not the link in the environment of the tests.
    assert not os.path.islink(found.executable) and os.access(found.executable, os.X_OK)
    found.require_whole()


def test_a_name_is_looked_for_in_path(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{scratch.python.parent}:{os.environ['PATH']}")
    found = ask_interpreter("python3")
    assert (found.command, found.version) == (str(scratch.python), "3.98")


@pytest.mark.parametrize("name", ["no-such-python", "/nonexistent/python3", "/etc/passwd", "/etc", "", "bin/python"])
def test_no_python(name: str) -> None:
    with pytest.raises(
        InvalidInput, match=f"^virtualenv_python {name} (does not exist or cannot be run|is a relative path)"
    ):
        ask_interpreter(name)


def test_something_else_than_a_python() -> None:
    with pytest.raises(
        InvalidInput, match=r"^virtualenv_python /bin/false cannot be used \(it ended with status 1 and no mess"
    ):
        ask_interpreter("/bin/false")


def test_a_python_without_venv(scratch: Scratch) -> None:
    scratch.let_python_be("3.98", '[\\"ensurepip\\"]'.replace("\\", ""))
    with pytest.raises(InvalidInput, match=r"its module ensurepip is missing.* python3-venv \(or python3.98-venv\)"):
        ask_interpreter(str(scratch.python)).require_whole()


def test_the_task_decides_neither_modules_nor_umask_nor_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    previous = os.umask(0o077)
    try:
        answer = run_python(["/bin/sh", "-c", 'umask; pwd; echo "$PYTHONPATH"'], 10)
    finally:
        os.umask(previous)
    assert answer.output.split("\n") == ["0022", "/", "", ""]


def test_what_does_not_end_is_ended() -> None:
    with pytest.raises(SynapseError, match="did not end within 0.1 seconds"):
        run_python(["/bin/sleep", "60"], 0.1)


@pytest.mark.parametrize(
    ("output", "errors", "said"),
    [
        ("", "", "it ended with status 3 and no message"),
        ("a\n", "b\n\nc.\n", "c"),
        ("", "ERROR: one\nERROR: two\nERROR: one\nmore\n", "one"),
        ("", "WARNING: x\nERROR: one.\nERROR: two\n[notice] y\n", "one.; two"),
        (
            "",
            "ERROR: in https://user:hush@index.test/simple and http://hush@x",
            "in https://index.test/simple and http://x",
        ),
        ("", "ERROR: https://user:p%40ss@x/a@b", "https://x/a@b"),
    ],
)
def test_last_words(output: str, errors: str, said: str) -> None:
    assert last_words(Completed(3, output, errors)) == said
