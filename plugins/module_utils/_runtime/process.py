# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The running processes of a Synapse, as the kernel shows them below /proc (proc(5), Linux)."""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

MAIN_APP = "synapse.app.homeserver"

# The scripts that Synapse's package installs, and what they run.
_SCRIPTS = {"synapse_homeserver": MAIN_APP, "synapse_worker": "synapse.app.generic_worker"}
_NOT_SERVERS = frozenset({"synapse.app.admin_cmd"})
# With these Synapse writes files and ends.
_ONE_SHOT = frozenset({"--generate-config", "--generate-keys", "--generate-missing-configs"})
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*")
_JEMALLOC = re.compile(r"/\S*/libjemalloc\S*")
_EFFECTIVE_USER = re.compile(r"^Uid:\s+\d+\s+(\d+)", re.MULTILINE)
_OPEN_FILES = re.compile(r"^Max open files\s+(\S+)\s+(\S+)", re.MULTILINE)
_MEND = "Run the task with become, as root."
_WORDS = {
    "open_files": "open files",
    "jemalloc": "libraries",
    "environment": "environment",
    "outdated_by": "program, which may have been replaced since",
}
# What the kernel adds to the name of a program whose file is gone.
_DELETED = " (deleted)"
T = t.TypeVar("T")


class Unseen(t.NamedTuple):
    """Something that could not be found out: the name of the value, why, and what mends it."""

    what: str
    why: str
    mend: str


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """How a process of Synapse was started: the module that it runs, and its `--config-path` options as given."""

    app: str
    config_path: tuple[str, ...]
    daemonized: bool = False


@dataclasses.dataclass(frozen=True)
class Process:
    """A running process of Synapse. `config_path` holds its configuration by absolute paths.

    `interpreter` is what it was called by, which whoever started it could choose. `daemonized`: it was started with -D.
    """

    pid: int
    app: str
    config_path: tuple[str, ...]
    interpreter: str
    daemonized: bool = False


def parse_command_line(arguments: t.Sequence[str]) -> CommandLine | None:
    """Return how Synapse was started, or None if these are not the arguments of a process that serves.

    A wrapper that starts one (sudo, a shell) names the same words, but is no Python interpreter.
    """
    if not arguments or not _INTERPRETER.fullmatch(os.path.basename(arguments[0])):
        return None
    position, module = 1, None
    while position < len(arguments) and arguments[position].startswith("-"):
        option = arguments[position]
        if option.endswith("m") and not option.startswith("--"):
            module = arguments[position + 1] if position + 1 < len(arguments) else None
        # -m, -W and -X take the next argument when they stand alone.
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


def find_processes(config_path: t.Sequence[str], proc: str = "/proc") -> tuple[list[Process], list[Unseen]]:
    """Return the running processes that were started with the first of `config_path`, the main process before workers.

    Workers are started with the same configuration and a file of their own. Only processes that see the same files
    count: those of a container have other ones below the same paths. What could not be told is returned too.
    Raises SynapseError where there is no /proc.
    """
    if not os.path.isdir(os.path.join(proc, "self")):
        raise SynapseError(f"{proc} shows no processes: this module needs Linux, with /proc mounted.")
    wanted = os.path.realpath(config_path[0])
    found: list[Process] = []
    unseen: list[Unseen] = []
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            process = _read_process(proc, pid, os.path.basename(wanted))
        except (FileNotFoundError, ProcessLookupError):
            # It ended in this moment.
            continue
        except PermissionError:
            unseen.append(Unseen("processes", f"Whether process {pid} runs with this configuration is hidden.", _MEND))
            continue
        if process and wanted in (os.path.realpath(path) for path in process.config_path):
            found.append(process)
    return sorted(found, key=lambda process: (process.app != MAIN_APP, process.pid)), unseen


class ProcessReader:
    """Reads what one process really has. What this user may not see is None, and is noted in `unseen`.

    Every method raises FileNotFoundError or ProcessLookupError if the process has ended meanwhile.
    """

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._pid = pid
        self._directory = os.path.join(proc, str(pid))
        self.unseen: list[Unseen] = []

    def user(self) -> str:
        """Return the name of the user that the process runs as, or the number of one without a name."""
        number = int(_found(_EFFECTIVE_USER, self._read("status"))[0])
        try:
            return pwd.getpwuid(number).pw_name
        except KeyError:
            return str(number)

    def file_limits(self) -> dict[str, int | None]:
        """Return how many files the process may have open: `soft` and `hard`, None for no limit."""
        soft, hard = _found(_OPEN_FILES, self._read("limits"))
        return {"soft": _limit(soft), "hard": _limit(hard)}

    def open_files(self) -> int | None:
        """Return how many files and sockets the process has open."""
        return self._attempt("open_files", lambda: len(os.listdir(os.path.join(self._directory, "fd"))))

    def jemalloc(self) -> dict[str, t.Any] | None:
        """Return whether the process has loaded the library jemalloc (`loaded`), and from where (`library`)."""
        maps = self._attempt("jemalloc", lambda: self._read("maps"))
        if maps is None:
            return None
        match = _JEMALLOC.search(maps)
        return {"loaded": match is not None, "library": match.group() if match else None}

    def environment(self) -> dict[str, str] | None:
        """Return the variables of the process that change how Synapse uses memory: others may be secret."""
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
        """Return when the process was started, in seconds on the clock of the boot (CLOCK_BOOTTIME)."""
        return int(self._status_fields()[19]) / os.sysconf("SC_CLK_TCK")

    def parent(self) -> int:
        """Return the number of the process that is the parent now."""
        return int(self._status_fields()[1])

    def control_group(self) -> str:
        """Return the text that tells the control groups of the process, and with them its unit."""
        return self._read("cgroup")

    def replaced_program(self) -> str | None:
        """Return the path of the program that the process runs if that was removed or replaced since, else None."""
        link = self._attempt("outdated_by", lambda: os.readlink(os.path.join(self._directory, "exe")))
        return link[: -len(_DELETED)] if link and link.endswith(_DELETED) else None

    def directory_at_start(self, daemonized: bool) -> str:
        """Return where the process was when it was started. Raises PermissionError if this user may not see that."""
        if not daemonized:
            return os.readlink(os.path.join(self._directory, "cwd"))
        # A daemon has gone to / (synapse/util/daemonize.py); the shell that started it has noted where it was.
        return dict(item.partition("=")[::2] for item in self._read("environ").split("\0")).get("PWD", "/")

    def _status_fields(self) -> list[str]:
        # The second field is the name of the program, in parentheses, and may itself hold spaces and parentheses.
        return self._read("stat").rpartition(")")[2].split()

    def _read(self, name: str) -> str:
        with open(os.path.join(self._directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _attempt(self, what: str, read: t.Callable[[], T]) -> T | None:
        try:
            return read()
        except PermissionError:
            why = f"Only root and the user of process {self._pid} may see its {_WORDS[what]}."
            self.unseen.append(Unseen(what, why, _MEND))
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
        # Another user's process: it may well be a container's, but mostly there are none.
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


def _limit(text: str) -> int | None:
    return None if text == "unlimited" else int(text)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if match is None:
        raise SynapseError(f"/proc has not the form of Linux: {pattern.pattern!r} is not in it.")
    return match.groups()
