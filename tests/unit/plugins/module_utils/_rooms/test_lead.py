# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody is made admin only where Synapse will not stop halfway, and what it has done by halves is seen."""

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
    """A room that BOB has made, as the server shows it. `levels` None: without power levels."""

    levels: t.Any
    membership: str | None = None
    rule: str = "invite"
    version: str = "11"
    blocked: bool = False
    also: t.Sequence[str] = ()
    joined: t.Sequence[str] = (BOB, FAR)
    suspended: bool = False

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
    return RoomResource(client, ROOM, DeclaredRoom(admin_user="eve", **declared))


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
        pytest.param(Room(users({BOB: 60, EVE: 60}), "join"), id="as-much-as-can-be-given"),
        pytest.param(Room(users({BOB: 150, EVE: 100}), "join"), id="as-much-as-an-admin"),
        pytest.param(Room(users({BOB: 60, EVE: 80}), "leave", "public"), id="more-than-can-be-given"),
        pytest.param(Room(users({EVE: 150}), "join", version="12"), id="more-than-a-creator-gives"),
        pytest.param(Room(users({}), "join", version="12", also=[EVE]), id="stands-above-all"),
        pytest.param(Room(users({EVE: 100}), "join", joined=[FAR]), id="alone"),
        pytest.param(Room(BOTH, "join", suspended=True, blocked=True), id="nothing-has-to-be-done"),
    ],
)
def test_who_leads_a_room_already_is_left_alone(server: ScriptedServer, client: Client, room: Room) -> None:
    plan = plan_for(server, client, room)
    assert (plan.steps, plan.before) == ((), plan.after)
    assert plan.before is not None and plan.before["admin_user"] == EVE


def test_nobody_loses_power_where_there_are_no_power_levels(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(errors.InvalidInput, match=f"would leave {BOB} without any power: let {BOB} set power levels"):
        plan_for(server, client, Room(None))


@pytest.mark.parametrize(
    ("room", "step", "after"),
    [
        pytest.param(
            Room(users({BOB: 100, EVE: 50}), "join"), f"let {BOB} make {EVE} an admin", (100, "join"), id="more-power"
        ),
        pytest.param(
            Room(users({BOB: 60, FAR: 100})),
            f"let {BOB} make {EVE} an admin",
            (60, "invite"),
            id="from-the-highest-here",
        ),
        pytest.param(
            Room(BOTH, "leave"), f"let {BOB} invite {EVE}, who has the power", (100, "invite"), id="invited-again"
        ),
        pytest.param(
            Room(users({BOB: 150, EVE: 100}), "leave"),
            f"let {BOB} make {EVE}",
            (150, "invite"),
            id="raised-and-invited",
        ),
        pytest.param(
            Room(users({BOB: 100}), None, "public"), f"let {BOB} make {EVE}", (100, None), id="not-invited-if-public"
        ),
        pytest.param(
            Room(users({CAROL: 150}), version="12"), f"let {BOB} make {EVE}", (100, "invite"), id="from-the-creator"
        ),
        pytest.param(
            Room(users({}), version="12", also=[CAROL], joined=[BOB, CAROL]),
            f"let {BOB} make {EVE}",
            (100, "invite"),
            id="from-who-made-it-before-other-creators",
        ),
        pytest.param(
            Room(users({BOB: 100, CAROL: 100}), joined=[BOB, CAROL]),
            f"let {CAROL} make {EVE}",
            (100, "invite"),
            id="from-the-last-of-equals",
        ),
        pytest.param(
            Room(None, version="12"), f"let {BOB} make {EVE}", (100, "invite"), id="creators-keep-theirs-without-levels"
        ),
        pytest.param(
            Room(users({BOB: 100}), "join", blocked=True),
            f"let {BOB} make {EVE}",
            (100, "join"),
            id="in-a-blocked-room",
        ),
        pytest.param(
            Room(users({BOB: 50}, state_default=50, invite=60), "join"),
            f"let {BOB} make {EVE}",
            (50, "join"),
            id="no-power-to-invite-is-needed",
        ),
    ],
)
def test_power_is_given(
    server: ScriptedServer, client: Client, room: Room, step: str, after: tuple[int, str | None]
) -> None:
    plan = plan_for(server, client, room)
    assert [one.description[: len(step)] for one in plan.steps] == [step]
    assert plan.before is not None and plan.after is not None
    assert plan.before["admin_user"] is None
    assert (plan.after["admin_user"], plan.after["power_level"], plan.after["membership"]) == (EVE, *after)


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        pytest.param(Room(users({BOB: 100}), "ban"), "banned from it: .*lift the ban first", id="banned"),
        pytest.param(Room(BOTH, "ban", "public"), "banned from it", id="banned-with-power-from-a-public-room"),
        pytest.param(Room(users({BOB: 100}), blocked=True), "is blocked on this server: declare blocked", id="blocked"),
        pytest.param(
            Room(users({BOB: 100}, invite=101)), f"takes a power of 101, and {BOB} has 100", id="may-not-invite"
        ),
        pytest.param(
            Room(users({BOB: 100}), "join", suspended=True), f"name of {BOB}, who is suspended", id="suspended"
        ),
        pytest.param(Room(users({BOB: 60, EVE: 80}), "leave"), "more power in .* than Synapse can give", id="lowered"),
        pytest.param(Room(users({EVE: 150}), "leave", version="12"), "without taking power", id="lowered-by-a-creator"),
        pytest.param(Room(users({}), "leave", version="12", also=[EVE]), "without taking power", id="creator-has-left"),
        pytest.param(
            Room(users({BOB: 50}, users_default=70, state_default=50)), "without taking power", id="lowered-by-default"
        ),
        pytest.param(Room(users({BOB: 100}), joined=[FAR]), "nobody of this server who is in the room", id="no-giver"),
        pytest.param(Room(users({BOB: 40})), "nobody of this server who is in the room", id="giver-without-power"),
        pytest.param(Room(users({BOB: "100"}), version="9"), "not whole numbers", id="power-written-as-text"),
        pytest.param(Room(users({BOB: 100}, ban="50"), version="9"), "not whole numbers", id="a-level-as-text"),
    ],
)
def test_what_synapse_would_refuse_is_refused_before(
    server: ScriptedServer, client: Client, room: Room, reason: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=reason):
        plan_for(server, client, room)


def test_a_block_that_is_lifted_before_is_none(server: ScriptedServer, client: Client) -> None:
    plan = plan_for(server, client, Room(users({BOB: 100}), blocked=True), blocked=False)
    assert len(plan.steps) == 2


def test_a_block_that_is_made_before_is_one(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(errors.InvalidInput, match="is blocked on this server"):
        plan_for(server, client, Room(users({BOB: 100})), blocked=True)


def test_power_without_limit_is_shown_in_words(server: ScriptedServer, client: Client) -> None:
    plan = plan_for(server, client, Room(users({}), "join", version="12", also=[EVE]))
    assert plan.before is not None and plan.before["power_level"] == "unlimited"


def test_an_invitation_that_is_refused_after_the_power_was_given_is_a_change(
    server: ScriptedServer, client: Client
) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "Invites have been disabled on this server"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403), *Room(BOTH).calls())
    with pytest.raises(errors.PermissionDenied, match="this is partly done: let @bob:x.org make @eve") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is True


def test_a_refusal_is_no_change(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "You have not consented"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403))
    with pytest.raises(errors.PermissionDenied, match="this is not done") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is False


def test_what_cannot_be_seen_after_a_refusal_may_be_a_change(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls())
    resource = declare(client)
    plan = resource.plan()
    refused = {"errcode": "M_FORBIDDEN", "error": "Invites have been disabled on this server"}
    server.always(Call("POST", MAKE_ADMIN, refused, 403), *Room(BOTH, "ban").calls())
    with pytest.raises(errors.PermissionDenied, match="unknown whether this is done") as caught:
        carry_out(resource, plan)
    assert caught.value.details["changed"] is True


def test_that_somebody_does_not_lead_it_afterwards_is_seen(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100})).calls(), Call("POST", MAKE_ADMIN, {}, body={"user_id": EVE}))
    resource = declare(client)
    plan = resource.plan()
    with pytest.raises(errors.StateNotReached, match="@eve:x.org does not lead it"):
        carry_out(resource, plan)


def test_that_somebody_was_banned_meanwhile_is_seen(server: ScriptedServer, client: Client) -> None:
    server.always(*Room(users({BOB: 100}), rule="public").calls())
    resource = declare(client)
    plan = resource.plan()
    server.always(*Room(BOTH, "ban", "public").calls())
    with pytest.raises(errors.StateNotReached, match="@eve:x.org does not lead it"):
        resource.verify(plan)
