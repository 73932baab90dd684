# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_info returns for a server that no other test uses, with rows of many rooms in its database."""

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
    play,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_MODULE = "synapse_database_info"
_SQLITE, _POSTGRESQL = (
    pytest.param(engine, marks=pytest.mark.xdist_group(f"state rows on {engine}")) for engine in servers.ENGINES
)
# Only PostgreSQL supports samples and locks on tables.
_only_postgresql = pytest.mark.parametrize("filled", [_POSTGRESQL], indirect=True)
_only_sqlite = pytest.mark.parametrize("filled", [_SQLITE], indirect=True)


class _Filled:
    """The servers that were started, by their engines, and the layout of their rows."""

    def __init__(self, ended: contextlib.ExitStack) -> None:
        self._ended = ended
        self._started: dict[str, Server] = {}
        self._layouts: dict[str, str] = {}

    def server(self, engine: str) -> Server:
        if engine not in self._started:
            # A new server then runs its background updates at once.
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
    """The servers of this file. Each is started when the first test uses it."""
    with contextlib.ExitStack() as ended:
        yield _Filled(ended)


@pytest.fixture(params=[_SQLITE, _POSTGRESQL])
def filled(request: pytest.FixtureRequest, all_filled: _Filled, tmp_path: Path) -> Place:
    """A server with two rooms, and rows of many others that it does not know."""
    return Place(all_filled.server(request.param), f"c{secrets.token_hex(4)}", tmp_path)


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    """The layout of the rows: in no order, or room by room."""
    return str(request.param)


@pytest.fixture
def laid_out(filled: Place, all_filled: _Filled, layout: str) -> Place:
    """The same with each layout of the rows, which does not matter to other tests."""
    all_filled.lay_out(filled.server.engine, layout)
    return filled


@pytest.fixture
def pending(filled: Place) -> t.Iterator[None]:
    """Let an unfinished background update exist while the test runs."""
    database_rows.add_update(filled.server)
    yield
    database_rows.remove_update(filled.server)


def _make_rooms(server: Server) -> None:
    token = server.speaking_as(server.user)
    lounge = server.make_room(token, name="Lounge", room_alias_name="lounge", preset="public_chat")
    rooms = [lounge, server.make_room(token)]
    states = [server.get(f"/_synapse/admin/v1/rooms/{room_id}/state")["state"] for room_id in rooms]
    counts = sorted(map(len, states), reverse=True)

    def counted(listed: list[Json]) -> bool:
        return [room["state_events"] for room in listed] == counts and listed[0]["canonical_alias"] is not None

    # Synapse does both in the background.
    until(lambda: _pending(server), operator.not_)
    until(lambda: _listed(server), counted)


def _pending(server: Server) -> list[t.Any]:
    return server.rows("SELECT update_name FROM background_updates")


def _listed(server: Server) -> list[Json]:
    return t.cast("list[Json]", server.get("/_synapse/admin/v1/rooms?order_by=state_events")["rooms"])


def _look(place: Place, **asked: t.Any) -> Result:
    """Run the module in check mode and for real, check that both agree, and return the result."""
    parameters = {"config_path": place.server.config_path, **asked}
    # Synapse writes in the background, so sizes may differ.
    case = Expectation("look", _MODULE, lambda place: parameters, changes=False, unpredictable=("database",))
    predicted = play(place, _MODULE, parameters, check=True)
    found = prove(place, case)
    assert _lasting(predicted["database"]) == _lasting(found["database"])
    assert found["unknown"] == []
    return found


def _lasting(database: Json) -> Json:
    """Return the values of a database that do not change in the background."""
    return {key: value for key, value in database.items() if key not in {"size", "tables"}}


def _refused(place: Place, message: str, **asked: t.Any) -> None:
    parameters = {"config_path": place.server.config_path, **asked}
    prove_refusal(place, Refusal("look", _MODULE, lambda place: parameters, message))


def _estimate(place: Place, limit: int = 10, **asked: t.Any) -> tuple[list[Json], Json]:
    """Return the rooms, and the sample."""
    found = _look(place, biggest_rooms={"mode": "estimate", "limit": limit, **asked})
    return found["biggest_rooms"], found["biggest_rooms_sample"]


def test_background_updates_are_finished(filled: Place) -> None:
    assert _look(filled)["database"]["background_updates"] == []
    assert filled.server.get("/_synapse/admin/v1/background_updates/status")["current_updates"] == {}


@pytest.mark.usefixtures("pending")
def test_background_update_that_is_not_finished(filled: Place) -> None:
    assert _look(filled)["database"]["background_updates"] == [UPDATE]
    assert _look(filled, data_store="state")["database"]["background_updates"] == [UPDATE]


def test_background_update_is_removed(filled: Place) -> None:
    database_rows.add_update(filled.server)
    assert _look(filled)["database"]["background_updates"] == [UPDATE]
    database_rows.remove_update(filled.server)
    assert _look(filled)["database"]["background_updates"] == []


def test_description(filled: Place) -> None:
    before = database_rows.size(filled.server)
    result = _look(filled)
    found = result["database"]
    locale = {} if filled.server.engine == "sqlite" else {"collation": "C", "ctype": "C"}
    assert found["engine"] == filled.server.engine
    assert found["version"] == database_rows.version(filled.server)
    assert found["encoding"] == ("UTF-8" if filled.server.engine == "sqlite" else "UTF8")
    assert {key: found[key] for key in ("collation", "ctype") if key in found} == locale
    assert found["accepted"] is True
    assert found["problems"] == []
    assert found["schema_version"] >= found["schema_compat_version"] > 80
    assert 1_000_000 < before <= found["size"] <= database_rows.size(filled.server)
    assert not {"biggest_rooms", "biggest_rooms_sample"} & set(result)


def test_tables_and_indexes(filled: Place) -> None:
    found = _look(filled)["database"]
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
        assert all("estimated_rows" not in table for table in tables)
    else:
        assert tables[0]["estimated_rows"] == pytest.approx(rows, rel=0.1)


def test_few_tables_and_indexes(filled: Place) -> None:
    found, few = (result["database"] for result in (_look(filled), _look(filled, table_limit=2, index_limit=3)))
    assert few["tables"] == found["tables"][:2]
    assert few["indexes"] == found["indexes"][:3]


@pytest.mark.usefixtures("pending")
def test_both_data_stores_are_in_one_database(filled: Place) -> None:
    main, state = (_look(filled, data_store=store)["database"] for store in ("main", "state"))
    assert _lasting(state) == _lasting(main)
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
    assert _look(filled, config_path=[path])["database"]["engine"] == "sqlite"
    _refused(filled, "nonexistent.db cannot be opened", config_path=[path], data_store="state")


@_only_sqlite
def test_database_in_the_working_directory_of_the_server(filled: Place) -> None:
    relative = _write(filled, "relative", {"database": {"name": "sqlite3", "args": {"database": "homeserver.db"}}})
    directory = str(Path(filled.server.database["database"]).parent)
    found = _look(filled, config_path=[*filled.server.config_path, relative], working_directory=directory)
    assert found["database"]["tables"][0]["name"] == "state_groups_state"


def test_biggest_rooms_counted(filled: Place) -> None:
    rooms = database_rows.biggest_rooms(filled.server)
    exact = {"mode": "exact", "source": "database"}
    counted = [_look(filled, biggest_rooms={**exact, "limit": 1000})["biggest_rooms"] for _time in range(2)]
    assert counted == [rooms, rooms]
    assert _look(filled, biggest_rooms={**exact, "limit": 3})["biggest_rooms"] == rooms[:3]
    assert _look(filled, biggest_rooms={"mode": "exact"})["biggest_rooms"] == rooms[:10]
    # Two rooms of the server, and many that it has no statistics of.
    assert len(rooms) == ROOMS + 2
    known = [room for room in rooms if "state_events" in room]
    aliases = (f"#lounge:{filled.server.name}", "")
    assert sorted((room["name"], room["canonical_alias"]) for room in known) == sorted(zip(("Lounge", ""), aliases))


def test_biggest_rooms_from_the_admin_api(filled: Place) -> None:
    listed = _listed(filled.server)
    by_api = {"source": "admin_api"}
    # The database needs no token, but the Admin API does.
    found = _look(filled, biggest_rooms=by_api)["biggest_rooms"]
    assert found == [
        {
            "room_id": room["room_id"],
            "name": room["name"] or "",
            "canonical_alias": room["canonical_alias"] or "",
            "state_events": room["state_events"],
        }
        for room in listed
    ]
    assert len(found) == 2
    assert _look(filled, biggest_rooms={**by_api, "limit": 1})["biggest_rooms"] == found[:1]


@_only_postgresql
def test_estimate_depends_on_the_seed(laid_out: Place) -> None:
    # The default of the seed is 1.
    (first, sample), (same, again), (other, another) = (
        _estimate(laid_out, sample_blocks=300, **seed) for seed in ({}, {"seed": 1}, {"seed": 2})
    )
    assert (first, sample) == (same, again)
    assert first != other
    assert (sample["blocks"], sample["seed"], another["seed"]) == (300, 1, 2)
    assert 20 * 300 < sample["rows"] < 100 * 300


@_only_postgresql
@pytest.mark.parametrize("asked", [{"seed": 1}, {"seed": 2}, {"sample_blocks": 1200}], ids=["one", "two", "more"])
def test_estimate_is_as_exact_as_it_reports(laid_out: Place, asked: Json) -> None:
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
def test_estimate_from_more_blocks_is_more_exact(laid_out: Place) -> None:
    few, many = (_estimate(laid_out, sample_blocks=blocks)[0][0] for blocks in (300, 1200))
    assert many["standard_error"] < few["standard_error"]


@_only_postgresql
def test_estimate_from_all_blocks_is_exact(laid_out: Place) -> None:
    found, sample = _estimate(laid_out, limit=1000, sample_blocks=100_000)
    assert sample["blocks"] == sample["total_blocks"] > 2000
    assert {room["standard_error"] for room in found} == {0}
    without_error = [{key: value for key, value in room.items() if key != "standard_error"} for room in found]
    assert without_error == database_rows.biggest_rooms(laid_out.server)


@_only_postgresql
def test_database_is_read_only_and_limited_for_one_transaction(filled: Place) -> None:
    arguments = {name: value for name, value in filled.server.database.items() if name != "name"}
    with Database(DatabaseSettings("psycopg2", arguments, "x"), statement_timeout=5) as database:
        assert database.rows("SHOW transaction_read_only") == [("on",)]
        assert database.rows("SHOW statement_timeout") == [("5s",)]
        database.write("COMMIT")
        # A connection pooler may reuse the session for Synapse.
        assert database.rows("SHOW statement_timeout") == [("0",)]


# The lock blocks other sessions that write.
@_only_postgresql
@pytest.mark.parametrize("mode", ["exact", "estimate"])
def test_read_while_others_may_not_write(filled: Place, mode: str) -> None:
    with database_rows.locked(filled.server, "EXCLUSIVE"):
        found = _look(filled, statement_timeout=20, biggest_rooms={"mode": mode})
    assert len(found["biggest_rooms"]) == 10


@_only_sqlite
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_read_while_another_session_writes(filled: Place, lock: str) -> None:
    with database_rows.locked(filled.server, lock):
        found = _look(filled, statement_timeout=20, biggest_rooms={"mode": "exact"})
    assert len(found["biggest_rooms"]) == 10


# The lock blocks other sessions that read, as a repair of the table does.
@_only_postgresql
@pytest.mark.parametrize("mode", ["exact", "estimate"])
def test_read_while_others_may_not_read(filled: Place, mode: str) -> None:
    message = r"took too long, more than 0\.3 seconds\. .* or raise statement_timeout"
    with database_rows.locked(filled.server, "ACCESS EXCLUSIVE"):
        _refused(filled, message, statement_timeout=0.3, biggest_rooms={"mode": mode})


@_only_sqlite
def test_query_that_takes_too_long(filled: Place) -> None:
    message = r"homeserver\.db stopped a query because it took too long, more than 0\.0001 seconds"
    _refused(filled, message, statement_timeout=0.0001, biggest_rooms={"mode": "exact"})


def _write(place: Place, name: str, content: Json) -> str:
    path = place.directory / f"{name}.yaml"
    path.write_text(json.dumps(content))
    return str(path)
