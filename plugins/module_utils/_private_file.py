# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files with a secret: never readable by other users, never incomplete, never where other users could replace them."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    read_file,
    replace_file,
    set_attributes,
)

# Only the owner has access.
PRIVATE_MODE = "0600"


class PrivateFile(t.NamedTuple):
    """The text of a file without surrounding white space, and its permissions as four octal digits."""

    text: str
    mode: str


def read_private(path: str) -> PrivateFile | None:
    """Return the file, or None if it does not exist.

    Raises InvalidInput if other users could replace it, SynapseError if it cannot be read.
    """
    file = read_file(path)
    if file is None:
        return None
    try:
        return PrivateFile(file.content.decode().strip(), file.attributes.shown()["mode"])
    except UnicodeDecodeError as error:
        raise SynapseError(f"{path} cannot be read: it is not text.") from error


def make_private(path: str) -> None:
    """Set the mode of the file to 0600. If root does so, its owner does not change. Raises SynapseError if it fails."""
    file = read_file(path)
    if file is None:
        raise SynapseError(f"{path} was removed by another process during the task. Run the task again.")
    root = os.geteuid() == 0
    set_attributes(path, _private(file.attributes.uid, file.attributes.gid) if root else _own())


def write_private(path: str, text: str) -> None:
    """Write `text` and a newline into the file with mode 0600, atomically. Raises SynapseError if it fails."""
    replace_file(path, text + "\n", _own())


def _own() -> Attributes:
    return _private(os.geteuid(), os.getegid())


def _private(uid: int, gid: int) -> Attributes:
    return Attributes(int(PRIVATE_MODE, 8), uid, gid)
