# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files of a systemd unit as they are on disk now, and what systemd itself knows of the unit (systemd.unit(5)).

systemd reads the file of the unit first, and then its drop-ins in the order of their file names. Of two drop-ins with
the same file name, it reads only the one in the directory with the highest priority.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import math
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.environment_file import read_environment_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Run, Systemd, unquoted_words

UNLIMITED = math.inf

_PROPERTIES = ("FragmentPath", "DropInPaths", "LimitNOFILE", "NeedDaemonReload")
# As safe_atou64() of systemd 252 reads a number, each form with its base. Python refuses to read thousands of digits.
_NUMBERS = (
    (re.compile(r"\s*[+]?([1-9][0-9]{0,40})"), 10),
    (re.compile(r"\s*[+]?(0[0-7]{0,80})"), 8),
    (re.compile(r"\s*[+]?0[xX]([0-9a-fA-F]{1,40})"), 16),
    (re.compile(r"\s*0[oO]([0-7]{1,80})"), 8),
    (re.compile(r"\s*0[bB]([01]{1,80})"), 2),
)
# The kernel's number for no limit. In a file, only the word is accepted for it.
_NO_LIMIT = 2**64 - 1


class Line(t.NamedTuple):
    """An assignment in a file: the path, the number of its first line, and what it assigns."""

    path: str
    number: int
    key: str
    value: str

    @property
    def place(self) -> str:
        """The file and the line in words."""
        return f"{self.path}, line {self.number},"


@dataclasses.dataclass(frozen=True)
class UnitNow:
    """A unit as it is now.

    `limit`: the hard limit for open files that systemd gives it; None if systemd does not show it. `paths`: its files
    on disk, in the order in which systemd reads them. `is_read`: whether systemd has read all of them.
    """

    name: str
    limit: float | None
    paths: tuple[str, ...]
    is_read: bool

    @property
    def hint(self) -> str:
        """How to see all files of the unit."""
        return f"systemctl cat {self.name} shows all files of the unit"

    @property
    def apply(self) -> str:
        """How to apply a change of a file of the unit."""
        return f"run systemctl daemon-reload, and restart {self.name}"

    def lines(self, section: str = "[Service]") -> list[Line]:
        """Return the assignments in a section of all files. A file that cannot be read has none."""
        return [line for path in self.paths for line in section_lines(path, section)]

    def assigned(self, key: str) -> list[Line]:
        """Return the lines in force of a setting that is a list; an empty value removes those before."""
        found: list[Line] = []
        for line in self.lines():
            if line.key == key:
                found = [*found, line] if line.value else []
        return found

    def starts_with(self, path: str) -> bool:
        """Return whether the command of the unit contains this path. False if only systemd or a script knows it."""
        word = re.compile(rf"(?<![^\s\"'=]){re.escape(path.rstrip('/') or '/')}/*(?![^\s\"'])")
        return any(word.search(line.value) for line in self.assigned("ExecStart"))

    def limit_line(self) -> tuple[Line, float] | None:
        """Return the line on disk that sets the limit for open files, and the hard limit in it. None if none does."""
        found: tuple[Line, float] | None = None
        for line in self.lines():
            if line.key == "LimitNOFILE":
                limit = hard_limit(line.value)
                # systemd also ignores an empty value, unlike that of most settings.
                if limit is not None:
                    found = line, limit
        return found


def read_unit_now(name: str, run: Run, timeout: float, systemd: Systemd) -> UnitNow:
    """Return the unit as it is now. `timeout` in seconds. Raises SynapseError if systemd does not show it."""
    shown = _shown(_PROPERTIES, ["--", name], run, timeout)
    loaded = unquoted_words(shown.get("DropInPaths", ""))
    present = drop_ins(name, loaded, systemd.units)
    fragment = [shown["FragmentPath"]] if shown.get("FragmentPath") else []
    same_files = {os.path.realpath(path) for path in present} == {os.path.realpath(path) for path in loaded}
    is_read = shown.get("NeedDaemonReload") != "yes" and same_files
    return UnitNow(name, _number(shown.get("LimitNOFILE", "")), (*fragment, *present), is_read)


def drop_ins(name: str, loaded: t.Sequence[str], directories: t.Sequence[str]) -> list[str]:
    """Return the drop-ins of a unit that exist now. `loaded`: those that systemd has read; `directories`: of units."""
    found: dict[str, str] = {}
    for own in _names(name):
        for directory in directories:
            for path in sorted(glob.glob(os.path.join(glob.escape(directory), f"{glob.escape(own)}.d", "*.conf"))):
                found.setdefault(os.path.basename(path), path)
    # Such as those that `systemctl set-property` writes.
    for path in loaded:
        if os.path.lexists(path):
            found.setdefault(os.path.basename(path), path)
    # A link to this device hides the files of the same name in other directories.
    return [found[key] for key in sorted(found) if os.path.realpath(found[key]) != os.devnull]


def read_default_limit(run: Run, timeout: float) -> float | None:
    """Return the hard limit for open files that units without LimitNOFILE get. Raises SynapseError as above."""
    name = "DefaultLimitNOFILE"
    return _number(_shown([name], [], run, timeout).get(name, ""))


def hard_limit(value: str) -> float | None:
    """Return the hard limit in a value of LimitNOFILE, or None if it is not valid, so that systemd ignores it."""
    limits = [_number(part) for part in value.split(":", 1)]
    soft, hard = limits[0], limits[-1]
    return hard if soft is not None and hard is not None and soft <= hard else None


def hidden_files(paths: t.Iterable[str]) -> tuple[str, ...]:
    """Return the files that exist, but that this user is not allowed to read."""
    return tuple(path for path in paths if os.path.exists(path) and not os.access(path, os.R_OK))


def section_lines(path: str, wanted: str) -> list[Line]:
    """Return the assignments in a section, such as [Service], of a file; none if it cannot be read."""
    section, found = "", []
    for number, text in _logical_lines(path):
        key, equals, value = text.partition("=")
        if text.startswith("["):
            section = text
        elif equals and section == wanted:
            found.append(Line(path, number, key.strip(), value.strip()))
    return found


def variable_lines(path: str) -> list[Line]:
    """Return the assignments in a file of environment variables; none if it cannot be read."""
    try:
        return [Line(path, found.number, found.name, found.value) for found in read_environment_file(path)]
    except SynapseError:
        return []


def shown_lines(properties: t.Sequence[str], rest: t.Sequence[str], run: Run, timeout: float) -> list[tuple[str, str]]:
    """Return names and values of properties, as `systemctl show` prints them. A list of commands has a line for each.

    `rest`: further arguments, such as the unit. `timeout` in seconds. Raises SynapseError if systemd fails.
    """
    done = run(["env", "LC_ALL=C", "systemctl", "show", f"--property={','.join(properties)}", *rest], timeout)
    if done.status != 0:
        reason = (done.errors.strip().splitlines() or [f"status {done.status}"])[-1]
        raise SynapseError(f"{' '.join(['systemctl show', *rest[1:]])} failed: {reason.rstrip('.')}.")
    return [(name, value) for name, _equals, value in (line.partition("=") for line in done.output.splitlines())]


def _shown(properties: t.Sequence[str], rest: t.Sequence[str], run: Run, timeout: float) -> dict[str, str]:
    return dict(shown_lines(properties, rest, run, timeout))


def _logical_lines(path: str) -> t.Iterator[tuple[int, str]]:
    """Yield each line without comments, and its number.

    A backslash at the end continues a line in the next one, but not if it is escaped or if a space follows.
    """
    start, parts = 0, t.cast("list[str]", [])
    for number, line in enumerate([*_text(path).split("\n"), ""], start=1):
        text = line.lstrip()
        if text.startswith(("#", ";")):
            continue
        start = start if parts else number
        continued = (len(text) - len(text.rstrip("\\"))) % 2 == 1
        parts.append(text[:-1].strip() if continued else text.strip())
        if not continued:
            whole = " ".join(part for part in parts if part)
            parts = []
            if whole:
                yield start, whole


def _text(path: str) -> str:
    # A unit that is masked is a link to a device, and a pipe would be waited for.
    with contextlib.suppress(OSError, ValueError):
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
    return ""


def _names(name: str) -> list[str]:
    """Return the names whose directories contain drop-ins of a unit, the most specific first."""
    stem, _dot, kind = name.rpartition(".")
    prefix, at, _instance = stem.partition("@")
    names = [name, f"{prefix}@.{kind}"] if at else [name]
    words = prefix.split("-")
    names += ["-".join(words[:count]) + f"-.{kind}" for count in range(len(words) - 1, 0, -1)]
    return [*names, kind]


def _number(text: str) -> float | None:
    if text == "infinity":
        return UNLIMITED
    for pattern, base in _NUMBERS:
        match = pattern.fullmatch(text)
        if match:
            number = int(match[1], base)
            return number if number < _NO_LIMIT else None
    return None
