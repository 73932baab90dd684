# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program nginx of a host, its service, and what it says."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time

MARK = "matrix_ops.synapse"
# In seconds, for each process.
TIME_LIMIT = 60
PROPERTIES = "ActiveState,UnitFileState,MainPID,LoadState,StateChangeTimestampMonotonic"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Return how a command ended and what it printed; raises `OSError` or `subprocess.TimeoutExpired`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
        timeout=TIME_LIMIT,
        check=False,
        encoding="utf-8",
        errors="replace",
    )


def words(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


def read(path: str) -> str | None:
    """Return the text of a file, or None if there is none; raises `OSError` if it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(f"{path} is not a file")
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_foreign(content: str | None) -> bool:
    """Return whether a file has a content that this collection has not written."""
    return bool(content) and MARK not in str(content).split("\n", 1)[0]


def reasons(said: str) -> str:
    """Return why nginx refuses something, out of all that it says: each reason once, without time and process."""
    lines = [re.sub(r"^.*?(\[[a-z]+\])( [0-9]+#[0-9]+:)?(?= )", r"\1", line) for line in said.splitlines()]
    severe = [line for line in lines if re.match(r"\[(emerg|alert|crit|error)\]", line)]
    return words(" ".join(dict.fromkeys(severe)) or said)


class Nginx:
    """The program nginx of this host, and its service."""

    def __init__(self) -> None:
        self.path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") or ""
        built = run([self.path, "-V"]).stderr if self.path else ""
        version = re.search(r"/([0-9]+)[.]([0-9]+)[.]([0-9]+)", built)
        self.version = tuple(int(part) for part in version.groups()) if version else (1, 26, 0)
        self.has_http2 = not built or "--with-http_v2_module" in built
        main_file = re.search(r"--conf-path=(\S+)", built)
        self.main_file = main_file.group(1) if main_file else "/etc/nginx/nginx.conf"
        error_log = re.search(r"(?m)^[ \t]*error_log[ \t]+(/[^\s;]+)", read(self.main_file) or "")
        self.error_log = error_log.group(1) if error_log else "/var/log/nginx/error.log"
        if not os.path.isdir("/run/systemd/system"):
            raise OSError(
                "This host does not run systemd (it has no /run/systemd/system), which starts and reloads nginx."
            )
        shown = run(["systemctl", "show", "nginx.service", "--property=" + PROPERTIES])
        state = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        self.load_state = state.get("LoadState", "")
        self.active = state.get("ActiveState") in ("active", "reloading")
        self.enabled = state.get("UnitFileState", "") in ("enabled", "static", "generated", "alias")
        # When systemd has started or reloaded it last, in seconds since the start of the host.
        self.told_at = int(state.get("StateChangeTimestampMonotonic") or 0) / 1e6
        self.main_pid = int(state.get("MainPID") or 0)

    def started(self) -> float:
        """Return since when nginx has its present configuration, as a Unix time; 0 if it does not run."""
        processes = [process for process in (process_of(name) for name in os.listdir("/proc")) if process]
        # Processes of an earlier configuration may still end the requests that they have begun.
        workers = [
            started
            for _pid, parent, title, started in processes
            if parent == self.main_pid and "worker process" in title and "shutting down" not in title
        ]
        read = workers or [started for pid, _parent, _title, started in processes if pid == self.main_pid] or [0.0]
        # New processes have an old configuration if they replace some that were killed.
        told = [time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + self.told_at] if self.told_at else []
        return min(read + told)


def process_of(name: str) -> tuple[int, int, str, float] | None:
    """Return number, parent, title and time of the start of a process of /proc, or None if there is none any more."""
    if not name.isdigit():
        return None
    try:
        with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(f"/proc/{name}/cmdline", encoding="ascii", errors="replace") as file:
            title = file.read()
    except OSError:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return int(name), int(fields[1]), title, time.time() - age
