# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Everything that is written goes through here: by the descriptor of a directory, never by a path.

So it stays in the directory that was checked, whatever somebody else does meanwhile to names on the way; no link is
followed, and no file that was there before is ever written into, given away or given another mode.
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

# How the names begin under which things lie until they are whole; 32 hexadecimal digits follow.
HIDDEN_PREFIX = ".matrix_ops.synapse."
# How many directories are open at the same time while a tree is removed.
_DEEPEST = 100
_HIDDEN = re.compile(re.escape(HIDDEN_PREFIX) + "[0-9a-f]{32}")
# In bytes: enough for any configuration or secret, and no reason to run out of memory.
READ_AT_MOST = 8 * 1024 * 1024


@contextlib.contextmanager
def open_directory(path: str, *, trusted: t.Collection[int] = (), option: str | None = None) -> t.Iterator[Directory]:
    """Open the directory `path` for the block, by a way on which nobody else can lead this process astray.

    `trusted`: numbers of users who may decide what is on the way, beside root. `option`: what an error begins with,
    such as "access_token_path /root/token"; without it that is `path`. See `_trusted_path.walk` for the rules.

    Raises InvalidInput if it is missing, no directory, or not to be trusted; SynapseError if it cannot be looked at.
    """
    descriptor = walk(path, trusted, option)
    try:
        yield Directory(path, descriptor)
    finally:
        os.close(descriptor)


class Directory:
    """An open directory: `path` for people, `descriptor` for the kernel. Names are those of entries, without a slash.

    Every method raises SynapseError where the kernel refuses, with its OSError as the cause; never OSError itself.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        """The caller closes `descriptor`."""
        self.path = path
        self.descriptor = descriptor

    def place(self, name: str) -> str:
        """Return the path of an entry, for people to read."""
        return os.path.join(self.path, name)

    def attributes(self) -> Attributes:
        """Return the mode, owner and group of the directory itself."""
        return Attributes.of(os.fstat(self.descriptor))

    def names(self) -> list[str]:
        """Return the names of the entries, sorted."""
        with self._explained(None, "listed"):
            # The descriptor itself may have been opened without the permission to list.
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.descriptor)
            try:
                return sorted(os.listdir(listing))
            finally:
                os.close(listing)

    def require_writable(self, option: str) -> None:
        """Raise InvalidInput, beginning with `option`, if this user could not make entries here. Changes nothing."""
        obstacle = find_obstacle_to_entries(self.descriptor, self.path)
        if obstacle is not None:
            raise InvalidInput(f"{option} cannot be written: {obstacle.rstrip('.')}, or name another place.")

    def status(self, name: str) -> os.stat_result | None:
        """Return what the kernel says of an entry, of a link itself; None if there is no entry."""
        with self._explained(name, "looked at"):
            try:
                return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def read(self, name: str, limit: int = READ_AT_MOST) -> bytes | None:
        """Return the content of a file of at most `limit` bytes, or None if there is no entry.

        Raises SynapseError for a link, for whatever else is no ordinary file, and for a longer one.
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
                        f"{self.place(name)} is a symbolic link, which is not followed: name the file that it leads to."
                    ) from error
                raise
            try:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    what = "a directory: name a file in it" if stat.S_ISDIR(mode) else "no file: name another place"
                    raise SynapseError(f"{self.place(name)} is {what}.")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    content = file.read(limit + 1)
            finally:
                os.close(descriptor)
        if len(content) > limit:
            raise SynapseError(f"{self.place(name)} is larger than {limit} bytes: it cannot be the right file.")
        return content

    def replace(self, name: str, content: bytes, attributes: Attributes) -> None:
        """Put a new file in the place of `name`, whole and with its attributes from the first moment.

        What was there before stays until then, and if it fails; a link is replaced, not followed. What a killed process
        had begun to write in this directory is removed.
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
        """Make a directory that has its content and attributes from the first moment that anybody sees its name.

        `fill` puts the content into it. Raises SynapseError if the name is taken, and whatever `fill` raises; then
        nothing is left of it. What a killed process leaves is a directory whose name begins with HIDDEN_PREFIX.
        """
        with self._explained(name, "made"):
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
        """Open the directory `name` in this one for the block, if it is one and no link.

        Whose it is, is not judged: see its `attributes`.
        """
        with self._explained(name, "opened as a directory"):
            descriptor = open_child(name, self.descriptor)
        try:
            yield Directory(self.place(name), descriptor)
        finally:
            os.close(descriptor)

    def rename(self, name: str, new: str, to: Directory | None = None) -> None:
        """Give an entry another name, here or in `to`. A file, or an empty directory, that has it is replaced by alike.

        Nothing else about it changes. Both directories must be on the same file system.
        """
        target = to or self
        with target._explained(new, "put in its place"):
            self._move(name, target, new)
            target.synchronise()

    def remove(self, name: str) -> None:
        """Remove a file or a link, never what it leads to. Raises SynapseError for a directory, or for nothing."""
        with self._explained(name, "removed"):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_empty(self, name: str) -> None:
        """Remove a directory that has nothing in it. Raises SynapseError for anything else."""
        with self._explained(name, "removed"):
            os.rmdir(name, dir_fd=self.descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove whatever `name` is, a directory with everything in it; no link is followed. Not being there is fine.

        Raises SynapseError for what cannot be removed; and before anything is removed, if something is mounted there or
        anywhere in it, were it of the same file system.
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
        """Return the path of a mount point that the entry is or holds, or None. Bind mounts are some too.

        None where the kernel does not tell.
        """
        with self._explained(name, "looked at"):
            path = real_path(self.descriptor)
            return None if path is None else mounted_in(os.path.join(path, name), mount_points())

    def require_unmounted(self, name: str) -> None:
        """Raise SynapseError if the entry is a mount point or holds one. Changes nothing."""
        mounted = self.mounted(name)
        if mounted is not None:
            raise _is_mounted(mounted)

    def synchronise(self) -> None:
        """Wait until the names in this directory are on the disk, where its file system and permissions allow it."""
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
        """Remove an entry that is `depth` below `top`; what is too deep is moved up there, and its name put in `more`.

        Each open directory takes a descriptor, of which a process has a limited number.
        """
        if self._remove_file(name):
            return
        if depth > _DEEPEST:
            # What nobody could reach below stays out of reach.
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
        """Remove an entry, unless it is a directory. Return whether it is gone."""
        status = self.status(name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return False
        if status is not None:
            self.remove(name)
        return True

    def _require_same_device(self, inside: Directory) -> None:
        """Against what was mounted a moment ago, or where the kernel does not tell."""
        if os.fstat(inside.descriptor).st_dev != os.fstat(self.descriptor).st_dev:
            raise _is_mounted(inside.path)

    def _begin(self) -> tuple[str, t.BinaryIO]:
        """Make an empty file for this user alone, under a hidden name, locked against being swept away."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        while True:
            temporary = _hidden_name()
            file = os.fdopen(os.open(temporary, flags, 0o600, dir_fd=self.descriptor), "wb")
            # Whoever sweeps may have come between the two calls: then it has the lock, or had it and the name is gone.
            if _lock(file.fileno()) and os.fstat(file.fileno()).st_nlink:
                return temporary, file
            file.close()

    def _begin_directory(self) -> tuple[str, int]:
        """Make an empty directory under a hidden name, locked as `_begin` does it; return that and its descriptor."""
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
        """Complete the directory that was begun under the name `temporary`, and give it its own."""
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
            # By its descriptor: under the name there may be something else by now.
            with contextlib.suppress(OSError, SynapseError):
                made.clear()
                os.rmdir(temporary, dir_fd=self.descriptor)
            raise

    def _sweep(self) -> None:
        """Remove what killed processes left: files under hidden names that nobody holds locked."""
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
        """Remove a file of this process after a failure, which is what shall be told."""
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
            f"Somebody else put something in the place of {self.place(name)} at the same moment: see who may write to"
            f" {self.path}, then run the task again."
        )

    @contextlib.contextmanager
    def _explained(self, name: str | None, done: str) -> t.Iterator[None]:
        place = self.path if name is None else self.place(name)
        if name is not None and (name in ("", ".", "..") or "/" in name):
            raise SynapseError(f"{place} is not a name in {self.path}: name a file or directory in it.")
        try:
            yield
        except OSError as error:
            mend = " Run the task with become." if isinstance(error, PermissionError) and os.geteuid() else ""
            raise SynapseError(f"{place} could not be {done}: {error.strerror}.{mend}") from error


def _hidden_name() -> str:
    return HIDDEN_PREFIX + secrets.token_hex(16)


def _is_mounted(path: str) -> SynapseError:
    return SynapseError(f"{path} is a mount point and is not removed: unmount it first.")


def _lock(descriptor: int) -> bool:
    """Whether nobody else has locked the file. Where there are no locks, nobody sweeps either."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
