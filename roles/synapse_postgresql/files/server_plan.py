# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done on a PostgreSQL server for Synapse, decided by what an administrator sees of it."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_rules,
    database_rules,
    scram,
    server_settings,
)

Row = dict[str, t.Any]


class Plan:
    """What is `wrong`, and the `steps` that are to be done, as sentences; the other attributes are for the tasks."""

    def __init__(self) -> None:
        """Nothing is wrong, and nothing is to be done."""
        self.wrong: list[str] = []
        self.steps: list[str] = []
        self.packages: list[str] = []
        # Whether something is to be done before the server can be asked, or asked again.
        self.prepares = False
        self.creates_role = False
        self.creates_database = False
        self.joins = False
        # As it is to be stored, or nothing if it stays.
        self.password = ""
        # The file of this role as it has to be, and what is done after that.
        self.settings: Row = {}
        self.login: Row = {}
        self.python = ""
        self.has_sudo = True
        self.verified = False

    def shown(self) -> Row:
        """Return it as the tasks of the role read it."""
        return vars(self)


def plan_access(plan: Plan, question: Row, server: Row) -> None:
    """Decide what the user and the database need. `server`: the answer of read_server.py."""
    user, database = question["user"], question["database"]
    role, found, rights = server["role"], server["database"], server["rights"]
    if found:
        wrong = database_rules.wrong_database(found, question["created_by"])
        if wrong:
            plan.wrong.append(f"Synapse cannot use this database: {wrong}")
        elif role and server["can_create"] is False:
            names = [database_rules.identifier(name) for name in (database, user)]
            plan.wrong.append(
                f"The user {user} may not create tables in the database {database}, because it belongs to"
                f" {found['owner']}. Run as an administrator: ALTER DATABASE {names[0]} OWNER TO {names[1]};"
            )
    if role and not role["rolcanlogin"]:
        name = database_rules.identifier(user)
        plan.wrong.append(
            f"The role {user} exists in PostgreSQL, but may not log in. Set {question['prefix']}_user to another name,"
            f" or run as an administrator: ALTER ROLE {name} LOGIN;"
        )
    if role and not role["rolsuper"]:
        plan.wrong += _wrong_limits(question, role)
    _plan_role(plan, question, server)
    if not found:
        plan.creates_database = True
        plan.joins = not rights["rolsuper"] and not server["member"]
        plan.steps.append(f"The database {database} of the user {user} is created.")
    lacks = [
        right
        for right, needed in (
            ("CREATEROLE", plan.creates_role or plan.password or plan.joins),
            ("CREATEDB", plan.creates_database),
        )
        if needed and not rights["rolsuper"] and not rights[f"rol{right.lower()}"]
    ]
    if lacks:
        plan.wrong.append(
            f"The administrator {question['administrator']} lacks {' and '.join(lacks)} to do this:"
            f" {' '.join(plan.steps)} Set synapse_postgresql_login_user to one who may, or create the user and the"
            f" database with: createuser --pwprompt {user} and {question['created_by']}"
        )


def _wrong_limits(question: Row, role: Row) -> list[str]:
    user, needed = question["user"], question["connections"]
    name, wrong = database_rules.identifier(user), []
    if 0 <= role["rolconnlimit"] < needed:
        wrong.append(
            f"CONNECTION LIMIT of the user {user} is {role['rolconnlimit']}, but Synapse can have {needed} connections."
            f" Reduce synapse_homeserver_postgresql_cp_max, or run as an administrator: ALTER ROLE {name} CONNECTION"
            f" LIMIT {needed};"
        )
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


def plan_settings(plan: Plan, question: Row, server: Row, present: str | None) -> None:
    """Decide what the file of this role has to have. `present`: its text, or None if there is none."""
    path, needed = question["path"], question["connections"]
    known = server_settings.Server(server["settings"], server["written"] or [])
    ours = server_settings.parse(present or "")
    chosen: dict[str, int] = {}
    if question["state"] == "present":
        too_few = server_settings.too_few(known, path, needed)
        plan.wrong += [too_few] if too_few else []
        most = max(needed + known.reserved(), known.value("max_connections"))
        sizes = server_settings.wanted_sizes(question["memory"], question["share"], most)
        chosen = server_settings.choose(known, path, sizes, needed, ours)
        if not question["tunes"]:
            chosen = {name: value for name, value in chosen.items() if name == "max_connections"}
    text = server_settings.text_of(chosen)
    differing = {name for name in {*ours, *chosen} if ours.get(name) != chosen.get(name)}
    not_in_force = {name for name, value in chosen.items() if known.value(name) != value}
    # A run that was interrupted may have written the file without the restart, or the reload, that it needs.
    not_in_force |= {name for name in known.left_over() if not known.place(name, path)}
    restarts = {name for name in differing | not_in_force if known.current[name]["context"] == "postmaster"}
    if text == (present or "") and not not_in_force:
        return
    plan.settings = {"text": text, "present": present, "restarts": bool(restarts)}
    if text != (present or ""):
        values = ", ".join(line for line in text.splitlines() if not line.startswith("#"))
        plan.steps.append(f"{path} is written ({values})." if text else f"{path} is removed.")
    plan.steps.append("PostgreSQL is restarted." if restarts else "PostgreSQL reads its files again.")
    _require_clean(plan, known, path, restarts)


def _require_clean(plan: Plan, known: server_settings.Server, path: str, restarts: t.Collection[str]) -> None:
    """A restart would also apply what others have changed, so that it could be to blame if PostgreSQL did not start."""
    waiting = known.pending(known.current)
    faults = [
        f"{row['sourcefile']} line {row['sourceline']}: {row['error']}"
        for row in known.written
        # PostgreSQL calls what waits for a restart an error as well.
        if row["error"] and row["name"] not in waiting
    ]
    if faults:
        plan.wrong.append(f"PostgreSQL cannot read all of its settings: {'; '.join(faults)}. Correct them first.")
    pending = [name for name in waiting if name not in server_settings.NAMES or known.place(name, path)]
    if restarts and pending:
        plan.wrong.append(
            f"PostgreSQL has to be restarted, but {', '.join(pending)} that others have set also wait for that. Restart"
            " it yourself first, so that it is known whether it starts with them."
        )


def visitor_of(question: Row, encrypts: bool = True) -> access_rules.Visitor:
    """Return Synapse as who connects."""
    arguments = question["arguments"]
    return access_rules.Visitor(
        arguments["host"],
        arguments["dbname"],
        arguments["user"],
        bool(question["password"]),
        question["system_user"],
        encrypts,
    )
