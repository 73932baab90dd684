# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each trace of another server in a real database is found, and what a server writes by itself is none."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.servers import ENGINES, own_servers
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_MODULE = "synapse_federation_info"
_OTHER = "far.test:8448"
_BOB = f"@bob:{_OTHER}"
# Stands for a user of the server itself.
_OWN = "own"
# The kind of evidence, a table, and what is in the columns of its new row, which the first one identifies.
_TRACES: tuple[tuple[str, str, Json], ...] = (
    ("destinations", "destinations", {"destination": _OTHER}),
    ("aliases", "room_alias_servers", {"room_alias": "#lobby", "server": _OTHER}),
    ("inbound", "received_transactions", {"transaction_id": "1", "origin": _OTHER, "ts": 1}),
    (
        "inbound_events",
        "federation_inbound_events_staging",
        {
            "origin": _OTHER,
            "room_id": "!r",
            "event_id": "$e",
            "received_ts": 1,
            "event_json": "{}",
            "internal_metadata": "{}",
        },
    ),
    (
        "signing_keys",
        "server_keys_json",
        {
            "server_name": _OTHER,
            "key_id": "ed25519:a",
            "from_server": _OTHER,
            "ts_added_ms": 1,
            "ts_valid_until_ms": 1,
            "key_json": b"{}",
        },
    ),
    ("signing_keys", "server_signature_keys", {"server_name": _OTHER, "key_id": "ed25519:a"}),
    ("device_lists", "device_lists_remote_cache", {"user_id": _BOB, "device_id": "D", "content": "{}"}),
    ("device_lists", "device_lists_remote_extremeties", {"user_id": _BOB, "stream_id": "1"}),
    ("device_lists", "device_lists_remote_resync", {"user_id": _BOB, "added_ts": 1}),
    ("device_lists", "device_lists_remote_pending", {"stream_id": 1, "user_id": _BOB, "device_id": "D"}),
    (
        "device_lists",
        "device_lists_outbound_last_success",
        {"destination": _OTHER, "user_id": _OWN, "stream_id": 1},
    ),
    (
        "device_lists",
        "device_lists_outbound_pokes",
        {
            "destination": _OTHER,
            "stream_id": 1,
            "user_id": _OWN,
            "device_id": "D",
            "sent": False,
            "ts": 1,
        },
    ),
    (
        "device_lists",
        "e2e_cross_signing_keys",
        {"user_id": _BOB, "keytype": "master", "keydata": "{}", "stream_id": 1_000_000},
    ),
    ("device_messages", "device_federation_inbox", {"origin": _OTHER, "message_id": "1", "received_ts": 1}),
    ("presence", "presence_stream", {"stream_id": 1_000_000, "user_id": _BOB, "state": "online"}),
    ("user_directory", "user_directory", {"user_id": _BOB}),
    (
        "user_directory",
        "user_directory_stale_remote_users",
        {"user_id": _BOB, "user_server_name": _OTHER, "next_try_at_ts": 2**50, "retry_counter": 0},
    ),
    ("media", "remote_media_cache", {"media_origin": _OTHER, "media_id": "1"}),
    ("rooms", "rooms", {"room_id": "!far", "creator": _BOB}),
    (
        "past_members",
        "room_memberships",
        {"event_id": "$e", "user_id": _BOB, "sender": _OWN, "room_id": "!r", "membership": "join"},
    ),
    (
        "past_members",
        "room_memberships",
        {"event_id": "$e", "user_id": _OWN, "sender": _BOB, "room_id": "!r", "membership": "invite"},
    ),
    (
        "events",
        "events",
        {
            "stream_ordering": -1_000_000,
            "topological_ordering": 1,
            "event_id": "$e",
            "type": "m.room.message",
            "room_id": "!r",
            "processed": True,
            "outlier": False,
            "depth": 1,
            "sender": _BOB,
        },
    ),
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"traces on {engine}")) for engine in ENGINES],
)
def isolated(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server that must not federate, and is used as much as it can be."""
    with own_servers(request.param, federation_domain_whitelist=[]) as [server]:
        _use(server)
        yield server


@pytest.fixture
def place(isolated: Server, tmp_path: Path) -> Place:
    return Place(isolated, f"t{secrets.token_hex(4)}", tmp_path)


def _use(server: Server) -> None:
    """Do what clients do: rooms, devices with keys, messages to devices, media, and bans of users elsewhere."""
    client, token = "/_matrix/client/v3", server.user_token
    room = meeting.quoted(
        server.make_room(token, preset="public_chat", room_alias_name="lobby", room_version="11", invite=[server.admin])
    )
    server.send("POST", f"{client}/join/{room}")
    for action in ("ban", "unban"):
        server.send("POST", f"{client}/rooms/{room}/{action}", {"user_id": _BOB}, token)
    server.send("POST", f"{client}/rooms/{room}/ban", {"user_id": f"@spam:{_OTHER}"}, token)
    said = server.send("PUT", f"{client}/rooms/{room}/send/m.room.message/1", {"msgtype": "m.text", "body": "x"}, token)
    event = meeting.quoted(str(said["event_id"]))
    server.send("POST", f"{client}/rooms/{room}/receipt/m.read/{event}")
    server.send("PUT", f"{client}/presence/{server.user}/status", {"presence": "online"}, token)
    server.send("PUT", f"{client}/profile/{server.user}/displayname", {"displayname": "A user"}, token)
    device = server.send("GET", f"{client}/account/whoami", token=token)["device_id"]
    keys = {f"ed25519:{device}": "a" * 43, f"curve25519:{device}": "b" * 43}
    described = {"user_id": server.user, "device_id": device, "algorithms": [], "keys": keys, "signatures": {}}
    server.send("POST", f"{client}/keys/upload", {"device_keys": described}, token)
    master = {"user_id": server.user, "usage": ["master"], "keys": {f"ed25519:{'c' * 43}": "c" * 43}}
    server.send("POST", f"{client}/keys/device_signing/upload", {"master_key": master}, token)
    server.send("POST", f"{client}/keys/query", {"device_keys": {server.user: [], _BOB: []}}, token)
    messages = {server.admin: {"*": {"word": "x"}}, _BOB: {"*": {"word": "x"}}}
    server.send("PUT", f"{client}/sendToDevice/org.example.word/1", {"messages": messages}, token)
    server.send("POST", "/_matrix/media/v3/upload", {"in": "a file"}, token)
    status, _refused = server.ask("POST", f"{client}/rooms/{room}/invite", {"user_id": _BOB}, token)
    assert status != 200
    # The directory of users is brought up to date later.
    until(lambda: server.rows("SELECT 1 FROM user_directory WHERE user_id = ?", server.user), bool)
    server.forget_database()


def _ever_federated(place: Place) -> Result:
    options = {"source": "database", "config_path": place.server.config_path, "gather": ["ever_federated"]}
    found = play(place, _MODULE, {**options, "access_token": None})
    return t.cast("Result", found["ever_federated"])


def test_what_a_server_writes_by_itself(place: Place) -> None:
    assert _ever_federated(place) == {"verdict": False, "evidence": []}
    # It has names of other servers, and they are no evidence.
    for table, column in (("device_federation_outbox", "destination"), ("room_memberships", "user_id")):
        found = place.server.rows(f"SELECT {column} FROM {table} WHERE {column} LIKE ?", f"%{_OTHER}")
        assert found, table
    place.server.forget_database()


@pytest.mark.parametrize(("kind", "table", "row"), _TRACES, ids=[f"{table}-{kind}" for kind, table, _row in _TRACES])
def test_each_trace(place: Place, kind: str, table: str, row: Json) -> None:
    server = place.server
    marks = ", ".join("?" for _column in row)
    values = [server.user if value == _OWN else value for value in row.values()]
    server.write(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *values)
    try:
        found = _ever_federated(place)
    finally:
        key = next(iter(row))
        server.write(f"DELETE FROM {table} WHERE {key} = ?", row[key])
        server.forget_database()
    assert found == {"verdict": True, "evidence": [{"kind": kind, "count": 1, "servers": [_OTHER]}]}
