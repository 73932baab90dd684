# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_info tells of a server that nobody else uses, with rows of many rooms in its database."""

from __future__ import annotations

import contextlib
import json
import operator
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.tests.contract import database_rows, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.database_rows import LAYOUTS, ROOMS, UPDATE
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    Result,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_MODULE = "synapse_database_info"
_SQLITE, _POSTGRESQL = (
    pytest.param(engine, marks=pytest.mark.xdist_group(f"state rows on {engine}")) for engine in servers.ENGINES
)
# PostgreSQL alone can be sampled, and locks a table.
_only_postgresql = pytest.mark.parametrize("filled", [_POSTGRESQL], indirect=True)
_only_sqlite = pytest.mark.parametrize("filled", [_SQLITE], indirect=True)


class _Filled:
    """The servers that were started, by their engines, and how their rows lie."""

    def __init__(self, ended: contextlib.ExitStack) -> None:
        self._ended = ended
        self._started: dict[str, Server] = {}
        self._layouts: dict[str, str] = {}

    def server(self, engine: str) -> Server:
        if engine not in self._started:
            # What a new server does in the background is done at once.
            starting = servers.own_servers(engine, background_updates={"sleep_enabled": False})
            [server] = self._ended.enter_context(starting)
            _make_rooms(server)
            self._started[engine] = server
            self.lay_out(engine, LAYOUTS[0])
        return self._started[engine]

    def lay_out(self, engine: str, layout: str) -> None:
        if self._layouts.get(engine) != layout:
            database_rows.fill(self._started[engine], layout)
            self._layouts[engine] = layout


@pytest.fixture(scope="module")
def all_filled() -> t.Iterator[_Filled]:
    """The servers of this file, of which each is started when the first test asks for it."""
    with contextlib.ExitStack() as ended:
        yield _Filled(ended)


@pytest.fixture(params=[_SQLITE, _POSTGRESQL])
def filled(request: pytest.FixtureRequest, all_filled: _Filled, tmp_path: Path) -> Place:
    """A server with two rooms, and rows of many others that it knows nothing of."""
    return Place(all_filled.server(request.param), f"c{secrets.token_hex(4)}", tmp_path)


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """How the rows lie: in no order, or room by room."""
    return str(request.param)


@pytest.fixture
def laid_out(filled: Place, all_filled: _Filled, layout: str) -> Place:
    """The same with rows that lie in one way or the other, and where they lie does not matter to other tests."""
    all_filled.lay_out(filled.server.engine, layout)
    return filled


@pytest.fixture
def pending(filled: Place) -> t.Iterator[None]:
    """Let a background update be noted as not done while the test runs."""
    database_rows.note_update(filled.server)
    yield
    database_rows.forget_update(filled.server)


def _make_rooms(server: Server) -> None:
    token = server.speaking_as(server.user)
    lounge = server.make_room(token, name="Lounge", room_alias_name="lounge", preset="public_chat")
    rooms = [lounge, server.make_room(token)]
    states = [server.get(f"/_synapse/admin/v1/rooms/{room_id}/state")["state"] for room_id in rooms]
    counts = sorted(map(len, states), reverse=True)

    def counted(listed: list[Json]) -> bool:
        return [room["state_events"] for room in listed] == counts and listed[0]["canonical_alias"] is not None

    # Both are done in the background.
    until(lambda: _pending(server), operator.not_)
    until(lambda: _listed(server), counted)


def _pending(server: Server) -> list[t.Any]:
    return server.rows("SELECT update_name FROM background_updates")


def _listed(server: Server) -> list[Json]:
    return t.cast("list[Json]", server.get("/_synapse/admin/v1/rooms?order_by=state_events")["rooms"])


def _look(place: Place, **asked: t.Any) -> Result:
    """Look in check mode and for real, see that both tell the same, and return it."""
    parameters = {"config_path": place.server.config_path, **asked}
    # Synapse writes in the background.
    case = Expectation("look", _MODULE, lambda place: parameters, changes=False, unpredictable=("size", "tables"))
    return prove(place, case)


def _refused(place: Place, message: str, **asked: t.Any) -> None:
    parameters = {"config_path": place.server.config_path, **asked}
    prove_refusal(place, Refusal("look", _MODULE, lambda place: parameters, message))


def _estimate(place: Place, limit: int = 10, **asked: t.Any) -> tuple[list[Json], Json]:
    """Return the rooms, and what they were estimated from."""
    found = _look(place, limit=limit, biggest_rooms={"method": "estimate", **asked})
    return found["biggest_rooms"], found["sample"]


def test_background_updates_are_done(filled: Place) -> None:
    assert _look(filled)["background_updates"] == []
    assert filled.server.get("/_synapse/admin/v1/background_updates/status")["current_updates"] == {}


@pytest.mark.usefixtures("pending")
def test_background_update_that_is_not_done(filled: Place) -> None:
    assert _look(filled)["background_updates"] == [UPDATE]
    assert _look(filled, data_store="state")["background_updates"] == [UPDATE]


def test_background_update_is_forgotten(filled: Place) -> None:
    database_rows.note_update(filled.server)
    assert _look(filled)["background_updates"] == [UPDATE]
    database_rows.forget_update(filled.server)
    assert _look(filled)["background_updates"] == []


def test_description(filled: Place) -> None:
    before = database_rows.size(filled.server)
    found = _look(filled)
    locale = None if filled.server.engine == "sqlite" else "C"
    assert found["engine"] == filled.server.engine
    assert found["version"] == database_rows.version(filled.server)
    assert found["encoding"] == ("UTF-8" if filled.server.engine == "sqlite" else "UTF8")
    assert (found["collation"], found["ctype"]) == (locale, locale)
    assert found["accepted"] is True
    assert found["problems"] == []
    assert found["schema_version"] >= found["schema_compat_version"] > 80
    assert 1_000_000 < before <= found["size"] <= database_rows.size(filled.server)
    assert "biggest_rooms" not in found
    assert "sample" not in found


def test_tables_and_indexes(filled: Place) -> None:
    found = _look(filled)
    tables, indexes = found["tables"], found["indexes"]
    assert (len(tables), len(indexes)) == (10, 10)
    assert tables[0]["name"] == "state_groups_state"
    assert tables[0]["size"] > 1_000_000
    for listed in (tables, indexes):
        assert [entry["size"] for entry in listed] == sorted((entry["size"] for entry in listed), reverse=True)
    for table in tables:
        assert table["table_size"] + table["index_size"] == table["size"]
    assert (indexes[0]["name"], indexes[0]["table"]) == ("state_groups_state_type_idx", "state_groups_state")
    rows = filled.server.rows("SELECT COUNT(*) FROM state_groups_state")[0][0]
    if filled.server.engine == "sqlite":
        assert tables[0]["estimated_rows"] is None
    else:
        assert tables[0]["estimated_rows"] == pytest.approx(rows, rel=0.1)


def test_few_tables_and_indexes(filled: Place) -> None:
    found, few = _look(filled), _look(filled, limit=2)
    assert few["tables"] == found["tables"][:2]
    assert few["indexes"] == found["indexes"][:2]


@pytest.mark.usefixtures("pending")
def test_both_data_stores_are_in_one_database(filled: Place) -> None:
    main, state = _look(filled, data_store="main"), _look(filled, data_store="state")
    # Synapse writes in the background.
    left_out = ("size", "tables")
    assert {**state, **dict.fromkeys(left_out)} == {**main, **dict.fromkeys(left_out)}
    assert state["engine"] == filled.server.engine


@_only_sqlite
def test_data_stores_in_two_databases(filled: Place) -> None:
    stores = {"main": "homeserver.db", "state": "nonexistent.db"}
    databases = {
        store: {"name": "sqlite3", "args": {"database": f"/nonexistent/{name}"}, "data_stores": [store]}
        for store, name in stores.items()
    }
    databases["main"]["args"] = {"database": filled.server.database["database"]}
    path = _write(filled, "two", {"databases": databases})
    assert _look(filled, config_path=[path])["engine"] == "sqlite"
    _refused(filled, "nonexistent.db cannot be opened", config_path=[path], data_store="state")


@_only_sqlite
def test_database_by_the_directory_that_the_server_runs_in(filled: Place) -> None:
    relative = _write(filled, "relative", {"database": {"name": "sqlite3", "args": {"database": "homeserver.db"}}})
    directory = str(Path(filled.server.database["database"]).parent)
    found = _look(filled, config_path=[*filled.server.config_path, relative], chdir=directory)
    assert found["tables"][0]["name"] == "state_groups_state"


def test_biggest_rooms_counted(filled: Place) -> None:
    rooms = database_rows.biggest_rooms(filled.server)
    exact = {"method": "exact"}
    counted = [_look(filled, limit=1000, biggest_rooms=exact)["biggest_rooms"] for _time in range(2)]
    assert counted == [rooms, rooms]
    assert _look(filled, limit=3, biggest_rooms=exact)["biggest_rooms"] == rooms[:3]
    # Two rooms of the server, and many that it has no statistics of.
    assert len(rooms) == ROOMS + 2
    assert len([room for room in rooms if room["state_events"] is not None]) == 2
    assert [room["name"] for room in rooms].count("Lounge") == 1
    assert [room["canonical_alias"] for room in rooms].count(f"#lounge:{filled.server.name}") == 1


def test_biggest_rooms_asked_for(filled: Place) -> None:
    listed = _listed(filled.server)
    found = _look(filled, limit=10, biggest_rooms={"method": "api"})["biggest_rooms"]
    keys = ("room_id", "state_events", "name", "canonical_alias")
    assert [[room[key] for key in keys] for room in found] == [[room[key] for key in keys] for room in listed]
    assert len(found) == 2
    assert [room["state_rows"] for room in found] == [None, None]
    assert _look(filled, limit=1, biggest_rooms={"method": "api"})["biggest_rooms"] == found[:1]


@_only_postgresql
def test_estimate_depends_on_the_seed(laid_out: Place) -> None:
    # Without a seed it is the first one.
    (first, sample), (same, again), (other, another) = (
        _estimate(laid_out, sample_blocks=300, **seed) for seed in ({}, {"seed": 1}, {"seed": 2})
    )
    assert (first, sample) == (same, again)
    assert first != other
    assert (sample["blocks"], sample["seed"], another["seed"]) == (300, 1, 2)
    assert 20 * 300 < sample["rows"] < 100 * 300


@_only_postgresql
@pytest.mark.parametrize("asked", [{"seed": 1}, {"seed": 2}, {"sample_blocks": 1200}], ids=["one", "two", "more"])
def test_estimate_is_as_near_as_it_says(laid_out: Place, asked: Json) -> None:
    counted = {room["room_id"]: room["state_rows"] for room in database_rows.biggest_rooms(laid_out.server)}
    wanted = {"sample_blocks": 300, **asked}
    found, sample = _estimate(laid_out, **wanted)
    assert sample["blocks"] == wanted["sample_blocks"]
    assert len(found) == 10
    for room in found:
        assert room["standard_error"] > 0
        assert abs(room["state_rows"] - counted[room["room_id"]]) <= 5 * room["standard_error"], room
    assert found[0]["room_id"] == next(iter(counted))


@_only_postgresql
def test_estimate_from_more_blocks_is_nearer(laid_out: Place) -> None:
    few, many = (_estimate(laid_out, sample_blocks=blocks)[0][0] for blocks in (300, 1200))
    assert many["standard_error"] < few["standard_error"]


@_only_postgresql
def test_estimate_from_all_blocks_is_the_truth(laid_out: Place) -> None:
    found, sample = _estimate(laid_out, limit=1000, sample_blocks=100_000)
    assert sample["blocks"] == sample["total_blocks"] > 2000
    assert {room["standard_error"] for room in found} == {0}
    assert [{**room, "standard_error": None} for room in found] == database_rows.biggest_rooms(laid_out.server)


@_only_postgresql
def test_database_is_read_only_and_limited_for_one_transaction(filled: Place) -> None:
    arguments = {name: value for name, value in filled.server.database.items() if name != "name"}
    with Database(DatabaseSettings("psycopg2", arguments, "x"), statement_timeout=5) as database:
        assert database.rows("SHOW transaction_read_only") == [("on",)]
        assert database.rows("SHOW statement_timeout") == [("5s",)]
        database.write("COMMIT")
        # A pool of connections may hand the session on to Synapse.
        assert database.rows("SHOW statement_timeout") == [("0",)]


# This keeps everybody from writing.
@_only_postgresql
@pytest.mark.parametrize("method", ["exact", "estimate"])
def test_look_while_others_may_not_write(filled: Place, method: str) -> None:
    with database_rows.locked(filled.server, "EXCLUSIVE"):
        found = _look(filled, statement_timeout=20, biggest_rooms={"method": method})
    assert len(found["biggest_rooms"]) == 10


@_only_sqlite
@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_look_while_somebody_writes(filled: Place, mode: str) -> None:
    with database_rows.locked(filled.server, mode):
        found = _look(filled, statement_timeout=20, biggest_rooms={"method": "exact"})
    assert len(found["biggest_rooms"]) == 10


# This keeps everybody from reading, as a repair of the table does.
@_only_postgresql
@pytest.mark.parametrize("method", ["exact", "estimate"])
def test_look_while_others_may_not_read(filled: Place, method: str) -> None:
    message = r"took too long, more than 0\.3 seconds\. .* or raise statement_timeout"
    with database_rows.locked(filled.server, "ACCESS EXCLUSIVE"):
        _refused(filled, message, statement_timeout=0.3, biggest_rooms={"method": method})


@_only_sqlite
def test_query_that_takes_too_long(filled: Place) -> None:
    message = r"homeserver\.db stopped a query because it took too long, more than 0\.0001 seconds"
    _refused(filled, message, statement_timeout=0.0001, biggest_rooms={"method": "exact"})


def _write(place: Place, name: str, content: Json) -> str:
    path = place.directory / f"{name}.yaml"
    path.write_text(json.dumps(content))
    return str(path)
