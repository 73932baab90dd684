# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which destinations there are and who is talked to, and that the Admin API and the database tell the same."""

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.evidence import Evidence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.query import (
    ApiSource,
    DatabaseSource,
    DestinationFilter,
    find_destinations,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

OWN = "x.org:8448"
IPV6 = "[2001:db8::1]:8448"
NOW = 1700000060.0
FAILED = 1700000000000

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
ROOMS = "/_synapse/admin/v1/rooms"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": f"@admin:{OWN}"})
UNKNOWN: dict[str, t.Any] = {"errcode": "M_NOT_FOUND", "error": "Unknown destination"}

FINE: dict[str, t.Any] = {
    "destination": "b.org",
    "retry_last_ts": 0,
    "retry_interval": 0,
    "failure_ts": None,
    "last_successful_stream_ordering": 7,
}
DOWN: dict[str, t.Any] = {
    "destination": IPV6,
    "retry_last_ts": FAILED,
    "retry_interval": 600_000,
    "failure_ts": FAILED,
    "last_successful_stream_ordering": None,
}

# What the tables of Synapse 1.163 hold, as far as it is read.
TABLES = """
CREATE TABLE destinations (
    destination TEXT PRIMARY KEY, retry_last_ts BIGINT, retry_interval BIGINT, failure_ts BIGINT,
    last_successful_stream_ordering BIGINT
);
CREATE TABLE destination_rooms (destination TEXT NOT NULL, room_id TEXT NOT NULL, stream_ordering BIGINT NOT NULL);
CREATE TABLE current_state_events (type TEXT NOT NULL, state_key TEXT NOT NULL, membership TEXT);
CREATE TABLE rooms (room_id TEXT NOT NULL, creator TEXT);
CREATE TABLE room_alias_servers (room_alias TEXT NOT NULL, server TEXT NOT NULL);
CREATE TABLE received_transactions (origin TEXT, ts BIGINT);
CREATE TABLE federation_inbound_events_staging (origin TEXT NOT NULL);
CREATE TABLE server_keys_json (server_name TEXT NOT NULL);
CREATE TABLE device_lists_remote_cache (user_id TEXT NOT NULL);
CREATE TABLE remote_media_cache (media_origin TEXT);
CREATE TABLE room_memberships (user_id TEXT NOT NULL, sender TEXT NOT NULL, membership TEXT NOT NULL);
"""
# What a server that talks to nobody has in them.
ALONE = f"""
INSERT INTO current_state_events VALUES
    ('m.room.member', '@alice:{OWN}', 'join'), ('m.room.create', '', NULL), ('m.space.child', '!r:other.org', NULL);
INSERT INTO rooms VALUES ('!r', '@alice:{OWN}'), ('!invited:other.org', NULL), ('!odd', '');
INSERT INTO room_alias_servers VALUES ('#lobby:{OWN}', '{OWN}');
INSERT INTO server_keys_json VALUES ('{OWN}');
INSERT INTO received_transactions VALUES (NULL, 1);
INSERT INTO room_memberships VALUES ('@alice:{OWN}', '@alice:{OWN}', 'join');
"""


class Stored(t.NamedTuple):
    """A database that a test writes and a source reads."""

    connection: sqlite3.Connection
    source: DatabaseSource


@pytest.fixture
def stored(tmp_path: pathlib.Path) -> t.Iterator[Stored]:
    path = tmp_path / "homeserver.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(TABLES + ALONE)
    settings = {"server_name": OWN, "database": {"name": "sqlite3", "args": {"database": str(path)}}}
    with DatabaseSource(Configuration((ConfigurationFile("homeserver.yaml", settings),)), None) as source:
        yield Stored(connection, source)
    connection.close()


def api(server: ScriptedServer) -> ApiSource:
    return ApiSource(Client(server.base_url, "token"))


def listed(*rows: dict[str, t.Any]) -> Call:
    return Call("GET", DESTINATIONS, {"destinations": list(rows), "total": len(rows)}, query={"limit": "1000"})


def room(room_id: str, joined: int, local: int, creator: str | None = f"@alice:{OWN}") -> dict[str, t.Any]:
    return {"room_id": room_id, "joined_members": joined, "joined_local_members": local, "creator": creator}


def listed_rooms(*rooms: dict[str, t.Any]) -> Call:
    return Call("GET", ROOMS, {"rooms": list(rooms), "offset": 0, "total_rooms": len(rooms)}, query={"limit": "1000"})


def members(quoted: str, *user_ids: str) -> Call:
    return Call("GET", f"{ROOMS}/{quoted}/members", {"members": list(user_ids), "total": len(user_ids)})


class TestDestinations:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (DestinationFilter(), [IPV6, "b.org"]),
            (DestinationFilter(failing=True), [IPV6]),
            (DestinationFilter(failing=False), ["b.org"]),
        ],
    )
    def test_that_a_filter_leaves(
        self, server: ScriptedServer, stored: Stored, wanted: DestinationFilter, found: list[str]
    ) -> None:
        server.expect(listed(FINE, DOWN))
        # The database has nothing where the API says zero.
        stored.connection.execute("INSERT INTO destinations VALUES ('b.org', NULL, NULL, NULL, 7)")
        stored.connection.execute(f"INSERT INTO destinations VALUES ('{IPV6}', {FAILED}, 600000, {FAILED}, NULL)")
        by_api = find_destinations(api(server), wanted, NOW, rooms=False)
        assert [row["destination"] for row in by_api] == found
        assert find_destinations(stored.source, wanted, NOW, rooms=False) == by_api

    def test_that_needs_a_retry_is_failing_still(self, server: ScriptedServer) -> None:
        server.expect(listed({**DOWN, "retry_interval": 1}))
        found = find_destinations(api(server), DestinationFilter(failing=True), NOW, rooms=False)
        assert [row["state"] for row in found] == ["retry_due"]

    def test_of_all_pages_each_once(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", DESTINATIONS, {"destinations": [FINE], "total": 2, "next_token": "1"}),
            Call("GET", DESTINATIONS, {"destinations": [FINE, DOWN], "total": 3}, query={"limit": "1000", "from": "1"}),
        )
        found = find_destinations(api(server), DestinationFilter(), NOW, rooms=False)
        assert [row["destination"] for row in found] == [IPV6, "b.org"]

    def test_by_name_is_asked_for_alone(self, server: ScriptedServer, stored: Stored) -> None:
        server.expect(Call("GET", f"{DESTINATIONS}/b.org", FINE), Call("GET", f"{DESTINATIONS}/.org", UNKNOWN, 404))
        stored.connection.execute("INSERT INTO destinations VALUES ('b.org', 0, 0, NULL, 7)")
        for name, count in (("b.org", 1), (".org", 0)):
            by_api = find_destinations(api(server), DestinationFilter(name), NOW, rooms=False)
            assert len(by_api) == count
            assert find_destinations(stored.source, DestinationFilter(name), NOW, rooms=False) == by_api

    def test_with_rooms(self, server: ScriptedServer, stored: Stored) -> None:
        rooms = [{"room_id": "!z", "stream_ordering": 8}, {"room_id": "!a:b.org", "stream_ordering": 7}]
        server.expect(listed(FINE), Call("GET", f"{DESTINATIONS}/b.org/rooms", {"rooms": rooms, "total": 2}))
        stored.connection.executescript(
            "INSERT INTO destinations VALUES ('b.org', 0, 0, NULL, 7);"
            "INSERT INTO destination_rooms VALUES ('b.org', '!z', 8), ('b.org', '!a:b.org', 7), ('c.org', '!c', 1);"
        )
        by_api = find_destinations(api(server), DestinationFilter(), NOW, rooms=True)
        assert by_api[0]["rooms"] == [
            {"room_id": "!a:b.org", "stream_ordering": 7, "delivered": True},
            {"room_id": "!z", "stream_ordering": 8, "delivered": False},
        ]
        assert find_destinations(stored.source, DestinationFilter(), NOW, rooms=True) == by_api

    def test_that_nothing_was_ever_delivered_to(self, stored: Stored) -> None:
        stored.connection.executescript(
            "INSERT INTO destinations (destination) VALUES ('b.org');"
            "INSERT INTO destination_rooms VALUES ('b.org', '!z', 0);"
        )
        found = find_destinations(stored.source, DestinationFilter(), NOW, rooms=True)
        assert found[0]["rooms"] == [{"room_id": "!z", "stream_ordering": 0, "delivered": False}]


class TestTalkingTo:
    def test_by_the_api_alone(self, server: ScriptedServer) -> None:
        server.expect(
            listed(FINE),
            listed_rooms(room("!local", 2, 2), room("!r", 3, 1), room("!gone", 2, 1)),
            members("%21r", f"@alice:{OWN}", f"@bob:{IPV6}", "@carol:b.org"),
            Call("GET", f"{ROOMS}/%21gone/members", {"errcode": "M_NOT_FOUND", "error": "Room not found"}, 404),
        )
        server.always(WHOAMI)
        evidence = Evidence(api(server), None)
        assert evidence.talking_to() == [
            {"server": IPV6, "evidence": ["joined_members"]},
            {"server": "b.org", "evidence": ["destinations", "joined_members"]},
        ]
        assert evidence.unseen(ever_federated=False) == ["inbound"]

    def test_with_the_database(self, stored: Stored) -> None:
        stored.connection.executescript(f"""
            INSERT INTO destinations (destination) VALUES ('b.org');
            INSERT INTO current_state_events VALUES
                ('m.room.member', '@bob:{IPV6}', 'join'), ('m.room.member', '@dora:d.org', 'leave');
            INSERT INTO received_transactions VALUES ('b.org', 1), ('X.org:8448', 2), ('x.org', 3);
        """)
        evidence = Evidence(stored.source, stored.source)
        # Neither the port nor upper and lower case may be taken for the same name.
        assert evidence.talking_to() == [
            {"server": "X.org:8448", "evidence": ["inbound"]},
            {"server": IPV6, "evidence": ["joined_members"]},
            {"server": "b.org", "evidence": ["destinations", "inbound"]},
            {"server": "x.org", "evidence": ["inbound"]},
        ]
        assert evidence.unseen(ever_federated=True) == []

    def test_only_itself_is_nobody(self, stored: Stored) -> None:
        assert Evidence(stored.source, stored.source).talking_to() == []


class TestEverFederated:
    def test_not_as_far_as_the_database_tells(self, stored: Stored) -> None:
        assert Evidence(stored.source, stored.source).ever_federated() == {"verdict": False, "evidence": []}

    def test_not_as_far_as_the_api_tells(self, server: ScriptedServer) -> None:
        server.always(WHOAMI, listed(), listed_rooms(room("!r", 1, 1), room("!s", 1, 1, None)))
        evidence = Evidence(api(server), None)
        assert evidence.ever_federated() == {"verdict": False, "evidence": []}
        assert {"inbound", "signing_keys", "past_members"} < set(evidence.unseen(ever_federated=True))

    @pytest.mark.parametrize(
        ("source", "statement"),
        [
            ("destinations", "INSERT INTO destinations (destination) VALUES ('{0}')"),
            ("members", "INSERT INTO current_state_events VALUES ('m.room.member', '@bob:{0}', 'ban')"),
            ("aliases", "INSERT INTO room_alias_servers VALUES ('#lobby:x.org', '{0}')"),
            ("inbound", "INSERT INTO received_transactions VALUES ('{0}', 1)"),
            ("inbound_events", "INSERT INTO federation_inbound_events_staging VALUES ('{0}')"),
            ("signing_keys", "INSERT INTO server_keys_json VALUES ('{0}')"),
            ("device_lists", "INSERT INTO device_lists_remote_cache VALUES ('@bob:{0}')"),
            ("media", "INSERT INTO remote_media_cache VALUES ('{0}')"),
            ("rooms", "INSERT INTO rooms VALUES ('!s', '@bob:{0}')"),
            ("past_members", "INSERT INTO room_memberships VALUES ('@bob:{0}', '@bob:{0}', 'leave')"),
            ("past_members", "INSERT INTO room_memberships VALUES ('@alice:x.org:8448', '@bob:{0}', 'invite')"),
        ],
    )
    @pytest.mark.parametrize("other", [IPV6, "x.org", "x.org:443"])
    def test_by_each_evidence(self, stored: Stored, source: str, statement: str, other: str) -> None:
        stored.connection.execute(statement.format(other))
        assert Evidence(stored.source, stored.source).ever_federated() == {
            "verdict": True,
            "evidence": [{"source": source, "count": 1, "servers": [other]}],
        }

    def test_leaves_the_long_table_alone_if_something_else_shows_it(self, stored: Stored) -> None:
        stored.connection.executescript(
            "DROP TABLE room_memberships; INSERT INTO server_keys_json VALUES ('b.org'), ('b.org'), ('a.org');"
        )
        assert Evidence(stored.source, stored.source).ever_federated()["evidence"] == [
            {"source": "signing_keys", "count": 2, "servers": ["a.org", "b.org"]}
        ]

    def test_names_ten_servers_at_most(self, stored: Stored) -> None:
        names = [f"s{number:02}.org" for number in range(12)]
        for name in names:
            stored.connection.execute("INSERT INTO server_keys_json VALUES (?)", [name])
        evidence = Evidence(stored.source, stored.source).ever_federated()["evidence"]
        assert evidence == [{"source": "signing_keys", "count": 12, "servers": names[:10]}]

    def test_by_the_api(self, server: ScriptedServer) -> None:
        server.always(WHOAMI)
        server.expect(
            listed(),
            listed_rooms(room("!r", 2, 1), room("!s", 1, 1, "@bob:b.org")),
            members("%21r", f"@alice:{OWN}", f"@bob:{IPV6}"),
        )
        evidence = Evidence(api(server), None)
        found = evidence.ever_federated()
        assert found["verdict"]
        assert found["evidence"] == [
            {"source": "joined_members", "count": 1, "servers": [IPV6]},
            {"source": "rooms", "count": 1, "servers": ["b.org"]},
        ]
        # What is known already is not asked for again.
        assert [row["server"] for row in evidence.talking_to()] == [IPV6]

    def test_by_the_api_with_the_database_beside_it(self, server: ScriptedServer, stored: Stored) -> None:
        server.always(WHOAMI, listed(FINE))
        stored.connection.execute("INSERT INTO received_transactions VALUES ('c.org', 1)")
        evidence = Evidence(api(server), stored.source)
        assert [row["source"] for row in evidence.ever_federated()["evidence"]] == ["destinations", "inbound"]
        assert [row["server"] for row in evidence.talking_to()] == ["b.org", "c.org"]


def test_a_database_of_another_server_is_refused(stored: Stored) -> None:
    stored.source.require_same_server(OWN)
    with pytest.raises(errors.ConfigurationError, match=r"of x\.org:8448, but x\.org answers"):
        stored.source.require_same_server("x.org")


def test_a_database_without_the_tables_is_refused(stored: Stored) -> None:
    stored.connection.execute("DROP TABLE destinations")
    with pytest.raises(errors.SynapseError, match="refused a query: no such table"):
        find_destinations(stored.source, DestinationFilter(), NOW, rooms=False)


def test_rooms_of_something_else_than_synapse_are_refused(server: ScriptedServer) -> None:
    server.expect(listed_rooms({"room_id": "!r"}))
    with pytest.raises(errors.UnexpectedAnswer, match="holds no creator"):
        api(server).joined_servers()
