# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A deletion is found and waited for, and its failure is explained. A room is only changed where it differs."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.deletion import (
    DeclaredDeletion,
    find_deletion,
    start_deletion,
    wait_for_deletion,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.room import DeclaredRoom, RoomResource
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ROOM, QUOTED = "!a/b:x.org", "%21a%2Fb%3Ax.org"
TASKS = "/_synapse/admin/v1/scheduled_tasks"
DELETION = "shutdown_and_purge_room"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
MISSING = {"errcode": "M_NOT_FOUND", "error": "Room not found"}
DONE = {"kicked_users": ["@bob:x.org"], "failed_to_kick_users": [], "local_aliases": [], "new_room_id": None}


def tasks(*entries: tuple[str, str, t.Any]) -> Call:
    shown = {"action": DELETION, "resource_id": ROOM}
    found = [{"id": name, "status": status, **shown, **more} for name, status, more in entries]
    return Call("GET", TASKS, {"scheduled_tasks": found})


def status(word: str, result: t.Any = None) -> Call:
    path = "/_synapse/admin/v2/rooms/delete_status/D1"
    return Call("GET", path, {"delete_id": "D1", "room_id": ROOM, "status": word, "shutdown_room": result})


def members(*joined: str) -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}/members", {"members": list(joined)})


def delete(answer: t.Any = None, code: int = 200, body: t.Any = ...) -> Call:
    return Call("DELETE", f"/_synapse/admin/v2/rooms/{QUOTED}", answer or {"delete_id": "D1"}, code, body=body)


def there(**more: t.Any) -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}", {"room_id": ROOM, "name": "Lobby", **more})


def gone() -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}", MISSING, 404)


def blocked(value: bool) -> Call:
    return Call("GET", f"/_synapse/admin/v1/rooms/{QUOTED}/block", {"block": value})


def block(value: bool) -> Call:
    return Call("PUT", f"/_synapse/admin/v1/rooms/{QUOTED}/block", {"block": value}, body={"block": value})


@pytest.fixture(autouse=True)
def readable_room(server: ScriptedServer) -> None:
    """The server can read the state of the room."""
    creation = {"type": "m.room.create", "state_key": "", "sender": "@bob:x.org", "content": {}}
    path = f"/_synapse/admin/v1/rooms/{QUOTED}/state"
    server.always(Call("GET", path, {"state": [creation]}, query={"type": "m.room.create"}))


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    return Client(server.base_url, "token")


class TestDeletion:
    @pytest.mark.parametrize(
        ("entries", "found"),
        [
            ([], None),
            ([("D0", "complete", {}), ("D1", "failed", {})], None),
            ([("D0", "failed", {}), ("D1", "active", {"result": DONE})], "D1"),
            ([("D1", "scheduled", {"result": None})], "D1"),
            # Synapse itself deletes rooms that all have forgotten, often days later.
            ([("D1", "active", {"action": "purge_room"})], "D1"),
            ([("D1", "scheduled", {"action": "purge_room"})], None),
            ([("D1", "active", {"action": "another"})], None),
        ],
    )
    def test_in_progress_is_found(self, server: ScriptedServer, client: Client, entries: t.Any, found: t.Any) -> None:
        server.expect(tasks(*entries))
        running = find_deletion(client, ROOM)
        assert (running and running.delete_id) == found

    @pytest.mark.parametrize("word", ["active", "complete"])
    def test_is_found_on_older_servers(self, server: ScriptedServer, client: Client, word: str) -> None:
        unknown = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
        answer = {"results": [{"delete_id": "D1", "status": word, "shutdown_room": None}]}
        server.expect(Call("GET", TASKS, unknown, 404))
        server.expect(Call("GET", f"/_synapse/admin/v2/rooms/{QUOTED}/delete_status", answer))
        assert bool(find_deletion(client, ROOM)) == (word == "active")

    def test_of_a_room_whose_id_cannot_be_asked_for_is_found(self, server: ScriptedServer, client: Client) -> None:
        room = "!👩:x.org"
        found = tasks(("D0", "active", {}), ("D1", "active", {"resource_id": room}))
        server.expect(dataclasses.replace(found, query={}))
        running = find_deletion(client, room)
        assert running is not None
        assert running.delete_id == "D1"

    def test_is_started_as_declared(self, server: ScriptedServer, client: Client) -> None:
        body = {
            "block": True,
            "purge": False,
            "force_purge": True,
            "new_room_user_id": "@alice:x.org",
            "room_name": "New",
            "message": "Moved",
        }
        server.expect(delete(body=body))
        declared = DeclaredDeletion(False, True, True, "@alice:x.org", "New", "Moved")
        assert start_deletion(client, ROOM, declared) == "D1"

    def test_that_another_user_has_just_started_is_used(self, server: ScriptedServer, client: Client) -> None:
        refused = {"errcode": "M_UNKNOWN", "error": f"Purge already in progress for {ROOM}"}
        server.expect(delete(refused, 400), tasks(("D7", "active", {})))
        assert start_deletion(client, ROOM, DeclaredDeletion()) == "D7"

    def test_that_is_refused_is_an_error(self, server: ScriptedServer, client: Client) -> None:
        server.expect(delete({"errcode": "M_FORBIDDEN", "error": "Shutdown of this room is forbidden"}, 403))
        with pytest.raises(errors.ApiError, match="Shutdown of this room is forbidden"):
            start_deletion(client, ROOM, DeclaredDeletion())

    def test_is_read_less_and_less_often(self, server: ScriptedServer, client: Client) -> None:
        server.expect(status("scheduled"), *[status("active")] * 12, status("complete", DONE))
        pauses: list[float] = []
        assert wait_for_deletion(client, ROOM, "D1", 60, sleep=pauses.append).result == DONE
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (0.1, 5.0)

    def test_reports_how_far_it_is(
        self, server: ScriptedServer, client: Client, reports: list[tuple[t.Any, ...]]
    ) -> None:
        server.expect(status("scheduled"), status("active", DONE), status("complete", DONE))
        wait_for_deletion(client, ROOM, "D1", 60, sleep=lambda _seconds: None)
        assert reports == [(Work.DELETION_SCHEDULED, 0), (Work.DELETION, 1)]

    def test_that_takes_too_long_continues(self, server: ScriptedServer, client: Client) -> None:
        server.expect(status("active"), status("active"))
        times = iter([0.0, 1.0, 61.0])
        with pytest.raises(
            errors.SynapseError, match="still in progress after 60 seconds.*Run the task again to wait for it"
        ):
            wait_for_deletion(client, ROOM, "D1", 60, clock=lambda: next(times), sleep=lambda _seconds: None)

    @pytest.mark.parametrize(
        "failure",
        [
            pytest.param({"drop": True}, id="no-answer"),
            pytest.param({"status": 502, "text": b"<html>Bad gateway</html>"}, id="a-proxy-alone"),
            pytest.param({"status": 500, "answer": {"errcode": "M_UNKNOWN", "error": "Broken"}}, id="an-error"),
            pytest.param({"answer": {"delete_id": "D1"}}, id="no-status"),
        ],
    )
    def test_is_waited_for_while_the_server_restarts(
        self, server: ScriptedServer, client: Client, failure: t.Any
    ) -> None:
        failed = dataclasses.replace(status("active"), **failure)
        server.expect(*[failed] * 5, status("active"), *[failed] * 5, status("complete", DONE))
        pauses: list[float] = []
        assert wait_for_deletion(client, ROOM, "D1", 60, sleep=pauses.append).status == "complete"
        assert pauses.count(5.0) == 10

    def test_that_cannot_be_read_any_more_continues(self, server: ScriptedServer, client: Client) -> None:
        server.expect(*[dataclasses.replace(status("active"), drop=True)] * 6)
        with pytest.raises(errors.ConnectionFailed, match="Synapse continues with the deletion.*Run the task again"):
            wait_for_deletion(client, ROOM, "D1", 60, sleep=lambda _seconds: None)

    def test_is_not_waited_for_longer_than_declared(self, server: ScriptedServer, client: Client) -> None:
        server.expect(*[dataclasses.replace(status("active"), drop=True)] * 2)
        times = iter([0.0, 1.0, 61.0])
        with pytest.raises(errors.ConnectionFailed, match="Synapse continues with the deletion"):
            wait_for_deletion(client, ROOM, "D1", 60, clock=lambda: next(times), sleep=lambda _seconds: None)

    def test_is_not_waited_for_without_permission(self, server: ScriptedServer, client: Client) -> None:
        refused = {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"}
        server.expect(dataclasses.replace(status("active"), answer=refused, status=401))
        with pytest.raises(errors.AuthenticationFailed, match="Synapse continues with the deletion"):
            wait_for_deletion(client, ROOM, "D1", 60)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (
                tasks(("D0", "failed", {"error": "Old"}), ("D1", "failed", {"error": "Users are still joined."})),
                "Users.* run the task again. If users .*allow_purge_with_members: true.$",
            ),
            (tasks(("D1", "failed", {"error": None})), "see its log.*allow_purge_with_members"),
            (tasks(), "see its log.*allow_purge_with_members"),
            (Call("GET", TASKS, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500), "see its log.*allow_purge"),
            (tasks(("D1", "failed", {"error": "403: closed"})), r"hs_disabled.*user_consent.*run the task again\.$"),
            (tasks(("D1", "failed", {"error": "413: large"})), r"large\. Fix the cause and run the task again\.$"),
        ],
    )
    def test_that_fails_says_why(self, server: ScriptedServer, client: Client, answer: Call, reason: str) -> None:
        server.expect(status("failed"), answer)
        with pytest.raises(errors.SynapseError, match=f"could not delete the room {ROOM}: .*{reason}"):
            wait_for_deletion(client, ROOM, "D1", 60)

    def test_that_fails_says_what_it_has_changed(self, server: ScriptedServer, client: Client) -> None:
        server.expect(status("failed", {**DONE, "new_room_id": "!new"}), tasks(("D1", "failed", {"error": "413: big"})))
        with pytest.raises(
            errors.SynapseError, match=r"413: big\. .*users from the room \(1\)\. .*new room !new\. .*delete this one"
        ) as caught:
            wait_for_deletion(client, ROOM, "D1", 60)
        deletion = {**DONE, "delete_id": "D1", "status": "failed", "new_room_id": "!new"}
        assert caught.value.details == {"deletion": deletion, "changed": True}


class TestRoom:
    def declare(self, client: Client, **declared: t.Any) -> RoomResource:
        return RoomResource(client, ROOM, DeclaredRoom(**declared))

    def test_is_deleted_and_blocked_in_one_step(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members("@bob:x.org", "@far:y.org"))
        resource = self.declare(client, present=False, blocked=True, deletion=DeclaredDeletion(block=True))
        plan = resource.plan()
        assert plan.before == {
            "room_id": ROOM,
            "name": "Lobby",
            "present": True,
            "blocked": False,
            "local_members": 1,
            "deletion": "not started",
        }
        assert plan.after == {"room_id": ROOM, "present": False, "blocked": True}
        server.expect(delete(), status("complete", DONE))
        plan.execute()
        server.expect(blocked(True), gone())
        resource.verify(plan)
        assert resource.result(plan, True) == {
            "room": {"room_id": ROOM, "blocked": True},
            "deletion": {
                "delete_id": "D1",
                "status": "complete",
                "kicked_users": ["@bob:x.org"],
                "failed_to_kick_users": [],
                "local_aliases": [],
            },
        }

    def test_a_deletion_that_is_in_progress_is_waited_for(self, server: ScriptedServer, client: Client) -> None:
        server.expect(gone(), blocked(False), tasks(("D1", "active", {})))
        resource = self.declare(client, present=False, blocked=True, deletion=DeclaredDeletion(block=True))
        plan = resource.plan()
        assert [step.description for step in plan.steps] == [
            "wait for the deletion that is in progress",
            "block the room",
        ]
        assert "deletion" not in resource.result(plan, False)
        server.expect(status("active"), status("complete", {**DONE, "new_room_id": "!new"}), block(True))
        plan.execute()
        assert resource.result(plan, True)["deletion"] == {
            "delete_id": "D1",
            "status": "complete",
            **DONE,
            "new_room_id": "!new",
        }

    def test_is_only_started_without_a_timeout(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members(), delete())
        resource = self.declare(client, present=False, wait_timeout=0)
        plan = resource.plan()
        plan.execute()
        resource.verify(plan)
        assert resource.result(plan, True)["deletion"] == {"delete_id": "D1", "status": "scheduled"}

    def test_that_still_exists_is_noticed(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members())
        server.expect(delete(), status("complete", DONE), there(), members())
        resource = self.declare(client, present=False)
        plan = resource.plan()
        plan.execute()
        with pytest.raises(errors.StateNotReached, match="it still exists"):
            resource.verify(plan)

    def test_a_block_that_is_not_kept_is_noticed(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), block(True), blocked(False))
        resource = self.declare(client, blocked=True)
        plan = resource.plan()
        plan.execute()
        with pytest.raises(errors.StateNotReached, match="it is not blocked"):
            resource.verify(plan)

    @pytest.mark.parametrize(("joined", "changed"), [(["@far:y.org"], False), (["@far:y.org", "@bob:x.org"], True)])
    def test_without_purge_local_members_count(
        self, server: ScriptedServer, client: Client, joined: list[str], changed: bool
    ) -> None:
        # Synapse's own count is late, so it is not used.
        server.expect(
            there(joined_local_members=0 if changed else 1), blocked(False), tasks(), WHOAMI, members(*joined)
        )
        resource = self.declare(client, present=False, deletion=DeclaredDeletion(purge=False))
        assert resource.plan().changed is changed

    def test_must_exist(self, server: ScriptedServer, client: Client) -> None:
        server.expect(gone(), blocked(False))
        with pytest.raises(errors.InvalidInput, match="is not on this server.*set state: absent and blocked: true"):
            self.declare(client, blocked=True).plan()

    def test_an_option_of_the_other_state_is_refused(self, client: Client) -> None:
        with pytest.raises(errors.InvalidInput, match="admin_user_id cannot be set with state=absent"):
            self.declare(client, present=False, admin_user_id="eve").plan()
        moved = DeclaredDeletion(new_room_creator="bob")
        with pytest.raises(errors.InvalidInput, match="new_room can only be set with state=absent"):
            self.declare(client, deletion=moved).plan()

    def test_a_deletion_whose_start_was_not_answered_is_found(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members("@bob:x.org"))
        resource = self.declare(client, present=False)
        plan = resource.plan()
        server.expect(dataclasses.replace(delete(), drop=True))
        server.expect(there(), blocked(False), tasks(("D1", "active", {})), members("@bob:x.org"))
        with pytest.raises(errors.ConnectionFailed, match="this is partly done: delete the room") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True

    def test_a_deletion_that_is_already_complete_is_noticed(self, server: ScriptedServer, client: Client) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members("@bob:x.org"))
        resource = self.declare(client, present=False)
        plan = resource.plan()
        server.expect(dataclasses.replace(delete(), drop=True), gone(), blocked(False), tasks())
        with pytest.raises(errors.ConnectionFailed, match="this is done: delete the room") as caught:
            carry_out(resource, plan)
        assert caught.value.details["steps"] == ["delete the room"]

    def test_the_users_that_a_failed_deletion_made_leave_are_a_change(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members("@bob:x.org", "@eve:x.org"))
        resource = self.declare(client, present=False)
        plan = resource.plan()
        server.expect(delete(), status("failed"), tasks(("D1", "failed", {"error": "Users are still joined."})))
        server.expect(there(), blocked(False), tasks(), members("@eve:x.org"))
        with pytest.raises(errors.SynapseError, match="Users are still joined.*partly done: delete the room") as caught:
            carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["outcome"]) == (True, "partly_done")

    def test_the_outcome_of_a_deletion_is_unknown_without_an_answer(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.expect(there(), blocked(False), tasks(), WHOAMI, members("@bob:x.org"))
        resource = self.declare(client, present=False)
        plan = resource.plan()
        refused = {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"}
        server.expect(delete(), dataclasses.replace(status("active"), answer=refused, status=401))
        server.expect(dataclasses.replace(there(), answer=refused, status=401))
        with pytest.raises(errors.AuthenticationFailed, match="unknown whether this is done") as caught:
            carry_out(resource, plan)
        assert caught.value.details["changed"] is True
