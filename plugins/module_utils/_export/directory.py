# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where an export is put: made in a hidden directory beside its place, and moved there when it is complete.

What takes long, the media, is kept in the hidden directory when a task fails or is killed, and found by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import archive as archives
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.content import make_private, read_sizes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST, Manifest

_FULL = (errno.ENOSPC, errno.EDQUOT)


class ExportPlace:
    """The place `path` that shall hold an export, whatever is there now.

    `archive`: None for a directory, or the kind of an archive, whose ending the path gets if it has not got it.
    """

    def __init__(self, path: str, archive: str | None = None) -> None:
        ending = archives.ENDINGS[archive] if archive else ""
        path = os.path.abspath(path)
        self.path = path if path.endswith(ending) else path + ending
        self.archive = archive
        # What the export is called where its own name is needed: that of the directory in an archive.
        self.name = os.path.basename(self.path)[: -len(ending) or None]
        self._parent, name = os.path.split(self.path)
        # One name for each place: so a later run finds what a killed one has left, and a second one at a time none.
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        self._workplace = os.path.join(self._parent, f".synapse_export_{digest}")

    def read(self) -> Manifest | None:
        """Return what the export at this place says of itself, or None if there is nothing, or an empty directory.

        Raises InvalidInput if anything else is there, and SynapseError if it cannot be looked at.
        """
        right = os.path.isfile if self.archive else os.path.isdir
        if os.path.islink(self.path) or (os.path.exists(self.path) and not right(self.path)):
            raise InvalidInput(
                f"destination {self.path} is not a {'file' if self.archive else 'directory'}: name another place."
            )
        try:
            return archives.read_manifest(self.path) if self.archive else self._read_directory()
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

    def _read_directory(self) -> Manifest | None:
        if not os.listdir(self.path):
            return None
        with open(os.path.join(self.path, MANIFEST), encoding="utf-8") as file:
            return Manifest.from_json(file.read())

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the export has the files that its manifest says, each as long. Raises SynapseError."""
        if self.archive:
            return archives.read_sizes(self.path) == manifest.sizes
        sizes = read_sizes(self.path)
        sizes.pop(MANIFEST, None)
        return sizes == manifest.sizes

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
    def workplace(self, *, resume: bool = False) -> t.Iterator[Workplace]:
        """Make the hidden directory, let the block work in it and remove it. What a killed task left is removed first.

        With `resume` the media that are in it are left there: those of an earlier task, and after a failure those of
        this one, unless the disk is full.
        Raises SynapseError if another task is working for the same place, or the directory cannot be made.
        """
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._workplace, 0o700)
            lock = self._lock()
            try:
                work = Workplace(self._workplace, self.path, lock)
                work.clear(keep_media=resume)
                keep_media = False
                try:
                    yield work
                except BaseException as error:
                    keep_media = resume and not _is_full(error)
                    raise
                finally:
                    work.clear(keep_media=keep_media)
                    if not os.listdir(self._workplace):
                        os.rmdir(self._workplace)
            finally:
                os.close(lock)
        except OSError as error:
            mend = "Make room on the disk, or" if _is_full(error) else "Mend that, or"
            raise SynapseError(
                f"The export to {self.path} failed at {error.filename or self._workplace}: {error.strerror}."
                f" {mend} name another place."
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
    """The hidden directory while an export is made.

    `export` is where it is made, `media` where its media are fetched to first, `scratch` for whatever else. `lock` is
    the descriptor that keeps other tasks away.
    """

    def __init__(self, path: str, place: str, lock: int) -> None:
        self._path = path
        self.export = os.path.join(path, "export")
        self.media = os.path.join(path, "media")
        self.scratch = os.path.join(path, "scratch")
        self.lock = lock
        self._previous = os.path.join(path, "previous")
        self._place = place

    def clear(self, *, keep_media: bool = False) -> None:
        """Remove everything in it, but put an export back that had to make way for one that never came."""
        if os.path.lexists(self._previous) and not os.path.exists(self._place):
            os.rename(self._previous, self._place)
        for name in os.listdir(self._path):
            path = os.path.join(self._path, name)
            if keep_media and path == self.media and os.path.isdir(path) and os.listdir(path):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def prepare(self) -> None:
        """Make the directories for the export and whatever else, empty and for their owner alone."""
        os.mkdir(self.export, 0o700)
        os.mkdir(self.scratch, 0o700)

    def publish(self, manifest: Manifest, place: ExportPlace) -> None:
        """Move the export to its place, with its manifest. What was there before is replaced."""
        with open(os.path.join(self.export, MANIFEST), "w", encoding="utf-8") as file:
            file.write(manifest.to_json())
        make_private(self.export)
        if place.archive:
            packed = os.path.join(self.scratch, "archive")
            archives.write_archive(place.archive, self.export, manifest, packed, place.name)
            os.replace(packed, self._place)
            return
        if os.path.isdir(self._place) and os.listdir(self._place):
            os.rename(self._place, self._previous)
        os.rename(self.export, self._place)


def _is_full(error: BaseException) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _FULL
