# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The text format in which a process of Synapse serves its metrics.

Relies on the text format of Prometheus, version 0.0.4, as prometheus_client writes it for Synapse 1.163.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import UnexpectedAnswer

# A busy process has about 40,000 lines. Each sample needs several hundred bytes of memory.
_LINES_AT_MOST = 200_000
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_START = re.compile(rf"({_NAME.pattern})(?:\s*(\{{)|\s)")
_LABEL = re.compile(rf'\s*({_LABEL_NAME.pattern})\s*=\s*"([^"\\]*(?:\\.[^"\\]*)*)"\s*(,|(?=\}}))')
_LABELS_END = re.compile(r"\s*\}")
_ESCAPED = re.compile(r"\\.")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


class Sample(t.NamedTuple):
    """One line of the metrics."""

    name: str
    labels: dict[str, str]
    value: float


def parse(text: str) -> list[Sample]:
    """Return the samples in `text`, in its order.

    Raises UnexpectedAnswer if it is not in the format of Prometheus, or has more than 200,000 lines.
    """
    if text.count("\n") > _LINES_AT_MOST:
        raise UnexpectedAnswer(f"The metrics have more than {_LINES_AT_MOST} lines, so they were not read.")
    reader = _Reader()
    return [
        reader.quickly(line) or reader.strictly(line)
        for line in text.split("\n")
        if line[:1] != "#" and line.strip() and line.lstrip()[:1] != "#"
    ]


class _Reader:
    def __init__(self) -> None:
        # Names occur again and again. The first part of a label is `name=`, that of the following ones `,name=`.
        self._names: set[str] = set()
        self._first: dict[str, str] = {}
        self._following: dict[str, str] = {}

    def quickly(self, line: str) -> Sample | None:
        """Return the sample in a line as prometheus_client writes nearly all of them, or None for any other line.

        In a line without a backslash, every second part between quotes is the value of a label.
        """
        name, opened, rest = line.partition("{")
        if not opened:
            name, _space, number = line.partition(" ")
            parts = [""]
        else:
            text, closed, number = rest.rpartition("} ")
            if not closed or "\\" in text:
                return None
            parts = text.split('"')
        if name not in self._names:
            if not _NAME.fullmatch(name):
                return None
            self._names.add(name)
        labels: dict[str, str] = {}
        names = self._first
        try:
            value = float(number)
            if parts[-1] or len(parts) % 2 == 0:
                return None
            for position in range(0, len(parts) - 1, 2):
                part = parts[position]
                label = names.get(part) or self._label(part, names)
                if not label:
                    return None
                labels[label] = parts[position + 1]
                names = self._following
        except ValueError:
            return None
        return Sample(name, labels, value)

    def _label(self, part: str, names: dict[str, str]) -> str:
        label = part[:-1] if names is self._first else part[1:-1]
        comma = "" if names is self._first else ","
        if part != f"{comma}{label}=" or not _LABEL_NAME.fullmatch(label):
            return ""
        names[part] = label
        return label

    def strictly(self, line: str) -> Sample:
        """Return the sample in any line. Raises UnexpectedAnswer if it is malformed."""
        stripped = line.strip()
        match = _START.match(stripped)
        if match is None:
            raise _malformed(line)
        labels: dict[str, str] = {}
        position = match.end()
        if match[2]:
            while not (end := _LABELS_END.match(stripped, position)):
                label = _LABEL.match(stripped, position)
                if label is None:
                    raise _malformed(line)
                labels[label[1]] = _ESCAPED.sub(lambda escape: _ESCAPES.get(escape[0], escape[0]), label[2])
                position = label.end()
            position = end.end()
        # A timestamp can follow the value, and an exemplar after a number sign.
        fields = stripped[position:].partition(" #")[0].split()
        try:
            value, *_timestamp = [float(field) for field in fields]
        except ValueError:
            raise _malformed(line) from None
        if len(fields) > 2:
            raise _malformed(line)
        return Sample(match[1], labels, value)


def _malformed(line: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"The response is not in the text format of Prometheus: {line[:100]!r}.")
