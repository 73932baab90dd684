# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rooms synapse_room_info finds, by each method, on servers of which all rooms are known."""

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
METHODS = pytest.mark.parametrize("method", ["api", "database"])

# A value that is asked for or shown; one that only the server can tell is made of its rooms.
_Value = t.Any | t.Callable[[Rooms], t.Any]

_UNNAMED = frozenset({"lost", "met in 11", "met in 12"})


@dataclasses.dataclass(frozen=True)
class Query:
    """What is asked, and the words for the rooms that must be found, in their order.

    Those in a set come in the order of their ids, which only a run can know. `count`: if it is not their number.
    `shown`: what is told of each of them beside its row, by the words of the result.
    """

    title: str
    asked: dict[str, _Value]
    finds: tuple[str | frozenset[str], ...] = ()
    count: int | None = None
    shown: dict[str, _Value] = dataclasses.field(default_factory=dict)

    def parameters(self, rooms: Rooms) -> dict[str, t.Any]:
        """Return what the module is asked."""
        return _known(self.asked, rooms)

    def rows(self, rooms: Rooms) -> list[Row]:
        """Return what must be told."""
        words: list[str] = []
        for found in self.finds:
            words += [found] if isinstance(found, str) else sorted(found, key=lambda word: rooms.ids[word])
        return [{**rooms.rows[word], **_known(self.shown, rooms)} for word in words]


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
        "by name backwards, the first three",
        {"order_by": "name", "descending": True, "limit": 3},
        ("umlaut", "space", "funny"),
        count=7,
    ),
    Query(
        "by name backwards, without what has none first",
        {"order_by": "name", "descending": True},
        ("umlaut", "space", "funny", "percent", _UNNAMED),
    ),
    Query(
        "by main address, which few have",
        {"order_by": "canonical_alias"},
        ("met in 11", "met in 12", "funny", frozenset({"percent", "space", "umlaut", "lost"})),
    ),
    Query("by members", {"order_by": "joined_members", "limit": 1, "empty": True}, ("lost",)),
    Query("text with characters that Synapse takes for a pattern", {"name": "% fun_ro"}, ("percent",)),
    Query("text that only one of two similar names has", {"name": "N_R"}, ("percent",)),
    Query("text of a main address", {"name": "y/50%"}, ("funny",)),
    Query("text and public, where Synapse would find too much", {"name": "fun", "public": True}, ("percent",)),
    Query("text and not public", {"name": "fun", "public": False}, ("funny",)),
    Query("text beyond ASCII in capital letters", {"name": "ÜMLAUT"}, ("umlaut",)),
    Query("text that no room has", {"name": "%_%"}),
    Query("text and empty", {"name": "FUNNY", "empty": True}),
    Query("empty", {"empty": True, "blocked": True}, ("lost",), shown={"blocked": False}),
    Query("encrypted", {"encrypted": True}, ("umlaut",)),
    Query("spaces", {"room_type": "m.space"}, ("space",)),
    Query(
        "of a room version, by its name, not a space",
        {"version": "11", "order_by": "name", "room_type": ""},
        ("percent", frozenset({"lost", "met in 11"})),
    ),
    Query("only their number", {"count_only": True, "encrypted": False}, count=6),
    Query("only their number, whatever the limit", {"count_only": True, "limit": 2}, count=7),
    Query(
        "the servers in a room without a server name in its id",
        {"room": _id("met in 12"), "servers": True},
        ("met in 12",),
        shown={"servers": lambda rooms: rooms.servers},
    ),
    Query(
        "the servers in a room with one",
        {"room": _id("met in 11"), "servers": True, "members": True},
        ("met in 11",),
        shown={"servers": lambda rooms: rooms.servers, "members": lambda rooms: rooms.people},
    ),
    Query(
        "the servers in a room that everybody has left",
        {"room": _id("lost"), "servers": True, "members": True, "state": True},
        ("lost",),
        shown={"servers": [], "members": [], "state": _state("lost")},
    ),
    Query("the state of a room", {"name": "space", "state": True}, ("space",), shown={"state": _state("space")}),
    Query("a room that is not what else is asked for", {"room": _id("space"), "encrypted": True}),
    Query("a room that does not exist", {"room": f"!{'a' * 43}", "members": True}),
    Query("an alias that points to none", {"room": "#nowhere"}),
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


def look(rooms: Rooms, method: str, expected: list[Row], *, count: int | None = None, **asked: t.Any) -> Result:
    """Check and run, and see that both tell the expected rows and change nothing; return the result."""
    number = len(expected) if count is None else count
    case = Expectation(
        "look",
        _MODULE,
        lambda _place: {"method": method, "config_path": rooms.server.config_path, **asked},
        changes=False,
        # In the database without a token.
        token=method == "api",
        state=lambda _place: rooms.stored(),
        returns=lambda _place: {"rooms": expected, "count": number, "method": method},
    )
    return prove(Place(rooms.server, "rooms", Path(rooms.server.directory)), case)


@METHODS
@pytest.mark.parametrize("query", [pytest.param(query, id=query.title) for query in QUERIES])
def test_found(rooms: Rooms, method: str, query: Query) -> None:
    look(rooms, method, query.rows(rooms), count=query.count, **query.parameters(rooms))


@METHODS
def test_what_is_told_of_them(rooms: Rooms, method: str) -> None:
    """The rows are the server's own: these are the values that the rooms were made with."""
    by_id = sorted(rooms.rows.values(), key=lambda row: str(row["room_id"]).casefold())
    told = {room["room_id"]: room for room in look(rooms, method, by_id)["rooms"]}

    def values(column: str) -> dict[str, t.Any]:
        return {word: told[room_id][column] for word, room_id in rooms.ids.items()}

    assert {word: name or "unnamed" for word, name in values("name").items()} == {
        "percent": "100% fun_ROOM",
        "funny": "1000 funny rooms",
        "umlaut": "Ümlaut",
        "space": "Space",
        **dict.fromkeys(_UNNAMED, "unnamed"),
    }
    assert [word for word, value in values("encryption").items() if value] == ["umlaut"]
    assert values("encryption")["umlaut"] == "m.megolm.v1.aes-sha2"
    assert [word for word, public in values("public").items() if public] == ["percent"]
    assert [word for word, kind in values("room_type").items() if kind == "m.space"] == ["space"]
    assert values("joined_members") == {**dict.fromkeys(rooms.ids, 1), "lost": 0, "met in 11": 2, "met in 12": 2}
    assert values("joined_local_members") == {**dict.fromkeys(rooms.ids, 1), "lost": 0}


@METHODS
@pytest.mark.parametrize("whole", [False, True], ids=["short", "in full"])
def test_members_of_the_room_that_an_alias_points_to(rooms: Rooms, method: str, whole: bool) -> None:
    alias = f"#met_here:{rooms.server.name}" if whole else "#met_here"
    [row] = [row for row in rooms.rows.values() if row["canonical_alias"] == f"#met_here:{rooms.server.name}"]
    look(rooms, method, [{**row, "members": rooms.people}], room=alias, members=True)


@METHODS
def test_a_room_that_is_blocked(place: Place, method: str) -> None:
    def make(place: Place) -> None:
        place.server.make_account(f"{place.unique}-creator")
        place.ids["room"] = place.server.make_room(place.server.speaking_as(place.user("creator")))
        play(place, "synapse_room", {"room_id": place.ids["room"], "blocked": True})
        wait_until_counted(place.server)

    case = Expectation(
        "blocked",
        _MODULE,
        lambda place: {
            "room_id": place.ids["room"],
            "method": method,
            "config_path": place.server.config_path,
            "blocked": True,
            "members": True,
        },
        prepare=make,
        changes=False,
        state=lambda place: place.server.get(f"{path_of(place.ids['room'])}/block"),
        returns=lambda place: {"rooms": lambda rooms: len(rooms) == 1, "count": 1},
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
    return {"method": "database", "config_path": place.server.config_path, **more}


REFUSALS = (
    _refusal("what is no room id", parameters=lambda place: {"room": "lobby"}, message="is not a room id"),
    _refusal(
        "what is no room id, in the database",
        parameters=lambda place: _database(place, room="lobby"),
        message="is not a room id",
    ),
    _refusal("what is no alias", parameters=lambda place: {"room": "#my lobby"}, message="is not a room alias"),
    _refusal(
        "what is no alias, in the database",
        parameters=lambda place: _database(place, room="#my lobby"),
        message="is not a room alias",
    ),
    _refusal("no rooms at all", parameters=lambda place: {"limit": 0}, message="limit is 0: it must be at least 1"),
    _refusal(
        "no rooms at all, in the database",
        parameters=lambda place: _database(place, limit=0),
        message="limit is 0: it must be at least 1",
    ),
    _refusal(
        "the token of somebody who is no admin",
        parameters=lambda place: {"access_token": place.server.user_token},
        message="not a server admin",
    ),
    _refusal(
        "an unreachable server",
        parameters=lambda place: {"base_url": "http://127.0.0.1:1"},
        message="Connection refused",
    ),
    _refusal(
        "a configuration that is not there",
        parameters=lambda place: {"method": "database", "config_path": ["/nonexistent/homeserver.yaml"]},
        message="/nonexistent/homeserver.yaml",
    ),
    _refusal(
        "a database without a configuration",
        parameters=lambda place: {"method": "database"},
        message="method is database but all of the following are missing: config_path",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
