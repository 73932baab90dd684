# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The paths that belong to the system or to a person, and that this collection never uses for a server."""

from __future__ import annotations

import functools
import os
import pwd
import typing as t

# Only these directories themselves: a directory below them may belong to a server. Relative to the root directory.
_NAMES = """
    cdrom etc home lost+found media mnt opt root run snap srv tmp var
    etc/alternatives etc/apparmor.d etc/apt etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d
    etc/apt/trusted.gpg.d etc/bash_completion.d
    etc/cron.d etc/cron.daily etc/cron.hourly etc/cron.monthly etc/cron.weekly
    etc/dbus-1 etc/default etc/dpkg etc/init.d etc/kernel etc/ld.so.conf.d etc/logrotate.d etc/modprobe.d
    etc/modules-load.d etc/network etc/pam.d etc/pki etc/profile.d etc/security etc/skel etc/ssh etc/ssl etc/ssl/certs
    etc/rc0.d etc/rc1.d etc/rc2.d etc/rc3.d etc/rc4.d etc/rc5.d etc/rc6.d etc/rcS.d
    etc/ssl/private etc/sudoers.d etc/sysctl.d etc/systemd etc/systemd/network etc/systemd/system etc/systemd/user
    etc/terminfo etc/tmpfiles.d etc/udev etc/udev/rules.d etc/update-motd.d etc/xdg etc/X11
    run/lock run/log run/shm run/systemd run/udev run/user
    usr/local/bin usr/local/etc usr/local/games usr/local/include usr/local/lib usr/local/man usr/local/sbin
    usr/local/share usr/local/src
    var/backups var/cache var/cache/apt var/crash var/db var/empty var/lib var/lib/apt var/lib/dpkg var/lib/dpkg/info
    var/lib/systemd var/local var/lock var/log var/log/journal var/mail var/opt var/run var/spool var/spool/cron
    var/spool/mail var/tmp var/www var/www/html
"""
_EXACT = frozenset({"/", *(f"/{name}" for name in _NAMES.split())})
# With everything below them.
_TREES = ("/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr")
# Directories of the system too, but root may put any files there.
_FOR_FILES = frozenset({"/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var/backups", "/var/opt", "/var/tmp"})
_OF_PEOPLE = 1000


class Account(t.NamedTuple):
    """An account of the host. `homes`: the paths of its home directory, with and without symbolic links."""

    name: str
    uid: int
    homes: frozenset[str]


def read_accounts() -> list[Account]:
    """Return the accounts that the host lists."""
    return [Account(entry.pw_name, entry.pw_uid, names_of(entry.pw_dir)) for entry in pwd.getpwall()]


def names_of(home: str) -> frozenset[str]:
    """Return the paths of a home directory: as it is set, and with links followed. Empty for a relative path."""
    return frozenset({os.path.normpath(home), os.path.realpath(home)} if home.startswith("/") else ())


def belongs_to(path: str) -> str | None:
    """Return the directory of the system that contains `path` or is `path`, or None.

    `path`: absolute and normalized. The file system is not read.
    """
    if path in _EXACT:
        return path
    if path.startswith("/usr/local/"):
        return None
    return next((tree for tree in _TREES if path == tree or path.startswith(f"{tree}/")), None)


def whose(path: str, owner: str | None, accounts: t.Iterable[Account]) -> str | None:
    """Return in words what `path` is if it belongs to the system or to a person; None if a server may use it.

    `path`: absolute, with all links in it already followed. `owner`: the declared owner of the directory, whose home it
    may be; None for the user of this process. Other names of the same directory, such as a bind mount, are checked too.
    `accounts`: the accounts of the host.
    """
    own = os.geteuid()
    for name in _names(path):
        system = belongs_to(name)
        if system:
            return f"{system}, a directory of the system" if system != path else "a directory of the system"
        if os.path.dirname(name) == "/home":
            return "the home directory of a person"
        for account in accounts:
            mine = account.name == owner or (owner is None and account.uid == own < _OF_PEOPLE)
            if name in account.homes and (account.uid == 0 or not mine):
                return f"the home directory of {account.name}"
    return None


def keeps_files_out(path: str) -> str | None:
    """Return in words what `path` is if only the system puts files into this directory; otherwise None.

    `path`: absolute, with all links in it already followed. Other names of the same directory count too.
    """
    for name in _names(path):
        system = belongs_to(name)
        if system and name not in _FOR_FILES:
            return f"{system}, a directory of the system" if system != path else "a directory of the system"
    return None


def _names(path: str) -> t.Iterator[str]:
    """Yield `path` and its other names, if a directory in the path is the same as one of the system."""
    yield path
    system = _identities()
    above = path
    while above != "/":
        identity = _identity(above)
        for other in system.get(identity, ()) if identity else ():
            # Without names through links such as /bin, which are already followed.
            if other != above and not os.path.islink(other):
                yield os.path.normpath(other + path[len(above) :])
        above = os.path.dirname(above)


@functools.lru_cache(maxsize=1)
def _identities() -> dict[tuple[int, int], list[str]]:
    # Cached, because this needs more than a hundred calls, and the directories of the system do not change.
    found: dict[tuple[int, int], list[str]] = {}
    for name in (*_TREES, *sorted(_EXACT)):
        identity = _identity(name)
        if identity:
            found.setdefault(identity, []).append(name)
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
