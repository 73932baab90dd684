# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The deletion of a room, which Synapse does in the background: starting it, finding one that runs, and awaiting it.

Relies on DELETE /_synapse/admin/v2/rooms/<id>, GET .../<id>/delete_status, GET v2/rooms/delete_status/<delete id> and
GET v1/scheduled_tasks of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    EndpointMissing,
    NotFound,
    SynapseError,
    may_pass,
)

_ROOM = "/_synapse/admin/v2/rooms/{room_id}"
_OF_ROOM = _ROOM + "/delete_status"
_STATUS = "/_synapse/admin/v2/rooms/delete_status/{delete_id}"
_TASKS = "/_synapse/admin/v1/scheduled_tasks"
_UNDER_WAY = ("scheduled", "active")
# Between two questions whether it is done, in seconds.
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# How many questions in a row may fail: about as long as it takes to start Synapse anew.
_TOLERATED_FAILURES = 5


@dataclasses.dataclass(frozen=True)
class DeclaredDeletion:
    """How a room shall be deleted.

    `purge`: take everything of it out of the database too. `force_purge`: even if somebody could not be made to leave.
    `block`: keep everybody from joining it again. `new_room_creator`: who makes a new room that people are moved to, as
    `new_room_name`, with the `message` for them.
    """

    purge: bool = True
    force_purge: bool = False
    block: bool = False
    new_room_creator: str | None = None
    new_room_name: str | None = None
    message: str | None = None

    def body(self) -> JsonObject:
        """Return the body of the request."""
        given = {
            "new_room_user_id": self.new_room_creator,
            "room_name": self.new_room_name,
            "message": self.message,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"block": self.block, "purge": self.purge, "force_purge": self.force_purge, **chosen}


class Deletion(t.NamedTuple):
    """A deletion: its id, whether it is `scheduled`, `active`, `complete` or `failed`, and what it has done so far."""

    delete_id: str
    status: str
    result: JsonObject


def find_deletion(client: Client, room_id: str) -> Deletion | None:
    """Return the deletion of the room that is under way, or None. One that only waits for its turn is found too."""
    parameters = {"resource_id": room_id, "action_name": "shutdown_and_purge_room"}
    try:
        tasks = member(client.get(_TASKS, params=parameters), "scheduled_tasks")
        found = [Deletion(str(task["id"]), str(task["status"]), task.get("result") or {}) for task in tasks]
    except EndpointMissing:
        found = _of_room(client, room_id)
    running = [deletion for deletion in found if deletion.status in _UNDER_WAY]
    return running[0] if running else None


def start_deletion(client: Client, room_id: str, declared: DeclaredDeletion) -> str:
    """Start to delete a room and return the id of the deletion; that of the one under way if there is one already."""
    try:
        return str(member(client.delete(_ROOM, declared.body(), room_id=room_id), "delete_id"))
    except ApiError as error:
        running = find_deletion(client, room_id) if "already in progress" in error.error else None
        if running is None:
            raise
        return running.delete_id


def await_deletion(
    client: Client,
    room_id: str,
    delete_id: str,
    timeout: float,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Deletion:
    """Wait until a deletion has ended, at most `timeout` seconds, and return it.

    That a server does not answer for a while is waited out. Raises SynapseError with the server's reason if it has
    failed, if it takes longer, or if nothing more can be learnt of it; in the last two cases it goes on by itself.
    """
    end, pause, failures = clock() + timeout, _SHORTEST_PAUSE, 0
    while True:
        try:
            deletion = _read(client, delete_id)
        except SynapseError as error:
            failures += 1
            if not may_pass(error) or failures > _TOLERATED_FAILURES or clock() >= end:
                if not isinstance(error, NotFound):
                    error.explain("Synapse goes on with the deletion by itself: run the task again to wait for it.")
                raise
            sleep(_LONGEST_PAUSE)
            continue
        failures = 0
        if deletion.status == "complete":
            return deletion
        if deletion.status not in _UNDER_WAY:
            raise SynapseError(
                f"Synapse could not delete the room {room_id}: {_reason(client, room_id, delete_id)}."
                " Mend that and run the task again; with force_purge it does not mind people whom it cannot make leave."
            )
        if clock() >= end:
            raise SynapseError(
                f"The room {room_id} is still being deleted after {timeout:g} seconds. Synapse goes on with it: run the"
                " task again to wait for it, or allow more with wait_timeout."
            )
        sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _read(client: Client, delete_id: str) -> Deletion:
    answer = client.get(_STATUS, delete_id=delete_id)
    return Deletion(delete_id, str(member(answer, "status")), answer.get("shutdown_room") or {})


def _of_room(client: Client, room_id: str) -> list[Deletion]:
    try:
        results = member(client.get(_OF_ROOM, room_id=room_id), "results")
    except NotFound:
        return []
    return [Deletion(str(one["delete_id"]), str(one["status"]), one.get("shutdown_room") or {}) for one in results]


def _reason(client: Client, room_id: str, delete_id: str) -> str:
    """Why a deletion has failed: its own status does not tell."""
    try:
        tasks = member(client.get(_TASKS, params={"resource_id": room_id}), "scheduled_tasks")
    except SynapseError:
        return "it does not say why, but its log does"
    reasons = [str(task.get("error") or "") for task in tasks if task.get("id") == delete_id]
    return (reasons[0].rstrip(".") if reasons else "") or "it does not say why, but its log does"
