# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What keeps even root from writing: file systems that are mounted read-only, and what is immutable."""

from __future__ import annotations

import os
import stat

_OWNER_WRITES = 0o200


def find_obstacle(descriptor: int, path: str, name: str = ".") -> str | None:
    """Return what is in the way even of who has the permission to write to an entry, and what to do; or None.

    `name`: an entry of the open directory `descriptor`, or "." for that directory itself; `path`: that of the entry.
    Raises OSError if it is gone.
    """
    if os.statvfs(descriptor).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only. Mount it writable first."
    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    is_allowed = os.geteuid() == 0 or (status.st_uid == os.geteuid() and status.st_mode & _OWNER_WRITES)
    if stat.S_ISLNK(status.st_mode) or not is_allowed or os.access(name, os.W_OK, dir_fd=descriptor):
        return None
    return f"the system lets nobody change {path}, perhaps because it is immutable. See lsattr -d {path}."
