# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which destinations and which evidence of federation exist, and that the Admin API and the database agree."""

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
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._federation.evidence_tables import TABLES
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

# What the database contains on a server that talks to no other server.
ALONE = f"""
INSERT INTO current_state_events VALUES
    ('m.room.member', '@alice:{OWN}', 'join'), ('m.room.create', '', NULL), ('m.space.child', '!r:other.org', NULL),
    ('m.room.member', '@banned:other.org', 'ban'), ('m.room.member', '@pardoned:other.org', 'leave');
INSERT INTO rooms VALUES ('!r', '@alice:{OWN}'), ('!invited:other.org', NULL), ('!odd', '');
INSERT INTO room_alias_servers VALUES ('#lobby:{OWN}', '{OWN}');
INSERT INTO server_keys_json VALUES ('{OWN}', '{OWN}');
INSERT INTO server_signature_keys VALUES ('{OWN}', NULL), (NULL, NULL);
INSERT INTO received_transactions VALUES (NULL, 1);
INSERT INTO device_federation_outbox VALUES ('other.org');
INSERT INTO e2e_cross_signing_keys VALUES ('@alice:{OWN}');
INSERT INTO presence_stream VALUES ('@alice:{OWN}');
INSERT INTO user_directory VALUES ('@alice:{OWN}');
INSERT INTO room_memberships VALUES
    ('@alice:{OWN}', '@alice:{OWN}', 'join'), ('@banned:other.org', '@alice:{OWN}', 'ban'),
    ('@pardoned:other.org', '@alice:{OWN}', 'leave');
INSERT INTO events VALUES ('$own', '@alice:{OWN}', 1), ('$old', '@alice:{OWN}', -1), ('$gone', NULL, -2);
INSERT INTO event_forward_extremities VALUES ('$own'), ('$missing');
"""


class Stored(t.NamedTuple):
    """A database that a test writes to, and a source that reads it."""

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
    def test_that_match_a_filter(
        self, server: ScriptedServer, stored: Stored, wanted: DestinationFilter, found: list[str]
    ) -> None:
        server.expect(listed(FINE, DOWN))
        # The database contains NULL where the API shows 0.
        stored.connection.execute("INSERT INTO destinations VALUES ('b.org', NULL, NULL, NULL, 7)")
        stored.connection.execute(f"INSERT INTO destinations VALUES ('{IPV6}', {FAILED}, 600000, {FAILED}, NULL)")
        by_api = find_destinations(api(server), wanted, NOW, rooms=False)
        assert [row["destination"] for row in by_api] == found
        assert find_destinations(stored.source, wanted, NOW, rooms=False) == by_api

    def test_that_is_due_for_a_retry_is_still_failing(self, server: ScriptedServer) -> None:
        server.expect(listed({**DOWN, "retry_interval": 1}))
        found = find_destinations(api(server), DestinationFilter(failing=True), NOW, rooms=False)
        assert [row["retry_state"] for row in found] == ["retry_due"]

    def test_of_all_pages_each_once(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", DESTINATIONS, {"destinations": [FINE], "total": 2, "next_token": "1"}),
            Call("GET", DESTINATIONS, {"destinations": [FINE, DOWN], "total": 3}, query={"limit": "1000", "from": "1"}),
        )
        found = find_destinations(api(server), DestinationFilter(), NOW, rooms=False)
        assert [row["destination"] for row in found] == [IPV6, "b.org"]

    def test_by_name(self, server: ScriptedServer, stored: Stored) -> None:
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
    def test_by_the_api(self, server: ScriptedServer) -> None:
        server.expect(
            listed(FINE),
            listed_rooms(room("!local", 2, 2), room("!r", 3, 1), room("!gone", 2, 1)),
            members("%21r", f"@alice:{OWN}", f"@bob:{IPV6}", "@carol:b.org"),
            Call("GET", f"{ROOMS}/%21gone/members", {"errcode": "M_NOT_FOUND", "error": "Room not found"}, 404),
        )
        server.always(WHOAMI)
        evidence = Evidence(api(server))
        assert evidence.talking_to() == [
            {"server": IPV6, "evidence": ["joined_members"]},
            {"server": "b.org", "evidence": ["destinations", "joined_members"]},
        ]
        [unknown] = evidence.unknown(["rooms", "talking_to"])
        assert unknown.pop("name") == "inbound"
        assert unknown == {
            "reason": "Only the database of Synapse contains it.",
            "fix": "Use source: database, on the host of Synapse.",
        }
        assert evidence.unknown(["rooms"]) == []

    def test_by_the_database(self, stored: Stored) -> None:
        stored.connection.executescript(f"""
            INSERT INTO destinations (destination) VALUES ('b.org');
            INSERT INTO current_state_events VALUES
                ('m.room.member', '@bob:{IPV6}', 'join'), ('m.room.member', '@dora:d.org', 'leave');
            INSERT INTO received_transactions VALUES ('b.org', 1), ('X.org:8448', 2), ('x.org', 3);
        """)
        evidence = Evidence(stored.source)
        # Names with another port, or in upper case, are other names.
        assert evidence.talking_to() == [
            {"server": "X.org:8448", "evidence": ["inbound"]},
            {"server": IPV6, "evidence": ["joined_members"]},
            {"server": "b.org", "evidence": ["destinations", "inbound"]},
            {"server": "x.org", "evidence": ["inbound"]},
        ]
        assert evidence.unknown(["talking_to", "ever_federated"]) == []

    def test_not_to_itself(self, stored: Stored) -> None:
        assert Evidence(stored.source).talking_to() == []


class TestEverFederated:
    def test_not_according_to_the_database(self, stored: Stored) -> None:
        assert Evidence(stored.source).ever_federated() == {"verdict": False, "evidence": []}

    def test_not_according_to_the_api(self, server: ScriptedServer) -> None:
        server.always(WHOAMI, listed(), listed_rooms(room("!r", 1, 1), room("!s", 1, 1, None)))
        evidence = Evidence(api(server))
        assert evidence.ever_federated() == {"verdict": False, "evidence": []}
        assert [each["name"] for each in evidence.unknown(["ever_federated"])] == [
            "members",
            "aliases",
            "inbound",
            "inbound_events",
            "unfinished_joins",
            "signing_keys",
            "device_lists",
            "device_messages",
            "presence",
            "user_directory",
            "media",
            "past_members",
            "events",
        ]

    @pytest.mark.parametrize(
        ("kind", "statement"),
        [
            ("destinations", "INSERT INTO destinations (destination) VALUES ('{0}')"),
            ("members", "INSERT INTO current_state_events VALUES ('m.room.member', '@bob:{0}', 'invite')"),
            ("members", "INSERT INTO current_state_events VALUES ('m.room.member', '@bob:{0}', 'knock')"),
            # Not also as a joined member.
            ("members", "INSERT INTO current_state_events VALUES ('m.room.member', '@bob:{0}', 'join')"),
            ("aliases", "INSERT INTO room_alias_servers VALUES ('#lobby:x.org', '{0}')"),
            ("inbound", "INSERT INTO received_transactions VALUES ('{0}', 1)"),
            ("inbound_events", "INSERT INTO federation_inbound_events_staging VALUES ('{0}')"),
            ("unfinished_joins", "INSERT INTO partial_state_rooms VALUES ('!s', '{0}')"),
            ("unfinished_joins", "INSERT INTO partial_state_rooms_servers VALUES ('!s', '{0}')"),
            ("signing_keys", f"INSERT INTO server_keys_json VALUES ('{{0}}', '{OWN}')"),
            ("signing_keys", f"INSERT INTO server_keys_json VALUES ('{OWN}', '{{0}}')"),
            ("signing_keys", f"INSERT INTO server_signature_keys VALUES ('{{0}}', '{OWN}')"),
            ("signing_keys", f"INSERT INTO server_signature_keys VALUES ('{OWN}', '{{0}}')"),
            ("device_lists", "INSERT INTO device_lists_remote_cache VALUES ('@bob:{0}')"),
            ("device_lists", "INSERT INTO device_lists_remote_extremeties VALUES ('@bob:{0}')"),
            ("device_lists", "INSERT INTO device_lists_remote_resync VALUES ('@bob:{0}')"),
            ("device_lists", "INSERT INTO device_lists_remote_pending VALUES ('@bob:{0}')"),
            ("device_lists", f"INSERT INTO device_lists_outbound_last_success VALUES ('{{0}}', '@alice:{OWN}')"),
            ("device_lists", f"INSERT INTO device_lists_outbound_pokes VALUES ('{{0}}', '@alice:{OWN}')"),
            ("device_lists", "INSERT INTO e2e_cross_signing_keys VALUES ('@bob:{0}')"),
            ("device_messages", "INSERT INTO device_federation_inbox VALUES ('{0}')"),
            ("presence", "INSERT INTO presence_stream VALUES ('@bob:{0}')"),
            ("user_directory", "INSERT INTO user_directory VALUES ('@bob:{0}')"),
            ("user_directory", "INSERT INTO user_directory_stale_remote_users VALUES ('@bob:{0}', '{0}')"),
            ("media", "INSERT INTO remote_media_cache VALUES ('{0}')"),
            ("rooms", "INSERT INTO rooms VALUES ('!s', '@bob:{0}')"),
            ("past_members", "INSERT INTO room_memberships VALUES ('@bob:{0}', '@bob:{0}', 'leave')"),
            ("past_members", "INSERT INTO room_memberships VALUES ('@alice:x.org:8448', '@bob:{0}', 'invite')"),
            ("events", "INSERT INTO events VALUES ('$fetched', '@bob:{0}', -5)"),
            (
                "events",
                "INSERT INTO events VALUES ('$new', '@bob:{0}', 5);"
                "INSERT INTO event_forward_extremities VALUES ('$new')",
            ),
            (
                "events",
                "INSERT INTO events VALUES ('$refused', '@bob:{0}', 5); INSERT INTO rejections VALUES ('$refused')",
            ),
        ],
    )
    @pytest.mark.parametrize("other", [IPV6, "x.org", "x.org:443"])
    def test_by_each_kind(self, stored: Stored, kind: str, statement: str, other: str) -> None:
        stored.connection.executescript(statement.format(other))
        assert Evidence(stored.source).ever_federated() == {
            "verdict": True,
            "evidence": [{"kind": kind, "count": 1, "servers": [other]}],
        }

    def test_does_not_read_the_long_tables_if_there_is_other_evidence(self, stored: Stored) -> None:
        stored.connection.executescript(
            "DROP TABLE room_memberships; DROP TABLE events; INSERT INTO server_keys_json VALUES"
            " ('b.org', 'b.org'), ('b.org', 'a.org'), ('a.org', 'a.org');"
        )
        assert Evidence(stored.source).ever_federated()["evidence"] == [
            {"kind": "signing_keys", "count": 2, "servers": ["a.org", "b.org"]}
        ]

    def test_names_at_most_ten_servers(self, stored: Stored) -> None:
        names = [f"s{number:02}.org" for number in range(12)]
        for name in names:
            stored.connection.execute("INSERT INTO server_keys_json VALUES (?, ?)", [name, name])
        evidence = Evidence(stored.source).ever_federated()["evidence"]
        assert evidence == [{"kind": "signing_keys", "count": 12, "servers": names[:10]}]

    def test_by_the_api(self, server: ScriptedServer) -> None:
        server.always(WHOAMI)
        server.expect(
            listed(),
            listed_rooms(room("!r", 2, 1), room("!s", 1, 1, "@bob:b.org")),
            members("%21r", f"@alice:{OWN}", f"@bob:{IPV6}"),
        )
        evidence = Evidence(api(server))
        found = evidence.ever_federated()
        assert found["verdict"]
        assert found["evidence"] == [
            {"kind": "joined_members", "count": 1, "servers": [IPV6]},
            {"kind": "rooms", "count": 1, "servers": ["b.org"]},
        ]
        # Nothing is requested twice.
        assert [row["server"] for row in evidence.talking_to()] == [IPV6]


def test_evidence_that_the_api_does_not_have_is_never_requested(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="does not show inbound"):
        api(server).servers_by("inbound")


def test_a_database_without_the_tables_is_refused(stored: Stored) -> None:
    stored.connection.execute("DROP TABLE destinations")
    with pytest.raises(errors.SynapseError, match="refused a query: no such table"):
        find_destinations(stored.source, DestinationFilter(), NOW, rooms=False)


def test_rooms_that_are_not_from_synapse_are_refused(server: ScriptedServer) -> None:
    server.expect(listed_rooms({"room_id": "!r"}))
    with pytest.raises(errors.UnexpectedAnswer, match=r"answer .*\bcreator\b.*Synapse"):
        api(server).servers_by("joined_members")
