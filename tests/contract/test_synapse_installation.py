# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_installation makes, mends and removes. Packages come from here, and not from the network."""

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
    play,
    prove,
)

# An environment takes seconds to make, so that one worker makes those of all cases.
pytestmark = pytest.mark.xdist_group("installation")

_MODULE = "synapse_installation"
_ENVIRONMENT = "venvs/matrix-synapse"
_LEFT = ".matrix_ops.synapse.0123456789abcdef0123456789abcdef"
# Only root can give directories to another user.
_OWNER = "nobody" if os.geteuid() == 0 else ""


@dataclasses.dataclass(frozen=True)
class _Step:
    """What is declared and what comes of it; paths are below the place's directory.

    `installed`: whether it starts from an installation with greeting 1.0. `prepare`: what somebody does after that.
    `says`: what the program of the package prints, before it names its environment.
    """

    name: str
    packages: tuple[str, ...] = ()
    present: bool = True
    purge: bool = False
    installed: bool = True
    prepare: t.Callable[[Path], object] = lambda directory: None
    changes: bool = True
    made: tuple[str, ...] = ()
    packages_installed: tuple[str, ...] = ()
    rebuilt: str | None = None
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    says: str | None = None

    def expectation(self) -> Expectation:
        """Return it as what `prove` takes."""
        return Expectation(
            self.name,
            _MODULE,
            lambda place: _declared(
                place, packages=list(self.packages), state="present" if self.present else "absent", purge=self.purge
            ),
            prepare=lambda place: self.prepare(place.directory),
            changes=self.changes,
            state=look_at_files,
            returns=lambda place: {
                "environment": f"{place.directory}/{_ENVIRONMENT}",
                "made": _below(place, self.made),
                "packages_installed": list(self.packages_installed),
                "rebuilt": re.compile(self.rebuilt) if self.rebuilt else None,
                "removed": _below(place, self.removed),
                "left": lambda left: [each["path"] for each in left] == _below(place, self.left),
            },
            token=False,
        )


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
    environment = f"{place.directory}/{_ENVIRONMENT}"
    return without_server(directories=directories, environment=environment, python=sys.executable, **parameters)


def _open_modes(directory: Path) -> None:
    (directory / "server/etc").chmod(0o777)
    (directory / "server/data").chmod(0o755)


def _upgrade_python(directory: Path) -> None:
    """Let the environment be one for a Python before this one."""
    configuration = directory / _ENVIRONMENT / "pyvenv.cfg"
    configuration.write_text(re.sub("(?m)^version.*", "version = 3.1.0", configuration.read_text()))


def _lose_environment(directory: Path) -> None:
    shutil.rmtree(directory / "venvs")
    (directory / _LEFT).mkdir()


def _use(directory: Path) -> None:
    """Leave what a server, this collection and somebody else write into the directories."""
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
    """Leave what a run before has left, and somebody else has cleaned up."""
    shutil.rmtree(directory / "venvs")
    shutil.rmtree(directory / "server/data")


def _come_before(directory: Path) -> None:
    """Leave a directory that this collection has not made, with one file that names it and one that does not."""
    settings = directory / "server/etc"
    settings.mkdir(parents=True)
    (settings / "homeserver.yaml").write_text("# matrix_ops.synapse\n")
    (settings / "[::1]:8448.signing.key").touch()


STEPS = (
    _Step(
        "everything is new",
        packages=("greeting==1.0",),
        installed=False,
        made=("server", "venvs", "server/data", "server/etc", "server/etc/conf.d", _ENVIRONMENT),
        packages_installed=("greeting==1.0",),
        says="1.0",
    ),
    _Step(
        "another version",
        packages=("greeting==1.1.0",),
        packages_installed=("greeting==1.1.0",),
        says="1.1",
    ),
    _Step("everything is there", packages=("greeting==1.0",), changes=False, says="1.0"),
    _Step("modes that somebody has changed", packages=("greeting",), prepare=_open_modes, says="1.0"),
    _Step(
        "an environment for a Python that was upgraded",
        packages=("greeting==1.0",),
        prepare=_upgrade_python,
        packages_installed=("greeting==1.0",),
        rebuilt="^it was made for Python 3[.]1, and .* is Python 3",
        says="1.0",
    ),
    _Step(
        "only the environment is removed",
        present=False,
        removed=(_ENVIRONMENT, "venvs"),
    ),
    _Step(
        "what an interrupted run has left",
        packages=("greeting==1.0",),
        prepare=_lose_environment,
        made=("venvs", _ENVIRONMENT),
        packages_installed=("greeting==1.0",),
        removed=(_LEFT,),
        says="1.0",
    ),
    _Step(
        "everything is removed but what somebody else has made",
        present=False,
        purge=True,
        prepare=_use,
        removed=(
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
        left=("server/etc", "server/etc/conf.d"),
    ),
    _Step(
        "the rest is removed",
        present=False,
        purge=True,
        prepare=_leave_the_rest,
        removed=("server/etc/conf.d", "server/etc", "server"),
    ),
    _Step(
        "a directory that was there before",
        present=False,
        purge=True,
        installed=False,
        prepare=_come_before,
        removed=("server/etc/homeserver.yaml",),
        left=("server/etc",),
    ),
    _Step("nothing is removed where nothing is", present=False, purge=True, installed=False, changes=False),
)


class _Installations:
    """One place after the other, all with the same path: an environment works nowhere else.

    The first one that has to be installed is kept beside it, and put back for each case.
    """

    def __init__(self, around: Path) -> None:
        self._kept = around / "kept"
        self._here = around / "here"

    def empty(self) -> Place:
        """Return the place with nothing in it."""
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
    """Packages whose one command says their version and where their Python is."""
    directory = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "1.1"):
        _write_wheel(directory, "greeting", version)
    return directory


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    """Let pip find the packages that are here, and no others."""
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
    prove(place, step.expectation())
    environment = place.directory / _ENVIRONMENT
    if step.says:
        printed = subprocess.run([environment / "bin/greeting"], capture_output=True, text=True, check=True).stdout
        assert printed == f"{step.says} {environment}\n"
    around = [place.directory, place.directory / "server", environment.parent]
    hidden = [path for each in around for path in each.glob(".matrix_ops.synapse.*")]
    assert not hidden, "something lies beside it that was needed for a moment only"
