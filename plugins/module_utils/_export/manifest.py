# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What an export says of itself: whose it is, what it holds, file by file, and what it does not hold."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

MANIFEST = "manifest.json"
# In bytes: enough for 200,000 media, and little enough for the memory of a small host.
LARGEST_MANIFEST = 1 << 28
_FORMAT = 3
# No file is longer, and no text of a number within becomes too long to be told.
_NUMBERS = range(1 << 63)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

JsonObject = dict[str, t.Any]
_Entry = t.TypeVar("_Entry")


class File(t.NamedTuple):
    """One file of an export: its path in there, its size in bytes, its SHA-256 in hexadecimal, its media type."""

    path: str
    size: int
    sha256: str
    media_type: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What an export says of itself. The manifest is not one of the `files`.

    `ids` are those of everything in it that is named by one (rooms, their state, account data of rooms, descriptions of
    media, and media), by path: the names are made as in _export.names, and the ids are what the server has.
    `created_at` is in UTC, as in 2026-01-31T12:00:00Z. `counts` are numbers of things (see _export.content.Content).
    `rooms` are objects with the room id, the path, the room version, the membership, whether it is encrypted, and how
    many events it has. `pending` are objects with room_id, membership (invite or knock) and the path of its state.
    `forgotten_rooms` are room ids. `media` are objects with what became of each medium (see
    _export.media.MediaOutcome), or None if the media themselves were not asked for. `not_exported` are objects with
    `what` and `why`.
    """

    user_id: str
    server_name: str
    created_at: str
    synapse_version: str
    collection_version: str
    counts: dict[str, int]
    ids: dict[str, str]
    rooms: list[JsonObject]
    pending: list[JsonObject]
    forgotten_rooms: list[str]
    includes_forgotten_rooms: bool
    media: list[JsonObject] | None
    not_exported: list[JsonObject]
    files: list[File]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files)

    @property
    def missing_media(self) -> list[JsonObject]:
        """The media that should be in the export and are not, with the reason in `missing`."""
        return [outcome for outcome in self.media or () if outcome.get("missing")]

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by path."""
        return {file.path: file.size for file in self.files}

    def to_json(self) -> str:
        """Return the text of the file."""
        fields = {**dataclasses.asdict(self), "files": [file._asdict() for file in self.files], "format": _FORMAT}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    @staticmethod
    def read(file: t.IO[bytes], size: int) -> Manifest:
        """Return what the open file, which has `size` bytes, says. Raises ValueError as `from_json`, and OSError."""
        if size > LARGEST_MANIFEST:
            raise ValueError("too long for a manifest")
        return Manifest.from_json(file.read(size).decode())

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Return what the text of a file says. Raises ValueError if it is not the manifest of an export."""
        try:
            fields = json.loads(text)
            if fields.pop("format") != _FORMAT:
                raise ValueError("another format")
            found = Manifest(**{**fields, "files": [File(**file) for file in fields["files"]]})
            if not _is_sound(found):
                raise ValueError("damaged")
            return found
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("not a manifest") from error


def _is_sound(found: Manifest) -> bool:
    """Whether everything in it is of its kind. Raises AttributeError, KeyError or TypeError where it is far from it."""
    texts = [found.user_id, found.server_name, found.created_at, found.synapse_version, found.collection_version]
    texts += [*_list(found.forgotten_rooms), *found.counts]
    texts += [entry[name] for entry in _list(found.pending) for name in ("room_id", "membership")]
    texts += [entry[name] for entry in _list(found.not_exported) for name in ("what", "why")]
    media = [] if found.media is None else _list(found.media)
    texts += [entry["media_id"] for entry in media]
    texts += [entry["missing"] for entry in media if entry["missing"] is not None]
    # What servers have made up may be no Unicode (see names.digest_of), and is told to nobody.
    told_to_nobody = [text for file in found.files for text in (file.path, file.sha256, file.media_type)]
    told_to_nobody += found.ids.values()
    numbers = [*found.counts.values(), *(file.size for file in found.files)]
    return (
        all(_can_be_told(text) for text in texts)
        and all(isinstance(text, str) for text in told_to_nobody)
        and all(isinstance(number, int) and number in _NUMBERS for number in numbers)
        and all(set(entry) == {"what", "why"} for entry in found.not_exported)
        and all(isinstance(room, dict) for room in _list(found.rooms))
        and isinstance(found.includes_forgotten_rooms, bool)
        and _TIME.fullmatch(found.created_at) is not None
    )


def _can_be_told(found: t.Any) -> bool:
    """Whether it is a text, without the halves of characters that JSON allows and an answer cannot have."""
    return isinstance(found, str) and found == found.encode(errors="ignore").decode()


def _list(found: list[_Entry]) -> list[_Entry]:
    if not isinstance(found, list):
        raise TypeError("not a list")
    return found
