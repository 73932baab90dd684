# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Rooms: those that match filters, from the Admin API or from the database, and the details of one of them.

Relies on GET /_synapse/admin/v1/rooms, .../<id>, .../<id>/members, .../<id>/state and .../<id>/block, and on the tables
rooms, room_stats_state, room_stats_current, current_state_events and blocked_rooms of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import heapq
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_any_room_alias,
    parse_room_id,
    server_name_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.pointer import read_target

Row = dict[str, t.Any]

_LIST = "/_synapse/admin/v1/rooms"
_ROOM = "/_synapse/admin/v1/rooms/{room_id}"
# Large pages, because Synapse sorts and joins the whole table for each page.
_API_PAGE = 1000
_DATABASE_PAGE = 5000

ORDERS = (
    "room_id",
    "name",
    "canonical_alias",
    "joined_members",
    "joined_local_members",
    "state_events",
    "room_version",
    "creator",
)
# By the names that the rows of the API use. For a room without statistics, columns of the other two tables are NULL.
_COLUMNS = {
    "room_id": "rooms.room_id",
    "name": "about.name",
    "canonical_alias": "about.canonical_alias",
    "joined_members": "counts.joined_members",
    "joined_local_members": "counts.local_users_in_room",
    "version": "rooms.room_version",
    "creator": "rooms.creator",
    "encryption": "about.encryption",
    "federatable": "about.is_federatable",
    "public": "rooms.is_public",
    "join_rules": "about.join_rules",
    "guest_access": "about.guest_access",
    "history_visibility": "about.history_visibility",
    "state_events": "counts.current_state_events",
    "room_type": "about.room_type",
}
_TABLES = """rooms
    LEFT JOIN room_stats_state about ON about.room_id = rooms.room_id
    LEFT JOIN room_stats_current counts ON counts.room_id = rooms.room_id"""
_JOINED = """
    SELECT state_key FROM current_state_events
    WHERE room_id = ? AND type = 'm.room.member' AND membership = 'join' ORDER BY state_key
"""
_CURRENT_STATE = """
    SELECT events.event_id, event_json.json FROM current_state_events events
    INNER JOIN event_json ON event_json.event_id = events.event_id
    WHERE events.room_id = ? ORDER BY events.type, events.state_key
"""
# The keys of a state event that are returned. The others are only there for servers to verify it.
_RETURNED = ("type", "state_key", "sender", "origin_server_ts", "content")
# A text that is not set is returned empty. A number that is not known is left out.
_TEXTS = (
    "name",
    "canonical_alias",
    "creator",
    "encryption",
    "join_rules",
    "guest_access",
    "history_visibility",
    "room_type",
)
_NUMBERS = ("joined_members", "joined_local_members", "state_events")


@dataclasses.dataclass(frozen=True)
class RoomFilter:
    """Which rooms to return. None means: any value.

    `room`: a room ID or an alias, exactly. `search`: text that the name or the canonical alias contains, in upper or
    lower case, without special characters. `empty`: without joined members. `room_type`: "" for rooms without a type.
    """

    room: str | None = None
    search: str | None = None
    public: bool | None = None
    empty: bool | None = None
    encrypted: bool | None = None
    room_version: str | None = None
    room_type: str | None = None

    def matches(self, row: Row) -> bool:
        """Whether a row matches all filters except `room`."""
        found = {
            "public": row["public"],
            "empty": row.get("joined_members") == 0,
            "encrypted": row["encryption"] != "",
            "room_version": row["room_version"],
            "room_type": row["room_type"],
        }
        wanted = {name: getattr(self, name) for name in found}
        if any(value is not None and value != found[name] for name, value in wanted.items()):
            return False
        if self.search is None:
            return True
        text = self.search.casefold()
        return text in row["name"].casefold() or text in row["canonical_alias"].casefold()


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of the returned rooms, and how many are returned at most (None: all)."""

    by: str = "room_id"
    descending: bool = False
    limit: int | None = None

    def check(self) -> None:
        """Raise InvalidInput for a limit that is too low."""
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(
                f"limit is {self.limit}, but it must be at least 1. To count rooms, set count_only: true."
            )

    def choose(self, rows: t.Iterable[Row]) -> list[Row]:
        """Return the rows in order. At most `limit` rows are in memory at a time."""
        if self.limit is None:
            return sorted(rows, key=self._key)
        return heapq.nsmallest(self.limit, rows, key=self._key)

    def _key(self, row: Row) -> tuple[t.Any, ...]:
        """Missing values come last in both directions. Rows with the same value are in the order of their room IDs."""
        value = row.get(self.by, "")
        if value == "":
            return (1, 0, row["room_id"])
        if isinstance(value, int):
            return (0, -value if self.descending else value, row["room_id"])
        # Room ids are case-sensitive. The order of their code points is also that of their bytes in UTF-8.
        text = value if self.by == "room_id" else value.casefold()
        return (0, _Backwards(text) if self.descending else text, row["room_id"])


@dataclasses.dataclass(frozen=True)
class _Backwards:
    """A text that is sorted in descending order."""

    text: str

    def __lt__(self, other: _Backwards) -> bool:
        return other.text < self.text


class Found(t.NamedTuple):
    """The rows (none if only their number was requested), and how many rooms match the filters, whatever the limit."""

    rooms: list[Row]
    total: int


class RoomSource(t.Protocol):
    """Where rooms are read from."""

    def rows(self, wanted: RoomFilter) -> t.Iterator[Row]:
        """Yield at least the rows that match the filters."""

    def resolve(self, room: str) -> str | None:
        """Return the id of a room from its id or alias, or None if no room has that alias."""

    def joined(self, room_id: str) -> list[str]:
        """Return the ids of the joined members, sorted."""

    def state(self, room_id: str) -> list[JsonObject]:
        """Return the current state events, sorted by type and state key."""

    def is_blocked(self, room_id: str) -> bool:
        """Whether the users of this server are prevented from joining the room."""


def find_rooms(source: RoomSource, wanted: RoomFilter, order: Order, *, count_only: bool = False) -> Found:
    """Return the rooms that match the filters, in order. Raises InvalidInput, and what the source raises."""
    order.check()
    if wanted.room is not None:
        room_id = source.resolve(wanted.room)
        if room_id is None:
            return Found([], 0)
        wanted = dataclasses.replace(wanted, room=room_id)
    counter = _Counter(row for row in source.rows(wanted) if wanted.matches(row))
    if count_only:
        return Found([], sum(1 for _row in counter))
    rooms = order.choose(counter)
    return Found(rooms, counter.count)


def servers_of(user_ids: t.Iterable[str]) -> list[str]:
    """Return the server names of these users, with ports, sorted and without duplicates."""
    return sorted({server_name_of(user_id) for user_id in user_ids})


class _Counter:
    """Yields and counts every row once. A room that has moved in the list can be in two pages."""

    def __init__(self, rows: t.Iterable[Row]) -> None:
        self._rows = rows
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        return len(self._seen)

    def __iter__(self) -> t.Iterator[Row]:
        for row in self._rows:
            if row["room_id"] not in self._seen:
                self._seen.add(row["room_id"])
                yield row


class ApiRooms:
    """Rooms from the Admin API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def rows(self, wanted: RoomFilter) -> t.Iterator[Row]:
        """Yield at least the rows that match. Synapse's own search is not used: with a filter it finds too much."""
        if wanted.room is not None:
            try:
                yield _row(self._client.get(_ROOM, room_id=wanted.room))
            except NotFound:
                return
            return
        chosen = {"public_rooms": wanted.public, "empty_rooms": wanted.empty}
        parameters = {name: str(value).lower() for name, value in chosen.items() if value is not None}
        pages = self._client.pages(_LIST, "rooms", token="next_batch", limit=_API_PAGE, params=parameters)
        yield from (_row(room) for room in pages)

    def resolve(self, room: str) -> str | None:
        """Return the id of a room from its id or alias, or None if no room has that alias."""
        if not room.startswith("#"):
            return parse_room_id(room)
        return read_target(self._client, str(parse_any_room_alias(room, self._client.server_name)))

    def joined(self, room_id: str) -> list[str]:
        """Return the ids of the joined members, sorted."""
        return sorted(member(self._client.get(_ROOM + "/members", room_id=room_id), "members"))

    def state(self, room_id: str) -> list[JsonObject]:
        """Return the current state events, sorted by type and state key."""
        found = member(self._client.get(_ROOM + "/state", room_id=room_id), "state")
        events = [_returned(str(member(event, "event_id")), event) for event in found]
        return sorted(events, key=lambda event: (event["type"], event["state_key"]))

    def is_blocked(self, room_id: str) -> bool:
        """Whether the users of this server are prevented from joining the room."""
        return bool(member(self._client.get(_ROOM + "/block", room_id=room_id), "block"))


class StoredRooms:
    """Rooms from the database."""

    def __init__(self, database: Database, server_name: str) -> None:
        self._database = database
        self._server_name = server_name

    def rows(self, wanted: RoomFilter) -> t.Iterator[Row]:
        """Yield at least the rows that match the filters, page by page."""
        condition, values = ("rooms.room_id = ? AND ", [wanted.room]) if wanted.room is not None else ("", [])
        sql = (
            f"SELECT {', '.join(_COLUMNS.values())} FROM {_TABLES}"
            f" WHERE {condition}rooms.room_id > ? ORDER BY rooms.room_id LIMIT ?"
        )
        last = ""
        while True:
            page = self._database.rows(sql, *values, last, _DATABASE_PAGE)
            yield from (_row(dict(zip(_COLUMNS, row))) for row in page)
            if len(page) < _DATABASE_PAGE:
                return
            last = page[-1][0]

    def resolve(self, room: str) -> str | None:
        """Return the id of a room from its id or alias, or None if no room has that alias."""
        if not room.startswith("#"):
            return parse_room_id(room)
        alias = str(parse_any_room_alias(room, self._server_name))
        rows = self._database.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", alias)
        return str(rows[0][0]) if rows else None

    def joined(self, room_id: str) -> list[str]:
        """Return the ids of the joined members, sorted."""
        return sorted(str(row[0]) for row in self._database.rows(_JOINED, room_id))

    def state(self, room_id: str) -> list[JsonObject]:
        """Return the current state events, sorted by type and state key."""
        rows = self._database.rows(_CURRENT_STATE, room_id)
        events = [_returned(str(event_id), json.loads(text)) for event_id, text in rows]
        return sorted(events, key=lambda event: (event["type"], event["state_key"]))

    def is_blocked(self, room_id: str) -> bool:
        """Whether the users of this server are prevented from joining the room."""
        return bool(self._database.rows("SELECT room_id FROM blocked_rooms WHERE room_id = ?", room_id))


def _returned(event_id: str, event: JsonObject) -> JsonObject:
    return {"event_id": event_id, **{name: event[name] for name in _RETURNED if name in event}}


def _row(listed: JsonObject) -> Row:
    """Return a room as the module returns it, from a row of the API or of `_COLUMNS`."""
    federatable = listed.get("federatable")
    return {
        "room_id": member(listed, "room_id"),
        "room_version": listed.get("version") or "",
        **{name: listed.get(name) or "" for name in _TEXTS},
        **{name: listed[name] for name in _NUMBERS if listed.get(name) is not None},
        # A room is federatable unless its state says otherwise. The database contains a number instead of a boolean.
        "federatable": True if federatable is None else bool(federatable),
        "public": bool(listed.get("public")),
    }
