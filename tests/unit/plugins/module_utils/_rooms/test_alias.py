# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An alias is moved from room to room without being lost, and no room publishes it that should not."""

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
ALICE_IS_ADMIN = {"users": {"@alice:x.org": 100, "@far:y.org": 100}}
CALLER_IS_ADMIN = {"users_default": 50}
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
    """A state event as the admin reads it. Without content there is none."""
    event = {"type": kind, "state_key": "", "sender": sender, "content": content}
    quoted = urllib.parse.quote(room_id, safe="")
    answer = {"state": [] if content is None else [event]}
    return Call("GET", f"/_synapse/admin/v1/rooms/{quoted}/state", answer, query={"type": kind})


def publishes(room_id: str, *aliases: str) -> Call:
    """What a room publishes: the first alias is the canonical one."""
    content = {"alias": aliases[0], "alt_aliases": list(aliases[1:])} if aliases else None
    return state(room_id, "m.room.canonical_alias", content)


def power(room_id: str, levels: t.Any, *members: str, version: str = "11") -> tuple[Call, ...]:
    """What shows who has which power level in a room."""
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
    """The admin logs in as a user, changes the published aliases, and logs out again."""
    quoted = urllib.parse.quote(room_id, safe="")
    path = f"/_matrix/client/v3/rooms/{quoted}/state/m.room.canonical_alias"
    return (
        Call("POST", f"/_synapse/admin/v1/users/%40{name}%3Ax.org/login", {"access_token": name}, token="token"),
        Call("PUT", path, {"event_id": "$1"}, body=body, token=name),
        Call("POST", "/_matrix/client/v3/logout", token=name),
    )


def written(room_id: str, *aliases: str, answer: t.Any = None, status: int = 200) -> Call:
    """The admin changes in its own name what a room publishes: the first alias is the canonical one, "" for none."""
    body = {"alias": aliases[0], "alt_aliases": list(aliases[1:])}
    path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room_id, safe='')}/state/m.room.canonical_alias"
    given = {name: value for name, value in body.items() if value}
    return Call("PUT", path, answer or {"event_id": "$1"}, status, body=given, token="token")


NOT_DELEGATED = Call("GET", "/_matrix/client/v1/auth_metadata", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
JOINED = Call("GET", "/_synapse/admin/v1/rooms/%21new/members", {"members": ["@alice:x.org"]})


@pytest.fixture(autouse=True)
def plain_server(server: ScriptedServer) -> None:
    """Synapse refuses nothing for a reason of its own, and manages the accounts itself."""
    server.always(account("admin"), NOT_DELEGATED, JOINED, put(NEW, TAKEN, 409))


def alias(server: ScriptedServer, room_id: str | None, name: str = "#lobby", **options: t.Any) -> AliasResource:
    client = Client(server.base_url, "token", **options)
    return AliasResource(client, name, DeclaredAlias(room_id, room_id is not None))


def descriptions(plan: Plan) -> list[str]:
    return [step.description for step in plan.steps]


def moving(server: ScriptedServer) -> AliasResource:
    """An alias that is to be moved from OLD, which does not publish it, to NEW."""
    server.expect(WHOAMI, points_to(OLD), room("%21new"), publishes(OLD))
    return alias(server, NEW)


def dropped(call: Call) -> Call:
    """The same request, whose answer does not arrive."""
    return dataclasses.replace(call, drop=True)


def unanswered(call: Call) -> Call:
    """The same request without any answer."""
    return dataclasses.replace(call, silent=True)


def test_points_to_a_room(server: ScriptedServer) -> None:
    server.expect(WHOAMI, FREE, room("%21new"), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert (plan.before, plan.after) == (None, {"alias": "#lobby:x.org", "room_id": NEW})
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True) == {
        "room_alias": {"alias": "#lobby:x.org", "room_id": NEW, "still_published_by": [], "written_as": []}
    }


def test_moves(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), room("%21new"), publishes(OLD))
    server.expect(points_to(OLD), delete(), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert [step.description for step in plan.steps] == [f"move the alias from {OLD} to {NEW}"]
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True)["room_alias"]["previous_room_id"] == OLD


def test_is_removed(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), publishes(OLD), points_to(OLD), delete(), FREE)
    resource = alias(server, None)
    plan = resource.plan()
    assert (plan.before, plan.after) == ({"alias": "#lobby:x.org", "room_id": OLD}, None)
    assert descriptions(plan) == [f"remove the alias, which points to {OLD}"]
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True) == {
        "room_alias": {"alias": "#lobby:x.org", "previous_room_id": OLD, "still_published_by": [], "written_as": []}
    }


@pytest.mark.parametrize(("room_id", "found"), [(OLD, [points_to(OLD)]), (None, [FREE, search()])])
def test_is_not_changed_if_it_is_as_declared(server: ScriptedServer, room_id: str | None, found: list[Call]) -> None:
    server.expect(WHOAMI, *found)
    assert not alias(server, room_id).plan().changed


def test_is_free_even_if_another_user_was_faster(server: ScriptedServer) -> None:
    gone = delete({"errcode": "M_NOT_FOUND", "error": "Unknown room alias"}, 404)
    server.expect(WHOAMI, points_to(OLD), publishes(OLD), points_to(OLD), gone, FREE)
    resource = alias(server, None)
    plan = resource.plan()
    plan.execute()
    resource.verify(plan)


@pytest.mark.parametrize("found", [FREE, points_to(OLD)])
def test_is_not_changed_for_a_room_that_does_not_exist(server: ScriptedServer, found: Call) -> None:
    server.expect(WHOAMI, found, room("%21new", UNKNOWN_ROOM, 404))
    with pytest.raises(
        errors.InvalidInput, match="room !new does not exist on this server, so the alias #lobby:x.org was not changed"
    ):
        alias(server, NEW).plan()


@pytest.mark.parametrize(
    ("name", "room_id"), [("#lobby:y.org", NEW), ("#lobby:y.org", None), ("lobby", NEW), ("#my lobby", None)]
)
def test_sends_nothing_for_an_alias_that_is_not_one_of_the_server(
    server: ScriptedServer, name: str, room_id: str | None
) -> None:
    server.expect(WHOAMI)
    with pytest.raises(errors.InvalidInput):
        alias(server, room_id, name).plan()


def test_a_room_without_any_member_is_refused(server: ScriptedServer) -> None:
    server.always(dataclasses.replace(JOINED, answer={"members": []}))
    server.expect(WHOAMI, points_to(OLD), room("%21new"))
    with pytest.raises(errors.InvalidInput, match="No user of any server is in the room !new"):
        alias(server, NEW).plan()


def test_sends_nothing_for_an_invalid_room_id(server: ScriptedServer) -> None:
    with pytest.raises(errors.InvalidInput, match="is not a room ID"):
        alias(server, "#new:x.org").plan()


@pytest.mark.parametrize("declared", [{"canonical": True}, {"alt_aliases": []}, {"alt_aliases": ["#other"]}])
def test_published_aliases_are_refused_for_an_alias_that_should_be_free(
    server: ScriptedServer, declared: t.Any
) -> None:
    resource = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(present=False, **declared))
    with pytest.raises(errors.InvalidInput, match="cannot be set with state=absent, .* leave them out"):
        resource.plan()


def test_an_alias_that_is_free_is_not_a_canonical_alias(server: ScriptedServer) -> None:
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


def test_is_not_lost_silently(server: ScriptedServer) -> None:
    plan = moving(server).plan()
    server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), FREE, put(OLD, BROKEN, 500), FREE)
    with pytest.raises(errors.SynapseError) as caught:
        plan.execute()
    message = caught.value.message
    assert "500 M_UNKNOWN: Broken" in message
    assert "#lobby:x.org now points to no room" in message
    assert f"could not be pointed back to {OLD}" in message
    assert caught.value.may_be_done


class TestMoveWithFaults:
    """What the error says about a move that ended halfway."""

    def test_a_removal_that_was_not_done_is_not_a_change(self, server: ScriptedServer) -> None:
        resource = moving(server)
        plan = resource.plan()
        server.expect(points_to(OLD), dropped(delete()), points_to(OLD))
        server.expect(points_to(OLD), room("%21new"), publishes(OLD))
        with pytest.raises(errors.ConnectionFailed, match="this is not done") as caught:
            carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    def test_the_error_contains_the_outcome(self, server: ScriptedServer) -> None:
        resource = moving(server)
        plan = resource.plan()
        server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), FREE, put(OLD, BROKEN, 500), FREE)
        server.expect(FREE, room("%21new"))
        with pytest.raises(errors.ApiError, match="this is partly done") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True


@pytest.mark.parametrize("found", [points_to(OLD), FREE])
def test_says_which_room_it_points_to_afterwards(server: ScriptedServer, found: Call) -> None:
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


class TestRoomsThatPublishIt:
    """What Synapse leaves in a room if the user who removes the alias does not have the power level there."""

    def free(self, server: ScriptedServer, room_id: str | None = None) -> AliasResource:
        return AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(room_id, present=False))

    def test_is_withdrawn_in_the_name_of_a_user_with_the_power_level(self, server: ScriptedServer) -> None:
        members = ("@bob:x.org", "@far:y.org", "@alice:x.org")
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY, OTHER), *power(OLD, ALICE_IS_ADMIN, *members))
        server.expect(account("alice"))
        resource = self.free(server)
        plan = resource.plan()
        assert plan.before == {"alias": LOBBY, "room_id": OLD, "published_by": [OLD]}
        assert plan.after is None
        assert descriptions(plan) == [
            f"remove the alias from the published aliases of {OLD}",
            f"remove the alias, which points to {OLD}",
        ]
        server.expect(publishes(OLD, LOBBY, OTHER), *written_by("alice", OLD, {"alt_aliases": [OTHER]}))
        server.expect(points_to(OLD), delete())
        plan.execute()
        server.expect(FREE, state(OLD, "m.room.canonical_alias", {"alt_aliases": [OTHER]}))
        resource.verify(plan)
        assert resource.result(plan, True)["room_alias"]["written_as"] == ["@alice:x.org"]

    def test_a_change_that_another_user_has_made_is_not_made_again(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, {"users_default": 50}, "@admin:x.org"))
        plan = self.free(server).plan()
        server.expect(publishes(OLD), points_to(OLD), delete())
        plan.execute()

    def test_the_caller_writes_in_its_own_name(self, server: ScriptedServer) -> None:
        levels = {"users_default": 50, "users": {"@alice:x.org": 100}}
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, OTHER, LOBBY))
        server.expect(*power(OLD, levels, "@alice:x.org", "@admin:x.org"))
        plan = self.free(server).plan()
        server.expect(publishes(OLD, OTHER, LOBBY), written(OLD, OTHER), points_to(OLD), delete())
        plan.execute()

    @pytest.mark.parametrize(
        ("levels", "members", "reason"),
        [
            (
                ALICE_IS_ADMIN,
                ["@bob:x.org", "@far:y.org"],
                r"no user of this server in the room has the required power level \(50\)",
            ),
            (
                {"events": {"m.room.canonical_alias": 101}},
                ["@alice:x.org"],
                r"no user .* has the required power level \(101\)",
            ),
            (ALICE_IS_ADMIN, ["@far:y.org"], "no user of this server is in the room any more"),
            # A server whose name only has the same end is another server.
            ({"users": {"@alice:not.x.org": 100}}, ["@alice:not.x.org"], "no user of this server is in the room"),
        ],
    )
    def test_says_why_no_user_can_change_it(
        self, server: ScriptedServer, levels: t.Any, members: list[str], reason: str
    ) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, levels, *members))
        server.expect(points_to(OLD), delete(), FREE)
        resource = self.free(server)
        plan = resource.plan()
        plan.execute()
        resource.verify(plan)
        result = resource.result(plan, True)["room_alias"]
        assert plan.after == {"alias": LOBBY, "room_id": None, "published_by": [OLD]}
        [room] = result["still_published_by"]
        assert room["room_id"] == OLD
        assert re.search(f"^{reason}", room["reason"])
        assert set(room) == {"room_id", "reason"}

    def test_shows_the_reason_of_each_room(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@bob:x.org"))
        server.expect(publishes(NEW, "", LOBBY), *power(NEW, ALICE_IS_ADMIN, "@far:y.org"))
        resource = self.free(server, NEW)
        assert resource.result(resource.plan(), False)["room_alias"]["still_published_by"] == [
            {"room_id": OLD, "reason": "no user of this server in the room has the required power level (50)"},
            {"room_id": NEW, "reason": "no user of this server is in the room any more"},
        ]

    def test_shows_only_the_rooms_that_no_user_can_change(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        server.expect(publishes(NEW, LOBBY), *power(NEW, ALICE_IS_ADMIN, "@far:y.org"))
        resource = self.free(server, NEW)
        result = resource.result(resource.plan(), False)["room_alias"]
        assert [room["room_id"] for room in result["still_published_by"]] == [NEW]
        assert result["written_as"] == ["@alice:x.org"]

    def test_shows_the_room_that_the_alias_was_moved_from(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), room("%21new"), publishes(OLD, LOBBY))
        server.expect(*power(OLD, ALICE_IS_ADMIN, "@far:y.org"))
        resource = alias(server, NEW)
        assert resource.result(resource.plan(), False)["room_alias"]["still_published_by"] == [
            {"room_id": OLD, "reason": "no user of this server is in the room any more"}
        ]

    @pytest.mark.parametrize("flag", ["locked", "suspended", "shadow_banned", "deactivated"])
    def test_a_user_who_cannot_write_is_skipped(self, server: ScriptedServer, flag: str) -> None:
        levels = {"users": {"@alice:x.org": 100, "@bob:x.org": 60}}
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, levels, "@bob:x.org", "@alice:x.org"))
        server.expect(account("alice", **{flag: True}), account("bob"))
        resource = self.free(server)
        assert resource.result(resource.plan(), False)["room_alias"]["written_as"] == ["@bob:x.org"]

    def test_says_that_the_users_with_the_power_level_are_locked(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice", locked=True))
        resource = self.free(server)
        [room] = resource.result(resource.plan(), False)["room_alias"]["still_published_by"]
        assert "locked, suspended or shadow-banned (@alice:x.org)" in room["reason"]

    def test_a_suspended_caller_cannot_withdraw_it_either(self, server: ScriptedServer) -> None:
        server.always(account("admin", suspended=True))
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice", locked=True))
        with pytest.raises(errors.InvalidInput, match=f"@admin:x.org, is suspended. {OLD} would still publish the al"):
            self.free(server).plan()

    @pytest.mark.parametrize(
        ("version", "levels", "able"),
        [
            # Since version 12 the creator has an unlimited power level, and is not listed in the power levels.
            ("12", {"users": {}}, True),
            ("11", {"users": {}}, False),
            ("org.example.experiment", {"users": {}}, False),
            ("11", {"users": {"@alice:x.org": "50"}}, True),
            ("11", {"users": {"@alice:x.org": 50}, "state_default": 51}, False),
            ("1", None, True),
        ],
    )
    def test_knows_who_has_the_power_level(
        self, server: ScriptedServer, version: str, levels: t.Any, able: bool
    ) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY))
        server.expect(*power(OLD, levels, "@alice:x.org", version=version))
        server.always(account("alice"))
        resource = self.free(server)
        found = resource.result(resource.plan(), False)["room_alias"]["still_published_by"]
        assert [room["room_id"] for room in found] == ([] if able else [OLD])

    def test_finds_rooms_that_publish_a_free_alias(self, server: ScriptedServer) -> None:
        rooms = [{"room_id": OLD, "canonical_alias": LOBBY}, {"room_id": NEW, "canonical_alias": "#lobby2:x.org"}]
        server.expect(WHOAMI, FREE, search(*rooms), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        assert [step.description for step in self.free(server).plan().steps] == [
            f"remove the alias from the published aliases of {OLD}"
        ]

    def test_reads_the_declared_room(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, FREE, publishes(NEW))
        assert not self.free(server, NEW).plan().changed

    def test_another_service_that_manages_the_logins(self, server: ScriptedServer) -> None:
        server.always(dataclasses.replace(NOT_DELEGATED, status=200))
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        resource = self.free(server)
        [room] = resource.result(resource.plan(), False)["room_alias"]["still_published_by"]
        assert re.search("Authentication Service manages.* cannot act in the name of @alice:x.org", room["reason"])

    @pytest.mark.parametrize(("answer", "status"), [(BUSY, 429), (BROKEN, 500), (BROKEN, 503)])
    def test_a_fault_is_not_another_service(self, server: ScriptedServer, answer: t.Any, status: int) -> None:
        server.always(dataclasses.replace(NOT_DELEGATED, answer=answer, status=status))
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        with pytest.raises(errors.ApiError):
            self.free(server).plan()

    @pytest.mark.parametrize("flag", ["suspended", "shadow_banned"])
    def test_another_user_writes_if_the_caller_cannot(self, server: ScriptedServer, flag: str) -> None:
        server.always(account("admin", **{flag: True}))
        levels = {"users": {"@alice:x.org": 60, "@admin:x.org": 100}}
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY))
        server.expect(*power(OLD, levels, "@admin:x.org", "@alice:x.org"))
        server.expect(account("alice"))
        resource = self.free(server)
        assert resource.result(resource.plan(), False)["room_alias"]["written_as"] == ["@alice:x.org"]

    def test_a_room_whose_state_cannot_be_read(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW), state(NEW, "m.room.create"))
        server.expect(state(NEW, "m.room.power_levels"))
        with pytest.raises(errors.InvalidInput, match="because this server cannot read the state of the room"):
            AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, canonical=True)).plan()

    def test_the_token_is_logged_out_after_a_refusal(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        plan = self.free(server).plan()
        server.expect(publishes(OLD, LOBBY))
        login, refused, logout = written_by("alice", OLD, {})
        server.expect(login, dataclasses.replace(refused, status=403, answer={"errcode": "M_FORBIDDEN"}), logout)
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_a_failed_step_is_not_reported_as_done(self, server: ScriptedServer) -> None:
        found = (publishes(OLD, OTHER, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"), account("alice"))
        server.expect(WHOAMI, points_to(OLD), *found)
        resource = self.free(server)
        plan = resource.plan()
        login = Call("POST", "/_synapse/admin/v1/users/%40alice%3Ax.org/login", BROKEN, 500)
        server.expect(publishes(OLD, OTHER, LOBBY), login, points_to(OLD), *found)
        with pytest.raises(
            errors.ApiError, match="this is not done: remove the alias from the published aliases"
        ) as caught:
            carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    def test_a_failed_logout_is_reported_with_a_later_failure(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), room("%21new"), publishes(OLD, LOBBY))
        server.expect(*power(OLD, ALICE_IS_ADMIN, "@alice:x.org"), account("alice"))
        server.expect(publishes(NEW), *power(NEW, {"users_default": 50}, "@admin:x.org"))
        plan = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, canonical=True)).plan()
        login, write, logout = written_by("alice", OLD, {})
        refused = dataclasses.replace(logout, status=500, answer=BROKEN)
        server.expect(publishes(OLD, LOBBY), login, write, refused, refused, points_to(OLD), delete(), put(NEW))
        server.expect(publishes(NEW))
        server.expect(Call("PUT", "/_matrix/client/v3/rooms/%21new/state/m.room.canonical_alias", BROKEN, 500))
        with pytest.raises(errors.ApiError) as caught:
            plan.execute()
        assert "in the name of @alice:x.org could not be logged out" in caught.value.details["warnings"][0]

    def test_a_failed_logout_is_a_warning(self, server: ScriptedServer) -> None:
        server.expect(
            WHOAMI, FREE, publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"), account("alice")
        )
        resource = self.free(server, OLD)
        plan = resource.plan()
        login, write, logout = written_by("alice", OLD, {})
        refused = dataclasses.replace(logout, status=500, answer=BROKEN)
        server.expect(publishes(OLD, LOBBY), login, write, refused, refused)
        plan.execute()
        (warning,) = resource.result(plan, True)["warnings"]
        assert re.search("in the name of @alice:x.org could not be logged out. It expires at 20.*Broken", warning)


class TestOldRoomThatPublishedIt:
    """What the old room publishes, and what the next run finds, if something fails while or after it is withdrawn."""

    PUBLISHED = (LOBBY, OTHER)
    LEFT = ("", OTHER)

    def plan(
        self, server: ScriptedServer, room_id: str | None, published: t.Sequence[str] = PUBLISHED, **options: t.Any
    ) -> tuple[AliasResource, Plan]:
        """An alias that OLD publishes, and that should point to `room_id`, or be free."""
        server.expect(WHOAMI, points_to(OLD), *([room("%21new")] if room_id else []), publishes(OLD, *published))
        if LOBBY in published:
            server.expect(*power(OLD, CALLER_IS_ADMIN, "@admin:x.org"))
        resource = alias(server, room_id, **options)
        return resource, resource.plan()

    def withdrawn(self, server: ScriptedServer, room_id: str | None, **options: t.Any) -> tuple[AliasResource, Plan]:
        """The same, with all requests until OLD does not publish it any more."""
        resource, plan = self.plan(server, room_id, **options)
        server.expect(publishes(OLD, *self.PUBLISHED), written(OLD, *self.LEFT), points_to(OLD))
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
        ("published", "left"),
        [
            ((LOBBY,), ("",)),
            ((LOBBY, OTHER, THIRD), ("", OTHER, THIRD)),
            ((OTHER, LOBBY), (OTHER,)),
            ((OTHER, THIRD, LOBBY, "#far:y.org"), (OTHER, THIRD, "#far:y.org")),
            ((LOBBY, LOBBY, OTHER), ("", OTHER)),
        ],
    )
    def test_publishes_it_as_before_after_a_refusal(
        self, server: ScriptedServer, room_id: str | None, refusal: list[Call], published: t.Any, left: t.Any
    ) -> None:
        _resource, plan = self.plan(server, room_id, published)
        server.expect(publishes(OLD, *published), written(OLD, *left), points_to(OLD), *refusal)
        server.expect(points_to(OLD), publishes(OLD, *left), written(OLD, *published))
        with pytest.raises(errors.ApiError, match="403|409") as caught:
            plan.execute()
        assert "any more" not in caught.value.message

    def test_publishes_it_again_in_the_name_of_the_same_user(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        plan = alias(server, None).plan()
        server.expect(publishes(OLD, LOBBY), *written_by("alice", OLD, {}), points_to(OLD), delete(FORBIDDEN, 403))
        server.expect(points_to(OLD), publishes(OLD), *written_by("alice", OLD, {"alias": LOBBY}))
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
    def test_is_not_restored_where_the_next_run_continues(
        self, server: ScriptedServer, room_id: str | None, fault: list[Call]
    ) -> None:
        _resource, plan = self.withdrawn(server, room_id, timeout=1)
        server.expect(*fault)
        with pytest.raises(errors.SynapseError):
            plan.execute()

    @pytest.mark.parametrize("found", [("",), (OTHER,), ("", OTHER, THIRD), (THIRD, OTHER), PUBLISHED])
    def test_a_change_of_another_user_is_kept(self, server: ScriptedServer, found: tuple[str, ...]) -> None:
        _resource, plan = self.withdrawn(server, NEW)
        server.expect(delete(FORBIDDEN, 403), points_to(OLD), publishes(OLD, *found))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    @pytest.mark.parametrize("somewhere", [FREE, points_to("!third"), points_to(NEW)])
    @pytest.mark.parametrize("room_id", [NEW, None])
    def test_does_not_publish_an_alias_that_does_not_point_to_it(
        self, server: ScriptedServer, room_id: str | None, somewhere: Call
    ) -> None:
        _resource, plan = self.withdrawn(server, room_id)
        server.expect(delete(FORBIDDEN, 403), somewhere)
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_does_not_publish_an_alias_that_could_not_be_pointed_back(self, server: ScriptedServer) -> None:
        _resource, plan = self.withdrawn(server, NEW)
        server.expect(delete(), put(NEW, FORBIDDEN, 403), FREE, put(OLD, FORBIDDEN, 403), FREE, FREE)
        with pytest.raises(errors.PermissionDenied, match="#lobby:x.org now points to no room"):
            plan.execute()

    def test_a_room_that_no_user_can_change_is_not_written(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(OLD), publishes(OLD, LOBBY), *power(OLD, ALICE_IS_ADMIN, "@far:y.org"))
        plan = alias(server, None).plan()
        server.expect(points_to(OLD), delete(FORBIDDEN, 403))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    def test_a_room_that_the_alias_does_not_point_to_is_not_written(self, server: ScriptedServer) -> None:
        """The alias is removed from OLD, and NEW, which it does not point to, must not publish it either."""
        server.expect(
            WHOAMI, points_to(OLD), publishes(OLD), publishes(NEW, LOBBY), *power(NEW, CALLER_IS_ADMIN, "@admin:x.org")
        )
        plan = AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, present=False)).plan()
        server.expect(publishes(NEW, LOBBY), written(NEW, ""), points_to(OLD), delete(FORBIDDEN, 403))
        with pytest.raises(errors.PermissionDenied):
            plan.execute()

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (
                [points_to(OLD), publishes(OLD, *LEFT), written(OLD, *PUBLISHED, answer=FORBIDDEN, status=403)],
                "Not allowed",
            ),
            ([points_to(OLD), publishes(OLD, *LEFT), written(OLD, *PUBLISHED, answer=BROKEN, status=500)], "Broken"),
            ([points_to(OLD), publishes(OLD, *LEFT), dropped(written(OLD, *PUBLISHED))], "PUT .*canonical_alias"),
            ([Call("GET", ALIAS, BROKEN, 500)], "Broken"),
        ],
    )
    def test_says_that_it_could_not_publish_it_again(
        self, server: ScriptedServer, fault: list[Call], words: str
    ) -> None:
        _resource, plan = self.withdrawn(server, NEW)
        server.expect(delete(), put(NEW, TAKEN, 409), FREE, put(OLD), *fault)
        message = f"already exists.*{LOBBY} points to {OLD} again. {OLD} may not publish {LOBBY} any more: .*{words}"
        with pytest.raises(errors.ApiError, match=message) as caught:
            plan.execute()
        assert caught.value.status == 409

    def test_the_error_contains_the_steps_that_were_done(self, server: ScriptedServer) -> None:
        resource, plan = self.withdrawn(server, NEW)
        assert (plan.before or {})["published_by"] == [OLD]
        server.expect(delete(), put(NEW, BROKEN, 500), FREE, put(OLD))
        server.expect(points_to(OLD), room("%21new"), publishes(OLD, *self.LEFT))
        with pytest.raises(errors.ApiError, match="this is not done: move the alias") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        assert caught.value.details["steps"] == [f"remove the alias from the published aliases of {OLD}"]

    @pytest.mark.parametrize(
        ("room_id", "fault", "step"),
        [
            (NEW, [delete(), put(NEW, BROKEN, 500), FREE, put(OLD)], f"move the alias from {OLD} to {NEW}"),
            (None, [delete(BROKEN, 500)], f"remove the alias, which points to {OLD}"),
        ],
    )
    def test_the_next_run_continues(
        self, server: ScriptedServer, room_id: str | None, fault: list[Call], step: str
    ) -> None:
        _resource, plan = self.withdrawn(server, room_id)
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
    def test_the_alias_stays_if_it_cannot_be_withdrawn(
        self, server: ScriptedServer, room_id: str | None, write: Call
    ) -> None:
        """No request for the alias itself comes, and the next run finds the room as this one did."""
        _resource, first = self.plan(server, room_id)
        server.expect(publishes(OLD, *self.PUBLISHED), write)
        with pytest.raises(errors.SynapseError):
            first.execute()
        _resource, second = self.plan(server, room_id)
        assert (second.before, second.after, descriptions(second)) == (first.before, first.after, descriptions(first))
        assert len(second.steps) == 2


class TestPublishedAliases:
    """The published aliases of the room are as declared."""

    def declare(self, server: ScriptedServer, **declared: t.Any) -> AliasResource:
        return AliasResource(Client(server.base_url, "token"), "#lobby", DeclaredAlias(NEW, **declared))

    def test_becomes_the_canonical_one(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, FREE, room("%21new"), publishes(NEW, OTHER), *power(NEW, ALICE_IS_ADMIN, "@alice:x.org"))
        server.expect(account("alice"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        assert plan.before is None
        assert plan.after == {"alias": LOBBY, "room_id": NEW, "canonical": True}
        server.expect(put(NEW), state(NEW, "m.room.canonical_alias", {"alias": OTHER, "kept": 1}))
        server.expect(*written_by("alice", NEW, {"alias": LOBBY, "kept": 1}))
        plan.execute()
        server.expect(points_to(NEW), publishes(NEW, LOBBY))
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
        server.expect(WHOAMI, points_to(NEW), publishes(NEW, *found))
        if changed:
            server.expect(*power(NEW, {"users_default": 100}, "@admin:x.org"))
        assert self.declare(server, **declared).plan().changed is changed

    def test_the_others_must_point_to_the_room(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW))
        other = "/_matrix/client/v3/directory/room/%23other%3Ax.org"
        server.expect(Call("GET", other, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"}, 404))
        with pytest.raises(
            errors.InvalidInput, match="#other:x.org, which points to no room.*point the alias to !new first"
        ):
            self.declare(server, alt_aliases=["#other", "#lobby"]).plan()

    @pytest.mark.parametrize(
        ("status", "answer", "words"),
        [
            (502, {"errcode": "M_UNKNOWN", "error": "Failed to fetch alias"}, "cannot ask the server y.org"),
            (403, {"errcode": "M_FORBIDDEN", "error": "Federation denied with y.org."}, "federation_domain_whitelist"),
            (403, FORBIDDEN, "Not allowed"),
        ],
    )
    def test_the_others_may_be_out_of_reach(
        self, server: ScriptedServer, status: int, answer: t.Any, words: str
    ) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW))
        server.expect(Call("GET", "/_matrix/client/v3/directory/room/%23far%3Ay.org", answer, status))
        with pytest.raises(errors.ApiError, match=words) as caught:
            self.declare(server, alt_aliases=["#far:y.org"]).plan()
        assert ("contains #far:y.org" in caught.value.message) is (answer is not FORBIDDEN)

    def test_must_fit_into_an_event(self, server: ScriptedServer) -> None:
        many = [f"#{number}{'ä' * 100}:x.org" for number in range(310)]
        server.expect(WHOAMI, points_to(NEW), publishes(NEW, "", *many))
        server.expect(*power(NEW, {"users_default": 50}, "@admin:x.org"))
        with pytest.raises(errors.InvalidInput, match="aliases of !new would need an event of more than 6[5-9]"):
            self.declare(server, canonical=True).plan()

    def test_a_user_must_have_the_power_level(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW), *power(NEW, {}, "@alice:x.org"))
        with pytest.raises(
            errors.InvalidInput, match="cannot be changed from this server, because no user.*room admin first"
        ):
            self.declare(server, canonical=True).plan()

    def test_an_alias_that_was_added_in_the_meantime_is_kept(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW), *power(NEW, {"users_default": 50}, "@admin:x.org"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        path = "/_matrix/client/v3/rooms/%21new/state/m.room.canonical_alias"
        server.expect(publishes(NEW, "", OTHER), Call("PUT", path, body={"alias": LOBBY, "alt_aliases": [OTHER]}))
        plan.execute()
        server.expect(points_to(NEW), publishes(NEW, LOBBY, OTHER))
        resource.verify(plan)

    def test_a_change_that_was_not_kept_is_noticed(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, points_to(NEW), publishes(NEW), *power(NEW, {"users_default": 50}, "@admin:x.org"))
        resource = self.declare(server, canonical=True)
        plan = resource.plan()
        server.expect(points_to(NEW), publishes(NEW, OTHER))
        with pytest.raises(errors.StateNotReached, match=f"the canonical alias of the room is {OTHER}"):
            resource.verify(plan)
