# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of PostgreSQL, and what has to be done for Synapse. Nothing is changed."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_plan,
    access_rules,
    database_rules,
    listening,
    look_at_cluster,
    plan_steps,
    postgresql_host,
    server_plan,
    server_settings,
)

# Every cluster has them from its creation on.
_NEW_DATABASES = ("postgres", "template0", "template1")

Row = dict[str, t.Any]


def answer(question: Row) -> Row:
    """Return the plan. The question has these keys:

    state: present or absent; server: distribution or external; arguments: those of Synapse, with password;
    login: those of an administrator of an external server, or nothing; system_user: the user of Synapse, or "" for the
    one of this process; synapse_python: the Python of Synapse; processes, cp_max: the connections of Synapse; tunes:
    whether sizes are set; share: how many percent of the memory PostgreSQL may use; prefix: how the names of the
    variables begin.
    """
    return look(question).shown()


def look(question: Row) -> server_plan.Plan:
    """Return what is wrong and what has to be done."""
    arguments = question["arguments"]
    question = {
        **question,
        "user": arguments["user"],
        "database": arguments["dbname"],
        "password": arguments.get("password", ""),
        "connections": server_settings.needed_connections(question["processes"], question["cp_max"]),
    }
    plan = server_plan.Plan()
    plan.has_sudo = bool(shutil.which("sudo"))
    impossible = server_settings.impossible(question["connections"])
    if impossible and question["state"] == "present":
        plan.wrong.append(impossible)
    elif question["server"] == "external":
        _look_outside(plan, question)
    else:
        _look_inside(plan, question)
    return plan


def _look_outside(plan: server_plan.Plan, question: Row) -> None:
    if question["state"] == "absent":
        return
    question = {**question, "created_by": database_rules.createdb(question["arguments"])}
    plan.python = plan_steps.find_driver(plan, question, "")
    if not plan.python:
        plan.steps.append("What the server has is found out after that.")
        return
    if question["login"]:
        _plan_outside(plan, question)
    if not plan.steps and not plan.wrong:
        plan_steps.connect(plan, question)


def _plan_outside(plan: server_plan.Plan, question: Row) -> None:
    login = question["login"]
    server = plan_steps.ask_server(question, login, "", plan.python)
    if server["error"]:
        plan.wrong.append(
            f"The administrator {login['user']} cannot connect to the database {login['dbname']} of PostgreSQL at"
            f" {login['host'] or 'the local socket'}:{login['port']}: {server['error'].rstrip('.')}. Check that"
            " PostgreSQL runs there, and set synapse_postgresql_login_host, synapse_postgresql_login_port,"
            " synapse_postgresql_login_user, synapse_postgresql_login_password and synapse_postgresql_login_db."
        )
        return
    plan.login = {key: value for key, value in login.items() if key != "password"}
    if server["role"] and server["password"] is None and server["rights"]["rolcreaterole"] and server["administers"]:
        server = {**server, "password": plan_steps.is_password(question)}
    created_by = database_rules.createdb(question["arguments"], provider=server["provider"])
    question = {**question, "administrator": login["user"], "created_by": created_by}
    access_plan.plan_access(plan, question, server)
    known = server_settings.Server(server["settings"], [])
    too_few = database_rules.too_few_connections(
        known.value("max_connections"), known.reserved(), question["connections"]
    )
    plan.wrong += [too_few] if too_few else []


def _look_inside(plan: server_plan.Plan, question: Row) -> None:
    port, host = question["arguments"]["port"], question["arguments"]["host"]
    if os.geteuid() != 0:
        plan.wrong.append("PostgreSQL of the distribution is managed by root only. Run the playbook with become.")
        return
    if not postgresql_host.is_local(host):
        plan.wrong.append(
            f"synapse_postgresql_server is distribution, so PostgreSQL runs on this host, but {question['prefix']}_host"
            f" is {host}. Set it to localhost or the directory of a socket, or synapse_postgresql_server to external."
        )
        return
    clusters = postgresql_host.find_clusters()
    found = [cluster for cluster in clusters if cluster.port == port]
    if len(found) > 1:
        names = ", ".join(cluster.shown for cluster in found)
        plan.wrong.append(f"Several clusters have the same port: {names}. Give each its own port (pg_conftool).")
    elif found:
        look_at_cluster.look(plan, question, found[0])
    elif question["state"] == "present":
        _plan_cluster(plan, question, clusters)


def _plan_cluster(plan: server_plan.Plan, question: Row, clusters: list[postgresql_host.Cluster]) -> None:
    port = question["arguments"]["port"]
    if clusters:
        newest = max(clusters, key=lambda cluster: int(cluster.version))
        plan.wrong.append(
            f"No cluster of PostgreSQL has the port {port}. There are {', '.join(one.shown for one in clusters)}. Set"
            f" {question['prefix']}_port to the port of one of them, or create one with: pg_createcluster --port"
            f" {port} --start {newest.version} synapse"
        )
        return
    if postgresql_host.is_taken(port):
        plan.wrong.append(
            f"Port {port} is used by another process than a PostgreSQL of the distribution. Set"
            f" {question['prefix']}_port to a free one, or synapse_postgresql_server to external."
        )
        return
    if question["user"] == postgresql_host.OWNER or question["database"] in _NEW_DATABASES:
        plan.wrong.append(
            f"A new cluster has the superuser {postgresql_host.OWNER} and the databases {', '.join(_NEW_DATABASES)},"
            f" which are not for Synapse. Set {question['prefix']}_user and {question['prefix']}_database to other"
            " names."
        )
    elsewhere = listening.refusal(question["arguments"]["host"], listening.DEFAULT, question["prefix"])
    plan.wrong += filter(None, [postgresql_host.masked([postgresql_host.SERVICE])])
    visitor = server_plan.visitor_of(question, True, listening.DEFAULT)
    plan.wrong += (
        [elsewhere]
        if elsewhere
        else plan_steps.access_refusal(visitor, access_rules.DEFAULT_RULES, question, "pg_hba.conf", "postgresql")
    )
    if not plan_steps.install(plan, ["postgresql", plan_steps.DRIVER]):
        return
    plan.prepares = True
    plan.steps += [
        f"A cluster of PostgreSQL with the port {port} is created and started.",
        f"The user {question['user']} and the database {question['database']} are created.",
        f"The file {look_at_cluster.FILE_NAME} with sizes by the memory of this host is written.",
    ]
