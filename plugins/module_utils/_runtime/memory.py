# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The memory, the threads and the CPU time of a process, and the memory of the host.

Relies on Linux: /proc/PID/smaps_rollup (4.14), status and stat (proc(5)), /proc/meminfo, /proc/stat, /proc/pressure/io
(4.20, if the kernel measures pressure), and the memory limits of control groups, version 2 (`memory.max`) and version 1
(`memory.limit_in_bytes`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# In kB, which the kernel means as 1024 bytes.
_FIGURE = re.compile(r"^(\w+):[ \t]+([0-9]{1,18}) kB$", re.MULTILINE)
_THREADS = re.compile(r"^Threads:[ \t]+([0-9]{1,9})$", re.MULTILINE)
_IS_ZOMBIE = re.compile(r"^State:[ \t]+[ZX]", re.MULTILINE)
_PROCESSOR = re.compile(r"^cpu[0-9]+ ", re.MULTILINE)
_PRESSURE = re.compile(r"^some .*\bavg60=([0-9]{1,3}(?:\.[0-9]+)?)\b", re.MULTILINE)
# What the kernel shows in version 1 if there is no limit is a little below 2**63.
_NO_LIMIT = 2**60


class ProcessMemory(t.NamedTuple):
    """The use of memory and CPU of a process.

    `memory`: `resident_bytes`, `proportional_bytes` (memory that is shared with other processes counts in parts, so the
    sum over processes is right) and `swapped_bytes` (in parts too, where the kernel shows it); what is unknown is left
    out. `cpu_seconds`: of all threads since the start, user and system. `is_complete`: False if this user is not
    allowed to see `proportional_bytes`.
    """

    memory: dict[str, int]
    threads: int
    cpu_seconds: float
    is_complete: bool


def read_memory(pid: int, proc: str = "/proc") -> ProcessMemory:
    """Return the use of memory and CPU of the process `pid`.

    Raises FileNotFoundError or ProcessLookupError if it has ended, and SynapseError if /proc has a different format.
    """
    directory = os.path.join(proc, str(pid))
    # A kernel that has no smaps_rollup shows status, and a process that has ended shows neither.
    status = _read(os.path.join(directory, "status"))
    if _IS_ZOMBIE.search(status):
        # It has ended, and its parent has not noticed yet.
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    rollup, is_complete = {}, True
    try:
        rollup = _figures(_read(os.path.join(directory, "smaps_rollup")))
    except FileNotFoundError:
        pass
    except PermissionError:
        is_complete = False
    simple = _figures(status)
    memory = {
        "resident_bytes": rollup.get("Rss", simple.get("VmRSS")),
        "proportional_bytes": rollup.get("Pss"),
        "swapped_bytes": rollup.get("SwapPss", rollup.get("Swap", simple.get("VmSwap"))),
    }
    threads = _THREADS.search(status)
    if threads is None:
        raise SynapseError(f"/proc does not have the format of Linux: {directory}/status has no line Threads.")
    cpu_seconds = read_cpu_seconds(pid, proc)
    return ProcessMemory(_known(memory), int(threads[1]), cpu_seconds, is_complete)


def read_cpu_seconds(pid: int, proc: str = "/proc") -> float:
    """Return the CPU time of all threads of a process since its start, user and system, in seconds.

    Raises FileNotFoundError or ProcessLookupError if it has ended.
    """
    return _cpu_seconds(os.path.join(proc, str(pid), "stat"))


def read_host(proc: str = "/proc") -> dict[str, t.Any]:
    """Return the memory of the host in bytes, its number of processors, and the pressure on its storage.

    `io_pressure_share`: the share of the last minute in which at least one process waited for storage. What the kernel
    does not show is left out.
    """
    memory = _figures(_read_if_possible(os.path.join(proc, "meminfo")))
    pressure = _PRESSURE.search(_read_if_possible(os.path.join(proc, "pressure", "io")))
    return _known(
        {
            "memory_total_bytes": memory.get("MemTotal"),
            "memory_available_bytes": memory.get("MemAvailable"),
            "swap_total_bytes": memory.get("SwapTotal"),
            "swap_free_bytes": memory.get("SwapFree"),
            "processors": len(_PROCESSOR.findall(_read_if_possible(os.path.join(proc, "stat")))) or None,
            "io_pressure_share": round(float(pressure[1]) / 100, 4) if pressure else None,
        }
    )


def memory_limit(control_group_text: str, sys: str = "/sys/fs/cgroup") -> int | None:
    """Return the smallest limit of memory in bytes of the control groups of a process and their parents.

    `control_group_text`: the content of /proc/PID/cgroup. None if there is no limit, or if it cannot be seen.
    """
    limits = [limit for path in _limit_files(control_group_text, sys) for limit in _limit(path)]
    return min(limits, default=None)


def _limit_files(text: str, sys: str) -> t.Iterator[str]:
    for line in text.splitlines():
        number, _colon, rest = line.partition(":")
        controllers, _colon, group = rest.partition(":")
        if (number, controllers) == ("0", ""):
            # With both versions in use, systemd mounts version 2 below `unified`.
            roots, name = (sys, os.path.join(sys, "unified")), "memory.max"
        elif "memory" in controllers.split(","):
            roots, name = (os.path.join(sys, controllers), os.path.join(sys, "memory")), "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in group.split("/") if part not in ("", ".")]
        # A group outside of the visible ones begins with `..`, and a path with NUL cannot be opened.
        if ".." in parts or "\0" in line:
            continue
        for root in dict.fromkeys(roots):
            for length in range(len(parts), -1, -1):
                yield os.path.join(root, *parts[:length], name)


def _limit(path: str) -> t.Iterator[int]:
    text = _read_if_possible(path).strip()
    if re.fullmatch("[0-9]{1,20}", text) and 0 < int(text) < _NO_LIMIT:
        yield int(text)


def _cpu_seconds(path: str) -> float:
    # The second field is the name of the program, in parentheses, and can contain spaces and parentheses.
    fields = _read(path).rpartition(")")[2].split()
    try:
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (IndexError, ValueError):
        raise SynapseError(f"/proc does not have the format of Linux: {path} has no CPU time.") from None


def _figures(text: str) -> dict[str, int]:
    return {name: int(value) * 1024 for name, value in _FIGURE.findall(text)}


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _read_if_possible(path: str) -> str:
    with contextlib.suppress(OSError):
        return _read(path)
    return ""


def _known(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in values.items() if value is not None}
