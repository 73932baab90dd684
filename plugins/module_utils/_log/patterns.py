# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files at paths and patterns."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_MAGIC = re.compile(r"[*?\[]")
# What it means to follow a link to nothing, or one that leads to itself.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_OF_CONFIGURATION = "log_config"


def find_files(paths: t.Sequence[str], option: str) -> dict[tuple[int, int], tuple[str, os.stat_result]]:
    """Return the regular files at `paths`, by device and inode: path and status. A file is found by its first path.

    A path may be a pattern; one that exists as it stands is not. Directories that a pattern matches do not count.
    `option`: where the paths come from, for messages. Raises InvalidInput for what does not exist or is not a file,
    SynapseError without permission.
    """
    result: dict[tuple[int, int], tuple[str, os.stat_result]] = {}
    for path in paths:
        literal = not _MAGIC.search(path) or os.path.lexists(path)
        named = [path] if literal else _matches(path)
        regular = 0
        for each in named:
            status = _status(each, option) if literal else _status_if_there(each)
            if status is None or (stat.S_ISDIR(status.st_mode) and not literal):
                continue
            _require_regular(each, status, option)
            regular += 1
            result.setdefault((status.st_dev, status.st_ino), (each, status))
        if not regular:
            raise InvalidInput(f"{option} {path} matches no file: check the pattern, or name the file itself.")
    return result


def _status(path: str, option: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise InvalidInput(f"{option} {path} is a link to {os.readlink(path)}, which does not exist.") from error
        raise InvalidInput(
            f"{option} {path} does not exist: see in Synapse's log configuration (log_config) where its log is."
        ) from error
    except PermissionError as error:
        raise SynapseError(f"No permission to look at {path}: run the task with become.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"{option} {path!r} is not the path of a file: {reason}.") from error


def _status_if_there(path: str) -> os.stat_result | None:
    """The status of what a pattern has matched; None if it is gone, or is a link that leads nowhere."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise SynapseError(f"{path} cannot be examined: {error.strerror}. Run the task with become.") from error


def _require_regular(path: str, status: os.stat_result, option: str) -> None:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe, which cannot be read twice",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return
    if option == _OF_CONFIGURATION:
        raise InvalidInput(
            f"The log configuration (log_config) writes to {path}, which is {kind}, not a log file: let it write to a"
            " file, or set path or unit to where the log is."
        )
    fix = f"write {path.rstrip('/')}/*.log* for the files in it" if kind == "a directory" else "name a file"
    raise InvalidInput(f"{option} {path} is {kind}: {fix}.")


def _matches(pattern: str) -> list[str]:
    """The paths that `pattern` matches, sorted. Unlike `glob`, it does not hide a directory that cannot be listed."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    found = ["/" if pattern.startswith("/") else ""]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if not _MAGIC.search(part):
            found = [
                path for path in (os.path.join(each, part) for each in found) if _status_if_there(path) is not None
            ]
            continue
        found = [os.path.join(each, name) for each in found for name in _names(each, part, only_directories=not last)]
    return sorted(found)


def _names(directory: str, pattern: str, *, only_directories: bool) -> list[str]:
    try:
        with os.scandir(directory or ".") as entries:
            return [
                entry.name
                for entry in entries
                if fnmatch.fnmatchcase(entry.name, pattern)
                and (pattern.startswith(".") or not entry.name.startswith("."))
                and (not only_directories or _is_directory(entry))
            ]
    except PermissionError as error:
        raise SynapseError(
            f"No permission to list the directory {directory or '.'}: run the task with become, or use a narrower"
            " pattern."
        ) from error
    except OSError as error:
        if error.errno in _NOTHING:
            return []
        raise SynapseError(f"The directory {directory or '.'} cannot be listed: {error.strerror}.") from error


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise
