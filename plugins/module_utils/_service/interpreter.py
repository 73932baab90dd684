# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a module can be run again with the Python that Synapse runs with, which has the libraries of Synapse."""

from __future__ import annotations

import importlib.util
import os
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# What Ansible itself needs before a module can say anything.
_PROBE = "import json, sys, zipfile; sys.exit(sys.version_info < (3, 9))"

_LIBRARIES = ("yaml", "requests")


def has_libraries() -> bool:
    """Return whether this Python has the libraries that are needed to read the configuration and to ask a server."""
    return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)


def is_another_python(
    path: str, timeout: float, run: t.Callable[[t.Sequence[str], float], Completed] = run_command
) -> bool:
    """Return whether `path` is a Python that works, and not the one that runs this. `timeout` in seconds."""
    if not os.path.isfile(path) or _place(path) == _place(sys.executable or ""):
        return False
    try:
        return run([path, "-c", _PROBE], timeout).status == 0
    except SynapseError:
        return False


def _place(path: str) -> tuple[str, str]:
    # The Python of a virtual environment is a link to that of the system, so the directory counts too.
    return os.path.realpath(os.path.dirname(path)), os.path.realpath(path)
