# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What an export holds: files in which JSON objects follow each other without anything between them.

That is how FileExfiltrationWriter writes them (synapse/app/admin_cmd.py, 1.163).
"""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_CHUNK = 1 << 20


class Content(t.NamedTuple):
    """How much an export holds. `size` is in bytes; the others are numbers of things."""

    size: int
    files: int
    rooms: int
    events: int
    media: int
    devices: int


def read_objects(path: str, chunk: int = _CHUNK) -> t.Iterator[dict[str, t.Any]]:
    """Return the JSON objects in the file one after the other. Only about `chunk` characters are held at a time.

    Raises SynapseError if the file is cut off, or holds anything else.
    """
    decoder = json.JSONDecoder()
    text, position, wanted = "", 0, chunk
    try:
        with open(path, encoding="utf-8") as file:
            while True:
                read = file.read(wanted)
                text, position = text[position:] + read, 0
                while position < len(text):
                    try:
                        value, position = decoder.raw_decode(text, position)
                    except json.JSONDecodeError:
                        break
                    if not isinstance(value, dict):
                        raise SynapseError(f"{path} holds something that is not a JSON object.")
                    yield value
                if not read:
                    break
                # Twice as much each time that an object does not fit, so that a long one is not decoded over and over.
                wanted = max(chunk, len(text) - position)
    except (OSError, UnicodeDecodeError) as error:
        raise SynapseError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error
    if position < len(text):
        raise SynapseError(f"{path} ends in the middle of a JSON object.")


def read_content(directory: str, user_id: str) -> Content:
    """Read every file of the export in `directory`, which must be one of `user_id`, and return how much it holds.

    Raises SynapseError if a file is not whole, or the profile is missing or somebody else's: for an account that does
    not exist Synapse writes an export without a profile, and no error.
    """
    numbers = {_kind(path): 0 for path in ("rooms/!/events", "user_data/devices")}
    for path in list_files(directory):
        kind = _kind(path)
        for found in read_objects(os.path.join(directory, path)):
            numbers[kind] = numbers.get(kind, 0) + 1
            if kind == "user_data/profile" and found.get("name") != user_id:
                raise SynapseError(f"{path} in the export is that of {found.get('name')}, not of {user_id}.")
    if numbers.get("user_data/profile") != 1:
        raise SynapseError(f"The export has no profile of {user_id}.")
    size, files = measure(directory)
    return Content(
        size,
        files,
        rooms=_entries(directory, "rooms"),
        events=numbers["rooms/events"],
        media=_entries(directory, "media_ids"),
        devices=numbers["user_data/devices"],
    )


def list_files(directory: str) -> list[str]:
    """Return the paths of all files below `directory`, from there and sorted. Raises SynapseError if it cannot."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), directory)
        for parent, _directories, names in os.walk(directory, onerror=_fail)
        for name in names
    )


def measure(directory: str) -> tuple[int, int]:
    """Return the size of all files below `directory` in bytes, and their number. Raises SynapseError if it cannot."""
    files = list_files(directory)
    try:
        return sum(os.lstat(os.path.join(directory, path)).st_size for path in files), len(files)
    except OSError as error:
        raise _unreadable(error) from error


def make_private(directory: str) -> None:
    """Give the directory and all below it to its owner alone: 0700 and 0600. Raises OSError if it cannot."""
    os.chmod(directory, 0o700)
    for parent, directories, names in os.walk(directory, onerror=_fail):
        for name in directories:
            os.chmod(os.path.join(parent, name), 0o700)
        for name in names:
            os.chmod(os.path.join(parent, name), 0o600)


def _kind(path: str) -> str:
    parts = path.split(os.sep)
    return "rooms/events" if parts[0] == "rooms" and parts[2:] == ["events"] else path


def _entries(directory: str, name: str) -> int:
    path = os.path.join(directory, name)
    return len(os.listdir(path)) if os.path.isdir(path) else 0


def _fail(error: OSError) -> t.NoReturn:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> SynapseError:
    return SynapseError(
        f"{error.filename} cannot be read: {error.strerror}. Run the task as root or as the user who made the export."
    )
