# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rooms are found by the filters, in the declared order, once each."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.query import (
    ORDERS,
    ApiRooms,
    Found,
    Order,
    RoomFilter,
    find_rooms,
    servers_of,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

LIST = "/_synapse/admin/v1/rooms"
LISTED: dict[str, t.Any] = {
    "room_id": "!a:x.org",
    "name": "100% fun",
    "canonical_alias": "#fun:x.org",
    "joined_members": 2,
    "joined_local_members": 1,
    "version": "12",
    "creator": "@alice:x.org",
    "encryption": None,
    "federatable": True,
    "public": False,
    "join_rules": "invite",
    "guest_access": None,
    "history_visibility": "shared",
    "state_events": 9,
    "room_type": None,
}


# The same room as the module returns it.
RETURNED = {
    **{name: value for name, value in LISTED.items() if name != "version"},
    "room_version": "12",
    "encryption": "",
    "guest_access": "",
    "room_type": "",
}


def page(*rooms: t.Any, query: t.Any = None, **more: t.Any) -> Call:
    answer = {"rooms": [{**LISTED, **room} for room in rooms], "total_rooms": len(rooms), **more}
    return Call("GET", LIST, answer, query={"limit": "1000", **(query or {})})


def find(server: ScriptedServer, order: Order | None = None, count_only: bool = False, **wanted: t.Any) -> Found:
    rooms = ApiRooms(Client(server.base_url, "token"))
    return find_rooms(rooms, RoomFilter(**wanted), order or Order(), count_only=count_only)


def ids(found: Found) -> list[str]:
    return [room["room_id"] for room in found.rooms]


def test_returns_every_value(server: ScriptedServer) -> None:
    server.expect(page({}))
    assert find(server) == Found([RETURNED], 1)


def test_returns_no_null(server: ScriptedServer) -> None:
    texts = ("canonical_alias", "creator", "encryption", "guest_access", "history_visibility", "join_rules", "name")
    listed = {**dict.fromkeys(LISTED), "room_id": "!a", "public": 0}
    server.expect(Call("GET", LIST, {"rooms": [listed, {"room_id": "!b", "joined_members": 0, "encryption": ""}]}))
    unset = {**dict.fromkeys((*texts, "room_type", "room_version"), ""), "federatable": True, "public": False}
    assert find(server).rooms == [{"room_id": "!a", **unset}, {"room_id": "!b", "joined_members": 0, **unset}]


@pytest.mark.parametrize(
    ("wanted", "row", "matches"),
    [
        ({"search": "0% F"}, {}, True),
        ({"search": "0_ f"}, {}, False),
        ({"search": "FUN:x"}, {"name": ""}, True),
        ({"search": "fun"}, {"name": "", "canonical_alias": None}, False),
        ({"search": "ärger"}, {"name": "ÄRGER"}, True),
        ({"encrypted": True}, {}, False),
        ({"encrypted": True}, {"encryption": "m.megolm.v1.aes-sha2"}, True),
        ({"encrypted": False}, {}, True),
        ({"room_version": "1"}, {}, False),
        ({"room_version": "12"}, {}, True),
        ({"room_type": ""}, {}, True),
        ({"room_type": ""}, {"room_type": "m.space"}, False),
        ({"room_type": "m.space"}, {"room_type": "m.space"}, True),
    ],
)
def test_filters_that_synapse_does_not_have(server: ScriptedServer, wanted: t.Any, row: t.Any, matches: bool) -> None:
    server.always(page(row))
    assert find(server, **wanted).total == matches
    assert find(server, count_only=True, **wanted) == Found([], int(matches))


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        ({"public": True, "search": "fun"}, {"public_rooms": "true"}),
        ({"public": False}, {"public_rooms": "false"}),
        ({"empty": False, "public": True}, {"empty_rooms": "false", "public_rooms": "true"}),
    ],
)
def test_never_uses_the_search_of_synapse(server: ScriptedServer, wanted: t.Any, query: t.Any) -> None:
    # With a filter it finds too much. The rooms that Synapse returns for the filter are checked as well.
    server.expect(page({"public": True}, {"room_id": "!b", "public": False}, {"room_id": "!c"}, query=query))
    found = find(server, **wanted)
    assert ids(found) == (["!a:x.org"] if wanted.get("public") else ["!b", "!c"])


def test_a_room_without_counts_is_neither_empty_nor_lost(server: ScriptedServer) -> None:
    server.always(page({"joined_members": None}, query={"empty_rooms": "true"}))
    assert find(server, empty=True).total == 0


def test_reads_all_pages_and_each_room_once(server: ScriptedServer) -> None:
    server.expect(page({"room_id": "!b"}, {"room_id": "!a"}, next_batch=1000))
    server.expect(page({"room_id": "!a"}, {"room_id": "!c"}, query={"from": "1000"}))
    assert find(server).total == 3


def test_orders_room_ids_byte_by_byte(server: ScriptedServer) -> None:
    # Without case "!a" would be before "!B", and in UTF-16 U+1F407 before U+FB01.
    ordered = ["!B", "!a", "!b", "!\ufb01", "!\U0001f407"]
    assert ordered == sorted(ordered, key=str.encode)
    server.always(
        page(*({"room_id": room_id, "name": "same"} for room_id in ("!b", ordered[4], "!B", ordered[3], "!a")))
    )
    assert ids(find(server)) == ordered
    assert ids(find(server, Order(descending=True))) == ordered[::-1]
    for descending in (False, True):
        assert ids(find(server, Order("name", descending))) == ordered


ORDERED = [
    {"room_id": "!1", "name": "b", "joined_members": 5},
    {"room_id": "!2", "name": None, "joined_members": None},
    {"room_id": "!3", "name": "A", "joined_members": 7},
    {"room_id": "!4", "name": "B", "joined_members": 5},
]


@pytest.mark.parametrize(
    ("by", "descending", "expected"),
    [
        ("room_id", False, "1234"),
        ("room_id", True, "4321"),
        ("name", False, "3142"),
        # With equal values the lower room ID comes first, and missing values come last, in both directions.
        ("name", True, "1432"),
        ("joined_members", False, "1432"),
        ("joined_members", True, "3142"),
    ],
)
@pytest.mark.parametrize("limit", [None, 1, 3, 9])
def test_orders(server: ScriptedServer, by: str, descending: bool, expected: str, limit: int | None) -> None:
    server.expect(page(*reversed(ORDERED)))
    found = find(server, Order(by, descending, limit))
    assert "".join(room_id[1] for room_id in ids(found)) == expected[:limit]
    assert found.total == 4


@pytest.mark.parametrize("by", ORDERS)
def test_can_order_by_every_value(server: ScriptedServer, by: str) -> None:
    server.expect(page({}, {"room_id": "!b"}))
    found = find(server, Order(by))
    assert found.total == 2
    assert by in found.rooms[0]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(server: ScriptedServer, limit: int) -> None:
    with pytest.raises(errors.InvalidInput, match=f"limit is {limit}, but it must be at least 1"):
        find(server, Order(limit=limit))


class TestOneRoom:
    ROOM = "/_synapse/admin/v1/rooms/%21a"

    def test_by_its_id(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", self.ROOM, {**LISTED, "room_id": "!a", "topic": "Fun"}))
        assert find(server, room="!a").rooms == [{**RETURNED, "room_id": "!a"}]

    def test_by_an_alias_with_special_characters(self, server: ScriptedServer) -> None:
        alias = "/_matrix/client/v3/directory/room/%23a%2Fb%25%3Ay.org%3A8448"
        server.expect(
            Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"}),
            Call("GET", alias, {"room_id": "!a"}),
            Call("GET", self.ROOM, {**LISTED, "room_id": "!a"}),
        )
        assert ids(find(server, room="#a/b%:y.org:8448")) == ["!a"]

    def test_that_does_not_match_another_filter(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", self.ROOM, {**LISTED, "room_id": "!a"}))
        assert find(server, room="!a", room_version="11") == Found([], 0)

    def test_that_does_not_exist(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", self.ROOM, {"errcode": "M_NOT_FOUND", "error": "Room not found"}, 404))
        assert find(server, room="!a") == Found([], 0)

    def test_a_fault_is_not_an_empty_result(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", self.ROOM, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500))
        with pytest.raises(errors.ApiError, match="Broken"):
            find(server, room="!a")


def test_servers_keep_their_ports() -> None:
    users = ["@a:x.org", "@b:x.org", "@c:x.org:8448", "@d:[2001:db8::1]:80", "@e:[::1]", "@F=2/x:1.2.3.4"]
    assert servers_of(users) == ["1.2.3.4", "[2001:db8::1]:80", "[::1]", "x.org", "x.org:8448"]
