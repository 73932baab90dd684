# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An alias is moved from room to room without being lost on the way, and no room names it that should not."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import urllib.parse

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias import AliasResource, DeclaredAlias
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALIAS = "/_matrix/client/v3/directory/room/%23lobby%3Ax.org"
OLD, NEW = "!old:x.org", "!new"
LOBBY, OTHER, THIRD = "#lobby:x.org", "#other:x.org", "#third:x.org"
ALICE_LEADS = {"users": {"@alice:x.org": 100, "@far:y.org": 100}}
ADMIN_LEADS = {"users_default": 50}
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
FREE = Call("GET", ALIAS, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"}, 404)
UNKNOWN_ROOM: dict[str, t.Any] = {"errcode": "M_NOT_FOUND", "error": "Room not found"}
BROKEN = {"errcode": "M_UNKNOWN", "error": "Broken"}
TAKEN = {"errcode": "M_UNKNOWN", "error": "Room alias #lobby:x.org already exists"}
FORBIDDEN = {"errcode": "M_FORBIDDEN", "error": "Not allowed"}
LOGGED_OUT = {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"}
BUSY = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too many", "retry_after_ms": 900_000}


def points_to(room_id: str) -> Call:
    return Call("GET", ALIAS, {"room_id": room_id, "servers": ["x.org"]})


def room(quoted: str, answer: t.Any = None, status: int = 200) -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{quoted}", answer or {}, status)


def put(room_id: str, answer: t.Any = None, status: int = 200) -> Call:
    return Call("PUT", ALIAS, answer or {}, status, body={"room_id": room_id})


def delete(answer: t.Any = None, status: int = 200) -> Call:
    return Call("DELETE", ALIAS, answer or {}, status, body=None)


def state(room_id: str, kind: str, content: t.Any = None, sender: str = "@alice:x.org") -> Call:
    """What the admin sees of a state event; without content there is none."""
    event = {"type": kind, "state_key": "", "sender": sender, "content": content}
    quoted = urllib.parse.quote(room_id, safe="")
    answer = {"state": [] if content is None else [event]}
    return Call("GET", f"/_synapse/admin/v1/rooms/{quoted}/state", answer, query={"type": kind})


def names(room_id: str, *aliases: str) -> Call:
    """What a room calls its addresses: the first one is the main one."""
    content = {"alias": aliases[0], "alt_aliases": list(aliases[1:])} if aliases else None
    return state(room_id, "m.room.canonical_alias", content)


def lead(room_id: str, levels: t.Any, *members: str, version: str = "11") -> tuple[Call, ...]:
    """What says who has power in a room."""
    quoted = urllib.parse.quote(room_id, safe="")
    return (
        state(room_id, "m.room.create", {"room_version": version}),
        state(room_id, "m.room.power_levels", levels),
        Call("GET", f"/_synapse/admin/v1/rooms/{quoted}/members", {"members": list(members)}),
    )


def search(*rooms: t.Any) -> Call:
    query = {"search_term": "lobby", "limit": "100"}
    return Call("GET", "/_synapse/admin/v1/rooms", {"rooms": list(rooms)}, query=query)


def account(name: str, **flags: bool) -> Call:
    return Call("GET", f"/_synapse/admin/v2/users/%40{name}%3Ax.org", {"name": f"@{name}:x.org", **flags})


def written_by(name: str, room_id: str, body: t.Any) -> tuple[Call, ...]:
    """The admin takes the place of somebody, changes the addresses, and leaves it again."""
    quoted = urllib.parse.quote(room_id, safe="")
    path = f"/_matrix/client/v3/rooms/{quoted}/state/m.room.canonical_alias"
    return (
        Call("POST", f"/_synapse/admin/v1/users/%40{name}%3Ax.org/login", {"access_token": name}, token="token"),
        Call("PUT", path, {"event_id": "$1"}, body=body, token=name),
        Call("POST", "/_matrix/client/v3/logout", token=name),
    )


def written(room_id: str, *aliases: str, answer: t.Any = None, status: int = 200) -> Call:
    """The admin changes in its own name what a room calls its addresses: the first one is the main one, "" for none."""
    body = {"alias": aliases[0], "alt_aliases": list(aliases[1:])}
    path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room_id, safe='')}/state/m.room.canonical_alias"
    given = {name: value for name, value in body.items() if value}
    return Call("PUT", path, answer or {"event_id": "$1"}, status, body=given, token="token")


def alias(server: ScriptedServer, room_id: str | None, name: str = "#lobby", **options: t.Any) -> AliasResource:
    client = Client(server.base_url, "token", **options)
    return AliasResource(client, name, DeclaredAlias(room_id, room_id is not None))


def descriptions(plan: Plan) -> list[str]:
    return [step.description for step in plan.steps]


def moving(server: ScriptedServer) -> AliasResource:
    """An alias that is to be moved from OLD, which does not name it, to NEW."""
    server.expect(WHOAMI, points_to(OLD), room("%21new"), names(OLD))
    return alias(server, NEW)


def dropped(call: Call) -> Call:
    """The same request, whose answer does not arrive."""
    return dataclasses.replace(call, drop=True)


def unanswered(call: Call) -> Call:
    """The same request, which is never answered."""
    return dataclasses.replace(call, silent=True)


def test_points_to_a_room(server: ScriptedServer) -> None:
    server.expect(WHOAMI, FREE, room("%21new"), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert (plan.before, plan.after) == (None, {"alias": "#lobby:x.org", "room_id": NEW})
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True) == {
        "alias": "#lobby:x.org",
        "room_id": NEW,
        "previous_room_id": None,
        "dangling": False,
        "dangling_reason": None,
        "written_as": [],
    }


def test_moves(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), room("%21new"), names(OLD))
    server.expect(points_to(OLD), delete(), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert [step.description for step in plan.steps] == [f"move the alias from {OLD} to {NEW}"]
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True)["previous_room_id"] == OLD


def test_is_freed(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), names(OLD), points_to(OLD), delete(), FREE)
    resource = alias(server, None)
    plan = resource.plan()
    assert (plan.before, plan.after) == ({"alias": "#lobby:x.org", "room_id": OLD}, None)
    plan.execute()
    resource.verify(plan)


@pytest.mark.parametrize(("room_id", "found"), [(OLD, [points_to(OLD)]), (None, [FREE, search()])])
def test_is_left_alone_if_it_is_as_declared(server: ScriptedServer, room_id: str | None, found: list[Call]) -> None:
    server.expect(WHOAMI, *found)
    assert not alias(server, room_id).plan().changed


def test_is_free_even_if_somebody_else_was_faster(server: ScriptedServer) -> None:
    gone = delete({"errcode": "M_NOT_FOUND", "error": "Unknown room alias"}, 404)
    server.expect(WHOAMI, points_to(OLD), names(OLD), points_to(OLD), gone, FREE)
    resource = alias(server, None)
    plan = resource.plan()
    plan.execute()
    resource.verify(plan)


@pytest.mark.parametrize("found", [FREE, points_to(OLD)])
def test_is_not_touched_for_a_room_that_does_not_exist(server: ScriptedServer, found: Call) -> None:
    server.expect(WHOAMI, found, room("%21new", UNKNOWN_ROOM, 404))
    with pytest.raises(
        errors.InvalidInput, match="room !new does not exist on this server: the alias #lobby:x.org is left"
    ):
        alias(server, NEW).plan()


@pytest.mark.parametrize(
    ("name", "room_id"), [("#lobby:y.org", NEW), ("#lobby:y.org", None), ("lobby", NEW), ("#my lobby", None)]
)
def test_asks_nothing_of_what_is_no_alias_of_the_server(server: ScriptedServer, name: str, room_id: str | None) -> None:
    server.expect(WHOAMI)
    with pytest.raises(errors.InvalidInput):
        alias(server, room_id, name).plan()


def test_asks_nothing_at_all_for_what_is_no_room(server: ScriptedServer) -> None:
    with pytest.raises(errors.InvalidInput, match="is not a room id"):
        alias(server, "#new:x.org").plan()


@pytest.mark.parametrize("declared", [{"canonical": True}, {"alt_aliases": []}, {"alt_aliases": ["#other"]}])
def test_addresses_are_not_declared_of_an_alias_that_is_free(server: ScriptedServer, declared: t.Any) -> None:
    resource = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(present=False, **declared))
    with pytest.raises(errors.InvalidInput, match="with state absent it points to none: leave them out"):
        resource.plan()


def test_an_alias_that_is_free_is_no_main_address(server: ScriptedServer) -> None:
    server.expect(WHOAMI, FREE, search())
    resource = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(present=False, canonical=False))
    assert not resource.plan().changed


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"errcode": "M_FORBIDDEN", "error": "Not in the room"}, 403),
        ({"errcode": "M_UNKNOWN", "error": "Broken"}, 500),
        ({"errcode": "M_UNKNOWN", "error": "Room alias #lobby:x.org already exists"}, 409),
    ],
)
def test_gets_its_old_room_back_if_the_new_one_is_refused(server: ScriptedServer, answer: t.Any, status: int) -> None:
    plan = moving(server).plan()
    server.expect(points_to(OLD), delete(), put(NEW, answer, status), FREE, put(OLD))
    with pytest.raises(errors.ApiError, match=f"#lobby:x.org points to {OLD} again") as caught:
        plan.execute()
    assert caught.value.status == status
    assert caught.value.may_be_done


def test_is_not_lost_in_silence(server: ScriptedServer) -> None:
    plan = moving(server).plan()
    server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), FREE, put(OLD, BROKEN, 500), FREE)
    with pytest.raises(errors.SynapseError) as caught:
        plan.execute()
    message = caught.value.message
    assert "500 M_UNKNOWN: Broken" in message
    assert "#lobby:x.org points nowhere now" in message
    assert f"could not be pointed back to {OLD}" in message
    assert caught.value.may_be_done


class TestMoveWithFaults:
    """What is said of a move that ended half way."""

    def test_a_removal_that_was_not_done_is_no_change(self, server: ScriptedServer) -> None:
        resource = moving(server)
        plan = resource.plan()
        server.expect(points_to(OLD), dropped(delete()), points_to(OLD))
        server.expect(points_to(OLD), room("%21new"), names(OLD))
        with pytest.raises(errors.ConnectionFailed, match="this is not done") as caught:
            carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    def test_the_runner_tells_what_became_of_it(self, server: ScriptedServer) -> None:
        resource = moving(server)
        plan = resource.plan()
        server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), FREE, put(OLD, BROKEN, 500), FREE)
        server.expect(FREE, room("%21new"))
        with pytest.raises(errors.ApiError, match="this is partly done") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True


@pytest.mark.parametrize("found", [points_to(OLD), FREE])
def test_says_where_it_points_afterwards(server: ScriptedServer, found: Call) -> None:
    server.expect(WHOAMI, FREE, room("%21new"), put(NEW), found)
    resource = alias(server, NEW)
    plan = resource.plan()
    plan.execute()
    with pytest.raises(errors.StateNotReached, match="it points to (!old:x.org|no room)"):
        resource.verify(plan)


def test_an_error_is_not_taken_for_a_free_alias(server: ScriptedServer) -> None:
    server.expect(WHOAMI, Call("GET", ALIAS, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404))
    with pytest.raises(errors.EndpointMissing):
        alias(server, None).plan()


class TestRoomsThatNameIt:
    """What Synapse leaves standing in a room that whoever removes the alias has no power in."""

    def free(self, server: ScriptedServer, room_id: str | None = None) -> AliasResource:
        return AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(room_id, present=False))

    def test_is_taken_off_in_the_name_of_somebody_with_power(self, server: ScriptedServer) -> None:
        members = ("@bob:x.org", "@far:y.org", "@alice:x.org")
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY, OTHER), *lead(OLD, ALICE_LEADS, *members))
        server.expect(account("alice"))
        resource = self.free(server)
        plan = resource.plan()
        assert plan.before == {"alias": LOBBY, "room_id": OLD, "named_by": [OLD]}
        assert plan.after is None
        assert descriptions(plan) == [
            f"take the alias off the addresses that {OLD} names",
            f"remove the alias from {OLD}",
        ]
        server.expect(names(OLD, LOBBY, OTHER), *written_by("alice", OLD, {"alt_aliases": [OTHER]}))
        server.expect(points_to(OLD), delete())
        plan.execute()
        server.expect(FREE, state(OLD, "m.room.canonical_alias", {"alt_aliases": [OTHER]}))
        resource.verify(plan)
        assert resource.result(plan, True)["written_as"] == ["@alice:x.org"]

    def test_what_somebody_else_has_taken_off_is_not_written_again(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, {"users_default": 50}, "@admin:x.org"))
        plan = self.free(server).plan()
        server.expect(names(OLD), points_to(OLD), delete())
        plan.execute()

    def test_the_caller_writes_in_its_own_name(self, server: ScriptedServer) -> None:
        levels = {"users_default": 50, "users": {"@alice:x.org": 100}}
        server.expect(WHOAMI, points_to(OLD), names(OLD, OTHER, LOBBY))
        server.expect(*lead(OLD, levels, "@alice:x.org", "@admin:x.org"))
        plan = self.free(server).plan()
        server.expect(names(OLD, OTHER, LOBBY), written(OLD, OTHER), points_to(OLD), delete())
        plan.execute()

    @pytest.mark.parametrize(
        ("levels", "members", "reason"),
        [
            (ALICE_LEADS, ["@bob:x.org", "@far:y.org"], r"nobody of this server in the room has the power .*\(50\)"),
            ({"events": {"m.room.canonical_alias": 101}}, ["@alice:x.org"], r"has the power for it \(101\)"),
            (ALICE_LEADS, ["@far:y.org"], "nobody of this server is in the room any more"),
            # A server whose name only ends in the same way is another one.
            ({"users": {"@alice:not.x.org": 100}}, ["@alice:not.x.org"], "nobody of this server is in the room"),
        ],
    )
    def test_says_so_if_nobody_can(
        self, server: ScriptedServer, levels: t.Any, members: list[str], reason: str
    ) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, levels, *members))
        server.expect(points_to(OLD), delete(), FREE)
        resource = self.free(server)
        plan = resource.plan()
        plan.execute()
        resource.verify(plan)
        result = resource.result(plan, True)
        assert plan.after == {"alias": LOBBY, "room_id": None, "named_by": [OLD]}
        assert result["dangling"]
        assert re.search(f"^{OLD} still names it: .*{reason}", result["dangling_reason"])

    @pytest.mark.parametrize("flag", ["locked", "suspended", "shadow_banned", "deactivated"])
    def test_passes_over_who_cannot_write(self, server: ScriptedServer, flag: str) -> None:
        levels = {"users": {"@alice:x.org": 100, "@bob:x.org": 60}}
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, levels, "@bob:x.org", "@alice:x.org"))
        server.expect(account("alice", **{flag: True}), account("bob"))
        resource = self.free(server)
        assert resource.result(resource.plan(), False)["written_as"] == ["@bob:x.org"]

    def test_says_so_if_those_who_could_are_locked(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice", locked=True))
        resource = self.free(server)
        assert (
            "locked, suspended or shadow-banned (@alice:x.org)"
            in resource.result(resource.plan(), False)["dangling_reason"]
        )

    @pytest.mark.parametrize(
        ("version", "levels", "able"),
        [
            # Who made a room stands above all levels since version 12, and needs no mention in them.
            ("12", {"users": {}}, True),
            ("11", {"users": {}}, False),
            ("org.example.experiment", {"users": {}}, False),
            ("11", {"users": {"@alice:x.org": "50"}}, True),
            ("11", {"users": {"@alice:x.org": 50}, "state_default": 51}, False),
            ("1", None, True),
        ],
    )
    def test_knows_who_has_power(self, server: ScriptedServer, version: str, levels: t.Any, able: bool) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY))
        server.expect(*lead(OLD, levels, "@alice:x.org", version=version))
        server.always(account("alice"))
        resource = self.free(server)
        assert resource.result(resource.plan(), False)["dangling"] is not able

    def test_finds_rooms_that_name_a_free_alias(self, server: ScriptedServer) -> None:
        rooms = [{"room_id": OLD, "canonical_alias": LOBBY}, {"room_id": NEW, "canonical_alias": "#lobby2:x.org"}]
        server.expect(WHOAMI, FREE, search(*rooms), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice"))
        assert [step.description for step in self.free(server).plan().steps] == [
            f"take the alias off the addresses that {OLD} names"
        ]

    def test_looks_at_the_room_that_is_named(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, FREE, names(NEW))
        assert not self.free(server, NEW).plan().changed

    def test_another_service_in_charge_of_logins(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice"))
        plan = self.free(server).plan()
        server.expect(names(OLD, LOBBY))
        unknown = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
        server.expect(Call("POST", "/_synapse/admin/v1/users/%40alice%3Ax.org/login", unknown, 404))
        with pytest.raises(errors.SynapseError) as caught:
            plan.execute()
        assert "nothing can be changed in the name of @alice:x.org" in caught.value.message

    def test_the_place_of_somebody_is_left_after_a_refusal_too(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice"))
        plan = self.free(server).plan()
        server.expect(names(OLD, LOBBY))
        login, refused, logout = written_by("alice", OLD, {})
        server.expect(login, dataclasses.replace(refused, status=403, answer={"errcode": "M_FORBIDDEN"}), logout)
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_the_runner_does_not_take_for_done_what_is_not(self, server: ScriptedServer) -> None:
        found = (names(OLD, OTHER, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"), account("alice"))
        server.expect(WHOAMI, points_to(OLD), *found)
        resource = self.free(server)
        plan = resource.plan()
        login = Call("POST", "/_synapse/admin/v1/users/%40alice%3Ax.org/login", BROKEN, 500)
        server.expect(names(OLD, OTHER, LOBBY), login, points_to(OLD), *found)
        with pytest.raises(errors.ApiError, match="this is not done: take the alias off") as caught:
            carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    def test_a_session_that_stays_open_is_told_with_a_later_failure(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), room("%21new"), names(OLD, LOBBY))
        server.expect(*lead(OLD, ALICE_LEADS, "@alice:x.org"), account("alice"))
        server.expect(names(NEW), *lead(NEW, {"users_default": 50}, "@admin:x.org"))
        plan = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, canonical=True)).plan()
        login, write, logout = written_by("alice", OLD, {})
        refused = dataclasses.replace(logout, status=500, answer=BROKEN)
        server.expect(names(OLD, LOBBY), login, write, refused, refused, points_to(OLD), delete(), put(NEW))
        server.expect(names(NEW))
        server.expect(Call("PUT", "/_matrix/client/v3/rooms/%21new/state/m.room.canonical_alias", BROKEN, 500))
        with pytest.raises(errors.ApiError) as caught:
            plan.execute()
        assert "in the name of @alice:x.org could not be logged out" in caught.value.details["warnings"][0]

    def test_a_session_that_stays_open_is_a_warning(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, FREE, names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"), account("alice"))
        resource = self.free(server, OLD)
        plan = resource.plan()
        login, write, logout = written_by("alice", OLD, {})
        refused = dataclasses.replace(logout, status=500, answer=BROKEN)
        server.expect(names(OLD, LOBBY), login, write, refused, refused)
        plan.execute()
        (warning,) = resource.result(plan, True)["warnings"]
        assert re.search(
            "in the name of @alice:x.org could not be logged out; it ends by itself at 20.*Broken", warning
        )


class TestOldRoomThatNamedIt:
    """What the old room names, and what the next run finds, where something fails after or while it is taken off."""

    NAMED = (LOBBY, OTHER)
    LEFT = ("", OTHER)

    def plan(
        self, server: ScriptedServer, room_id: str | None, named: t.Sequence[str] = NAMED, **options: t.Any
    ) -> tuple[AliasResource, Plan]:
        """An alias that OLD names, and that shall point to `room_id`, or be free."""
        server.expect(WHOAMI, points_to(OLD), *([room("%21new")] if room_id else []), names(OLD, *named))
        if LOBBY in named:
            server.expect(*lead(OLD, ADMIN_LEADS, "@admin:x.org"))
        resource = alias(server, room_id, **options)
        return resource, resource.plan()

    def taken_off(self, server: ScriptedServer, room_id: str | None, **options: t.Any) -> tuple[AliasResource, Plan]:
        """The same, with what comes until OLD does not name it any more."""
        resource, plan = self.plan(server, room_id, **options)
        server.expect(names(OLD, *self.NAMED), written(OLD, *self.LEFT), points_to(OLD))
        return resource, plan

    @pytest.mark.parametrize(
        ("room_id", "refusal"),
        [
            (NEW, [delete(), put(NEW, FORBIDDEN, 403), FREE, put(OLD)]),
            (NEW, [delete(), put(NEW, TAKEN, 409), FREE, put(OLD)]),
            (NEW, [delete(FORBIDDEN, 403)]),
            (None, [delete(FORBIDDEN, 403)]),
        ],
    )
    @pytest.mark.parametrize(
        ("named", "left"),
        [
            ((LOBBY,), ("",)),
            ((LOBBY, OTHER, THIRD), ("", OTHER, THIRD)),
            ((OTHER, LOBBY), (OTHER,)),
            ((OTHER, THIRD, LOBBY, "#far:y.org"), (OTHER, THIRD, "#far:y.org")),
            ((LOBBY, LOBBY, OTHER), ("", OTHER)),
        ],
    )
    def test_names_it_as_before_after_a_refusal(
        self, server: ScriptedServer, room_id: str | None, refusal: list[Call], named: t.Any, left: t.Any
    ) -> None:
        _resource, plan = self.plan(server, room_id, named)
        server.expect(names(OLD, *named), written(OLD, *left), points_to(OLD), *refusal)
        server.expect(points_to(OLD), names(OLD, *left), written(OLD, *named))
        with pytest.raises(errors.ApiError, match="403|409") as caught:
            plan.execute()
        assert "any more" not in caught.value.message

    def test_names_it_again_in_the_name_of_whoever_took_it_off(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice"))
        plan = alias(server, None).plan()
        server.expect(names(OLD, LOBBY), *written_by("alice", OLD, {}), points_to(OLD), delete(FORBIDDEN, 403))
        server.expect(points_to(OLD), names(OLD), *written_by("alice", OLD, {"alias": LOBBY}))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    @pytest.mark.parametrize(
        ("room_id", "fault"),
        [
            (NEW, [delete(LOGGED_OUT, 401)]),
            (NEW, [delete(), put(NEW, LOGGED_OUT, 401), Call("GET", ALIAS, LOGGED_OUT, 401)]),
            (NEW, [delete(BUSY, 429)]),
            (NEW, [delete(), put(NEW, BUSY, 429), FREE, put(OLD)]),
            (NEW, [delete(BROKEN, 500), points_to(OLD)]),
            (NEW, [delete(), put(NEW, BROKEN, 500), FREE, put(OLD)]),
            (NEW, [dropped(delete()), points_to(OLD)]),
            (NEW, [delete(), dropped(put(NEW)), FREE, put(OLD)]),
            (NEW, [unanswered(delete()), points_to(OLD)]),
            (NEW, [delete(), unanswered(put(NEW)), FREE, put(OLD)]),
            (None, [delete(LOGGED_OUT, 401)]),
            (None, [delete(BUSY, 429)]),
            (None, [delete(BROKEN, 500)]),
            (None, [dropped(delete())]),
            (None, [unanswered(delete())]),
        ],
    )
    def test_is_left_as_it_is_where_the_next_run_goes_on(
        self, server: ScriptedServer, room_id: str | None, fault: list[Call]
    ) -> None:
        _resource, plan = self.taken_off(server, room_id, timeout=1)
        server.expect(*fault)
        with pytest.raises(errors.SynapseError):
            plan.execute()

    @pytest.mark.parametrize("found", [("",), (OTHER,), ("", OTHER, THIRD), (THIRD, OTHER), NAMED])
    def test_what_somebody_else_made_of_it_is_kept(self, server: ScriptedServer, found: tuple[str, ...]) -> None:
        _resource, plan = self.taken_off(server, NEW)
        server.expect(delete(FORBIDDEN, 403), points_to(OLD), names(OLD, *found))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    @pytest.mark.parametrize("somewhere", [FREE, points_to("!third"), points_to(NEW)])
    @pytest.mark.parametrize("room_id", [NEW, None])
    def test_does_not_name_what_does_not_point_to_it(
        self, server: ScriptedServer, room_id: str | None, somewhere: Call
    ) -> None:
        _resource, plan = self.taken_off(server, room_id)
        server.expect(delete(FORBIDDEN, 403), somewhere)
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_does_not_name_what_could_not_be_pointed_back(self, server: ScriptedServer) -> None:
        _resource, plan = self.taken_off(server, NEW)
        server.expect(delete(), put(NEW, FORBIDDEN, 403), FREE, put(OLD, FORBIDDEN, 403), FREE, FREE)
        with pytest.raises(errors.PermissionDenied, match="#lobby:x.org points nowhere now"):
            plan.execute()

    def test_a_room_that_nobody_can_change_is_not_written(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), names(OLD, LOBBY), *lead(OLD, ALICE_LEADS, "@far:y.org"))
        plan = alias(server, None).plan()
        server.expect(points_to(OLD), delete(FORBIDDEN, 403))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_a_room_that_does_not_lose_it_is_not_written(self, server: ScriptedServer) -> None:
        """The alias is freed from OLD, and NEW, which it does not point to, must not name it either."""
        server.expect(WHOAMI, points_to(OLD), names(OLD), names(NEW, LOBBY), *lead(NEW, ADMIN_LEADS, "@admin:x.org"))
        plan = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, present=False)).plan()
        server.expect(names(NEW, LOBBY), written(NEW, ""), points_to(OLD), delete(FORBIDDEN, 403))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ([points_to(OLD), names(OLD, *LEFT), written(OLD, *NAMED, answer=FORBIDDEN, status=403)], "Not allowed"),
            ([points_to(OLD), names(OLD, *LEFT), written(OLD, *NAMED, answer=BROKEN, status=500)], "Broken"),
            ([points_to(OLD), names(OLD, *LEFT), dropped(written(OLD, *NAMED))], "PUT .*canonical_alias"),
            ([Call("GET", ALIAS, BROKEN, 500)], "Broken"),
        ],
    )
    def test_says_so_if_it_cannot_name_it_again(self, server: ScriptedServer, fault: list[Call], words: str) -> None:
        _resource, plan = self.taken_off(server, NEW)
        server.expect(delete(), put(NEW, TAKEN, 409), FREE, put(OLD), *fault)
        told = f"already exists.*{LOBBY} points to {OLD} again. {OLD} may not name {LOBBY} any more, as .*{words}"
        with pytest.raises(errors.ApiError, match=told) as caught:
            plan.execute()
        assert caught.value.status == 409

    def test_the_runner_sees_what_there_is_to_do(self, server: ScriptedServer) -> None:
        resource, plan = self.taken_off(server, NEW)
        assert (plan.before or {})["named_by"] == [OLD]
        server.expect(delete(), put(NEW, BROKEN, 500), FREE, put(OLD))
        server.expect(points_to(OLD), room("%21new"), names(OLD, *self.LEFT))
        with pytest.raises(errors.ApiError, match="this is not done: move the alias") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        assert caught.value.details["steps"] == [f"take the alias off the addresses that {OLD} names"]

    @pytest.mark.parametrize(
        ("room_id", "fault", "step"),
        [
            (NEW, [delete(), put(NEW, BROKEN, 500), FREE, put(OLD)], f"move the alias from {OLD} to {NEW}"),
            (None, [delete(BROKEN, 500)], f"remove the alias from {OLD}"),
        ],
    )
    def test_the_next_run_goes_on(
        self, server: ScriptedServer, room_id: str | None, fault: list[Call], step: str
    ) -> None:
        _resource, plan = self.taken_off(server, room_id)
        server.expect(*fault)
        with pytest.raises(errors.ApiError):
            plan.execute()
        _resource, plan = self.plan(server, room_id, self.LEFT)
        assert descriptions(plan) == [step]

    @pytest.mark.parametrize("room_id", [NEW, None])
    @pytest.mark.parametrize(
        "write",
        [
            written(OLD, *LEFT, answer=FORBIDDEN, status=403),
            written(OLD, *LEFT, answer=BROKEN, status=500),
            dropped(written(OLD, *LEFT)),
        ],
    )
    def test_the_alias_stays_if_it_cannot_be_taken_off(
        self, server: ScriptedServer, room_id: str | None, write: Call
    ) -> None:
        """No request for the alias itself comes, and the next run finds the room as this one did."""
        _resource, first = self.plan(server, room_id)
        server.expect(names(OLD, *self.NAMED), write)
        with pytest.raises(errors.SynapseError):
            first.execute()
        _resource, second = self.plan(server, room_id)
        assert (second.before, second.after, descriptions(second)) == (first.before, first.after, descriptions(first))
        assert len(second.steps) == 2


class TestAddresses:
    """What is declared of the addresses that the room names."""

    def declare(self, server: ScriptedServer, **declared: t.Any) -> AliasResource:
        return AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, **declared))

    def test_becomes_the_main_one(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, FREE, room("%21new"), names(NEW, OTHER), *lead(NEW, ALICE_LEADS, "@alice:x.org"))
        server.expect(account("alice"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        assert plan.before is None
        assert plan.after == {"alias": LOBBY, "room_id": NEW, "canonical": True}
        server.expect(put(NEW), state(NEW, "m.room.canonical_alias", {"alias": OTHER, "kept": 1}))
        server.expect(*written_by("alice", NEW, {"alias": LOBBY, "kept": 1}))
        plan.execute()
        server.expect(points_to(NEW), names(NEW, LOBBY))
        resource.verify(plan)

    @pytest.mark.parametrize(
        ("declared", "found", "changed"),
        [
            ({"canonical": True}, (LOBBY, OTHER), False),
            ({"canonical": False}, (OTHER,), False),
            ({"canonical": False}, (LOBBY,), True),
            ({"alt_aliases": ["#other", "#far:y.org"]}, (LOBBY, "#far:y.org", OTHER), False),
            ({"alt_aliases": []}, (LOBBY, OTHER), True),
            ({"canonical": True, "alt_aliases": []}, (LOBBY,), False),
        ],
    )
    def test_only_differences_are_written(
        self, server: ScriptedServer, declared: t.Any, found: tuple[str, ...], changed: bool
    ) -> None:
        server.expect(WHOAMI, points_to(NEW), names(NEW, *found))
        if changed:
            server.expect(*lead(NEW, {"users_default": 100}, "@admin:x.org"))
        assert self.declare(server, **declared).plan().changed is changed

    def test_the_others_must_point_there(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), names(NEW))
        other = "/_matrix/client/v3/directory/room/%23other%3Ax.org"
        server.expect(Call("GET", other, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"}, 404))
        with pytest.raises(errors.InvalidInput, match="#other:x.org, which points to no room.*Let it point to !new"):
            self.declare(server, alt_aliases=["#other", "#lobby"]).plan()

    def test_somebody_must_have_the_power(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), names(NEW), *lead(NEW, {}, "@alice:x.org"))
        with pytest.raises(errors.InvalidInput, match="cannot be changed from this server: nobody.*admin of the room"):
            self.declare(server, canonical=True).plan()

    def test_what_others_added_meanwhile_is_kept(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), names(NEW), *lead(NEW, {"users_default": 50}, "@admin:x.org"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        path = "/_matrix/client/v3/rooms/%21new/state/m.room.canonical_alias"
        server.expect(names(NEW, "", OTHER), Call("PUT", path, body={"alias": LOBBY, "alt_aliases": [OTHER]}))
        plan.execute()
        server.expect(points_to(NEW), names(NEW, LOBBY, OTHER))
        resource.verify(plan)

    def test_a_change_that_was_not_kept_is_seen(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), names(NEW), *lead(NEW, {"users_default": 50}, "@admin:x.org"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        server.expect(points_to(NEW), names(NEW, OTHER))
        with pytest.raises(errors.StateNotReached, match=f"the room names {OTHER}"):
            resource.verify(plan)
