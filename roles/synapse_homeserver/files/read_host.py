# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON what is already on a host that gets a homeserver.

The question is one argument, as JSON: `user` and `group` of Synapse; `config_path`, its first configuration file;
`config_directories`, those with its configuration; `database_file`, the SQLite database; `unix_socket`, where Synapse
will listen, or nothing; `virtualenv_python`, name or path of a Python; and `packages`, names of Debian packages.

Prints `server_name`, the name in the configuration; `has_config` and `has_database_file`; `python_version`, such as
3.11; `missing_packages`, those that are not installed, or null where dpkg-query does not exist; `has_user`,
`has_group` and `account_comment`; `has_other_at_socket`, whether something that is not a socket is where Synapse will
listen; and `unsafe`, the paths on the way to the directories that other users than root can replace. Where there is no
such thing, text is empty. If this cannot be read, prints one sentence to standard error and ends with status 1.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys

# In seconds, for each process.
TIME_LIMIT = 30
# As many as Linux follows on one way.
MOST_LINKS = 40


def status_of(path: str) -> os.stat_result:
    """Return the status of a path itself, which may be a link; raises `OSError`."""
    return os.lstat(path)


def exists(path: str) -> bool:
    """Return whether there is something at a path; raises `OSError` if nobody can tell."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_other_than_socket(path: str) -> bool:
    """Return whether there is something at a path that is not a socket; raises `OSError` if nobody can tell."""
    return exists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode)


def content(path: str) -> bytes:
    """Return what is in a file, or nothing if it does not exist; raises `OSError` if it cannot be read."""
    if not exists(path):
        return b""
    # To open a pipe would wait for somebody who writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a file")
        return file.read()


def server_name(configuration: bytes) -> str:
    """Return the name of the server in a configuration, or nothing."""
    # The name is ASCII; the rest of the file may be anything.
    line = r"(?m)^server_name:[^A-Za-z0-9.\[\n]*([A-Za-z0-9.:\[\]-]+)"
    found = re.search(line, configuration.decode("latin-1"))
    return found.group(1) if found else ""


def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Return how a command ended and what it printed; raises `OSError` or `subprocess.TimeoutExpired`."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=TIME_LIMIT, check=False
    )


def python_version(python: str) -> str:
    """Return the version of a Python, such as 3.11, or nothing if it cannot be run."""
    try:
        ended = run([python, "-c", 'import sys; print("%d.%d" % sys.version_info[:2])'])
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.fullmatch(rb"([0-9]+[.][0-9]+)\n", ended.stdout)
    return found.group(1).decode() if found and not ended.returncode else ""


def missing_packages(packages: list[str]) -> list[str] | None:
    """Return the Debian packages that are not installed, or None on a system that has no such packages.

    Raises `OSError` if dpkg-query fails.
    """
    if not shutil.which("dpkg-query"):
        return None
    # Without names, it would show all packages.
    if not packages:
        return []
    ended = run(["dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Status}\\n", "--", *packages])
    # Status 1 means that it knows nothing of some package.
    if ended.returncode not in (0, 1):
        raise OSError(f"dpkg-query ended with status {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    installed = re.findall(r"(?m)^([^: ]+)\S* installed$", ended.stdout.decode(errors="replace"))
    return [package for package in packages if package not in installed]


def printable(text: str) -> str:
    """Return text of the system as text that can be printed whatever bytes are in it."""
    return os.fsencode(text).decode(errors="replace")


def account_comment(user: str) -> str | None:
    """Return the comment of an account, or None if there is no such account."""
    try:
        comment = pwd.getpwnam(user).pw_gecos
    except KeyError:
        return None
    return printable(comment)


def has_group(group: str) -> bool:
    """Return whether there is such a group."""
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def is_of_root_alone(status: os.stat_result) -> bool:
    """Return whether only root can replace this link, or replace what is in this directory."""
    if status.st_uid != 0 or stat.S_ISLNK(status.st_mode):
        return status.st_uid == 0
    others = stat.S_IWOTH if status.st_gid == 0 else stat.S_IWOTH | stat.S_IWGRP
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX or not status.st_mode & others)


def unsafe_on_the_way(path: str) -> list[str]:
    """Return which links and directories on the way to a path, with its end, others than root can replace.

    One that cannot be looked at counts as such, and one that does not exist yet does not.
    """
    found: list[str] = []
    links = 0
    # The names that are still to come, the next one last, and the directory that they are in, which contains no link.
    rest, here = ["/", *path.split("/")][::-1], ""
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, name)
        try:
            status = status_of(there)
            target = os.readlink(there) if stat.S_ISLNK(status.st_mode) else ""
        except FileNotFoundError:
            break
        except OSError:
            found.append(there)
            break
        links += bool(target)
        if not is_of_root_alone(status) or links > MOST_LINKS:
            found.append(there)
        if links > MOST_LINKS or not (target or stat.S_ISDIR(status.st_mode)):
            break
        if target:
            here = "/" if target.startswith("/") else here
            rest += target.split("/")[::-1]
        else:
            here = there
    return [printable(there) for there in found]


def main() -> None:
    """Print the answer."""
    question = json.loads(sys.argv[1])
    comment = account_comment(question["user"])
    ways = [unsafe_on_the_way(path) for path in question["config_directories"]]
    answer = {
        "server_name": server_name(content(question["config_path"])),
        "has_config": exists(question["config_path"]),
        "has_database_file": exists(question["database_file"]),
        "has_other_at_socket": bool(question["unix_socket"]) and is_other_than_socket(question["unix_socket"]),
        "python_version": python_version(question["virtualenv_python"]),
        "missing_packages": missing_packages(question["packages"]),
        "has_user": comment is not None,
        "has_group": has_group(question["group"]),
        "account_comment": comment or "",
        "unsafe": list(dict.fromkeys(path for way in ways for path in way)),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, subprocess.SubprocessError) as error:
        sys.exit(f"What is on this host cannot be read: {' '.join(str(error).split())}")
