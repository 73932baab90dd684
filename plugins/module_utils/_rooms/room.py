# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A room as an administrator of the server sees it: whether it is there, blocked, and who leads it.

Relies on GET /_synapse/admin/v1/rooms/<id>, GET and PUT .../<id>/block, and POST .../<id>/make_room_admin of Synapse
1.163. Rooms are made by people, never here.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_room_id,
    parse_user_id,
    server_name_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.deletion import (
    DeclaredDeletion,
    Deletion,
    await_deletion,
    find_deletion,
    start_deletion,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    RoomPower,
    read_joined,
    read_power,
    read_state_event,
)

_ROOM = "/_synapse/admin/v1/rooms/{room_id}"
_BLOCK = _ROOM + "/block"
_MAKE_ADMIN = _ROOM + "/make_room_admin"
_USER = "/_synapse/admin/v2/users/{user_id}"
_POWER_LEVELS = "m.room.power_levels"
# What an admin is given where the one who gives it stands above all levels.
_ADMIN = 100


@dataclasses.dataclass(frozen=True)
class DeclaredRoom:
    """How a room shall be. None means: not declared.

    `deletion`: how it is deleted if it shall not be there (`present` is false). `admin_user`: who shall lead it.
    `wait_timeout`: how many seconds a deletion is awaited, 0: not at all.
    """

    present: bool = True
    blocked: bool | None = None
    admin_user: str | None = None
    deletion: DeclaredDeletion = dataclasses.field(default_factory=DeclaredDeletion)
    wait_timeout: float = 600


class RoomResource:
    """One room with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(self, client: Client, room_id: str, declared: DeclaredRoom) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._room_id = room_id
        self._declared = declared
        self._deletion: Deletion | None = None
        self._ended = False

    def plan(self) -> Plan:
        """Read the room and decide. Raises InvalidInput, or what the client raises."""
        parse_room_id(self._room_id)
        if self._declared.wait_timeout < 0:
            raise InvalidInput(f"wait_timeout is {self._declared.wait_timeout:g}: it cannot be negative.")
        self._room = self._read_room()
        self._blocked = self._read_blocked()
        if self._declared.present:
            return self._plan_present()
        return self._plan_absent()

    def verify(self, plan: Plan) -> None:
        """Read the room again. Raises StateNotReached if it is not as declared."""
        declared, problems = self._declared, []
        if declared.blocked is not None and self._read_blocked() != declared.blocked:
            problems.append("it is not blocked" if declared.blocked else "it is still blocked")
        if not declared.present and self._ended and not self._is_gone(self._read_room()):
            problems.append("it is still there")
        if declared.present and declared.admin_user and not self._leads(self._admin, self._read_lead()):
            problems.append(f"{self._admin} does not lead it")
        require(problems, f"The room {self._room_id}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `room_id` and `blocked`, and what a deletion has done: None where only doing it can tell."""
        done = self._deletion.result if self._deletion else {}
        blocked = self._blocked if self._declared.blocked is None else self._declared.blocked
        return {
            "room_id": self._room_id,
            "blocked": blocked,
            "delete_id": self._deletion.delete_id if self._deletion else None,
            "delete_status": self._deletion.status if self._deletion else None,
            "kicked_users": done.get("kicked_users"),
            "failed_to_kick_users": done.get("failed_to_kick_users"),
            "local_aliases": done.get("local_aliases"),
            "new_room_id": done.get("new_room_id"),
        }

    def _plan_present(self) -> Plan:
        if self._room is None:
            raise InvalidInput(
                f"The room {self._room_id} is not on this server: see whether the room id is complete. Rooms are made"
                " by people, not by this module. To block a room that is not here, declare state absent with blocked."
            )
        before, after = self._state(self._room), self._state(self._room)
        steps = self._blocking(before, after)
        if self._declared.admin_user is not None:
            steps += self._plan_admin(before, after)
        return Plan(before, after, tuple(steps))

    def _plan_absent(self) -> Plan:
        running = find_deletion(self._client, self._room_id)
        before = None if self._is_gone(self._room) and not running else self._state(self._room or {})
        if before is None:
            before = {"room_id": self._room_id, "present": False, "blocked": self._blocked}
            after = dict(before)
            return Plan(before, after, tuple(self._blocking(before, after)))
        self._require_new_room_creator()
        after = {"room_id": self._room_id, "present": False, "blocked": self._blocked}
        if running:
            # Whatever is declared, it goes on as it was started.
            step = Step("wait for the deletion that is under way", functools.partial(self._await, running.delete_id))
            return Plan(before, after, (step, *self._blocking(before, after)))
        blocks = self._declared.deletion.block
        if blocks:
            after["blocked"] = True
        steps = [
            Step("delete the room and block it" if blocks and not self._blocked else "delete the room", self._delete)
        ]
        return Plan(before, after, tuple(steps + ([] if blocks else self._blocking(before, after))))

    def _blocking(self, before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Step]:
        blocked = self._declared.blocked
        if blocked is None or blocked == before["blocked"]:
            return []
        after["blocked"] = blocked
        body: JsonObject = {"block": blocked}
        words = "block the room" if blocked else "lift the block of the room"
        return [Step(words, lambda: self._client.put(_BLOCK, body, room_id=self._room_id))]

    def _plan_admin(self, before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Step]:
        self._admin = str(parse_user_id(t.cast(str, self._declared.admin_user), self._client.server_name))
        self._require_account(self._admin, "admin_user")
        lead = self._read_lead()
        before["admin_user"] = self._admin if self._leads(self._admin, lead) else None
        after["admin_user"] = self._admin
        if before["admin_user"]:
            return []
        if lead.giver is None:
            raise InvalidInput(
                f"{self._admin} cannot be made admin of {self._room_id}, because nobody of this server who is in the"
                " room can do that: it takes somebody with power in it."
            )
        body: JsonObject = {"user_id": self._admin}
        words = f"let {lead.giver} make {self._admin} an admin of the room"
        return [Step(words, lambda: self._client.post(_MAKE_ADMIN, body, room_id=self._room_id))]

    def _read_room(self) -> State:
        try:
            return self._client.get(_ROOM, room_id=self._room_id)
        except NotFound:
            return None

    def _read_blocked(self) -> bool:
        return bool(member(self._client.get(_BLOCK, room_id=self._room_id), "block"))

    def _state(self, room: JsonObject) -> dict[str, t.Any]:
        name = {"name": room["name"]} if room.get("name") else {}
        return {"room_id": self._room_id, **name, "present": True, "blocked": self._blocked}

    def _is_gone(self, room: State) -> bool:
        """Whether there is nothing left to delete: with purge of the room itself, else of people in it."""
        if room is None or self._declared.deletion.purge:
            return room is None
        # Not as Synapse counts them: that lags behind.
        own = self._client.server_name
        return not any(server_name_of(user) == own for user in read_joined(self._client, self._room_id))

    def _require_account(self, user_id: str, option: str) -> None:
        try:
            account = self._client.get(_USER, user_id=user_id)
        except NotFound as error:
            raise InvalidInput(f"{option} {user_id} does not exist on this server: nothing was changed.") from error
        if account.get("deactivated"):
            raise InvalidInput(f"{option} {user_id} is deactivated: nothing was changed. Name somebody else.")

    def _require_new_room_creator(self) -> None:
        creator = self._declared.deletion.new_room_creator
        if creator is not None:
            full = str(parse_user_id(creator, self._client.server_name))
            self._require_account(full, "new_room.user_id")
            deletion = dataclasses.replace(self._declared.deletion, new_room_creator=full)
            self._declared = dataclasses.replace(self._declared, deletion=deletion)

    def _delete(self) -> None:
        delete_id = start_deletion(self._client, self._room_id, self._declared.deletion)
        self._deletion = Deletion(delete_id, "scheduled", {})
        self._await(delete_id)

    def _await(self, delete_id: str) -> None:
        if self._declared.wait_timeout > 0:
            self._deletion = await_deletion(self._client, self._room_id, delete_id, self._declared.wait_timeout)
            self._ended = True

    def _read_lead(self) -> _Lead:
        power = read_power(self._client, self._room_id)
        joined = read_joined(self._client, self._room_id)
        membership = read_state_event(self._client, self._room_id, "m.room.member", self._admin).content
        rules = read_state_event(self._client, self._room_id, "m.room.join_rules").content
        own = self._client.server_name
        # As Synapse chooses: of those named in the power levels, and of the creators, the highest who is in the room.
        candidates = [user for user in power.named() if server_name_of(user) == own and user in joined]
        candidates.sort(key=power.of)
        able = [user for user in candidates if power.of(user) >= power.required(_POWER_LEVELS)]
        return _Lead(
            power,
            giver=able[-1] if able else None,
            can_enter=membership.get("membership") in ("join", "invite") or rules.get("join_rule") == "public",
        )

    def _leads(self, user_id: str, lead: _Lead) -> bool:
        """Whether somebody has as much power as can be given, and can be in the room."""
        highest = min(lead.power.of(lead.giver), _ADMIN) if lead.giver else _ADMIN
        return lead.can_enter and lead.power.of(user_id) >= highest


class _Lead(t.NamedTuple):
    power: RoomPower
    giver: str | None
    can_enter: bool
