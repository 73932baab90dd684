# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The paths and options that synapse_installation refuses, to create and to remove."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    look_at_files,
    unstarted,
    without_server,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named, prove_refusal


@dataclasses.dataclass(frozen=True)
class _Path:
    """A path that is refused, and the message. {here} stands for the directory of the place."""

    path: str
    message: str

    def as_directory(self, state: str) -> Refusal:
        """Return the refusal of it as a directory with this state."""
        return _refusal(
            f"{self.path or 'nothing'} as a directory, {state}",
            self.message,
            {"directories": [{"path": self.path, "contents": ["nginx.log"]}], "state": state, "purge": True},
        )

    def as_environment(self, state: str = "present", *packages: str) -> Refusal:
        """Return the refusal of it as an environment with this state."""
        declared = {"virtualenv": self.path, "packages": list(packages), "state": state}
        return _refusal(f"{self.path or 'nothing'} as the environment, {state}", self.message, declared)


def _refusal(name: str, message: str, declared: Parameters) -> Refusal:
    return Refusal(
        name.replace("{here}", "HERE").replace("x" * 300, "a long name"),
        "synapse_installation",
        lambda place: without_server(**{"virtualenv_python": sys.executable, **_placed(place, declared)}),
        message,
        prepare=_create_other_files,
        state=look_at_files,
        token=False,
    )


def _placed(place: Place, declared: Parameters) -> Parameters:
    """Return the parameters with the directory of the place in their paths."""

    def placed(path: str) -> str:
        return path.replace("{here}", str(place.directory))

    directories = [{**each, "path": placed(each["path"])} for each in declared.get("directories", [])]
    virtualenv = {"virtualenv": placed(declared["virtualenv"])} if "virtualenv" in declared else {}
    return {**declared, "directories": directories, **virtualenv}


def _create_other_files(place: Place) -> None:
    (place.directory / "file").touch()
    (place.directory / "programs").symlink_to("/usr")
    (place.directory / "settings").symlink_to("/etc")
    (place.directory / "foreign").mkdir()
    (place.directory / "foreign/pyvenv.cfg").touch()


PATHS = (
    _Path("/", "a directory of the system"),
    _Path("/usr", "a directory of the system"),
    _Path("//usr/", "a directory of the system"),
    _Path("/usr/.", "a directory of the system"),
    _Path("/usr/share/synapse", "/usr, a directory of the system"),
    _Path("/etc", "a directory of the system"),
    _Path("/var/log", "a directory of the system"),
    _Path("/home/somebody", "the home directory of a person"),
    _Path("/root", "a directory of the system"),
    _Path("/srv/../usr", "without [.][.]"),
    _Path("synapse", "set an absolute path"),
    _Path("", '"": set an absolute path'),
    _Path("{here}/programs", "/usr, a directory of the system"),
    _Path("{here}/settings/systemd", "/etc/systemd, a directory of the system"),
    _Path("{here}/file", "which is not a directory: set another path"),
    _Path(f"{{here}}/{'x' * 300}", "or a name in it is too long"),
    _Path("{here}/file/x", "a part of the path is a file"),
)
_FOREIGN = _Path("{here}/foreign", "is not a virtual environment that this collection has created")
_OPTION = _Path("{here}/venv", "is not the name of a package")

REFUSALS = (
    *(path.as_directory(state) for path in PATHS for state in ("present", "absent")),
    *(path.as_environment() for path in (*PATHS, _FOREIGN)),
    _OPTION.as_environment("present", "-r/etc/passwd"),
    _refusal(
        "packages without an environment",
        "packages needs an environment to install them into: set virtualenv",
        {"packages": ["greeting"]},
    ),
    _refusal(
        "an initial version of a package that is not declared",
        "initial_versions has a version of greetings, which is not in packages",
        {"virtualenv": "{here}/venv", "packages": ["greeting"], "initial_versions": {"greetings": "1.0"}},
    ),
    _refusal(
        "an initial version without quotes",
        "initial_versions has 1.1 for greeting, which is not a version: write one in quotes",
        {"virtualenv": "{here}/venv", "packages": ["greeting"], "initial_versions": {"greeting": 1.10}},
    ),
    _refusal(
        "a Python that does not exist",
        "virtualenv_python /nonexistent/no-such-python does not exist or cannot be run",
        {"virtualenv": "{here}/venv", "virtualenv_python": "/nonexistent/no-such-python"},
    ),
    _refusal(
        "the same directory twice",
        "/twice twice, with different owners, groups or modes",
        {"directories": [{"path": "{here}/twice"}, {"path": "{here}/twice", "mode": "0700"}]},
    ),
    _refusal(
        "a pattern that matches everything",
        "content_patterns of .*/wide contains .* which may match files of others",
        {"directories": [{"path": "{here}/wide", "content_patterns": ["*"]}]},
    ),
    _refusal(
        "a mode in letters",
        "is not a file mode: write its octal digits in quotes",
        {"directories": [{"path": "{here}/mode", "mode": "u=rwx"}]},
    ),
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
