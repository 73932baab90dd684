# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Decodes JSON that is nested too deeply for Python. Anyone can send such JSON to a server, which stores it."""

from __future__ import annotations

import json
import re
import typing as t

# The characters that determine the depth. A string without its end matches only as its first quotation mark.
_MARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_DEEPEST = 100
_LEFT_OUT = json.dumps("It is nested too deeply to be shown: see the files of the export.")


def decode_shortened(text: str, position: int) -> tuple[t.Any, int]:
    """Return the object or array that begins at `position`, and its end, as JSONDecoder.raw_decode does.

    Below the hundredth level the content is replaced by a sentence, and is not checked.
    Raises json.JSONDecodeError if the end is not in `text`, or if the rest is not JSON.
    """
    kept: list[str] = []
    depth, start = 0, position
    for found in _MARKS.finditer(text, position):
        mark = found.group()
        if mark == '"':
            break
        if mark in ("[", "{"):
            depth += 1
            if depth == _DEEPEST + 1:
                kept += [text[start : found.start()], _LEFT_OUT]
        elif mark in ("]", "}"):
            if depth == _DEEPEST + 1:
                start = found.end()
            depth -= 1
            if depth == 0:
                return json.loads("".join([*kept, text[start : found.end()]])), found.end()
    raise json.JSONDecodeError("The end is missing", text, len(text))
