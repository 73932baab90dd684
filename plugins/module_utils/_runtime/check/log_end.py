# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What Synapse has written to its own log file before it ended.

After it has read its log configuration, Synapse redirects its standard error to its log. What then ends its start is
not in the journal (synapse/config/logger.py and synapse/app/_base.py, 1.163). Each start begins with a line of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import named_log_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.last_words import words_in

_BEGINNING = "***** STARTING SERVER *****"
_TRACEBACK = "Traceback (most recent call last):"
# Other loggers write what other people do and send.
_LOGGER_OF_ERRORS = "twisted"
# In bytes, and in lines. A traceback that is followed by more lines did not end Synapse.
_MOST, _MOST_AFTER = 256 << 10, 12
# So much of the text before a traceback is also before other records. In characters.
_SAME = 8
_DIGIT = re.compile(r"[0-9]")


class LogEnd(t.NamedTuple):
    """What a log ends with: its `path`, and the `words` as lines, with those of the exception that came `first`."""

    path: str
    words: list[str]
    first: list[str]


def log_paths(settings: Settings, working_directory: str | None) -> list[str]:
    """Return the files that the log configuration of a main process names, as far as it can be read."""
    place = settings.get("log_config")
    if not isinstance(place, str):
        return []
    with contextlib.suppress(SynapseError, ValueError):
        named = named_log_files(os.path.join(working_directory or "/", place))
        return [os.path.join(working_directory or "/", name) for name in named]
    return []


def read_log_end(paths: t.Iterable[str], *, since: float, starting: bool) -> LogEnd | None:
    """Return what the log of the last start ends with, None if that shows no reason.

    `since`: when that start began, in seconds since 1970; an older log is not of it. `starting`: another start is in
    progress, so that its lines may follow.
    """
    for path in dict.fromkeys(paths):
        starts = _starts(_tail(path, since))
        for lines in list(reversed(starts))[: 2 if starting else 1]:
            words, first = _reason(lines)
            if words:
                return LogEnd(path, words, first)
    return None


def _reason(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the exception at the end of a log, and the one that came first; else an error of Twisted in its last line.

    Both are empty if there is neither.
    """
    places = [place for place, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    if places:
        prefix = lines[places[-1]][: -len(_TRACEBACK)]
        end = [_without(prefix, line) for line in lines[places[0] :]]
        words, first = words_in(end)
        position = max((place for place, line in enumerate(end) if words and line.strip() == words[0]), default=-1)
        if position >= 0 and len(end) - position <= _MOST_AFTER:
            return words, first
    parts = f"{lines[-1]} ".split(" - ") if lines else []
    return ([parts[-1].strip()], []) if _LOGGER_OF_ERRORS in parts[:-1] and parts[-1].strip() else ([], [])


def _without(prefix: str, line: str) -> str:
    """Return a line of a traceback without what the format of the log puts before it; "" for another record."""
    # Only the digits of the time are others.
    shape, other = (_DIGIT.sub("0", text) for text in (prefix, line[: len(prefix)]))
    if shape == other:
        return line[len(prefix) :]
    return "" if prefix and shape[:_SAME] == other[:_SAME] else line


def _starts(text: str) -> list[list[str]]:
    """Return the lines of each start, without those before the first one that begins in the text."""
    starts: list[list[str]] = []
    for line in text.splitlines():
        if line.rstrip().endswith(_BEGINNING):
            starts.append([])
        elif starts and line.strip():
            starts[-1].append(line.rstrip())
    return starts


def _tail(path: str, since: float) -> str:
    """Return the end of a regular file, "" if it is older or cannot be read. Synapse's user may link it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError, ValueError), open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_mtime >= since:
            file.seek(max(0, status.st_size - _MOST))
            return file.read(_MOST).decode("utf-8", "replace")
    return ""
