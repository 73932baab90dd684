# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A room as a server admin sees it: whether it exists, whether it is blocked, and who its admin is.

Relies on GET /_synapse/admin/v1/rooms/<id>, GET and PUT .../<id>/block, and POST .../<id>/make_room_admin of Synapse
1.163. Rooms are created by users, never here.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    InvalidInput,
    NotFound,
    after_a_change,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_user_id,
    require_legal_room_id,
    server_name_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.deletion import (
    DeclaredDeletion,
    Deletion,
    find_deletion,
    start_deletion,
    wait_for_deletion,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.event_size import require_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    UNREADABLE,
    read_joined,
    read_state_event,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.room_admin import (
    read_room_admin,
    require_allowed,
)

_ROOM = "/_synapse/admin/v1/rooms/{room_id}"
_BLOCK = _ROOM + "/block"
_MAKE_ADMIN = _ROOM + "/make_room_admin"
_USER = "/_synapse/admin/v2/users/{user_id}"


@dataclasses.dataclass(frozen=True)
class DeclaredRoom:
    """How a room should be. None means: not declared.

    `deletion`: how it is deleted if it should not exist (`present` is false). `admin_user_id`: who should be its admin.
    `wait_timeout`: how many seconds to wait for a deletion, 0: not at all.
    """

    present: bool = True
    blocked: bool | None = None
    admin_user_id: str | None = None
    deletion: DeclaredDeletion = dataclasses.field(default_factory=DeclaredDeletion)
    wait_timeout: float = 600

    def check(self) -> None:
        """Raise InvalidInput for options that contradict each other."""
        if self.wait_timeout < 0:
            raise InvalidInput(f"wait_timeout is {self.wait_timeout:g}, but it cannot be negative.")
        if not self.present and self.admin_user_id is not None:
            raise InvalidInput("admin_user_id cannot be set with state=absent, which deletes the room: leave it out.")
        if self.present and self.deletion.new_room_creator is not None:
            raise InvalidInput("new_room can only be set with state=absent, which deletes the room: leave it out.")


class RoomResource:
    """One room with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(
        self, client: Client, room_id: str, declared: DeclaredRoom, rules: ConfiguredRules | None = None
    ) -> None:
        """`rules`: those of the server, as far as they are known. Nothing is sent yet."""
        self._client = client
        self._rules = rules or ConfiguredRules(client)
        self._room_id = room_id
        self._declared = declared
        self._deletion: Deletion | None = None
        self._ended = False

    def plan(self) -> Plan:
        """Read the room and decide. Raises InvalidInput, or what the client raises."""
        require_legal_room_id(self._room_id)
        self._declared.check()
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
        if not declared.present and self._ended:
            room = self._read_room()
            if not self._is_gone(room, self._count_local_members(room)):
                problems.append("it still exists")
        wanted = declared.present and declared.admin_user_id is not None
        if wanted and not read_room_admin(self._client, self._room_id, self._admin).is_admin():
            problems.append(f"{self._admin} is not an admin of it")
        require(problems, f"The room {self._room_id}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `room`, and `deletion` if one was started or waited for."""
        blocked = self._blocked if self._declared.blocked is None else self._declared.blocked
        room = {"room_id": self._room_id, "blocked": blocked}
        return {"room": room, **({"deletion": self._deletion.shown()} if self._deletion else {})}

    def _plan_present(self) -> Plan:
        if self._room is None:
            raise InvalidInput(
                f"The room {self._room_id} is not on this server. Check that the room ID is complete. Rooms are created"
                " by users, not by this module. To block a room that is not on this server, set state: absent and"
                " blocked: true."
            )
        before, after = self._state(self._room), self._state(self._room)
        steps = self._blocking(before, after)
        if self._declared.admin_user_id is not None:
            steps += self._plan_admin(before, after)
        return Plan(before, after, tuple(steps))

    def _plan_absent(self) -> Plan:
        running = find_deletion(self._client, self._room_id)
        members = self._count_local_members(self._room)
        after = {"room_id": self._room_id, "present": False, "blocked": self._blocked}
        if not running and self._is_gone(self._room, members):
            before = dict(after)
            return Plan(before, after, tuple(self._blocking(before, after)))
        if not running:
            self._require_new_room_possible()
            self._require_removal_possible(members)
        # What a deletion changes step by step, so that an incomplete one is noticed.
        before = {
            **self._state(self._room or {}),
            "local_members": members,
            "deletion": running.status if running else "not started",
        }
        if self._declared.wait_timeout == 0:
            after["deletion"] = "scheduled"
        if running:
            # It continues as it was started, whatever is declared.
            step = Step("wait for the deletion that is in progress", functools.partial(self._wait, running.delete_id))
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
        description = "block the room" if blocked else "unblock the room"
        return [Step(description, lambda: self._client.put(_BLOCK, body, room_id=self._room_id))]

    def _plan_admin(self, before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Step]:
        self._admin = str(parse_user_id(t.cast(str, self._declared.admin_user_id), self._client.server_name))
        self._require_account(self._admin, "admin_user_id")
        admin = read_room_admin(self._client, self._room_id, self._admin)
        before.update(admin.shown())
        after.update(admin.shown())
        blocked = self._blocked if self._declared.blocked is None else self._declared.blocked
        require_allowed(self._client, self._room_id, admin, self._rules, blocked=blocked)
        if admin.is_admin():
            return []
        after.update(admin.shown_afterwards())
        return [Step(admin.step(), self._make_admin)]

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

    def _is_gone(self, room: State, members: int) -> bool:
        """Whether nothing is left to do: with purge the room itself must be gone, otherwise only its local members."""
        return room is None or not (self._declared.deletion.purge or members)

    def _count_local_members(self, room: State) -> int:
        """The number of users of this server in the room. Synapse's own count is not used, because it is late."""
        if room is None:
            return 0
        own = self._client.server_name
        try:
            return sum(server_name_of(user) == own for user in read_joined(self._client, self._room_id))
        except NotFound:
            # Deleted in the meantime.
            return 0

    def _require_account(self, user_id: str, option: str) -> JsonObject:
        try:
            account = self._client.get(_USER, user_id=user_id)
        except NotFound as error:
            raise InvalidInput(f"{option} {user_id} does not exist on this server. Nothing was changed.") from error
        if account.get("deactivated"):
            raise InvalidInput(f"{option} {user_id} is deactivated. Nothing was changed. Set another user.")
        return account

    def _require_new_room_possible(self) -> None:
        deletion = self._declared.deletion
        if deletion.new_room_creator is None:
            return
        option = "new_room.creator_user_id"
        creator = str(parse_user_id(deletion.new_room_creator, self._client.server_name))
        if self._require_account(creator, option).get("suspended"):
            raise InvalidInput(
                f"{option} {creator} is suspended, so that Synapse creates no room in its name. Nothing was changed."
                " Lift the suspension, or set another user."
            )
        contents = {
            "new_room.name": ("m.room.name", {"name": deletion.new_room_name or ""}),
            "new_room.announcement": ("m.room.message", {"body": deletion.announcement or "", "msgtype": "m.text"}),
        }
        for what, (kind, content) in contents.items():
            require_size(content, kind=kind, room_id="", sender=creator, what=what)
        self._rules.require_events("A new room for the users")
        deletion = dataclasses.replace(deletion, new_room_creator=creator)
        self._declared = dataclasses.replace(self._declared, deletion=deletion)

    def _require_removal_possible(self, members: int) -> None:
        """Raise InvalidInput if Synapse can make no user leave, so that it would not purge the room either."""
        if not members or self._declared.deletion.allow_purge_with_members:
            return
        fix = "Nothing was changed. To purge it although they are in it, set allow_purge_with_members: true."
        if self._rules.refuses_all_events():
            self._rules.require_events(f"The removal of the users from {self._room_id}")
        if not read_state_event(self._client, self._room_id, "m.room.create").sender:
            raise InvalidInput(
                f"The users of this server cannot be removed from {self._room_id}, because {UNREADABLE}. {fix}"
            )

    def _delete(self) -> None:
        delete_id = start_deletion(self._client, self._room_id, self._declared.deletion)
        self._deletion = Deletion(delete_id, "scheduled", {})
        self._wait(delete_id)

    def _wait(self, delete_id: str) -> None:
        if self._declared.wait_timeout > 0:
            with after_a_change():
                timeout = self._declared.wait_timeout
                self._deletion = wait_for_deletion(self._client, self._room_id, delete_id, timeout)
            self._ended = True

    def _make_admin(self) -> None:
        body: JsonObject = {"user_id": self._admin}
        try:
            self._client.post(_MAKE_ADMIN, body, room_id=self._room_id)
        except ApiError as error:
            # Synapse may have refused the invitation, which it sends after it has granted the power level.
            error.may_be_done = True
            raise
