# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_federation_info tells of a server that has met nobody, has met another one, and has left it again."""

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
_UNSEEN_BY_API = [
    "members",
    "aliases",
    "inbound",
    "inbound_events",
    "signing_keys",
    "device_lists",
    "media",
    "past_members",
]

_of_newborn = pytest.mark.xdist_group("servers that have met nobody")
_engines = pytest.mark.parametrize("number", range(len(ENGINES)), ids=ENGINES)


@dataclasses.dataclass(frozen=True)
class _Newborn:
    """Servers that had met nobody when this was told of them.

    `looked`: by each way to ask (see `_look`). `alone`: when there was a room that nobody else was in.
    """

    servers: list[Server]
    looked: list[list[Result]]
    alone: list[Result]


@pytest.fixture(scope="module")
def newborn() -> t.Iterator[_Newborn]:
    """Servers that federate, asked before anything can happen to them, so that tests may come in any order."""
    with own_servers(*ENGINES, federating=True, presence={"enabled": False}) as servers:
        places = [Place(server, "newborn", Path(server.directory)) for server in servers]
        looked = [_look(place) for place in places]
        for server in servers:
            server.make_room(server.user_token, preset="public_chat", room_alias_name="alone", room_version="11")
        alone = [_ask(place, config_path=place.server.config_path) for place in places]
        yield _Newborn(servers, looked, alone)


@pytest.fixture(params=range(len(ENGINES)), ids=ENGINES)
def met(request: pytest.FixtureRequest, pair: list[Server], tmp_path: Path) -> Place:
    """Where a case takes place whose server has met another one and failed to reach others."""
    place = meeting.at_met(pair, request.param, tmp_path)
    meeting.fail_to_reach(place.server)
    meeting.wait_for_delivery(pair[request.param], pair[1 - request.param])
    return place


def _ask(place: Place, **asked: t.Any) -> Result:
    """Ask in check mode and for real, which must agree, which servers are talked to and ever were."""
    parameters: Parameters = {"talking_to": True, "ever_federated": True, **asked}
    return prove(place, Expectation("ask", _MODULE, parameters=lambda place: parameters, changes=False))


def _look(place: Place) -> list[Result]:
    """Ask for everything from the API alone, from the API and the database, and from the database alone."""
    ways: list[tuple[str, list[str]]] = [
        ("api", []),
        ("api", place.server.config_path),
        ("database", place.server.config_path),
    ]
    looked = [_ask(place, method=method, config_path=paths, rooms=True) for method, paths in ways]
    assert looked[0]["destinations"] == looked[1]["destinations"] == looked[2]["destinations"]
    assert len({found["ever_federated"]["verdict"] for found in looked}) == 1
    assert looked[1]["talking_to"] == looked[2]["talking_to"]
    assert looked[1]["ever_federated"] == looked[2]["ever_federated"]
    assert [found["method"] for found in looked] == ["api", "api", "database"]
    assert [found["server_name"] for found in looked] == [place.server.name] * 3
    assert [found["unseen"] for found in looked] == [_UNSEEN_BY_API, [], []]
    return looked


def _talked(found: Result) -> dict[str, list[str]]:
    return {str(row["server"]): list(row["evidence"]) for row in found["talking_to"]}


def _as_time(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@_of_newborn
@_engines
def test_has_met_nobody(newborn: _Newborn, number: int) -> None:
    for found in newborn.looked[number]:
        assert found["ever_federated"] == {"verdict": False, "evidence": []}
        assert found["talking_to"] == []
        assert found["destinations"] == []
        assert found["count"] == 0


@_of_newborn
@_engines
def test_is_alone_in_a_room(newborn: _Newborn, number: int) -> None:
    assert newborn.alone[number]["ever_federated"] == {"verdict": False, "evidence": []}
    assert newborn.alone[number]["talking_to"] == []


def test_has_met_another_one(met: Place, pair: list[Server]) -> None:
    rooms, (server, other) = meeting.meet(pair), (met.server, met.ids["other"])
    by_api, by_both, _by_database = _look(met)
    everybody = sorted((*meeting.DEAD, other))
    assert [row["destination"] for row in by_api["destinations"]] == everybody
    assert by_api["count"] == 3
    [found] = [row for row in by_api["destinations"] if row["destination"] == other]
    assert found["state"] == "ok"
    [there] = [each for each in pair if each.name == other]
    assert set(rooms) <= {room["room_id"] for room in found["rooms"]}
    assert found["rooms"] == [{**room, "delivered": True} for room in meeting.shared_rooms(server, there)]
    to_dead = {name: ["destinations"] for name in meeting.DEAD}
    assert _talked(by_api) == {**to_dead, other: ["destinations", "joined_members"]}
    assert _talked(by_both) == {**to_dead, other: ["destinations", "joined_members", "inbound"]}
    assert [row["server"] for row in by_both["talking_to"]] == everybody


def test_has_evidence_of_another_one(met: Place) -> None:
    by_api, by_both, _by_database = (found["ever_federated"] for found in _look(met))
    other = met.ids["other"]
    assert by_api["verdict"]
    assert [each["source"] for each in by_api["evidence"]] == ["destinations", "joined_members", "rooms"]
    everybody = {"source": "destinations", "count": 3, "servers": sorted((*meeting.DEAD, other))}
    sources = ("members", "inbound", "signing_keys", "rooms")
    assert by_both["evidence"] == [
        everybody,
        *({"source": source, "count": 1, "servers": [other]} for source in sources),
    ]


def test_tells_the_time_of_the_server(met: Place) -> None:
    shown = {row["destination"]: row for row in play(met, _MODULE, {})["destinations"]}
    listed = meeting.destinations(met.server)
    assert sorted(shown) == [known["destination"] for known in listed]
    for known in listed:
        row, tried = shown[known["destination"]], known["retry_last_ts"]
        following = tried + known["retry_interval"]
        assert row["failure_ts"] == known["failure_ts"]
        assert (row["retry_last_ts"] or 0) == tried
        assert row["retry_interval"] == known["retry_interval"]
        assert row["last_successful_stream_ordering"] == known["last_successful_stream_ordering"]
        assert row["state"] == ("backing_off" if row["destination"] in meeting.DEAD else "ok")
        assert (row["next_attempt_ts"] or 0) == following
        assert row["failing_since"] == (_as_time(known["failure_ts"]) if tried else None)
        assert row["last_attempt"] == (_as_time(tried) if tried else None)
        assert row["next_attempt"] == (_as_time(following) if tried else None)


@_of_newborn
@_engines
def test_has_left_another_one(newborn: _Newborn, number: int, tmp_path: Path) -> None:
    server, other = newborn.servers[number], newborn.servers[1 - number]
    place = Place(server, f"c{secrets.token_hex(4)}", tmp_path)

    def evidence() -> list[str]:
        return _talked(play(place, _MODULE, {"config_path": server.config_path, "talking_to": True}))[other.name]

    # In rooms of its own; the servers are in no others together.
    rooms = meeting.meet(newborn.servers, place.unique)
    try:
        # What has come from the other one may be noted a moment later.
        until(evidence, lambda found: found == ["destinations", "joined_members", "inbound"])
        _leave(server, rooms)
        # Until it has forgotten who is in them.
        until(evidence, lambda found: "joined_members" not in found)
        parted = _ask(place, config_path=server.config_path)
        assert parted["ever_federated"]["verdict"]
        assert _talked(parted)[other.name] == ["destinations", "inbound"]
    finally:
        for each in newborn.servers:
            _leave(each, rooms)


def _leave(server: Server, rooms: t.Iterable[str]) -> None:
    for room in rooms:
        server.send("POST", f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/leave", token=server.user_token)
