# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The rooms with the most rows in the table state_groups_state, counted or estimated, or with the most state events.

Relies on the tables state_groups_state (data store `state`), room_stats_state and room_stats_current (data store
`main`) of Synapse 1.163, and on GET /_synapse/admin/v1/rooms with order_by=state_events.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.block_sample import (
    BlockSample,
    choose_blocks,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, QueryTimedOut
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

Row = dict[str, t.Any]

# These are 800 megabytes: more would not be a sample.
_MOST_BLOCKS = 100_000
_LARGEST_PAGE = 1000
# Fewer than the maximum of variables in one statement of any SQLite.
_NAMES_AT_ONCE = 500

_OTHER_WAYS = "Set biggest_rooms.mode: exact, or biggest_rooms.source: admin_api."

# One row for each room, also for rooms without statistics or with several aliases.
_COUNT = "SELECT room_id, COUNT(*) FROM state_groups_state GROUP BY room_id ORDER BY COUNT(*) DESC, room_id LIMIT ?"

_BLOCKS = """
    SELECT pg_relation_size('state_groups_state') / current_setting('block_size')::int,
        current_setting('server_version_num')::int
"""
# OFFSET 0 prevents the planner from merging the subqueries, so each block is one scan of a range of row addresses.
_COUNT_IN_BLOCKS = """
    SELECT found.room_id, COUNT(*), array_agg(chosen.position) FILTER (WHERE chosen.position IS NOT NULL),
        SUM(COUNT(*)) OVER ()
    FROM (
        SELECT position, ('(' || block || ',0)')::tid AS first, ('(' || block + 1 || ',0)')::tid AS beyond
        FROM unnest(?::bigint[], ?::int[]) AS listed (block, position)
        OFFSET 0
    ) AS chosen, LATERAL (
        SELECT room_id FROM state_groups_state WHERE ctid >= chosen.first AND ctid < chosen.beyond
        OFFSET 0
    ) AS found
    GROUP BY found.room_id
    ORDER BY COUNT(*) DESC, found.room_id
    LIMIT ?
"""
# Compiling takes as long as the query, and a sequential scan would read the whole table for each block.
_PLANNER = """
    SELECT set_config('jit', 'off', true), set_config('enable_tidscan', 'on', true),
        set_config('enable_seqscan', 'off', true)
"""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The rooms, and the size of the sample: its blocks, the blocks of the table, and the rows in the sample."""

    rooms: list[Row]
    blocks: int
    total_blocks: int
    rows: int


def count_exactly(state: Database, limit: int) -> list[Row]:
    """Return the `limit` biggest rooms with `state_rows`, the biggest first. Reads the whole table.

    Raises QueryTimedOut, and what the database raises.
    """
    try:
        return [{"room_id": room_id, "state_rows": rows} for room_id, rows in state.rows(_COUNT, limit)]
    except QueryTimedOut as error:
        error.explain(
            "It reads the whole table state_groups_state. Raise statement_timeout, or set biggest_rooms.mode: estimate."
        )
        raise


def estimate(state: Database, limit: int, *, blocks: int, seed: int) -> Estimate:
    """Return the `limit` rooms with the most rows in `blocks` blocks of the table, with `standard_error`.

    Reads only these blocks, and writes or locks nothing. Raises InvalidInput if the database cannot do that,
    QueryTimedOut, and what the database raises.
    """
    if not 2 <= blocks <= _MOST_BLOCKS:
        raise InvalidInput(f"biggest_rooms.sample_blocks must be between 2 and {_MOST_BLOCKS}, not {blocks}.")
    if state.settings.engine == "sqlite3":
        raise InvalidInput(f"An estimate needs PostgreSQL, but Synapse uses {state.settings.shown}. {_OTHER_WAYS}")
    try:
        return _estimate(state, limit, blocks, seed)
    except QueryTimedOut as error:
        error.explain("Raise statement_timeout, or lower biggest_rooms.sample_blocks.")
        raise


def list_by_state_events(client: Client, limit: int) -> list[Row]:
    """Return the `limit` rooms with the most state events, from the statistics of Synapse.

    Raises what the client raises.
    """
    pages = client.pages(
        "/_synapse/admin/v1/rooms",
        "rooms",
        token="next_batch",
        limit=min(limit, _LARGEST_PAGE),
        params={"order_by": "state_events"},
    )
    rooms = [
        {
            "room_id": member(listed, "room_id"),
            "name": listed.get("name") or "",
            "canonical_alias": listed.get("canonical_alias") or "",
            **_counted(listed.get("state_events")),
        }
        for listed in itertools.islice(pages, limit)
    ]
    return sorted(rooms, key=lambda room: (-room.get("state_events", 0), room["room_id"]))


def add_names(main: Database, rooms: t.Sequence[Row]) -> list[Row]:
    """Return the rooms with their name, main alias and current state events, which are left out without statistics."""
    room_ids = [room["room_id"] for room in rooms]
    names = _look_up(main, "room_stats_state", "name, canonical_alias", room_ids)
    events = _look_up(main, "room_stats_current", "current_state_events", room_ids)
    named = []
    for room in rooms:
        shown = dict(room)
        if room["room_id"] in names:
            name, alias = names[room["room_id"]]
            shown.update(name=name or "", canonical_alias=alias or "")
        if room["room_id"] in events:
            shown.update(_counted(*events[room["room_id"]]))
        named.append(shown)
    return named


def _look_up(main: Database, table: str, columns: str, room_ids: t.Sequence[str]) -> dict[str, tuple[t.Any, ...]]:
    found: dict[str, tuple[t.Any, ...]] = {}
    for start in range(0, len(room_ids), _NAMES_AT_ONCE):
        some = room_ids[start : start + _NAMES_AT_ONCE]
        marks = ", ".join("?" * len(some))
        rows = main.rows(f"SELECT room_id, {columns} FROM {table} WHERE room_id IN ({marks})", *some)
        found.update((room_id, tuple(values)) for room_id, *values in rows)
    return found


def _estimate(state: Database, limit: int, blocks: int, seed: int) -> Estimate:
    [(total, version)] = state.rows(_BLOCKS)
    if version < 140000:
        raise InvalidInput(
            f"An estimate needs PostgreSQL 14 or later, but this is PostgreSQL {version // 10000}. {_OTHER_WAYS}"
        )
    state.rows(_PLANNER)
    sample = choose_blocks(total, blocks, seed)
    found = state.rows(_COUNT_IN_BLOCKS, list(sample.blocks), sample.noted, limit)
    rows = int(found[0][3]) if found else 0
    rows_per_block = rows / len(sample.blocks) if found else 0.0
    rooms = [_estimated(sample, rows_per_block, *row[:3]) for row in found]
    return Estimate(rooms, len(sample.blocks), total, rows)


def _estimated(
    sample: BlockSample, rows_per_block: float, room_id: str, rows: int, positions: t.Sequence[int] | None
) -> Row:
    error = sample.standard_error(rows, positions or (), rows_per_block)
    return {"room_id": room_id, "state_rows": sample.estimate(rows), "standard_error": error}


def _counted(state_events: int | None) -> Row:
    return {} if state_events is None else {"state_events": state_events}
