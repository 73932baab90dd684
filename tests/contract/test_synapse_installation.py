# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_installation creates, repairs and removes. Packages come from this file, and not from the network."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    look_at_files,
    unstarted,
    without_server,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Result,
    play,
    prove,
)

# It takes seconds to create an environment, so that one worker creates those of all cases.
pytestmark = pytest.mark.xdist_group("installation")

_MODULE = "synapse_installation"
_ENVIRONMENT = "venvs/matrix-synapse"
_LEFT = ".matrix_ops.synapse.0123456789abcdef0123456789abcdef"
# Only root can give directories to another user.
_OWNER = "nobody" if os.geteuid() == 0 else ""


@dataclasses.dataclass(frozen=True)
class _Step:
    """A declaration and its expected result. Paths are relative to the directory of the place.

    `installed`: whether it starts with an installation of greeting 1.0. `prepare`: what a user does after that.
    `says`: the version that the program of the package prints before its environment.
    """

    name: str
    packages: tuple[str, ...] = ()
    initial_versions: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    present: bool = True
    purge: bool = False
    installed: bool = True
    prepare: t.Callable[[Path], object] = lambda directory: None
    changes: bool = True
    created_paths: tuple[str, ...] = ()
    packages_installed: tuple[str, ...] = ()
    packages_replaced: tuple[str, ...] = ()
    rebuild_reason: str | None = None
    removed_paths: tuple[str, ...] = ()
    kept_paths: tuple[str, ...] = ()
    restart_required: bool = False
    says: str | None = None

    def expectation(self) -> Expectation:
        """Return it as an expectation for `prove`."""
        return Expectation(
            self.name,
            _MODULE,
            lambda place: _declared(
                place,
                packages=list(self.packages),
                initial_versions=dict(self.initial_versions),
                state="present" if self.present else "absent",
                purge=self.purge,
            ),
            prepare=lambda place: self.prepare(place.directory),
            changes=self.changes,
            state=look_at_files,
            returns=lambda place: {"restart_required": self.restart_required},
            token=False,
        )

    def require(self, place: Place, installation: Result) -> None:
        """Require that the module has returned this installation."""
        reason = installation.pop("rebuild_reason", None)
        kept = installation.pop("kept_paths")
        assert installation == {
            "virtualenv": f"{place.directory}/{_ENVIRONMENT}",
            "created_paths": _below(place, self.created_paths),
            "packages_installed": list(self.packages_installed),
            "packages_replaced": list(self.packages_replaced),
            "removed_paths": _below(place, self.removed_paths),
        }
        assert [each["path"] for each in kept] == _below(place, self.kept_paths)
        assert all(each["reason"] for each in kept)
        if self.rebuild_reason is None:
            assert reason is None
        else:
            assert re.search(self.rebuild_reason, reason)


def _below(place: Place, paths: t.Iterable[str]) -> list[str]:
    return [f"{place.directory}/{path}" for path in paths]


def _declared(place: Place, **parameters: t.Any) -> Parameters:
    server = f"{place.directory}/server"
    directories = [
        {
            "path": f"{server}/etc",
            "mode": "0750",
            "contents": ["homeserver.yaml", "[::1]:8448.signing.key"],
            "content_patterns": ["home[[]server.log.[0-9]"],
        },
        {"path": f"{server}/etc/conf.d", "mode": "0750", "marked_contents": ["*.yaml"]},
        {"path": f"{server}/data", "owner": _OWNER, "mode": "0700", "contents": ["homeserver.db", "media_store"]},
    ]
    virtualenv = f"{place.directory}/{_ENVIRONMENT}"
    return without_server(
        directories=directories, virtualenv=virtualenv, virtualenv_python=sys.executable, **parameters
    )


def _open_modes(directory: Path) -> None:
    (directory / "server/etc").chmod(0o777)
    (directory / "server/data").chmod(0o755)


def _hollow_pip(directory: Path) -> None:
    """Take from pip what it needs to run, and leave its directories."""
    (pip,) = (directory / _ENVIRONMENT).glob("lib/python3*/site-packages/pip/_internal")
    shutil.rmtree(pip)
    pip.mkdir()


def _upgrade_python(directory: Path) -> None:
    """Change the environment to one of an older Python."""
    configuration = directory / _ENVIRONMENT / "pyvenv.cfg"
    configuration.write_text(re.sub("(?m)^version.*", "version = 3.1.0", configuration.read_text()))
    libraries = directory / _ENVIRONMENT / "lib"
    (libraries / "python{}.{}".format(*sys.version_info)).rename(libraries / "python3.1")


def _lose_environment(directory: Path) -> None:
    shutil.rmtree(directory / "venvs")
    (directory / _LEFT).mkdir()


def _use(directory: Path) -> None:
    """Create the files of a server, of this collection and of a user in the directories."""
    server = directory / "server"
    for name in (
        "etc/homeserver.yaml",
        "etc/[::1]:8448.signing.key",
        "etc/1:8448.signing.key",
        "etc/home[server.log.1",
        "etc/nginx.log",
        "etc/conf.d/99-mine.yaml",
        "data/homeserver.db",
    ):
        (server / name).touch()
    (server / "etc/conf.d/50-own.yaml").write_text("# matrix_ops.synapse\n")
    (server / "data/media_store/local").mkdir(parents=True)
    (server / "data/media_store/programs").symlink_to("/usr")


def _leave_the_rest(directory: Path) -> None:
    """Create the state after a previous run and a clean-up by a user."""
    shutil.rmtree(directory / "venvs")
    shutil.rmtree(directory / "server/data")


def _come_before(directory: Path) -> None:
    """Create a directory without the collection, with one file that contains its name and one that does not."""
    settings = directory / "server/etc"
    settings.mkdir(parents=True)
    (settings / "homeserver.yaml").write_text("# matrix_ops.synapse\n")
    (settings / "[::1]:8448.signing.key").touch()


STEPS = (
    _Step(
        "everything is new",
        packages=("greeting==1.0",),
        installed=False,
        created_paths=("server", "venvs", "server/data", "server/etc", "server/etc/conf.d", _ENVIRONMENT),
        packages_installed=("greeting==1.0",),
        restart_required=True,
        says="1.0",
    ),
    _Step(
        "another version",
        packages=("greeting==1.1.0",),
        packages_installed=("greeting==1.1.0",),
        packages_replaced=("greeting==1.0",),
        restart_required=True,
        says="1.1",
    ),
    _Step("nothing to change", packages=("greeting==1.0",), changes=False, says="1.0"),
    _Step("modes that a user has changed", packages=("greeting",), prepare=_open_modes, says="1.0"),
    _Step(
        "an environment for a Python that was upgraded",
        packages=("greeting==1.0",),
        prepare=_upgrade_python,
        packages_installed=("greeting==1.0",),
        restart_required=True,
        rebuild_reason="^it was created for Python 3[.]1, and .* is Python 3",
        says="1.0",
    ),
    _Step(
        "an environment whose pip cannot run",
        packages=("greeting==1.0",),
        prepare=_hollow_pip,
        packages_installed=("greeting==1.0",),
        restart_required=True,
        rebuild_reason="^pip is missing in it$",
        says="1.0",
    ),
    _Step(
        "a package in its initial version",
        packages=("greeting",),
        initial_versions={"greeting": "1.0"},
        installed=False,
        created_paths=("server", "venvs", "server/data", "server/etc", "server/etc/conf.d", _ENVIRONMENT),
        packages_installed=("greeting==1.0",),
        restart_required=True,
        says="1.0",
    ),
    _Step(
        "a package in another version than its initial one",
        packages=("greeting",),
        initial_versions={"greeting": "1.1"},
        changes=False,
        says="1.0",
    ),
    _Step(
        "such a package in an environment for a Python that was upgraded",
        packages=("greeting",),
        initial_versions={"greeting": "1.1"},
        prepare=_upgrade_python,
        packages_installed=("greeting==1.0",),
        rebuild_reason="^it was created for Python 3[.]1, and .* is Python 3",
        restart_required=True,
        says="1.0",
    ),
    _Step(
        "only the environment is removed",
        present=False,
        removed_paths=(_ENVIRONMENT, "venvs"),
        restart_required=True,
    ),
    _Step(
        "the remains of an interrupted run",
        packages=("greeting==1.0",),
        prepare=_lose_environment,
        created_paths=("venvs", _ENVIRONMENT),
        packages_installed=("greeting==1.0",),
        restart_required=True,
        removed_paths=(_LEFT,),
        says="1.0",
    ),
    _Step(
        "everything is removed except the files of a user",
        present=False,
        purge=True,
        prepare=_use,
        removed_paths=(
            _ENVIRONMENT,
            "server/etc/conf.d/50-own.yaml",
            "server/etc/[::1]:8448.signing.key",
            "server/etc/home[server.log.1",
            "server/etc/homeserver.yaml",
            "server/data/homeserver.db",
            "server/data/media_store",
            "server/data",
            "venvs",
        ),
        restart_required=True,
        kept_paths=("server/etc", "server/etc/conf.d"),
    ),
    _Step(
        "the rest is removed",
        present=False,
        purge=True,
        prepare=_leave_the_rest,
        removed_paths=("server/etc/conf.d", "server/etc", "server"),
    ),
    _Step(
        "a directory that existed before",
        present=False,
        purge=True,
        installed=False,
        prepare=_come_before,
        removed_paths=("server/etc/homeserver.yaml",),
        kept_paths=("server/etc",),
    ),
    _Step("nothing to remove", present=False, purge=True, installed=False, changes=False),
)


class _Installations:
    """One place after the other, all with the same path, because an environment only works at its own path.

    The first installation is kept next to it and restored for each case.
    """

    def __init__(self, around: Path) -> None:
        self._kept = around / "kept"
        self._here = around / "here"

    def empty(self) -> Place:
        """Return the empty place."""
        if self._here.exists():
            shutil.rmtree(self._here)
        self._here.mkdir()
        return unstarted(self._here)

    def installed(self) -> Place:
        """Return the place with all directories, and greeting 1.0 in the environment."""
        place = self.empty()
        if not self._kept.exists():
            done = play(place, _MODULE, _declared(place, packages=["greeting==1.0"]), token=False)
            assert not done.get("failed"), done
            _copy(self._here, self._kept)
        else:
            self._here.rmdir()
            _copy(self._kept, self._here)
        return place


def _copy(source: Path, target: Path) -> None:
    """Copy a directory with owners, modes and times."""
    subprocess.run(["cp", "-a", source, target], check=True)


@pytest.fixture(scope="module")
def installations(tmp_path_factory: pytest.TempPathFactory) -> _Installations:
    return _Installations(tmp_path_factory.mktemp("installation"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages with one command that prints their version and the path of their environment."""
    directory = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "1.1"):
        _write_wheel(directory, "greeting", version)
    return directory


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    """Let pip find only the packages in this directory."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


def _write_wheel(directory: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"import sys\ndef main():\n    print({version!r}, sys.prefix)\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/RECORD,,\n")


@pytest.mark.parametrize("step", [pytest.param(step, id=step.name) for step in STEPS])
def test_declared(installations: _Installations, step: _Step) -> None:
    place = installations.installed() if step.installed else installations.empty()
    done = prove(place, step.expectation())
    step.require(place, done["installation"])
    environment = place.directory / _ENVIRONMENT
    if step.says:
        printed = subprocess.run([environment / "bin/greeting"], capture_output=True, text=True, check=True).stdout
        assert printed == f"{step.says} {environment}\n"
    around = [place.directory, place.directory / "server", environment.parent]
    hidden = [path for each in around for path in each.glob(".matrix_ops.synapse.*")]
    assert not hidden, "a temporary entry was not removed"
