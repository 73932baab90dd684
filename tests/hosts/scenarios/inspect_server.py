# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON what is to be seen of a running server: UNIT PORT METRICS_PORT [SETTING ...]

Run on the host by inspect.yml, and there at once, because each task costs more than all of this together.
"""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
import urllib.request
from pathlib import Path


def read_url(port: str, path: str) -> str:
    """Return what is there; raise an exception if the answer is no success."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def inspect(unit: str, port: str, metrics_port: str, settings: list[str]) -> dict[str, object]:
    """Return all that inspect.yml expects something of."""
    properties = "--property=MainPID,ActiveState,UnitFileState,NRestarts"
    command = ["systemctl", "show", unit, properties]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    systemd = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    process = Path("/proc", systemd["MainPID"])
    command = [word for word in (process / "cmdline").read_text().split("\0") if word]
    read = {}
    for setting in settings:
        # As it was started.
        reading = [command[0], "-m", "synapse.config", "read", setting, *command[3:]]
        done = subprocess.run(reading, cwd=process / "cwd", stdout=subprocess.PIPE, text=True, check=True)
        read[setting] = done.stdout.splitlines()[-1].split()[-1]
    return {
        "systemd": systemd,
        "user": pwd.getpwuid(process.stat().st_uid).pw_name,
        "limits": (process / "limits").read_text(),
        "jemalloc": "/libjemalloc.so" in (process / "maps").read_text(),
        "environment": (process / "environ").read_text().split("\0"),
        "health": read_url(port, "/health"),
        "version": json.loads(read_url(port, "/_synapse/admin/v1/server_version"))["server_version"],
        "metrics": read_url(metrics_port, "/_synapse/metrics"),
        "settings": read,
    }


if __name__ == "__main__":
    print(json.dumps(inspect(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])))
