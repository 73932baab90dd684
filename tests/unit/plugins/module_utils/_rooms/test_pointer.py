# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a fault, the alias is read again before the next step, and a change that another user has made stays."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.pointer import Pointer
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALIAS = "/_matrix/client/v3/directory/room/%23lobby%3Ax.org"
OLD, NEW = "!old:x.org", "!new"
BROKEN = {"errcode": "M_UNKNOWN", "error": "Broken"}
TAKEN = {"errcode": "M_UNKNOWN", "error": "Room alias #lobby:x.org already exists"}
FREE = Call("GET", ALIAS, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"}, 404)


def points_to(room_id: str) -> Call:
    return Call("GET", ALIAS, {"room_id": room_id, "servers": ["x.org"]})


def put(room_id: str, answer: t.Any = None, status: int = 200) -> Call:
    return Call("PUT", ALIAS, answer or {}, status, body={"room_id": room_id})


def delete(answer: t.Any = None, status: int = 200) -> Call:
    return Call("DELETE", ALIAS, answer or {}, status, body=None)


def dropped(call: Call) -> Call:
    """The same request, whose answer does not arrive."""
    return dataclasses.replace(call, drop=True)


@pytest.fixture(autouse=True)
def permissive(server: ScriptedServer) -> None:
    """Synapse refuses to point an alias to NEW only because it points to another room."""
    server.always(put(NEW, TAKEN, 409))


def pointer(server: ScriptedServer) -> Pointer:
    return Pointer(Client(server.base_url, "token"), "#lobby:x.org")


class TestMove:
    @pytest.mark.parametrize("lost", ["of the removal", "of the new room"])
    def test_a_lost_answer_does_not_matter(self, server: ScriptedServer, lost: str) -> None:
        if lost == "of the removal":
            server.expect(points_to(OLD), dropped(delete()), FREE, put(NEW))
        else:
            server.expect(points_to(OLD), delete(), dropped(put(NEW)), points_to(NEW))
        pointer(server).move(OLD, NEW)

    def test_a_late_success_is_not_undone(self, server: ScriptedServer) -> None:
        server.expect(points_to(OLD), delete(), dropped(put(NEW)), FREE, put(OLD, TAKEN, 409), points_to(NEW))
        pointer(server).move(OLD, NEW)

    def test_a_refused_removal_is_reported_as_it_is(self, server: ScriptedServer) -> None:
        server.expect(points_to(OLD), delete({"errcode": "M_EXCLUSIVE", "error": "Reserved"}, 400))
        with pytest.raises(errors.ApiError, match="M_EXCLUSIVE: Reserved") as caught:
            pointer(server).move(OLD, NEW)
        assert not caught.value.may_be_done

    @pytest.mark.parametrize("when", ["before", "between", "while it is pointed back"])
    def test_a_change_of_another_user_in_the_meantime_stays(self, server: ScriptedServer, when: str) -> None:
        if when == "before":
            server.expect(points_to("!third"))
        elif when == "between":
            server.expect(points_to(OLD), delete(), put(NEW, TAKEN, 409), points_to("!third"))
        else:
            server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), FREE, put(OLD, TAKEN, 409))
            server.expect(points_to("!third"))
        with pytest.raises(
            errors.SynapseError, match="Another user pointed .*#lobby:x.org to !third at the same time"
        ) as caught:
            pointer(server).move(OLD, NEW)
        assert "no room" not in caught.value.message
        assert caught.value.may_be_done is (when != "before")

    def test_nothing_is_done_if_another_user_has_moved_it(self, server: ScriptedServer) -> None:
        server.expect(points_to(NEW))
        pointer(server).move(OLD, NEW)

    def test_an_alias_that_another_user_has_removed_is_only_created(self, server: ScriptedServer) -> None:
        server.expect(FREE, put(NEW))
        pointer(server).move(OLD, NEW)

    def test_says_that_the_target_cannot_be_read(self, server: ScriptedServer) -> None:
        server.expect(points_to(OLD), delete(), put(NEW, BROKEN, 500), Call("GET", ALIAS, BROKEN, 500))
        with pytest.raises(
            errors.ApiError, match="The room that #lobby:x.org points to now could not be read"
        ) as caught:
            pointer(server).move(OLD, NEW)
        assert caught.value.may_be_done


class TestMoveThatSynapseRefuses:
    """Synapse is asked while the alias still points to its old room."""

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            (403, {"errcode": "M_UNKNOWN", "error": "Not allowed to create alias"}),
            (400, {"errcode": "M_EXCLUSIVE", "error": "This alias is reserved by an application service."}),
            (400, {"errcode": "M_UNKNOWN", "error": "Failed to get server list"}),
        ],
    )
    def test_the_alias_never_leaves_its_room(self, server: ScriptedServer, status: int, answer: t.Any) -> None:
        server.expect(points_to(OLD), put(NEW, answer, status))
        with pytest.raises(errors.ApiError, match=answer["error"]) as caught:
            pointer(server).move(OLD, NEW)
        assert not caught.value.may_be_done

    def test_an_alias_that_is_free_by_now_is_moved(self, server: ScriptedServer) -> None:
        server.expect(points_to(OLD), put(NEW))
        pointer(server).move(OLD, NEW)

    def test_is_asked_before_the_removal(self, server: ScriptedServer) -> None:
        server.expect(points_to(OLD), put(NEW, TAKEN, 409), delete(), put(NEW))
        pointer(server).move(OLD, NEW)


class TestFree:
    def test_is_not_removed_from_a_room_that_another_user_pointed_it_to(self, server: ScriptedServer) -> None:
        server.expect(points_to("!third"))
        with pytest.raises(
            errors.SynapseError,
            match="Another user pointed the alias #lobby:x.org to !third at the same time, so it was not changed",
        ):
            pointer(server).free(OLD)

    def test_nothing_is_done_if_another_user_has_removed_it(self, server: ScriptedServer) -> None:
        server.expect(FREE)
        pointer(server).free(OLD)
