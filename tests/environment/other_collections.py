# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collections that this one depends on, out of the package `ansible`: not every machine can reach Galaxy."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from commands import Command, Failed, execute
from machine import InstallationFailed, cache, locked
from virtual_environments import ENVIRONMENTS

_REQUIREMENTS = Path(__file__).resolve().parent / "requirements" / "collections.txt"
_NEEDED = ("community/postgresql",)


def other_collections() -> Path:
    """Return a directory for ANSIBLE_COLLECTIONS_PATH, filled if need be. Raises CannotRun or InstallationFailed."""
    key = hashlib.sha256(_REQUIREMENTS.read_bytes() + repr(_NEEDED).encode()).hexdigest()[:12]
    directory = cache() / f"collections-{key}"
    with locked(directory.name):
        if not directory.exists():
            with tempfile.TemporaryDirectory(dir=cache()) as name:
                unpacked = Path(name, "unpacked")
                _unpack(_downloaded(Path(name)), unpacked)
                # The last step: without it, nothing is left of a run that was killed.
                shutil.move(unpacked, directory)
    return directory


def _downloaded(directory: Path) -> Path:
    """Download the package, which is the same for every Python."""
    python = ENVIRONMENTS["ansible-newest"].build() / "bin" / "python"
    download: Command = [python, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--dest", directory]
    wheels: Command = ["--only-binary", ":all:", "--python-version", "3.13", "--requirement", _REQUIREMENTS]
    try:
        execute([*download, *wheels], directory, {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    except Failed as failed:
        *said, _status = failed.output.strip().splitlines()
        raise InstallationFailed(f"The package ansible could not be downloaded: {said[-1]}") from None
    (wheel,) = directory.glob("*.whl")
    return wheel


def _unpack(wheel: Path, directory: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(tuple(f"ansible_collections/{needed}/" for needed in _NEEDED)):
                archive.extract(name, directory)
