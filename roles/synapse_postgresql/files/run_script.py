# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one of the scripts of this role on a host that has none of them as a file.

The role adds a line that calls `main`, and sends the whole to Python on standard input, so that the list of processes
does not show the passwords in the question.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import types
import typing as t

PACKAGE = "ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files"


class Scripts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the scripts by their full names when they are imported: some need a library that not every Python has."""

    def __init__(self, texts: dict[str, str]) -> None:
        """`texts` are the scripts by the names of their files."""
        self._texts = {f"{PACKAGE}.{name[: -len('.py')]}": text for name, text in texts.items()}

    def find_spec(
        self, fullname: str, path: t.Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a script or one of the packages above it is, or None for all other modules."""
        is_package = f"{PACKAGE}.".startswith(f"{fullname}.")
        if not is_package and fullname not in self._texts:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=is_package)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a script, of which the packages above have none."""
        exec(compile(self._texts.get(module.__name__, ""), module.__name__, "exec"), module.__dict__)


def main(call: str) -> None:
    """Print what `answer` of a script returns, as JSON.

    `call` is JSON: the scripts with this one, the name of a script, and the question. If the script fails, prints one
    sentence to standard error and ends with status 1.
    """
    texts, name, question = json.loads(call)
    sys.meta_path.insert(0, Scripts(texts))
    try:
        script = importlib.import_module(f"{PACKAGE}.{name[: -len('.py')]}")
        print(json.dumps(script.answer({**question, "scripts": texts})))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, subprocess.SubprocessError) as error:
        sys.exit(" ".join(str(error).split()))
