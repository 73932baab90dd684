# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server is moved to PostgreSQL and back, and what is refused before anything is changed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service import used_database
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.moving import Moving, moving
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

pytestmark = pytest.mark.xdist_group("migration")


def _users_found(moved: Moving, term: str) -> list[str]:
    path = "/_matrix/client/v3/user_directory/search"
    found = moved.server.send("POST", path, {"search_term": term}, moved.made["token"])["results"]
    return [user["user_id"] for user in found]


def test_moved_and_back_and_moved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving() as moved:
        server, password = moved.server, moved.parameters["login_password"]
        before = moved.source_rows("SELECT count(*), max(stream_ordering) FROM events")
        predicted = moved.run(check=True)
        assert predicted.get("changed"), predicted
        assert not moved.dropin.exists()
        assert not moved.state.exists()
        assert moved.ask("SELECT relname FROM pg_class WHERE relname = 'port_from_sqlite3'") == []

        # Synapse would not have it at its next start.
        with monkeypatch.context() as patched:
            patched.setenv("PGOPTIONS", "-c search_path=elsewhere")
            done = moved.run()
        assert done.get("changed"), done
        assert predicted["steps"] == done["steps"]
        assert predicted["diff"] == done["diff"]
        found = done["migration"]
        assert found["unknown"] == []
        assert found["unstorable"] == {}
        assert {kind: number for kind, number in found["proven"].items() if not number} == {"media": 0}
        assert moved.uses_postgresql()
        assert moved.differing() == {}
        assert moved.source_rows("SELECT count(*), max(stream_ordering) FROM events") == before
        # What only its owner may read, and what is not needed any more.
        assert moved.dropin.stat().st_mode & 0o007 == 0
        assert moved.state.stat().st_mode & 0o077 == 0
        assert password not in moved.state.read_text()
        assert password not in json.dumps([predicted, done])
        assert list(Path(server.directory, ".matrix_ops-migration").iterdir()) == []
        until(lambda: moved.ask("SELECT 1 FROM background_updates"), lambda rows: not rows)
        assert _users_found(moved, "Bob") == [moved.made["bob"]]

        again = moved.run()
        assert not again.get("failed"), again
        assert again["changed"] is False
        assert again["migration"] == found

        back = moved.run(state="back")
        assert back.get("changed"), back
        assert not moved.dropin.exists()
        assert moved.run(state="back")["changed"] is False

        # The second move has to begin anew, and what it has to move is not what is there.
        moved.message("written into SQLite")
        assert moved.run()["changed"]
        assert moved.differing() == {}

        # What a request that only reads changes does not count, and the rest of such a row does.
        moved.ask("UPDATE devices SET last_seen = 1, ip = '192.0.2.1' WHERE device_id = 'PHONE'")
        assert moved.run(state="back", check=True).get("changed")
        moved.ask("UPDATE devices SET hidden = NOT hidden WHERE device_id = 'PHONE'")
        refused = moved.run(state="back", check=True)
        assert "since the switch: changed rows of devices. Nothing" in refused["msg"], refused
        moved.ask("UPDATE devices SET hidden = NOT hidden WHERE device_id = 'PHONE'")
        assert moved.run(state="back", check=True).get("changed")

        moved.message("written into PostgreSQL")
        refused = moved.run(state="back")
        assert refused.get("failed"), refused
        assert "would lose what was written to the PostgreSQL database" in refused["msg"]
        assert "1 new or changed rows of events" in refused["msg"]
        assert moved.uses_postgresql()
        assert moved.answers()

        # Somebody removes the file by hand: what is in PostgreSQL must stay.
        moved.dropin.unlink()
        refused = moved.run()
        assert "Synapse was moved to the PostgreSQL database" in refused["msg"], refused
        assert "1 new or changed rows of events" in refused["msg"]
        _fail_elsewhere(moved, monkeypatch)
        for check in (True, False):
            refused = moved.run(check=check)
            assert "what is in it does not come from an interrupted move of this server" in refused["msg"], refused


def _fail_elsewhere(moved: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a move to another database fail."""

    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise SynapseError("The disk is full.")

    servers.restart(moved.server)
    cluster, name = servers.shared_server("postgresql"), moved.target["user"]
    cluster.write(f"CREATE DATABASE {name}_other OWNER {name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(Passes, "first", fail)
            assert "The disk is full" in moved.run(login_db=f"{name}_other")["msg"]
    finally:
        cluster.write(f"DROP DATABASE {name}_other WITH (FORCE)")


def test_a_server_that_does_not_run_and_has_a_dropin_already() -> None:
    with moving() as moved:
        database = {"name": "sqlite3", "args": {"database": moved.source}}
        parameters = {
            "config_path": moved.server.config_path,
            "path": str(moved.dropin),
            "settings": {"database": database},
            "validate": "never",
        }
        from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module

        assert run_module("synapse_config", parameters)["changed"]
        before = moved.dropin.read_bytes()
        servers.halt(moved.server)
        done = moved.run(token=False)
        assert done.get("changed"), done
        assert [each["name"] for each in done["migration"]["unknown"]] == ["sample"]
        assert not moved.answers()
        # As the role writes it: changed=0.
        target = {key: moved.parameters[f"login_{key}"] for key in ("host", "port")}
        arguments = {**target, "dbname": moved.target["dbname"], "user": moved.target["user"], "cp_min": 1, "cp_max": 3}
        parameters["settings"] = {"database": {"name": "psycopg2", "args": arguments}}
        parameters["secrets"] = {"database": {"args": {"password": moved.target["password"]}}}
        assert run_module("synapse_config", parameters)["changed"] is False
        assert moved.run(state="back")["changed"]
        assert moved.dropin.read_bytes() == before


@pytest.fixture(scope="module")
def whole() -> t.Iterator[Moving]:
    """A server for what is refused."""
    with moving() as moved:
        yield moved


def _refused(moved: Moving, message: str, **changed: t.Any) -> None:
    for check in (True, False):
        result = moved.run(check=check, **changed)
        assert result.get("failed"), result
        assert message in result["msg"], result["msg"]
        assert moved.parameters["login_password"] not in json.dumps(result)
    assert not moved.dropin.exists()
    assert not moved.state.exists()
    assert moved.answers()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"login_password": "wrong"}, ". Check login_user and login_password"),
        ({"login_port": 1}, "Connection refused. Check that PostgreSQL runs, and login_host, login_port"),
        ({"login_db": "nosuch"}, "create it with createdb --encoding=UTF8 --locale=C "),
        ({"login_db": ""}, "login_db is empty"),
        ({"login_port": 0}, "login_port is 0"),
        ({"cp_max": 0}, "Set cp_min to at least 1"),
        ({"cp_min": 5, "cp_max": 500}, "(max_connections), but Synapse needs up to 500"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"work_directory": "/nowhere/work"}, "/nowhere does not exist"),
        ({"work_directory": "work"}, "work_directory is 'work'. Set an absolute path"),
        ({"work_directory": "/etc/hostname"}, "/etc/hostname is not a directory that only "),
        ({"working_directory": "work"}, "working_directory is 'work'. Set an absolute path"),
        ({"dropin_path": "conf.d/60.yaml"}, "dropin_path is 'conf.d/60.yaml'. Set an absolute path"),
        ({"synapse_python": "python3"}, "synapse_python is 'python3'. Set an absolute path"),
        ({"config_path": ["homeserver.yaml"]}, "config_path contains 'homeserver.yaml'. Set an absolute path"),
        ({"synapse_python": "/nowhere/python"}, "synapse_python /nowhere/python cannot be run"),
        ({"synapse_python": "/usr/bin/python3"}, "does not have Synapse installed"),
        ({"state": "back", "base_url": "http://127.0.0.1:1"}, ""),
    ],
)
def test_refused(whole: Moving, changed: dict[str, t.Any], message: str) -> None:
    if changed.get("state") == "back":
        # Synapse uses SQLite, so there is nothing to do, and nobody is asked.
        assert whole.run(**changed)["changed"] is False
    else:
        _refused(whole, message, **changed)


@pytest.mark.parametrize(
    ("creation", "message"),
    [
        ("ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0", "The collation is C.UTF-8. Synapse requires C"),
        ("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0", "The encoding is SQL_ASCII. Synapse requires UTF8."),
    ],
)
def test_refused_database(whole: Moving, creation: str, message: str) -> None:
    cluster, name = servers.shared_server("postgresql"), f"{whole.target['dbname']}_other"
    cluster.write(f"CREATE DATABASE {name} OWNER {whole.target['user']} {creation}")
    try:
        _refused(whole, message, login_db=name)
        _refused(whole, "createdb --encoding=UTF8 --locale=C --template=template0", login_db=name)
    finally:
        cluster.write(f"DROP DATABASE {name}")


def test_refused_content_of_others(whole: Moving) -> None:
    whole.ask("CREATE TABLE of_others (id int)")
    _refused(whole, "is not empty, and what is in it does not come from an interrupted move")
    whole.ask("DROP TABLE of_others")
    whole.ask("CREATE SEQUENCE of_others")
    _refused(whole, "is not empty")
    whole.ask("DROP SEQUENCE of_others")


def test_refused_without_privileges(whole: Moving) -> None:
    cluster, name = servers.shared_server("postgresql"), whole.target["dbname"]
    cluster.write(f"ALTER DATABASE {name} OWNER TO synapse")
    try:
        _refused(whole, "may not create tables in the schema public of")
    finally:
        cluster.write(f"ALTER DATABASE {name} OWNER TO {whole.target['user']}")


@pytest.mark.parametrize(
    ("setting", "undo", "message"),
    [
        ("SET default_transaction_read_only = on", "RESET default_transaction_read_only", "read_only is on for it"),
        ("CONNECTION LIMIT 2", "CONNECTION LIMIT -1", "allows 2 connections (the CONNECTION LIMIT of the role)"),
    ],
)
def test_refused_role(whole: Moving, setting: str, undo: str, message: str) -> None:
    cluster, name = servers.shared_server("postgresql"), whole.target["user"]
    cluster.write(f"ALTER ROLE {name} {setting}")
    try:
        _refused(whole, message)
    finally:
        cluster.write(f"ALTER ROLE {name} {undo}")


def test_refused_schema_and_background_updates(whole: Moving) -> None:
    server = whole.server
    server.write("INSERT INTO background_updates (update_name, progress_json) VALUES ('not_known', '{}')")
    try:
        _refused(whole, "Synapse has not finished the background updates of")
        _refused(whole, "not_known. Let it run until they are finished")
    finally:
        server.write("DELETE FROM background_updates")
    [(delta,)] = server.rows("SELECT max(file) FROM applied_schema_deltas WHERE version = 94")
    server.write("DELETE FROM applied_schema_deltas WHERE file = ?", delta)
    try:
        _refused(whole, f"has never run with {whole.source}: it would still apply {delta}")
    finally:
        server.write("INSERT INTO applied_schema_deltas VALUES (94, ?)", delta)
    server.write("UPDATE schema_version SET version = 93")
    try:
        _refused(whole, "has the schema 93, but the installed Synapse")
    finally:
        server.write("UPDATE schema_version SET version = 94")


def test_refused_configurations(whole: Moving, tmp_path: Path) -> None:
    main = yaml.safe_load(Path(whole.server.config_path[0]).read_text())
    alone, several = tmp_path / "alone.yaml", tmp_path / "several.yaml"
    alone.write_text(yaml.safe_dump(main))
    several.write_text(yaml.safe_dump({"databases": {"main": main.pop("database")}, **main}))
    _refused(whole, "sets databases, and Synapse's program for the move only supports one", config_path=[str(several)])
    _refused(whole, "contains only files", config_path=[str(alone)])
    _refused(whole, "but config_path is", config_path=[whole.server.config_path[0]])


def test_refused_database_that_the_running_server_does_not_use(whole: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration was changed, and Synapse was not restarted. It would lose what it has in its database."""
    monkeypatch.setattr(used_database, "_PATIENCE", 0.2)
    older, dropin = Path(whole.server.directory, "older.db"), Path(whole.server.config_path[1], "50-older.yaml")
    with contextlib.closing(sqlite3.connect(whole.source)) as used, contextlib.closing(sqlite3.connect(older)) as copy:
        used.backup(copy)
    dropin.write_text(yaml.safe_dump({"database": {"name": "sqlite3", "args": {"database": str(older)}}}))
    try:
        _refused(whole, f"does not use the SQLite database {older}, which its configuration names")
    finally:
        dropin.unlink()
