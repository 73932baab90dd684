# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are run on the host: those of the system, and the scripts of this role as another user."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

# In seconds. The start of a server that has to recover first takes the longest.
TIME_LIMIT = 120


def run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Return how a command ended and what it printed; raises `OSError` or `subprocess.TimeoutExpired`."""
    # Variables such as PGOPTIONS and PGHOST change what a connection is, and Synapse does not have them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env={**environment, "LC_ALL": "C.UTF-8"},
        cwd="/",
        timeout=TIME_LIMIT,
        check=False,
    )


def require(command: list[str]) -> str:
    """Return what a command printed; raises `OSError` with its last words if it fails."""
    ended = run(command)
    if ended.returncode:
        words = (ended.stderr.strip() or ended.stdout.strip() or "it printed nothing").splitlines()
        raise OSError(f"{' '.join(command)} ended with status {ended.returncode}: {' '.join(words[-3:])}")
    return ended.stdout


def words_of(error: Exception) -> str:
    """Return the text of an error in one line. It is never empty, because psycopg2 leaves out what is not UTF-8."""
    return " ".join(str(error).split()) or f"{type(error).__name__} with a text that is not in the encoding UTF-8"


def as_user(user: str, command: list[str]) -> list[str]:
    """Return a command that runs as a user; "" for the user of this process."""
    return ["runuser", "--user", user, "--", *command] if user else command


def has_psycopg2(python: str, user: str = "") -> bool:
    """Return whether a Python, by name or path, can connect a user to PostgreSQL."""
    try:
        return run(as_user(user, [python, "-I", "-c", "import psycopg2"])).returncode == 0
    except OSError:
        return False


def ask(question: dict[str, t.Any], script: str, asked: dict[str, t.Any], user: str, python: str) -> dict[str, t.Any]:
    """Return the answer of a script that runs as a user with a Python.

    `question`: the one to this script, which contains all scripts. Raises `OSError` if the other one fails.
    """
    texts = question["scripts"]
    call = json.dumps([texts, script, asked])
    ended = run(as_user(user, [python, "-I", "-"]), f"{texts['run_script.py']}\n\nmain({call!r})\n")
    if ended.returncode:
        words = (ended.stderr.strip() or "no answer").splitlines()
        raise OSError(f"{script} failed: {words[-1]}")
    answer: dict[str, t.Any] = json.loads(ended.stdout)
    return answer
