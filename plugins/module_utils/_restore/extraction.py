# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One reading of a proven archive, in which everything in it gets to its place. The configuration is written last."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    ArchiveReader,
    Member,
    Proven,
    is_database,
    open_archive,
    unpacked_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import FILES, MEDIA
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import Damaged
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.files import ArchivedFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.media import MediaPlaces
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import (
    Directories,
    directory_attributes,
    write_stream,
)

# In bytes. Larger files are not kept in memory: they are extra files, no configuration.
LARGEST_KEPT = 8 * 1024 * 1024
_KEPT_AT_MOST = 128 * 1024 * 1024
_DIGEST_SIZE = 32


class ReadArchive(t.NamedTuple):
    """A proven archive, and the content of its small files by the names of their members."""

    proven: Proven
    kept: dict[str, bytes]


def read_archive(src: str, identity: Identity) -> ReadArchive:
    """Read the whole archive and prove it. Raises the errors of `open_archive`."""
    kept: dict[str, bytes] = {}
    left = _KEPT_AT_MOST
    with open_archive(src, identity, report=_reported(Work.BACKUP_VERIFIED, src)) as reader:
        for member in reader.members():
            if member.name.startswith(FILES) and member.size <= min(LARGEST_KEPT, left):
                kept[member.name] = b"".join(member.chunks())
                left -= member.size
        return ReadArchive(reader.proven(), kept)


class Extraction:
    """What is taken out of the archive, and where it goes.

    `files`: those that are to be written, which may be fewer than in the archive. `media`: None if the media are not in
    the archive. `database`: takes the pieces of the database; None if it is there already.
    """

    def __init__(
        self,
        archive: ReadArchive,
        directories: Directories,
        files: t.Sequence[ArchivedFile],
        media: MediaPlaces | None,
        database: t.Callable[[t.Iterable[bytes]], None] | None,
    ) -> None:
        self._archive = archive
        self._directories = directories
        self._files = {file.member: file for file in files}
        self._media = media
        self._database = database

    def run(self, src: str, identity: Identity) -> None:
        """Read the archive, and put the database, large files and the media in place.

        Raises SynapseError if it has changed since it was proven, before a changed file gets its name.
        """
        report = _reported(Work.RESTORED, src)
        with open_archive(src, identity, self._archive.proven, report) as reader:
            members = _Members(reader, self._archive.proven.digests)
            self._take_database(members)
            while (member := members.current) is not None:
                if member.name.startswith(MEDIA):
                    self._take_medium(member, members)
                elif member.name in self._files and member.name not in self._archive.kept:
                    self._take_file(self._files[member.name], members)
                members.advance()

    def write_kept(self, files: t.Iterable[ArchivedFile]) -> None:
        """Write the small files, in this order."""
        for file in files:
            content = self._archive.kept.get(file.member)
            if content is not None:
                parent, name = os.path.split(file.path)
                self._directories.create(parent, directory_attributes(file.attributes))
                with self._directories.opened(parent) as directory:
                    directory.replace(name, content, file.attributes)

    def _take_database(self, members: _Members) -> None:
        def pieces() -> t.Iterator[bytes]:
            while members.current is not None and is_database(members.current):
                yield from members.checked()
                members.advance()

        if self._database is not None:
            proven = self._archive.proven
            unpacked = unpacked_database(str(proven.header["engine"]), pieces())
            self._database(_limited(unpacked, int(proven.manifest["database"]["bytes"])))

    def _take_file(self, file: ArchivedFile, members: _Members) -> None:
        parent, name = os.path.split(file.path)
        self._directories.create(parent, directory_attributes(file.attributes))
        with self._directories.opened(parent) as directory:
            write_stream(directory, name, members.checked(), file.attributes, file.modified)

    def _take_medium(self, member: Member, members: _Members) -> None:
        if self._media is not None:
            self._media.take(member, members.expected, members.checked())


class _Members:
    """The members one after the other, each with the SHA-256 that it had when the archive was proven."""

    def __init__(self, reader: ArchiveReader, digests: bytes) -> None:
        self._members = reader.members()
        self._digests = digests
        # The header is the first one.
        self._number = 0
        self.current: Member | None = None
        self.advance()

    @property
    def expected(self) -> bytes:
        """The SHA-256 of the current member."""
        start = self._number * _DIGEST_SIZE
        return self._digests[start : start + _DIGEST_SIZE]

    def advance(self) -> None:
        """Take the next member."""
        self.current = next(self._members, None)
        self._number += 1

    def checked(self) -> t.Iterator[bytes]:
        """Yield the content of the current member. Raises SynapseError at its end if it has changed."""
        member = self.current
        if member is None:
            return
        yield from member.chunks()
        if member.digest() != self.expected:
            raise SynapseError(f"{member.name} in the archive has changed since it was verified. Run the task again.")


def _limited(pieces: t.Iterable[bytes], size: int) -> t.Iterator[bytes]:
    """Yield the pieces. Raises Damaged as soon as they are more than `size` bytes, for which there is space."""
    for piece in pieces:
        size -= len(piece)
        if size < 0:
            raise Damaged("the database in it is larger than in its manifest")
        yield piece


def _reported(work: Work, src: str) -> t.Callable[[int], None]:
    done, total = 0, os.path.getsize(src) if os.path.exists(src) else None

    def report(size: int) -> None:
        nonlocal done
        done += size
        progress.report(work, done, total)

    return report
