# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads the files of an export: JSON objects that follow each other without a separator.

FileExfiltrationWriter writes them in this way (synapse/app/admin_cmd.py, 1.163).
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.deep import decode_shortened

_CHUNK = 1 << 20


def read_objects(path: str, chunk: int = _CHUNK) -> t.Iterator[dict[str, t.Any]]:
    """Yield the JSON objects in the file. Only about `chunk` characters are in memory at a time.

    If an object is nested too deeply for this Python, its deepest part is omitted (see _export.events.deep).
    Raises SynapseError if the file is truncated or contains anything else.
    """
    decoder = json.JSONDecoder()
    text, position, wanted = "", 0, chunk
    try:
        with open(path, encoding="utf-8") as file:
            while True:
                read = file.read(wanted)
                text, position = text[position:] + read, 0
                while position < len(text):
                    try:
                        value, position = _decode(decoder, text, position)
                    except json.JSONDecodeError:
                        break
                    if not isinstance(value, dict):
                        raise SynapseError(f"{path} contains something that is not a JSON object.")
                    yield value
                if not read:
                    break
                # Twice as much each time that an object does not fit, so that a long one is not decoded too often.
                wanted = max(chunk, len(text) - position)
    except (OSError, UnicodeDecodeError) as error:
        raise SynapseError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error
    if position < len(text):
        raise SynapseError(f"{path} ends in the middle of a JSON object.")


def _decode(decoder: json.JSONDecoder, text: str, position: int) -> tuple[t.Any, int]:
    try:
        return decoder.raw_decode(text, position)
    except RecursionError:
        return decode_shortened(text, position)
