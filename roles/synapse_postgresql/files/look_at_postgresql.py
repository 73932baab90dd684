# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of PostgreSQL, and what has to be done for Synapse. Nothing is changed."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_rules,
    check_database,
    child_process,
    database_rules,
    postgresql_host,
    server_plan,
    server_settings,
)

SOCKET_DIRECTORY = "/var/run/postgresql"
# They are there before anybody creates one.
_NEW_DATABASES = ("postgres", "template0", "template1")
FILE_NAME = "matrix_ops-synapse.conf"

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
    if question["server"] == "external":
        _look_outside(plan, question)
    else:
        _look_inside(plan, question)
    return plan


def _look_outside(plan: server_plan.Plan, question: Row) -> None:
    if question["state"] == "absent":
        return
    question = {**question, "created_by": database_rules.createdb(question["arguments"])}
    plan.python = check_database.find_python(["python3", question["synapse_python"]], "")
    if not plan.python:
        _install(plan, ["python3-psycopg2"])
        plan.steps.append("What the server has is found out after that.")
        return
    if question["login"]:
        server = _ask(question, question["login"], "", plan.python)
        if server["error"]:
            plan.wrong.append(
                f"PostgreSQL does not let the administrator {question['login']['user']} in: {server['error']}. Set"
                " synapse_postgresql_login_host, synapse_postgresql_login_port, synapse_postgresql_login_user and"
                " synapse_postgresql_login_password."
            )
            return
        plan.login = {key: value for key, value in question["login"].items() if key != "password"}
        server_plan.plan_access(plan, {**question, "administrator": question["login"]["user"]}, server)
    if not plan.steps and not plan.wrong:
        _connect(plan, question)


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
        _look_at_cluster(plan, question, found[0])
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
    plan.wrong += filter(None, [_access_refusal(question, access_rules.DEFAULT_RULES, "pg_hba.conf", "postgresql")])
    if not _install(plan, ["postgresql", "python3-psycopg2"]):
        return
    plan.prepares = True
    plan.steps += [
        f"A cluster of PostgreSQL with the port {port} is created and started.",
        f"The user {question['user']} and the database {question['database']} are created.",
        f"The file {FILE_NAME} with sizes by the memory of this host is written.",
    ]


def _install(plan: server_plan.Plan, packages: list[str]) -> bool:
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


def _look_at_cluster(plan: server_plan.Plan, question: Row, cluster: postgresql_host.Cluster) -> None:
    present = question["state"] == "present"
    if int(cluster.version.split(".")[0]) < database_rules.OLDEST_VERSION and present:
        plan.wrong.append(
            f"PostgreSQL {cluster.shown} is too old. Synapse requires {database_rules.OLDEST_VERSION} or newer. Upgrade"
            " it with pg_upgradecluster."
        )
        return
    if cluster.start != "auto" and present:
        plan.wrong.append(
            f"The system does not start the cluster {cluster.shown}, because {cluster.directory}/start.conf is"
            f" {cluster.start}. Write auto there."
        )
    if not cluster.online:
        if present:
            plan.prepares = True
            plan.steps.append(f"The cluster {cluster.shown} is started. What it needs is found out after that.")
        return
    if present and not postgresql_host.is_enabled():
        plan.prepares = True
        plan.steps.append("postgresql.service is enabled.")
    plan.python = check_database.find_python(["python3", question["synapse_python"]], cluster.owner)
    if not plan.python:
        _install(plan, ["python3-psycopg2"])
        plan.steps.append("What the server needs is found out after that.")
        return
    plan.login = {"host": socket_of(cluster), "port": cluster.port, "user": cluster.owner, "dbname": "postgres"}
    server = _ask(question, plan.login, cluster.owner, plan.python)
    if server["error"]:
        plan.wrong.append(
            f"The cluster {cluster.shown} does not let its administrator {cluster.owner} in: {server['error']}."
            f" {cluster.directory}/pg_hba.conf needs the line: local all {cluster.owner} peer"
        )
        return
    _plan_on_cluster(plan, question, cluster, server)


def _plan_on_cluster(plan: server_plan.Plan, question: Row, cluster: postgresql_host.Cluster, server: Row) -> None:
    user = f"sudo -u {cluster.owner} "
    path = f"{cluster.directory}/conf.d/{FILE_NAME}"
    question = {
        **question,
        "administrator": cluster.owner,
        "created_by": database_rules.createdb(question["arguments"], user),
        "memory": postgresql_host.memory(),
        "path": path,
    }
    known = server_settings.Server(server["settings"], server["written"] or [])
    if question["state"] == "present":
        server_plan.plan_access(plan, question, server)
        encrypts = known.setting("ssl") == "on"
        path_of_rules = known.setting("hba_file", f"{cluster.directory}/pg_hba.conf")
        refusal = _access_refusal(question, server["rules"] or [], path_of_rules, cluster.unit, encrypts)
        plan.wrong += [refusal] if refusal else []
    exists = os.path.lexists(path)
    server_plan.plan_settings(plan, question, server, postgresql_host.read(path) if exists else None)
    if plan.settings:
        plan.settings.update({"path": path, "owner": cluster.owner, "unit": cluster.unit})
        _require_directory(plan, cluster)
    if question["state"] == "present" and not plan.wrong and not (plan.creates_role or plan.creates_database):
        _connect(plan, question)


def _require_directory(plan: server_plan.Plan, cluster: postgresql_host.Cluster) -> None:
    main = postgresql_host.read(f"{cluster.directory}/postgresql.conf")
    if not any(
        line.split("#")[0].replace("=", " ").split() == ["include_dir", "'conf.d'"] for line in main.splitlines()
    ):
        plan.wrong.append(
            f"{cluster.directory}/postgresql.conf does not read the directory conf.d, in which this role writes its"
            " settings. Add the line: include_dir = 'conf.d'"
        )
    present = plan.settings["present"]
    if present and not present.startswith(server_settings.MARK):
        plan.wrong.append(f"{plan.settings['path']} was not written by this role. Move it to another name.")


def _access_refusal(question: Row, rules: list[Row], path: str, unit: str, encrypts: bool = True) -> str:
    visitor = server_plan.visitor_of(question, encrypts)
    return access_rules.refusal(visitor, rules, path, unit, question["prefix"])


def _connect(plan: server_plan.Plan, question: Row) -> None:
    """Connect as Synapse, if there is one, and judge what it gets."""
    # It does not know a new password yet.
    if plan.password or not check_database.can_connect(question):
        return
    found = check_database.connect(question)
    arguments = question["arguments"]
    wrong = database_rules.wrong_connection(found, arguments, question["created_by"], question["prefix"])
    wrong = wrong or database_rules.wrong_limit(found, question["connections"])
    if wrong and not plan.settings:
        plan.wrong.append(wrong)
    plan.verified = not wrong and check_database.has_user(question["system_user"])


def _ask(question: Row, arguments: Row, user: str, python: str) -> Row:
    asked = {"arguments": arguments, **{key: question[key] for key in ("user", "password", "database")}}
    return child_process.ask(question, "read_server.py", asked, user, python)


def socket_of(cluster: postgresql_host.Cluster) -> str:
    """Return the directory of the socket of a cluster; raises `OSError` if its configuration cannot be read."""
    command = ["pg_conftool", "--short", cluster.version, cluster.name, "show", "unix_socket_directories"]
    shown = child_process.run(command).stdout.strip()
    return shown.split(",")[0].strip(" '\"") or SOCKET_DIRECTORY
