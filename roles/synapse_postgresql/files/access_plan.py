# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user and the database of Synapse need on a server."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import database_rules, scram
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.server_plan import Plan

Row = dict[str, t.Any]


def plan_access(plan: Plan, question: Row, server: Row) -> None:
    """Decide what the user and the database need. `server`: the answer of read_server.py."""
    user, database = question["user"], question["database"]
    if server["database"]:
        plan.wrong += _wrong_database(question, server)
    if server["role"]:
        plan.wrong += _wrong_role(question, server["role"])
    _plan_role(plan, question, server)
    if not server["database"]:
        plan.creates_database = True
        plan.locale_provider = "" if server["provider"] == "c" else "libc"
        plan.joins = not server["rights"]["rolsuper"] and not server["member"]
        plan.steps.append(f"The database {database} of the user {user} is created.")
    if plan.creates_role or plan.creates_database or plan.password:
        plan.wrong += _wrong_administrator(plan, question, server)


def _wrong_database(question: Row, server: Row) -> list[str]:
    """Return why Synapse cannot use the database that is there."""
    user, found, role, tables = question["user"], server["database"], server["role"], server["tables"]
    wrong = database_rules.wrong_database(found, question["created_by"])
    if wrong:
        return [f"Synapse cannot use this database: {wrong}"]
    if role and role["rolsuper"]:
        return database_rules.closed(found, 0)
    closed = database_rules.closed(found, question["connections"])
    owner, name = found["owner"], found["datname"]
    if role is None and (not found["can_connect"] or (tables and not tables["can_create"])):
        return [
            *closed,
            f"The database {name} exists already and belongs to {owner}. The user {user} does not exist yet, and could"
            f" not create tables in it. Set {question['prefix']}_user to {owner}, or {question['prefix']}_database to"
            " another name.",
        ]
    if not found["can_connect"]:
        closed.append(
            f"The user {user} may not connect to the database {name}. Run as an administrator: GRANT CONNECT ON"
            f" DATABASE {database_rules.identifier(name)} TO {database_rules.identifier(user)};"
        )
    if tables and not tables["can_create"]:
        sentence = database_rules.cannot_create(user, name, (owner, tables["schema_owner"]))
        closed.append(sentence[0].upper() + sentence[1:])
    return closed


def _wrong_role(question: Row, role: Row) -> list[str]:
    """Return why Synapse cannot use the user that is there."""
    user, needed = question["user"], question["connections"]
    name, wrong = database_rules.identifier(user), []
    if not role["rolcanlogin"]:
        wrong.append(
            f"The role {user} exists in PostgreSQL, but may not log in. Set {question['prefix']}_user to another name,"
            f" or run as an administrator: ALTER ROLE {name} LOGIN;"
        )
    if role["rolsuper"]:
        return wrong
    if 0 <= role["rolconnlimit"] < needed:
        wrong.append(database_rules.low_limit("role", user, role["rolconnlimit"], needed))
    if role["expired"] and question["password"]:
        wrong.append(
            f"The password of the user {user} has expired (VALID UNTIL). Run as an administrator: ALTER ROLE {name}"
            " VALID UNTIL 'infinity';"
        )
    return wrong


def _plan_role(plan: Plan, question: Row, server: Row) -> None:
    user, password, role = question["user"], question["password"], server["role"]
    if role is None:
        plan.creates_role = True
        plan.steps.append(f"The user {user} is created.")
    elif server["password"] is False and role["rolsuper"]:
        plan.wrong.append(
            f"{question['prefix']}_password is not the password of the user {user}, who is a superuser of PostgreSQL,"
            f" so this role does not change it. Set the right one, or {question['prefix']}_user to another name."
        )
        return
    elif server["password"] is False:
        plan.steps.append(f"The password of the user {user} is set.")
    else:
        return
    plan.password = scram.stored(password) if password else ""


def _wrong_administrator(plan: Plan, question: Row, server: Row) -> list[str]:
    """Return why the administrator cannot do what is to be done."""
    user, rights, todo = question["user"], server["rights"], " ".join(plan.steps)
    if rights["read_only"]:
        return [
            f"PostgreSQL is read-only, so this cannot be done: {todo} It is a standby, or"
            f" default_transaction_read_only is set. Set {question['prefix']}_host to the primary server."
        ]
    if rights["rolsuper"]:
        return []
    lacks = [
        right
        for right, needed in (
            ("CREATEROLE", plan.creates_role or plan.password or plan.joins),
            ("CREATEDB", plan.creates_database),
        )
        if needed and not rights[f"rol{right.lower()}"]
    ]
    if lacks:
        return [
            f"The administrator {question['administrator']} lacks {' and '.join(lacks)} to do this: {todo} Set"
            " synapse_postgresql_login_user to one who may, or create the user and the database with: createuser"
            f" --pwprompt {shlex.quote(user)} and {question['created_by']}"
        ]
    if not server["administers"] and (plan.password or plan.joins):
        name, administrator = (database_rules.identifier(one) for one in (user, question["administrator"]))
        return [
            f"The administrator {question['administrator']} may not change the user {user}, so this cannot be done:"
            f" {todo} Run as a superuser: GRANT {name} TO {administrator} WITH ADMIN OPTION;"
        ]
    return []
