# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The directory with the archives: only root (or this user) can read or write it, and one run uses it at a time.

An archive is written under the name of a `.partial` file, and renamed when it is complete and on the disk. Next to it
is a sidecar `<archive>.json` without secrets, which shows that the archive is one of this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import FORMAT, archive_pattern
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import keeps_files_out

LOCK = ".matrix_ops.synapse.backup.lock"
PARTIAL, SIDECAR = ".partial", ".json"
_OPTION = "dest_directory"
_LARGEST_SIDECAR = 1024 * 1024
_PRIVATE = 0o700

Sidecar = dict[str, t.Any]


class Archive(t.NamedTuple):
    """A complete archive: the name of its file, its size in bytes, and its sidecar."""

    name: str
    size: int
    sidecar: Sidecar

    @property
    def created(self) -> int:
        """When it was made, in milliseconds since 1970."""
        return int(self.sidecar["created_ts"])


class Destination:
    """The directory `path` for the archives of the server `server_name`."""

    def __init__(self, path: str, server_name: str) -> None:
        """Raises InvalidInput for a path that is not absolute."""
        if not os.path.isabs(path):
            raise InvalidInput(
                f"{_OPTION} {path!r} is not an absolute path. Set it to one, such as /var/backups/synapse."
            )
        self.path = os.path.normpath(path)
        self._server_name = server_name
        self._pattern = archive_pattern(server_name)

    @property
    def exists(self) -> bool:
        """Whether the directory exists."""
        return os.path.lexists(self.path)

    def check(self) -> None:
        """Raise InvalidInput if the directory cannot be used, or made. Changes nothing."""
        if self.exists:
            with self.open() as directory:
                directory.require_writable(f"{_OPTION} {self.path}")
                self._require_unlocked(directory)
            return
        self._require_no_system()
        parent = os.path.dirname(self.path)
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        with open_directory(parent, option=f"{_OPTION} {self.path}") as directory:
            directory.require_writable(f"{_OPTION} {self.path}")

    @contextlib.contextmanager
    def open(self) -> t.Iterator[Directory]:
        """Open the directory, which exists, for the block. Raises InvalidInput if others can read or write it."""
        self._require_no_system()
        with open_directory(self.path, option=f"{_OPTION} {self.path}") as directory:
            found = directory.attributes()
            if found.uid != os.geteuid() or found.mode & 0o077:
                shown = found.shown()
                raise InvalidInput(
                    f"{_OPTION} {self.path} belongs to {shown['owner']} and has the mode {shown['mode']}."
                    " Archives contain all secrets of the server: let only the user who runs the task read it, for"
                    f" example with chmod 700 {self.path}, or choose another directory."
                )
            yield directory

    def make(self) -> None:
        """Make the directory, private to this user, and those above it that are missing. Raises SynapseError."""
        missing = []
        path = self.path
        while not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for each in reversed(missing):
            mode = _PRIVATE if each == self.path else 0o755
            with open_directory(os.path.dirname(each), option=f"{_OPTION} {self.path}") as parent:
                parent.make(os.path.basename(each), Attributes(mode, os.geteuid(), os.getegid()))

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[Directory]:
        """Open the directory for the block, in which no other run uses it, and remove what a killed run has left.

        Raises SynapseError if another run uses it.
        """
        with self.open() as directory:
            descriptor = _lock(directory)
            try:
                for name in directory.names():
                    if self._is_leftover(directory, name):
                        directory.remove(name)
                yield directory
            finally:
                os.close(descriptor)

    def archives(self, directory: Directory) -> list[Archive]:
        """Return the complete archives of this server with their sidecars, the newest first."""
        found = []
        for name in directory.names():
            status = directory.status(name) if self._pattern.fullmatch(name) else None
            if status is None or not _is_own_file(status):
                continue
            sidecar = self.read_sidecar(directory, name)
            if sidecar is not None and sidecar.get("size") == status.st_size:
                found.append(Archive(name, status.st_size, sidecar))
        return sorted(found, key=lambda archive: (archive.created, archive.name), reverse=True)

    def read_sidecar(self, directory: Directory, name: str) -> Sidecar | None:
        """Return the sidecar of an archive, or None if it has none of this collection."""
        try:
            found = json.loads(directory.read(name + SIDECAR, _LARGEST_SIDECAR) or b"null")
        except (SynapseError, ValueError):
            return None
        if not isinstance(found, dict) or not isinstance(found.get("created_ts"), int):
            return None
        # Two server names may have the same form in the name of a file.
        ours = {"format": FORMAT, "archive": name, "server_name": self._server_name}
        return found if all(found.get(key) == value for key, value in ours.items()) else None

    def write_sidecar(self, directory: Directory, sidecar: Sidecar) -> None:
        """Write the sidecar of an archive. Raises SynapseError."""
        text = json.dumps(sidecar, indent=1, sort_keys=True) + "\n"
        own = Attributes(0o600, os.geteuid(), os.getegid())
        directory.replace(sidecar["archive"] + SIDECAR, text.encode("ascii"), own)

    def remove(self, directory: Directory, name: str) -> None:
        """Remove an archive, and then its sidecar, which shows until then that it may be removed."""
        for each in (name, name + SIDECAR):
            if directory.status(each) is not None:
                directory.remove(each)
        directory.synchronise()

    def _is_leftover(self, directory: Directory, name: str) -> bool:
        """Return whether a killed run has left this: a partial file, or a sidecar without its archive."""
        status = directory.status(name)
        if status is None or not _is_own_file(status):
            return False
        if name.endswith(PARTIAL):
            return bool(self._pattern.fullmatch(name[: -len(PARTIAL)]))
        archive = name[: -len(SIDECAR)]
        is_sidecar = name.endswith(SIDECAR) and bool(self._pattern.fullmatch(archive))
        return is_sidecar and directory.status(archive) is None and self.read_sidecar(directory, archive) is not None

    def _require_no_system(self) -> None:
        """Raise InvalidInput for a directory of the system, also if it does not exist yet."""
        system = keeps_files_out(os.path.realpath(self.path))
        if system is not None:
            raise InvalidInput(f"{_OPTION} {self.path} is {system}. Choose another directory.")

    def _require_unlocked(self, directory: Directory) -> None:
        if directory.status(LOCK) is not None:
            os.close(_lock(directory))


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _lock(directory: Directory) -> int:
    try:
        descriptor = os.open(
            LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=directory.descriptor
        )
    except OSError as error:
        raise SynapseError(f"{directory.place(LOCK)} could not be opened: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SynapseError(
            f"Another run is making a backup in {directory.path}. Wait until it has ended, and run the task again."
        ) from error
    return descriptor


def make_partial(directory: Directory, name: str) -> int:
    """Create the file for an archive that is not complete, and return its descriptor. Raises SynapseError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        return os.open(name + PARTIAL, flags, 0o600, dir_fd=directory.descriptor)
    except OSError as error:
        raise SynapseError(f"{directory.place(name + PARTIAL)} could not be created: {error.strerror}.") from error
