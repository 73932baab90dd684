# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON which limits of open files are below a minimum, without what this role has written.

read_limits.py MINIMUM DROP_IN LIMITS_FILE USER UNIT EXAMPLE [UNIT EXAMPLE ...]

DROP_IN is the name of the drop-ins and LIMITS_FILE the path of the file that this role writes. An EXAMPLE is an
instance of a template unit, or the unit itself. Prints `raise`, the units whose hard limit is lower; `keep`, the other
units; `soft` and `hard`, the limits to write for sessions of USER, or null if the files of others give enough; and
`ceiling`, the highest limit that the first process of this system can give to others.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import json
import os
import pwd
import re
import subprocess
import sys

UNLIMITED = 2**64 - 1


def number(text: str) -> int:
    """Return a limit as a number. Text that is not a limit counts as none at all."""
    if text in ("infinity", "unlimited", "-1"):
        return UNLIMITED
    return int(text) if text.isdigit() else 0


def properties(*arguments: str) -> dict[str, str]:
    """Return what systemctl show prints."""
    shown = subprocess.run(["systemctl", "show", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def read(path: str) -> str:
    """Return the text of a file, or nothing if it cannot be read: a unit may be gone, or a limits file a directory."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def hard_limit(example: str, drop_in: str) -> int:
    """Return the hard limit of a unit as it would be without our drop-in."""
    shown = properties(example, "--property=LimitNOFILE,FragmentPath,DropInPaths")
    drop_ins = shown.get("DropInPaths", "").split()
    if all(os.path.basename(path) != drop_in for path in drop_ins):
        return number(shown.get("LimitNOFILE", ""))
    others = [shown.get("FragmentPath", ""), *(path for path in drop_ins if os.path.basename(path) != drop_in)]
    found = [limit for path in others for limit in re.findall(r"(?m)^\s*LimitNOFILE\s*=\s*(\S*)\s*$", read(path))]
    if found and found[-1]:
        return number(found[-1].rpartition(":")[2])
    return number(properties("--property=DefaultLimitNOFILE").get("DefaultLimitNOFILE", ""))


def session_limits(user: str, limits_file: str) -> tuple[int, int]:
    """Return the soft and hard limit that pam_limits gives to a user by the files of others, 0 where there is none.

    A line for the user counts more than one for a group, and that more than one for everybody: see limits.conf(5).
    """
    groups: set[str] = set()
    # The account need not exist yet.
    with contextlib.suppress(KeyError):
        groups = {grp.getgrgid(group).gr_name for group in os.getgrouplist(user, pwd.getpwnam(user).pw_gid)}
    ranks = {user: 3, **{f"@{group}": 2 for group in groups}, "*": 1}
    limits = {"soft": (0, 0), "hard": (0, 0)}
    for path in ["/etc/security/limits.conf", *sorted(glob.glob("/etc/security/limits.d/*.conf"))]:
        if path == limits_file:
            continue
        for line in read(path).splitlines():
            domain, kind, item, value = [*line.partition("#")[0].split(), *[""] * 4][:4]
            rank = ranks.get(domain, 0)
            for which in ("soft", "hard"):
                if item == "nofile" and rank and rank >= limits[which][0] and kind in (which, "-"):
                    limits[which] = (rank, number(value))
    return limits["soft"][1], limits["hard"][1]


def main() -> None:
    """Print the answer."""
    minimum, drop_in, limits_file, user = int(sys.argv[1]), *sys.argv[2:5]
    units = dict(zip(sys.argv[5::2], sys.argv[6::2]))
    low = [unit for unit, example in units.items() if hard_limit(example, drop_in) < minimum]
    given = re.search(r"Max open files +\S+ +(\S+)", read("/proc/1/limits"))
    ceiling = number(given.group(1)) if given else UNLIMITED
    soft, hard = session_limits(user, limits_file)
    enough = min(soft, hard) >= minimum
    answer = {
        "raise": low,
        "keep": [unit for unit in units if unit not in low],
        "soft": None if enough else max(minimum, soft),
        "hard": None if enough else max(minimum, soft, hard, ceiling),
        "ceiling": ceiling,
    }
    print(json.dumps({key: "unlimited" if value == UNLIMITED else value for key, value in answer.items()}))


if __name__ == "__main__":
    main()
