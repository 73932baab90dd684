# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The destination of an export. It is made in a hidden directory next to it, and moved there when it is complete.

The media, which take long, are kept in the hidden directory if a task fails or is killed, and the next task finds them.
Everything uses the descriptor of the parent directory (see _directory). For root, that is a directory that no other
user can write to, and no other user can replace a directory on its path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.archive import ENDINGS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.stored import StoredExport
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.workplace import (
    PREVIOUS,
    Destination,
    Workplace,
    is_free,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import find_obstacle_to_removal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import keeps_files_out

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Directories of the system that contain directories for data, but no files.
_HOLD_DIRECTORIES = frozenset({"/", "/usr/local", "/var/lib", "/var/local"})


class ExportPlace:
    """The destination `path` of an export, whatever exists there now.

    `archive`: None for a directory, or the kind of archive, whose ending is added to the path if it is missing.
    `make_parent`: whether the parent directory is created if it is missing, private to its owner.
    """

    def __init__(self, path: str, archive: str | None = None, *, make_parent: bool = False) -> None:
        """Raises InvalidInput for the root of the file system."""
        ending = ENDINGS[archive] if archive else ""
        path = os.path.abspath(path)
        if not os.path.basename(path):
            raise InvalidInput(f"dest {path} is the root directory. Choose a destination in another directory.")
        self.path = path if path.endswith(ending) else path + ending
        self.archive = archive
        self.parent, self._name = os.path.split(self.path)
        # The name of the export without the ending: that of the directory in an archive.
        self._title = self._name[: -len(ending) or None]
        self._make_parent = make_parent
        # The same name for each path: so a later run finds what a killed one has left, and two cannot run at a time.
        self._hidden = f".synapse_export_{hashlib.sha256(os.fsencode(self._name)).hexdigest()[:16]}"

    def read(self) -> Manifest | None:
        """Return the manifest of the export at this path, or None if nothing or an empty directory is there.

        An export that a killed task has moved away counts as being here, unless something else is: see `is_aside`.
        Raises InvalidInput if anything else is there, if it belongs to another user, or if root cannot trust the
        directories on the path; SynapseError if it cannot be read.
        """
        if self.missing_directories():
            return None
        with self._opened(self.parent) as parent, self._holding(parent) as (holder, name):
            status = holder.status(name)
            if status is None:
                return None
            if not (stat.S_ISREG if self.archive else stat.S_ISDIR)(status.st_mode):
                raise InvalidInput(
                    f"dest {self.path} is not a {'file' if self.archive else 'directory'}. Choose another destination."
                )
            if status.st_uid != os.geteuid():
                raise InvalidInput(
                    f"dest {self.path} belongs to {user_name(status.st_uid)}. Run the task as that user, or choose"
                    " another destination."
                )
            try:
                return StoredExport(holder, name, self.archive).read_manifest()
            except (FileNotFoundError, ValueError) as error:
                raise InvalidInput(
                    f"dest {self.path} contains something that is not an export of this collection. It was not"
                    " changed. Choose another destination or an empty directory."
                ) from error
            except OSError as error:
                raise self._unreadable(error) from error

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the export has exactly the files of its manifest with their sizes. Raises SynapseError."""
        with self._opened(self.parent) as parent, self._holding(parent) as (holder, name):
            try:
                return StoredExport(holder, name, self.archive).is_whole(manifest)
            except OSError as error:
                raise self._unreadable(error) from error

    def is_aside(self) -> bool:
        """Return whether the export is in the hidden directory: a task was killed before it had replaced it."""
        if self.missing_directories():
            return False
        with self._opened(self.parent) as parent, self._holding(parent) as (holder, _name):
            return holder is not parent

    def put_back(self) -> None:
        """Restore the export that a killed task has moved away. Raises SynapseError as `workplace` does."""
        with self.workplace(resume=True):
            pass

    def missing_directories(self) -> list[str]:
        """Return the paths of the directories that must be created first, in this order."""
        missing: list[str] = []
        path = self.parent
        while self._make_parent and not os.path.lexists(path):
            missing.insert(0, path)
            path = os.path.dirname(path)
        return missing

    def make_directories(self) -> None:
        """Create the missing directories, the last one private to its owner. Raises SynapseError."""
        for path in self.missing_directories():
            parent, name = os.path.split(path)
            mode = 0o700 if path == self.parent else 0o755
            with self._opened(parent) as directory:
                directory.make(name, Attributes(mode, os.geteuid(), os.getegid()))

    def require_writable(self) -> None:
        """Raise InvalidInput if an export cannot be put here, SynapseError if another task does so. Changes nothing."""
        missing = self.missing_directories()
        with self._opened(os.path.dirname(missing[0]) if missing else self.parent) as parent:
            if os.path.ismount(self.path):
                raise InvalidInput(
                    f"dest {self.path} is a mount point, which cannot be replaced. Choose a directory in it."
                )
            mounted = None if missing else parent.mounted(self._name)
            if mounted is not None:
                raise InvalidInput(
                    f"dest {self.path} cannot be replaced: {mounted} is a mount point. Unmount it first, or"
                    " choose another destination."
                )
            self._require_for_files(missing)
            parent.require_writable(f"dest {self.path}")
            if not missing:
                self._require_replaceable(parent)

    def _require_for_files(self, missing: list[str]) -> None:
        """Raise InvalidInput if the export or the first of `missing` would be in a directory of the system."""
        above = {os.path.realpath(os.path.dirname(path)) for path in missing[:1]} - _HOLD_DIRECTORIES
        for real in (os.path.realpath(self.parent), *above):
            system = keeps_files_out(real)
            if system:
                fix = f", or create {missing[0]} first" if real in above else ""
                raise InvalidInput(
                    f"dest {self.path} cannot be used: {real} is {system}. Choose another destination, for example in"
                    f" /root or /srv{fix}."
                )

    def _require_replaceable(self, parent: Directory) -> None:
        """Raise InvalidInput if an existing export, or what a killed task left, cannot be moved or removed."""
        if parent.status(self._hidden) is not None:
            os.close(self._lock(parent))
        for name in (self._name, self._hidden):
            obstacle = find_obstacle_to_removal(parent.descriptor, parent.place(name), name)
            if obstacle is not None:
                raise InvalidInput(f"dest {self.path} cannot be replaced: {obstacle}")

    @contextlib.contextmanager
    def workplace(self, *, resume: bool = False) -> t.Iterator[Workplace]:
        """Create the hidden directory, let the block use it, and remove it. What a killed task left is removed first.

        With `resume`, the media in it are kept: those of an earlier task, and after a failure those of this one, unless
        the disk is full.
        Raises SynapseError if another task is using the same path, or if the directory cannot be created; InvalidInput
        if root cannot trust the directories on the path.
        """
        with self._opened(self.parent) as parent, self._explained():
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._hidden, 0o700, dir_fd=parent.descriptor)
            lock = self._lock(parent)
            try:
                os.fchmod(lock, 0o700)
                hidden = Directory(parent.place(self._hidden), lock)
                work = Workplace(hidden, Destination(parent, self._name, self.archive, self._title))
                work.clear(keep_media=resume)
                keep_media = False
                try:
                    yield work
                except BaseException as error:
                    keep_media = resume and not _is_full(error)
                    raise
                finally:
                    work.clear(keep_media=keep_media)
                    if work.is_empty():
                        parent.remove_empty(self._hidden)
            finally:
                os.close(lock)

    @contextlib.contextmanager
    def _opened(self, path: str) -> t.Iterator[Directory]:
        with open_directory(path, option=f"dest {self.path}") as directory:
            yield directory

    @contextlib.contextmanager
    def _holding(self, parent: Directory) -> t.Iterator[tuple[Directory, str]]:
        """Yield the directory that contains the export, and its name in it: the hidden one if it was moved away."""
        if is_free(parent, self._name):
            status = parent.status(self._hidden)
            if status and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                with parent.child(self._hidden) as hidden:
                    if hidden.status(PREVIOUS) is not None:
                        yield hidden, PREVIOUS
                        return
        yield parent, self._name

    def _lock(self, parent: Directory) -> int:
        place = parent.place(self._hidden)
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(self._hidden, flags, dir_fd=parent.descriptor)
        except OSError as error:
            raise SynapseError(
                f"{place} cannot be used: {error.strerror}. Another user may have created it. Remove it."
            ) from error
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise SynapseError(f"{place} belongs to another user. Remove it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = parent.status(self._hidden)
            if status is None or not os.path.samestat(os.fstat(descriptor), status):
                raise BlockingIOError
        except BlockingIOError as error:
            os.close(descriptor)
            raise SynapseError(f"Another task is exporting to {self.path}. Wait until it has finished.") from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextlib.contextmanager
    def _explained(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            fix = "Free space on the disk, or" if _is_full(error) else "Fix this error, or"
            where = error.filename or os.path.join(self.parent, self._hidden)
            raise SynapseError(
                f"The export to {self.path} failed at {where}: {error.strerror}. {fix} choose another destination."
            ) from error

    def _unreadable(self, error: OSError) -> SynapseError:
        return SynapseError(f"dest {self.path} cannot be read: {error.strerror}. Check its permissions and the disk.")


def _is_full(error: BaseException) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _FULL
