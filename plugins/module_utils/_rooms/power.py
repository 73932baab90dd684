# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The power levels of a room, as its state contains them and its version defines them (room versions 1 to 12).

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
# Since this room version, the creators of a room have an unlimited power level.
_CREATORS_UNLIMITED = 12
NO_LIMIT = float("inf")
# The ends of sentences, after "because".
DESERTED = "no user of this server is in the room any more"
UNREADABLE = "this server cannot read the state of the room, for example because it no longer supports the room version"
# The numbers that JSON of Matrix can contain.
_LARGEST_INTEGER = 2**53 - 1
_SINGLE = ("ban", "events_default", "invite", "kick", "redact", "state_default", "users_default")
_GROUPS = ("events", "notifications", "users")


class StateEvent(t.NamedTuple):
    """A state event of a room: its sender and its content. The sender is empty if there is no such event."""

    sender: str
    content: JsonObject


@dataclasses.dataclass(frozen=True)
class RoomPower:
    """The power levels of a room. `levels` is None for a room without any; `creators` have an unlimited level.

    The user who created the room is the last of the `creators`, in the order in which Synapse reads them.
    """

    creator: str
    creators: tuple[str, ...]
    levels: t.Mapping[str, t.Any] | None

    def is_known(self) -> bool:
        """Whether the server can read the state of the room. It cannot if it does not support the room version."""
        return bool(self.creator)

    def of(self, user_id: str) -> float:
        """Return the power level of a user, who may be in the room or not."""
        if self.levels is None:
            return NO_LIMIT if user_id in {self.creator, *self.creators} else 0
        if user_id in self.creators:
            return NO_LIMIT
        return _level(_object(self.levels.get("users")).get(user_id), _level(self.levels.get("users_default"), 0))

    def required(self, kind: str) -> float:
        """Return the power level that is required to send a state event of that type."""
        if self.levels is None:
            # Every member may do everything.
            return 0
        default = _level(self.levels.get("state_default"), 50)
        return _level(_object(self.levels.get("events")).get(kind), default)

    def required_to_invite(self) -> float:
        """Return the power level that is required to invite a user."""
        return _level((self.levels or {}).get("invite"), 0)

    def listed(self) -> list[str]:
        """Return the users with a power level of their own: those in the power levels, and then the creators.

        Without power levels this is only the user who created the room.
        """
        if self.levels is None:
            return [self.creator]
        return list(dict.fromkeys([*_object(self.levels.get("users")), *self.creators]))

    def listed_level(self, user_id: str) -> float | None:
        """Return the power level that the power levels list for a user, None if they do not list the user."""
        listed = _object((self.levels or {}).get("users")).get(user_id)
        return None if listed is None else _level(listed, 0)

    def is_whole(self) -> bool:
        """Whether every level is an integer that can be sent. Old room versions can contain others."""
        levels = self.levels or {}
        single = [levels[name] for name in _SINGLE if name in levels]
        groups = [levels[name] for name in _GROUPS if name in levels]
        if not all(isinstance(group, dict) for group in groups):
            return False
        every = [*single, *(level for group in groups for level in group.values())]
        return all(
            isinstance(level, int) and not isinstance(level, bool) and abs(level) <= _LARGEST_INTEGER for level in every
        )


def read_state_event(client: Client, room_id: str, kind: str, key: str = "") -> StateEvent:
    """Return the current state event of a type. Its sender is empty if there is no such event."""
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
    """Return the power levels of a room. Raises what the client raises."""
    creation = read_state_event(client, room_id, "m.room.create")
    levels = read_state_event(client, room_id, "m.room.power_levels")
    creators: tuple[str, ...] = ()
    if _has_unlimited_creators(creation.content):
        others = creation.content.get("additional_creators")
        creators = (*(map(str, others) if isinstance(others, list) else ()), creation.sender)
    return RoomPower(creation.sender, creators, levels.content if levels.sender else None)


def read_joined(client: Client, room_id: str) -> list[str]:
    """Return the ids of the users who are joined to the room. Raises NotFound for a room that is not known."""
    return [str(user) for user in member(client.get(_MEMBERS, room_id=room_id), "members")]


def _has_unlimited_creators(creation: JsonObject) -> bool:
    version = str(creation.get("room_version") or "1")
    return bool(re.fullmatch("[0-9]{1,4}", version)) and int(version) >= _CREATORS_UNLIMITED


def _object(value: t.Any) -> JsonObject:
    # The state of a room is written by its members, so it can contain anything.
    return value if isinstance(value, dict) else {}


def _level(value: t.Any, default: float) -> float:
    # Old room versions allow a level to be a string.
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return default
