# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The media of a server: the directories that its configuration sets, and their files. No link in them is followed."""

from __future__ import annotations

import errno
import functools
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import group_name, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    LOST_AND_FOUND,
    MEDIA,
    UNFINISHED,
    Attributes,
    overhead,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError

_SETTINGS = ("media_store_path", "backup_media_store_path", "media_storage_providers")
# Synapse's own directories are at most seven levels deep.
_DEEPEST = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY
# Of vanished and skipped files in a result.
NAMED_AT_MOST = 1000

owner_name = functools.lru_cache(maxsize=None)(user_name)
name_of_group = functools.lru_cache(maxsize=None)(group_name)


class MediaDirectory(t.NamedTuple):
    """A directory with media, and the setting that names it."""

    path: str
    setting: str


class Size(t.NamedTuple):
    """How many files there are, and how many bytes they need at most in an archive."""

    files: int
    size: int


class Left(t.NamedTuple):
    """What an archive does not contain: files that were removed meanwhile, and those that are not ordinary files."""

    vanished: list[str]
    skipped: list[dict[str, str]]


class Found(t.NamedTuple):
    """An ordinary file of a media directory. `directory`: the open directory that it is in. `path`: from the top."""

    path: str
    name: str
    directory: int


def find_media_directories(configuration: Configuration, working_directory: str | None) -> list[MediaDirectory]:
    """Return the directories with media, the media store first. If two settings name the same one, it is there once.

    Raises ConfigurationError for a relative path without a `working_directory`.
    """
    # By their real paths: one may be a link to another.
    found: dict[str, MediaDirectory] = {}
    for used in find_used_paths(configuration, working_directory):
        if not used.written or used.setting not in _SETTINGS:
            continue
        if not os.path.isabs(used.path):
            raise ConfigurationError(
                f"The path of the media, {used.path}, is relative. Set working_directory to the directory that Synapse"
                " runs in."
            )
        found.setdefault(os.path.realpath(used.path), MediaDirectory(used.path, used.setting))
    directories = list(found.values())
    # The main process does not use the media store if a worker does (enable_media_repo).
    store = os.path.join(working_directory or "", str(configuration.settings.get("media_store_path") or "media_store"))
    if os.path.isabs(store) and os.path.isdir(store) and os.path.realpath(store) not in found:
        directories.insert(0, MediaDirectory(os.path.normpath(store), "media_store_path"))
    return directories


def is_inside(path: str, directory: str) -> bool:
    """Return whether `path` is the directory or is in it, with all links followed."""
    one, other = os.path.realpath(path), os.path.realpath(directory)
    return one == other or one.startswith(other.rstrip("/") + "/")


def measure(directories: t.Sequence[MediaDirectory], apart: t.Collection[str] = ()) -> Size:
    """Return how much media there is. A directory that does not exist yet has none. Raises SynapseError.

    `apart`: see `walk`.
    """
    files = size = 0
    for _number, found in walk_all(directories, Left([], []), apart):
        try:
            content = os.stat(found.name, dir_fd=found.directory, follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
        files += 1
        size += content + overhead(member_name(0, found.path))
    return Size(files, size)


def open_media(found: Found, left: Left, number: int) -> int | None:
    """Return a descriptor of the file, or None if it is not there any more, or not an ordinary file; see `left`.

    `number`: that of the directory. Raises SynapseError if it cannot be read.
    """
    try:
        descriptor = os.open(found.name, _READ, dir_fd=found.directory)
    except FileNotFoundError:
        left.vanished.append(f"{number}/{found.path}")
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            left.skipped.append({"path": f"{number}/{found.path}", "reason": "it is a link"})
            return None
        raise SynapseError(f"The media file {found.path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        left.skipped.append({"path": f"{number}/{found.path}", "reason": "it is not an ordinary file"})
        return None
    return descriptor


def member_name(number: int, path: str) -> str:
    """Return the name of a file in the archive. `number`: that of its directory."""
    return f"{MEDIA}{number}/{path}"


def attributes_of(descriptor: int) -> Attributes:
    """Return what the archive keeps of an open file."""
    status = os.fstat(descriptor)
    return Attributes(
        stat.S_IMODE(status.st_mode), owner_name(status.st_uid), name_of_group(status.st_gid), int(status.st_mtime)
    )


def describe(directory: MediaDirectory) -> dict[str, str]:
    """Return the directory as the manifest contains it. Without a mode if it does not exist yet."""
    found = {"path": directory.path, "setting": directory.setting}
    try:
        status = os.stat(directory.path)
    except OSError:
        return found
    return {
        **found,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": user_name(status.st_uid),
        "group": group_name(status.st_gid),
    }


def walk_all(
    directories: t.Sequence[MediaDirectory], left: Left, apart: t.Collection[str] = ()
) -> t.Iterator[tuple[int, Found]]:
    """Yield the files of all directories, each with the number of its directory, as `walk` does.

    If a directory is inside another one, its files are only in the inner one.
    """
    for number, directory in enumerate(directories):
        others = [other.path for other in directories if other != directory]
        for found in walk(directory.path, left, number, [*apart, *others]):
            yield number, found


def walk(path: str, left: Left, number: int = 0, apart: t.Collection[str] = ()) -> t.Iterator[Found]:
    """Yield the ordinary files below `path`, ordered by name. Others are added to `left`. Raises SynapseError.

    Hidden directories, such as snapshots of a file system, are nothing of Synapse, and are added to `left` too.
    LOST_AND_FOUND, which is on each new disk, is left out without that.

    `apart`: the paths of files and directories that are left out, such as the database in a directory that holds both.
    """
    # The configured path may be a link of the operator to another disk.
    real = os.path.realpath(path)
    known = frozenset([LOST_AND_FOUND, *(os.path.relpath(place, real) for each in apart for place in _places(each))])
    try:
        top = os.open(real, _DIRECTORY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SynapseError(
            f"The media in {path} cannot be read: {error.strerror}. Run the task with become."
        ) from error
    try:
        yield from _walk(top, "", _Rest(left, number, known), 0)
    except OSError as error:
        raise SynapseError(
            f"The media in {path} cannot be read: {error.strerror}. Run the task with become."
        ) from error
    finally:
        os.close(top)


class _Rest(t.NamedTuple):
    """What is not yielded: where it is listed, the number of the directory, and the paths that are not even listed."""

    left: Left
    number: int
    known: t.Collection[str]


def _places(path: str) -> tuple[str, str]:
    """Return where the file is, and where the link to it is if `path` is one."""
    return os.path.realpath(path), os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _walk(directory: int, place: str, rest: _Rest, depth: int) -> t.Iterator[Found]:
    with os.scandir(directory) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{place}{entry.name}"
        if path in rest.known or entry.name == UNFINISHED:
            continue
        if entry.is_file(follow_symlinks=False):
            yield Found(path, entry.name, directory)
        elif entry.is_dir(follow_symlinks=False) and entry.name.startswith("."):
            rest.left.skipped.append({"path": f"{rest.number}/{path}", "reason": "it is a hidden directory"})
        elif entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
            try:
                inside = os.open(entry.name, _DIRECTORY, dir_fd=directory)
            except FileNotFoundError:
                rest.left.vanished.append(f"{rest.number}/{path}")
                continue
            try:
                yield from _walk(inside, f"{path}/", rest, depth + 1)
            finally:
                os.close(inside)
        else:
            reason = "it is a link" if entry.is_symlink() else "it is not an ordinary file"
            rest.left.skipped.append({"path": f"{rest.number}/{path}", "reason": reason})
