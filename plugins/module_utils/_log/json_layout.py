# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Logs of Synapse's JSON formatters: one JSON object in each line."""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import JSON
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import NO_PREFIX, Prefix
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, bytes_of, readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import ISO


class JsonLayout:
    """The lines of JsonFormatter (which has no time), TerseJsonFormatter and GcpJsonFormatter.

    `prefix`: what stands before each object; its time is taken if the object has none. `has_time`: whether the records
    have a time.
    """

    is_json: t.Final = True
    direct: t.Final = False
    text: t.Final = JSON
    has_logger = True
    has_request = True

    def __init__(self, prefix: Prefix = NO_PREFIX) -> None:
        self.prefix = prefix
        self.has_time = True
        before, moment, after = prefix
        time = b"" if moment is None else moment.expression
        self._line = re.compile(b"(" + before + b"(" + time + b")" + after + rb")(\{[^\n]*\})\s*\Z")

    def __repr__(self) -> str:
        return f"JsonLayout(prefix={self.prefix.expression!r})"

    def record(self, line: bytes) -> Record | None:
        """Return the record of a line (without its line feed), None if it is not one of these objects."""
        match = self._line.match(line)
        event = None if match is None else json_object(match.group(3))
        if match is None or event is None:
            return None
        message = event.get("log", event.get("message"))
        logger = event.get("namespace", event.get("logger"))
        level = event.get("level", event.get("severity"))
        request = event.get("request")
        if not (isinstance(message, str) and isinstance(logger, str) and isinstance(level, str)):
            return None
        moment = json_time(event.get("time"))
        if moment is None and self.prefix.time is not None:
            moment = self.prefix.time.moment(match.group(2))
        return Record(
            moment,
            _text(logger),
            _text(level),
            _text(request) if isinstance(request, str) else "",
            bytes_of(message),
            match.group(1),
        )

    def begins(self, line: bytes) -> bool:
        """Whether a line begins as a record does, also if `record` cannot tell what it is."""
        return self.record(line) is not None


def json_object(text: bytes) -> dict[str, t.Any] | None:
    """Return the object in a text of JSON, None if it is not one. Bytes that are not UTF-8 become surrogates."""
    try:
        value = json.loads(text.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_time(value: object) -> float | None:
    """Return the seconds since 1970 of a number, or of a text in ISO 8601; None if it is neither."""
    if isinstance(value, str):
        return ISO.moment(value.encode("utf-8", "replace"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _text(text: str) -> str:
    return readable(bytes_of(text))
