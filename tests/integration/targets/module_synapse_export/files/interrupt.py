# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a signal to the task that is exporting below DIRECTORY, and wait until it and Synapse's command have ended.

interrupt.py DIRECTORY SIGNAL [SECONDS]
    Waits for the command to have written something first. With the signal 0 it sends none and only waits for that.
    With SECONDS it waits for nothing but a random time, so long at most, after the command has begun.
"""

from __future__ import annotations

import contextlib
import glob
import os
import random
import sys
import threading
import time
import typing as t

_PATIENCE = 60.0


def find(directory: str) -> tuple[int, int] | None:
    """Return the numbers of Synapse's command, which names a path below `directory`, and of the task that runs it."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
                arguments = file.read().split("\0")
            with open(f"/proc/{number}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "export-data" in arguments and any(text.startswith(directory + os.sep) for text in arguments):
            return int(number), parent
    return None


def has_written(directory: str) -> bool:
    """Return whether the command has begun to write events."""
    return bool(glob.glob(os.path.join(glob.escape(directory), ".synapse_export_*", "export", "rooms", "*", "events")))


def wait(condition: str, until: t.Callable[[], t.Any]) -> None:
    """Wait until the function `until` returns something true."""
    deadline = time.monotonic() + _PATIENCE
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit(f"Waited in vain: {condition}")
        time.sleep(0.05)


def main(directory: str, signal: str, seconds: str = "0") -> None:
    """Do what is said above."""
    anywhere = float(seconds) > 0
    wait("the export has begun", lambda: find(directory) and (anywhere or has_written(directory)))
    found = find(directory)
    if found is None:
        raise SystemExit("The export has ended by itself.")
    threading.Event().wait(random.uniform(0, float(seconds)))
    if int(signal):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[1], int(signal))
        wait("the command and the task have ended", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in found))


if __name__ == "__main__":
    main(*sys.argv[1:])
