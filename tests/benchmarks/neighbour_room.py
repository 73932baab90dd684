# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A room of one version, with people who speak in it."""

from __future__ import annotations

import base64
import itertools
import os
import typing as t

from neighbour import MARK, Person, quoted

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json

_SENTENCES = (
    "the bridge is closed again, who has a key?",
    "se\u00f1or, the caf\u00e9 on the corner opens at nine \u2615",
    "nobody has seen the cat since Tuesday",
    "could you bring the ladder back before the rain comes",
    "\u6c34\u66dc\u65e5\u306b\u4f1a\u3044\u307e\u3057\u3087\u3046",
)


class Room:
    """A room of one version, with the people who are in it; the first of them has made it."""

    def __init__(self, number: int, people: t.Sequence[Person]) -> None:
        self.version = str(number + 1)
        self.encrypted = number % 4 == 2
        self.members = people
        state: list[Json] = []
        if self.encrypted:
            algorithm = {"algorithm": "m.megolm.v1.aes-sha2"}
            state.append({"type": "m.room.encryption", "state_key": "", "content": algorithm})
        if number % 3 == 1:
            visibility = {"history_visibility": "joined"}
            state.append({"type": "m.room.history_visibility", "state_key": "", "content": visibility})
        body = {
            "room_version": self.version,
            "preset": "public_chat",
            "visibility": "public" if number % 2 else "private",
            "room_alias_name": f"room-{self.version}",
            "name": f"Version {self.version} of {MARK}",
            "topic": f"What belongs into a room of version {self.version}",
            "initial_state": state,
        }
        self.room_id = str(people[0].ask("POST", "/createRoom", body)["room_id"])
        self.path = f"/rooms/{quoted(self.room_id)}"
        for person in people[1:]:
            person.ask("POST", f"/join/{quoted(self.room_id)}")

    def message(self, number: int, **more: t.Any) -> tuple[str, Json]:
        """Return type and content of a message."""
        if self.encrypted:
            content = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": f"session {number % 5} of {MARK}"}
            return "m.room.encrypted", {**content, "ciphertext": base64.b64encode(os.urandom(90)).decode(), **more}
        body = f"{number}: {_SENTENCES[number % len(_SENTENCES)]} ({MARK})"
        return "m.room.message", {"msgtype": "m.text", "body": body, **more}

    def events(self) -> int:
        """Return how many events there are."""
        return self.members[0].count("SELECT COUNT(*) FROM events WHERE room_id = ?", self.room_id)

    def talk(self, number: int) -> None:
        """Send messages of every kind, and what belongs to them, that many in all."""
        first, second, *_others = self.members
        said: list[str] = []
        sent = 0
        for turn in itertools.count():
            person = self.members[turn % len(self.members)]
            said.append(person.send(self.room_id, *self.message(turn, **self._relation(turn, said))))
            sent += 1
            if turn % 50 == 45:
                relation = {"rel_type": "m.annotation", "event_id": said[-1], "key": "\U0001f44d"}
                second.send(self.room_id, "m.reaction", {"m.relates_to": relation})
                sent += 1
            elif turn % 100 == 60:
                first.ask("PUT", f"{self.path}/redact/{quoted(said.pop(10))}/{turn}", {"reason": "no"})
                sent += 1
            elif turn % 100 == 70:
                first.ask("PUT", f"{self.path}/state/m.room.pinned_events", {"pinned": [said[-1]]})
                sent += 1
            elif turn % 20 == 10:
                kind = ("m.read", "m.read.private")[turn // 20 % 2]
                person.ask("POST", f"{self.path}/receipt/{kind}/{quoted(said[-1])}", {"thread_id": "main"})
            elif turn % 100 == 95:
                person.ask("POST", f"{self.path}/read_markers", {"m.fully_read": said[-1], "m.read": said[-1]})
            if sent >= number:
                return

    def _relation(self, turn: int, said: t.Sequence[str]) -> Json:
        """Return what a message has beside its text: somebody who is mentioned, a thread, what it replaces."""
        people = len(self.members)
        if turn % 50 == 20:
            return {"m.mentions": {"user_ids": [self.members[(turn + 3) % people].user_id]}}
        if turn % 50 in (31, 32):
            return {"m.relates_to": {"rel_type": "m.thread", "event_id": said[0]}}
        if turn % 50 == 41:
            better = {"msgtype": "m.text", "body": "better"}
            return {"m.relates_to": {"rel_type": "m.replace", "event_id": said[-people]}, "m.new_content": better}
        return {}


def give_events_of_members(room: Room, people: t.Sequence[Person], number: int) -> None:
    """Let people be invited, knock, leave, be kicked, banned and unbanned, and forget."""
    first, *others = room.members
    outside = [person for person in people if person not in room.members]
    for person in outside[number : number + 2]:
        first.ask("POST", f"{room.path}/invite", {"user_id": person.user_id})
    for person in outside[20:22]:
        first.ask("POST", f"{room.path}/invite", {"user_id": person.user_id, "reason": "please"})
        person.ask("POST", f"{room.path}/leave")
    others[-1].ask("POST", f"{room.path}/leave")
    others[-1].ask("POST", f"{room.path}/forget")
    first.ask("POST", f"{room.path}/kick", {"user_id": others[-2].user_id, "reason": "enough"})
    first.ask("POST", f"{room.path}/ban", {"user_id": others[-3].user_id})
    first.ask("POST", f"{room.path}/ban", {"user_id": outside[30].user_id})
    first.ask("POST", f"{room.path}/unban", {"user_id": outside[30].user_id})
    if int(room.version) >= 7:
        first.ask("PUT", f"{room.path}/state/m.room.join_rules", {"join_rule": "knock"})
        for person in outside[40:42]:
            person.ask("POST", f"/knock/{quoted(room.room_id)}")
    # The last three are not in the room any more.
    room.members = room.members[:-3]


def give_settings(room: Room) -> None:
    """Set what the members of a room set for themselves, and another alias."""
    first = room.members[0]
    first.ask(
        "PUT",
        f"/directory/room/{quoted(f'#other-{room.version}:' + first.user_id.partition(':')[2])}",
        {"room_id": room.room_id},
    )
    for person in room.members[:4]:
        own = f"/user/{quoted(person.user_id)}{room.path}"
        person.ask("PUT", f"{own}/account_data/org.test", {"seen": MARK})
        person.ask("PUT", f"{own}/tags/m.favourite", {"order": 0.5})
    rule = f"/pushrules/global/room/{quoted(room.room_id)}"
    room.members[1].ask("PUT", rule, {"actions": ["notify"]})
