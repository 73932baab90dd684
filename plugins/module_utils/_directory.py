# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""All writing to the disk: by the descriptor of a directory, never by a path.

So it stays in the directory that was checked, even if another user changes names on the path at the same time. No link
is followed, and the content, owner and mode of an existing file are never changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._mounts import mount_points, mounted_in, real_path
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import find_obstacle_to_entries
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import open_child, walk

# The prefix of the names of unfinished entries. 32 hexadecimal digits follow.
HIDDEN_PREFIX = ".matrix_ops.synapse."
# How many directories are open at the same time while a tree is removed.
_DEEPEST = 100
_HIDDEN = re.compile(re.escape(HIDDEN_PREFIX) + "[0-9a-f]{32}")
# In bytes: enough for any configuration or secret, and little memory.
READ_AT_MOST = 8 * 1024 * 1024


@contextlib.contextmanager
def open_directory(path: str, *, trusted: t.Collection[int] = (), option: str | None = None) -> t.Iterator[Directory]:
    """Open the directory `path` for the block, only if no other user can replace a directory on the path.

    `trusted`: ids of users that are trusted in addition to root. `option`: the beginning of an error message, such as
    "access_token_path /root/token"; without it that is `path`. See `_trusted_path.walk` for the rules.

    Raises InvalidInput if it is missing, not a directory, or not trusted; SynapseError if it cannot be read.
    """
    descriptor = walk(path, trusted, option)
    try:
        yield Directory(path, descriptor)
    finally:
        os.close(descriptor)


class Directory:
    """An open directory: `path` for messages, `descriptor` for the kernel. Names are those of entries, without a slash.

    Every method raises SynapseError if the kernel refuses, with its OSError as the cause, never OSError itself.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        """The caller closes `descriptor`."""
        self.path = path
        self.descriptor = descriptor

    def place(self, name: str) -> str:
        """Return the path of an entry, for messages."""
        return os.path.join(self.path, name)

    def attributes(self) -> Attributes:
        """Return the mode, owner and group of the directory itself."""
        return Attributes.of(os.fstat(self.descriptor))

    def names(self) -> list[str]:
        """Return the names of the entries, sorted."""
        with self._explained(None, "listed"):
            # The descriptor itself may have been opened without the permission to list entries.
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.descriptor)
            try:
                return sorted(os.listdir(listing))
            finally:
                os.close(listing)

    def require_writable(self, option: str) -> None:
        """Raise InvalidInput, beginning with `option`, if this user cannot create entries here. Changes nothing."""
        obstacle = find_obstacle_to_entries(self.descriptor, self.path)
        if obstacle is not None:
            raise InvalidInput(f"{option} cannot be written: {obstacle.rstrip('.')}, or choose another path.")

    def status(self, name: str) -> os.stat_result | None:
        """Return the status of an entry, for a link that of the link itself. None if there is no entry."""
        with self._explained(name, "read"):
            try:
                return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def read(self, name: str, limit: int = READ_AT_MOST) -> bytes | None:
        """Return the content of a file of at most `limit` bytes, or None if there is no entry.

        Raises SynapseError for a link, for anything else that is not an ordinary file, and for a larger file.
        """
        with self._explained(name, "read"):
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.descriptor)
            except FileNotFoundError:
                return None
            except OSError as error:
                status = self.status(name)
                if status and stat.S_ISLNK(status.st_mode):
                    raise SynapseError(
                        f"{self.place(name)} is a symbolic link, which is not followed. Use the path of its target."
                    ) from error
                raise
            try:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    what = "a directory: name a file in it" if stat.S_ISDIR(mode) else "not a file: choose another path"
                    raise SynapseError(f"{self.place(name)} is {what}.")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    content = file.read(limit + 1)
            finally:
                os.close(descriptor)
        if len(content) > limit:
            raise SynapseError(f"{self.place(name)} is larger than {limit} bytes. Check that it is the right file.")
        return content

    def replace(self, name: str, content: bytes, attributes: Attributes) -> None:
        """Replace `name` by a new file atomically, complete and with its attributes.

        The old file stays until then, and if it fails. A link is replaced, not followed. Unfinished files of killed
        processes in this directory are removed.
        """
        with self._explained(name, "written"):
            self._sweep()
            temporary, file = self._begin()
            with file:
                own = os.fstat(file.fileno())
                try:
                    file.write(content)
                    file.flush()
                    attributes.give(file.fileno())
                    os.fsync(file.fileno())
                    self._move(temporary, self, name)
                    self._require_same(name, own)
                except BaseException:
                    self._forget(temporary, own)
                    raise
            self.synchronise()

    def make(self, name: str, attributes: Attributes, fill: t.Callable[[Directory], None] | None = None) -> None:
        """Create a directory atomically, with its content and attributes.

        `fill` writes the content. Raises SynapseError if the name exists, and whatever `fill` raises; then nothing is
        left of it. A killed process leaves a directory whose name begins with HIDDEN_PREFIX.
        """
        with self._explained(name, "created"):
            temporary, descriptor = self._begin_directory()
            made = Directory(self.place(temporary), descriptor)
            try:
                if made.attributes().uid != os.geteuid() or made.names():
                    raise self._disturbed(temporary)
                self._fill(made, temporary, name, attributes, fill)
            finally:
                os.close(descriptor)
            self.synchronise()

    @contextlib.contextmanager
    def child(self, name: str) -> t.Iterator[Directory]:
        """Open the directory `name` in this one for the block, if it is a directory and not a link.

        Its owner is not checked: see its `attributes`.
        """
        with self._explained(name, "opened as a directory"):
            descriptor = open_child(name, self.descriptor)
        try:
            yield Directory(self.place(name), descriptor)
        finally:
            os.close(descriptor)

    def rename(self, name: str, new: str, to: Directory | None = None) -> None:
        """Rename an entry, here or to `to`. A file replaces a file, and a directory replaces an empty directory.

        Nothing else about it changes. Both directories must be on the same file system.
        """
        target = to or self
        with target._explained(new, "created"):
            self._move(name, target, new)
            target.synchronise()

    def remove(self, name: str) -> None:
        """Remove a file or a link, never its target. Raises SynapseError for a directory, or if nothing exists."""
        with self._explained(name, "removed"):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_empty(self, name: str) -> None:
        """Remove an empty directory. Raises SynapseError for anything else."""
        with self._explained(name, "removed"):
            os.rmdir(name, dir_fd=self.descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove `name` if it exists, a directory with everything in it. No link is followed.

        Raises SynapseError for what cannot be removed. Raises it before anything is removed if something is mounted
        there or anywhere in it, even from the same file system.
        """
        self.require_unmounted(name)
        self._remove_unmounted(name)

    def clear(self) -> None:
        """Remove everything in this directory, by the same rules."""
        names = self.names()
        for entry in names:
            self.require_unmounted(entry)
        for entry in names:
            self._remove_unmounted(entry)

    def mounted(self, name: str) -> str | None:
        """Return the path of a mount point that the entry is or contains, or None. Bind mounts are mount points too.

        None if the kernel does not show mount points.
        """
        with self._explained(name, "read"):
            path = real_path(self.descriptor)
            return None if path is None else mounted_in(os.path.join(path, name), mount_points())

    def require_unmounted(self, name: str) -> None:
        """Raise SynapseError if the entry is a mount point or contains one. Changes nothing."""
        mounted = self.mounted(name)
        if mounted is not None:
            raise _is_mounted(mounted)

    def synchronise(self) -> None:
        """Wait until the names in this directory are on the disk, if its file system and permissions allow it."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL):
                raise SynapseError(f"{self.path} could not be written to the disk: {error.strerror}.") from error

    def _move(self, name: str, to: Directory, new: str) -> None:
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor)

    def _remove_unmounted(self, name: str) -> None:
        if self._remove_file(name):
            return
        with self.child(name) as top:
            self._require_same_device(top)
            names = top.names()
            while names:
                top._remove_below(names.pop(), top, names)
        self.remove_empty(name)

    def _remove_below(self, name: str, top: Directory, more: list[str], depth: int = 1) -> None:
        """Remove an entry that is `depth` levels below `top`. If it is too deep, move it to `top` and add it to `more`.

        Each open directory needs a descriptor, and a process has a limited number of them.
        """
        if self._remove_file(name):
            return
        if depth > _DEEPEST:
            # What other users could not access must stay inaccessible.
            with self._explained(name, "removed"):
                os.fchmod(top.descriptor, 0o700)
            more.append(_hidden_name())
            self.rename(name, more[-1], to=top)
            return
        with self.child(name) as inside:
            self._require_same_device(inside)
            for entry in inside.names():
                inside._remove_below(entry, top, more, depth + 1)
        self.remove_empty(name)

    def _remove_file(self, name: str) -> bool:
        """Remove an entry, unless it is a directory. Return whether it does not exist any more."""
        status = self.status(name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return False
        if status is not None:
            self.remove(name)
        return True

    def _require_same_device(self, inside: Directory) -> None:
        """Raise SynapseError for a recent mount, or for a mount that the kernel does not show."""
        if os.fstat(inside.descriptor).st_dev != os.fstat(self.descriptor).st_dev:
            raise _is_mounted(inside.path)

    def _begin(self) -> tuple[str, t.BinaryIO]:
        """Create an empty private file under a hidden name, locked so that `_sweep` does not remove it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        while True:
            temporary = _hidden_name()
            file = os.fdopen(os.open(temporary, flags, 0o600, dir_fd=self.descriptor), "wb")
            # `_sweep` of another process may run between the two calls. Then it has the lock, or has removed the name.
            if _lock(file.fileno()) and os.fstat(file.fileno()).st_nlink:
                return temporary, file
            file.close()

    def _begin_directory(self) -> tuple[str, int]:
        """Create an empty directory under a hidden name, locked as in `_begin`. Return the name and the descriptor."""
        while True:
            temporary = _hidden_name()
            os.mkdir(temporary, 0o700, dir_fd=self.descriptor)
            with contextlib.suppress(FileNotFoundError):
                descriptor = open_child(temporary, self.descriptor)
                if _lock(descriptor):
                    there = self.status(temporary)
                    if there and os.path.samestat(there, os.fstat(descriptor)):
                        return temporary, descriptor
                os.close(descriptor)

    def _fill(
        self,
        made: Directory,
        temporary: str,
        name: str,
        attributes: Attributes,
        fill: t.Callable[[Directory], None] | None,
    ) -> None:
        """Complete the directory with the name `temporary`, and rename it."""
        try:
            if fill:
                fill(made)
            attributes.give(made.descriptor)
            made.synchronise()
            if self.status(name) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._move(temporary, self, name)
            self._require_same(name, os.fstat(made.descriptor))
        except BaseException:
            # By its descriptor: the name may be something else now.
            with contextlib.suppress(OSError, SynapseError):
                made.clear()
                os.rmdir(temporary, dir_fd=self.descriptor)
            raise

    def _sweep(self) -> None:
        """Remove the leftovers of killed processes: files under hidden names that are not locked."""
        with contextlib.suppress(SynapseError):
            for name in filter(_HIDDEN.fullmatch, self.names()):
                status = self.status(name)
                if status and stat.S_ISREG(status.st_mode):
                    self._remove_unlocked(name)

    def _remove_unlocked(self, name: str) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=self.descriptor)
            finally:
                os.close(descriptor)

    def _forget(self, temporary: str, own: os.stat_result) -> None:
        """Remove a file of this process after a failure, without an error of its own."""
        with contextlib.suppress(OSError, SynapseError):
            status = self.status(temporary)
            if status and os.path.samestat(status, own):
                self.remove(temporary)

    def _require_same(self, name: str, own: os.stat_result) -> None:
        status = self.status(name)
        if status is None or not os.path.samestat(status, own):
            raise self._disturbed(name)

    def _disturbed(self, name: str) -> SynapseError:
        return SynapseError(
            f"Another process replaced {self.place(name)} at the same moment. Check who may write to {self.path}, and"
            " run the task again."
        )

    @contextlib.contextmanager
    def _explained(self, name: str | None, done: str) -> t.Iterator[None]:
        place = self.path if name is None else self.place(name)
        if name is not None and (name in ("", ".", "..") or "/" in name):
            raise SynapseError(f"{place} is not a name in {self.path}. Set the path of a file or directory in it.")
        try:
            yield
        except OSError as error:
            fix = " Run the task with become." if isinstance(error, PermissionError) and os.geteuid() else ""
            raise SynapseError(f"{place} could not be {done}: {error.strerror}.{fix}") from error


def _hidden_name() -> str:
    return HIDDEN_PREFIX + secrets.token_hex(16)


def _is_mounted(path: str) -> SynapseError:
    return SynapseError(f"{path} is a mount point and is not removed. Unmount it first.")


def _lock(descriptor: int) -> bool:
    """Return whether no other process has locked the file. Without locks, no process sweeps either."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
