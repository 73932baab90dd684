# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files that hold a secret: never readable by others, never half-written."""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    Attributes,
    read_attributes,
    replace_file,
    set_attributes,
)

# What only the owner can use.
PRIVATE_MODE = "0600"


def require_writable(path: str, option: str) -> None:
    """Raise InvalidInput, naming `option`, if a file could not be written at `path`. Changes nothing."""
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise InvalidInput(f"{option} {path} is a directory: name the file in it.")
    if not os.path.isdir(directory):
        raise InvalidInput(
            f"{option} {path} cannot be written: the directory {directory} does not exist, create it first."
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"{option} {path} cannot be written: the directory {directory} is read-only for this user."
            " Name another place."
        )


def read_private(path: str) -> str | None:
    """Return the text of the file without white space around it, or None if it does not exist.

    Raises SynapseError if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SynapseError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error


def file_mode(path: str) -> str:
    """Return the permissions of the file, as four octal digits. Raises SynapseError if it cannot be looked at."""
    return f"{_attributes(path).mode:04o}"


def make_private(path: str) -> None:
    """Give the file the mode 0600. Raises SynapseError if that fails."""
    set_attributes(path, dataclasses.replace(_attributes(path), mode=int(PRIVATE_MODE, 8)))


def write_private(path: str, text: str) -> None:
    """Write `text` and a line end into the file, mode 0600, in one go. Raises SynapseError if that fails."""
    replace_file(os.path.abspath(path), text + "\n", Attributes(int(PRIVATE_MODE, 8), os.geteuid(), os.getegid()))


def _attributes(path: str) -> Attributes:
    attributes = read_attributes(path)
    if attributes is None:
        raise SynapseError(f"{path} was removed by somebody else in this moment: run the task again.")
    return attributes
