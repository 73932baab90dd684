# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The Pythons of a host: run as themselves, whatever the environment of the task says, and asked what they are."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# In seconds. The first for questions, the second for what downloads, and may compile on a slow machine.
QUICKLY = 60
PATIENTLY = 3600
# Readable for the user that Synapse runs as, whatever umask the task has.
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
    """A Python that environments are made with.

    `name`: as the task declares it; `command`: what is run; `version`: such as 3.13; `executable`: the file itself,
    behind every link and environment; `missing`: the modules that are needed to make one and are not there.
    """

    name: str
    command: str
    version: str
    executable: str
    missing: tuple[str, ...]

    def require_whole(self) -> None:
        """Raise InvalidInput if no environment can be made with it."""
        if self.missing:
            raise InvalidInput(
                f"python {self.name} cannot make a virtual environment: its module {self.missing[0]} is not there."
                f" Install the package python3-venv (or python{self.version}-venv) of the system."
            )


def ask_interpreter(name: str) -> Interpreter:
    """Return what the Python `name`, a path or a name in PATH, is. Raises InvalidInput if it does not run."""
    if "/" in name and not os.path.isabs(name):
        raise InvalidInput(f"python {name} must be an absolute path, or a name without a slash that is in PATH.")
    command = shutil.which(name)
    if command is None:
        raise InvalidInput(f"python {name} is not there, or cannot be run: install it, or name another Python.")
    try:
        answer = run_python([command, "-I", "-B", "-c", _QUESTION], QUICKLY)
        version, executable, modules = json.loads(answer.output)
        missing = tuple(map(str, modules))
    except (SynapseError, TypeError, ValueError) as error:
        said = error.message if isinstance(error, SynapseError) else last_words(answer)
        raise InvalidInput(f"python {name} cannot be used ({said}): name another Python.") from error
    return Interpreter(name, os.path.abspath(command), version, executable, missing)


def run_python(arguments: t.Sequence[str], timeout: float, held: t.Collection[int] = ()) -> Completed:
    """Run a Python in / and return its exit status and what it wrote. `timeout` in seconds.

    `held`: descriptors that it keeps open as long as it runs, even if this process is killed meanwhile.

    Raises SynapseError if it cannot be run, or does not end in time; then it is killed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "__PYVENV"))}
    return run_command(arguments, timeout, env=environment, umask=_UMASK, pass_fds=tuple(held))


def last_words(answer: Completed) -> str:
    """Return what a Python, or pip, said last about why it failed, in one line and without the passwords in URLs."""
    lines = [line.strip() for line in f"{answer.output}\n{answer.errors}".splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    # The first error says what, the last what came of it; pip says many of them twice.
    chosen = list(dict.fromkeys([errors[0], errors[-1]])) if errors else lines[-1:]
    said = "; ".join(line[len("ERROR: ") :] if line in errors else line for line in chosen)
    return without_credentials(said.rstrip(".")) or f"it ended with status {answer.status} and said nothing"


def without_credentials(text: str) -> str:
    """Return the text without the names and passwords in its URLs."""
    return _CREDENTIALS.sub("://", text)
