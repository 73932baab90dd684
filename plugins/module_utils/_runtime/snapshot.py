# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What files were at one moment, without what is in them: enough to tell later whether one was changed since.

The same holds for what is seen now and for what was noted before a restart.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock

# Inode, size, and the times of the last change of content and of anything, in nanoseconds since 1970. The number of the
# device is no part of it: it may be another one after each boot.
Status = tuple[int, int, int, int]
_MOST_LINKS = 40


class Seen(t.NamedTuple):
    """What a place was: every link on the way to it, and what is there at the end.

    `reloaded`: it holds nothing but what Synapse reads again at a reload. `names`: of a folder, the files that count.
    """

    identity: tuple[Status, ...]
    reloaded: bool = False
    names: tuple[str, ...] | None = None

    @property
    def changed(self) -> float:
        """When it was changed last, in seconds since 1970, as the wall clock showed then."""
        # Packages and copies bring old times of content with them; the other time nobody can choose.
        return max(max(status[2:]) for status in self.identity) / 1e9


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All places at the moment of `clock`, which was read after them. None: nothing was there."""

    clock: Clock
    places: t.Mapping[str, Seen | None]

    def as_record(self) -> dict[str, t.Any]:
        """Return the snapshot in plain types, for a file that `from_record` understands."""
        return {**self.clock._asdict(), "places": {path: seen and seen._asdict() for path, seen in self.places.items()}}

    @classmethod
    def from_record(cls, record: t.Any) -> Snapshot:
        """Return the snapshot that `as_record` made plain. Raises TypeError, ValueError or KeyError if it is none."""
        clock = Clock(_text(record["boot_id"]), float(record["boottime"]), float(record["wall"]))
        places = dict(record["places"]).items()
        return cls(clock, {_text(path): None if seen is None else _recorded(seen) for path, seen in places})


def look_at(path: str, reloaded: bool = False, suffix: str | None = None) -> Seen | None:
    """Return what is at `path`, an absolute path, or None if nothing is. Raises OSError if that cannot be seen.

    `suffix`: it is a folder, of which the files count whose names end so.
    """
    try:
        identity = tuple(_statuses(path))
        names = None if suffix is None else tuple(sorted(name for name in os.listdir(path) if name.endswith(suffix)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seen(identity, reloaded, names)


def _statuses(path: str) -> t.Iterator[Status]:
    at, links = "/", 0
    pending = path.split("/")[::-1]
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        following = os.path.dirname(at) if name == ".." else os.path.join(at, name)
        status = os.lstat(following)
        if not stat.S_ISLNK(status.st_mode):
            at = following
            continue
        yield _status(status)
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(following)
        at = "/" if target.startswith("/") else at
        pending.extend(target.split("/")[::-1])
    yield _status(os.lstat(at))


def _status(status: os.stat_result) -> Status:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _recorded(seen: t.Any) -> Seen:
    identity = tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in seen["identity"])
    if not identity:
        raise ValueError("nothing was seen there")
    names = seen["names"]
    return Seen(identity, bool(seen["reloaded"]), None if names is None else tuple(_text(name) for name in names))


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError("this is no text")
    return value
