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
import re
import shutil
import stat
import sys
import tempfile
import typing as t
import zipfile


def describe(directory: str) -> dict[str, t.Any]:
    """Return whose export it is, what it holds and who may read it."""
    manifest = read(directory, "manifest.json")[0]
    ids = manifest["ids"]
    files = [os.path.join(parent, name) for parent, _directories, names in os.walk(directory) for name in names]
    everything = {directory} | {
        os.path.join(parent, name) for parent, names, more in os.walk(directory) for name in names + more
    }
    content = {os.path.relpath(path, directory): path for path in files if path != f"{directory}/manifest.json"}
    rooms = {ids[f"rooms/{name}"]: os.path.join(directory, "rooms", name) for name in names(directory, "rooms")}
    events = {room_id: read(path, "events") for room_id, path in rooms.items()}
    stripped = {room_id: [name for name in names(path) if "_state" in name] for room_id, path in rooms.items()}
    pending = {room_id: states[0] for room_id, states in stripped.items() if states}
    data = [name for name in names(directory, "user_data", "account_data") if name != "global"]
    return {
        "user_id": read(directory, "user_data", "profile")[0]["name"],
        "profile": read(directory, "user_data", "profile")[0],
        "rooms": sorted(rooms),
        "messages": sum(event["type"] == "m.room.message" for found in events.values() for event in found),
        "media": sorted(ids[f"media_ids/{name}"] for name in names(directory, "media_ids")),
        "media_files": {
            ids[f"media/{name}"]: digest(os.path.join(directory, "media", name)) for name in names(directory, "media")
        },
        "pending": pending,
        "account_data": shallow(directory, "user_data", "account_data", "global"),
        "account_data_of_rooms": {
            ids[f"user_data/account_data/{name}"]: digest(os.path.join(directory, "user_data", "account_data", name))
            for name in data
        },
        "devices": sorted(device["device_id"] for device in read(directory, "user_data", "devices")),
        "odd_names": list(odd_names(sorted(os.path.relpath(path, directory) for path in everything), ids)),
        "modes": sorted({f"{stat.filemode(os.lstat(path).st_mode)}" for path in everything}),
        "manifest": manifest,
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


def odd_names(paths: list[str], ids: dict[str, str]) -> t.Iterator[str]:
    """Yield what could not be unpacked everywhere, and what is not named after its id."""
    if len({path.lower() for path in paths}) < len(paths):
        yield "names that differ by case alone"
    for path in paths:
        name = os.path.basename(path)
        if path != "." and not re.fullmatch(r"[0-9A-Za-z_=-]{0,40}(\+[0-9a-f]{32}|\.json|\.html)?", name):
            yield path
        if "+" in name and name[-32:] != hashlib.sha256(ids[path].encode()).hexdigest()[:32]:
            yield f"{path} for {ids[path]}"
    yield from (f"{path} is missing" for path in ids if path not in paths)


def shallow(*parts: str) -> dict[str, t.Any]:
    """Return the one object in a file, {} if it may be deeper than whoever reads this can decode."""
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return read(*parts)[0] if file.read().count("[") < 100 else {}


def describe_archive(path: str) -> dict[str, t.Any]:
    """Return the same of an archive, and the name of the directory in it."""
    with tempfile.TemporaryDirectory() as place:
        shutil.unpack_archive(path, place, filter="data" if path.endswith(".tar.gz") else None)
        [name] = os.listdir(place)
        found = describe(os.path.join(place, name))
        modes = [stat.filemode(os.lstat(path).st_mode)]
        return {**found, "modes": modes, "name": name, "ends_like_a_zip": zipfile.is_zipfile(path)}


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
