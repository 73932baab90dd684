# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The marker file in a directory that this collection has created, and the hidden names of temporary entries."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import HIDDEN_PREFIX, Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import open_child

MARKER = ".matrix_ops.synapse"
_BEFORE_PATH = b"The Ansible collection matrix_ops.synapse created the directory "
_AFTER_PATH = (
    b"\nWhile this file exists, the collection may change the owner and the mode of the directory, and remove the"
    b" directory with state=absent. In any other directory this file has no effect.\n"
)
# Longer than the text with the longest possible path.
_LONGEST = 8192
_BEGUN = re.compile(re.escape(HIDDEN_PREFIX) + "[0-9a-f]{32}")


def put_marker(directory: Directory, path: str) -> None:
    """Mark a directory that will be at `path`, which contains no links, as created by this collection.

    The marker file contains the path and not the inode, which changes with a restored backup and on some file systems.
    Raises SynapseError if that fails.
    """
    text = _BEFORE_PATH + os.fsencode(path) + _AFTER_PATH
    directory.replace(MARKER, text, Attributes(0o644, os.geteuid(), os.getegid()))


def is_ours(directory: Directory) -> bool:
    """Return whether this collection has created the directory, or a temporary one with a hidden name next to it.

    The marker file does not count if another user could have created it, or if the directory was moved or copied.
    """
    path = _marked_path(directory)
    if path is None or path == directory.path:
        return path is not None
    around, name = os.path.split(directory.path)
    return os.path.dirname(path) == around and name.startswith(hidden_name(path, ""))


def _marked_path(directory: Directory) -> str | None:
    """Return the path in the marker file of a directory, or None without a marker file of this collection."""
    if directory.status(MARKER) is None:
        return None
    try:
        descriptor = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory.descriptor)
    except OSError:
        return None
    try:
        # The owner and the content are read from the same open file.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            return None
        text = os.read(descriptor, _LONGEST)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if not text.startswith(_BEFORE_PATH) or not text.endswith(_AFTER_PATH):
        return None
    return os.fsdecode(text[len(_BEFORE_PATH) : -len(_AFTER_PATH)])


def hidden_name(path: str, ending: str) -> str:
    """Return the hidden name of a temporary entry next to `path`: always the same, so that the next run finds it."""
    digest = hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()[:16]
    return f"{HIDDEN_PREFIX}{digest}.{ending}"


def is_begun(parent: Directory, name: str) -> bool:
    """Return whether `name` in `parent` is a directory that a killed run did not finish to create."""
    with _held(parent, name) as begun:
        return begun is not None


def discard_begun(parent: Directory, name: str) -> None:
    """Remove such a directory, if it still is one. Raises SynapseError if another process creates a file in it."""
    with _held(parent, name) as begun:
        if begun is not None:
            for entry in begun.names():
                begun.remove(entry)
            parent.remove_empty(name)


@contextlib.contextmanager
def _held(parent: Directory, name: str) -> t.Iterator[Directory | None]:
    """Open and lock such a directory for the block; None if it is something else or does not exist any more."""
    if not _BEGUN.fullmatch(name):
        yield None
        return
    try:
        descriptor = open_child(name, parent.descriptor)
    except OSError:
        yield None
        return
    try:
        begun = Directory(parent.place(name), descriptor)
        yield begun if _is_abandoned(parent, name, begun) else None
    finally:
        os.close(descriptor)


def _is_abandoned(parent: Directory, name: str, begun: Directory) -> bool:
    try:
        fcntl.flock(begun.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # The process that had the lock before may have renamed or removed it.
    status = parent.status(name)
    if status is None or not os.path.samestat(status, os.fstat(begun.descriptor)):
        return False
    entries = begun.names()
    if not entries:
        return begun.attributes().uid == os.geteuid()
    return all(_is_of_making(begun, entry) for entry in entries)


def _is_of_making(directory: Directory, entry: str) -> bool:
    status = directory.status(entry)
    return (
        (entry == MARKER or bool(_BEGUN.fullmatch(entry)))
        and status is not None
        and stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
    )
