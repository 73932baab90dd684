# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The path of a directory, followed name by name, so that no untrusted user can redirect it to another directory.

Relies on openat(2): a descriptor stays open for the same directory, even if that directory is renamed.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import group_name, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_LINKS_AT_MOST = 40
# The groups that have write permission by default in Debian and Ubuntu, to these directories and those below them.
# The system decides who is in them: staff could replace programs of root there, and syslog all logs.
_GROUPS_OF_SYSTEM = {"/usr/local": "staff", "/var/local": "staff", "/var/log": "syslog"}
_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW
# Opens a directory with permission to enter it, but not to list it. Only Linux and newer BSDs have this flag.
_ENTER_ONLY = getattr(os, "O_PATH", os.O_RDONLY)


class MissingDirectory(InvalidInput):
    """A directory in the path does not exist."""


def walk(path: str, trusted: t.Collection[int] = (), what: str | None = None) -> int:
    """Return a descriptor of the directory `path`, which the caller closes.

    `trusted`: the IDs of the users who may write to the directories in the path, in addition to root and the user of
    this process. `what`: the beginning of an error message, such as "access_token_path /root/token"; `path` by default.

    If this process runs as root, every directory in the path must belong to root or to a trusted user, and no other
    user may have write permission. A directory with the sticky bit (such as /tmp) is allowed, but not as the last one.
    The group root and the private group of a trusted user count as that user. A group that has write permission by
    default in one of the system's directories is allowed too. For other users, directories are not checked.
    For all users, a symbolic link is followed only in a directory that belongs to root (or to this user, if it is not
    root) and to which no other user may write. The same rules apply to its target.

    Raises MissingDirectory; InvalidInput for a path that is not a directory or not trusted; SynapseError if a directory
    cannot be opened. Changes nothing.
    """
    walker = _Walker(frozenset(trusted) | {0}, f"{what or path} cannot be used:")
    try:
        return walker.to(os.path.join(os.getcwd(), path))
    finally:
        walker.close()


def open_child(name: str, descriptor: int) -> int:
    """Return a descriptor of the directory `name` in the directory `descriptor`. Never follows a link.

    Raises OSError: ENOTDIR for a link and for everything else that is not a directory.
    """
    try:
        return os.open(name, os.O_RDONLY | _NO_LINK, dir_fd=descriptor)
    except PermissionError:
        return os.open(name, _ENTER_ONLY | _NO_LINK, dir_fd=descriptor)


class _Walker:
    def __init__(self, trusted: frozenset[int], complaint: str) -> None:
        self._trusted = trusted
        self._complaint = complaint
        self._root = os.geteuid() == 0
        self._links = 0
        self._place = "/"
        self._here = os.open("/", os.O_RDONLY | _NO_LINK)

    def close(self) -> None:
        if self._here >= 0:
            os.close(self._here)
            self._here = -1

    def to(self, path: str) -> int:
        """Follow the path from the root directory and return the descriptor, which the caller closes."""
        # The remaining names, the next one at the end.
        names = _names(path)
        while names:
            self._require_trusted(last=False)
            name = names.pop()
            try:
                self._enter(name)
            except OSError as error:
                target = self._link(name, error)
                if target.startswith("/"):
                    self._enter("/")
                    self._place = "/"
                names.extend(_names(target))
        self._require_trusted(last=True)
        here, self._here = self._here, -1
        return here

    def _enter(self, name: str) -> None:
        following = open_child(name, self._here)
        os.close(self._here)
        self._here = following
        self._place = os.path.normpath(os.path.join(self._place, name))

    def _link(self, name: str, error: OSError) -> str:
        """Return the target of the link `name` if it may be followed. Otherwise raise an error with the reason."""
        place = os.path.join(self._place, name)
        if isinstance(error, FileNotFoundError):
            raise MissingDirectory(
                f"{self._complaint} the directory {place} does not exist, create it first."
            ) from error
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            fix = " Run the task with become." if isinstance(error, PermissionError) else ""
            raise SynapseError(f"{self._complaint} {place} cannot be entered: {error.strerror}.{fix}") from error
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError:
            raise InvalidInput(f"{self._complaint} {place} is not a directory: set another path.") from error
        self._links += 1
        if self._links > _LINKS_AT_MOST:
            raise InvalidInput(
                f"{self._complaint} {place} is a symbolic link, and the path has too many of them: use the path of the"
                " directory itself."
            ) from error
        own = {0} if self._root else {0, os.geteuid()}
        status = os.fstat(self._here)
        if status.st_uid not in own or self._writers(status):
            raise InvalidInput(
                f"{self._complaint} {place} is a symbolic link that another user could change at any moment: use the"
                " path of its target instead."
            ) from error
        return target

    def _require_trusted(self, *, last: bool) -> None:
        if not self._root:
            return
        status = os.fstat(self._here)
        if status.st_uid not in self._trusted:
            owner = user_name(status.st_uid)
            raise InvalidInput(
                f"{self._complaint} {self._place} belongs to {owner}, who could exchange what root writes there."
                f" Run the task as {owner}, or use a directory to which only root can write."
            )
        writers = self._writers(status)
        if writers and (last or not status.st_mode & stat.S_ISVTX):
            raise InvalidInput(
                f"{self._complaint} {writers} may write to {self._place}, and could exchange what root writes there."
                " Remove that permission, or use a directory to which only root can write."
            )

    def _writers(self, status: os.stat_result) -> str | None:
        """Return in words which other users may write to a directory, or None if only its owner may."""
        if status.st_mode & stat.S_IWOTH:
            return "every user"
        if not status.st_mode & stat.S_IWGRP:
            return None
        if _has_access_list(self._here):
            return "a user or group in an access control list (see getfacl)"
        if status.st_gid == 0 or any(_is_private_group(status.st_gid, uid) for uid in self._trusted | {os.geteuid()}):
            return None
        group = group_name(status.st_gid)
        if status.st_uid == 0 and any(
            group == own and f"{self._place}/".startswith(f"{place}/") for place, own in _GROUPS_OF_SYSTEM.items()
        ):
            return None
        return f"the group {group}"


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether it is the private group of the user, which adduser creates with the name of each new user."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _has_access_list(descriptor: int) -> bool:
    """Whether it has an access control list. The permissions in it appear as those of the group."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(os.getxattr(f"/proc/self/fd/{descriptor}", "system.posix_acl_access"))
    return False
