# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The headers of the tar stream of an archive (ustar, pax(1)). Anything that is not written here is damage."""

from __future__ import annotations

import re
import tarfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    BLOCK,
    PIECE,
    RECORD,
    Attributes,
    padding,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# In bytes. It has a path of at most 4096 bytes, which may need four bytes each, and few other values.
_LONGEST_EXTENDED = 64 * 1024
_LONGEST_PLAIN_NAME, _LARGEST_PLAIN_SIZE, _LONGEST_PLAIN_OWNER = 100, 8**11 - 1, 31
# Of the numbers of the kernel.
_END = 2**63
_RECORD = re.compile(rb"(\d{1,5}) ([A-Za-z]+)=")


class Damaged(SynapseError):
    """The archive is not as it was written. The message is the end of a sentence that names the archive."""


class Entry(t.NamedTuple):
    """What the header of a member says. `modified` in seconds since 1970."""

    name: str
    size: int
    mode: int
    owner: str
    group: str
    modified: int


class Source:
    """The bytes of an archive, from its beginning."""

    def __init__(self, file: t.IO[bytes]) -> None:
        self._file = file
        self._position = 0

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes. Raises Damaged if there are less."""
        found = self._file.read(size) if size else b""
        while len(found) < size:
            more = self._file.read(size - len(found))
            if not more:
                raise Damaged("it is incomplete: it ends too early")
            found += more
        self._position += size
        return found

    @property
    def position(self) -> int:
        """How many bytes were read by `exactly`."""
        return self._position

    def rest(self, limit: int) -> bytes:
        """Return what follows, at most `limit` bytes."""
        found = b""
        while len(found) < limit:
            more = self._file.read(limit - len(found))
            if not more:
                break
            found += more
        return found


def read_entry(source: Source) -> Entry | None:
    """Return the next header, or None at the end of the tar. Raises Damaged."""
    block = source.exactly(BLOCK)
    if not any(block):
        return None
    header = _header(block)
    extended: dict[str, str] = {}
    if header.type == tarfile.XHDTYPE:
        if not 0 < header.size <= _LONGEST_EXTENDED:
            raise Damaged("a header in it is too long")
        extended = _extended(source.exactly(header.size))
        if any(source.exactly(padding(header.size))):
            raise Damaged("a header in it is not valid")
        header = _header(source.exactly(BLOCK))
    if header.type != tarfile.REGTYPE:
        raise Damaged("it contains something that a backup does not contain")
    try:
        size, modified = int(extended.get("size", header.size)), int(extended.get("mtime", header.mtime))
    except ValueError as error:
        raise Damaged("a header in it is not valid") from error
    name = extended.get("path", header.name)
    if not 0 <= size < _END or not -_END <= modified < _END:
        raise Damaged("a header in it is not valid")
    if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise Damaged("a header in it is not valid")
    owner, group = extended.get("uname", header.uname), extended.get("gname", header.gname)
    entry = Entry(name, size, header.mode & 0o7777, owner, group, modified)
    # Other versions of Python may write an extended header in other ways.
    if not extended and block != header_of(name, size, Attributes(entry.mode, owner, group, modified)):
        raise Damaged("a header in it is not valid")
    return entry


def require_end(source: Source) -> None:
    """Raise Damaged unless the tar ends here, as a tar ends."""
    ending = 2 * BLOCK
    expected = ending + padding(source.position + ending, RECORD)
    rest = source.rest(PIECE)
    if len(rest) != expected or any(rest):
        raise Damaged("it does not end as a backup ends")


def _header(block: bytes) -> tarfile.TarInfo:
    # tarfile ignores the last bytes of the checksum.
    if block[148:156] != b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")):
        raise Damaged("a header in it is not valid")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise Damaged("a header in it is not valid") from error


def _extended(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(content):
        record = _RECORD.match(content, place)
        end = place + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise Damaged("a header in it is not valid")
        found[record[2].decode("ascii")] = content[record.end() : end - 1].decode("utf-8", "surrogateescape")
        place = end
    return found


def header_of(name: str, size: int, attributes: Attributes) -> bytes:
    """Return the header of a member: the short one of ustar, or the extended one of POSIX where it is needed."""
    plain = (
        name.isascii()
        and len(name) <= _LONGEST_PLAIN_NAME
        and size <= _LARGEST_PLAIN_SIZE
        and 0 <= attributes.modified <= _LARGEST_PLAIN_SIZE
        and attributes.owner.isascii()
        and attributes.group.isascii()
        and max(len(attributes.owner), len(attributes.group)) <= _LONGEST_PLAIN_OWNER
    )
    if not plain:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, attributes.mode, attributes.modified
        entry.uname, entry.gname = attributes.owner, attributes.group
        return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    # Many times faster than tarfile, for a media store of many small files.
    fields = (
        name.encode("ascii").ljust(100, b"\0")
        + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (attributes.mode, 0, 0, size, attributes.modified)
        + b"        0"
        + bytes(100)
        + b"ustar\x0000"
        + attributes.owner.encode("ascii").ljust(32, b"\0")
        + attributes.group.encode("ascii").ljust(32, b"\0")
        + b"%07o\0%07o\0" % (0, 0)
        + bytes(155 + 12)
    )
    checksum = b"%06o\0" % sum(fields)
    return fields[:148] + checksum + fields[155:]
