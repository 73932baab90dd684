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

MAIN_APP = "synapse.app.homeserver"

# The scripts that Synapse's package installs, and what they run.
_SCRIPTS = {"synapse_homeserver": MAIN_APP, "synapse_worker": "synapse.app.generic_worker"}
_NOT_SERVERS = frozenset({"synapse.app.admin_cmd"})
# With these options Synapse writes files and exits.
_ONE_SHOT = frozenset({"--generate-config", "--generate-keys", "--generate-missing-configs"})
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")
_JEMALLOC = re.compile(r"/\S*/libjemalloc\S*")
_EFFECTIVE_USER = re.compile(r"^Uid:\s+\d+\s+(\d+)", re.MULTILINE)
_OPEN_FILES = re.compile(r"^Max open files\s+(\S+)\s+(\S+)", re.MULTILINE)
_FIX = "Run the task with become, as root."
_HIDDEN = {
    "open_files": "open files",
    "jemalloc": "libraries",
    "environment": "environment",
    "outdated_by": "program, which may have been replaced since the start",
}
# The kernel adds this to the name of a program whose file was removed.
_DELETED = " (deleted)"
T = t.TypeVar("T")


class Unknown(t.NamedTuple):
    """Something that could not be found out: the name of the value, the reason, and the fix."""

    name: str
    reason: str
    fix: str


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """How a process of Synapse was started: the module that it runs, and the values of its `--config-path` options."""

    app: str
    config_path: tuple[str, ...]
    daemonized: bool = False


@dataclasses.dataclass(frozen=True)
class Process:
    """A running process of Synapse. `config_path`: the absolute paths of its configuration.

    `interpreter`: the first word of its command line, which the user who started it could choose. `daemonized`: it was
    started with -D.
    """

    pid: int
    app: str
    config_path: tuple[str, ...]
    interpreter: str
    daemonized: bool = False


def parse_command_line(arguments: t.Sequence[str]) -> CommandLine | None:
    """Return how Synapse was started, or None if these are not the arguments of a server process.

    A wrapper that starts Synapse (sudo, a shell) has the same words in its arguments, but is not a Python interpreter.
    """
    if not arguments or not _INTERPRETER.fullmatch(os.path.basename(arguments[0])):
        return None
    position, module = 1, None
    while position < len(arguments) and arguments[position].startswith("-"):
        option = arguments[position]
        if option.endswith("m") and not option.startswith("--"):
            module = arguments[position + 1] if position + 1 < len(arguments) else None
        # -m, -W and -X use the next argument if no value follows in the same word.
        position += 2 if option[-1] in "mWX" and not option.startswith("--") else 1
        if module:
            break
    if module is None and position < len(arguments):
        module = _SCRIPTS.get(os.path.basename(arguments[position]))
        position += 1
    options = arguments[position:]
    if not module or not module.startswith("synapse.app.") or module in _NOT_SERVERS or _ONE_SHOT & set(options):
        return None
    return CommandLine(module, _config_paths(options), bool({"-D", "--daemonize"} & set(options)))


def find_processes(config_path: t.Sequence[str], proc: str = "/proc") -> tuple[list[Process], list[Unknown]]:
    """Return the running processes that were started with the first of `config_path`, the main process before workers.

    There may be workers only. Workers are started with the same configuration and a file of their own. Processes in
    containers are left out, because they have different files at the same paths. The second value: what could not be
    found out. Raises SynapseError if there is no /proc.
    """
    if not os.path.isdir(os.path.join(proc, "self")):
        raise SynapseError(f"{proc} shows no processes. Run this module on Linux, with {proc} mounted.")
    wanted = os.path.realpath(config_path[0])
    found: list[Process] = []
    unknown: list[Unknown] = []
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            process = _read_process(proc, pid, os.path.basename(wanted))
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
        except PermissionError:
            reason = f"This user is not allowed to see whether process {pid} runs with this configuration."
            unknown.append(Unknown("processes", reason, _FIX))
            continue
        if process and wanted in (os.path.realpath(path) for path in process.config_path):
            found.append(process)
    return sorted(found, key=lambda process: (process.app != MAIN_APP, process.pid)), unknown


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
        return user_name(int(_found(_EFFECTIVE_USER, self._read("status"))[0]))

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
            self.unknown.append(Unknown(name, reason, _FIX))
            return None


def _read_process(proc: str, pid: int, main_file: str) -> Process | None:
    with open(os.path.join(proc, str(pid), "cmdline"), encoding="utf-8", errors="replace") as file:
        arguments = file.read().split("\0")[:-1]
    started = parse_command_line(arguments)
    if started is None or not started.config_path or not _sees_same_files(proc, pid):
        return None
    paths = started.config_path
    if not all(os.path.isabs(path) for path in paths):
        try:
            directory = ProcessReader(pid, proc).directory_at_start(started.daemonized)
        except PermissionError:
            if main_file in (os.path.basename(path) for path in paths):
                raise
            return None
        paths = tuple(os.path.join(directory, path) for path in paths)
    return Process(pid, started.app, paths, arguments[0], started.daemonized)


def _sees_same_files(proc: str, pid: int) -> bool:
    try:
        other = os.readlink(os.path.join(proc, str(pid), "ns", "pid"))
    except PermissionError:
        # This process belongs to another user. It can be in a container, but most hosts have none.
        return True
    return other == os.readlink(os.path.join(proc, "self", "ns", "pid"))


def _config_paths(options: t.Sequence[str]) -> tuple[str, ...]:
    paths: list[str] = []
    following = iter(options)
    for option in following:
        if option in ("-c", "--config-path"):
            paths.append(next(following, ""))
        elif option.startswith("--config-path="):
            paths.append(option.partition("=")[2])
        elif option.startswith("-c"):
            paths.append(option[2:])
    return tuple(path for path in paths if path)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if match is None:
        raise SynapseError(f"/proc does not have the format of Linux: it does not contain {pattern.pattern!r}.")
    return match.groups()
