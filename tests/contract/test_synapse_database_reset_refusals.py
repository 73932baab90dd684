# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_reset refuses, and that nothing is changed or stopped by it."""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._service import managed, used_database
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    play,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import (
    MODULE,
    backups,
    declare,
    fill,
    state,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_ENGINES = {
    engine: pytest.param(engine, marks=pytest.mark.xdist_group(f"refused resets on {engine}"))
    for engine in servers.ENGINES
}


@pytest.fixture(scope="module", params=_ENGINES.values())
def own(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    with servers.own_servers(request.param) as [server]:
        fill(server)
        yield server


@pytest.fixture
def place(own: Server, tmp_path: Path) -> Place:
    return Place(own, f"r{secrets.token_hex(4)}", tmp_path)


def _refusal(name: str, message: str | t.Callable[[Place], str], **options: t.Any) -> Refusal:
    return Refusal(name, MODULE, lambda place: declare(place, **options), message, state=state, token=False)


def _public(place: Place) -> Parameters:
    directory = place.directory / "backups"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    return declare(place)


CASES = (
    _refusal("no confirmation", "confirm is empty", confirm=""),
    _refusal("the name of another server", "the configuration on this host is that of", confirm="example.org"),
    _refusal(
        "a backup in a relative directory", "dest_directory is 'backups'. Set an absolute", dest_directory="backups"
    ),
    _refusal("a path that leads elsewhere", r"optional_paths contains '/a/../b'\. Set an", optional_paths=["/a/../b"]),
    _refusal("a relative configuration", "config_path contains 'homeserver.yaml'", config_path=["homeserver.yaml"]),
    _refusal("a device", "optional_paths contains /dev/null, which is neither", optional_paths=["/dev/null"]),
    Refusal("a backup that others can read", MODULE, _public, "chmod 700", state=state, token=False),
    _refusal("no Python of Synapse", "synapse_python /usr/bin/false", synapse_python="/usr/bin/false"),
    _refusal("no recipient", "age|recipient", age_recipients=["nobody"]),
    _refusal("no configuration", "does not exist on this host", config_path=["/nowhere/homeserver.yaml"]),
)


@pytest.mark.parametrize("case", named(CASES))
def test_refused(place: Place, case: Refusal) -> None:
    if case.name == "a backup that others can read":
        # The case is played twice.
        case.parameters(place)
        case = Refusal(case.name, MODULE, declare, case.message, state=state, token=False)
    prove_refusal(place, case)
    assert backups(place) == []


def test_another_configuration_than_that_of_the_running_server(place: Place) -> None:
    """It may set another database: that of another server, or one that was used before."""
    paths = place.server.config_path
    message = rf"was started with {re.escape(', '.join(paths))}, but config_path is {re.escape(paths[0])}\. Set it"
    prove_refusal(place, _refusal("a part", message, config_path=paths[:1]))


def test_another_database_than_that_of_the_running_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration was changed, and Synapse was not restarted. Nothing in the other database is about it."""
    monkeypatch.setattr(used_database, "_PATIENCE", 0.2)
    server, name = place.server, f"other_{place.unique}.db"
    dropin = Path(server.config_path[1], "90-other.yaml")
    arguments = {key: value for key, value in server.database.items() if key != "name"}
    if server.database["name"] == "sqlite3":
        arguments["database"] = str(Path(server.directory, name))
        sqlite3.connect(arguments["database"]).close()
    else:
        arguments["database"] = name
        server.write(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        server.forget_database()
    dropin.write_text(json.dumps({"database": {"name": server.database["name"], "args": arguments}}))
    try:
        message = rf"Synapse runs \(process \d+\), but does not use the \S+ database {re.escape(arguments['database'])}"
        prove_refusal(place, _refusal("other", message, purge_media=True))
    finally:
        dropin.unlink()


def test_a_server_that_would_not_be_seen_to_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old database would be dropped by then."""
    monkeypatch.setattr(managed, "_PATIENCE", 0.2)
    case = _refusal("another port", "runs, but does not answer. .* set base_url", base_url="http://127.0.0.1:1")
    prove_refusal(place, case)


def _accounts(place: Place) -> State:
    """Return what no other server can change at the same time."""
    shown = state(place)
    return {"users": shown["users"], "answers": shown["answers"], "backups": shown["backups"]}


def test_a_server_that_has_federated(met: Place) -> None:
    """The real pair: each has been in rooms of the other."""
    # What the servers still tell each other becomes further evidence.
    until(
        lambda: {play(met, MODULE, declare(met), token=False, check=True)["msg"] for _attempt in range(2)},
        lambda said: len(said) == 1,
    )
    expected = f"because {re.escape(met.server.name)} has federated"
    message = prove_refusal(met, Refusal("federated", MODULE, declare, expected, state=_accounts, token=False))
    assert met.ids["other"] in message
    result = play(met, MODULE, declare(met), token=False)
    kinds = {each["kind"]: each["servers"] for each in result["evidence"]}
    assert met.ids["other"] in kinds["destinations"]
    assert met.ids["other"] in kinds["members"]
    assert len(result["remedies"]) == 5
    remedies = " ".join(each["remedy"] for each in result["remedies"])
    [path] = re.findall(r"with POST (\S+)\.", remedies)
    assert met.server.ask("POST", path.replace("TIME", "1700000000000"), {})[0] == 200


def test_a_server_whose_only_evidence_is_in_its_history(place: Place) -> None:
    """Somebody from elsewhere has invited a user, long ago."""
    server = place.server
    [(event_id, sender)] = server.rows("SELECT event_id, sender FROM room_memberships LIMIT 1")
    server.write("UPDATE room_memberships SET sender = '@a:far.example' WHERE event_id = ?", event_id)
    server.forget_database()
    prove_refusal(place, _refusal("history", r"servers of users who have been in its rooms, .*: far\.example\. What"))
    server.write("UPDATE room_memberships SET sender = ? WHERE event_id = ?", sender, event_id)
    server.forget_database()


def test_accounts_of_two_servers(place: Place) -> None:
    place.server.write("INSERT INTO users (name, creation_ts) VALUES ('@a:far.example', 1)")
    place.server.forget_database()
    prove_refusal(place, _refusal("two", "The accounts in the database have the server names far.example, "))
    place.server.write("DELETE FROM users WHERE name = '@a:far.example'")
    place.server.forget_database()


@pytest.mark.parametrize("own", [_ENGINES["sqlite"]], indirect=True)
def test_an_sqlite_database_behind_a_link(place: Place) -> None:
    server = place.server
    link = Path(server.directory, "link.db")
    link.symlink_to("homeserver.db")
    dropin = Path(server.config_path[1], "90-link.yaml")
    dropin.write_text(json.dumps({"database": {"name": "sqlite3", "args": {"database": str(link)}}}))
    try:
        prove_refusal(place, _refusal("a link", "link.db is a link"))
    finally:
        dropin.unlink()
        link.unlink()


_FOREIGN = {
    "a table": ("CREATE TABLE invoices (name TEXT)", "DROP TABLE invoices", "the table invoices"),
    "a table with a name that Synapse does not use any more": (
        "CREATE TABLE groups (name TEXT)",
        "DROP TABLE groups",
        "the table groups",
    ),
    "a view of a table of Synapse": (
        "CREATE VIEW people AS SELECT name FROM users",
        "DROP VIEW people",
        "the view people",
    ),
    "another schema": (
        "CREATE SCHEMA shop CREATE TABLE users (name TEXT)",
        "DROP SCHEMA shop CASCADE",
        "the table shop.users",
    ),
    "a function": (
        "CREATE FUNCTION twice(number INT) RETURNS INT LANGUAGE sql AS 'SELECT number * 2'",
        "DROP FUNCTION twice",
        "the function twice",
    ),
}


@pytest.mark.parametrize("own", [_ENGINES["postgresql"]], indirect=True)
@pytest.mark.parametrize("name", _FOREIGN)
def test_what_is_not_synapses(place: Place, name: str) -> None:
    create, drop, shown = _FOREIGN[name]
    place.server.write(create)
    place.server.forget_database()
    try:
        prove_refusal(
            place, _refusal(name, f"also contains what does not come from Synapse: {re.escape(shown)}. Nothing")
        )
    finally:
        place.server.write(drop)
        place.server.forget_database()


def test_a_configuration_with_which_synapse_would_not_start(place: Place) -> None:
    """It was changed since Synapse was started."""
    dropin = Path(place.server.config_path[1], "90-wrong.yaml")
    dropin.write_text(json.dumps({"max_upload_size": "lots"}))
    try:
        prove_refusal(
            place,
            _refusal("wrong", r"Synapse cannot start with its configuration .* Nothing was stopped or dropped\. Fix"),
        )
    finally:
        dropin.unlink()


_OWNED = """
    DO $$ DECLARE each record; BEGIN
        FOR each IN SELECT relkind, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'S') AND NOT EXISTS (
                SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i') AND relkind = 'S')
        LOOP EXECUTE format('ALTER TABLE %%I OWNER TO {0}', each.relname); END LOOP;
        FOR each IN SELECT oid::regprocedure AS shown FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        LOOP EXECUTE format('ALTER FUNCTION %%s OWNER TO {0}', each.shown); END LOOP;
    END $$
"""


@pytest.mark.parametrize("own", [_ENGINES["postgresql"]], indirect=True)
def test_a_user_without_privileges(place: Place) -> None:
    """The tables belong to another user; or they are its own, but it could not create new ones."""
    server = place.server
    name = 'plain "user"'
    quoted = '"plain ""user"""'
    dropin = Path(server.config_path[1], "90-user.yaml")
    arguments = {key: value for key, value in server.database.items() if key != "name"}
    server.write(f"CREATE ROLE {quoted} LOGIN PASSWORD 'of the plain one'")
    server.write(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {quoted}")
    server.write("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    args = {**arguments, "user": name, "password": "of the plain one"}
    dropin.write_text(json.dumps({"database": {"name": "psycopg2", "args": args}}))
    try:
        server.forget_database()
        prove_refusal(place, _refusal("of another", r"does not own and so cannot drop: .*, which belongs to synapse\."))
        server.write(_OWNED.format(quoted))
        server.forget_database()
        grant = re.escape(f'Run GRANT CREATE ON SCHEMA "public" TO {quoted} in it.')
        prove_refusal(place, _refusal("no new tables", f"does not let {name} create tables .* {grant}"))
    finally:
        dropin.unlink()
        server.write(_OWNED.format("synapse"))
        server.write(f"DROP OWNED BY {quoted}")
        server.write(f"DROP ROLE {quoted}")
        server.forget_database()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_another_user(place: Place) -> None:
    """Who cannot end the processes is refused before anything is read that only that one can read."""
    # In a process of its own, because the user of this one cannot be taken back.
    os.chmod(place.directory, 0o777)
    child = os.fork()
    if not child:
        try:
            os.setgid(65534)
            os.setuid(65534)
            result = play(place, MODULE, declare(place), token=False)
            os._exit(0 if result.get("failed") else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert state(place)["answers"]
