# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_installation refuses to make a directory or an environment of, or to remove."""

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
    """A path that is refused, and what is said of it. {here} in it stands for the place's directory."""

    path: str
    message: str

    def as_directory(self, state: str) -> Refusal:
        """Return what refuses it as a directory that shall be there, or shall not."""
        return _refusal(
            f"{self.path or 'nothing'} as a directory, {state}",
            self.message,
            {"directories": [{"path": self.path, "contents": ["nginx.log"]}], "state": state, "purge": True},
        )

    def as_environment(self, state: str = "present", *packages: str) -> Refusal:
        """Return what refuses it as an environment."""
        declared = {"environment": self.path, "packages": list(packages), "state": state}
        return _refusal(f"{self.path or 'nothing'} as the environment, {state}", self.message, declared)


def _refusal(name: str, message: str, declared: Parameters) -> Refusal:
    return Refusal(
        name.replace("{here}", "HERE").replace("x" * 300, "a long name"),
        "synapse_installation",
        lambda place: without_server(**{"python": sys.executable, **_placed(place, declared)}),
        message,
        prepare=_put_what_is_in_the_way,
        state=look_at_files,
        token=False,
    )


def _placed(place: Place, declared: Parameters) -> Parameters:
    """Return what is declared with the place's directory in its paths."""

    def placed(path: str) -> str:
        return path.replace("{here}", str(place.directory))

    directories = [{**each, "path": placed(each["path"])} for each in declared.get("directories", [])]
    environment = {"environment": placed(declared["environment"])} if "environment" in declared else {}
    return {**declared, "directories": directories, **environment}


def _put_what_is_in_the_way(place: Place) -> None:
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
    _Path("synapse", "must be an absolute path"),
    _Path("", "an empty path"),
    _Path("{here}/programs", "/usr, a directory of the system"),
    _Path("{here}/settings/systemd", "/etc/systemd, a directory of the system"),
    _Path("{here}/file", "is a file and no directory"),
    _Path(f"{{here}}/{'x' * 300}", "is too long"),
    _Path("{here}/file/x", "something on the way to it is a file"),
)
_FOREIGN = _Path("{here}/foreign", "no virtual environment that this collection has made")
_OPTION = _Path("{here}/venv", "must be the name of a package")

REFUSALS = (
    *(path.as_directory(state) for path in PATHS for state in ("present", "absent")),
    *(path.as_environment() for path in (*PATHS, _FOREIGN)),
    _OPTION.as_environment("present", "-r/etc/passwd"),
    _refusal(
        "packages without an environment",
        "packages needs an environment to install them into",
        {"packages": ["greeting"]},
    ),
    _refusal(
        "a Python that is not there",
        "python /nonexistent/no-such-python is not there, or cannot be run",
        {"environment": "{here}/venv", "python": "/nonexistent/no-such-python"},
    ),
    _refusal(
        "the same directory twice",
        "/twice twice, with different owners, groups or modes",
        {"directories": [{"path": "{here}/twice"}, {"path": "{here}/twice", "mode": "0700"}]},
    ),
    _refusal(
        "a pattern for whatever there is",
        "content_patterns of .*/wide holds .* which may also fit what is not this server's",
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
