# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who has power in a room, as its state says and its version defines it (room versions 1 to 12).

Relies on GET /_synapse/admin/v1/rooms/<id>/state and .../members of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import NotFound

_STATE = "/_synapse/admin/v1/rooms/{room_id}/state"
_MEMBERS = "/_synapse/admin/v1/rooms/{room_id}/members"
# From this room version on, who made the room stands above all power levels.
_CREATORS_STAND_ABOVE = 12
NO_LIMIT = float("inf")
_SINGLE = ("ban", "events_default", "invite", "kick", "redact", "state_default", "users_default")
_GROUPS = ("events", "notifications", "users")


class StateEvent(t.NamedTuple):
    """A state event of a room: who sent it, and its content. Without a sender there is none."""

    sender: str
    content: JsonObject


@dataclasses.dataclass(frozen=True)
class RoomPower:
    """Who may do what. `levels` is None for a room without power levels; `creators` stand above them.

    Of the `creators` the one who made the room is the last, as Synapse goes through them.
    """

    creator: str
    creators: tuple[str, ...]
    levels: t.Mapping[str, t.Any] | None

    def of(self, user_id: str) -> float:
        """Return the power of somebody, whether in the room or not."""
        if self.levels is None:
            return NO_LIMIT if user_id in {self.creator, *self.creators} else 0
        if user_id in self.creators:
            return NO_LIMIT
        return _level(_object(self.levels.get("users")).get(user_id), _level(self.levels.get("users_default"), 0))

    def required(self, kind: str) -> float:
        """Return the power that it takes to send a state event of that kind."""
        if self.levels is None:
            # Everything is free to everybody in it.
            return 0
        default = _level(self.levels.get("state_default"), 50)
        return _level(_object(self.levels.get("events")).get(kind), default)

    def required_to_invite(self) -> float:
        """Return the power that it takes to invite somebody."""
        return _level((self.levels or {}).get("invite"), 0)

    def named(self) -> list[str]:
        """Return who is named with a power of their own: those in the power levels, and then the creators.

        Without power levels it is who made the room, and nobody else.
        """
        if self.levels is None:
            return [self.creator]
        return list(dict.fromkeys([*_object(self.levels.get("users")), *self.creators]))

    def named_level(self, user_id: str) -> float | None:
        """Return the power that somebody is named with in the power levels, None if they are not."""
        named = _object((self.levels or {}).get("users")).get(user_id)
        return None if named is None else _level(named, 0)

    def is_whole(self) -> bool:
        """Whether every level is a whole number. Old room versions have others too, but none can be sent any more."""
        levels = self.levels or {}
        single = [levels[name] for name in _SINGLE if name in levels]
        groups = [levels[name] for name in _GROUPS if name in levels]
        if not all(isinstance(group, dict) for group in groups):
            return False
        every = [*single, *(level for group in groups for level in group.values())]
        return all(isinstance(level, int) and not isinstance(level, bool) for level in every)


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
    creators: tuple[str, ...] = ()
    if _stands_above(creation.content):
        others = creation.content.get("additional_creators")
        creators = (*(map(str, others) if isinstance(others, list) else ()), creation.sender)
    return RoomPower(creation.sender, creators, levels.content if levels.sender else None)


def read_joined(client: Client, room_id: str) -> list[str]:
    """Return the user ids of everybody who is joined to the room. Raises NotFound for a room that is not known."""
    return [str(user) for user in member(client.get(_MEMBERS, room_id=room_id), "members")]


def _stands_above(creation: JsonObject) -> bool:
    version = str(creation.get("room_version") or "1")
    return bool(re.fullmatch("[0-9]{1,4}", version)) and int(version) >= _CREATORS_STAND_ABOVE


def _object(value: t.Any) -> JsonObject:
    # The people in a room write what is in its state.
    return value if isinstance(value, dict) else {}


def _level(value: t.Any, default: float) -> float:
    # Old room versions allow a level to be written as text.
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return default
