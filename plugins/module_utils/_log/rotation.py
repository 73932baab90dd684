# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Rotated files: which of them have been one, and in which order they were written."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile

# Local time goes back by an hour at the end of summer, and records may be written some seconds too late.
_DISORDER = 3610

_DATE = r"\d{4}-\d{2}-\d{2}(?:[_T-]\d{2}(?:[-_:]?\d{2}){0,2})?|\d{8}(?:[-_T]?\d{1,10})?|\d{10}"
# logging.handlers, logrotate (also with dateext, dateformat and extension), and what administrators type.
_ROTATION = re.compile(
    rf"\.(?:gz|xz|bz2|zst|lz4|z|zip)$|\.(?:\d{{1,4}}|old|bak)$|[.-](?:{_DATE})(?=\.log$|$)", re.IGNORECASE
)


def stream_of(path: str) -> str:
    """Return `path` without what rotations have appended: the files with the same result have been the same file."""
    directory, name = os.path.split(path)
    while True:
        shorter = _ROTATION.sub("", name)
        if shorter in (name, ""):
            return os.path.join(directory, name)
        name = shorter


def in_order(files: t.Iterable[LogFile]) -> list[LogFile]:
    """Return the files in order of their first records, each stream together, streams by their first file.

    A file without times counts as written at once when it was modified. Sets `not_after` of compressed files. Files
    that were written at the same time become streams of their own.
    """
    streams: dict[str, list[LogFile]] = {}
    for file in sorted(files, key=_began):
        streams.setdefault(file.stream, []).append(file)
    result: list[list[LogFile]] = []
    for members in streams.values():
        pairs = list(zip(members, members[1:]))
        if any(_overlap(earlier, later) for earlier, later in pairs):
            # Their names only look like those of one rotated file.
            for file in members:
                file.stream = file.path
                result.append([file])
            continue
        for earlier, later in pairs:
            if earlier.compressed and later.first is not None:
                earlier.not_after = max(earlier.modified, later.first) + _DISORDER
        result.append(members)
    return [file for members in sorted(result, key=lambda members: _began(members[0])) for file in members]


def _began(file: LogFile) -> float:
    return file.modified if file.first is None else file.first


def _overlap(earlier: LogFile, later: LogFile) -> bool:
    return earlier.last is not None and later.first is not None and later.first < earlier.last - _DISORDER
