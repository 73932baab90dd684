# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One record of Synapse's log: what a format puts before the message, and the message itself."""

from __future__ import annotations

import typing as t


class Record(t.NamedTuple):
    """One record of a log. A text that the format does not contain is empty.

    `time`: in seconds since 1970, None if the format has none. `request`: the tag of the request that was being
    processed, for example GET-37. `message`: as it was written, without a line feed at its end; it contains line feeds
    only if the format escapes them, as JSON does. `prefix`: what a container or a journal has put before the record.
    """

    time: float | None
    logger: str
    level: str
    request: str
    message: bytes
    prefix: bytes = b""


def readable(text: bytes) -> str:
    """Return `text` as it can be printed: UTF-8, where a byte that is not valid becomes an escape such as \\xff."""
    return text.decode("utf-8", "backslashreplace")


def bytes_of(text: str) -> bytes:
    """Return the bytes that were decoded to `text` with `surrogateescape`. Other surrogates become escapes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")
