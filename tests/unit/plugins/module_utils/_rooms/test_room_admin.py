# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user is only made admin if Synapse will not stop halfway, and an incomplete change is noticed."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.room import DeclaredRoom, RoomResource
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ROOM, QUOTED = "!a/b:x.org", "%21a%2Fb%3Ax.org"
MAKE_ADMIN = f"/_synapse/admin/v1/rooms/{QUOTED}/make_room_admin"
BOB, CAROL, EVE, FAR = "@bob:x.org", "@carol:x.org", "@eve:x.org", "@far:y.org"


class Room(t.NamedTuple):
    """A room that BOB has created, as the server shows it. `levels` None: without power levels."""

    levels: t.Any
    membership: str | None = None
    rule: str = "invite"
    version: str = "11"
    blocked: bool = False
    also: t.Sequence[str] = ()
    joined: t.Sequence[str] = (BOB, FAR)
    suspended: bool = False
    account_data: t.Any = None

    def calls(self) -> list[Call]:
        kinds = {
            "m.room.create": {
                "room_version": self.version,
                **({"additional_creators": self.also} if self.also else {}),
            },
            "m.room.power_levels": self.levels,
            "m.room.member": self.membership and {"membership": self.membership},
            "m.room.join_rules": {"join_rule": self.rule},
        }
        events = [_event(kind, content) for kind, content in kinds.items() if content is not None]
        joined = [*self.joined, *([EVE] if self.membership == "join" else [])]
        return [
            Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}", {"room_id": ROOM}),
            Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}/block", {"block": self.blocked}),
            Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"}),
            Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}/members", {"members": joined}),
            Call("GET", "/_synapse/admin/v2/users/%40bob%3Ax.org", {"name": BOB, "suspended": self.suspended}),
            Call("GET", "/_synapse/admin/v1/users/%40eve%3Ax.org/accountdata", {"account_data": self.account_data}),
            Call("GET", "/_synapse/admin/v2/users/%40carol%3Ax.org", {"name": CAROL}),
            Call("GET", "/_synapse/admin/v2/users/%40eve%3Ax.org", {"name": EVE}),
            Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}/state", {"state": events}),
        ]


def _event(kind: str, content: t.Any) -> dict[str, t.Any]:
    return {"type": kind, "state_key": EVE if kind == "m.room.member" else "", "sender": BOB, "content": content}


def users(levels: t.Mapping[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return {"users": dict(levels), **more}


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    return Client(server.base_url, "token")


def declare(client: Client, **declared: t.Any) -> RoomResource:
    return RoomResource(client, ROOM, DeclaredRoom(admin_user_id="eve", **declared))


def plan_for(server: ScriptedServer, client: Client, room: Room, **declared: t.Any) -> Plan:
    server.always(*room.calls())
    return declare(client, **declared).plan()


BOTH = users({BOB: 100, EVE: 100})


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(Room(BOTH, "join"), id="in-the-room"),
        pytest.param(Room(BOTH, "invite"), id="invited"),
        pytest.param(Room(BOTH, "leave", "public"), id="room-is-public"),
        pytest.param(Room(users({BOB: 60, EVE: 60}), "join"), id="as-much-as-can-be-granted"),
        pytest.param(Room(users({BOB: 150, EVE: 100}), "join"), id="as-much-as-an-admin"),
        pytest.param(Room(users({BOB: 60, EVE: 80}), "leave", "public"), id="more-than-can-be-granted"),
        pytest.param(Room(users({EVE: 150}), "join", version="12"), id="more-than-a-creator-grants"),
        pytest.param(Room(users({}), "join", version="12", also=[EVE]), id="unlimited"),
        pytest.param(Room(users({EVE: 100}), "join", joined=[FAR]), id="the-only-local-member"),
        pytest.param(Room(BOTH, "join", suspended=True, blocked=True), id="nothing-to-do"),
    ],
)
def test_a_user_who_is_already_admin_is_not_changed(server: ScriptedServer, client: Client, room: Room) -> None:
    plan = plan_for(server, client, room)
    assert (plan.steps, plan.before) == ((), plan.after)
    assert plan.before is not None and plan.before["admin_user_id"] == EVE


def test_the_granter_keeps_its_power_if_there_are_no_power_levels(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(
        errors.InvalidInput, match=f"would give {BOB} no power any more. {BOB} must set power levels in the room"
    ):
        plan_for(server, client, Room(None))


@pytest.mark.parametrize(
    ("room", "step", "after"),
    [
        pytest.param(
            Room(users({BOB: 100, EVE: 50}), "join"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, "join"),
            id="more-power",
        ),
        pytest.param(
            Room(users({BOB: 60, FAR: 100})),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (60, "invite"),
            id="from-the-highest-here",
        ),
        pytest.param(
            Room(BOTH, "leave"),
            f"invite {EVE}, who already has the power level of an admin of the room, in the name of {BOB}",
            (100, "invite"),
            id="invited-again",
        ),
        pytest.param(
            Room(users({BOB: 150, EVE: 100}), "leave"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (150, "invite"),
            id="raised-and-invited",
        ),
        pytest.param(
            Room(users({BOB: 100}), None, "public"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, None),
            id="not-invited-if-public",
        ),
        pytest.param(
            Room(users({CAROL: 150}), version="12"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, "invite"),
            id="from-the-creator",
        ),
        pytest.param(
            Room(users({}), version="12", also=[CAROL], joined=[BOB, CAROL]),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, "invite"),
            id="from-the-first-creator-before-the-others",
        ),
        pytest.param(
            Room(users({BOB: 100, CAROL: 100}), joined=[BOB, CAROL]),
            f"make {EVE} an admin of the room in the name of {CAROL}",
            (100, "invite"),
            id="from-the-last-of-equals",
        ),
        pytest.param(
            Room(None, version="12"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, "invite"),
            id="creators-keep-their-power-without-levels",
        ),
        pytest.param(
            Room(users({BOB: 100}), "join", blocked=True),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (100, "join"),
            id="in-a-blocked-room",
        ),
        pytest.param(
            Room(users({BOB: 50}, state_default=50, invite=60), "join"),
            f"make {EVE} an admin of the room in the name of {BOB}",
            (50, "join"),
            id="no-invitation-is-needed",
        ),
    ],
)
def test_the_power_level_is_granted(
    server: ScriptedServer, client: Client, room: Room, step: str, after: tuple[int, str | None]
) -> None:
    plan = plan_for(server, client, room)
    assert [one.description for one in plan.steps] == [step]
    assert plan.before is not None and plan.after is not None
    assert plan.before["admin_user_id"] is None
    assert (plan.after["admin_user_id"], plan.after["power_level"], plan.after["membership"]) == (EVE, *after)


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        pytest.param(
            Room(users({BOB: 100}), "ban"), "banned from the room. A room admin must lift the ban first", id="banned"
        ),
        pytest.param(Room(BOTH, "ban", "public"), "banned from the room", id="banned-with-power-from-a-public-room"),
        pytest.param(
            Room(users({BOB: 100}), blocked=True), "is blocked on this server. Set blocked: false", id="blocked"
        ),
        pytest.param(
            Room(users({BOB: 100}, invite=101)),
            f"requires the power level 101, and {BOB} only has 100",
            id="may-not-invite",
        ),
        pytest.param(
            Room(users({BOB: 100}), "join", suspended=True),
            f"name of {BOB}, and this user is suspended",
            id="suspended",
        ),
        pytest.param(
            Room(users({BOB: 60, EVE: 80}), "leave"), "higher power level in .* than Synapse can grant", id="lowered"
        ),
        pytest.param(
            Room(users({EVE: 150}), "leave", version="12"),
            "without lowering that power level",
            id="lowered-by-a-creator",
        ),
        pytest.param(
            Room(users({}), "leave", version="12", also=[EVE]),
            "without lowering that power level",
            id="creator-has-left",
        ),
        pytest.param(
            Room(users({BOB: 50}, users_default=70, state_default=50)),
            "without lowering that power level",
            id="lowered-by-default",
        ),
        pytest.param(
            Room(users({BOB: 100}), joined=[FAR]), "no user of this server is in the room any more.*join", id="deserted"
        ),
        pytest.param(Room(users({BOB: 40})), "no user of this server who is in the room", id="granter-without-power"),
        pytest.param(Room(users({BOB: "100"}), version="9"), "are not integers", id="a-user-level-as-text"),
        pytest.param(Room(users({BOB: 100}, ban="50"), version="9"), "are not integers", id="a-level-as-text"),
    ],
)
def test_a_change_that_synapse_would_refuse_is_refused_before(
    server: ScriptedServer, client: Client, room: Room, reason: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=reason):
        plan_for(server, client, room)


def test_a_block_that_the_task_removes_does_not_matter(server: ScriptedServer, client: Client) -> None:
    plan = plan_for(server, client, Room(users({BOB: 100}), blocked=True), blocked=False)
    assert len(plan.steps) == 2


def test_a_block_that_the_task_sets_matters(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(errors.InvalidInput, match="is blocked on this server"):
        plan_for(server, client, Room(users({BOB: 100})), blocked=True)


def test_an_unlimited_power_level_is_shown_as_text(server: ScriptedServer, client: Client) -> None:
    plan = plan_for(server, client, Room(users({}), "join", version="12", also=[EVE]))
    assert plan.before is not None and plan.before["power_level"] == "unlimited"


def test_an_invitation_that_is_refused_after_the_level_was_granted_is_a_change(
    server: ScriptedServer, client: Client
) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "Invites have been disabled on this server"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403), *Room(BOTH).calls())
    with pytest.raises(errors.PermissionDenied, match="this is partly done: make @eve:x.org an admin") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is True


def test_a_refusal_is_not_a_change(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "You have not consented"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403))
    with pytest.raises(errors.PermissionDenied, match="this is not done") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is False


def test_an_unknown_outcome_of_a_refusal_may_be_a_change(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "Invites have been disabled on this server"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403), *Room(BOTH, "ban").calls())
    with pytest.raises(errors.PermissionDenied, match="unknown whether this is done") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is True


def test_a_user_who_is_not_admin_afterwards_is_noticed(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls(), Call("POST", MAKE_ADMIN, {}, body={"user_id": EVE}))
    resource = declare(client)
    plan = resource.plan()
    with pytest.raises(errors.StateNotReached, match="@eve:x.org is not an admin of it"):
        carry_out(resource, plan)


def test_a_ban_in_the_meantime_is_noticed(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100}), rule="public").calls())
    resource = declare(client)
    plan = resource.plan()
    server.always(*Room(BOTH, "ban", "public").calls())
    with pytest.raises(errors.StateNotReached, match="@eve:x.org is not an admin of it"):
        resource.verify(plan)
