# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Writes the content of an archive to the disk, through the descriptors of directories, so that no link is followed.

A file or directory appears under its name only when it is complete, with its owner and its mode. One of a directory is
written at a time, so what a killed run left behind has a fixed hidden name, and the next run replaces it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import UNFINISHED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import open_child

_PIECE = 1024 * 1024


def write_stream(
    directory: Directory, name: str, pieces: t.Iterable[bytes], attributes: Attributes, modified: int | None = None
) -> None:
    """Write a file from its pieces, in place of an existing one. Raises SynapseError if that fails.

    `modified`: the time of the last change, in seconds since 1970. It is not yet on the disk when this returns: see
    `synchronise_all`.
    """
    here = directory.descriptor
    try:
        _clear(here)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(UNFINISHED, flags, 0o600, dir_fd=here)
        try:
            for piece in pieces:
                _write_all(descriptor, piece)
            attributes.give(descriptor)
            if modified is not None:
                os.utime(descriptor, (modified, modified))
        finally:
            os.close(descriptor)
        os.rename(UNFINISHED, name, src_dir_fd=here, dst_dir_fd=here)
    except BaseException as error:
        # It would take the space that the next run needs.
        with contextlib.suppress(OSError):
            _clear(here)
        if isinstance(error, OSError):
            raise not_written(directory.place(name), error) from error
        raise


def not_written(path: str, error: OSError) -> SynapseError:
    """Return the error for something that could not be written."""
    return SynapseError(
        f"{path} could not be written: {error.strerror}. Correct this, and run the task again: it continues."
    )


def digest_of(directory: Directory, name: str) -> bytes | None:
    """Return the SHA-256 of a regular file, or None if there is no entry. Raises SynapseError for anything else."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory.descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SynapseError(f"{directory.place(name)} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SynapseError(f"{directory.place(name)} is not a regular file. Move it away.")
        digest = hashlib.sha256()
        try:
            while piece := file.read(_PIECE):
                digest.update(piece)
        except OSError as error:
            raise SynapseError(f"{directory.place(name)} cannot be read: {error.strerror}.") from error
    return digest.digest()


@contextlib.contextmanager
def opened_below(root: Directory, names: t.Sequence[str], missing: Attributes | None) -> t.Iterator[Directory]:
    """Open the directory at `names` below `root` for the block, each one only if it is a directory and no link.

    `missing`: the attributes with which missing ones are created. With None, a missing one raises FileNotFoundError.
    Raises SynapseError for anything else.
    """
    descriptor, place = os.dup(root.descriptor), root.path
    try:
        for name in names:
            place = os.path.join(place, name)
            try:
                following = _child(descriptor, name, missing)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise SynapseError(f"{place} cannot be used as a directory: {error.strerror}. Move it away.") from error
            os.close(descriptor)
            descriptor = following
        yield Directory(place, descriptor)
    finally:
        os.close(descriptor)


def _child(descriptor: int, name: str, missing: Attributes | None) -> int:
    try:
        return open_child(name, descriptor)
    except FileNotFoundError:
        if missing is None:
            raise
    _clear(descriptor)
    os.mkdir(UNFINISHED, 0o700, dir_fd=descriptor)
    made = open_child(UNFINISHED, descriptor)
    try:
        missing.give(made)
        os.rename(UNFINISHED, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except BaseException:
        os.close(made)
        raise
    return made


def _clear(descriptor: int) -> None:
    """Remove what was not finished in this directory. Raises OSError."""
    try:
        os.unlink(UNFINISHED, dir_fd=descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        # POSIX has another error for a directory than Linux.
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        os.rmdir(UNFINISHED, dir_fd=descriptor)


class Directories:
    """Creates the directories that are missing, as the archive describes them."""

    def __init__(self, described: t.Mapping[str, Attributes], trusted: t.Collection[int]) -> None:
        """`described`: the attributes by the paths. `trusted`: see `_trusted_path.walk`."""
        self._described = described
        self.trusted = trusted

    def missing(self, path: str) -> list[str]:
        """Return which directories have to be created so that `path` exists, from the top down."""
        found: list[str] = []
        while not os.path.lexists(path) and path != "/":
            found.insert(0, path)
            path = os.path.dirname(path)
        return found

    def attributes(self, path: str, default: Attributes) -> Attributes:
        """Return the attributes that a directory gets that is created."""
        return self._described.get(path, default)

    def require_writable(self, paths: t.Iterable[str]) -> None:
        """Raise InvalidInput if nothing can be written into one of these directories, or where it will be created."""
        for place in sorted({_existing(path) for path in paths}):
            with self.opened(place) as directory:
                directory.require_writable(place)

    @contextlib.contextmanager
    def locked(self, path: str) -> t.Iterator[None]:
        """Lock an existing directory for the block. Raises SynapseError if another process has it locked."""
        with self.opened(path) as directory:
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory.descriptor)
            try:
                fcntl.flock(listing, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
            except BlockingIOError as error:
                raise SynapseError(f"Another task is restoring a backup to {path}. Wait until it ends.") from error
            finally:
                os.close(listing)

    def create(self, path: str, default: Attributes) -> None:
        """Create `path` and its missing parents. `default`: the attributes of those that are not described."""
        for each in self.missing(path):
            parent, name = os.path.split(each)
            with self.opened(parent) as directory:
                directory.make(name, self.attributes(each, default))

    @contextlib.contextmanager
    def opened(self, path: str) -> t.Iterator[Directory]:
        """Open an existing directory for the block. Raises InvalidInput if another user could redirect it."""
        with open_directory(path, trusted=self.trusted) as directory:
            yield directory


def directory_attributes(file: Attributes) -> Attributes:
    """Return the attributes of a missing directory for a file with these, which the archive does not describe."""
    entered = file.mode & 0o755 | (file.mode & 0o444) >> 2
    return Attributes(entered | 0o700, file.uid, file.gid)


def require_relative(path: str, member: str) -> list[str]:
    """Return the names in the relative path of a medium. Raises InvalidInput for one that leads elsewhere."""
    names = path.split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names) or names[-1] == UNFINISHED:
        raise InvalidInput(f"The archive contains {ascii(member)}, which is not the path of a medium. Do not use it.")
    return names


def synchronise(directory: Directory, name: str) -> None:
    """Wait until a file is on the disk. Raises SynapseError if the disk did not take all of it."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory.descriptor)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise not_written(directory.place(name), error) from error


def synchronise_all(paths: t.Iterable[str]) -> None:
    """Wait until everything on the file systems of these directories is on their disks.

    Directories that do not exist are left out. Raises SynapseError if a disk did not take all of it (syncfs(2)).
    """
    done: set[int] = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                device = os.fstat(descriptor).st_dev
                if device not in done:
                    _synchronise_file_system(descriptor)
                done.add(device)
            except OSError as error:
                raise not_written(path, error) from error
            finally:
                os.close(descriptor)


def _synchronise_file_system(descriptor: int) -> None:
    synchronise_file_system = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if synchronise_file_system is None:
        # Only Linux has it.
        os.sync()
    elif synchronise_file_system(descriptor):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
