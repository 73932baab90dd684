# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The Pythons of a host: runs them without the environment variables of the task that change Python, and reads their
properties."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# In seconds. The first is for queries, the second for downloads and compilation on a slow machine.
QUICKLY = 60
PATIENTLY = 3600
# The files must be readable for the user that Synapse runs as, with any umask of the task.
_UMASK = 0o022
_QUESTION = """
import importlib.util, json, os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
print(json.dumps(["%d.%d" % sys.version_info[:2], os.path.realpath(base), missing]))
"""
_CREDENTIALS = re.compile(r"://[^/\s@]*@")


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """A Python that creates environments.

    `name`: as the task declares it; `command`: the command to run; `version`: such as 3.13; `executable`: the file
    itself, with all links and environments resolved; `missing`: the modules that it needs for that and does not have.
    """

    name: str
    command: str
    version: str
    executable: str
    missing: tuple[str, ...]

    def require_whole(self) -> None:
        """Raise InvalidInput if it cannot create an environment."""
        if self.missing:
            raise InvalidInput(
                f"virtualenv_python {self.name} cannot create a virtual environment, because its module"
                f" {self.missing[0]} is missing: install the system package python3-venv (or"
                f" python{self.version}-venv)."
            )


def ask_interpreter(name: str) -> Interpreter:
    """Return the Python `name`, which is a path or a name in PATH. Raises InvalidInput if it does not run."""
    if "/" in name and not os.path.isabs(name):
        raise InvalidInput(
            f"virtualenv_python {name} is a relative path: set an absolute path, or the name of a command in PATH."
        )
    command = shutil.which(name)
    if command is None:
        raise InvalidInput(
            f"virtualenv_python {name} does not exist or cannot be run: install it, or set another Python."
        )
    try:
        answer = run_python([command, "-I", "-B", "-c", _QUESTION], QUICKLY)
        version, executable, modules = json.loads(answer.output)
        missing = tuple(map(str, modules))
    except (SynapseError, TypeError, ValueError) as error:
        said = error.message if isinstance(error, SynapseError) else last_words(answer)
        raise InvalidInput(f"virtualenv_python {name} cannot be used ({said}): set another Python.") from error
    return Interpreter(name, os.path.abspath(command), version, executable, missing)


def run_python(arguments: t.Sequence[str], timeout: float, held: t.Collection[int] = ()) -> Completed:
    """Run a Python in the directory / and return its exit status and output. `timeout` in seconds.

    `held`: descriptors that it keeps open while it runs, even if this process is killed.

    Raises SynapseError if it cannot be run, or if it does not end in time and is therefore killed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "__PYVENV"))}
    return run_command(arguments, timeout, env=environment, umask=_UMASK, pass_fds=tuple(held))


def last_words(answer: Completed) -> str:
    """Return the last error message of a Python or of pip, in one line and without the passwords in URLs."""
    lines = [line.strip() for line in f"{answer.output}\n{answer.errors}".splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    # The first error is the cause, the last one the consequence. pip prints many of them twice.
    chosen = list(dict.fromkeys([errors[0], errors[-1]])) if errors else lines[-1:]
    said = "; ".join(line[len("ERROR: ") :] if line in errors else line for line in chosen)
    return without_credentials(said.rstrip(".")) or f"it ended with status {answer.status} and no message"


def without_credentials(text: str) -> str:
    """Return the text without the user names and passwords in its URLs."""
    return _CREDENTIALS.sub("://", text)
