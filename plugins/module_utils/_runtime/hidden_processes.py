# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the kernel hides the processes of other users from this user.

Relies on the mount option hidepid of /proc (proc(5), Linux), as /proc/self/mounts shows it.
"""

from __future__ import annotations

import os
import re

# Since Linux 5.8 the kernel writes names instead of numbers.
_HIDING = frozenset({"1", "2", "4", "noaccess", "invisible", "ptraceable"})
_WITHOUT_GROUP = frozenset({"4", "ptraceable"})


def hiding_option(proc: str = "/proc") -> str | None:
    """Return the option, such as `hidepid=2`, by which `proc` hides the processes of other users, or None.

    None also for root, and for the members of the group that may see all processes.
    """
    if os.geteuid() == 0:
        return None
    try:
        with open(os.path.join(proc, "self", "mounts"), encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split(" ") for line in file]
    except OSError:
        return None
    # A later mount is above an earlier one at the same place.
    options = next((each[3] for each in reversed(mounts) if len(each) > 3 and _plain(each[1]) == proc), "")
    values = dict(option.partition("=")[::2] for option in options.split(","))
    hiding = values.get("hidepid", "")
    # Without the option gid the group is that of root.
    allowed = values.get("gid", "0") in map(str, (os.getegid(), *os.getgroups()))
    return f"hidepid={hiding}" if hiding in _HIDING and (hiding in _WITHOUT_GROUP or not allowed) else None


def _plain(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)
