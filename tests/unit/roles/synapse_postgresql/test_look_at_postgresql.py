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
    look_at_cluster,
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
    monkeypatch.setattr(postgresql_host, "masked", lambda units: "")
    monkeypatch.setattr(postgresql_host, "missing_packages", list)
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "python3")


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
        ({"host": "/tmp"}, "PostgreSQL has its socket in /var/run/postgresql"),
        ({"host": "127.0.1.1"}, "PostgreSQL does not listen at 127.0.1.1"),
    ],
)
def test_what_a_new_server_could_not_accept_is_refused_before_it_is_installed(arguments: Row, wrong: str) -> None:
    plan = look_at_postgresql.look(_question(arguments=arguments))
    assert wrong in plan.wrong[0]


def test_a_new_server_that_the_system_must_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_host, "masked", lambda units: f"masked: {units}")
    assert look_at_postgresql.look(_question()).wrong == ["masked: ['postgresql.service']"]


@pytest.mark.parametrize("server", ["distribution", "external"])
def test_more_connections_than_any_server_can_have(server: str) -> None:
    (wrong,) = look_at_postgresql.look(_question(server=server, cp_max=99999, processes=3)).wrong
    assert "Synapse can have 299997 connections, but no PostgreSQL can have more than" in wrong
    assert look_at_postgresql.look(_question(state="absent", cp_max=99999, processes=3)).wrong == []


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
    ],
)
def test_which_clusters_are_refused(monkeypatch: pytest.MonkeyPatch, clusters: list[Cluster], wrong: str) -> None:
    monkeypatch.setattr(postgresql_host, "find_clusters", lambda: clusters)
    assert wrong in look_at_postgresql.look(_question()).wrong[0]


def test_of_two_clusters_the_one_with_the_port_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Cluster] = []
    monkeypatch.setattr(postgresql_host, "find_clusters", lambda: [_MAIN._replace(name="other", port=5433), _MAIN])
    monkeypatch.setattr(look_at_cluster, "look", lambda _plan, _question, cluster: seen.append(cluster))
    look_at_postgresql.look(_question())
    assert seen == [_MAIN]


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
    "datallowconn": True,
    "datistemplate": False,
    "user": "synapse",
    "superuser": False,
    "schema_owner": "pg_database_owner",
    "max_connections": 100,
    "reserved": 3,
}


def test_an_external_server_is_only_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _outside(monkeypatch, {"inspect_database.py": _FOUND})
    assert (plan.wrong, plan.steps, plan.verified) == ([], [], True)


def test_an_external_server_with_too_few_connections_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _outside(monkeypatch, {"inspect_database.py": _FOUND}, processes=10)
    assert "Synapse can have 100 connections" in plan.wrong[0]


@pytest.mark.parametrize("port", [5432, 5433])
def test_an_administrator_who_cannot_connect_is_named(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    login = {"host": "db", "port": port, "user": "admin", "dbname": "postgres", "password": "hidden"}
    plan = _outside(monkeypatch, {"read_server.py": {"error": "Connection refused."}}, login=login)
    place = f"The administrator admin cannot connect to the database postgres of PostgreSQL at db:{port}"
    assert plan.wrong[0].startswith(f"{place}: Connection refused. Check that PostgreSQL runs there, and set")
    assert "hidden" not in str(plan.shown())


_LOGIN = {"host": "db", "port": 5432, "user": "admin", "dbname": "postgres", "password": "hidden"}
_NOTHING: Row = {
    "error": "",
    "settings": {
        "max_connections": {"setting": "100", "unit": None},
        "superuser_reserved_connections": {"setting": "3", "unit": None},
    },
    "role": None,
    "database": None,
    "rights": {"rolsuper": True, "rolcreaterole": True, "rolcreatedb": True, "read_only": False},
    "member": False,
    "administers": True,
    "provider": "c",
    "password": None,
    "tables": None,
}


@pytest.mark.parametrize(("processes", "wrong"), [(9, False), (10, True)])
def test_too_few_connections_are_refused_before_anything_is_created(
    monkeypatch: pytest.MonkeyPatch, processes: int, wrong: bool
) -> None:
    plan = _outside(monkeypatch, {"read_server.py": _NOTHING}, login=_LOGIN, processes=processes)
    assert plan.creates_database
    said = "max_connections is 100, of which 3 are reserved, but Synapse can have 100 connections."
    assert [said in sentence for sentence in plan.wrong] == ([True] if wrong else [])


@pytest.mark.parametrize(
    ("rights", "error", "sets"),
    [
        ({}, "password authentication failed", True),
        ({}, "too many connections for role", False),
        ({"rolcreaterole": False}, "password authentication failed", False),
    ],
)
def test_an_administrator_who_does_not_see_passwords_sets_another_one(
    monkeypatch: pytest.MonkeyPatch, rights: Row, error: str, sets: bool
) -> None:
    role = {"rolcanlogin": True, "rolsuper": False, "rolconnlimit": -1, "expired": False}
    database = {**_FOUND, "datlocprovider": "c", "can_connect": True}
    found = {**_NOTHING, "role": role, "database": database}
    found["rights"] = {**_NOTHING["rights"], "rolsuper": False, **rights}
    plan = _outside(monkeypatch, {"read_server.py": found, "inspect_database.py": {"error": error}}, login=_LOGIN)
    assert plan.steps == (["The password of the user synapse is set."] if sets else [])
    assert bool(plan.password) == sets
    assert plan.wrong if not sets else plan.wrong == []


def test_a_library_that_no_python_finds_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "")
    monkeypatch.setattr(postgresql_host, "missing_packages", lambda packages: [])
    (wrong,) = look_at_postgresql.look(_question(server="external")).wrong
    assert "but none of python3, /usr/bin/python3, /python can import psycopg2." in wrong
