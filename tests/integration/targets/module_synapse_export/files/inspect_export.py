# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What really is in an export, found out without any code of the collection, and printed as JSON.

inspect_export.py DIRECTORY_OR_ARCHIVE
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import typing as t


def describe(directory: str) -> dict[str, t.Any]:
    """Return whose export it is, what it holds and who may read it."""
    files = [os.path.join(parent, name) for parent, _directories, names in os.walk(directory) for name in names]
    everything = {directory} | {
        os.path.join(parent, name) for parent, names, more in os.walk(directory) for name in names + more
    }
    content = {os.path.relpath(path, directory): path for path in files if path != f"{directory}/manifest.json"}
    events = {room_id: read(directory, "rooms", room_id, "events") for room_id in names(directory, "rooms")}
    stripped = {
        room_id: [name for name in names(directory, "rooms", room_id) if "_state" in name] for room_id in events
    }
    pending = {room_id: states[0] for room_id, states in stripped.items() if states}
    return {
        "user_id": read(directory, "user_data", "profile")[0]["name"],
        "profile": read(directory, "user_data", "profile")[0],
        "rooms": names(directory, "rooms"),
        "messages": sum(event["type"] == "m.room.message" for found in events.values() for event in found),
        "media": names(directory, "media_ids"),
        "media_files": {name: digest(os.path.join(directory, "media", name)) for name in names(directory, "media")},
        "pending": pending,
        "account_data": read(directory, "user_data", "account_data", "global")[0],
        "modes": sorted({f"{stat.filemode(os.lstat(path).st_mode)}" for path in everything}),
        "manifest": read(directory, "manifest.json")[0],
        "size": sum(os.path.getsize(path) for path in content.values()),
        "described": {path: f"{os.path.getsize(content[path])} {digest(content[path])}" for path in content},
        "counts": {
            "files": len(content),
            "rooms": len(events),
            "events": sum(len(found) for found in events.values()),
            "encrypted_messages": sum(
                event["type"] == "m.room.encrypted" for found in events.values() for event in found
            ),
            "media": len(names(directory, "media_ids")),
            "media_files": len(names(directory, "media")),
            "devices": len(read(directory, "user_data", "devices")),
        },
    }


def describe_archive(path: str) -> dict[str, t.Any]:
    """Return the same of an archive, and the name of the directory in it."""
    with tempfile.TemporaryDirectory() as place:
        shutil.unpack_archive(path, place, filter="data" if path.endswith(".tar.gz") else None)
        [name] = os.listdir(place)
        return {**describe(os.path.join(place, name)), "modes": [stat.filemode(os.lstat(path).st_mode)], "name": name}


def digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def names(*parts: str) -> list[str]:
    """Return what is in a directory of the export, which need not be there."""
    path = os.path.join(*parts)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def read(*parts: str) -> list[dict[str, t.Any]]:
    """Return the objects in a file, which need not be there."""
    path = os.path.join(*parts)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        rest = file.read().strip()
    found = []
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1]) if os.path.isdir(sys.argv[1]) else describe_archive(sys.argv[1])))
