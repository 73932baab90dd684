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
import typing as t

_FILES = pathlib.Path(__file__).parents[4] / "roles" / "synapse_postgresql" / "files"
_PACKAGE = "ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files"


def _run(texts: dict[str, str], name: str, question: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
    program = (_FILES / "run_script.py").read_text(encoding="utf-8")
    # As the role does it.
    call = json.dumps(json.dumps([texts, name, question]))
    return subprocess.run(
        [sys.executable, "-I", "-"],
        input=f"{program}\n\nmain({call})\n",
        capture_output=True,
        check=False,
        encoding="utf-8",
        cwd="/",
        env={"PATH": os.defpath},
    )


def test_a_script_imports_others_and_gets_any_text() -> None:
    text = "a'\"\\n\n\t\u00e9\U0001f600"
    texts = {
        "b.py": f"from {_PACKAGE} import a\n"
        "def answer(question):\n    return {'is': a.same(question['text']), 'all': sorted(question['scripts'])}\n",
        "a.py": f"from __future__ import annotations\ndef same(text):\n    return text == {text!r}\n",
    }
    done = _run(texts, "b.py", {"text": text})
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"is": True, "all": ["a.py", "b.py"]}


def test_a_library_is_needed_only_by_the_script_that_imports_it() -> None:
    texts = {"a.py": "import no_such_library\n", "b.py": "def answer(question):\n    return {}\n"}
    assert _run(texts, "b.py", {}).stdout == "{}\n"


def test_a_failure_is_one_sentence() -> None:
    done = _run({"a.py": "def answer(question):\n    raise OSError('No\\n such thing.')\n"}, "a.py", {})
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "No such thing.\n")


def test_all_scripts_of_the_role_are_sent() -> None:
    lines = (_FILES.parent / "vars" / "main.yml").read_text(encoding="utf-8").splitlines()
    start = lines.index("__synapse_postgresql_script_names:") + 1
    scripts = sorted(path.name for path in _FILES.glob("*.py"))
    assert sorted(line[len("  - ") :] for line in lines[start : start + len(scripts)]) == scripts
