# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads an export: checks that every file is complete, counts the content, and describes each file."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.room import Room
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import File

_CHUNK = 1 << 20
_PROFILE = os.path.join("user_data", "profile")
_DEVICES = os.path.join("user_data", "devices")


class Content(t.NamedTuple):
    """How much an export contains, as numbers. `media` is the number of descriptions, with or without a file."""

    rooms: int
    events: int
    encrypted_messages: int
    media: int
    devices: int


class RoomContent(t.NamedTuple):
    """What an export contains of one room. `membership` is that of the account, None if the export does not show it."""

    room_id: str
    path: str
    room_version: str | None
    membership: str | None
    encrypted: bool
    events: int
    encrypted_messages: int
    pending: bool


def read_content(directory: str, user_id: str, ids: t.Mapping[str, str]) -> tuple[Content, list[RoomContent]]:
    """Read every file that Synapse has written into `directory`, the export of `user_id`, and return its content.

    `ids` are the ids of its rooms, by the paths of their directories.
    Raises SynapseError if a file is incomplete, or if the profile is missing or belongs to another account. For an
    account that does not exist, Synapse writes an export without a profile and reports no error.
    """
    rooms = list(_read_rooms(directory, user_id, ids))
    numbers: dict[str, int] = {}
    for path in list_files(directory):
        if path.split(os.sep)[0] == "rooms":
            continue
        for found in read_objects(os.path.join(directory, path)):
            numbers[path] = numbers.get(path, 0) + 1
            if path == _PROFILE and found.get("name") != user_id:
                raise SynapseError(f"{path} in the export is the profile of {found.get('name')}, not of {user_id}.")
    if numbers.get(_PROFILE) != 1:
        raise SynapseError(f"The export does not contain the profile of {user_id}.")
    content = Content(
        rooms=len(rooms),
        events=sum(room.events for room in rooms),
        encrypted_messages=sum(room.encrypted_messages for room in rooms),
        media=sum(path.split(os.sep)[0] == "media_ids" for path in numbers),
        devices=numbers.get(_DEVICES, 0),
    )
    return content, rooms


def describe_files(directory: str, known: t.Mapping[str, File]) -> list[File]:
    """Return the description of every file below `directory`, sorted by path.

    `known` are the descriptions that exist already, by path. Raises SynapseError if a file cannot be read.
    """
    return [known.get(path) or _describe(directory, path) for path in list_files(directory)]


def list_files(directory: str) -> list[str]:
    """Return the relative paths of all files below `directory`, sorted. Raises SynapseError if one cannot be listed."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), directory)
        for parent, _directories, names in os.walk(directory, onerror=_fail)
        for name in names
    )


def _read_rooms(directory: str, user_id: str, ids: t.Mapping[str, str]) -> t.Iterator[RoomContent]:
    """Yield the rooms. Only one is in memory at a time."""
    parent = os.path.join(directory, "rooms")
    for number, name in enumerate(sorted(os.listdir(parent)) if os.path.isdir(parent) else (), 1):
        path = os.path.join("rooms", name)
        room = Room(number, ids[path], os.path.join(parent, name), user_id)
        room.read()
        yield RoomContent(
            room_id=room.room_id,
            path=path,
            room_version=room.fact("version") or None,
            membership=room.pending or room.own_membership() or None,
            encrypted=bool(room.fact("encryption") or room.encrypted_messages),
            events=room.events,
            encrypted_messages=room.encrypted_messages,
            pending=bool(room.pending),
        )


def _describe(directory: str, path: str) -> File:
    sha256, size = hashlib.sha256(), 0
    try:
        with open(os.path.join(directory, path), "rb") as file:
            while piece := file.read(_CHUNK):
                sha256.update(piece)
                size += len(piece)
    except OSError as error:
        raise _unreadable(error) from error
    return File(path, size, sha256.hexdigest(), "text/html" if path.endswith(".html") else "application/json")


def _fail(error: OSError) -> t.NoReturn:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> SynapseError:
    return SynapseError(
        f"{error.filename} cannot be read: {error.strerror}. Run the task as root or as the user who made the export."
    )
