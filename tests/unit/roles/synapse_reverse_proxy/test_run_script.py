# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scripts run on a host that has no files of this collection."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

_FILES = pathlib.Path(__file__).parents[4] / "roles" / "synapse_reverse_proxy" / "files"


def _run(texts: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    program = (_FILES / "run_script.py").read_text(encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", "-", *arguments],
        input=f"{program}\n\nmain({json.dumps(texts)}, sys.argv[1:])\n",
        capture_output=True,
        check=False,
        encoding="utf-8",
        cwd="/",
        env={"PATH": os.defpath},
    )


def test_a_script_imports_those_before_it() -> None:
    texts = {
        "a.py": "from __future__ import annotations\ntext = 'a\\n'\n",
        "b.py": "from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.a import text\n"
        "def main(question):\n    print(text + question['b'])\n",
    }
    done = _run(texts, "b.py", '{"b": "c"}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nc\n", "")


def test_a_failure_is_one_sentence() -> None:
    done = _run({"a.py": "def main(question):\n    raise OSError('No\\n such thing.')\n"}, "a.py", "{}")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "No such thing.\n")


def test_all_scripts_of_the_role_are_sent_after_those_that_they_import() -> None:
    lines = (_FILES.parent / "vars" / "main.yml").read_text(encoding="utf-8").splitlines()
    start = lines.index("__synapse_reverse_proxy_script_names:") + 1
    names = [line[len("  - ") :] for line in lines[start:] if line.startswith("  - ")]
    names = names[: len(list(_FILES.glob("*.py"))) - 1]
    assert sorted([*names, "run_script.py"]) == sorted(path.name for path in _FILES.glob("*.py"))
    texts = {name: (_FILES / name).read_text(encoding="utf-8") for name in names}
    done = _run({**texts, "z.py": "def main(question):\n    print('loaded')\n"}, "z.py", "{}")
    assert (done.stdout, done.stderr) == ("loaded\n", "")
