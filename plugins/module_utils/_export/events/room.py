# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The facts about a room of an export, read from its events without storing them."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import (
    Event,
    content_of,
    is_change,
    word,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import timestamp

_PENDING_FILES = {"invite_state": "invite", "knock_state": "knock"}
_LONGEST_NAME = 120
_LONGEST_TEXT = 1000
_STATED_IN_CONVERSATION = 3


class Member(t.NamedTuple):
    """The membership of a user in a room. `depth` is that of its event: the deepest event is the newest."""

    depth: int
    membership: str
    name: str


@dataclasses.dataclass
class Room:
    """A room of `user_id`. `number` is its position in the list of rooms, `path` the directory with its files.

    `facts` contains texts of the room's state, each with the depth of its event. Times are in milliseconds since 1970.
    `pending` is "invite", "knock" or "" (the account was in the room).
    """

    number: int
    room_id: str
    path: str
    user_id: str
    pending: str = ""
    facts: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)
    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    events: int = 0
    encrypted_messages: int = 0
    first: int | None = None
    last: int | None = None
    own_event: Event | None = None

    def read(self) -> None:
        """Read all files of the room. Raises SynapseError if one of them is damaged."""
        for name, membership in _PENDING_FILES.items():
            if os.path.exists(os.path.join(self.path, name)):
                self.pending = membership
                for stripped in read_optional(os.path.join(self.path, name)):
                    self._observe_state(stripped, depth=-1)
        directory = os.path.join(self.path, "state")
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            for stated in read_optional(os.path.join(directory, name)):
                self._observe_state(stated)
        for event in self.read_events():
            self._observe(event)

    def read_events(self) -> t.Iterator[Event]:
        """Yield the events that the account could see, in Synapse's order."""
        return read_optional(os.path.join(self.path, "events"))

    def fact(self, name: str) -> str:
        """Return the newest text of the room's state with this name, "" if there is none."""
        return self.facts.get(name, (0, ""))[1]

    def name(self) -> str:
        """Return the display name of the room: its name, its alias, or its members."""
        others = [member.name or user_id for user_id, member in self._others()][:_STATED_IN_CONVERSATION]
        return (
            self.fact("name")
            or self.fact("alias")
            or (f"Conversation with {', '.join(others)}" if others else "Room without a name")
        )

    def own_membership(self) -> str:
        """Return the account's membership, "" if the export does not show it."""
        own = self.members.get(self.user_id)
        return own.membership if own else ""

    def joined(self) -> int:
        """Return the number of members of the room that the export shows."""
        return sum(member.membership == "join" for member in self.members.values())

    def names(self) -> dict[str, str]:
        """Return the names of all members that have one, by user ID."""
        return {user_id: member.name for user_id, member in self.members.items() if member.name}

    def _others(self) -> list[tuple[str, Member]]:
        others = [(user_id, member) for user_id, member in self.members.items() if user_id != self.user_id]
        present = [(user_id, member) for user_id, member in others if member.membership in ("join", "invite")]
        return present or others

    def _observe(self, event: Event) -> None:
        self.events += 1
        self.encrypted_messages += event.get("type") == "m.room.encrypted"
        time = timestamp(event.get("origin_server_ts"))
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.last = time if self.last is None else max(self.last, time)
        if is_change(event):
            self._observe_state(event)
            unsigned = event.get("unsigned")
            stripped = unsigned.get("invite_room_state") if isinstance(unsigned, dict) else None
            if self.pending and isinstance(stripped, list):
                for found in stripped:
                    if isinstance(found, dict):
                        self._observe_state(found, depth=-1)

    def _observe_state(self, event: Event, depth: int | None = None) -> None:
        given = event.get("depth")
        place = depth if depth is not None else given if isinstance(given, int) else 0
        kind, key, content = event.get("type"), word(event, "state_key"), content_of(event)
        if kind == "m.room.member":
            known = self.members.get(key)
            if known is None or place >= known.depth:
                # A member that leaves has no name any more, but the messages stay.
                name = word(content, "displayname")[:_LONGEST_NAME] or (known.name if known else "")
                self.members[key] = Member(place, word(content, "membership")[:10], name)
                if key == self.user_id:
                    self.own_event = event
        elif not key:
            for name, value in _facts(kind, content):
                if place >= self.facts.get(name, (place, ""))[0]:
                    self.facts[name] = (place, value[:_LONGEST_TEXT])


def read_optional(path: str) -> t.Iterator[dict[str, t.Any]]:
    """Yield the objects in a file, none if there is no such file. Raises SynapseError if it is damaged."""
    if os.path.exists(path):
        yield from read_objects(path)


def _facts(kind: object, content: dict[str, t.Any]) -> t.Iterator[tuple[str, str]]:
    """Yield the needed texts of a state event."""
    if kind == "m.room.create":
        yield "version", word(content, "room_version") or "1"
        yield "kind", word(content, "type")
    elif kind == "m.room.name":
        yield "name", word(content, "name")
    elif kind == "m.room.topic":
        yield "topic", word(content, "topic")
    elif kind == "m.room.canonical_alias":
        yield "alias", word(content, "alias")
    elif kind == "m.room.encryption":
        yield "encryption", word(content, "algorithm") or "unknown"
    elif kind == "m.room.tombstone":
        yield "closed", word(content, "body") or "The room was replaced by another one."
