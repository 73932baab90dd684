# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the test run starts commands, and stops them all when it is itself stopped."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

from machine import CannotRun

Command = t.Sequence[str | Path]

# What a script answers when it cannot run on this machine; its last line says why.
_CANNOT_RUN = 77

# What the user of this machine has set for the programs that the suites start, none of which is to have a say.
_IGNORED_VARIABLES = re.compile(
    "(ANSIBLE|COLLECTIONS|GALAXY|MYPY|PG|PYTEST|PYTHON|RUFF|SYNAPSE|VIRTUAL_ENV)[A-Z_]*|COLUMNS|LINES"
    # Where pip installs to is decided here, where it downloads from is not.
    "|PIP_(PREFIX|ROOT|TARGET|USER)"
)

# In seconds, much more than the longest suite takes: one that hangs must say what it has done before.
_LONGEST = 60 * 60

_SUPERVISED = Path(__file__).resolve().with_name("supervised.py")

_running: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()
_of_thread = threading.local()


class Failed(Exception):
    """A suite has failed. `output` is what it printed."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


class Account(t.NamedTuple):
    """Whom a command runs as: the numbers of a user and a group."""

    user: int
    group: int


def processor_seconds() -> float:
    """Return how many seconds of processor time the commands have taken that this thread has executed until now."""
    return float(getattr(_of_thread, "seconds", 0.0))


class Stopped(Exception):
    """The test run is being stopped, so nothing is started any more."""


def execute(
    command: Command,
    directory: Path,
    environment: t.Mapping[str, str] | None = None,
    account: Account | None = None,
    *,
    lasting: bool = False,
) -> str:
    """Run a command and return what it printed. Whatever it has started is ended with it, unless it is `lasting`.

    `environment` adds to the variables of this process, or replaces them.
    Of these, all that would decide how Ansible, Python or another tool works is left out before.
    `account`: whom it runs as, which only the superuser can choose.
    Raises Failed, also if it does not end within 60 minutes, Stopped, or CannotRun if the command says that it cannot
    run on this machine.
    """
    words = [str(word) for word in command]
    kept = {name: value for name, value in os.environ.items() if not _IGNORED_VARIABLES.fullmatch(name)}
    fixed = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **_direct(kept)}
    # There nothing is left of a playbook that was killed.
    fixed["ANSIBLE_LOCAL_TEMP"] = os.path.join(tempfile.gettempdir(), "ansible")
    options = ["--lasting"] if lasting else []
    options += [f"--account={account.user}:{account.group}"] if account else []
    report, reported = os.pipe()
    try:
        process = _start(words, options, directory, {**kept, **fixed, **(environment or {})}, reported)
        try:
            output, in_time = _communicate(process)
        finally:
            _running.discard(process)
        _of_thread.seconds = processor_seconds() + float(os.read(report, 32) or 0)
    finally:
        os.close(report)
    if _stopping.is_set():
        raise Stopped
    if not in_time:
        raise Failed(f"$ {' '.join(words)}\n{output}\nstopped, because it ran for more than {_LONGEST // 60} minutes")
    if process.returncode == _CANNOT_RUN:
        raise CannotRun((output.strip().splitlines() or ["it cannot run here"])[-1])
    if process.returncode:
        raise Failed(f"$ {' '.join(words)}\n{output}\nexit status {process.returncode}")
    return output


def _communicate(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """Return what the command printed until it ended, and whether it ended in time."""
    try:
        return process.communicate(timeout=_LONGEST)[0], True
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        return process.communicate()[0], False


def _direct(variables: t.Mapping[str, str]) -> dict[str, str]:
    """Return what lets nobody ask a proxy for a server on this machine, whom it could not reach."""
    named = next((variables[name] for name in ("no_proxy", "NO_PROXY") if variables.get(name)), "")
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(filter(None, (named, "localhost", "127.0.0.1", "::1"))))


def _start(
    words: t.Sequence[str], options: t.Sequence[str], directory: Path, environment: t.Mapping[str, str], report: int
) -> subprocess.Popen[str]:
    """Start a command under supervision, with options of that; `report` is closed here."""
    supervised = [sys.executable, "-I", str(_SUPERVISED), *options, str(os.getpid()), str(report)]
    try:
        if _stopping.is_set():
            raise Stopped
        process = subprocess.Popen(
            [*supervised, *words],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[report],
            # A terminal tells this process to stop, and this process what it has started.
            start_new_session=True,
        )
    finally:
        os.close(report)
    _running.add(process)
    if _stopping.is_set():
        stop()
    return process


def stop() -> None:
    """Stop every command that runs, and let none start."""
    _stopping.set()
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
