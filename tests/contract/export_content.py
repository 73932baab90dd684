# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what an export really contains, without any code of the collection."""

from __future__ import annotations

import json
import re
import shutil
import stat
import tarfile
import tempfile
import typing as t
import zipfile
from pathlib import Path, PurePosixPath

from ansible_collections.matrix_ops.synapse.tests.contract.export_people import sha256

Found = dict[str, t.Any]

# A depth that every Python can decode.
_SHALLOW = 100


def describe(path: Path) -> Found:
    """Return the account, the content and the modes of an export, which is a directory or an archive."""
    if path.is_dir():
        return _describe(path)
    with tempfile.TemporaryDirectory() as place:
        _unpack(path, place)
        [unpacked] = Path(place).iterdir()
        mine = {"modes": [stat.filemode(path.lstat().st_mode)], "ends_like_a_zip": zipfile.is_zipfile(path)}
        return {**_describe(unpacked), **mine, "name": unpacked.name}


def _unpack(path: Path, place: str) -> None:
    """Unpack an archive. Raises AssertionError if a tar contains a link or a device, or a path that leads outside."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                assert member.isreg() or member.isdir(), member.name
                assert not name.is_absolute() and ".." not in name.parts, member.name
    shutil.unpack_archive(path, place)


def _describe(directory: Path) -> Found:
    manifest = _read(directory / "manifest.json")[0]
    ids = manifest["ids"]
    everything = [directory, *directory.rglob("*")]
    content = {
        str(path.relative_to(directory)): path
        for path in everything
        if path.is_file() and path != directory / "manifest.json"
    }
    rooms = {ids[f"rooms/{path.name}"]: path for path in _entries(directory / "rooms")}
    events = {room_id: _read(path / "events") for room_id, path in rooms.items()}
    every_event = [event for found in events.values() for event in found]
    stripped = {
        room_id: [found.name for found in _entries(path) if "_state" in found.name] for room_id, path in rooms.items()
    }
    user_data = directory / "user_data"
    account_data = user_data / "account_data"
    profile = _read(user_data / "profile")[0]
    devices = _read(user_data / "devices")
    media = _entries(directory / "media")
    described = {path: (file.stat().st_size, sha256(file.read_bytes())) for path, file in content.items()}
    return {
        "user_id": profile["name"],
        "profile": profile,
        "rooms": sorted(rooms),
        "messages": sum(event["type"] == "m.room.message" for event in every_event),
        "media": sorted(ids[f"media_ids/{path.name}"] for path in _entries(directory / "media_ids")),
        "media_files": {ids[f"media/{path.name}"]: sha256(path.read_bytes()) for path in media},
        "pending": {room_id: states[0] for room_id, states in stripped.items() if states},
        "account_data": _shallow(account_data / "global"),
        "account_data_of_rooms": {
            ids[f"user_data/account_data/{path.name}"]: sha256(path.read_bytes())
            for path in _entries(account_data)
            if path.name != "global"
        },
        "devices": sorted(device["device_id"] for device in devices),
        "odd_names": list(_odd_names(sorted(str(path.relative_to(directory)) for path in everything), ids)),
        "modes": sorted({stat.filemode(path.lstat().st_mode) for path in everything}),
        "manifest": manifest,
        "size": sum(size for size, _digest in described.values()),
        "described": described,
        "summary": {
            "files": len(content),
            "rooms": len(events),
            "events": len(every_event),
            "encrypted_messages": sum(event["type"] == "m.room.encrypted" for event in every_event),
            "media": len(_entries(directory / "media_ids")),
            "media_files": len(media),
            "devices": len(devices),
        },
    }


def _odd_names(paths: list[str], ids: dict[str, str]) -> t.Iterator[str]:
    """Yield names that cannot be unpacked on every system, and names that do not match their ids."""
    if len({path.lower() for path in paths}) < len(paths):
        yield "names that differ only by case"
    for path in paths:
        name = Path(path).name
        if path != "." and not re.fullmatch(r"[0-9A-Za-z_=-]{0,40}(\+[0-9a-f]{32}|\.json|\.html)?", name):
            yield path
        if "+" in name and name[-32:] != sha256(ids[path].encode())[:32]:
            yield f"{path} for {ids[path]}"
    yield from (f"{path} is missing" for path in ids if path not in paths)


def _entries(path: Path) -> list[Path]:
    """Return the entries of a directory of the export, which may be missing."""
    return sorted(path.iterdir()) if path.is_dir() else []


def _shallow(path: Path) -> Found:
    """Return the only object in a file, {} if it may be too deep for this Python."""
    return _read(path)[0] if path.read_text(encoding="utf-8").count("[") < _SHALLOW else {}


def _read(path: Path) -> list[Found]:
    """Return the objects in a file, which may be missing."""
    rest = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    found = []
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found
