# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The layout of an archive: one tar file with its members in a fixed order.

header.json; database/0000 and following, one stream in pieces; files/0000 and following; media/<directory>/<path>;
manifest.json; SHA256SUMS, which sha256sum(1) can check after the archive was unpacked. Without SHA256SUMS at the end an
archive is incomplete.
"""

from __future__ import annotations

import re
import tarfile
import typing as t

FORMAT = 1
HEADER, MANIFEST, SUMS = "header.json", "manifest.json", "SHA256SUMS"
DATABASE, FILES, MEDIA = "database/", "files/", "media/"
# In bytes. A piece of the database is in memory until its size is known.
PIECE_OF_DATABASE = 16 * 1024 * 1024
# In bytes: how much is read, hashed and written at a time.
PIECE = 1024 * 1024
# In bytes. Other members of the collection's own are small.
LARGEST_HEADER, LARGEST_MANIFEST = 1024 * 1024, 256 * 1024 * 1024
# Upstream's documentation says that clients must make these keys anew after a restore.
EXCLUDED_TABLES = ("e2e_one_time_keys_json",)
AGE, GPG = "age", "gpg"
# What a restore is writing. One that was killed leaves it among the media, to which it never belongs.
UNFINISHED = ".matrix_ops.synapse.restoring"
# A file system has it in its highest directory, for what a check has found. Only root can read it.
LOST_AND_FOUND = "lost+found"
ENDINGS = {"": ".tar", AGE: ".tar.age", GPG: ".tar.gpg"}
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_LONGEST_SHORT = 100
BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE


def safe_name(server_name: str) -> str:
    """Return the server name as a part of a file name. A port or an IPv6 address contains other characters."""
    return _UNSAFE.sub("_", server_name).lstrip(".-") or "server"


def archive_pattern(server_name: str) -> re.Pattern[str]:
    """Return the pattern of the names of archives of this server. The group is the time in UTC."""
    return re.compile(rf"synapse-{re.escape(safe_name(server_name))}-(\d{{8}}T\d{{6}}Z)\.tar(?:\.age|\.gpg)?")


def sum_line(digest: bytes, name: str) -> bytes:
    """Return the line of SHA256SUMS for a member, in the format of sha256sum(1), also for odd names."""
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{digest.hex()}  {escaped}\n".encode("utf-8", "surrogateescape")


def padding(size: int, unit: int = BLOCK) -> int:
    """Return how many bytes follow `size` bytes up to the next multiple of `unit`."""
    return -size % unit


def overhead(name: str) -> int:
    """Return how many bytes a member needs at most in addition to its content: headers, padding, its line of SUMS."""
    length = len(name.encode("utf-8", "surrogateescape"))
    # A longer name needs an extended header.
    return 3 * BLOCK if name.isascii() and length <= _LONGEST_SHORT else 6 * BLOCK + 2 * length


class Attributes(t.NamedTuple):
    """What a tar header keeps of a file: its mode, the names of its owner and group, and its time in seconds."""

    mode: int = 0o600
    owner: str = "root"
    group: str = "root"
    modified: int = 0
