# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The media directories on this host: what is in them already, and how the media in the archive get there."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    require_allowed,
    user_id,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import Member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import LOST_AND_FOUND, UNFINISHED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.files import (
    described_media,
    directory_attributes_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import (
    Directories,
    digest_of,
    opened_below,
    require_relative,
    write_stream,
)

Json = dict[str, t.Any]

# How many of the media are read again from the disk, at most: they are chosen evenly.
PROVEN_AT_MOST = 2000


class MediaDirectory(t.NamedTuple):
    """A directory in which Synapse keeps media: the media store, or that of a storage provider.

    `size`: of the media in the archive that belong there, in bytes.
    """

    path: str
    attributes: Attributes
    size: int = 0


class _Written(t.NamedTuple):
    directory: int
    names: tuple[str, ...]
    digest: bytes


def media_directories(manifest: Json, *, lenient: bool = False) -> list[MediaDirectory]:
    """Return the media directories in the order of their numbers. Raises InvalidInput as attributes_of does."""
    return [
        MediaDirectory(str(entry["path"]), directory_attributes_of(entry, lenient=lenient), int(entry["bytes"]))
        for entry in described_media(manifest)
    ]


def first_medium(directories: t.Iterable[MediaDirectory]) -> str:
    """Return the path of a file in one of the directories, or "" if there is none. Raises SynapseError."""
    for directory in directories:
        for place, names, files in os.walk(directory.path, onerror=_unreadable):
            found = [name for name in files if name != UNFINISHED]
            # Links to directories: no medium is written through them.
            found += [name for name in names if os.path.islink(os.path.join(place, name))]
            if found:
                return os.path.join(place, found[0])
            names[:] = _with_media(directory.path, place, names)
    return ""


def present_sizes(directories: t.Sequence[MediaDirectory]) -> list[int]:
    """Return for each directory the size of what is in it, in bytes, without the others that may be inside of it."""
    real = [os.path.realpath(directory.path) for directory in directories]
    return [_size(path, {*real} - {path}) for path in real]


def _size(path: str, others: t.Collection[str]) -> int:
    size = 0
    for place, names, files in os.walk(path):
        names[:] = [name for name in _with_media(path, place, names) if os.path.join(place, name) not in others]
        size += sum(os.lstat(os.path.join(place, name)).st_size for name in files)
    return size


def _with_media(top: str, place: str, names: t.Iterable[str]) -> list[str]:
    """Return which of the directories in `place` may have media: those that a backup reads, see its `walk`."""
    return [name for name in names if not name.startswith(".") and (place != top or name != LOST_AND_FOUND)]


def lost_media(sample: Json, directories: t.Sequence[MediaDirectory]) -> list[Json]:
    """Return the media of a sample that are in none of the directories: the server had lost them before the backup."""
    return [
        medium
        for medium in sample.get("media", [])
        if not any(os.path.exists(os.path.join(place.path, _local(str(medium["media_id"])))) for place in directories)
    ]


def _local(media_id: str) -> str:
    # The path of synapse/media/filepath.py (1.163).
    return os.path.join("local_content", media_id[0:2], media_id[2:4], media_id[4:])


class MediaPlaces:
    """Writes the media one after the other, and reads an even part of them again at the end."""

    def __init__(self, places: t.Sequence[MediaDirectory], directories: Directories, total: int) -> None:
        """`total`: the number of media in the archive."""
        self._places = places
        self._directories = directories
        self._every = max(-(-total // PROVEN_AT_MOST), 1)
        self._taken = 0
        self._remembered: list[_Written] = []

    def create(self) -> None:
        """Create the directories that are missing."""
        for place in self._places:
            self._directories.create(place.path, place.attributes)

    def take(self, member: Member, digest: bytes, pieces: t.Iterable[bytes]) -> None:
        """Write a medium, unless it is there already. `digest`: its SHA-256."""
        number, names = self._place(member)
        place = self._places[number]
        *above, name = names
        attributes = _attributes(member, place.attributes)
        with self._directories.opened(place.path) as root, opened_below(root, above, _entered(place)) as directory:
            status = directory.status(name)
            if status is None or digest_of(directory, name) != digest:
                write_stream(directory, name, pieces, attributes, member.modified)
        if self._taken % self._every == 0:
            self._remembered.append(_Written(number, tuple(names), digest))
        self._taken += 1

    def prove(self) -> int:
        """Read the remembered media from the disk, and return their number. Raises SynapseError for a difference."""
        for written in self._remembered:
            place = self._places[written.directory]
            *above, name = written.names
            path = os.path.join(place.path, *written.names)
            try:
                with self._directories.opened(place.path) as root, opened_below(root, above, None) as directory:
                    found = digest_of(directory, name)
            except FileNotFoundError:
                found = None
            if found != written.digest:
                raise SynapseError(f"{path} is not what was written to it. Check the disk, and run the task again.")
        return len(self._remembered)

    def _place(self, member: Member) -> tuple[int, list[str]]:
        _media, number, path = [*member.name.split("/", 2), "", ""][:3]
        if not number.isdecimal() or int(number) >= len(self._places):
            raise InvalidInput(f"The archive contains {ascii(member.name)}, which has no directory. Do not use it.")
        return int(number), require_relative(path, member.name)


def _entered(place: MediaDirectory) -> Attributes:
    return Attributes(place.attributes.mode & 0o777 | 0o700, place.attributes.uid, place.attributes.gid)


def _attributes(member: Member, default: Attributes) -> Attributes:
    """Return the attributes of a medium.

    It gets the owner of its directory if this host does not have its own, or if this user may not give it away.
    """
    mode = member.mode & 0o777
    ids = _ids(member.owner, member.group)
    if ids is not None:
        with contextlib.suppress(InvalidInput):
            require_allowed(Attributes(mode, *ids), member.name)
            return Attributes(mode, *ids)
    return Attributes(mode, default.uid, default.gid)


@functools.lru_cache(maxsize=64)
def _ids(owner: str, group: str) -> tuple[int, int] | None:
    try:
        return user_id(owner), group_id(group)
    except InvalidInput:
        return None


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise SynapseError(f"{error.filename} cannot be listed: {error.strerror}. Run the task as root.") from error
