# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on SQLite that has something of everything, and an empty PostgreSQL database that it can be moved to."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sqlite3
import typing as t
from pathlib import Path

import psycopg2
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

MODULE = "synapse_postgresql_migration"
# Every table whose rows are compared with all their columns.
COMPARED = (
    "access_tokens",
    "account_data",
    "devices",
    "e2e_device_keys_json",
    "event_edges",
    "event_json",
    "events",
    "local_media_repository",
    "profiles",
    "pushers",
    "receipts_linearized",
    "room_aliases",
    "room_memberships",
    "rooms",
    "state_events",
    "state_groups_state",
    "users",
)
# Rows that the move itself does not touch when the server already uses PostgreSQL. One that is killed while it logs in
# for an account leaves a token, which is valid for a minute; and Synapse notes when an administrator was last seen.
_UNTOUCHED = {"access_tokens": "puppets_user_id IS NULL", "devices": "device_id <> 'SETUP'"}


@dataclasses.dataclass
class Moving:
    """The server, the parameters of the move, the target as its owner connects to it, and what the people have made."""

    server: Server
    parameters: Parameters
    target: dict[str, t.Any]
    made: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def place(self) -> Place:
        """The place for `play`."""
        return Place(self.server, "move", Path(self.server.directory))

    @property
    def source(self) -> str:
        """The path of the SQLite database."""
        return f"{self.server.directory}/homeserver.db"

    @property
    def dropin(self) -> Path:
        """The file that switches the server."""
        return Path(self.server.config_path[1], "60-matrix_ops-database.yaml")

    @property
    def state(self) -> Path:
        """The file with the state of the move."""
        return Path(self.server.directory, ".matrix_ops-migration.json")

    def run(self, *, check: bool = False, token: bool = True, **changed: t.Any) -> Result:
        """Run the module."""
        return play(self.place, MODULE, {**self.parameters, **changed}, check=check, token=token)

    def ask(self, query: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Return what a query finds in PostgreSQL."""
        connection = psycopg2.connect(**self.target)
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall()) if cursor.description else []

    def source_rows(self, query: str) -> list[tuple[t.Any, ...]]:
        """Return what a query finds in SQLite, also while nothing runs."""
        with contextlib.closing(sqlite3.connect(self.source)) as connection:
            return list(connection.execute(query))

    def uses_postgresql(self) -> bool:
        """Whether the configuration names the target."""
        if not self.dropin.exists():
            return False
        return bool(yaml.safe_load(self.dropin.read_text())["database"]["name"] == "psycopg2")

    def answers(self) -> bool:
        """Whether the server runs."""
        try:
            return self.server.ask("GET", "/_matrix/client/versions", None, "")[0] == 200
        except OSError:
            self.server.forget_connection()
            return False

    def message(self, text: str) -> str:
        """Send a message, and return its event ID."""
        path = f"/_matrix/client/v3/rooms/{self.made['room']}/send/m.room.message/{secrets.token_hex(8)}"
        body = {"msgtype": "m.text", "body": text}
        return str(self.server.send("PUT", path, body, self.made["token"])["event_id"])

    def differing(self) -> dict[str, list[t.Any]]:
        """Return the rows of compared tables that only one of the databases has."""
        found = {}
        for table in COMPARED:
            names = [row[1] for row in self.source_rows(f"PRAGMA table_info({table})")]
            listed = ", ".join(f'"{name}"' for name in names)
            chosen = f"SELECT {listed} FROM {table} WHERE {_UNTOUCHED.get(table, '1 = 1')}"
            old = {_comparable(row) for row in self.source_rows(chosen)}
            new = {_comparable(row) for row in self.ask(chosen)}
            if old != new:
                found[table] = sorted(old ^ new, key=str)
        return found


def _comparable(row: tuple[t.Any, ...]) -> tuple[t.Any, ...]:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


@contextlib.contextmanager
def moving(**settings: t.Any) -> t.Iterator[Moving]:
    """Start a server of one's own on SQLite, fill it, and make an empty database for it in the shared PostgreSQL."""
    cluster = servers.shared_server("postgresql")
    name, password = f"move_{secrets.token_hex(4)}", secrets.token_hex(12)
    cluster.write(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    cluster.write(f"CREATE DATABASE {name} OWNER {name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
    where = {"host": cluster.database["host"], "port": cluster.database["port"]}
    target = {**where, "dbname": name, "user": name, "password": password}
    with servers.own_servers("sqlite", **settings) as [server]:
        parameters = {
            "config_path": server.config_path,
            "manager": "daemon",
            "synapse_python": server.python,
            "working_directory": server.directory,
            "login_host": where["host"],
            "login_port": where["port"],
            "login_db": name,
            "login_user": name,
            "login_password": password,
            "cp_min": 1,
            "cp_max": 3,
        }
        moved = Moving(server, parameters, target)
        _fill(moved)
        try:
            yield moved
        finally:
            # It must not use the database any more.
            servers.halt(server)
            cluster.write(f"DROP DATABASE {name} WITH (FORCE)")
            cluster.write(f"DROP ROLE {name}")


def _fill(moved: Moving) -> None:
    server = moved.server
    until(lambda: server.rows("SELECT 1 FROM background_updates"), lambda rows: not rows)
    alice = server.make_account("alice", password="a password of alice", displayname="Alice")
    token = server.log_in(alice, "a password of alice", "PHONE")
    assert token is not None
    bob = server.make_account("bob", password="a password of bob", displayname="Bob")
    moved.made.update(alice=alice, bob=bob, token=token)
    moved.made["room"] = server.make_room(token, name="A room", invite=[bob], room_alias_name="moved")
    server.send("POST", f"/_matrix/client/v3/join/{moved.made['room']}", {}, server.speaking_as(bob))
    for version in ("1", "6", "10", "11", "12"):
        server.make_room(token, room_version=version, preset="public_chat")
    moved.made["first"] = moved.message("the first message")
    for number in range(40):
        moved.message(f"message {number}")
    keys = {
        "user_id": alice,
        "device_id": "PHONE",
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {"curve25519:PHONE": "a" * 43, "ed25519:PHONE": "b" * 43},
        "signatures": {},
    }
    server.send("POST", "/_matrix/client/v3/keys/upload", {"device_keys": keys}, token)
    # While a process has a database of SQLite open, another connection of it does not see that the file is replaced.
    server.forget_database()
