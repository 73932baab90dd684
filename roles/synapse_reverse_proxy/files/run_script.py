# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one of the scripts of this role on a host that has none of them as a file.

The role adds a line that calls `main` with all of them, and sends the whole to Python on standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import types

PACKAGE = "ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files"


def load(texts: dict[str, str]) -> dict[str, types.ModuleType]:
    """Return the scripts as modules, which can import each other by their full names."""
    modules = {}
    for file_name, text in texts.items():
        module = types.ModuleType(f"{PACKAGE}.{file_name[: -len('.py')]}")
        sys.modules[module.__name__] = module
        exec(compile(text, file_name, "exec"), module.__dict__)
        modules[file_name] = module
    return modules


def main(texts: dict[str, str], arguments: list[str]) -> None:
    """Call `main` of a script with a question.

    `texts` are the scripts by their names, each after those that it imports. The arguments are the name of one, and the
    question as JSON. If the script fails, prints one sentence to standard error and ends with status 1.
    """
    try:
        load(texts)[arguments[0]].main(json.loads(arguments[1]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, subprocess.SubprocessError) as error:
        sys.exit(" ".join(str(error).split()))
