# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of which nothing is left when it ends: supervised.py [--lasting] [--account USER:GROUP] PARENT REPORT
COMMAND...

Whatever the command has started, in the background too, is ended with it (unless it is `--lasting`), and with this
program: when that is told to stop, or when the process PARENT, which has started it, is gone, killed or not. The file
descriptor REPORT gets the seconds of processor time that all of them took. `--account`: whom the command runs as, in
numbers. The exit status is that of the command.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TO_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long a process has to end by itself once it is told to.
_PATIENCE = 20.0


class _Stop(Exception):
    """This program is told to stop."""


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lasting", action="store_true")
    parser.add_argument("--account", type=lambda numbers: [int(number) for number in numbers.split(":")])
    parser.add_argument("parent", type=int)
    parser.add_argument("report", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    for number in _TO_STOP:
        signal.signal(number, _raise_stop)
    process = ctypes.CDLL(None, use_errno=True)
    process.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if not given.lasting:
        # What loses its parent becomes a child of this process, where it can be found and waited for.
        process.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != given.parent:
        return 128 + signal.SIGTERM
    status = 128 + signal.SIGTERM
    user, group = given.account or (None, None)
    child = None
    try:
        # A session of its own, so that it can be told to stop with what it has in the foreground.
        child = subprocess.Popen(
            given.command, start_new_session=True, user=user, group=group, extra_groups=[] if given.account else None
        )
        status = _result_of(child.pid)
    except _Stop:
        # Told to stop while the command was just being started, it is one of those that are ended below.
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            _wait(child.pid)
    finally:
        for number in _TO_STOP:
            signal.signal(number, signal.SIG_IGN)
        _end_all()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with contextlib.suppress(OSError):
            os.write(given.report, f"{used.ru_utime + used.ru_stime:.2f}".encode())
    return status if status >= 0 else 128 - status


def _result_of(pid: int) -> int:
    """Wait for a child and return its exit status, or its signal as a negative number; others are waited for too."""
    while True:
        ended, how = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(how)


def _raise_stop(*_arguments: object) -> None:
    raise _Stop


def _wait(pid: int) -> None:
    """Wait until a child has ended, or for as long as it has."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and pid in _descendants():
        _reap()
        time.sleep(0.05)


def _end_all() -> None:
    """End all that is left of what was started here, and wait for it."""
    told: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while found := _descendants():
        late = time.monotonic() > deadline
        for pid in found - (set() if late else told):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        told |= found
        _reap()
        time.sleep(0.02)
    _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants() -> set[int]:
    """The processes that come from this one and have not ended."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(path.parent.name))
    found: set[int] = set()
    looked_at = [os.getpid()]
    while looked_at:
        looked_at = [child for pid in looked_at for child in children.get(pid, [])]
        found.update(looked_at)
    return found


if __name__ == "__main__":
    sys.exit(main())
