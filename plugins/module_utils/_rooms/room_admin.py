# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a user is admin of a room, and whether Synapse can make the user admin.

Relies on POST /_synapse/admin/v1/rooms/<id>/make_room_admin of Synapse 1.163, which writes the power levels first and
invites the user after that. If the invitation is refused, the user has the power level in a room that they cannot join.
So everything that can be read is checked first. Only the attempt shows what a module of Synapse refuses (a spam
checker, rules for events), a rate limit of invitations, and without the configuration also `block_non_admin_invites`,
the user of server notices and the experimental filters of invitations.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.event_size import require_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.invitations import require_welcome
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    DESERTED,
    NO_LIMIT,
    UNREADABLE,
    RoomPower,
    read_joined,
    read_power,
    read_state_event,
)

_USER = "/_synapse/admin/v2/users/{user_id}"
_POWER_LEVELS = "m.room.power_levels"
# The power level that a user grants who is not listed in the power levels, and that is enough for an admin of a room
# where a higher one could be granted.
_ADMIN = 100


class RoomAdmin(t.NamedTuple):
    """What a room says about `user_id`, who should be its admin.

    `membership` is None for a user who was never in the room. `public`: whether all users can join. `granter`: the user
    in whose name Synapse grants the power level. None if no user of this server who is in the room can grant it.
    `deserted`: whether no user of this server is in the room.
    """

    power: RoomPower
    user_id: str
    membership: str | None
    public: bool
    granter: str | None
    deserted: bool

    @property
    def granted(self) -> float:
        """The power level that Synapse grants: the one that the power levels list for the granter."""
        listed = self.power.listed_level(self.granter) if self.granter else None
        return _ADMIN if listed is None else listed

    @property
    def needs_invitation(self) -> bool:
        """Whether Synapse has to invite the user as well."""
        return self.membership not in ("join", "invite") and not self.public

    def has_power(self) -> bool:
        """Whether the user has the highest power level that can be granted, or that of an admin."""
        highest = min(self.power.of(self.granter), _ADMIN) if self.granter else _ADMIN
        return self.power.of(self.user_id) >= highest

    def is_admin(self) -> bool:
        """Whether the user has the power level of an admin and is in the room, or can join it."""
        return self.has_power() and not self.needs_invitation and self.membership != "ban"

    def shown(self) -> dict[str, t.Any]:
        """Return the current state for diff mode: `admin_user_id`, `power_level` and `membership`."""
        level = self.power.of(self.user_id)
        return {
            "admin_user_id": self.user_id if self.is_admin() else None,
            "power_level": "unlimited" if level == NO_LIMIT else int(level),
            "membership": self.membership,
        }

    def shown_afterwards(self) -> dict[str, t.Any]:
        """Return the same as it will be after Synapse has made the user admin."""
        membership = "invite" if self.needs_invitation else self.membership
        return {"admin_user_id": self.user_id, "power_level": int(self.granted), "membership": membership}

    def levels_afterwards(self) -> dict[str, t.Any]:
        """Return the power levels of users after Synapse has made the user admin."""
        listed = (self.power.levels or {}).get("users")
        return {**(listed if isinstance(listed, dict) else {}), self.user_id: int(self.granted)}

    def step(self) -> str:
        """Return the description of the step that makes the user admin."""
        if self.has_power() and self.power.of(self.user_id) == self.granted:
            return (
                f"invite {self.user_id}, who already has the power level of an admin of the room, in the name of"
                f" {self.granter}"
            )
        return f"make {self.user_id} an admin of the room in the name of {self.granter}"


def read_room_admin(client: Client, room_id: str, user_id: str) -> RoomAdmin:
    """Return what a room says about a user who should be its admin. Raises what the client raises."""
    power = read_power(client, room_id)
    joined = set(read_joined(client, room_id))
    membership = read_state_event(client, room_id, "m.room.member", user_id).content.get("membership")
    rules = read_state_event(client, room_id, "m.room.join_rules").content
    return RoomAdmin(
        power,
        user_id,
        str(membership) if membership else None,
        public=rules.get("join_rule") == "public",
        granter=_granter(power, joined, client.server_name),
        deserted=all(server_name_of(user) != client.server_name for user in joined),
    )


def require_allowed(client: Client, room_id: str, admin: RoomAdmin, rules: ConfiguredRules, *, blocked: bool) -> None:
    """Raise InvalidInput with the cause and the fix if the user is not admin yet and Synapse cannot change that.

    `rules`: those of the server, as far as they are known. `blocked`: whether the room will be blocked by then.
    """
    problem = f"{admin.user_id} cannot be made admin of {room_id}"
    if admin.membership == "ban":
        raise InvalidInput(
            f"{problem}, because the user is banned from the room. A room admin must lift the ban first."
        )
    if admin.is_admin():
        return
    if admin.deserted:
        raise InvalidInput(
            f"{problem}, because {DESERTED}. A user of this server must join the room first. If the room is not needed"
            " any more, delete it with state: absent."
        )
    if not admin.power.is_known():
        raise InvalidInput(f"{problem}, because {UNREADABLE}.")
    if admin.power.of(admin.user_id) > admin.granted:
        raise InvalidInput(
            f"{admin.user_id} has a higher power level in {room_id} than Synapse can grant, but is not in the room."
            " Synapse cannot invite the user without lowering that power level. A member of the room must invite the"
            " user."
        )
    if admin.granter is None:
        raise InvalidInput(
            f"{problem}, because no user of this server who is in the room has the power level to do that."
        )
    if admin.power.levels is None and admin.granter not in admin.power.creators:
        raise InvalidInput(
            f"{problem}, because the room has no power levels, and those that Synapse writes would give {admin.granter}"
            f" no power any more. {admin.granter} must set power levels in the room first."
        )
    granter = client.get(_USER, user_id=admin.granter)
    if admin.needs_invitation:
        _require_invitation(problem, admin, blocked)
        if not granter.get("admin") and admin.granter != rules.notices_user():
            require_welcome(client, problem, admin.user_id, admin.granter, rules)
        if admin.user_id == rules.notices_user():
            raise InvalidInput(
                f"{problem}, because the user must be invited, and no user can invite the user of server notices. Set"
                " another user."
            )
    if not admin.power.is_whole():
        raise InvalidInput(
            f"{problem}, because some power levels of the room are not integers, and Synapse does not accept them any"
            " more. A room admin must set the power levels again."
        )
    if granter.get("suspended"):
        raise InvalidInput(
            f"{problem}, because Synapse does that in the name of {admin.granter}, and this user is suspended. Lift the"
            " suspension first."
        )
    content = {**(admin.power.levels or {}), "users": admin.levels_afterwards()}
    what = f"The power levels of {room_id} with {admin.user_id}"
    require_size(content, kind=_POWER_LEVELS, room_id=room_id, sender=admin.granter, what=what)
    rules.require_events(f"A change of the power levels of {room_id}")


def _require_invitation(problem: str, admin: RoomAdmin, blocked: bool) -> None:
    if blocked:
        raise InvalidInput(
            f"{problem}, because the user must be invited, and no user can be invited to a room that is blocked on this"
            " server. Set blocked: false."
        )
    level, required = admin.power.of(t.cast(str, admin.granter)), admin.power.required_to_invite()
    if level < required:
        raise InvalidInput(
            f"{problem}, because the user must be invited, which requires the power level {required:g}, and"
            f" {admin.granter} only has {level:g}. A user with that power level must send the invitation, or lower the"
            " requirement."
        )


def _granter(power: RoomPower, joined: set[str], own: str) -> str | None:
    """The user that Synapse chooses: of the listed local members the one with the highest level, the last of equals."""
    candidates = [user for user in power.listed() if server_name_of(user) == own and user in joined]
    candidates.sort(key=power.of)
    if not candidates or power.of(candidates[-1]) < power.required(_POWER_LEVELS):
        return None
    return candidates[-1]
