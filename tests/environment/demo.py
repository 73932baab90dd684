# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: demo.py present|absent. Builds its own Ansible below .demo/ and runs playbooks/quickstart.yml with it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from machine import REPOSITORY, CannotRun, InstallationFailed, newest_python
from virtual_environments import create

_DIRECTORY = REPOSITORY / ".demo"
_REQUIREMENTS = Path(__file__).resolve().parent / "requirements" / "demo.txt"
_OLDEST_PYTHON = (3, 11)


def environment() -> Path:
    """Return the virtual environment with Ansible, built if need be. Raises CannotRun or InstallationFailed."""
    directory = _DIRECTORY / "ansible"
    complete = directory / ".complete"
    key = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if not complete.exists() or complete.read_text() != key:
        print("Installing Ansible below .demo/ ...", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        _DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        create(newest_python(_OLDEST_PYTHON), directory, _REQUIREMENTS)
        complete.write_text(key)
    return directory


def play(state: str) -> int:
    """Run the playbook and return its exit status."""
    directory = environment()
    collections = _DIRECTORY / "collections" / "ansible_collections" / "matrix_ops"
    collections.mkdir(parents=True, exist_ok=True)
    link = collections / "synapse"
    if not link.is_symlink() or link.readlink() != REPOSITORY:
        link.unlink(missing_ok=True)
        link.symlink_to(REPOSITORY)
    command = [str(directory / "bin" / "ansible-playbook"), "matrix_ops.synapse.quickstart"]
    # As JSON: a path may hold spaces.
    variables = ["-e", json.dumps({"quickstart_directory": str(_DIRECTORY), "quickstart_state": state})]
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(_DIRECTORY / "collections"),
        "ANSIBLE_HOME": str(_DIRECTORY / "ansible-home"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "False",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "LC_ALL": "C.UTF-8",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SYNAPSE_"))}
    remote = str(_DIRECTORY / "ansible-home" / "remote")
    # Else Ansible leaves a directory in the home of this account. It gives the path to a shell without quotes.
    if re.fullmatch(r"[\w./-]+", remote):
        settings["ANSIBLE_REMOTE_TMP"] = remote
    return subprocess.run([*command, *variables], env={**kept, **settings}, cwd=REPOSITORY, check=False).returncode


def main() -> int:
    """Start or remove the demo, and return the exit status."""
    if sys.argv[1] == "present":
        return play("present")
    if not _DIRECTORY.exists():
        print("There is no demo here.")
        return 0
    status = play("absent") if (_DIRECTORY / "ansible" / ".complete").exists() else 0
    if status == 0:
        shutil.rmtree(_DIRECTORY)
        print("The demo is stopped, and .demo/ is removed.")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run it again, and it goes on; make demo-clean removes everything.")
    except CannotRun as error:
        sys.exit(f"The demo cannot run: {error}.")
    except InstallationFailed as error:
        sys.exit(str(error))
