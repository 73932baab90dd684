# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rooms of every kind on two servers that federate, and what must be returned for each of them."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

Row = dict[str, t.Any]

_COLUMNS = (
    "room_id",
    "name",
    "canonical_alias",
    "joined_members",
    "joined_local_members",
    "creator",
    "encryption",
    "federatable",
    "public",
    "join_rules",
    "guest_access",
    "history_visibility",
    "state_events",
    "room_type",
)
_ENCRYPTION = {
    "type": "m.room.encryption",
    "state_key": "",
    "content": {"algorithm": "m.megolm.v1.aes-sha2"},
}
# How each is created, by a word for it. The names of the first two only differ in characters of SQL patterns.
_MADE: dict[str, dict[str, t.Any]] = {
    "percent": {"name": "100% fun_ROOM", "preset": "public_chat", "visibility": "public", "room_version": "11"},
    "funny": {"name": "1000 funny rooms", "room_version": "12", "room_alias_name": "money/50%"},
    "umlaut": {"name": "Ümlaut", "initial_state": [_ENCRYPTION]},
    "space": {"name": "Space", "creation_content": {"type": "m.space"}},
    # All members will leave it, and then it has no name any more.
    "lost": {"name": "Lost", "room_version": "11"},
}
# Rooms without a name in which only the user of each server is. The id in version 12 contains no server name.
_MET = ("met in 12", "met in 11")
_STORED = """
    SELECT current_state_events.room_id, type, state_key, event_id, is_public, blocked_rooms.user_id
    FROM current_state_events
    JOIN rooms ON rooms.room_id = current_state_events.room_id
    LEFT JOIN blocked_rooms ON blocked_rooms.room_id = current_state_events.room_id
"""


@dataclasses.dataclass(frozen=True)
class Rooms:
    """All rooms of a server.

    `ids` and `rows`: the id of each, and what must be returned for it, by the words for it. `people`: the members of
    the rooms that both servers are in. `servers`: the names of both.
    """

    server: Server
    ids: dict[str, str]
    rows: dict[str, Row]
    people: list[str]
    servers: list[str]

    def stored(self) -> dict[str, t.Any]:
        """Return what the database contains about the state of the rooms, the directory and blocks."""
        return {"rooms": sorted(self.server.rows(_STORED), key=repr)}


def make_rooms(pair: t.Sequence[Server]) -> list[Rooms]:
    """Create the rooms on each of two servers that have no others, and let the servers meet."""
    made = [_make(server) for server in pair]
    met = dict(zip(_MET, meeting.meet(pair), strict=True))
    people = sorted(server.user for server in pair)
    return [
        Rooms(server, {**ids, **met}, _rows(server, {**ids, **met}), people, sorted(each.name for each in pair))
        for server, ids in zip(pair, made, strict=True)
    ]


def wait_until_counted(server: Server) -> None:
    """Wait until the statistics of Synapse contain all events until now, which takes some time."""
    [[target]] = server.rows("SELECT MAX(stream_ordering) FROM events")
    until(lambda: server.rows("SELECT stream_id FROM stats_incremental_position WHERE stream_id >= ?", target), bool)


def path_of(room_id: str) -> str:
    """Return the path of a room in the Admin API."""
    return f"/_synapse/admin/v1/rooms/{meeting.quoted(room_id)}"


def _make(server: Server) -> dict[str, str]:
    ids = {word: server.make_room(server.user_token, **body) for word, body in _MADE.items()}
    server.send("POST", f"/_matrix/client/v3/rooms/{ids['lost']}/leave", {}, server.user_token)
    return ids


def _rows(server: Server, ids: dict[str, str]) -> dict[str, Row]:
    """Return the row of each room in Synapse's own list, after it has counted them, as the module returns it."""
    wait_until_counted(server)
    listed = {row["room_id"]: row for row in server.get("/_synapse/admin/v1/rooms?limit=100")["rooms"]}
    assert sorted(listed) == sorted(ids.values())
    rows = {
        word: {
            **{column: listed[room_id][column] for column in _COLUMNS},
            "room_version": listed[room_id]["version"],
        }
        for word, room_id in ids.items()
    }
    # All of them are counted, so only texts can be missing.
    return {
        word: {column: "" if value is None else value for column, value in row.items()} for word, row in rows.items()
    }
