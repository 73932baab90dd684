# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An alias is moved from room to room without being lost on the way."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._aliases import AliasResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALIAS = "/_matrix/client/v3/directory/room/%23lobby%3Ax.org"
OLD, NEW = "!old:x.org", "!new"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
FREE = Call("GET", ALIAS, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"}, 404)
UNKNOWN_ROOM: dict[str, t.Any] = {"errcode": "M_NOT_FOUND", "error": "Room not found"}


def points_to(room_id: str) -> Call:
    return Call("GET", ALIAS, {"room_id": room_id, "servers": ["x.org"]})


def room(quoted: str, answer: t.Any = None, status: int = 200) -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{quoted}", answer or {}, status)


def put(room_id: str, answer: t.Any = None, status: int = 200) -> Call:
    return Call("PUT", ALIAS, answer or {}, status, body={"room_id": room_id})


def delete(answer: t.Any = None, status: int = 200) -> Call:
    return Call("DELETE", ALIAS, answer or {}, status, body=None)


def alias(server: ScriptedServer, room_id: str | None, name: str = "#lobby") -> AliasResource:
    return AliasResource(Client(server.base_url, "token"), name, room_id)


def test_points_to_a_room(server: ScriptedServer) -> None:
    server.expect(WHOAMI, FREE, room("%21new"), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert (plan.before, plan.after) == (None, {"alias": "#lobby:x.org", "room_id": NEW})
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True) == {"alias": "#lobby:x.org", "room_id": NEW, "previous_room_id": None}


def test_moves(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), room("%21new"), delete(), put(NEW), points_to(NEW))
    resource = alias(server, NEW)
    plan = resource.plan()
    assert [step.description for step in plan.steps] == [f"move the alias from {OLD} to {NEW}"]
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True)["previous_room_id"] == OLD


def test_is_freed(server: ScriptedServer) -> None:
    server.expect(WHOAMI, points_to(OLD), delete(), FREE)
    resource = alias(server, None)
    plan = resource.plan()
    assert (plan.before, plan.after) == ({"alias": "#lobby:x.org", "room_id": OLD}, None)
    plan.execute()
    resource.verify(plan)


@pytest.mark.parametrize(("room_id", "found"), [(OLD, points_to(OLD)), (None, FREE)])
def test_is_left_alone_if_it_is_as_declared(server: ScriptedServer, room_id: str | None, found: Call) -> None:
    server.expect(WHOAMI, found)
    assert not alias(server, room_id).plan().changed


def test_is_free_even_if_somebody_else_was_faster(server: ScriptedServer) -> None:
    gone = delete({"errcode": "M_NOT_FOUND", "error": "Unknown room alias"}, 404)
    server.expect(WHOAMI, points_to(OLD), gone, FREE)
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


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"errcode": "M_FORBIDDEN", "error": "Not in the room"}, 403),
        ({"errcode": "M_UNKNOWN", "error": "Broken"}, 500),
        ({"errcode": "M_UNKNOWN", "error": "Room alias #lobby:x.org already exists"}, 409),
    ],
)
def test_gets_its_old_room_back_if_the_new_one_is_refused(server: ScriptedServer, answer: t.Any, status: int) -> None:
    server.expect(WHOAMI, points_to(OLD), room("%21new"), delete(), put(NEW, answer, status), put(OLD))
    plan = alias(server, NEW).plan()
    with pytest.raises(errors.ApiError) as caught:
        plan.execute()
    assert caught.value.status == status


def test_is_not_lost_in_silence(server: ScriptedServer) -> None:
    broken = {"errcode": "M_UNKNOWN", "error": "Broken"}
    server.expect(WHOAMI, points_to(OLD), room("%21new"), delete(), put(NEW, broken, 500), put(OLD, broken, 500))
    plan = alias(server, NEW).plan()
    with pytest.raises(errors.SynapseError) as caught:
        plan.execute()
    message = caught.value.message
    assert "500 M_UNKNOWN: Broken" in message
    assert "#lobby:x.org" in message
    assert OLD in message


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
