# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Synapse can use its database: found out by a connection as Synapse makes it."""

from __future__ import annotations

import pwd
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import child_process, database_rules

# Another Python may come before that of the distribution, which has the package of the driver.
PYTHONS = ("python3", "/usr/bin/python3")


def connect(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what Synapse gets: see inspect_database.py. Raises `OSError` if no Python can connect.

    `question`: see `answer`.
    """
    # Before Synapse is installed, its user does not exist.
    user = question["system_user"] if has_user(question["system_user"]) else ""
    python = find_python([question["synapse_python"], *PYTHONS], user)
    if not python:
        raise OSError("No Python on this host has psycopg2. Install python3-psycopg2, or Synapse with its driver.")
    asked = {"arguments": question["arguments"]}
    return child_process.ask(question, "inspect_database.py", asked, user, python)


def find_python(pythons: t.Sequence[str], user: str) -> str:
    """Return the first Python with which a user can connect, or nothing."""
    return next((python for python in pythons if python and child_process.has_psycopg2(python, user)), "")


def has_user(user: str) -> bool:
    """Return whether the user of Synapse exists, or is the one of this process."""
    try:
        return not user or bool(pwd.getpwnam(user))
    except KeyError:
        return False


def can_connect(question: dict[str, t.Any]) -> bool:
    """Return whether somebody can connect: without a password only the user of Synapse, if there is one already."""
    return bool(question["arguments"].get("password")) or has_user(question["system_user"])


def answer(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return `wrong`, a sentence or nothing.

    The question: `arguments`, those of Synapse; `system_user`, the user of Synapse, or "" for the user of this process;
    `synapse_python`, the Python of Synapse; and `prefix`, how the names of the variables begin.
    """
    arguments = question["arguments"]
    if not can_connect(question):
        return {"wrong": ""}
    created_by = database_rules.createdb(arguments)
    found = connect(question)
    return {"wrong": database_rules.wrong_connection(found, arguments, created_by, question["prefix"])}
