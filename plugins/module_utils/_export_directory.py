# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where an export is put: made in a hidden directory beside its place, and moved there when it is complete."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_content import (
    Content,
    make_private,
    measure,
)

MANIFEST = "manifest.json"
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What an export says of itself. `created_at` is in UTC, as in 2026-01-31T12:00:00Z; `content` leaves this out.

    `forgotten_rooms` are the ids of the rooms that are missing in it.
    """

    user_id: str
    server_name: str
    synapse_version: str
    created_at: str
    forgotten_rooms: list[str]
    content: Content

    def to_json(self) -> str:
        """Return the text of the file."""
        fields = {**dataclasses.asdict(self), "content": self.content._asdict(), "format": _FORMAT}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Return what the text of a file says. Raises ValueError if it is not the manifest of an export."""
        try:
            fields = json.loads(text)
            if fields.pop("format") != _FORMAT:
                raise ValueError("another format")
            return Manifest(**{**fields, "content": Content(**fields["content"])})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("not a manifest") from error


class ExportPlace:
    """The directory `path` that shall hold an export, whatever is there now."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._parent, name = os.path.split(self.path)
        # One name for each place: so a later run finds what a killed one has left, and a second one at a time none.
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        self._workplace = os.path.join(self._parent, f".synapse_export_{digest}")

    def read(self) -> Manifest | None:
        """Return what the export at this place says of itself, or None if there is nothing, or an empty directory.

        Raises InvalidInput if anything else is there, and SynapseError if it cannot be looked at.
        """
        if os.path.islink(self.path) or (os.path.exists(self.path) and not os.path.isdir(self.path)):
            raise InvalidInput(f"destination {self.path} is not a directory: name another place.")
        try:
            if not os.listdir(self.path):
                return None
            with open(os.path.join(self.path, MANIFEST), encoding="utf-8") as file:
                return Manifest.from_json(file.read())
        except PermissionError as error:
            raise SynapseError(
                f"destination {self.path} cannot be read by this user: run the task as root or as the user who made it."
            ) from error
        except FileNotFoundError as error:
            if not os.path.exists(self.path):
                return None
            raise self._foreign() from error
        except ValueError as error:
            raise self._foreign() from error
        except OSError as error:
            raise SynapseError(f"destination {self.path} cannot be read: {error.strerror}.") from error

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the export has as many files and bytes as its manifest says. Raises SynapseError."""
        size, files = measure(self.path)
        own = os.lstat(os.path.join(self.path, MANIFEST)).st_size
        return (size - own, files - 1) == (manifest.content.size, manifest.content.files)

    def require_writable(self) -> None:
        """Raise InvalidInput if nothing can be put here, SynapseError if another task is doing it. Changes nothing."""
        if not os.path.isdir(self._parent):
            raise InvalidInput(
                f"destination {self.path} cannot be made: there is no directory {self._parent} that this user can see;"
                " create it first."
            )
        if not os.access(self._parent, os.W_OK | os.X_OK):
            raise InvalidInput(
                f"destination {self.path} cannot be made: {self._parent} is read-only for this user. Name another"
                " place, or run the task as a user who may write there."
            )
        if os.path.ismount(self.path):
            raise InvalidInput(
                f"destination {self.path} is a mount point, which cannot be replaced: name a directory in it."
            )
        if os.path.isdir(self._workplace):
            os.close(self._lock())

    @contextlib.contextmanager
    def workplace(self) -> t.Iterator[Workplace]:
        """Make the hidden directory, let the block work in it and remove it. What a killed task left is removed first.

        Raises SynapseError if another task is working for the same place, or the directory cannot be made.
        """
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._workplace, 0o700)
            lock = self._lock()
            try:
                work = Workplace(self._workplace, self.path, lock)
                work.clear()
                try:
                    yield work
                finally:
                    work.clear()
                    os.rmdir(self._workplace)
            finally:
                os.close(lock)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise SynapseError(
                f"The export to {self.path} failed at {error.filename or self._workplace}: {error.strerror}."
                f" {'Make room on the disk, or' if full else 'Mend that, or'} name another place."
            ) from error

    def _lock(self) -> int:
        try:
            descriptor = os.open(self._workplace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise SynapseError(
                f"{self._workplace} cannot be used: {error.strerror}. Another user has left it there: remove it."
            ) from error
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise SynapseError(f"{self._workplace} belongs to another user, who has left it there: remove it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.stat(self._workplace)):
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError) as error:
            os.close(descriptor)
            raise SynapseError(f"Another task is exporting to {self.path}: wait until it has ended.") from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _foreign(self) -> InvalidInput:
        return InvalidInput(
            f"destination {self.path} holds something that is not an export of this collection: it is left alone, name"
            " another place or an empty directory."
        )


class Workplace:
    """The hidden directory while an export is made: `export` is where it is made, `scratch` for whatever else.

    `lock` is the descriptor that keeps other tasks away.
    """

    def __init__(self, path: str, place: str, lock: int) -> None:
        self._path = path
        self.export = os.path.join(path, "export")
        self.scratch = os.path.join(path, "scratch")
        self.lock = lock
        self._previous = os.path.join(path, "previous")
        self._place = place

    def clear(self) -> None:
        """Remove everything in it, but put an export back that had to make way for one that never came."""
        if os.path.isdir(self._previous) and not os.path.exists(self._place):
            os.rename(self._previous, self._place)
        for name in os.listdir(self._path):
            shutil.rmtree(os.path.join(self._path, name))

    def prepare(self) -> None:
        """Make both directories, empty and for their owner alone."""
        os.mkdir(self.export, 0o700)
        os.mkdir(self.scratch, 0o700)

    def publish(self, manifest: Manifest) -> None:
        """Move the export to its place, with its manifest. What was there before is replaced."""
        with open(os.path.join(self.export, MANIFEST), "w", encoding="utf-8") as file:
            file.write(manifest.to_json())
        make_private(self.export)
        if os.path.isdir(self._place) and os.listdir(self._place):
            os.rename(self._place, self._previous)
        os.rename(self.export, self._place)
