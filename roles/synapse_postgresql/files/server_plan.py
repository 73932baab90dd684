# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done on a PostgreSQL server for Synapse, decided by what an administrator sees of it."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_rules,
    listening,
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
        # Of the locale of a new database, or nothing if it is that of the template.
        self.locale_provider = ""
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


def plan_settings(plan: Plan, question: Row, server: Row, present: str | None) -> None:
    """Decide what the file of this role has to have. `present`: its text, or None if there is none."""
    path, needed = question["path"], question["connections"]
    known = known_of(server)
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
    restarts = {name for name in differing | not_in_force if known.needs_restart(name, chosen.get(name), path)}
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


def known_of(server: Row) -> server_settings.Server:
    """Return the settings in the answer of read_server.py."""
    return server_settings.Server(server["settings"], server["written"] or [], server.get("included_at", 0))


def visitor_of(question: Row, encrypts: bool, at: listening.Listening) -> access_rules.Visitor:
    """Return Synapse as who connects. `encrypts`: the server has TLS. `at`: where it is reached."""
    arguments = question["arguments"]
    host = arguments["host"]
    address = "" if not host or host.startswith("/") else listening.reached_at(host, at)
    return access_rules.Visitor(
        host,
        arguments["dbname"],
        arguments["user"],
        bool(question["password"]),
        question["system_user"],
        encrypts,
        address,
    )
