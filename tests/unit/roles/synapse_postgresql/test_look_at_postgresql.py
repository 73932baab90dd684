# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host has of PostgreSQL is found before anything is changed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    check_database,
    child_process,
    look_at_postgresql,
    postgresql_host,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.postgresql_host import Cluster

Row = dict[str, t.Any]

_MAIN = Cluster("15", "main", 5432, True, "postgres", "auto")


def _question(**values: t.Any) -> Row:
    arguments = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "synapse", "password": "secret"}
    return {
        "state": "present",
        "server": "distribution",
        "arguments": {**arguments, **values.pop("arguments", {})},
        "login": {},
        "system_user": "matrix-synapse",
        "synapse_python": "/python",
        "processes": 1,
        "cp_max": 10,
        "tunes": True,
        "share": 60,
        "prefix": "prefix",
        "scripts": {},
        **values,
    }


@pytest.fixture(autouse=True)
def bare_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of PostgreSQL is there."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(postgresql_host, "find_clusters", list)
    monkeypatch.setattr(postgresql_host, "is_taken", lambda port: False)
    monkeypatch.setattr(postgresql_host, "is_enabled", lambda: True)
    monkeypatch.setattr(postgresql_host, "missing_packages", list)
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "python3")


def _with_clusters(monkeypatch: pytest.MonkeyPatch, *clusters: Cluster) -> None:
    monkeypatch.setattr(postgresql_host, "find_clusters", lambda: list(clusters))


@pytest.mark.parametrize("arguments", [{"user": "postgres"}, {"dbname": "template1"}])
def test_what_a_new_cluster_has_of_its_own_is_refused_before_it_is_installed(arguments: Row) -> None:
    (wrong,) = look_at_postgresql.look(_question(arguments=arguments)).wrong
    assert "are not for Synapse. Set prefix_user and prefix_database" in wrong


def test_a_bare_host_gets_everything() -> None:
    plan = look_at_postgresql.look(_question())
    assert plan.wrong == []
    assert (plan.prepares, plan.packages) == (True, ["postgresql", "python3-psycopg2"])
    assert len(plan.steps) == 4


def test_nothing_is_done_on_a_bare_host_for_what_is_to_be_absent() -> None:
    plan = look_at_postgresql.look(_question(state="absent"))
    assert (plan.wrong, plan.steps) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"host": "db.example.org"}, "prefix_host is db.example.org. Set it to localhost"),
        ({"password": ""}, "requires a password"),
        ({"host": "/var/run/postgresql"}, "method peer, and Synapse runs as the user matrix-synapse"),
    ],
)
def test_what_a_new_server_could_not_accept_is_refused_before_it_is_installed(arguments: Row, wrong: str) -> None:
    plan = look_at_postgresql.look(_question(arguments=arguments))
    assert wrong in plan.wrong[0]


def test_an_ordinary_user_cannot_manage_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "Run the playbook with become" in look_at_postgresql.look(_question()).wrong[0]


def test_a_port_of_another_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_host, "is_taken", lambda port: True)
    assert "Port 5432 is used by another process" in look_at_postgresql.look(_question()).wrong[0]


def test_a_system_without_such_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_host, "missing_packages", lambda packages: None)
    assert "has no Debian packages" in look_at_postgresql.look(_question()).wrong[0]


@pytest.mark.parametrize(
    ("clusters", "wrong"),
    [
        ([_MAIN._replace(port=5433)], "No cluster of PostgreSQL has the port 5432. There are 15/main at port 5433"),
        ([_MAIN, _MAIN._replace(version="16")], "Several clusters have the same port: 15/main at port 5432, 16/main"),
        ([_MAIN._replace(version="13")], "15 is too old|13/main at port 5432 is too old"),
        ([_MAIN._replace(online=False, start="manual")], "start.conf is manual. Write auto there."),
    ],
)
def test_which_clusters_are_refused(monkeypatch: pytest.MonkeyPatch, clusters: list[Cluster], wrong: str) -> None:
    _with_clusters(monkeypatch, *clusters)
    assert any(part in look_at_postgresql.look(_question()).wrong[0] for part in wrong.split("|"))


def test_a_cluster_that_is_down_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_clusters(monkeypatch, _MAIN._replace(online=False))
    plan = look_at_postgresql.look(_question())
    assert (plan.wrong, plan.prepares, plan.packages) == ([], True, [])
    assert "15/main at port 5432 is started" in plan.steps[0]


def test_a_cluster_that_refuses_its_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_clusters(monkeypatch, _MAIN)
    monkeypatch.setattr(child_process, "ask", lambda *_asked: {"error": "Peer authentication failed"})
    monkeypatch.setattr(look_at_postgresql, "socket_of", lambda cluster: "/run")
    assert "needs the line: local all postgres peer" in look_at_postgresql.look(_question()).wrong[0]


def test_without_a_library_the_server_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_clusters(monkeypatch, _MAIN)
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "")
    plan = look_at_postgresql.look(_question())
    assert (plan.wrong, plan.packages, plan.prepares) == ([], ["python3-psycopg2"], True)


def _outside(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Row], **values: t.Any) -> t.Any:
    monkeypatch.setattr(child_process, "ask", lambda question, script, *_asked: answers[script])
    monkeypatch.setattr(check_database, "has_user", lambda user: True)
    return look_at_postgresql.look(_question(server="external", **values))


_FOUND = {
    "error": "",
    "datname": "synapse",
    "encoding": "UTF8",
    "datcollate": "C",
    "datctype": "C",
    "owner": "synapse",
    "version": 150014,
    "can_create": True,
    "read_only": False,
    "datconnlimit": -1,
    "role_limit": -1,
    "max_connections": 100,
    "reserved": 3,
}


def test_an_external_server_is_only_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _outside(monkeypatch, {"inspect_database.py": _FOUND})
    assert (plan.wrong, plan.steps, plan.verified) == ([], [], True)


def test_an_external_server_with_too_few_connections_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _outside(monkeypatch, {"inspect_database.py": _FOUND}, processes=10)
    assert "Synapse can have 100 connections" in plan.wrong[0]


def test_an_administrator_with_a_wrong_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"host": "db", "port": 5432, "user": "admin", "dbname": "postgres", "password": "hidden"}
    plan = _outside(monkeypatch, {"read_server.py": {"error": "password authentication failed"}}, login=login)
    assert "the administrator admin in: password authentication failed" in plan.wrong[0]
    assert "hidden" not in str(plan.shown())
