# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads an archive: every member once, in order, and proves it against the SHA-256 that the archive itself contains.

Relies on nothing but Python's standard library, and for an encrypted archive on age or GnuPG.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import typing as t
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity, decrypted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    DATABASE,
    FORMAT,
    HEADER,
    LARGEST_HEADER,
    LARGEST_MANIFEST,
    MANIFEST,
    PIECE,
    SUMS,
    padding,
    sum_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.manifest import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import (
    Damaged,
    Entry,
    Source,
    read_entry,
    require_end,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

Report = t.Callable[[int], None]
_DIGEST_SIZE = 32


class Proven(t.NamedTuple):
    """What a whole reading of an archive has proven. `file`: which file it was (device, inode, size, time)."""

    header: dict[str, t.Any]
    manifest: dict[str, t.Any]
    digests: bytes
    content_sha256: str
    file: tuple[int, int, int, int]


class Member:
    """A member of an archive. Its content can be read once, until the next member is taken."""

    def __init__(self, entry: Entry, source: Source, report: Report) -> None:
        self.name, self.size, self.mode = entry.name, entry.size, entry.mode
        self.owner, self.group, self.modified = entry.owner, entry.group, entry.modified
        self._source, self._report = source, report
        self._left = entry.size
        self._digest = hashlib.sha256()

    def read(self, size: int = PIECE) -> bytes:
        """Return 1 to `size` bytes, or no bytes at the end. Raises SynapseError if the archive ends before."""
        wanted = min(size, self._left)
        if not wanted:
            return b""
        piece = self._source.exactly(wanted)
        self._left -= wanted
        self._digest.update(piece)
        self._report(wanted)
        return piece

    def chunks(self) -> t.Iterator[bytes]:
        """Yield the content in pieces of at most one MiB. Raises SynapseError if the archive ends before."""
        yield from iter(self.read, b"")

    def digest(self) -> bytes:
        """Read what is left, and return the SHA-256 of the whole content."""
        for _piece in self.chunks():
            pass
        return self._digest.digest()


class ArchiveReader:
    """An open archive. `header` is read; `manifest`, `digests` and `content_sha256` are known when `members` ends."""

    def __init__(
        self, path: str, file: tuple[int, int, int, int], source: Source, report: Report, proven: Proven | None
    ) -> None:
        self._path, self._file = path, file
        self._source, self._report, self._expected = source, report, proven
        self._manifest: dict[str, t.Any] | None = None
        self._names: list[str] = []
        self._contents = Contents()
        self._digests = bytearray()
        self.content_sha256 = ""
        self.header = self._read_header()

    @property
    def manifest(self) -> dict[str, t.Any]:
        """The manifest. Raises SynapseError before the end of the archive is reached."""
        if self._manifest is None:
            raise SynapseError(f"{self._path} was not read to its end, where its manifest is.")
        return self._manifest

    @property
    def digests(self) -> bytes:
        """The SHA-256 of every member in order, of 32 bytes each."""
        return bytes(self._digests)

    def members(self) -> t.Iterator[Member]:
        """Yield the members between the header and the manifest.

        Raises SynapseError at the first sign of damage, at the latest after the last member.
        """
        while True:
            entry = self._next()
            if entry.name in (MANIFEST, SUMS):
                break
            member = Member(entry, self._source, self._report)
            yield member
            self._close(member.name, member.digest(), member.size)
        if entry.name == SUMS:
            raise Damaged("its manifest is missing")
        manifest = self._small(entry, LARGEST_MANIFEST)
        self._require_sums()
        require_end(self._source)
        found = _json(manifest, MANIFEST)
        self._contents.require(self.header, found)
        self._manifest = found

    def proven(self) -> Proven:
        """Return what was read, for a second reading of the same file."""
        return Proven(self.header, self.manifest, self.digests, self.content_sha256, self._file)

    def _read_header(self) -> dict[str, t.Any]:
        try:
            entry = self._next()
        except Damaged as error:
            raise self._not_a_backup() from error
        if entry.name != HEADER:
            raise self._not_a_backup()
        header = _json(self._small(entry, LARGEST_HEADER), HEADER)
        if header.get("format") != FORMAT:
            raise InvalidInput(
                f"{self._path} has the format {header.get('format')!r}, and this version of the collection reads only"
                f" {FORMAT}. Use the version of the collection that has made it."
            )
        return header

    def _not_a_backup(self) -> InvalidInput:
        return InvalidInput(f"{self._path} does not begin like a backup of this collection. Set the path of a backup.")

    def _next(self) -> Entry:
        entry = read_entry(self._source)
        if entry is None:
            raise Damaged("it is incomplete: its end is missing")
        return entry

    def _small(self, entry: Entry, limit: int) -> bytes:
        if entry.size > limit:
            raise Damaged(f"{entry.name} is too large")
        content = self._source.exactly(entry.size)
        self._close(entry.name, hashlib.sha256(content).digest(), entry.size)
        return content

    def _close(self, name: str, digest: bytes, size: int) -> None:
        """Remember the member, and skip the rest of its last block."""
        if any(self._source.exactly(padding(size))):
            raise Damaged(f"there is something between {name} and the next member")
        place = len(self._digests)
        if self._expected is not None and self._expected.digests[place : place + _DIGEST_SIZE] != digest:
            raise Damaged(f"{name} has changed since the archive was verified")
        self._contents.add(name, digest, size)
        self._names.append(name)
        self._digests += digest

    def _require_sums(self) -> None:
        """Compare SHA256SUMS with what was read, line by line."""
        entry = self._next()
        if entry.name != SUMS:
            raise Damaged(f"{entry.name} is where {SUMS} must be")
        whole = hashlib.sha256()
        left = entry.size
        for number, name in enumerate(self._names):
            place = number * _DIGEST_SIZE
            line = sum_line(bytes(self._digests[place : place + _DIGEST_SIZE]), name)
            if len(line) > left or self._source.exactly(len(line)) != line:
                raise Damaged(f"{name} has another SHA-256 than when the backup was made")
            whole.update(line)
            left -= len(line)
        if left:
            raise Damaged("members are missing")
        if any(self._source.exactly(padding(entry.size))):
            raise Damaged(f"there is something after {SUMS}")
        self.content_sha256 = whole.hexdigest()


@contextlib.contextmanager
def open_archive(
    path: str,
    identity: Identity | None = None,
    proven: Proven | None = None,
    report: Report = lambda _size: None,
) -> t.Iterator[ArchiveReader]:
    """Open an archive for the block.

    `proven`: the result of `prove_archive`; then each member is compared as soon as it ends. `report`: is called with
    the number of bytes of content that were read. Raises InvalidInput if it is not an archive that can be read with
    this `identity`, SynapseError if it is damaged.
    """
    descriptor = _opened(path)
    try:
        file = _file(descriptor)
        if proven is not None and file != proven.file:
            raise SynapseError(f"{path} has changed since it was verified. Run the task again.")
        with contextlib.ExitStack() as stack:
            stack.enter_context(_explained(path))
            content = stack.enter_context(decrypted(path, descriptor, identity or Identity()))
            yield ArchiveReader(path, file, Source(content), report, proven)
    finally:
        os.close(descriptor)


def prove_archive(path: str, identity: Identity | None = None, report: Report = lambda _size: None) -> Proven:
    """Read an archive to its end and compare every SHA-256. Raises the errors of `open_archive`."""
    with open_archive(path, identity, report=report) as reader:
        for _member in reader.members():
            pass
        return reader.proven()


def unpacked_database(engine: str, pieces: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """Yield the database out of all members `database/…`: the file of SQLite, or the custom format of pg_dump.

    `engine`: that of the header. Raises SynapseError if the SQLite database is not exactly one whole packed stream.
    """
    if engine != "sqlite":
        yield from pieces
        return
    unpacker = zlib.decompressobj()
    try:
        for piece in pieces:
            waiting = piece
            while waiting:
                yield unpacker.decompress(waiting, PIECE)
                waiting = unpacker.unconsumed_tail
            if unpacker.unused_data:
                raise Damaged("there is something after the database in it")
        yield unpacker.flush()
    except zlib.error as error:
        raise Damaged("the database in it cannot be unpacked") from error
    if not unpacker.eof:
        raise Damaged("the database in it is incomplete")


def is_database(member: Member) -> bool:
    """Return whether the member is a piece of the database."""
    return member.name.startswith(DATABASE)


def _opened(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist on this host. Set the path of a backup.") from None
    except OSError as error:
        raise SynapseError(f"{path} cannot be read: {error.strerror}. Run the task with become, as root.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{path} is not a file. Set the path of a backup.")
    return descriptor


def _file(descriptor: int) -> tuple[int, int, int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _explained(path: str) -> t.Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise SynapseError(
            f"{path} is damaged: {error.message}. Use another backup, or copy this one again from where it was kept."
        ) from error


def _json(content: bytes, name: str) -> dict[str, t.Any]:
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{name} is not JSON") from error
