# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who leads a room, and whether Synapse can make somebody lead it.

Relies on POST /_synapse/admin/v1/rooms/<id>/make_room_admin of Synapse 1.163, which writes the power levels first and
invites after that: a refused invitation leaves somebody with power in a room where they cannot be. So what can be read
is looked at before. Only the attempt tells whether this server or the one invited takes no invitations
(`block_non_admin_invites`, a spam checker, the user of server notices, an invite filter, a rate limit).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    NO_LIMIT,
    RoomPower,
    read_joined,
    read_power,
    read_state_event,
)

_USER = "/_synapse/admin/v2/users/{user_id}"
_POWER_LEVELS = "m.room.power_levels"
# What is given by somebody who is not named in the power levels, and what counts as leading where more could be given.
_ADMIN = 100


class Lead(t.NamedTuple):
    """A room as seen by `user_id`, who shall lead it.

    `membership` is None for somebody who was never in it. `public`: whether everybody can join. `giver`: in whose name
    Synapse gives power, None if nobody of this server who is in the room has enough.
    """

    power: RoomPower
    user_id: str
    membership: str | None
    public: bool
    giver: str | None

    @property
    def given(self) -> float:
        """How much power Synapse gives: as much as the giver is named with."""
        named = self.power.named_level(self.giver) if self.giver else None
        return _ADMIN if named is None else named

    @property
    def needs_invitation(self) -> bool:
        """Whether Synapse has to invite them too."""
        return self.membership not in ("join", "invite") and not self.public

    def has_power(self) -> bool:
        """Whether they have as much power as can be given, or what an admin has."""
        highest = min(self.power.of(self.giver), _ADMIN) if self.giver else _ADMIN
        return self.power.of(self.user_id) >= highest

    def leads(self) -> bool:
        """Whether they have power, and can be in the room."""
        return self.has_power() and not self.needs_invitation and self.membership != "ban"

    def shown(self) -> dict[str, t.Any]:
        """Return what shows in a diff how far it has come: `admin_user`, `power_level` and `membership`."""
        level = self.power.of(self.user_id)
        return {
            "admin_user": self.user_id if self.leads() else None,
            "power_level": "unlimited" if level == NO_LIMIT else int(level),
            "membership": self.membership,
        }

    def shown_afterwards(self) -> dict[str, t.Any]:
        """Return the same as it will be once Synapse has made them admin."""
        membership = "invite" if self.needs_invitation else self.membership
        return {"admin_user": self.user_id, "power_level": int(self.given), "membership": membership}

    def words(self) -> str:
        """Return what Synapse is asked to do, for people."""
        if self.has_power() and self.power.of(self.user_id) == self.given:
            return f"let {self.giver} invite {self.user_id}, who has the power of an admin of the room"
        return f"let {self.giver} make {self.user_id} an admin of the room"


def read_lead(client: Client, room_id: str, user_id: str) -> Lead:
    """Return who leads a room, as seen by somebody who shall. Raises what the client raises."""
    power = read_power(client, room_id)
    joined = set(read_joined(client, room_id))
    membership = read_state_event(client, room_id, "m.room.member", user_id).content.get("membership")
    rules = read_state_event(client, room_id, "m.room.join_rules").content
    return Lead(
        power,
        user_id,
        str(membership) if membership else None,
        public=rules.get("join_rule") == "public",
        giver=_giver(power, joined, client.server_name),
    )


def require_allowed(client: Client, room_id: str, lead: Lead, *, blocked: bool) -> None:
    """Raise InvalidInput if Synapse cannot make somebody lead the room who does not yet, and say what mends it.

    `blocked`: whether the room will be blocked by then.
    """
    where = f"{lead.user_id} cannot be made admin of {room_id}"
    if lead.membership == "ban":
        raise InvalidInput(f"{where}, because they are banned from it: let somebody in the room lift the ban first.")
    if lead.leads():
        return
    if lead.power.of(lead.user_id) > lead.given:
        raise InvalidInput(
            f"{lead.user_id} has more power in {room_id} than Synapse can give, but is not in it: it cannot invite them"
            " without taking power from them. Let somebody in the room invite them."
        )
    if lead.giver is None:
        raise InvalidInput(
            f"{where}, because nobody of this server who is in the room can do that: it takes somebody with power in"
            " it."
        )
    if lead.power.levels is None and lead.giver not in lead.power.creators:
        raise InvalidInput(
            f"{where}, because the room has no power levels, and those that Synapse writes then would leave"
            f" {lead.giver} without any power: let {lead.giver} set power levels in it first."
        )
    if lead.needs_invitation:
        _require_invitation(where, lead, blocked)
    if not lead.power.is_whole():
        raise InvalidInput(
            f"{where}, because some of its power levels are not whole numbers, which Synapse does not write any more:"
            " let somebody in the room set them anew."
        )
    if client.get(_USER, user_id=lead.giver).get("suspended"):
        raise InvalidInput(
            f"{where}, because Synapse does that in the name of {lead.giver}, who is suspended: lift the suspension"
            " first."
        )


def _require_invitation(where: str, lead: Lead, blocked: bool) -> None:
    if blocked:
        raise InvalidInput(
            f"{where}, because they would have to be invited, and nobody can be invited to a room that is blocked on"
            " this server: declare blocked false."
        )
    has, takes = lead.power.of(t.cast(str, lead.giver)), lead.power.required_to_invite()
    if has < takes:
        raise InvalidInput(
            f"{where}, because they would have to be invited, which takes a power of {takes:g}, and {lead.giver} has"
            f" {has:g}: let somebody else invite them, or lower what it takes."
        )


def _giver(power: RoomPower, joined: set[str], own: str) -> str | None:
    """Whom Synapse chooses: of those named here who are in the room the highest, and of equals the last."""
    candidates = [user for user in power.named() if server_name_of(user) == own and user in joined]
    candidates.sort(key=power.of)
    if not candidates or power.of(candidates[-1]) < power.required(_POWER_LEVELS):
        return None
    return candidates[-1]
