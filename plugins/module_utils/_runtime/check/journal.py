# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""The last starts of a unit, from the journal: what its processes have written, and how systemd says that they ended.

Relies on `journalctl --output=json` (systemd.journal-fields(7)), and on the fields UNIT_RESULT, COMMAND, EXIT_CODE and
EXIT_STATUS, which systemd adds to its own messages about a unit (src/core/unit.c of systemd 239 and later).
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed

Run = t.Callable[[t.Sequence[str], float], Completed]

# In entries of the journal: more than two starts of Synapse that end with several long tracebacks.
_ENTRIES = 400


class Ending(t.NamedTuple):
    """How a process has ended. `code`: exited, killed or dumped; `status`: its exit status or the signal."""

    code: str
    status: int


@dataclasses.dataclass
class Attempt:
    """A start of a unit. `result`: that with which it failed, "" if it has not (yet). `lines`: of its processes.

    `endings`: how the last process of each kind has ended, such as that of ExecStart.
    """

    lines: list[str] = dataclasses.field(default_factory=list)
    result: str = ""
    endings: dict[str, Ending] = dataclasses.field(default_factory=dict)


def read_attempts(unit: str, run: Run, timeout: float) -> list[Attempt]:
    """Return the last starts of a unit, the oldest first. `timeout` in seconds.

    Raises SynapseError if journalctl cannot be run. What this user is not allowed to read is left out.
    """
    options = ["--output=json", f"--lines={_ENTRIES}", "--no-pager"]
    done = run(["env", "LC_ALL=C", "journalctl", f"--unit={unit}", *options], timeout)
    found: dict[str, Attempt] = {}
    for line in done.output.split("\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        if "UNIT" in entry:
            _add_of_systemd(entry, found.setdefault(str(entry.get("INVOCATION_ID", "")), Attempt()))
        elif entry.get("_SYSTEMD_UNIT", unit) == unit:
            start = str(entry.get("_SYSTEMD_INVOCATION_ID", ""))
            found.setdefault(start, Attempt()).lines.append(_text(entry.get("MESSAGE")))
    return list(found.values())


def last_failed(attempts: t.Sequence[Attempt]) -> Attempt | None:
    """Return the last or the last but one start if it has failed, or None. The last one may just have begun."""
    return next((attempt for attempt in reversed(attempts[-2:]) if attempt.result), None)


def _add_of_systemd(entry: dict[str, t.Any], attempt: Attempt) -> None:
    attempt.result = _text(entry.get("UNIT_RESULT")) or attempt.result
    status = _text(entry.get("EXIT_STATUS"))
    if re.fullmatch("[0-9]{1,9}", status):
        attempt.endings[_text(entry.get("COMMAND"))] = Ending(_text(entry.get("EXIT_CODE")), int(status))


def _text(message: t.Any) -> str:
    """Return the text of a field: journalctl prints other bytes than text as numbers, and several values as a list."""
    if isinstance(message, str):
        return message
    if not isinstance(message, list):
        return ""
    if all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        return bytes(message).decode("utf-8", "replace")
    return "\n".join(_text(one) for one in message if isinstance(one, str))
