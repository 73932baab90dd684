# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Logs as Docker's driver json-file stores them: each line of the program in one JSON object."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import (
    JsonLayout,
    json_object,
    json_time,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, bytes_of


class ContainerLayout(JsonLayout):
    """The lines of a file <id>-json.log, each with a line of Synapse, which has the layout `inner`."""

    def __init__(self, inner: Layout | JsonLayout) -> None:
        super().__init__()
        self.inner = inner
        self.has_logger = inner.has_logger
        self.has_request = inner.has_request

    def __repr__(self) -> str:
        return f"ContainerLayout({self.inner!r})"

    def record(self, line: bytes) -> Record | None:
        """Return the record that begins with a line (without its line feed), None if none does.

        A record without a time has that of Docker.
        """
        stored = _stored(line)
        if stored is None:
            return None
        text, moment = stored
        record = self.inner.record(text)
        return record if record is None or record.time is not None else record._replace(time=json_time(moment))

    def begins(self, line: bytes) -> bool:
        """Whether the line of Synapse begins as a record does, also if `record` cannot tell what it is."""
        text = stored_line(line)
        return text is not None and self.inner.begins(text)


def stored_line(line: bytes) -> bytes | None:
    """Return the program's line (without line feed) in a line of Docker's file, None if it is not such a line."""
    stored = _stored(line)
    return None if stored is None else stored[0]


def stored_event(line: bytes) -> dict[str, t.Any] | None:
    """Return the object in a line of Docker's file, None if it is not such a line. Its `log` is a text."""
    if not line.startswith(b'{"log":'):
        return None
    event = json_object(line)
    if event is None or not isinstance(event.get("log"), str) or "stream" not in event or "namespace" in event:
        return None
    return event


def _stored(line: bytes) -> tuple[bytes, t.Any] | None:
    event = stored_event(line)
    if event is None:
        return None
    text = bytes_of(event["log"])
    if text.endswith(b"\n"):
        # A container with a terminal (tty: true) ends its lines with both.
        text = text[:-2] if text.endswith(b"\r\n") else text[:-1]
    return text, event.get("time")
