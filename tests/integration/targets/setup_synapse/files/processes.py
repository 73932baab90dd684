# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of temporary servers, and how to stop every process that was started in it."""

from __future__ import annotations

import fcntl
import glob
import os
import random
import shutil
import signal
import socket
import tempfile
import time

_PREFIX = "matrix_ops_synapse_test_"
_PATIENCE = 30.0
_PORTS = range(10_240, 20_000)
_kept: list[socket.socket] = []


def create_directory() -> str:
    """Return a new directory, which contains a file that names the process it is created for."""
    owner = _identity(_owner())
    directory = tempfile.mkdtemp(prefix=_PREFIX)
    # The user of PostgreSQL must be able to enter it. Secrets are in closed directories below.
    os.chmod(directory, 0o711)
    with open(os.path.join(directory, "owner"), "w", encoding="ascii") as file:
        file.write(owner)
    return directory


def free_ports(count: int) -> list[int]:
    """Return free ports on loopback, and reserve them until this process ends, because servers start slowly.

    They are below the ports of outgoing connections, so that the port of a halted server stays free.
    """
    return [_keep_port() for _number in range(count)]


def _keep_port() -> int:
    for port in random.sample(_PORTS, len(_PORTS)):
        kept = socket.socket()
        try:
            kept.bind(("127.0.0.1", port))
        except OSError:
            kept.close()
            continue
        # Now a server that sets the same option can listen on the port, but another bind as above fails.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(kept)
        return port
    raise SystemExit(f"No port of 127.0.0.1 from {_PORTS[0]} to {_PORTS[-1]} is free.")


def sweep() -> None:
    """Stop the servers in the directories of processes that were killed."""
    # One process at a time, because another process must not find a directory that is partly removed.
    path = os.path.join(tempfile.gettempdir(), f".{_PREFIX}{os.geteuid()}.lock")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep()


def _sweep() -> None:
    for directory in glob.glob(os.path.join(tempfile.gettempdir(), _PREFIX + "*")):
        try:
            if os.stat(directory).st_uid != os.geteuid():
                continue
            with open(os.path.join(directory, "owner"), encoding="ascii") as file:
                owner = file.read()
        except FileNotFoundError:
            # It is being created or removed.
            continue
        if owner and _identity(int(owner.split()[0])) != owner:
            stop(directory)


def stop(directory: str) -> None:
    """Stop every Synapse and PostgreSQL that was started in `directory`, and remove it if it exists."""
    if not os.path.basename(directory).startswith(_PREFIX):
        raise SystemExit(f"{directory} was not created by this program, so it is not removed.")
    if not os.path.isdir(directory):
        return
    end(directory, "synapse.app.")
    # This is the fast shutdown of PostgreSQL, which does not wait for its clients.
    end(directory, "postgres", signal.SIGINT)
    shutil.rmtree(directory)


def end(directory: str, program: str, how: signal.Signals = signal.SIGTERM) -> None:
    """Stop the processes of `program` that have a path below `directory` on their command line."""
    deadline = time.monotonic() + _PATIENCE
    while (running := _find(directory, program)) and time.monotonic() < deadline:
        _signal(running, how)
        _wait(running, directory, deadline)
    _signal(running, signal.SIGKILL)


def _signal(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue


def _wait(pids: list[int], directory: str, deadline: float) -> None:
    """Wait until none of these processes runs. Only these are checked, because checking all needs a whole processor."""
    while time.monotonic() < deadline and any(_is_inside(_command_line(pid), directory) for pid in pids):
        time.sleep(0.02)


def _find(directory: str, program: str) -> list[int]:
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        arguments = _command_line(pid)
        named = any(os.path.basename(argument).startswith(program) for argument in arguments)
        if named and _is_inside(arguments, directory):
            found.append(pid)
    return found


def _is_inside(arguments: list[str], directory: str) -> bool:
    # An option may be in the same word as its value.
    return any(argument.rpartition("=")[2].startswith(directory + os.sep) for argument in arguments)


def _owner() -> int:
    """The process that will stop the servers: SETUP_SYNAPSE_OWNER, or the outermost ansible-playbook above this."""
    found, pid = int(os.environ.get("SETUP_SYNAPSE_OWNER") or 0), os.getpid()
    if found:
        return found
    while pid > 1:
        if any(os.path.basename(argument) == "ansible-playbook" for argument in _command_line(pid)):
            found = pid
        pid = int(_status(pid)[1])
    if not found:
        raise SystemExit(
            "No ansible-playbook runs this. Set SETUP_SYNAPSE_OWNER to the process ID that stops the servers."
        )
    return found


def _identity(pid: int) -> str:
    """A unique name of a process: its ID may be reused, but not with the same start time."""
    try:
        return f"{pid} {_status(pid)[19]}"
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _status(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def _command_line(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
