# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Runs Synapse's own command that exports the data of an account: synapse/app/admin_cmd.py, export-data (1.163)."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import json
import os
import re
import signal
import subprocess
import threading
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.script import export_script
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

# Finds the package without an import, which would take seconds.
_ASK = """
import importlib.metadata, importlib.util, json, os, runpy
directory = importlib.util.find_spec("synapse").submodule_search_locations[0]
schema = runpy.run_path(os.path.join(directory, "storage", "schema", "__init__.py"))
print(json.dumps([importlib.metadata.version("matrix-synapse"), schema["SCHEMA_VERSION"]]))
"""
_ASK_TIMEOUT = 60
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_FULL_DISK = ("No space left on device", "database or disk is full", "Disk quota exceeded")
_UNREADABLE = ("Permission denied", "Error accessing file", "readonly database", "unable to open database file")
_LINES_KEPT = 200
# In seconds.
_REPORT_PAUSE = 1.0
_REASON_LENGTH = 300
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_SET_PARENT_DEATH_SIGNAL = 1


class SynapsePython(t.NamedTuple):
    """The Python at `path`: it runs Synapse `version`, which works with databases of `schema_version`."""

    path: str
    version: str
    schema_version: int


def read_synapse_python(path: str) -> SynapsePython:
    """Ask the Python at `path` which Synapse it runs. Raises InvalidInput if it does not answer that."""
    fix = "Set synapse_python to the Python interpreter that Synapse runs with."
    try:
        done = run_command([path, "-B", "-c", _ASK], _ASK_TIMEOUT)
    except SynapseError as error:
        raise InvalidInput(f"synapse_python {error.message.rstrip('.')}. {fix}") from error
    try:
        version, schema_version = json.loads(done.output)
    except ValueError as error:
        raise InvalidInput(f"synapse_python {path} does not have Synapse installed. {fix}") from error
    return SynapsePython(path, version, schema_version)


def require_main_process(configuration: Configuration) -> None:
    """Raise ConfigurationError if this is the configuration of a worker, which does not work with the command.

    The same if the signing key cannot be read, because Synapse needs it to start.
    """
    settings = configuration.settings
    for key in ("worker_app", "worker_daemonize"):
        if settings.get(key) not in (None, False, "synapse.app.homeserver"):
            raise ConfigurationError(
                f"{configuration.source_of(key)} is the configuration of a worker (it sets {key}). Remove it from"
                " config_path, which must be the configuration of the main process."
            )
    path = str(settings.get("signing_key_path") or "")
    if os.path.isabs(path) and not os.access(path, os.R_OK):
        raise ConfigurationError(
            f"The signing key {path}, which is set in {configuration.source_of('signing_key_path')}, cannot be read by"
            " this user. Run the task with become, as root or as the user of Synapse."
        )


def run_export(
    python: str,
    config_path: t.Sequence[str],
    user_id: str,
    directory: str,
    ids_path: str,
    *,
    include_forgotten: bool,
    working_directory: str,
    timeout: float | None,
    lock: int,
) -> None:
    """Let Synapse write all data of `user_id` into `directory`, and wait until it has finished. `timeout` in seconds.

    The command is patched so that data of the account cannot make it fail. It does not use ids as file names, but
    writes the ids to `ids_path`: see _export.script. `include_forgotten`: with the rooms that the account has
    forgotten, as far as it could see them. `lock` is a file descriptor that the command keeps open while it runs.

    Raises SynapseError if the command fails or takes too long. In these cases, and when anything else interrupts this
    function, the command is ended before the function returns.
    """
    arguments = [python, "-B", "-c", export_script(ids_path, include_forgotten=include_forgotten)]
    for path in config_path:
        arguments += ["--config-path", os.path.abspath(path)]
    arguments += ["export-data", user_id, "--output-directory", directory]
    # The log of the command can be long, and only its end is needed.
    lines: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
    with _started(arguments, working_directory, lock, lines) as process:
        try:
            status = _wait(process, timeout, os.path.join(directory, "rooms"))
        except subprocess.TimeoutExpired as error:
            raise SynapseError(
                f"Synapse did not finish the export of {user_id} within {timeout:g} seconds. Increase export_timeout."
            ) from error
    if status != 0:
        raise _failed(user_id, status, list(lines))


def _wait(process: Command, timeout: float | None, rooms: str) -> int:
    """Return the exit status. Meanwhile report how many directories of `rooms` there are. Raises TimeoutExpired."""
    end = None if timeout is None else time.monotonic() + timeout
    while progress.active:
        left = _REPORT_PAUSE if end is None else min(_REPORT_PAUSE, end - time.monotonic())
        if left < _REPORT_PAUSE:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(left)
        _report(rooms)
    return process.wait(None if end is None else max(0, end - time.monotonic()))


def _report(rooms: str) -> None:
    """Report the rooms that Synapse has begun to write, and the size of their events. It writes one after the other."""
    count = size = 0
    # What is missing is not written yet.
    with contextlib.suppress(OSError), os.scandir(rooms) as entries:
        for entry in entries:
            count += 1
            with contextlib.suppress(OSError):
                size += os.stat(os.path.join(entry.path, "events")).st_size
    progress.report(Work.ROOMS_WRITTEN, count, size=size)


@contextlib.contextmanager
def _started(
    arguments: t.Sequence[str], working_directory: str, lock: int, lines: collections.deque[str]
) -> t.Iterator[Command]:
    # A signal during the start of the command would leave it running, because nothing would end it.
    with _Uninterrupted() as signals:
        try:
            process = Command(
                arguments,
                cwd=working_directory,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                umask=0o077,
                start_new_session=True,
                pass_fds=(lock,),
                preexec_fn=functools.partial(_prepare_child, signals.mask, os.getpid()),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SynapseError(
                f"{arguments[0]} cannot be run in {working_directory}: {error}. Check synapse_python and"
                " working_directory."
            ) from error
        with process:
            reader = threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True)
            reader.start()
            try:
                signals.let_through()
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                reader.join()


class _Uninterrupted:
    """A period in which no signal ends the task. Signals that arrive are handled at its end.

    They are blocked for this thread only. Another thread can receive a signal, and its handler runs in this thread.
    """

    # The active period. `came` has the signals that arrived during it.
    on: t.ClassVar[_Uninterrupted | None] = None

    def __init__(self) -> None:
        self.mask: t.Iterable[int] = ()
        self.came: list[int] = []

    def __enter__(self) -> _Uninterrupted:
        _Uninterrupted.on = self
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        return self

    def let_through(self) -> None:
        """End the period, and raise what the handler raises for a signal that arrived."""
        if _Uninterrupted.on is self:
            _Uninterrupted.on = None
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
            if self.came:
                _interrupt(self.came[0], None)

    def __exit__(self, *_error: object) -> None:
        self.let_through()


def _interrupt(number: int, _frame: t.Any) -> None:
    if _Uninterrupted.on is not None:
        _Uninterrupted.on.came.append(number)
        return
    raise SynapseError(f"The export was interrupted by {signal.Signals(number).name}. Run the task again.")


@contextlib.contextmanager
def interruptible() -> t.Iterator[None]:
    """Turn the signals that end a task into a SynapseError, so that an unfinished export is removed."""
    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def failure_reason(lines: t.Sequence[str]) -> str:
    """Return the reason of a failed command: the last line that is not part of its log or of a traceback."""
    for line in reversed(lines):
        if line.strip() and line[0] not in " \t" and not _LOG_LINE.match(line):
            return line.strip().rstrip(".")[:_REASON_LENGTH]
    return "the command gave no reason"


def _failed(user_id: str, status: int, lines: t.Sequence[str]) -> SynapseError:
    reason = f"it was ended by {signal.Signals(-status).name}" if status < 0 else failure_reason(lines)
    if any(words in reason for words in _FULL_DISK):
        fix = "Free space on the disk, or choose another destination."
    elif any(words in reason for words in _UNREADABLE):
        fix = (
            "Run the task with become, as root or as the user of Synapse. If the configuration has relative paths, set"
            " working_directory to the directory that Synapse runs in."
        )
    else:
        fix = "Check that config_path and synapse_python are those that Synapse runs with."
    return SynapseError(f"Synapse's export of {user_id} failed: {reason}. {fix}", exit_status=status)


def _prepare_child(mask: t.Iterable[int], parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # A killed task cannot end the command. Then Linux ends it; other systems do not have prctl.
    set_option = getattr(ctypes.CDLL(None), "prctl", None)
    if set_option is not None:
        set_option(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        # The task may have been killed before that.
        if os.getppid() != parent:
            os._exit(1)
