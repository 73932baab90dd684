# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send every module, zipped with what it imports as Ansible does it, to Pythons: zipped.py COLLECTION PYTHON...

What a plain import finds on the controller can be missing on the target. Each module is given an option that it does
not have, and none that it needs: to say so is the first that a whole one does. To be run with the Python of an Ansible.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Send every module to every Python and return the exit status."""
    collection, pythons = Path(sys.argv[1]), sys.argv[2:]
    modules = sorted(path.stem for path in (collection / "plugins" / "modules").glob("*.py"))
    tasks = [
        {
            "name": f"Send {module}",
            f"matrix_ops.synapse.{module}": {"no_such_option": True},
            "register": "answer",
            "failed_when": "answer.msg is not search('missing required arguments|no_such_option')",
        }
        for module in modules
    ]
    hosts = {
        f"host{number}": {"ansible_connection": "local", "ansible_python_interpreter": python}
        for number, python in enumerate(pythons)
    }
    with tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_zipped_") as name:
        directory = Path(name)
        # JSON is YAML too.
        (directory / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        play = {"name": "Send every module", "hosts": "all", "gather_facts": False, "tasks": tasks}
        (directory / "ansible.cfg").touch()
        (directory / "play.yml").write_text(json.dumps([play]))
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(collection.parents[2]),
            # Empty: what the user of this machine has set is to have no say.
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_REMOTE_TMP": str(directory / "remote"),
            "ANSIBLE_PIPELINING": "true",
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.json", "play.yml"]
        done = subprocess.run(
            command, cwd=directory, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
    if done.returncode or done.stdout.count("ok=") != len(pythons):
        print(done.stdout, done.stderr)
        return 1
    print(f"{len(modules)} modules load at {', '.join(pythons)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
