# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rooms synapse_room_info returns from each source, on servers whose rooms are all known."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    Result,
    named,
    play,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.known_rooms import (
    Rooms,
    Row,
    make_rooms,
    path_of,
    wait_until_counted,
)

_MODULE = "synapse_room_info"
SOURCES = pytest.mark.parametrize("source", ["admin_api", "database"])

# A parameter or a returned value. If it depends on the server, it is a function of its rooms.
_Value = t.Any | t.Callable[[Rooms], t.Any]

_UNNAMED = frozenset({"lost", "met in 11", "met in 12"})


@dataclasses.dataclass(frozen=True)
class Query:
    """Parameters, and the words for the rooms that must be found, in their order.

    Those in a set are in the order of their ids, which only a run can know. `total`: if it is not their number.
    `gathered`: what is returned for each of them in addition to its row.
    """

    title: str
    asked: dict[str, _Value]
    finds: tuple[str | frozenset[str], ...] = ()
    total: int | None = None
    gathered: dict[str, _Value] = dataclasses.field(default_factory=dict)

    def parameters(self, rooms: Rooms) -> dict[str, t.Any]:
        """Return the parameters of the module."""
        return _known(self.asked, rooms)

    def rows(self, rooms: Rooms) -> list[Row]:
        """Return the rows that must be returned."""
        words: list[str] = []
        for found in self.finds:
            words += [found] if isinstance(found, str) else sorted(found, key=lambda word: rooms.ids[word])
        return [{**rooms.rows[word], **_known(self.gathered, rooms)} for word in words]


def _known(values: dict[str, _Value], rooms: Rooms) -> dict[str, t.Any]:
    return {name: value(rooms) if callable(value) else value for name, value in values.items()}


def _id(word: str) -> t.Callable[[Rooms], str]:
    return lambda rooms: rooms.ids[word]


def _state(word: str) -> t.Callable[[Rooms], list[Row]]:
    """The state as the server itself shows it."""

    def read(rooms: Rooms) -> list[Row]:
        names = ("event_id", "type", "state_key", "sender", "origin_server_ts", "content")
        events = rooms.server.get(f"{path_of(rooms.ids[word])}/state")["state"]
        shown = [{name: event[name] for name in names} for event in events]
        return sorted(shown, key=lambda event: (event["type"], event["state_key"]))

    return read


QUERIES = (
    Query("all, by name", {"order_by": "name"}, ("percent", "funny", "space", "umlaut", _UNNAMED)),
    Query(
        "by name in descending order, the first three",
        {"order_by": "name", "descending": True, "limit": 3},
        ("umlaut", "space", "funny"),
        total=7,
    ),
    Query(
        "by name in descending order, those without a name last",
        {"order_by": "name", "descending": True},
        ("umlaut", "space", "funny", "percent", _UNNAMED),
    ),
    Query(
        "by canonical alias, which few have",
        {"order_by": "canonical_alias"},
        ("met in 11", "met in 12", "funny", frozenset({"percent", "space", "umlaut", "lost"})),
    ),
    Query("by members", {"order_by": "joined_members", "limit": 1, "empty": True}, ("lost",)),
    Query("text with characters of SQL patterns", {"search": "% fun_ro"}, ("percent",)),
    Query("text that only one of two similar names has", {"search": "N_R"}, ("percent",)),
    Query("text of a canonical alias", {"search": "y/50%"}, ("funny",)),
    Query(
        "text and public, for which the search of Synapse finds too much",
        {"search": "fun", "public": True},
        ("percent",),
    ),
    Query("text and not public", {"search": "fun", "public": False}, ("funny",)),
    Query("text beyond ASCII in capital letters", {"search": "ÜMLAUT"}, ("umlaut",)),
    Query("text that no room has", {"search": "%_%"}),
    Query("text and empty", {"search": "FUNNY", "empty": True}),
    Query("empty", {"empty": True, "gather": ["blocked"]}, ("lost",), gathered={"blocked": False}),
    Query("encrypted", {"encrypted": True}, ("umlaut",)),
    Query("spaces", {"room_type": "m.space"}, ("space",)),
    Query(
        "of a room version, by its name, not a space",
        {"room_version": "11", "order_by": "name", "room_type": ""},
        ("percent", frozenset({"lost", "met in 11"})),
    ),
    Query(
        "by room version",
        {"order_by": "room_version", "encrypted": False, "room_type": ""},
        (frozenset({"percent", "lost", "met in 11"}), frozenset({"funny", "met in 12"})),
    ),
    Query("only their number", {"count_only": True, "encrypted": False}, total=6),
    Query("only their number, whatever the limit", {"count_only": True, "limit": 2}, total=7),
    Query(
        "the servers in a room without a server name in its id",
        {"room": _id("met in 12"), "gather": ["servers"]},
        ("met in 12",),
        gathered={"servers": lambda rooms: rooms.servers},
    ),
    Query(
        "the servers in a room with one",
        {"room": _id("met in 11"), "gather": ["servers", "members"]},
        ("met in 11",),
        gathered={"servers": lambda rooms: rooms.servers, "members": lambda rooms: rooms.people},
    ),
    Query(
        "the servers in a room that all members have left",
        {"room": _id("lost"), "gather": ["servers", "members", "state"]},
        ("lost",),
        gathered={"servers": [], "members": [], "state": _state("lost")},
    ),
    Query(
        "the state of a room", {"search": "space", "gather": ["state"]}, ("space",), gathered={"state": _state("space")}
    ),
    Query("a room that does not match another filter", {"room": _id("space"), "encrypted": True}),
    Query("a room that does not exist", {"room": f"!{'a' * 43}", "gather": ["members"]}),
    Query("an alias that points to no room", {"room": "#nowhere"}),
)


@pytest.fixture(scope="module")
def pair_known() -> t.Iterator[list[Rooms]]:
    """Two servers that federate, on SQLite and on PostgreSQL, and all their rooms."""
    settings = {"room_list_publication_rules": [{"action": "allow"}], "presence": {"enabled": False}}
    with servers.own_servers(*servers.ENGINES, federating=True, **settings) as started:
        yield make_rooms(started)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group("known rooms")) for name in servers.ENGINES])
def rooms(request: pytest.FixtureRequest, pair_known: list[Rooms]) -> Rooms:
    """All rooms of a server on each engine."""
    [found] = [known for known in pair_known if known.server.engine == request.param]
    return found


def look(rooms: Rooms, source: str, expected: list[Row], *, total: int | None = None, **asked: t.Any) -> Result:
    """Check and run, and prove that both return the expected rows and change nothing. Return the result."""
    summary = {"total": len(expected) if total is None else total}
    case = Expectation(
        "look",
        _MODULE,
        lambda _place: {"source": source, "config_path": rooms.server.config_path, **asked},
        changes=False,
        # The database needs no token.
        token=source == "admin_api",
        state=lambda _place: rooms.stored(),
        returns=lambda _place: {"rooms": expected, "summary": summary, "source": source},
    )
    return prove(Place(rooms.server, "rooms", Path(rooms.server.directory)), case)


@SOURCES
@pytest.mark.parametrize("query", [pytest.param(query, id=query.title) for query in QUERIES])
def test_found(rooms: Rooms, source: str, query: Query) -> None:
    look(rooms, source, query.rows(rooms), total=query.total, **query.parameters(rooms))


@SOURCES
def test_the_returned_values(rooms: Rooms, source: str) -> None:
    """The rows come from the server. These are the values that the rooms were created with."""
    by_id = sorted(rooms.rows.values(), key=lambda row: str(row["room_id"]).encode())
    returned = {room["room_id"]: room for room in look(rooms, source, by_id)["rooms"]}

    def values(column: str) -> dict[str, t.Any]:
        return {word: returned[room_id][column] for word, room_id in rooms.ids.items()}

    assert {word: name or "unnamed" for word, name in values("name").items()} == {
        "percent": "100% fun_ROOM",
        "funny": "1000 funny rooms",
        "umlaut": "Ümlaut",
        "space": "Space",
        **dict.fromkeys(_UNNAMED, "unnamed"),
    }
    assert values("encryption") == {**dict.fromkeys(rooms.ids, ""), "umlaut": "m.megolm.v1.aes-sha2"}
    assert [word for word, public in values("public").items() if public] == ["percent"]
    assert values("room_type") == {**dict.fromkeys(rooms.ids, ""), "space": "m.space"}
    assert values("joined_members") == {**dict.fromkeys(rooms.ids, 1), "lost": 0, "met in 11": 2, "met in 12": 2}
    assert values("joined_local_members") == {**dict.fromkeys(rooms.ids, 1), "lost": 0}


@SOURCES
@pytest.mark.parametrize("whole", [False, True], ids=["short", "in full"])
def test_members_of_the_room_that_an_alias_points_to(rooms: Rooms, source: str, whole: bool) -> None:
    alias = f"#met_here:{rooms.server.name}" if whole else "#met_here"
    [row] = [row for row in rooms.rows.values() if row["canonical_alias"] == f"#met_here:{rooms.server.name}"]
    look(rooms, source, [{**row, "members": rooms.people}], room=alias, gather=["members"])


@SOURCES
def test_a_room_that_is_blocked(place: Place, source: str) -> None:
    def make(place: Place) -> None:
        place.server.make_account(f"{place.unique}-creator")
        place.ids["room"] = place.server.make_room(place.server.speaking_as(place.user("creator")))
        play(place, "synapse_room", {"room_id": place.ids["room"], "blocked": True})
        wait_until_counted(place.server)

    case = Expectation(
        "blocked",
        _MODULE,
        lambda place: {
            "room": place.ids["room"],
            "source": source,
            "config_path": place.server.config_path,
            "gather": ["blocked", "members"],
        },
        prepare=make,
        changes=False,
        state=lambda place: place.server.get(f"{path_of(place.ids['room'])}/block"),
        returns=lambda place: {"rooms": lambda rooms: len(rooms) == 1, "summary": {"total": 1}},
    )
    [room] = prove(place, case)["rooms"]
    assert {name: room[name] for name in ("room_id", "creator", "blocked", "members")} == {
        "room_id": place.ids["room"],
        "creator": place.user("creator"),
        "blocked": True,
        "members": [place.user("creator")],
    }


_refusal = functools.partial(Refusal, module=_MODULE)


def _database(place: Place, **more: t.Any) -> dict[str, t.Any]:
    return {"source": "database", "config_path": place.server.config_path, **more}


REFUSALS = (
    _refusal("an invalid room ID", parameters=lambda place: {"room": "lobby"}, message="is not a room ID"),
    _refusal(
        "an invalid room ID, in the database",
        parameters=lambda place: _database(place, room="lobby"),
        message="is not a room ID",
    ),
    _refusal("an invalid alias", parameters=lambda place: {"room": "#my lobby"}, message="is not a room alias"),
    _refusal(
        "an invalid alias, in the database",
        parameters=lambda place: _database(place, room="#my lobby"),
        message="is not a room alias",
    ),
    _refusal("a limit of zero", parameters=lambda place: {"limit": 0}, message="limit is 0, but it must be at least 1"),
    _refusal(
        "a limit of zero, in the database",
        parameters=lambda place: _database(place, limit=0),
        message="limit is 0, but it must be at least 1",
    ),
    _refusal(
        "the token of a user who is not a server admin",
        parameters=lambda place: {"access_token": place.server.user_token},
        message="not a server admin",
    ),
    _refusal(
        "an unreachable server",
        parameters=lambda place: {"base_url": "http://127.0.0.1:1"},
        message="Connection refused",
    ),
    _refusal(
        "a configuration that does not exist",
        parameters=lambda place: {"source": "database", "config_path": ["/nonexistent/homeserver.yaml"]},
        message="/nonexistent/homeserver.yaml",
    ),
    _refusal(
        "a detail that does not exist",
        parameters=lambda place: {"gather": ["members", "topic"]},
        message="value of gather must be one or more of: members, servers, state, blocked. Got no match for: topic",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
