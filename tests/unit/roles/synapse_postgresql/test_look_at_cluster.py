# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster needs is known before anything is changed, also if it does not run."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    access_rules,
    check_database,
    child_process,
    look_at_cluster,
    postgresql_host,
    server_plan,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.postgresql_host import Cluster
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.server_settings import MARK

Row = dict[str, t.Any]

_MAIN = Cluster("15", "main", 5432, True, "postgres", "auto")
_STOPPED = _MAIN._replace(online=False)
_FILE = "matrix_ops-synapse.conf"
_OWN = "local all postgres peer\n"


def _question(**values: t.Any) -> Row:
    arguments = {"host": "localhost", "port": 5432, "dbname": "data", "user": "synapse", "password": "secret"}
    return {
        "state": "present",
        "server": "distribution",
        "arguments": {**arguments, **values.pop("arguments", {})},
        "user": "synapse",
        "database": "data",
        "password": "secret",
        "system_user": "no such user",
        "synapse_python": "/python",
        "connections": 10,
        "tunes": True,
        "share": 60,
        "prefix": "prefix",
        "scripts": {},
        **values,
    }


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """A host with one cluster, and the directory of its configuration."""
    directory = tmp_path / "15" / "main"
    (directory / "conf.d").mkdir(parents=True)
    (directory / "postgresql.conf").write_text("port = 5432\ninclude_dir = 'conf.d'\t# after this\n")
    (directory / "pg_hba.conf").write_text(f"{_OWN}host all all all scram-sha-256\n")
    monkeypatch.setattr(postgresql_host, "CONFIGURATION", str(tmp_path))
    monkeypatch.setattr(postgresql_host, "is_enabled", lambda: True)
    monkeypatch.setattr(postgresql_host, "masked", lambda units: "")
    monkeypatch.setattr(postgresql_host, "owns", lambda _user, _directory: True)
    monkeypatch.setattr(postgresql_host, "settings_of", lambda _cluster: {"ssl": "on"})
    monkeypatch.setattr(postgresql_host, "missing_packages", list)
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "python3")
    return directory


def _look(cluster: Cluster, **values: t.Any) -> server_plan.Plan:
    plan = server_plan.Plan()
    look_at_cluster.look(plan, _question(**values), cluster)
    return plan


@pytest.mark.parametrize(
    ("cluster", "wrong"),
    [
        (_MAIN._replace(version="13"), "13/main at port 5432 is too old"),
        (_STOPPED._replace(start="manual"), "start.conf is manual. Write auto there."),
    ],
)
def test_which_clusters_are_refused(configuration: pathlib.Path, cluster: Cluster, wrong: str) -> None:
    del configuration
    assert wrong in _look(cluster).wrong[0]


def test_a_cluster_that_is_down_is_started(configuration: pathlib.Path) -> None:
    plan = _look(_STOPPED)
    assert (plan.wrong, plan.prepares, plan.packages) == ([], True, [])
    assert "15/main at port 5432 is started" in plan.steps[0]
    # It says itself what is wrong if it does not start.
    (configuration / "pg_hba.conf").unlink()
    assert _look(_STOPPED).wrong == []


def test_the_library_is_installed_before_a_cluster_is_started(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has to be asked as soon as it runs."""
    del configuration
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "")
    plan = _look(_STOPPED)
    assert (plan.wrong, plan.prepares, plan.packages) == ([], True, ["python3-psycopg2"])


@pytest.mark.parametrize(
    ("rules", "arguments", "wrong"),
    [
        (f"{_OWN}host all other all md5", {}, "has no rule for .*: host data synapse [0-9.:]+/[0-9]+ scram-sha-256$"),
        (f"{_OWN}host all all all reject", {}, "it has the method reject"),
        (f"{_OWN}local all all peer", {"host": "/var/run/postgresql"}, "method peer, and Synapse runs as"),
        (f"{_OWN}host all all all md5", {"host": "/tmp"}, "its socket in /var/run/postgresql"),
        ("host all all all md5", {}, "no rule of .*/pg_hba.conf does. .* the line: local all postgres peer"),
    ],
)
def test_what_a_cluster_that_is_down_would_not_let_in_is_refused_before_its_start(
    configuration: pathlib.Path, rules: str, arguments: Row, wrong: str
) -> None:
    (configuration / "pg_hba.conf").write_text(rules)
    plan = _look(_STOPPED, arguments=arguments)
    assert len(plan.wrong) == 1
    assert re.search(wrong, plan.wrong[0])
    # There is nothing to reload.
    assert "systemctl" not in plan.wrong[0]


def test_a_cluster_that_refuses_its_administrator(configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del configuration
    monkeypatch.setattr(child_process, "ask", lambda *_asked: {"error": "Peer authentication failed"})
    assert "needs the line: local all postgres peer" in _look(_MAIN).wrong[0]


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (
            'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory Is the server'
            " running locally and accepting connections on that socket?",
            "If port or unix_socket_directories were changed, run: systemctl restart postgresql@15-main.service",
        ),
        ("FATAL: sorry, too many clients already", "too many clients already. Increase max_connections"),
    ],
)
def test_a_cluster_that_its_administrator_does_not_reach(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch, error: str, wrong: str
) -> None:
    del configuration
    monkeypatch.setattr(child_process, "ask", lambda *_asked: {"error": error})
    (said,) = _look(_MAIN).wrong
    assert wrong in said and "pg_hba.conf" not in said


@pytest.mark.parametrize(
    ("cluster", "units"),
    [(_MAIN, ["postgresql.service"]), (_STOPPED, ["postgresql.service", "postgresql@15-main.service"])],
)
def test_a_cluster_that_the_system_must_not_start(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, units: list[str]
) -> None:
    del configuration
    monkeypatch.setattr(postgresql_host, "is_enabled", lambda: False)
    monkeypatch.setattr(postgresql_host, "masked", lambda asked: f"masked: {asked}")
    monkeypatch.setattr(child_process, "ask", lambda *_asked: {"error": "no"})
    assert f"masked: {units}" in _look(cluster).wrong


def test_a_cluster_without_a_socket(configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del configuration
    monkeypatch.setattr(postgresql_host, "settings_of", lambda _cluster: {"unix_socket_directories": ""})
    assert "Set unix_socket_directories to /var/run/postgresql and restart it." in _look(_MAIN).wrong[0]


def test_without_a_library_the_server_is_asked_later(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del configuration
    monkeypatch.setattr(check_database, "find_python", lambda pythons, user: "")
    plan = _look(_MAIN)
    assert (plan.wrong, plan.packages, plan.prepares) == ([], ["python3-psycopg2"], True)
    # Nothing is installed if there is nothing to remove.
    plan = _look(_MAIN, state="absent")
    assert (plan.wrong, plan.packages, plan.steps) == ([], [], [])


def test_the_file_of_a_cluster_that_is_down_is_removed_without_a_start(configuration: pathlib.Path) -> None:
    assert _look(_STOPPED, state="absent").steps == []
    path = configuration / "conf.d" / _FILE
    path.write_text(f"{MARK}\nwork_mem = 12MB\n")
    plan = _look(_STOPPED, state="absent")
    assert (plan.wrong, plan.steps, plan.prepares) == ([], [f"{path} is removed."], False)
    assert (plan.settings["text"], plan.settings["restarts"], plan.settings["runs"]) == ("", False, False)
    path.write_text("work_mem = 12MB\n")
    assert "was not written by this role" in _look(_STOPPED, state="absent").wrong[0]


def _setting(setting: int | str, unit: str | None = None) -> Row:
    values = {"setting": str(setting), "unit": unit, "boot_val": str(setting), "source": "default"}
    return {**values, "context": "postmaster", "pending_restart": False}


def _server(**values: t.Any) -> Row:
    settings = {
        "shared_buffers": _setting(16384, "8kB"),
        "effective_cache_size": _setting(524288, "8kB"),
        "maintenance_work_mem": _setting(65536, "kB"),
        "work_mem": _setting(4096, "kB"),
        "max_connections": _setting(100),
        "superuser_reserved_connections": _setting(3),
        "ssl": _setting("on"),
        "listen_addresses": _setting("localhost"),
        "unix_socket_directories": _setting("/var/run/postgresql"),
    }
    rights = {"rolsuper": True, "rolcreaterole": True, "rolcreatedb": True, "read_only": False}
    found: Row = {"error": "", "settings": settings, "written": [], "rules": access_rules.DEFAULT_RULES}
    found |= {"rights": rights, "role": None, "database": None, "member": False, "administers": True}
    found["provider"] = "c"
    return {**found, "password": None, "tables": None, **values}


def _running(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Row] | None = None, **values: t.Any) -> t.Any:
    known = {"read_server.py": _server(), **(answers or {})}
    monkeypatch.setattr(child_process, "ask", lambda question, script, *_asked: known[script])
    monkeypatch.setattr(postgresql_host, "memory", lambda: 8 * 1024**3)
    return _look(_MAIN, **values)


def test_a_running_cluster_gets_everything(configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _running(monkeypatch)
    assert plan.wrong == []
    assert (plan.creates_role, plan.creates_database) == (True, True)
    assert plan.settings["path"] == str(configuration / "conf.d" / _FILE)
    assert plan.login == {"host": "/var/run/postgresql", "port": 5432, "user": "postgres", "dbname": "postgres"}


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("include_dir 'conf.d'", 2),
        ("include_dir = 'conf.d'", 2),
        ("Include_Dir=conf.d/ # why", 2),
        ("include_dir = '{directory}/conf.d'", 2),
        ("#include_dir = 'conf.d'", 0),
        ("include_dir = 'other.d'", 0),
        ("include_dir", 0),
        ("", 0),
    ],
)
def test_where_the_settings_are_read(configuration: pathlib.Path, line: str, number: int) -> None:
    (configuration / "postgresql.conf").write_text(f"port = 5432\n{line.format(directory=configuration)}\n")
    assert look_at_cluster.included_at(_MAIN) == number


def test_settings_that_would_not_be_read_are_refused(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (configuration / "postgresql.conf").write_text("port = 5432\n")
    assert "does not read the directory conf.d" in _running(monkeypatch).wrong[0]


def test_settings_that_cannot_be_written_are_refused(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_host, "owns", lambda _user, _directory: False)
    wanted = f"Run: install --directory --owner=postgres {configuration}/conf.d"
    assert _running(monkeypatch).wrong[0].endswith(wanted)


_FOUND = {
    "error": "",
    "datname": "data",
    "encoding": "UTF8",
    "datcollate": "C",
    "datctype": "C",
    "owner": "synapse",
    "version": 150014,
    "can_create": True,
    "read_only": False,
    "datallowconn": True,
    "datistemplate": False,
    "datconnlimit": -1,
    "can_connect": True,
    "role_limit": -1,
    "max_connections": 100,
    "reserved": 3,
    "user": "synapse",
    "superuser": False,
    "schema_owner": "pg_database_owner",
}
_THERE = {
    "role": {"rolcanlogin": True, "rolsuper": False, "rolconnlimit": -1, "expired": False},
    "database": _FOUND,
    "password": True,
    "tables": {"can_create": True, "schema_owner": "pg_database_owner"},
}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (_FOUND, ""),
        # The settings raise it.
        ({**_FOUND, "max_connections": 10}, ""),
        ({"error": "FATAL: sorry, too many clients already"}, ""),
        ({"error": "Connection refused"}, "Connection refused"),
        ({**_FOUND, "read_only": True}, "read-only"),
    ],
)
def test_synapse_is_tried_before_settings_are_written(
    configuration: pathlib.Path, monkeypatch: pytest.MonkeyPatch, found: Row, wrong: str
) -> None:
    del configuration
    answers = {"read_server.py": _server(**_THERE), "inspect_database.py": found}
    plan = _running(monkeypatch, answers)
    assert plan.settings["restarts"]
    assert [wrong in sentence for sentence in plan.wrong] == ([True] if wrong else [])
