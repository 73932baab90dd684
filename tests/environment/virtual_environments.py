# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environments of the tools: each is built once for its requirements and its Python, and then reused."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from commands import Failed, execute
from machine import (
    CannotRun,
    InstallationFailed,
    cache,
    fastest_python,
    install_packages,
    is_debian,
    locked,
    newest_python,
)

_REQUIREMENTS = Path(__file__).resolve().parent / "requirements"


@dataclasses.dataclass(frozen=True)
class Environment:
    """A set of tools: `requirements/<name>.txt`, on the newest Python between `minimum` and `maximum`.

    `fastest`: on the fastest instead, for what takes most of the time.
    """

    name: str
    minimum: tuple[int, int]
    maximum: tuple[int, int] = (3, 14)
    fastest: bool = False

    def build(self, python: Path | None = None) -> Path:
        """Return the directory of the environment, built if need be, with another Python than its own if one is given.

        Raises CannotRun or InstallationFailed.
        """
        python = python or (fastest_python if self.fastest else newest_python)(self.minimum, self.maximum)
        requirements = _REQUIREMENTS / f"{self.name}.txt"
        version = subprocess.run(
            [python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
        directory = cache() / "venv" / f"{self.name}-{version}-{key}"
        with locked(directory.name):
            # Written last: without it the directory is what a run that was killed has left.
            complete = directory / ".complete"
            if not complete.exists():
                shutil.rmtree(directory, ignore_errors=True)
                create(python, directory, requirements)
                complete.touch()
        return directory


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("ansible-newest", (3, 11)),
        Environment("ansible-2.19", (3, 11), (3, 13)),
        Environment("linters", (3, 11), fastest=True),
        Environment("galaxy-importer", (3, 11), fastest=True),
        Environment("antsibull-nox", (3, 11), fastest=True),
        Environment("synapse", (3, 10), fastest=True),
        Environment("contract", (3, 11), fastest=True),
        Environment("units", (3, 9)),
    )
}


def create(python: Path, directory: Path, requirements: Path) -> None:
    """Make a virtual environment and install the requirements into it. Raises CannotRun or InstallationFailed."""
    made = subprocess.run([python, "-m", "venv", directory], capture_output=True, text=True, check=False)
    if made.returncode and is_debian():
        # Debian keeps what `venv` needs in a package of its own.
        shutil.rmtree(directory, ignore_errors=True)
        install_packages([_venv_package(python)])
        made = subprocess.run([python, "-m", "venv", directory], capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(directory, ignore_errors=True)
        remedy = f"on Debian or Ubuntu install the package {_venv_package(python)}"
        raise CannotRun(f"{python} cannot make a virtual environment; {remedy}")
    pip: list[str | Path] = [directory / "bin" / "python", "-m", "pip"]
    command = [*pip, "install", "--quiet", "--no-input", "--requirement", requirements]
    try:
        execute(command, directory, {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    except Failed as failed:
        shutil.rmtree(directory, ignore_errors=True)
        *said, _status = failed.output.strip().splitlines()
        raise InstallationFailed(f"The packages of {requirements.name} could not be installed: {said[-1]}") from None


def _venv_package(python: Path) -> str:
    """The package of Debian with what this Python needs to make virtual environments."""
    return f"{python.name}-venv"


if __name__ == "__main__":
    try:
        print(ENVIRONMENTS[sys.argv[1]].build())
    except (CannotRun, InstallationFailed) as error:
        sys.exit(str(error))
