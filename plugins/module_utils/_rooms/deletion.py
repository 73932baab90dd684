# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The deletion of a room, which Synapse does in the background: starting it, finding one in progress, waiting for it.

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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_ROOM = "/_synapse/admin/v2/rooms/{room_id}"
_OF_ROOM = _ROOM + "/delete_status"
_STATUS = "/_synapse/admin/v2/rooms/delete_status/{delete_id}"
_TASKS = "/_synapse/admin/v1/scheduled_tasks"
_IN_PROGRESS = ("scheduled", "active")
_DELETION = "shutdown_and_purge_room"
# Synapse itself deletes a room that all users have forgotten. As soon as this is active, it starts no other deletion.
_PURGE_OF_FORGOTTEN = "purge_room"
# What Synapse reports of a deletion, and this collection returns.
_REPORTED = ("kicked_users", "failed_to_kick_users", "local_aliases", "new_room_id")
# With what the reasons of failed deletions begin, and what they contain, that need an explanation.
_FORBIDDEN, _STILL_JOINED = "403: ", "Users are still joined"
_REASON_IN_LOG = "Synapse returns no reason, see its log"
# The pause between two requests for the status, in seconds.
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# How many requests in a row may fail: about as long as a restart of Synapse takes.
_TOLERATED_FAILURES = 5


@dataclasses.dataclass(frozen=True)
class DeclaredDeletion:
    """How a room should be deleted.

    `purge`: delete everything of the room from the database. `allow_purge_with_members`: even if Synapse could not make
    every user leave. `block`: prevent users from joining it again. `new_room_creator`: the user who creates a new room
    named `new_room_name` that the users are moved to, with the message `announcement` for them.
    """

    purge: bool = True
    allow_purge_with_members: bool = False
    block: bool = False
    new_room_creator: str | None = None
    new_room_name: str | None = None
    announcement: str | None = None

    def body(self) -> JsonObject:
        """Return the body of the request."""
        given = {
            "new_room_user_id": self.new_room_creator,
            "room_name": self.new_room_name,
            "message": self.announcement,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"block": self.block, "purge": self.purge, "force_purge": self.allow_purge_with_members, **chosen}


class Deletion(t.NamedTuple):
    """A deletion: its id, its status (`scheduled`, `active`, `complete` or `failed`), and what it has done so far."""

    delete_id: str
    status: str
    result: JsonObject

    def shown(self) -> dict[str, t.Any]:
        """Return the deletion as the module returns it. What Synapse does not report is left out."""
        reported = {name: self.result[name] for name in _REPORTED if self.result.get(name) is not None}
        return {"delete_id": self.delete_id, "status": self.status, **reported}


def find_deletion(client: Client, room_id: str) -> Deletion | None:
    """Return the deletion of the room that is in progress or scheduled, or None."""
    try:
        found = [
            Deletion(str(task["id"]), str(task["status"]), task.get("result") or {})
            for task in _tasks(client, room_id)
            if task.get("action") == _DELETION
            or (task.get("action") == _PURGE_OF_FORGOTTEN and task["status"] == "active")
        ]
    except EndpointMissing:
        found = _of_room(client, room_id)
    running = [deletion for deletion in found if deletion.status in _IN_PROGRESS]
    return running[0] if running else None


def start_deletion(client: Client, room_id: str, declared: DeclaredDeletion) -> str:
    """Start to delete a room and return the id of the deletion. If one is already in progress, return its id."""
    try:
        return str(member(client.delete(_ROOM, declared.body(), room_id=room_id), "delete_id"))
    except ApiError as error:
        running = find_deletion(client, room_id) if "already in progress" in error.error else None
        if running is None:
            raise
        return running.delete_id


def wait_for_deletion(
    client: Client,
    room_id: str,
    delete_id: str,
    timeout: float,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Deletion:
    """Wait until a deletion is complete, at most `timeout` seconds, and return it.

    It continues to wait if the server does not answer for a while. Raises SynapseError with the server's reason if the
    deletion has failed, if it takes longer, or if its status cannot be read any more. In the last two cases Synapse
    continues with it.
    """
    end, pause, failures = clock() + timeout, _SHORTEST_PAUSE, 0
    while True:
        try:
            deletion = _read(client, delete_id)
        except SynapseError as error:
            failures += 1
            if not may_pass(error) or failures > _TOLERATED_FAILURES or clock() >= end:
                if not isinstance(error, NotFound):
                    error.explain("Synapse continues with the deletion. Run the task again to wait for it.")
                raise
            sleep(_LONGEST_PAUSE)
            continue
        failures = 0
        if deletion.status == "complete":
            return deletion
        if deletion.status not in _IN_PROGRESS:
            raise _failure(client, room_id, deletion)
        progress.report(
            Work.DELETION if deletion.status == "active" else Work.DELETION_SCHEDULED,
            len(deletion.result.get("kicked_users") or ()),
        )
        if clock() >= end:
            raise SynapseError(
                f"The deletion of the room {room_id} is still in progress after {timeout:g} seconds. Synapse continues"
                " with it. Run the task again to wait for it, or set a higher wait_timeout."
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


def _tasks(client: Client, room_id: str) -> list[JsonObject]:
    """Return what Synapse has done, does and will do in the background for the room."""
    # It refuses other characters in a query. Then all tasks are read, those of one week.
    asked = {"resource_id": room_id} if room_id.isascii() else None
    tasks = member(client.get(_TASKS, params=asked), "scheduled_tasks")
    return [task for task in tasks if asked or task.get("resource_id") == room_id]


def _failure(client: Client, room_id: str, deletion: Deletion) -> SynapseError:
    """Return the error for a deletion that has failed. It says what Synapse had changed by then."""
    removed, new_room_id = len(deletion.result.get("kicked_users") or ()), deletion.result.get("new_room_id")
    reason = _reason(client, room_id, deletion.delete_id)
    sentences = [f"Synapse could not delete the room {room_id}: {reason}."]
    if reason.startswith(_FORBIDDEN):
        sentences.append(
            "Its configuration can forbid this (hs_disabled, max_mau_value or user_consent), or one of its modules. If"
            " the task can read config_path, it names the setting before the deletion, except max_mau_value."
        )
    if removed:
        sentences.append(f"It had already removed users from the room ({removed}).")
    if new_room_id:
        sentences.append(
            f"It had already created the new room {new_room_id}. The next run creates another one, so delete this one"
            " if it is not needed."
        )
    sentences.append("Fix the cause and run the task again.")
    if _STILL_JOINED in reason or reason == _REASON_IN_LOG:
        sentences.append("If users cannot be made to leave, set allow_purge_with_members: true.")
    changed = {"changed": True} if removed or new_room_id else {}
    return SynapseError(" ".join(sentences), deletion=deletion.shown(), **changed)


def _reason(client: Client, room_id: str, delete_id: str) -> str:
    """Why a deletion has failed. Its own status does not contain that, but the list of tasks does."""
    try:
        tasks = _tasks(client, room_id)
    except SynapseError:
        return _REASON_IN_LOG
    reasons = [str(task.get("error") or "") for task in tasks if task.get("id") == delete_id]
    return (reasons[0].rstrip(".") if reasons else "") or _REASON_IN_LOG
