# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""Which condition keeps systemd from starting a unit (systemd.unit(5), Conditions and Asserts).

Relies on ConditionResult and AssertResult of `systemctl show`: they are "no" also if nothing has been started yet, but
then their time is not set.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import Line, UnitNow

PROPERTIES = ("ConditionResult", "ConditionTimestamp", "AssertResult", "AssertTimestamp")

_KINDS = ("Condition", "Assert")
_PATH = re.compile(r"\|?(!?)(/[^%*?\[]*)")
_MOST, _LONGEST = 3, 200


def unmet_conditions(shown: t.Mapping[str, str], unit: t.Callable[[], UnitNow]) -> str:
    """Return which lines of the unit are not fulfilled, as the end of a sentence, or "" if all were at the last start.

    `shown`: PROPERTIES as systemd shows them. `unit`: reads the files of the unit; it can raise SynapseError.
    """
    for kind in _KINDS:
        if shown.get(f"{kind}Result") == "no" and shown.get(f"{kind}Timestamp", "") not in ("", "n/a"):
            lines = _lines(unit(), kind)
            shown_lines = [line for line in lines if _is_unmet(line)] or lines
            texts = [
                f"{line.key}={line.value[:_LONGEST]} ({line.path}, line {line.number})" for line in shown_lines[:_MOST]
            ]
            return f"one of its lines {kind}...= is not fulfilled: {' or '.join(texts) or unit().hint}"
    return ""


def _lines(unit: UnitNow, kind: str) -> list[Line]:
    """Return the lines in force. An empty value of any condition removes all before it."""
    found: list[Line] = []
    for line in unit.lines("[Unit]"):
        if line.key.startswith(kind):
            found = [*found, line] if line.value else []
    return found


def _is_unmet(line: Line) -> bool:
    """Return whether a line that requires a path is not fulfilled now."""
    match = _PATH.fullmatch(line.value)
    if not match or not line.key.endswith("PathExists"):
        return False
    return os.path.exists(match[2]) == bool(match[1])
