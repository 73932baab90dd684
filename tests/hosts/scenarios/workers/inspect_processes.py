# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON what is to be seen of running processes: UNIT PORT [UNIT PORT ...], with the ports of their metrics.

Run on the host by inspect_workers.yml, and there at once, because each task costs more than all of this together.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

SIZE = re.compile(r'^synapse_util_caches_cache_max_size\{(?:[^}]*,)?name="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE)


def main_pid(unit: str) -> str:
    """Return the id of the main process of a unit, as text."""
    command = ["systemctl", "show", "--property=MainPID", "--value", unit]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def start_reading(pid: str, setting: str) -> subprocess.Popen[str]:
    """Let Synapse itself read a setting as the process has read it, with its Python and its files."""
    command = [word for word in Path("/proc", pid, "cmdline").read_text().split("\0") if word]
    files = [word for word in command if word.startswith("--config-path")]
    reading = [command[0], "-m", "synapse.config", "read", setting, *files]
    return subprocess.Popen(reading, cwd=f"/proc/{pid}/cwd", stdout=subprocess.PIPE, text=True)


def inspect(pid: str, port: str) -> dict[str, object]:
    """Return what a process has in force."""
    process = Path("/proc", pid)
    limits = (process / "limits").read_text()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_synapse/metrics", timeout=30) as answer:
        metrics: str = answer.read().decode()
    return {
        "command": (process / "cmdline").read_text().replace("\0", " "),
        "open_files": int(re.findall(r"Max open files +(\d+)", limits)[0]),
        "jemalloc": "/libjemalloc.so" in (process / "maps").read_text(),
        "environment": (process / "environ").read_text().split("\0"),
        "caches": {name: float(size) for name, size in SIZE.findall(metrics)},
    }


def main(words: list[str]) -> None:
    """Inspect all processes."""
    ports = dict(zip(words[::2], words[1::2], strict=True))
    pids = {unit: main_pid(unit) for unit in ports}
    readings = {unit: start_reading(pid, "server.presence_enabled") for unit, pid in pids.items()}
    found = {unit: inspect(pids[unit], port) for unit, port in ports.items()}
    for unit, reading in readings.items():
        found[unit]["presence"] = reading.communicate()[0].splitlines()[-1].split()[-1]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
