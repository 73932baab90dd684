# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What root does as another user for a moment: so files get that user, and PostgreSQL lets that user in.

PostgreSQL's peer authentication and the kernel's checks of files use the effective user of a process (credentials(7)).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import typing as t


@contextlib.contextmanager
def acting_as(uid: int | None) -> t.Iterator[None]:
    """Let this process have the effective user `uid` and the groups of that user, for the block.

    Only root does that; for any other user, and for None or root itself, nothing changes. All threads of the process
    are affected. Programs that are started in the block have root as their real user: start them with `user=`.
    """
    if os.geteuid() != 0 or not uid:
        yield
        return
    group, groups = groups_of(uid)
    own_group, own_groups = os.getegid(), os.getgroups()
    # Without it, libpq looks for its files in the home directory of the effective user, and not in one of root.
    home = os.environ.pop("HOME", None)
    os.setgroups(groups)
    os.setegid(group)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_group)
        os.setgroups(own_groups)
        if home is not None:
            os.environ["HOME"] = home


def groups_of(uid: int) -> tuple[int, list[int]]:
    """Return the first group and all groups of a user. One without a name has the group of its number."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return uid, [uid]
    return user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)


def started_as(uid: int | None) -> dict[str, t.Any]:
    """Return the options of subprocess.Popen that start a program as this user, if this process is root."""
    if os.geteuid() != 0 or not uid:
        return {}
    group, groups = groups_of(uid)
    return {"user": uid, "group": group, "extra_groups": groups}
