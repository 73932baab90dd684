# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The way to a directory, walked name by name, so that nobody who may not decide it leads the walker elsewhere.

Relies on openat(2): what a descriptor was opened for stays what it is, whatever becomes of its name.
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
# Which groups Debian and Ubuntu themselves let write, and where, with all that is below. Who is in them is the concern
# of the system: staff could exchange programs of root there, and syslog all logs.
_GROUPS_OF_SYSTEM = {"/usr/local": "staff", "/var/local": "staff", "/var/log": "syslog"}
_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW
# A directory that may be entered but not listed. Only Linux and newer BSDs know the way.
_ENTER_ONLY = getattr(os, "O_PATH", os.O_RDONLY)


class MissingDirectory(InvalidInput):
    """A directory on the way, or the last one, does not exist."""


def walk(path: str, trusted: t.Collection[int] = (), what: str | None = None) -> int:
    """Return a descriptor of the directory `path`, which the caller closes.

    `trusted`: the numbers of users who may decide, beside root and this process's own user, what is on the way. `what`:
    how the sentence of an error begins, such as "access_token_path /root/token"; without it that is `path`.

    For root every directory, the last one included, must belong to root or to a trusted user, and nobody else may
    write it; one with the sticky bit (like /tmp) may be on the way, but not the last. The group root, and the private
    group of a trusted user, count as that user; a group that the system lets write in a place of its own is fine too.
    Anybody else is led through whatever directories there are.
    For everybody a symbolic link is followed only in a directory that belongs to root (or, without being root, to
    this user) and that nobody else may write: where it leads to is walked by the same rules.

    Raises MissingDirectory, InvalidInput if one is no directory or not to be trusted, SynapseError if one cannot be
    looked at. Nothing is changed.
    """
    walker = _Walker(frozenset(trusted) | {0}, f"{what or path} cannot be used:")
    try:
        return walker.to(os.path.join(os.getcwd(), path))
    finally:
        walker.close()


def open_child(name: str, descriptor: int) -> int:
    """Return a descriptor of the directory `name` in the one that `descriptor` stands for, never following a link.

    Raises OSError: ENOTDIR for a link, and whatever else is no directory.
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
        """Walk there from the root directory and give the descriptor away."""
        # What is still to be walked, the next name last.
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
        """Return where the link `name` leads to, if it is one that may be followed; else say why nobody gets on."""
        place = os.path.join(self._place, name)
        if isinstance(error, FileNotFoundError):
            raise MissingDirectory(
                f"{self._complaint} the directory {place} does not exist, create it first."
            ) from error
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            mend = " Run the task with become." if isinstance(error, PermissionError) else ""
            raise SynapseError(f"{self._complaint} {place} cannot be entered: {error.strerror}.{mend}") from error
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError:
            raise InvalidInput(f"{self._complaint} {place} is not a directory.") from error
        self._links += 1
        if self._links > _LINKS_AT_MOST:
            raise InvalidInput(f"{self._complaint} {place} is one of too many symbolic links.") from error
        own = {0} if self._root else {0, os.geteuid()}
        status = os.fstat(self._here)
        if status.st_uid not in own or self._writers(status):
            raise InvalidInput(
                f"{self._complaint} {place} is a symbolic link that another user could change at any moment: name the"
                " directory that it leads to."
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
                f" Run the task as {owner}, or name a place where only root may write."
            )
        writers = self._writers(status)
        if writers and (last or not status.st_mode & stat.S_ISVTX):
            raise InvalidInput(
                f"{self._complaint} {writers} may write to {self._place}, and could exchange what root writes there."
                " Take that permission away, or name a place where only root may write."
            )

    def _writers(self, status: os.stat_result) -> str | None:
        """Return who else may write a directory, in words; None if it is its owner alone."""
        if status.st_mode & stat.S_IWOTH:
            return "every user"
        if not status.st_mode & stat.S_IWGRP:
            return None
        if _has_access_list(self._here):
            return "somebody named in an access list (getfacl)"
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
    """Whether the group is the user's own, as adduser makes one of the same name for every new user."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _has_access_list(descriptor: int) -> bool:
    """Whether others than the group may have its permissions: with an access list they show as those of the group."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(os.getxattr(f"/proc/self/fd/{descriptor}", "system.posix_acl_access"))
    return False
