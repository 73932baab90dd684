# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan needs of every server: the library to connect, the questions to the server, and a try as Synapse."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_rules,
    check_database,
    child_process,
    database_rules,
    postgresql_host,
    server_plan,
)

DRIVER = "python3-psycopg2"

Row = dict[str, t.Any]


def install(plan: server_plan.Plan, packages: list[str]) -> bool:
    """Plan to install what is missing, and return whether this host has such packages."""
    missing = postgresql_host.missing_packages(packages)
    if missing is None:
        plan.wrong.append(
            f"This host has no Debian packages, and {', '.join(packages)} is needed. Install it in another way. For"
            " PostgreSQL itself, set synapse_postgresql_server to external then."
        )
        return False
    plan.packages, plan.prepares = missing, True
    if missing:
        plan.steps.append(f"{', '.join(missing)} is installed.")
    return True


def find_driver(plan: server_plan.Plan, question: Row, user: str) -> str:
    """Return a Python with which a user can connect to PostgreSQL, or nothing after planning to install its library."""
    pythons = _pythons(question)
    python = check_database.find_python(pythons, user)
    if not python and install(plan, [DRIVER]) and not plan.packages:
        plan.wrong.append(
            f"{DRIVER} is installed, but none of {', '.join(pythons)} can import psycopg2"
            f"{' as the user ' + user if user else ''}. Check which Python they are, and install psycopg2 for one."
        )
    return python


def has_driver(question: Row, user: str) -> bool:
    """Return whether a user can connect to PostgreSQL with a Python of this host."""
    return bool(check_database.find_python(_pythons(question), user))


def _pythons(question: Row) -> list[str]:
    return [*check_database.PYTHONS, question["synapse_python"]]


def ask_server(question: Row, arguments: Row, user: str, python: str) -> Row:
    """Return the answer of read_server.py, as a user of this host with a Python. `arguments`: of an administrator."""
    asked = {"arguments": arguments, **{key: question[key] for key in ("user", "password", "database")}}
    return child_process.ask(question, "read_server.py", asked, user, python)


def is_password(question: Row) -> bool | None:
    """Return False if the server knows another password of the user of Synapse, or None if that is not known.

    For an administrator who may set passwords, but may not see what is stored.
    """
    if not question["password"]:
        return None
    return False if database_rules.is_wrong_password(str(check_database.connect(question)["error"])) else None


def connect(plan: server_plan.Plan, question: Row) -> None:
    """Connect as Synapse, if there is one, and judge what it gets."""
    # It does not know a new password yet.
    if plan.password or not check_database.can_connect(question):
        return
    found = check_database.connect(question)
    arguments = question["arguments"]
    wrong = database_rules.wrong_connection(found, arguments, question["created_by"], question["prefix"])
    wrong = wrong or database_rules.wrong_limit(found, question["connections"])
    if not wrong and question["server"] == "external":
        wrong = database_rules.too_few_connections(found["max_connections"], found["reserved"], question["connections"])
    # The restart that is planned ends all connections, and may allow more of them.
    if wrong and not (database_rules.is_full(str(found["error"])) and plan.settings.get("restarts")):
        plan.wrong.append(wrong)
    plan.verified = not wrong and check_database.has_user(question["system_user"])


def access_refusal(visitor: access_rules.Visitor, rules: list[Row], question: Row, path: str, unit: str) -> list[str]:
    """Return why these rules do not let Synapse in, or nothing. `path`: that of pg_hba.conf. `unit`: its service."""
    refusal = access_rules.refusal(visitor, rules, path, unit, question["prefix"])
    return [refusal] if refusal else []
