# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How ansible-test is run: with real Pythons on its path, and without a download that not every machine can make."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from pathlib import Path

from machine import CannotRun, cache, locked, pythons
from virtual_environments import ENVIRONMENTS

# Where ansible-test keeps what it needs again, for all collections of this user.
HOME = Path.home() / ".ansible" / "test"

# The Pythons that a managed host may have.
_OLDEST, _NEWEST = (3, 9), (3, 14)

# The scripts that put pip into the environments of ansible-test: where it downloads them from, and their versions.
_PIP_SCRIPT_URL = "https://ci-files.testing.ansible.com/ansible-test/get-pip-{}.py"
_PIP_SCRIPT_VERSIONS = ("25.2", "24.2")
_PIP_SCRIPT = '''"""Install the pip that this Python brings along."""
import subprocess
import sys

sys.exit(subprocess.call([sys.executable, "-m", "ensurepip", "--upgrade", "--default-pip"]))
'''


def environment(ansible: Path) -> dict[str, str]:
    """Return the environment for the ansible-test of the virtual environment `ansible`."""
    _seed_pip()
    _seed_key()
    directories = [ansible / "bin", *(path.parent for path in pythons().values()), _shellcheck()]
    # Not the user's own path: shims of pyenv there would stand in for Pythons that do not exist.
    path = [
        *(str(directory) for directory in directories),
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
    ]
    return {"PATH": ":".join([*path, "/sbin", "/bin"]), "PIP_QUIET": "1"}


def oldest_and_newest() -> dict[str, Path]:
    """Return the oldest and the newest Python that a managed host may have, by version; one where there is no other.

    Raises CannotRun if there is none.
    """
    suitable = [version for version in pythons() if _OLDEST <= version <= _NEWEST]
    if not suitable:
        raise CannotRun("no Python from {}.{} to {}.{} is installed".format(*_OLDEST, *_NEWEST))
    return {f"{major}.{minor}": pythons()[major, minor] for major, minor in (suitable[0], suitable[-1])}


def _seed_pip() -> None:
    """Where ansible-test could not download its script, put one with the same effect where it looks first."""
    directory = HOME / "cache"
    directory.mkdir(parents=True, exist_ok=True)
    with locked("get_pip", HOME):
        for version in _PIP_SCRIPT_VERSIONS:
            path = directory / f"get_pip_{version.replace('.', '_')}.py"
            if not path.exists() and not _can_download(_PIP_SCRIPT_URL.format(version)):
                path.write_text(_PIP_SCRIPT)


def _seed_key() -> None:
    """Make the key that ansible-test wants to have: runs that begin side by side would each make it, and one fails."""
    key, public = HOME / "id_rsa", HOME / "id_rsa.pub"
    with locked("id_rsa", HOME):
        if not public.exists() and shutil.which("ssh-keygen"):
            # Without its other half, it is what a run that was stopped has left.
            key.unlink(missing_ok=True)
            subprocess.run(["ssh-keygen", "-m", "PEM", "-q", "-t", "rsa", "-N", "", "-f", key], check=True)


def _can_download(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5):
            return True
    except OSError:
        return False


def _shellcheck() -> Path:
    """A directory with nothing but shellcheck in it: the other tools beside it must not be found."""
    directory = cache() / "shellcheck"
    directory.mkdir(exist_ok=True)
    link, target = directory / "shellcheck", ENVIRONMENTS["linters"].build() / "bin" / "shellcheck"
    with locked("shellcheck"):
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return directory
