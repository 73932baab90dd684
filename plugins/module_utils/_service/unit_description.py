# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A unit of Synapse as the roles must know it before they change it: its files, its command and its variables."""

from __future__ import annotations

import glob
import os
import pwd
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.environment_file import (
    Variable,
    read_bytes,
    read_environment_file,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import (
    Shown,
    start_line,
    started_configuration,
)

# The roles write their name into the first lines of each file.
_ROLE = re.compile(r"matrix_ops\.synapse(\.[a-z_]+)?")
_FIRST_BYTES = 4096
# The drop-in that the role synapse_service writes repeats the command of the unit with one more option.
_REPEATS_THE_COMMAND = "zz-matrix_ops-configuration.conf"
_FIX = "Run the task with become, as root."


def example_of(unit: str) -> str:
    """Return the name of a unit, or of an instance for a template, which has no properties of its own.

    An instance that was never started has the properties of its template.
    """
    return f"{unit[: -len('@.service')]}@matrix_ops.service" if unit.endswith("@.service") else unit


class UnitReader:
    """Reads the files of units. What cannot be read is added to `unknown`."""

    def __init__(self, environment_files: t.Sequence[str], directory: str) -> None:
        """`environment_files`: paths to read in addition to those of a unit. `directory`: the units of the host."""
        self._environment_files = tuple(environment_files)
        self._directory = directory
        self._variables: dict[str, list[Variable]] = {}
        self.unknown: list[Unknown] = []

    def describe(self, name: str, shown: Shown) -> dict[str, t.Any]:
        """Return the unit `name`, whose properties are `shown`, as the module returns it."""
        own = os.path.join(self._directory, name)
        fragment, command = shown.text("FragmentPath"), shown.command()
        directory = self._working_directory(shown.text("WorkingDirectory"), shown.text("User"))
        drop_ins = shown.words("DropInPaths")
        first = [path for path in (fragment, *drop_ins) if path and os.path.basename(path) != _REPEATS_THE_COMMAND]
        return {
            "name": name,
            "id": shown.text("Id"),
            "exists": shown.text("LoadState") == "loaded",
            "file_exists": os.path.lexists(own),
            "fragment_path": fragment,
            "drop_in_paths": drop_ins,
            "written_by": self._author(fragment or own),
            "start_line": start_line(self._text(path) for path in first),
            "exec_start": command,
            "config_path": [_absolute(path, directory) for path in started_configuration(command)],
            "working_directory": directory,
            "variables": self._assignments(name, shown),
            "enabled": shown.text("UnitFileState") == "enabled",
            "active": shown.text("ActiveState") in ("active", "reloading"),
            "can_reload": shown.text("CanReload") == "yes",
            "needs_daemon_reload": shown.text("NeedDaemonReload") == "yes",
        }

    def _author(self, path: str) -> str:
        found = _ROLE.search(self._text(path, "written_by", _FIRST_BYTES))
        return found.group() if found else ""

    def _text(self, path: str, name: str = "start_line", most: int | None = None) -> str:
        try:
            content = read_bytes(path) if most is None else read_bytes(path, most)
        except SynapseError as error:
            self._note(name, error)
            return ""
        return (content or b"").decode(errors="replace")

    def _working_directory(self, shown: str, user: str) -> str:
        # systemd writes ! before a directory that may be missing, and ~ for the home directory of the user.
        path = shown[1:] if shown.startswith("!") else shown
        if path != "~":
            return path or "/"
        try:
            return _home(user or "root")
        except KeyError:
            reason = f"The unit starts in the home directory of the user {user}, who does not exist on this host."
            self.unknown.append(Unknown("working_directory", reason, "Create the user, or correct User= in the unit."))
            return "/"

    def _assignments(self, unit: str, shown: Shown) -> list[dict[str, str]]:
        """Return the variables that change how Synapse uses memory. Other variables may be secret."""
        found = [(unit, Variable(*word.partition("=")[::2])) for word in shown.words("Environment")]
        named = [path for pattern in shown.environment_files() for path in _resolved(pattern)]
        # Those of the unit win. The unit of an older Debian package reads its file in another way.
        for path in dict.fromkeys([*(path for path in self._environment_files if path not in named), *named]):
            found += [(path, variable) for variable in self._file(path)]
        return [{**variable._asdict(), "source": source} for source, variable in found if _is_wanted(variable.name)]

    def _file(self, path: str) -> list[Variable]:
        if path not in self._variables:
            self._variables[path] = []
            try:
                self._variables[path] = read_environment_file(path)
            except SynapseError as error:
                self._note("variables", error)
        return self._variables[path]

    def _note(self, name: str, error: SynapseError) -> None:
        unknown = Unknown(name, error.message, _FIX)
        if unknown not in self.unknown:
            self.unknown.append(unknown)


def _home(user: str) -> str:
    return (pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)).pw_dir


def _absolute(path: str, directory: str) -> str:
    joined = os.path.join(directory, path)
    return joined.rstrip("/") or "/"


def _resolved(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]


def _is_wanted(name: str) -> bool:
    return name in ("LD_PRELOAD", "PYTHONMALLOC") or name.startswith("SYNAPSE_CACHE_FACTOR")
