# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster of PostgreSQL on this host needs for Synapse. Nothing is changed."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_plan,
    access_rules,
    database_rules,
    hba_file,
    listening,
    plan_steps,
    postgresql_host,
    server_plan,
    server_settings,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.postgresql_host import Cluster

FILE_NAME = "matrix_ops-synapse.conf"

Row = dict[str, t.Any]


def look(plan: server_plan.Plan, question: Row, cluster: Cluster) -> None:
    """Decide what a cluster needs. `question`: see look_at_postgresql.py."""
    if question["state"] == "absent":
        _look_for_removal(plan, question, cluster)
        return
    if int(cluster.version.split(".")[0]) < database_rules.OLDEST_VERSION:
        plan.wrong.append(
            f"PostgreSQL {cluster.shown} is too old. Synapse requires {database_rules.OLDEST_VERSION} or newer. Upgrade"
            " it with pg_upgradecluster."
        )
        return
    if cluster.start != "auto":
        plan.wrong.append(
            f"The system does not start the cluster {cluster.shown}, because {cluster.directory}/start.conf is"
            f" {cluster.start}. Write auto there."
        )
    if not cluster.online:
        _look_at_stopped(plan, question, cluster)
        return
    if not postgresql_host.is_enabled():
        plan.wrong += filter(None, [postgresql_host.masked([postgresql_host.SERVICE])])
        plan.prepares = True
        plan.steps.append(f"{postgresql_host.SERVICE} is enabled.")
    _look_at_running(plan, question, cluster)


def _look_for_removal(plan: server_plan.Plan, question: Row, cluster: Cluster) -> None:
    path = path_in(cluster)
    if cluster.online:
        # Without the library, an earlier removal that was interrupted is not found, and nothing is installed for it.
        if os.path.lexists(path) or plan_steps.has_driver(question, cluster.owner):
            _look_at_running(plan, question, cluster)
    elif os.path.lexists(path):
        plan.settings = {"text": "", "present": postgresql_host.read(path), "restarts": False}
        plan.steps.append(f"{path} is removed.")
        _complete_settings(plan, cluster)


def _look_at_stopped(plan: server_plan.Plan, question: Row, cluster: Cluster) -> None:
    """Find what would be wrong with it if it ran, as far as its files show that."""
    plan_steps.find_driver(plan, question, cluster.owner)
    plan.wrong += filter(None, [postgresql_host.masked([postgresql_host.SERVICE, cluster.unit])])
    plan.prepares = True
    plan.steps.append(f"The cluster {cluster.shown} is started. What it needs is found out after that.")
    settings = postgresql_host.settings_of(cluster)
    at = listening.listening(settings.get)
    path = settings.get("hba_file", f"{cluster.directory}/pg_hba.conf")
    rules = hba_file.parse(postgresql_host.read(path))
    if not rules:
        # It cannot be read, or it does not start.
        return
    owner = access_rules.Visitor(at.directory, "postgres", cluster.owner, False, cluster.owner)
    if access_rules.refusal(owner, rules, path, "", ""):
        plan.wrong.append(_owner_refused(cluster, f"no rule of {path} does"))
    plan.wrong += _not_reached(question, at, rules, path, "", settings.get("ssl") in ("on", "true", "yes", "1"))


def _look_at_running(plan: server_plan.Plan, question: Row, cluster: Cluster) -> None:
    plan.python = plan_steps.find_driver(plan, question, cluster.owner)
    if not plan.python:
        plan.steps.append("What the server needs is found out after that.")
        return
    at = listening.listening(postgresql_host.settings_of(cluster).get)
    if not at.directories:
        plan.wrong.append(
            f"The cluster {cluster.shown} has no socket in a directory, through which its administrator {cluster.owner}"
            f" connects. Set unix_socket_directories to {listening.SOCKET_DIRECTORY} and restart it."
        )
        return
    plan.login = {"host": at.directory, "port": cluster.port, "user": cluster.owner, "dbname": "postgres"}
    server = plan_steps.ask_server(question, plan.login, cluster.owner, plan.python)
    if server["error"]:
        plan.wrong.append(_owner_failed(cluster, server["error"]))
        return
    question = {
        **question,
        "administrator": cluster.owner,
        "created_by": database_rules.createdb(question["arguments"], f"sudo -u {cluster.owner} ", server["provider"]),
        "memory": postgresql_host.memory(),
        "path": path_in(cluster),
    }
    server = {**server, "included_at": included_at(cluster)}
    if question["state"] == "present":
        _plan_access(plan, question, cluster, server)
    exists = os.path.lexists(question["path"])
    server_plan.plan_settings(plan, question, server, postgresql_host.read(question["path"]) if exists else None)
    if plan.settings:
        _complete_settings(plan, cluster)
    if question["state"] == "present" and not plan.wrong and not (plan.creates_role or plan.creates_database):
        plan_steps.connect(plan, question)


def _plan_access(plan: server_plan.Plan, question: Row, cluster: Cluster, server: Row) -> None:
    access_plan.plan_access(plan, question, server)
    known = server_plan.known_of(server)
    path = known.setting("hba_file", f"{cluster.directory}/pg_hba.conf")
    rules = server["rules"] or []
    at = listening.listening(known.setting)
    plan.wrong += _not_reached(question, at, rules, path, cluster.unit, known.setting("ssl") == "on")


def _not_reached(
    question: Row, at: listening.Listening, rules: list[Row], path: str, unit: str, encrypts: bool
) -> list[str]:
    """Return why Synapse is not let in, or does not even reach the server."""
    elsewhere = listening.refusal(question["arguments"]["host"], at, question["prefix"])
    if elsewhere:
        return [elsewhere]
    return plan_steps.access_refusal(server_plan.visitor_of(question, encrypts, at), rules, question, path, unit)


def _owner_failed(cluster: Cluster, error: str) -> str:
    """Return why the administrator cannot connect, by the words of PostgreSQL or its client."""
    if "server running" in error:
        return (
            f"The cluster {cluster.shown} runs, but its administrator {cluster.owner} does not reach it as its files"
            f" say: {error.rstrip('.?')}. If port or unix_socket_directories were changed, run: systemctl restart"
            f" {cluster.unit}"
        )
    if database_rules.is_full(error):
        return (
            f"The cluster {cluster.shown} has no connection left for its administrator {cluster.owner}: {error}."
            " Increase max_connections and restart PostgreSQL, or stop what else uses it."
        )
    return _owner_refused(cluster, error)


def _owner_refused(cluster: Cluster, said: str) -> str:
    return (
        f"The cluster {cluster.shown} does not let its administrator {cluster.owner} in: {said}."
        f" {cluster.directory}/pg_hba.conf needs the line: local all {cluster.owner} peer"
    )


def path_in(cluster: Cluster) -> str:
    """Return the path of the file of this role."""
    return f"{cluster.directory}/conf.d/{FILE_NAME}"


def included_at(cluster: Cluster) -> int:
    """Return the number of the line of postgresql.conf that reads the directory conf.d, or 0 if there is none."""
    lines = postgresql_host.read(f"{cluster.directory}/postgresql.conf").splitlines()
    for number, line in enumerate(lines, 1):
        name, *values = line.split("#")[0].replace("=", " ").split()[:2] or [""]
        if name.lower() == "include_dir" and values:
            directory = os.path.join(cluster.directory, values[0].strip("'"))
            if os.path.normpath(directory) == f"{cluster.directory}/conf.d":
                return number
    return 0


def _complete_settings(plan: server_plan.Plan, cluster: Cluster) -> None:
    """Add where the settings are written, and why that is not possible."""
    path = path_in(cluster)
    plan.settings.update({"path": path, "owner": cluster.owner, "unit": cluster.unit, "runs": cluster.online})
    if plan.settings["text"] and not included_at(cluster):
        plan.wrong.append(
            f"{cluster.directory}/postgresql.conf does not read the directory conf.d, in which this role writes its"
            " settings. Add the line: include_dir = 'conf.d'"
        )
    if not postgresql_host.owns(cluster.owner, os.path.dirname(path)):
        plan.wrong.append(
            f"{os.path.dirname(path)} does not belong to the user {cluster.owner}, who writes the settings of this"
            f" role there. Run: install --directory --owner={cluster.owner} {os.path.dirname(path)}"
        )
    present = plan.settings["present"]
    if present and not present.startswith(server_settings.MARK):
        plan.wrong.append(f"{path} was not written by this role. Move it to another name.")
