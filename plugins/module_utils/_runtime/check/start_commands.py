# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""The commands of a unit before its start, as systemd and the files of the unit show them (systemd.service(5)).

Only the program of a command is shown, because an argument can be a secret.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow

START_PRE = "ExecStartPre"
_COMMAND = re.compile(
    r"\{ path=.*? ; argv\[\]=(.*?) ; ignore_errors=(yes|no) ; .*?start_time=\[(.*?)\] ; stop_time=\[(.*?)\] ;"
    r".* code=(\S+) ; status=([0-9]{1,9})"
)
_NEVER = ("", "n/a")
_PREFIXES = "-@:+!|"
_PROGRAM = re.compile(rf"""[{_PREFIXES}]*(?:"[^"]*"|'[^']*'|[^\s"']+)""")
# In characters, and in commands.
_LONGEST, _MOST = 200, 5


def program_of(command: str) -> str:
    """Return the program in the value of a setting such as ExecStart, without the arguments."""
    found = _PROGRAM.match(command.strip())
    return found.group()[:_LONGEST] if found else "(a command)"


class StartCommands:
    """The commands before the start of a unit. `shown`: names and values as `systemctl show` prints them."""

    def __init__(self, shown: t.Sequence[tuple[str, str]], unit: t.Callable[[], UnitNow]) -> None:
        """`unit`: reads the files of the unit, and is only called if a command is to blame."""
        self._commands = [_COMMAND.match(value) for name, value in shown if name == START_PRE]
        self._unit = unit

    def slow(self) -> str:
        """Return the command that has not ended or was ended, with its place, or "". May raise SynapseError."""
        return self._last(lambda found: found[5] == "killed" or (found[3] not in _NEVER and found[4] in _NEVER))

    def failed(self) -> str:
        """Return the command that has failed, with its place, or "". May raise SynapseError."""
        return self._last(lambda found: found[5] == "exited" and found[6] != "0" and found[2] == "no")

    def failed_before(self) -> str:
        """Return which commands can have failed in the start before this one, with their places, or "".

        systemd shows only the present start, and the journal does not name the command. One that has ended well in the
        present start is not among them. May raise SynapseError.
        """
        meant = [
            (index, found[1])
            for index, found in enumerate(self._commands)
            if found and found[2] == "no" and (found[5], found[6]) != ("exited", "0")
        ]
        places = [self._place(index, words) for index, words in meant[:_MOST]]
        more = f" or {len(meant) - _MOST} others" if len(meant) > _MOST else ""
        return f"one of {' or '.join(places)}{more}" if len(places) > 1 else "".join(places)

    def _last(self, is_meant: t.Callable[[re.Match[str]], bool]) -> str:
        meant = [(index, found[1]) for index, found in enumerate(self._commands) if found and is_meant(found)]
        return self._place(*meant[-1]) if meant else ""

    def _place(self, index: int, words: str) -> str:
        """Return a command with its place: its index among all commands, and its words as systemd shows them."""
        lines = self._unit().assigned(START_PRE)
        same = [line for line in lines if line.value.lstrip(_PREFIXES).split() == words.split()]
        # A line can have quotes and specifiers, and several commands.
        line = same[0] if same else (lines[index] if len(lines) == len(self._commands) else None)
        text = f"{START_PRE}={program_of(line.value if line else words)}"
        return f"{text} ({line.path}, line {line.number})" if line else text
