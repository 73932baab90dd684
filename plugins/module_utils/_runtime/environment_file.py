# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Text files of systemd: read without being held up, and the environment variables in them (systemd.exec(5)).

Relies on `EnvironmentFile=` of systemd 254. Before `=`, a line with `export` has no valid name of a variable, so that
systemd ignores it.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# Far more than any file of this kind.
_MOST_BYTES = 1024**2
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE = " \t\n\r"
_NEWLINE = "\n\r"
# What a backslash keeps its meaning from, in double quotes.
_ESCAPED = '"\\`$'
_COMMENT = re.compile(r"[#;][^\n\r]*")
_KEY = re.compile(r"([^=\n\r]*)(=?)")


class Variable(t.NamedTuple):
    """An assignment of an environment variable. `number`: that of its first line in a file, 0 outside of a file."""

    name: str
    value: str
    number: int = 0


def read_bytes(path: str, most: int = _MOST_BYTES) -> bytes | None:
    """Return at most `most` bytes of a file, or None if it does not exist.

    Raises SynapseError if it cannot be read or is not a regular file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits until a process writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a path"
        raise SynapseError(f"{path} cannot be read: {reason}.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SynapseError(f"{path} is not a regular file.")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    except OSError as error:
        raise SynapseError(f"{path} cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def read_environment_file(path: str) -> list[Variable]:
    """Return the assignments in a file in their order. The list is empty if the file does not exist.

    Raises SynapseError if it cannot be read or is not text in UTF-8.
    """
    content = read_bytes(path)
    try:
        return parse_environment((content or b"").decode())
    except UnicodeDecodeError as error:
        raise SynapseError(f"{path} is not text in UTF-8, so systemd ignores it or does not start the unit.") from error


def parse_environment(text: str) -> list[Variable]:
    """Return the assignments in the text of an environment file, as systemd reads it."""
    found: list[Variable] = []
    position, number, counted = 0, 1, 0
    # systemd reads C strings.
    text = text.partition("\0")[0]
    while position < len(text):
        if text[position] in _SPACE:
            position += 1
            continue
        comment = _COMMENT.match(text, position)
        if comment:
            position = comment.end()
            continue
        key = _KEY.match(text, position)
        position = key.end() if key else len(text)
        if key and key[2]:
            number += text.count("\n", counted, position)
            counted = position
            value, position = _value(text, position)
            name = key[1].strip(_SPACE)
            if _NAME.fullmatch(name):
                found.append(Variable(name, value, number))
    return found


def _value(text: str, position: int) -> tuple[str, int]:
    """Return the value that begins at `position`, and the position after its line."""
    value = ""
    # The length of what trailing space must not be removed from.
    kept = 0
    quotes = True
    while position < len(text) and text[position] not in _NEWLINE:
        letter = text[position]
        if quotes and letter in "'\"":
            quoted, position = _quoted(text, position + 1, letter)
            value += quoted
            kept = len(value)
            continue
        if letter == "\\":
            position += 1
            following = text[position : position + 1]
            value += "" if following in _NEWLINE else following
            kept = len(value)
            quotes = False
        elif letter not in _SPACE:
            value += letter
            kept = len(value)
            quotes = False
        elif not quotes:
            # Within an unquoted value, space counts; around quotes it does not.
            value += letter
        position += 1
    return value[:kept], position + 1


def _quoted(text: str, position: int, quote: str) -> tuple[str, int]:
    value = ""
    while position < len(text) and text[position] != quote:
        letter = text[position]
        if letter == "\\" and quote == '"':
            position += 1
            following = text[position : position + 1]
            if following and following in _ESCAPED:
                value += following
            elif following not in ("", "\n"):
                value += letter + following
        else:
            value += letter
        position += 1
    return value, position + 1
