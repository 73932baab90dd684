# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The systemd unit of a process, and the files that define it (systemd.unit(5)).

Relies on /proc/<pid>/cgroup, whose deepest directory that is named like a service is that of the unit, also in
containers, and on `systemctl show`, which every user is allowed to run.
"""

from __future__ import annotations

import calendar
import contextlib
import dataclasses
import glob
import os
import re
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import Input

UNIT, ENVIRONMENT = "unit", "environment"

_PROPERTIES = (
    "LoadState",
    "MainPID",
    "ExecMainPID",
    "ExecMainStartTimestamp",
    "FragmentPath",
    "SourcePath",
    "DropInPaths",
    "EnvironmentFiles",
    "NeedDaemonReload",
)
_USER_MANAGER = re.compile(r"user@\d+\.service")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ENVIRONMENT_FILE = re.compile(r"(.*) \(ignore_errors=(yes|no)\)")


class Systemd(t.NamedTuple):
    """The paths of systemd on a host: one that exists only while systemd runs (sd_booted(3)), and those of units."""

    running: str = "/run/systemd/system"
    units: tuple[str, ...] = (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
    )


Run = t.Callable[[t.Sequence[str], float], Completed]


@dataclasses.dataclass(frozen=True)
class Unit:
    """The unit that starts a process.

    `started`: when it started it, in seconds since 1970 on the wall clock at that time, rounded up; None if unknown.
    `outdated`: systemd reports that files of the unit were changed after it read them.
    """

    name: str
    inputs: tuple[Input, ...]
    started: float | None = None
    outdated: bool = False


def unit_name(control_group: str) -> str | None:
    """Return the name of the service in the text of /proc/<pid>/cgroup, or None if there is none.

    Raises SynapseError for a unit of the systemd of a user.
    """
    for line in control_group.splitlines():
        names = [name for name in line.split("/") if name.endswith(".service")]
        managers = [name for name in names if _USER_MANAGER.fullmatch(name)]
        if managers and names[-1] not in managers:
            raise SynapseError(f"{names[-1]} is a unit of the systemd of a user, and only that user has access to it.")
        if names and not managers:
            return names[-1]
    return None


def unquoted_words(text: str) -> list[str]:
    """Return the words of a property that is a list, as `systemctl show` prints it, without their quotes.

    systemctl puts a word in double quotes if it needs them.
    """
    return [_unescaped(quoted) if quoted else word for quoted, word in _WORD.findall(text)]


def read_unit(control_group: str, process: tuple[int, int], run: Run, timeout: float, systemd: Systemd) -> Unit | None:
    """Return the unit of a process, or None if systemd has not started it. Raises SynapseError if systemd fails.

    `control_group`: the text of /proc/<pid>/cgroup. `process`: the ids of the process and of its parent.
    `timeout` in seconds.
    """
    # In a container without systemd, the name can be that of a service of the host.
    name = unit_name(control_group) if os.path.isdir(systemd.running) else None
    if name is None:
        return None
    # In UTC and in English, so that the time can be parsed.
    command = ["env", "LC_ALL=C", "TZ=UTC", "systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name]
    done = run(command, timeout)
    if done.status != 0:
        reason = (done.errors.strip().splitlines() or ["it printed nothing"])[0].rstrip(".")
        raise SynapseError(f"systemctl show {name} failed: {reason}.")
    properties: dict[str, list[str]] = {}
    for line in done.output.splitlines():
        key, _equals, value = line.partition("=")
        properties.setdefault(key, []).append(value)
    shown = {key: values[-1] for key, values in properties.items()}
    # A process that was started by hand is in the unit of sshd or cron, which has a different main process.
    if int(shown.get("MainPID") or 0) not in (0, *process):
        return None
    if shown.get("LoadState") == "not-found":
        raise SynapseError(f"The unit {name} was removed while it runs, so its files at the start are unknown.")
    started = _seconds(shown.get("ExecMainStartTimestamp", "")) if shown.get("ExecMainPID") == str(process[0]) else None
    files = [*_unit_inputs(name, shown, systemd.units), *_environment_inputs(properties.get("EnvironmentFiles", []))]
    return Unit(name, tuple(files), started, shown.get("NeedDaemonReload") == "yes")


def _unit_inputs(name: str, shown: t.Mapping[str, str], directories: t.Sequence[str]) -> t.Iterator[Input]:
    fragment = shown.get("FragmentPath", "")
    # A generator writes its files again whenever systemd reads its units again. Their source does not change.
    source = shown.get("SourcePath", "") if fragment.startswith("/run/systemd/generator") else fragment
    if source:
        yield Input(source, UNIT)
    own_names = {name, re.sub("@.*(?=[.])", "@", name)}
    folders = [os.path.join(directory, f"{own}.d") for directory in directories for own in sorted(own_names)]
    present = [path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "*.conf"))]
    named = [path for path in unquoted_words(shown.get("DropInPaths", "")) if _is_lasting(path, folders)]
    for path in sorted({*present, *named}):
        yield Input(path, UNIT)
    for folder in sorted({*folders, *(os.path.dirname(path) for path in named)}):
        yield Input(folder, UNIT, required=False, suffix=".conf")


def _is_lasting(path: str, folders: t.Sequence[str]) -> bool:
    """Return whether a drop-in changes only if an administrator changes it, and needs a restart to apply."""
    # `systemctl set-property` applies its files at once, and generators write their files again and again.
    if "/system.control/" in path or path.startswith("/run/systemd/generator"):
        return False
    return os.path.dirname(path) in folders or not path.startswith("/run/")


def _environment_inputs(lines: t.Sequence[str]) -> t.Iterator[Input]:
    for line in lines:
        match = _ENVIRONMENT_FILE.fullmatch(line)
        pattern, optional = (match[1], match[2] == "yes") if match else (line, False)
        if glob.has_magic(pattern):
            for path in sorted(glob.glob(pattern)):
                yield Input(path, ENVIRONMENT)
            folder, name = os.path.split(pattern)
            if not glob.has_magic(folder):
                yield Input(folder, ENVIRONMENT, required=False, suffix=re.split(r"[*?\]]", name)[-1])
        elif pattern:
            yield Input(pattern, ENVIRONMENT, required=not optional)


def _unescaped(quoted: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        if len(code) == 3:
            return chr(int(code, 8))
        return _CONTROLS.get(code, code)

    return _ESCAPE.sub(one, quoted)


def _seconds(text: str) -> float | None:
    # Such as "Tue 2026-11-24 10:00:00 UTC". The fraction of the second is lost, so the end of the second is used.
    with contextlib.suppress(ValueError, OverflowError, IndexError):
        return calendar.timegm(time.strptime(" ".join(text.split()[1:3]), "%Y-%m-%d %H:%M:%S")) + 1.0
    return None
