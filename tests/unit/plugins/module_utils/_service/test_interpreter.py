# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interpreter import is_another_python


def _script(path: pathlib.Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_another_one(tmp_path: pathlib.Path) -> None:
    assert is_another_python(_script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'), 30)


def test_a_virtual_environment_of_the_same_python(tmp_path: pathlib.Path) -> None:
    os.symlink(os.path.realpath(sys.executable), tmp_path / "python")
    assert is_another_python(str(tmp_path / "python"), 30)


def test_the_one_that_runs(tmp_path: pathlib.Path) -> None:
    os.symlink(os.path.dirname(sys.executable), tmp_path / "bin")
    ran: list[t.Sequence[str]] = []

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        ran.append(arguments)
        return Completed(0, "", "")

    for path in (sys.executable, str(tmp_path / "bin" / os.path.basename(sys.executable))):
        assert not is_another_python(path, 30, run)
    assert ran == []


def test_what_is_broken(tmp_path: pathlib.Path) -> None:
    assert not is_another_python(str(tmp_path / "missing"), 30)
    assert not is_another_python(str(tmp_path), 30)
    assert not is_another_python(_script(tmp_path / "failing", "#!/bin/sh\nexit 1\n"), 30)
    assert not is_another_python(_script(tmp_path / "headless", "#!/nonexistent/python\n"), 30)
    os.symlink("dangling", tmp_path / "python")
    assert not is_another_python(str(tmp_path / "python"), 30)


def test_one_that_does_not_end(tmp_path: pathlib.Path) -> None:
    assert not is_another_python(_script(tmp_path / "slow", "#!/bin/sh\nexec sleep 60\n"), 0.1)


def test_one_that_is_too_old(tmp_path: pathlib.Path) -> None:
    path = _script(tmp_path / "python", "")

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        assert arguments[:2] == [path, "-c"]
        assert "(3, 9)" in arguments[2]
        assert timeout == 7
        raise SynapseError("It is broken.")

    assert not is_another_python(path, 7, run)
