# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.biggest_rooms import (
    add_names,
    count_exactly,
    estimate,
    list_by_state_events,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
    QueryTimedOut,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    PermissionDenied,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ROOMS = "/_synapse/admin/v1/rooms"
STATE_ROWS = {"!big": 30, "!middle": 20, "!equal_b": 10, "!equal_a": 10, "!small:old.test": 1}


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> DatabaseSettings:
    path = tmp_path / "homeserver.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE state_groups_state (state_group BIGINT, room_id TEXT, type TEXT, state_key TEXT, event_id TEXT);
        CREATE TABLE room_stats_state (room_id TEXT UNIQUE, name TEXT, canonical_alias TEXT);
        CREATE TABLE room_stats_current (room_id TEXT PRIMARY KEY, current_state_events INT);
        INSERT INTO room_stats_state VALUES ('!middle', 'Middle', NULL), ('!equal_a', NULL, '#a:example.org');
        INSERT INTO room_stats_current VALUES ('!middle', 7), ('!small:old.test', 3);
        """
    )
    rows = [(number, room_id) for room_id, count in STATE_ROWS.items() for number in range(count)]
    connection.executemany("INSERT INTO state_groups_state VALUES (?, ?, 'm.room.member', '@a:b', '$e')", rows)
    connection.commit()
    connection.close()
    return DatabaseSettings("sqlite3", {"database": str(path)}, "/etc/homeserver.yaml")


def test_count_includes_rooms_without_statistics_and_orders_equal_ones(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert add_names(database, count_exactly(database, 10)) == [
            {"room_id": "!big", "state_rows": 30},
            {"room_id": "!middle", "state_rows": 20, "name": "Middle", "canonical_alias": "", "state_events": 7},
            {"room_id": "!equal_a", "state_rows": 10, "name": "", "canonical_alias": "#a:example.org"},
            {"room_id": "!equal_b", "state_rows": 10},
            {"room_id": "!small:old.test", "state_rows": 1, "state_events": 3},
        ]
        assert [found["room_id"] for found in count_exactly(database, 2)] == ["!big", "!middle"]


def test_names_of_many_rooms(settings: DatabaseSettings) -> None:
    rooms = [{"room_id": f"!{number}"} for number in range(1200)]
    with Database(settings) as database:
        named = add_names(database, [*rooms, {"room_id": "!middle"}])
    assert [found["room_id"] for found in named] == [*(found["room_id"] for found in rooms), "!middle"]
    assert [found["name"] for found in named if "name" in found] == ["Middle"]


def test_no_rooms(settings: DatabaseSettings) -> None:
    with Database(settings) as database:
        assert add_names(database, []) == []


def test_sqlite_is_not_sampled(settings: DatabaseSettings) -> None:
    message = r"needs PostgreSQL, but .*\.mode: exact, or .*\.source: admin_api"
    with Database(settings) as database, pytest.raises(InvalidInput, match=message):
        estimate(database, 10, blocks=5000, seed=1)


@pytest.mark.parametrize("blocks", [-1, 0, 1, 100_001])
def test_sample_has_limits(settings: DatabaseSettings, blocks: int) -> None:
    with (
        Database(settings) as database,
        pytest.raises(InvalidInput, match="biggest_rooms.sample_blocks must be between 2 and"),
    ):
        estimate(database, 10, blocks=blocks, seed=1)


class Scripted(Database):
    """Stands for a PostgreSQL: of a version that is not installed, or with a query that takes too long."""

    def __init__(self, *answers: t.Any) -> None:
        self._settings = DatabaseSettings("psycopg2", {}, "x")
        self._answers = list(answers)

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        answer = self._answers.pop(0)
        if isinstance(answer, SynapseError):
            raise answer
        return t.cast("list[tuple[t.Any, ...]]", answer)


def test_old_postgresql_is_not_sampled() -> None:
    with pytest.raises(
        InvalidInput, match="needs PostgreSQL 14 or later, but this is PostgreSQL 13. Set biggest_rooms.mode"
    ):
        estimate(Scripted([(100, 130012)]), 10, blocks=5000, seed=1)


def test_what_to_do_if_it_takes_too_long() -> None:
    with pytest.raises(QueryTimedOut, match="too long. Raise statement_timeout, or lower biggest_rooms.sample_blocks."):
        estimate(Scripted(QueryTimedOut("It took too long.")), 10, blocks=5000, seed=1)
    with pytest.raises(QueryTimedOut, match="too long. It reads the whole table .* biggest_rooms.mode: estimate."):
        count_exactly(Scripted(QueryTimedOut("It took too long.")), 10)


def test_sample_of_an_empty_table() -> None:
    found = estimate(Scripted([(0, 150000)], [], []), 10, blocks=5000, seed=1)
    assert (found.rooms, found.blocks, found.total_blocks, found.rows) == ([], 0, 0, 0)


def test_api_lists_at_most_the_limit(server: ScriptedServer) -> None:
    listed = [
        {"room_id": "!b", "name": "B", "canonical_alias": None, "state_events": 5},
        {"room_id": "!a", "name": None, "canonical_alias": "#a:b", "state_events": 5},
        {"room_id": "!c", "name": None, "canonical_alias": None, "state_events": 9},
    ]
    server.expect(
        Call(
            "GET",
            ROOMS,
            {"rooms": listed, "next_batch": 3},
            query={"order_by": "state_events", "limit": "3"},
            token="t",
        )
    )
    assert list_by_state_events(Client(server.base_url, "t"), 3) == [
        {"room_id": "!c", "name": "", "canonical_alias": "", "state_events": 9},
        {"room_id": "!a", "name": "", "canonical_alias": "#a:b", "state_events": 5},
        {"room_id": "!b", "name": "B", "canonical_alias": "", "state_events": 5},
    ]


def test_api_is_read_page_by_page(server: ScriptedServer) -> None:
    first = [{"room_id": f"!{number:04}", "state_events": 5} for number in range(1000)]
    server.expect(
        Call("GET", ROOMS, {"rooms": first, "next_batch": 1000}, query={"order_by": "state_events", "limit": "1000"}),
        Call("GET", ROOMS, {"rooms": [{"room_id": "!z", "state_events": 1}]}),
    )
    assert len(list_by_state_events(Client(server.base_url, "t"), 1500)) == 1001


def test_api_refuses(server: ScriptedServer) -> None:
    server.expect(Call("GET", ROOMS, {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}, status=403))
    with pytest.raises(PermissionDenied, match="not a server admin"):
        list_by_state_events(Client(server.base_url, "t"), 10)
    server.expect(Call("GET", ROOMS, {"rooms": [{}]}))
    with pytest.raises(UnexpectedAnswer):
        list_by_state_events(Client(server.base_url, "t"), 10)
