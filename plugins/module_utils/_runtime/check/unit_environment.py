# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a systemd unit sets LD_PRELOAD to, and the file that does it (systemd.exec(5)).

Files of variables are read after all variables in the unit itself, a later assignment replaces an earlier one, and
UnsetEnvironment removes a variable after all of them.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import (
    Line,
    UnitNow,
    hidden_files,
    variable_lines,
)

VARIABLE = "LD_PRELOAD"


class Preload(t.NamedTuple):
    """The value of LD_PRELOAD that a unit gives to its processes.

    `line`: the assignment that is in force, or the one that removes the variable; None if no file of the unit has one.
    `hidden`: the files that this user is not allowed to read, so that the rest is uncertain.
    """

    value: str = ""
    line: Line | None = None
    removed: bool = False
    hidden: tuple[str, ...] = ()


def libraries(value: str) -> list[str]:
    """Return the libraries in a value of LD_PRELOAD."""
    return re.sub("['\"]", "", value).replace(":", " ").split()


def read_preload(unit: UnitNow) -> Preload:
    """Return what the files of a unit, as they are on disk now, set LD_PRELOAD to."""
    variables: list[Line] = []
    files: list[str] = []
    removing: list[Line] = []
    for line in unit.lines():
        if line.key == "Environment":
            variables = [*variables, line] if line.value else []
        elif line.key == "EnvironmentFile":
            files = [*files, *_paths(line.value, unit.name)] if line.value else []
        elif line.key == "UnsetEnvironment":
            removing = [*removing, line] if line.value else []
    hidden = hidden_files([*unit.paths, *files])
    found = Preload(hidden=hidden)
    for line in variables:
        for word in _words(line.value):
            if word.startswith(f"{VARIABLE}="):
                found = Preload(word.partition("=")[2], line, hidden=hidden)
    for line in (line for path in files for line in variable_lines(path)):
        if line.key == VARIABLE:
            found = Preload(line.value, line, hidden=hidden)
    for line in removing:
        if {VARIABLE, f"{VARIABLE}={found.value}"} & set(_words(line.value)):
            return Preload("", line, True, hidden)
    return found


def missing_files(unit: UnitNow) -> list[tuple[Line, str]]:
    """Return the files of variables without which systemd does not start the unit and that do not exist, with the line
    that names each. Only a file whose path begins with a hyphen may be missing.
    """
    found: list[tuple[Line, str]] = []
    for line in unit.lines():
        if line.key == "EnvironmentFile":
            found = [*found, *((line, path) for path in _missing(line.value, unit.name))] if line.value else []
    return found


def _missing(value: str, name: str) -> list[str]:
    if value.startswith("-"):
        return []
    paths = _paths(value, name)
    # The others contain what only systemd knows.
    return [path for path in paths or [value] if "%" not in path and not os.path.lexists(path)]


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        # systemd ignores an assignment with a quotation mark that is not closed.
        return []


def _paths(value: str, name: str) -> list[str]:
    """Return the files that a value of EnvironmentFile stands for, in a unit with this name."""
    stem = name.rpartition(".")[0]
    prefix, _at, instance = stem.partition("@")
    specifiers = {"%n": name, "%N": stem, "%p": prefix, "%i": instance, "%%": "%"}
    path = re.sub("%[nNpi%]", lambda found: specifiers[found.group()], value.lstrip("-"))
    return sorted(glob.glob(path)) if glob.has_magic(path) else [path]
