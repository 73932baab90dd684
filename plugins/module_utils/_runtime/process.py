# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The running processes of a Synapse, as the kernel shows them below /proc (proc(5), Linux)."""

from __future__ import annotations

import dataclasses
import errno
import os
import pwd
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.command_line import (
    MAIN_APP,
    CommandLine,
    parse_command_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.container import InContainer, container_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.hidden_processes import hiding_option

__all__ = [
    "AS_ROOT",
    "MAIN_APP",
    "Found",
    "InContainer",
    "Process",
    "ProcessReader",
    "Unknown",
    "find_processes",
    "parse_command_line",
    "user_name",
]

_JEMALLOC = re.compile(r"/\S*/libjemalloc\S*")
_EFFECTIVE_USER = re.compile(r"^Uid:\s+\d+\s+(\d+)", re.MULTILINE)
_OPEN_FILES = re.compile(r"^Max open files\s+(\S+)\s+(\S+)", re.MULTILINE)
AS_ROOT = "Run the task with become, as root."
_HIDDEN = {
    "open_files": "open files",
    "jemalloc": "libraries",
    "environment": "environment",
    "outdated_by": "program, which may have been replaced since the start",
}
# The kernel adds this to the name of a program whose file was removed.
_DELETED = " (deleted)"
# In characters. The kernel allows 6 MiB.
_LONGEST_COMMAND_LINE = 2**18
T = t.TypeVar("T")


class Unknown(t.NamedTuple):
    """Something that could not be found out: the name of the value, the reason, and the fix."""

    name: str
    reason: str
    fix: str


@dataclasses.dataclass(frozen=True)
class Process:
    """A running process of Synapse. `config_path`: the absolute paths of its configuration.

    `interpreter`: the Python that it was started with, which the user who started it could choose. `daemonized`: it was
    started with -D.
    """

    pid: int
    app: str
    config_path: tuple[str, ...]
    interpreter: str
    daemonized: bool = False


class Found(t.NamedTuple):
    """The running processes of a Synapse, the main process before workers.

    `unknown`: what could not be found out. `in_containers`: the processes of any Synapse that see other files.
    """

    processes: list[Process]
    unknown: list[Unknown]
    in_containers: list[InContainer]


def find_processes(config_path: t.Sequence[str], proc: str = "/proc") -> Found:
    """Return the running processes that were started with the first of `config_path`.

    There may be workers only. Workers are started with the same configuration and a file of their own. Processes in
    containers are listed on their own, because they have different files at the same paths. Raises SynapseError if
    there is no /proc.
    """
    if not os.path.isdir(os.path.join(proc, "self")):
        raise SynapseError(f"{proc} shows no processes. Run this module on Linux, with {proc} mounted.")
    wanted = os.path.realpath(config_path[0])
    found = Found([], [], [])
    hidden: list[int] = []
    for pid in _all_processes(proc):
        try:
            _look_at(proc, pid, wanted, found, hidden)
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
        except PermissionError:
            reason = f"This user is not allowed to see whether process {pid} runs with this configuration."
            found.unknown.append(Unknown("processes", reason, AS_ROOT))
    option = hiding_option(proc)
    if option:
        reason = f"{proc} is mounted with {option}, so this user cannot see the processes of other users."
        found.unknown.append(Unknown("processes", reason, AS_ROOT))
    elif hidden:
        reason = (
            f"This user is not allowed to see the command lines of some processes ({len(hidden)}, such as {hidden[0]}),"
            " and so whether they run with this configuration."
        )
        found.unknown.append(Unknown("processes", reason, AS_ROOT))
    found.processes.sort(key=lambda process: (process.app != MAIN_APP, process.pid))
    return found


def _all_processes(proc: str) -> t.Iterator[int]:
    """Yield the process IDs, with those that begin meanwhile.

    A daemon that is starting goes on as a child and ends: whoever lists once can find neither of the two.
    """
    seen: set[int] = set()
    while new := sorted({int(name) for name in os.listdir(proc) if name.isdecimal()} - seen):
        yield from new
        seen.update(new)


def user_name(number: int) -> str:
    """Return the name of a user, or the number if the user has no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


class ProcessReader:
    """Reads the state of one process. What this user is not allowed to see is None, and is added to `unknown`.

    Every method raises FileNotFoundError or ProcessLookupError if the process has ended.
    """

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._pid = pid
        self._directory = os.path.join(proc, str(pid))
        self.unknown: list[Unknown] = []

    def user(self) -> str:
        """Return the name of the user that the process runs as, or the number of the user if it has no name."""
        return user_name(self.user_number())

    def user_number(self) -> int:
        """Return the number of the user that the process runs as."""
        return int(_found(_EFFECTIVE_USER, self._read("status"))[0])

    def file_limits(self) -> dict[str, int]:
        """Return how many files the process may have open: `soft` and `hard`, without a key where there is no limit."""
        limits = zip(("soft", "hard"), _found(_OPEN_FILES, self._read("limits")))
        return {name: int(limit) for name, limit in limits if limit != "unlimited"}

    def open_files(self) -> int | None:
        """Return how many files and sockets the process has open."""
        return self._attempt("open_files", lambda: len(os.listdir(os.path.join(self._directory, "fd"))))

    def jemalloc(self) -> dict[str, t.Any] | None:
        """Return whether the process has loaded jemalloc (`loaded`), and the path of the library if so (`library`)."""
        maps = self._attempt("jemalloc", lambda: self._read("maps"))
        if maps is None:
            return None
        if not maps:
            # Each running program has maps. This process has ended, and its parent has not noticed yet.
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        match = _JEMALLOC.search(maps)
        return {"loaded": True, "library": match.group()} if match else {"loaded": False}

    def environment(self) -> dict[str, str] | None:
        """Return the variables of the process that change how Synapse uses memory. Other variables may be secret."""
        text = self._attempt("environment", lambda: self._read("environ"))
        if text is None:
            return None
        variables = dict(item.split("=", 1) for item in text.split("\0") if "=" in item)
        return {
            name: value
            for name, value in variables.items()
            if name in ("LD_PRELOAD", "PYTHONMALLOC") or name.startswith("SYNAPSE_CACHE_FACTOR")
        }

    def started(self) -> float:
        """Return when the process was started, in seconds since the boot (CLOCK_BOOTTIME)."""
        return int(self._status_fields()[19]) / os.sysconf("SC_CLK_TCK")

    def parent(self) -> int:
        """Return the process id of the current parent."""
        return int(self._status_fields()[1])

    def control_group(self) -> str:
        """Return the text that contains the control groups of the process, and with them its unit."""
        return self._read("cgroup")

    def replaced_program(self) -> str | None:
        """Return the path of the program of the process if it was removed or replaced since the start, else None."""
        link = self._attempt("outdated_by", lambda: os.readlink(os.path.join(self._directory, "exe")))
        return link[: -len(_DELETED)] if link and link.endswith(_DELETED) else None

    def directory_at_start(self, daemonized: bool) -> str:
        """Return the working directory at the start. Raises PermissionError if this user is not allowed to see it."""
        if not daemonized:
            return os.readlink(os.path.join(self._directory, "cwd"))
        # A daemon changes to / (synapse/util/daemonize.py); the shell that started it has set PWD.
        return dict(item.partition("=")[::2] for item in self._read("environ").split("\0")).get("PWD", "/")

    def _status_fields(self) -> list[str]:
        # The second field is the name of the program, in parentheses, and can contain spaces and parentheses.
        return self._read("stat").rpartition(")")[2].split()

    def _read(self, name: str) -> str:
        with open(os.path.join(self._directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _attempt(self, name: str, read: t.Callable[[], T]) -> T | None:
        try:
            return read()
        except PermissionError:
            reason = f"Only root and the user of process {self._pid} are allowed to see its {_HIDDEN[name]}."
            self.unknown.append(Unknown(name, reason, AS_ROOT))
            return None


def _look_at(proc: str, pid: int, wanted: str, found: Found, hidden: list[int]) -> None:
    """Add a process to what was found, or to `hidden` if this user is not allowed to see its command line."""
    try:
        started = _read_command_line(proc, pid)
    except PermissionError:
        hidden.append(pid)
        return
    if started is None or not started.config_path:
        return
    container = container_of(pid, proc)
    if container:
        found.in_containers.append(InContainer(pid, started.app, started.config_path, container))
        return
    paths = started.config_path
    if not all(os.path.isabs(path) for path in paths):
        try:
            directory = ProcessReader(pid, proc).directory_at_start(started.daemonized)
        except PermissionError:
            if os.path.basename(wanted) in (os.path.basename(path) for path in paths):
                raise
            return
        paths = tuple(os.path.join(directory, path) for path in paths)
    if wanted in (os.path.realpath(path) for path in paths):
        found.processes.append(Process(pid, started.app, paths, started.interpreter, started.daemonized))


def _read_command_line(proc: str, pid: int) -> CommandLine | None:
    directory = os.path.join(proc, str(pid))

    def program() -> str:
        try:
            return os.readlink(os.path.join(directory, "exe")).removesuffix(_DELETED)
        except PermissionError:
            # Every user is allowed to see its name without its directory.
            with open(os.path.join(directory, "comm"), encoding="utf-8", errors="replace") as file:
                return file.read().rstrip("\n")

    with open(os.path.join(directory, "cmdline"), encoding="utf-8", errors="replace", newline="") as file:
        text = file.read(_LONGEST_COMMAND_LINE + 1)
    if len(text) > _LONGEST_COMMAND_LINE:
        return None
    return parse_command_line(text.removesuffix("\0").split("\0"), program)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if match is None:
        raise SynapseError(f"/proc does not have the format of Linux: it does not contain {pattern.pattern!r}.")
    return match.groups()
