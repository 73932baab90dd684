# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files with a declared mode, owner and group. A file is replaced in one step, so that no process reads half of it.

`trusted` everywhere: the IDs of the users who may, in addition to root, write to the directories in the path of the
file (see _directory).
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import MissingDirectory


class InstalledFile(t.NamedTuple):
    """The content of a file, and its mode, owner and group."""

    content: bytes
    attributes: Attributes


def read_attributes(path: str) -> Attributes | None:
    """Return the attributes of the file at `path`, with links followed, or None if it does not exist.

    Raises SynapseError if this user has no permission to see it.
    """
    try:
        return Attributes.of(os.stat(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SynapseError(f"{path} cannot be examined: {error.strerror}.") from error


def read_file(path: str, *, trusted: t.Collection[int] = ()) -> InstalledFile | None:
    """Return the file, or None if it or its directory does not exist.

    Raises InvalidInput if another user could replace it, SynapseError if it is not a regular file or cannot be read.
    """
    try:
        with _directory_of(path, trusted, None) as (directory, name):
            content, status = directory.read(name), directory.status(name)
    except MissingDirectory:
        return None
    if content is None or status is None:
        return None
    return InstalledFile(content, Attributes.of(status))


def require_writable(path: str, option: str, *, trusted: t.Collection[int] = ()) -> None:
    """Raise InvalidInput, with `option` in the message, if this user cannot write a file at `path`. Changes nothing."""
    what = f"{option} {path}"
    with _directory_of(path, trusted, what) as (directory, name):
        status = directory.status(name)
        if status and stat.S_ISDIR(status.st_mode):
            raise InvalidInput(f"{what} is a directory: set the path of a file in it.")
        directory.require_writable(what)


def replace_file(path: str, text: str, attributes: Attributes, *, trusted: t.Collection[int] = ()) -> None:
    """Write a file with `text` and `attributes` to `path`. Raises SynapseError if that fails.

    An existing file stays unchanged until the new one is complete, and if the function fails.
    """
    with _directory_of(path, trusted, None) as (directory, name):
        directory.replace(name, text.encode(), attributes)


def set_attributes(path: str, attributes: Attributes, *, trusted: t.Collection[int] = ()) -> None:
    """Replace the file at `path` by one with the same content and these attributes. Raises SynapseError if that fails.

    The old file itself is not changed, because it may have other names in directories of other users.
    """
    with _directory_of(path, trusted, None) as (directory, name):
        content = directory.read(name)
        if content is None:
            raise SynapseError(f"Another process removed {path} at the same moment: run the task again.")
        directory.replace(name, content, attributes)


def remove_file(path: str, *, trusted: t.Collection[int] = ()) -> None:
    """Remove the file. Raises SynapseError if that fails."""
    with _directory_of(path, trusted, None) as (directory, name):
        directory.remove(name)


@contextlib.contextmanager
def _directory_of(path: str, trusted: t.Collection[int], what: str | None) -> t.Iterator[tuple[Directory, str]]:
    parent, name = os.path.split(path.rstrip("/"))
    with open_directory(parent or ".", trusted=trusted, option=what or path) as directory:
        yield directory, name
