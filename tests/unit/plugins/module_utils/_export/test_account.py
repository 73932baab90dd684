# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.account import (
    Pending,
    find_declined,
    find_forgotten,
    find_left_out,
    find_media,
    find_pending,
    require_account,
    require_schema,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython

ALICE = "@alice:s.test"
SYNAPSE = SynapsePython("/venv/bin/python", "1.163.2", 94)

# The columns of Synapse's tables that the queries use.
TABLES = """
    CREATE TABLE users (name TEXT);
    CREATE TABLE rooms (room_id TEXT);
    CREATE TABLE events (event_id TEXT, room_id TEXT, rejection_reason TEXT);
    CREATE TABLE local_current_membership (room_id TEXT, user_id TEXT, event_id TEXT, membership TEXT);
    CREATE TABLE room_memberships (room_id TEXT, user_id TEXT, membership TEXT, forgotten INTEGER);
    CREATE TABLE e2e_device_keys_json (user_id TEXT, device_id TEXT);
    CREATE TABLE e2e_cross_signing_keys (user_id TEXT);
    CREATE TABLE e2e_room_keys (user_id TEXT);
    CREATE TABLE device_inbox (user_id TEXT);
    CREATE TABLE push_rules (user_name TEXT);
    CREATE TABLE receipts_linearized (user_id TEXT);
    CREATE TABLE user_filters (full_user_id TEXT);
    CREATE TABLE local_media_repository (
        media_id TEXT, media_length INTEGER, quarantined_by TEXT, user_id TEXT, url_cache TEXT
    );
    CREATE TABLE schema_version (version INTEGER);
    CREATE TABLE schema_compat_version (compat_version INTEGER);
"""


class Server:
    """The database of a server, filled by a test."""

    def __init__(self, path: pathlib.Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.executescript(TABLES)
        self.close = self._connection.close
        self.settings = DatabaseSettings("sqlite3", {"database": str(path)}, "x")

    def add(self, table: str, *values: object) -> None:
        self._connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        self._connection.commit()

    def add_membership(
        self, room_id: str, *memberships: str, forgotten: int = 0, rejected: str | None = None, user_id: str = ALICE
    ) -> None:
        self.add("rooms", room_id)
        self.add("events", f"${room_id}", room_id, rejected)
        self.add("local_current_membership", room_id, user_id, f"${room_id}", memberships[-1])
        for membership in memberships:
            self.add("room_memberships", room_id, user_id, membership, forgotten)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> t.Iterator[Server]:
    made = Server(tmp_path / "homeserver.db")
    yield made
    made.close()


def test_find_media(server: Server) -> None:
    for name, length, url in (("b", 5, None), ("a", None, None), ("preview", 5, "https://x.test")):
        server.add("local_media_repository", name, length, "@admin:s.test" if name == "b" else None, ALICE, url)
    server.add("local_media_repository", "other", 5, None, "@bob:s.test", None)
    with Database(server.settings) as database:
        assert find_media(database, ALICE) == [
            {"media_id": "a", "media_length": None, "quarantined_by": None},
            {"media_id": "b", "media_length": 5, "quarantined_by": "@admin:s.test"},
        ]


def test_require_account(server: Server) -> None:
    server.add("users", ALICE)
    with Database(server.settings) as database:
        require_account(database, ALICE)
        with pytest.raises(InvalidInput, match="@Alice:s.test does not exist on .*Did you mean @alice:s.test"):
            require_account(database, "@Alice:s.test")
        with pytest.raises(InvalidInput, match="@bob:s.test does not exist on this server. Check the spelling"):
            require_account(database, "@bob:s.test")


def test_pending_rooms_make_synapse_fail(server: Server) -> None:
    server.add_membership("!invited", "invite")
    server.add_membership("!knocked", "knock")
    server.add_membership("!knocked_and_invited", "knock", "invite")
    server.add_membership("!joined", "invite", "join")
    server.add_membership("!declined", "invite", "leave")
    server.add_membership("!invited_again", "join", "leave", "invite")
    server.add_membership("!declined_and_invited_again", "invite", "leave", "invite")
    server.add_membership("!forgotten", "invite", forgotten=1)
    server.add_membership("!rejected", "invite", rejected="auth_error")
    server.add_membership("!of_bob", "invite", user_id="@bob:s.test")
    wanted = [
        Pending("!declined_and_invited_again", "invite"),
        Pending("!invited", "invite"),
        Pending("!knocked", "knock"),
        Pending("!knocked_and_invited", "invite"),
    ]
    with Database(server.settings) as database:
        assert find_pending(database, ALICE) == wanted
        assert find_pending(database, "@carol:s.test") == []
        assert find_declined(database, ALICE) == ["!declined"]


def test_forgotten(server: Server) -> None:
    server.add_membership("!joined", "join")
    server.add_membership("!two", "join", "leave", forgotten=1)
    server.add_membership("!one", "join", "leave", forgotten=1)
    with Database(server.settings) as database:
        assert find_forgotten(database, ALICE) == ["!one", "!two"]
        assert find_forgotten(database, "@bob:s.test") == []


def test_declined_is_what_synapse_passes_over(server: Server) -> None:
    server.add_membership("!banned", "ban")
    server.add_membership("!declined", "invite", "leave")
    server.add_membership("!left", "join", "leave")
    server.add_membership("!forgotten", "invite", "leave", forgotten=1)
    with Database(server.settings) as database:
        assert find_declined(database, ALICE) == ["!banned", "!declined"]


def test_left_out(server: Server) -> None:
    for values in ((ALICE, "A"), (ALICE, "B"), ("@bob:s.test", "C")):
        server.add("e2e_device_keys_json", *values)
    server.add("push_rules", ALICE)
    with Database(server.settings) as database:
        found = find_left_out(database, ALICE)
    assert [entry["name"] for entry in found] == ["2 end-to-end keys of devices", "1 notification rules"]
    assert all("does not export them" in entry["reason"] for entry in found)


@pytest.mark.parametrize(
    ("version", "oldest", "message"),
    [
        (94, 90, None),
        (95, 94, None),
        (93, 90, "has the schema version 93, but Synapse 1.163.2 .* needs 94. Start the server"),
        (96, 95, "is from a newer Synapse .schema version 96."),
        (None, None, "has the schema version 0"),
    ],
)
def test_require_schema(server: Server, version: int | None, oldest: int | None, message: str | None) -> None:
    if version is not None:
        server.add("schema_version", version)
        server.add("schema_compat_version", oldest)
    with Database(server.settings) as database:
        if message is None:
            require_schema(database, SYNAPSE)
        else:
            with pytest.raises(SynapseError, match=message):
                require_schema(database, SYNAPSE)
