# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Obstacles that prevent even root from writing: read-only file systems, and attributes that chattr(1) sets.

Relies on the attributes of ext4, XFS, Btrfs and others (FS_IOC_GETFLAGS of linux/fs.h).
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat

# The number of the call contains the size of a long, although the answer is an int.
_GET_ATTRIBUTES = 2 << 30 | array.array("l").itemsize << 16 | ord("f") << 8 | 1
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20
_WITHOUT_WAITING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def find_obstacle(descriptor: int, path: str, name: str = ".") -> str | None:
    """Return what prevents even root from changing, moving or removing an entry, and what to do; or None.

    `name`: an entry of the open directory `descriptor`, or "." for that directory itself; `path`: that of the entry.
    None also for an entry that does not exist any more.
    """
    if os.statvfs(descriptor).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only. Mount it writable first."
    found = _attributes(descriptor, name)
    for attribute, letter, what in ((_IMMUTABLE, "i", "immutable"), (_APPEND_ONLY, "a", "append-only")):
        if found & attribute:
            return f"{path} is {what}. Run chattr -{letter} on it first."
    return None


def find_obstacle_to_entries(descriptor: int, path: str) -> str | None:
    """Return what prevents this user from creating and removing entries of the open directory, and what to do; or None.

    `path`: that of the directory.
    """
    obstacle = find_obstacle(descriptor, path)
    if obstacle is None and not os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor):
        return f"the directory {path} is read-only for this user. Run the task with become."
    return obstacle


def find_obstacle_to_removal(descriptor: int, path: str, name: str) -> str | None:
    """Return what prevents this user from removing the entry `name` of the open directory with its content; or None.

    `path`: that of the entry. Checks each file, so that the entry should not contain too many. What cannot be read, was
    removed at the same time or is nested too deeply is not reported here, but by the removal itself.
    """
    obstacle = find_obstacle(descriptor, path, name)
    if obstacle is not None:
        return obstacle
    with contextlib.suppress(OSError, RecursionError):
        for place, directories, files, here in os.fwalk(name, dir_fd=descriptor):
            within = os.path.join(os.path.dirname(path), place)
            # Nothing has to be removed from an empty directory.
            ask = find_obstacle_to_entries if directories or files else find_obstacle
            found = [ask(here, within), *(find_obstacle(here, os.path.join(within, file), file) for file in files)]
            obstacle = next((each for each in found if each), None)
            if obstacle is not None:
                return obstacle
    return None


def _attributes(descriptor: int, name: str) -> int:
    """Return the attributes of an entry as bits; 0 if there are none, or if this user cannot read them."""
    try:
        mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
        # Opening a device may have an effect.
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return 0
        opened = os.open(name, _WITHOUT_WAITING, dir_fd=descriptor)
    except OSError:
        return 0
    try:
        answer = array.array("i", [0])
        fcntl.ioctl(opened, _GET_ATTRIBUTES, answer, True)
        return answer[0]
    except OSError:
        return 0
    finally:
        os.close(opened)
