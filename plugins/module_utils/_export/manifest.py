# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The manifest of an export: the account, the content of the export, every file, and what it does not contain."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time, timestamp

MANIFEST = "manifest.json"
# In bytes: enough for 200,000 media, and still little memory for a small host.
LARGEST_MANIFEST = 1 << 28
_VERSION = 1
# No file is larger, and the text of such a number is never too long to be printed.
_NUMBERS = range(1 << 63)

JsonObject = dict[str, t.Any]
_Entry = t.TypeVar("_Entry")


class File(t.NamedTuple):
    """One file of an export: its relative path, its size in bytes, its SHA-256 in hexadecimal, its media type."""

    path: str
    size: int
    sha256: str
    media_type: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The manifest of an export. It is not one of the `files` itself.

    `ids` are the ids, as the server has them, of everything that is named by one (rooms, their state, account data of
    rooms, descriptions of media, and media), by path. _export.names makes the names.
    `created_ts` is in milliseconds since 1970. `summary` contains numbers (see _export.content.Content).
    `rooms` are objects with the room ID, the path, the room version, the membership, whether it is encrypted, and how
    many events it has. `pending_rooms` are objects with room_id, membership (invite or knock) and the path of the
    state. `forgotten_rooms` are room IDs. `includes_forgotten_rooms` and `includes_quarantined_media` are what was
    requested. `not_exported` are objects with `name` and `reason`. `media` are objects with the result for each medium
    (see _export.media.MediaOutcome), or None if the files were not requested. A value that is None is left out of the
    file.
    """

    user_id: str
    server_name: str
    created_ts: int
    synapse_version: str
    collection_version: str
    summary: dict[str, int]
    ids: dict[str, str]
    rooms: list[JsonObject]
    pending_rooms: list[JsonObject]
    forgotten_rooms: list[str]
    includes_forgotten_rooms: bool
    includes_quarantined_media: bool
    not_exported: list[JsonObject]
    files: list[File]
    media: list[JsonObject] | None = None

    @property
    def created(self) -> str:
        """When the export was made, in UTC, such as 2026-01-31T12:00:00Z."""
        return iso_time(self.created_ts) or ""

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files)

    @property
    def missing_media(self) -> list[JsonObject]:
        """The media that were requested and are missing, with the `reason`."""
        return [outcome for outcome in self.media or () if outcome.get("reason")]

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by path."""
        return {file.path: file.size for file in self.files}

    def to_json(self) -> str:
        """Return the text of the file."""
        fields = {
            **dataclasses.asdict(self),
            "created": self.created,
            "files": [file._asdict() for file in self.files],
            "manifest_version": _VERSION,
        }
        if self.media is None:
            del fields["media"]
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    @staticmethod
    def read(file: t.IO[bytes], size: int) -> Manifest:
        """Return the manifest in the open file of `size` bytes. Raises ValueError as `from_json` does, and OSError."""
        if size > LARGEST_MANIFEST:
            raise ValueError("too long for a manifest")
        return Manifest.from_json(file.read(size).decode())

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Return the manifest in the text of a file. Raises ValueError if it is not the manifest of an export."""
        try:
            fields = json.loads(text)
            if fields.pop("manifest_version") != _VERSION:
                raise ValueError("another version")
            created = fields.pop("created")
            found = Manifest(**{**fields, "files": [File(**file) for file in fields["files"]]})
            if not _is_sound(found) or found.created != created:
                raise ValueError("damaged")
            return found
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("not a manifest") from error


def _is_sound(found: Manifest) -> bool:
    """Return whether every value has its type. Raises AttributeError, KeyError or TypeError for very wrong ones."""
    texts = [found.user_id, found.server_name, found.synapse_version, found.collection_version]
    texts += [*_list(found.forgotten_rooms), *found.summary]
    texts += [entry[name] for entry in _list(found.pending_rooms) for name in ("room_id", "membership")]
    texts += [entry[name] for entry in _list(found.not_exported) for name in ("name", "reason")]
    media = [] if found.media is None else _list(found.media)
    texts += [entry["media_id"] for entry in media]
    texts += [entry["reason"] for entry in media if "reason" in entry]
    # Ids that servers have made may be invalid Unicode (see names.digest_of). These texts are never printed.
    never_printed = [text for file in found.files for text in (file.path, file.sha256, file.media_type)]
    never_printed += found.ids.values()
    numbers = [*found.summary.values(), *(file.size for file in found.files)]
    return (
        all(_can_be_printed(text) for text in texts)
        and all(isinstance(text, str) for text in never_printed)
        and all(isinstance(number, int) and number in _NUMBERS for number in numbers)
        and all(set(entry) == {"name", "reason"} for entry in found.not_exported)
        and all(isinstance(room, dict) for room in _list(found.rooms))
        and isinstance(found.includes_forgotten_rooms, bool)
        and isinstance(found.includes_quarantined_media, bool)
        and timestamp(found.created_ts) is not None
    )


def _can_be_printed(found: t.Any) -> bool:
    """Return whether it is a text without single surrogates, which JSON allows but a result cannot contain."""
    return isinstance(found, str) and found == found.encode(errors="ignore").decode()


def _list(found: list[_Entry]) -> list[_Entry]:
    if not isinstance(found, list):
        raise TypeError("not a list")
    return found
