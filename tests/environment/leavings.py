# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory in which one test run has everything, and which goes with it, however the run ends.

leavings.py DIRECTORY: waits until the standard input ends, which it does when the run ends, killed or not. Then every
process that names the directory on its command line or works in it is ended, and the directory is removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

# What a run has started is told to stop when the run is gone: that long it has to do so by itself.
_PATIENCE = 30.0
# What a run may need of the memory at most, in bytes.
_NEEDED = 8 * 1024**3


@contextlib.contextmanager
def own_directory() -> t.Iterator[Path]:
    """Give a new directory, which is the one for temporary files until it is removed: for this process and all others.

    Others than this user can pass through: PostgreSQL and Synapse may run as somebody else.
    """
    # The superuser's own directory for temporary files may be closed to others.
    place = "/tmp" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="matrix_ops_synapse_run_", dir=place)).resolve()
    before, tempfile.tempdir = tempfile.tempdir, str(directory)
    os.environ["TMPDIR"] = str(directory)
    words = [sys.executable, "-I", str(Path(__file__).resolve()), str(directory)]
    try:
        with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as watching:
            try:
                _hold_in_memory(directory)
                directory.chmod(0o755)
                yield directory
            finally:
                tempfile.tempdir = before
                t.cast("t.IO[bytes]", watching.stdin).close()
    finally:
        # Whoever has watched may have been killed.
        if directory.exists():
            remove(str(directory))


def _hold_in_memory(directory: Path) -> None:
    """Keep what will be in a directory in memory if that can be: databases do not wait for a disk there."""
    if os.geteuid() == 0 and _available_memory() >= 2 * _NEEDED:
        words = ["mount", "-t", "tmpfs", "-o", f"size={_NEEDED}", "matrix_ops_synapse", str(directory)]
        with contextlib.suppress(OSError):
            subprocess.run(words, capture_output=True, check=False)


def _available_memory() -> int:
    """How many bytes of memory programs can still take, as Linux says; 0 if it is none."""
    if not Path("/proc/meminfo").exists():
        return 0
    found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def remove(directory: str) -> None:
    """End all processes of the directory and remove it, as soon as that is possible."""
    deadline = time.monotonic() + _PATIENCE
    told: set[int] = set()
    while (found := _processes(directory)) and time.monotonic() < deadline:
        for pid in found - told:
            _signal(pid, signal.SIGTERM)
        told |= found
        time.sleep(0.1)
    for pid in _processes(directory):
        _signal(pid, signal.SIGKILL)
    for mounted in _mounts(directory):
        # At once, whoever still has something open there.
        subprocess.run(["umount", "--lazy", mounted], check=False)
    while Path(directory).exists() and time.monotonic() < deadline + _PATIENCE:
        # What a test has closed is closed to its owner too, but for the superuser.
        for place, below, _files in os.walk(directory) if os.geteuid() else ():
            for path in (Path(place, name) for name in below):
                if not path.is_symlink():
                    with contextlib.suppress(OSError):
                        path.chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(0.1)


def _mounts(directory: str) -> list[str]:
    """What is mounted on a directory or below it, innermost first."""
    listed = Path("/proc/self/mounts")
    places = [line.split()[1] for line in listed.read_text().splitlines()] if listed.exists() else []
    return [place for place in reversed(places) if place == directory or place.startswith(f"{directory}/")]


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _processes(directory: str) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode(errors="replace")
            works_in = str((path / "cwd").readlink())
            if directory in words or works_in.startswith(directory):
                found.add(int(path.name))
    return found - {os.getpid()}


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(_number, signal.SIG_IGN)
    sys.stdin.read()
    remove(sys.argv[1])
