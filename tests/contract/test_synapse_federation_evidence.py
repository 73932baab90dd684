# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_federation_info returns for a server that has not federated, that has, and that has left all rooms."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Result,
    play,
    prove,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.servers import ENGINES, own_servers
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_MODULE = "synapse_federation_info"
_UNKNOWN_TO_API = [
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

_of_newborn = pytest.mark.xdist_group("servers that have not federated")
_engines = pytest.mark.parametrize("number", range(len(ENGINES)), ids=ENGINES)


@dataclasses.dataclass(frozen=True)
class _Newborn:
    """Servers, and what the module returned before they federated.

    `looked`: from each source (see `_look`). `alone`: after a room was created that only one user was in.
    """

    servers: list[Server]
    looked: list[list[Result]]
    alone: list[Result]


@pytest.fixture(scope="module")
def newborn() -> t.Iterator[_Newborn]:
    """Servers that can federate. The module reads them first, so that the tests may run in any order."""
    with own_servers(*ENGINES, federating=True, presence={"enabled": False}) as servers:
        places = [Place(server, "newborn", Path(server.directory)) for server in servers]
        looked = [_look(place) for place in places]
        for server in servers:
            server.make_room(server.user_token, preset="public_chat", room_alias_name="alone", room_version="11")
        alone = [_ask(place, **_database(place)) for place in places]
        yield _Newborn(servers, looked, alone)


@pytest.fixture(params=range(len(ENGINES)), ids=ENGINES)
def met(request: pytest.FixtureRequest, pair: list[Server], tmp_path: Path) -> Place:
    """A server that has federated with another one and failed to reach others."""
    place = meeting.at_met(pair, request.param, tmp_path)
    meeting.fail_to_reach(place.server)
    meeting.wait_for_delivery(pair[request.param], pair[1 - request.param])
    # The directory of users is brought up to date later, and must not change while it is read twice.
    known = "SELECT 1 FROM user_directory WHERE user_id = ?"
    until(lambda: place.server.rows(known, place.ids["user"]), bool)
    return place


def _ask(place: Place, **asked: t.Any) -> Result:
    """Read everything in check mode and for real, which must agree."""
    parameters: Parameters = {"gather": ["rooms", "talking_to", "ever_federated"], **asked}
    return prove(place, Expectation("ask", _MODULE, parameters=lambda place: parameters, changes=False))


def _database(place: Place) -> Parameters:
    return {"source": "database", "config_path": place.server.config_path}


def _look(place: Place) -> list[Result]:
    """Read everything from the Admin API and from the database, and compare what must be the same."""
    # The Admin API needs no configuration, and the database no token.
    by_api = _ask(place, config_path=["/nonexistent.yaml"])
    by_database = _ask(place, **_database(place), access_token=None, base_url="http://127.0.0.1:1")
    assert by_api["destinations"] == by_database["destinations"]
    assert by_api["summary"] == by_database["summary"]
    assert by_api["ever_federated"]["verdict"] is by_database["ever_federated"]["verdict"]
    assert (by_api["source"], by_database["source"]) == ("admin_api", "database")
    assert by_api["server_name"] == by_database["server_name"] == place.server.name
    assert [each["name"] for each in by_api["unknown"]] == _UNKNOWN_TO_API
    assert all("source: database" in each["fix"] for each in by_api["unknown"])
    assert by_database["unknown"] == []
    return [by_api, by_database]


def _talked(found: Result) -> dict[str, list[str]]:
    return {str(row["server"]): list(row["evidence"]) for row in found["talking_to"]}


def _as_time(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@_of_newborn
@_engines
def test_has_not_federated(newborn: _Newborn, number: int) -> None:
    for found in newborn.looked[number]:
        assert found["ever_federated"] == {"verdict": False, "evidence": []}
        assert found["talking_to"] == []
        assert found["destinations"] == []
        assert found["summary"] == {"total": 0}


@_of_newborn
@_engines
def test_is_alone_in_a_room(newborn: _Newborn, number: int) -> None:
    assert newborn.alone[number]["ever_federated"] == {"verdict": False, "evidence": []}
    assert newborn.alone[number]["talking_to"] == []


def test_has_federated(met: Place, pair: list[Server]) -> None:
    rooms, (server, other) = meeting.meet(pair), (met.server, met.ids["other"])
    by_api, by_database = _look(met)
    everyone = sorted((*meeting.DEAD, other))
    assert [row["destination"] for row in by_api["destinations"]] == everyone
    assert by_api["summary"] == {"total": 3}
    [found] = [row for row in by_api["destinations"] if row["destination"] == other]
    assert found["retry_state"] == "ok"
    [there] = [each for each in pair if each.name == other]
    assert set(rooms) <= {room["room_id"] for room in found["rooms"]}
    assert found["rooms"] == [{**room, "delivered": True} for room in meeting.shared_rooms(server, there)]
    to_dead = {name: ["destinations"] for name in meeting.DEAD}
    assert _talked(by_api) == {**to_dead, other: ["destinations", "joined_members"]}
    assert _talked(by_database) == {**to_dead, other: ["destinations", "joined_members", "inbound"]}
    assert [row["server"] for row in by_database["talking_to"]] == everyone


def test_has_evidence_of_federation(met: Place) -> None:
    by_api, by_database = (found["ever_federated"] for found in _look(met))
    other = met.ids["other"]
    assert by_api["verdict"]
    assert [each["kind"] for each in by_api["evidence"]] == ["destinations", "joined_members", "rooms"]
    kinds = ("members", "inbound", "signing_keys", "user_directory", "rooms")
    assert by_database["evidence"] == [
        {"kind": "destinations", "count": 3, "servers": sorted((*meeting.DEAD, other))},
        *({"kind": kind, "count": 1, "servers": [other]} for kind in kinds),
    ]


def test_shows_the_times_of_the_server(met: Place) -> None:
    shown = {row["destination"]: row for row in play(met, _MODULE, {})["destinations"]}
    listed = meeting.destinations(met.server)
    assert sorted(shown) == [known["destination"] for known in listed]
    for known in listed:
        row, tried = shown[known["destination"]], known["retry_last_ts"]
        following, delivered = tried + known["retry_interval"], known["last_successful_stream_ordering"]
        expected = {
            "destination": known["destination"],
            "retry_state": "backing_off" if known["destination"] in meeting.DEAD else "ok",
        }
        if delivered is not None:
            expected["last_successful_stream_ordering"] = delivered
        if tried:
            expected |= {
                "failing_since": _as_time(known["failure_ts"]),
                "failing_since_ts": known["failure_ts"],
                "last_attempt": _as_time(tried),
                "last_attempt_ts": tried,
                "next_attempt": _as_time(following),
                "next_attempt_ts": following,
                "retry_interval_ms": known["retry_interval"],
            }
        assert row == expected


@_of_newborn
@_engines
def test_has_left_all_rooms(newborn: _Newborn, number: int, tmp_path: Path) -> None:
    server, other = newborn.servers[number], newborn.servers[1 - number]
    place = Place(server, f"c{secrets.token_hex(4)}", tmp_path)

    def evidence() -> list[str]:
        return _talked(play(place, _MODULE, {**_database(place), "gather": ["talking_to"]}))[other.name]

    def delivered() -> list[bool]:
        [row] = play(place, _MODULE, {**_database(place), "gather": ["rooms"]})["destinations"]
        return [room["delivered"] for room in row["rooms"]]

    # In rooms of their own; the servers share no others.
    rooms = meeting.meet(newborn.servers, place.unique)
    try:
        # What the other one has sent may be stored a moment later.
        until(evidence, lambda found: found == ["destinations", "joined_members", "inbound"])
        _leave(server, rooms)
        # Until Synapse has deleted the members.
        until(evidence, lambda found: "joined_members" not in found)
        # Until the other one has got the events of leaving, so that nothing changes while it is read twice.
        until(delivered, all)
        parted = _ask(place, **_database(place))
        assert parted["ever_federated"]["verdict"]
        assert _talked(parted)[other.name] == ["destinations", "inbound"]
    finally:
        for each in newborn.servers:
            _leave(each, rooms)


def _leave(server: Server, rooms: t.Iterable[str]) -> None:
    for room in rooms:
        server.send("POST", f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/leave", token=server.user_token)
