# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The state of files at one moment, without their content. It shows later whether a file was changed.

It is used for the current state and for the state that was recorded before a restart.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock

# Inode, size, and the times of the last change of the content and of the inode, in nanoseconds since 1970. The number
# of the device is missing on purpose, because it can differ after each boot.
Status = tuple[int, int, int, int]
_MOST_LINKS = 40


class Seen(t.NamedTuple):
    """The state of a path: of every link on the way to it, and of the file or directory at the end.

    `reloaded`: it contains only settings that Synapse applies at a reload. `names`: the files that count in it.
    """

    identity: tuple[Status, ...]
    reloaded: bool = False
    names: tuple[str, ...] | None = None

    @property
    def changed(self) -> float:
        """The time of the last change, in seconds since 1970, on the wall clock at that time."""
        # Packages and copies set an old modification time. The change time cannot be set.
        return max(max(status[2:]) for status in self.identity) / 1e9


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All paths at the time of `clock`, which was read after them. None: nothing existed there."""

    clock: Clock
    places: t.Mapping[str, Seen | None]

    def as_record(self) -> dict[str, t.Any]:
        """Return the snapshot in plain types without None, for a file that `from_record` reads."""
        places = {path: _known(seen._asdict()) if seen else {} for path, seen in self.places.items()}
        return {**_known(self.clock._asdict()), "places": places}

    @classmethod
    def from_record(cls, record: t.Any) -> Snapshot:
        """Return the snapshot of a record. Raises TypeError, ValueError or KeyError if it is not a record."""
        clock = Clock(_text(record["boot_id"]), float(record["boottime"]), float(record["wall"]))
        places = dict(record["places"]).items()
        return cls(clock, {_text(path): None if seen == {} else _recorded(seen) for path, seen in places})


def look_at(path: str, reloaded: bool = False, suffix: str | None = None) -> Seen | None:
    """Return the state of an absolute path, or None if nothing exists there. Raises OSError if it cannot be read.

    `suffix`: the path is a directory, and the files in it count whose names end with that.
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
        raise ValueError("an identity is empty")
    names = seen.get("names")
    return Seen(identity, bool(seen["reloaded"]), None if names is None else tuple(_text(name) for name in names))


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError("this is not text")
    return value


def _known(values: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in values.items() if value is not None}
