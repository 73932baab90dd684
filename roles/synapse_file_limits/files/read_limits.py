# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON which limits of open files are below a minimum, without what this role has written.

read_limits.py MINIMUM DROP_IN LIMITS_FILE USER UNIT EXAMPLE [UNIT EXAMPLE ...]

DROP_IN is the name of the drop-ins and LIMITS_FILE the path of the file that this role writes. An EXAMPLE is an
instance of a template unit, or the unit itself. Prints `raise`, the units whose hard limit is lower, with the limit to
set; `keep`, the other units; `soft` and `hard`, the limits to write for sessions of USER, or null if the files of
others give enough; and `ceiling`, the highest limit that the first process of this system can give to others. If this
cannot be read, prints one sentence to standard error and ends with status 1.
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
# The highest limit that can be declared: systemd raises fs.nr_open to it.
HIGHEST = 1073741816
# Where systemd looks for the drop-ins of a unit, the directory with the highest priority first.
DIRECTORIES = tuple(f"{place}/systemd/system" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))


def number(text: str, unlimited: tuple[str, ...] = ("infinity",)) -> int | None:
    """Return a limit as a number, or None for text that is not a limit, which systemd ignores."""
    if text in unlimited:
        return UNLIMITED
    # Python refuses to read thousands of digits.
    if not re.fullmatch(r"[+]?(0[xX][0-9a-fA-F]{1,40}|0|[1-9][0-9]{0,40})", text):
        return None
    limit = int(text, 0)
    return limit if limit < UNLIMITED else None


def session_number(text: str) -> int | None:
    """Return a limit as /proc and the files of pam_limits write it, or None for text that is not a limit."""
    return number(text, ("infinity", "unlimited", "-1"))


def earlier(limits: list[int]) -> list[int]:
    """Return the limits that this role can have set. A version without this check has written higher ones, too."""
    return [limit for limit in limits if limit <= HIGHEST or limit == UNLIMITED]


def printed(limit: int, unlimited: str = "infinity") -> int | str:
    """Return a limit as it is written."""
    return unlimited if limit == UNLIMITED else limit


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


def set_limits(paths: list[str]) -> list[int]:
    """Return the hard limits that these files of a unit set, in their order. systemd ignores what is not a limit."""
    found = []
    for path in paths:
        for line in re.sub(r"\\\n", " ", read(path)).splitlines():
            name, _separator, value = line.partition("=")
            limits = [number(part.strip()) for part in value.strip().split(":", 1)]
            soft, hard = limits[0], limits[-1]
            if name.strip() == "LimitNOFILE" and soft is not None and hard is not None and soft <= hard:
                found.append(hard)
    return found


def drop_ins_of(unit: str, loaded: list[str], drop_in: str) -> list[str]:
    """Return the drop-ins of a unit but ours, in the order in which systemd reads them.

    `loaded` are those that systemd has read already. The instance of a template has those of the template too.
    """
    names = {unit, re.sub(r"@[^@]*(?=\.service$)", "@", unit)}
    # Of two files with the same name, systemd reads the one in the directory that comes first here.
    found = {os.path.basename(path): path for path in reversed(loaded)}
    for directory in DIRECTORIES:
        for name in sorted(names, key=len, reverse=True):
            for path in sorted(glob.glob(f"{directory}/{glob.escape(name)}.d/*.conf")):
                found.setdefault(os.path.basename(path), path)
    return [found[name] for name in sorted(found) if name != drop_in]


def hard_limit(example: str, drop_in: str) -> int:
    """Return the hard limit of a unit as it would be without our drop-in."""
    shown = properties(example, "--property=LimitNOFILE,FragmentPath,DropInPaths,NeedDaemonReload")
    loaded = shown.get("DropInPaths", "").split()
    drop_ins = drop_ins_of(example, loaded, drop_in)
    if shown.get("FragmentPath") and shown.get("NeedDaemonReload") == "no" and sorted(drop_ins) == sorted(loaded):
        # Nothing of ours, and nothing that systemd has not read. Of a unit that does not exist, it shows its own limit.
        return number(shown.get("LimitNOFILE", "")) or 0
    found = set_limits([shown.get("FragmentPath", ""), *drop_ins])
    default = properties("--property=DefaultLimitNOFILE").get("DefaultLimitNOFILE", "")
    return found[-1] if found else number(default) or 0


def limit_to_set(unit: str, example: str, minimum: int, drop_in: str) -> int | None:
    """Return the limit that our drop-in must set so that no process gets less, or None if the unit needs none."""
    # What an earlier run has set stays, too.
    ours = max([minimum, *earlier(set_limits([f"/etc/systemd/system/{unit}.d/{drop_in}"]))])
    if hard_limit(example, drop_in) >= ours:
        return None
    # Our drop-in of a template is read after the drop-ins of its instances, which others may have given more.
    pattern = glob.escape(unit).replace("@.service", "@?*.service")
    instances = {
        re.sub(r"\.d$", "", os.path.basename(path))
        for directory in DIRECTORIES
        for path in (*glob.glob(f"{directory}/{pattern}"), *glob.glob(f"{directory}/{pattern}.d"))
        if "@.service" in unit
    }
    return max([ours, *(hard_limit(instance, drop_in) for instance in sorted(instances))])


def session_limits(user: str, limits_file: str) -> tuple[int, int]:
    """Return the soft and hard limit that pam_limits gives to a user by the files of others, 0 where there is none.

    A line for the user counts more than one for a group, and that more than one for everybody: see limits.conf(5).
    """
    uid, groups = -1, {}
    # The account need not exist yet.
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(user).pw_uid
        groups = {grp.getgrgid(group).gr_name: group for group in os.getgrouplist(user, pwd.getpwnam(user).pw_gid)}

    def rank_of(domain: str) -> int:
        if domain == user or (":" in domain and not domain.startswith("@") and within(domain, [uid])):
            return 3
        if domain.startswith("@") and (domain[1:] in groups or within(domain[1:], list(groups.values()))):
            return 2
        return int(domain == "*")

    limits = {"soft": (0, 0), "hard": (0, 0)}
    for path in ["/etc/security/limits.conf", *sorted(glob.glob("/etc/security/limits.d/*.conf"))]:
        if path == limits_file:
            continue
        for line in read(path).splitlines():
            domain, kind, item, value = [*line.partition("#")[0].split(), *[""] * 4][:4]
            rank = rank_of(domain)
            for which in ("soft", "hard"):
                if item == "nofile" and rank and rank >= limits[which][0] and kind in (which, "-"):
                    limits[which] = (rank, session_number(value) or 0)
    return limits["soft"][1], limits["hard"][1]


def within(numbers: str, wanted: list[int]) -> bool:
    """Return whether a range has one of the numbers: 1000:2000, :1000 (only this one) or 1000: (and all above)."""
    first, separator, last = numbers.partition(":")
    if not separator or not (first or last) or not (first + last).isdigit():
        return False
    low, high = int(first or last), int(last) if last else UNLIMITED
    return any(low <= each <= high for each in wanted)


def main() -> None:
    """Print the answer."""
    minimum, drop_in, limits_file, user = int(sys.argv[1]), *sys.argv[2:5]
    units = dict(zip(sys.argv[5::2], sys.argv[6::2]))
    limits = {unit: limit_to_set(unit, example, minimum, drop_in) for unit, example in units.items()}
    low = {unit: printed(limit) for unit, limit in limits.items() if limit is not None}
    given = re.search(r"Max open files +\S+ +(\S+)", read("/proc/1/limits"))
    ceiling = (given and session_number(given.group(1))) or UNLIMITED
    soft, hard = session_limits(user, limits_file)
    enough = min(soft, hard) >= minimum
    # What an earlier run has set stays, too.
    ours = re.findall(r"(?m)^\S+ (?:soft|hard) nofile (\S+)$", read(limits_file))
    minimum = max([minimum, *earlier([session_number(limit) or 0 for limit in ours[:1]])])
    answer = {
        "raise": low,
        "keep": [unit for unit in units if unit not in low],
        "soft": None if enough else printed(max(minimum, soft), "unlimited"),
        "hard": None if enough else printed(max(minimum, soft, hard, ceiling), "unlimited"),
        "ceiling": printed(ceiling, "unlimited"),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.exit(f"The limits of open files that others have set cannot be read: {error}")
