# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who has power in a room, as its state says and its version defines it (room versions 1 to 12).

Relies on GET /_synapse/admin/v1/rooms/<id>/state and .../members of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import NotFound

_STATE = "/_synapse/admin/v1/rooms/{room_id}/state"
_MEMBERS = "/_synapse/admin/v1/rooms/{room_id}/members"
# From this room version on, who made the room stands above all power levels.
_CREATORS_STAND_ABOVE = 12
NO_LIMIT = float("inf")


class StateEvent(t.NamedTuple):
    """A state event of a room: who sent it, and its content. Without a sender there is none."""

    sender: str
    content: JsonObject


@dataclasses.dataclass(frozen=True)
class RoomPower:
    """Who may do what. `levels` is None for a room without power levels; `creators` stand above them."""

    creator: str
    creators: frozenset[str]
    levels: t.Mapping[str, t.Any] | None

    def of(self, user_id: str) -> float:
        """Return the power of somebody, whether in the room or not."""
        if self.levels is None:
            return NO_LIMIT if user_id in {self.creator, *self.creators} else 0
        if user_id in self.creators:
            return NO_LIMIT
        return _level((self.levels.get("users") or {}).get(user_id), _level(self.levels.get("users_default"), 0))

    def required(self, kind: str) -> float:
        """Return the power that it takes to send a state event of that kind."""
        if self.levels is None:
            # Everything is free to everybody in it.
            return 0
        default = _level(self.levels.get("state_default"), 50)
        return _level((self.levels.get("events") or {}).get(kind), default)

    def named(self) -> list[str]:
        """Return who is named with a power of their own: the creators, and those in the power levels."""
        own = [self.creator] if self.levels is None else list(self.levels.get("users") or {})
        return list(dict.fromkeys([*sorted(self.creators), *own]))


def read_state_event(client: Client, room_id: str, kind: str, key: str = "") -> StateEvent:
    """Return the state event of a kind, as the room has it now; one without a sender if there is none."""
    try:
        events = member(client.get(_STATE, room_id=room_id, params={"type": kind}), "state")
    except NotFound:
        return StateEvent("", {})
    for event in events:
        if event.get("type") == kind and event.get("state_key") == key:
            content = event.get("content")
            return StateEvent(str(event.get("sender") or ""), content if isinstance(content, dict) else {})
    return StateEvent("", {})


def read_power(client: Client, room_id: str) -> RoomPower:
    """Return who has power in a room. Raises what the client raises."""
    creation = read_state_event(client, room_id, "m.room.create")
    levels = read_state_event(client, room_id, "m.room.power_levels")
    creators: set[str] = set()
    if _stands_above(creation.content):
        creators = {creation.sender, *(creation.content.get("additional_creators") or ())}
    return RoomPower(creation.sender, frozenset(creators), levels.content if levels.sender else None)


def read_joined(client: Client, room_id: str) -> list[str]:
    """Return the user ids of everybody who is joined to the room. Raises NotFound for a room that is not known."""
    return [str(user) for user in member(client.get(_MEMBERS, room_id=room_id), "members")]


def _stands_above(creation: JsonObject) -> bool:
    version = str(creation.get("room_version") or "1")
    return version.isdigit() and int(version) >= _CREATORS_STAND_ABOVE


def _level(value: t.Any, default: float) -> float:
    # Old room versions allow a level to be written as text.
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError):
        return default
