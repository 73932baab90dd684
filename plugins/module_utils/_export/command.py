# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Synapse's own command that exports the data of an account: synapse/app/admin_cmd.py, export-data (1.163)."""

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
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.script import export_script

# Finds the package without importing it, which would take seconds.
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
_REASON_LENGTH = 300
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_SET_PARENT_DEATH_SIGNAL = 1


class SynapsePython(t.NamedTuple):
    """The Python at `path`: it runs Synapse `version`, which works with databases of `schema_version`."""

    path: str
    version: str
    schema_version: int


def read_synapse_python(path: str) -> SynapsePython:
    """Ask the Python at `path` which Synapse it runs. Raises InvalidInput if that cannot be found out."""
    mend = "set synapse_python to the Python that the server runs with."
    try:
        done = run_command([path, "-B", "-c", _ASK], _ASK_TIMEOUT)
    except SynapseError as error:
        raise InvalidInput(f"synapse_python {error.message.rstrip('.')}: {mend}") from error
    try:
        version, schema_version = json.loads(done.output)
    except ValueError as error:
        raise InvalidInput(f"synapse_python {path} has no Synapse: {mend}") from error
    return SynapsePython(path, version, schema_version)


def require_main_process(configuration: Configuration) -> None:
    """Raise ConfigurationError if this is the configuration of a worker, with which the command does not work.

    The same if the signing key cannot be read, which Synapse needs to start at all.
    """
    settings = configuration.settings
    for key in ("worker_app", "worker_daemonize"):
        if settings.get(key) not in (None, False, "synapse.app.homeserver"):
            raise ConfigurationError(
                f"{configuration.source_of(key)} is the configuration of a worker (it sets {key}): leave it out of"
                " config_path, which must be that of the main process."
            )
    path = str(settings.get("signing_key_path") or "")
    if os.path.isabs(path) and not os.access(path, os.R_OK):
        raise ConfigurationError(
            f"The signing key {path}, which {configuration.source_of('signing_key_path')} names, cannot be read by this"
            " user: run the task with become, as root or as the user of Synapse."
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
    """Let Synapse write all data of `user_id` into `directory`, and wait until it has. `timeout` in seconds.

    Its command is helped over what it stops at, and names nothing by an id, which it writes to `ids_path` instead:
    see _export.script. `include_forgotten`: with the rooms that the account has forgotten, as far as it could see them.
    `lock` is a file descriptor that the command keeps open while it runs.

    Raises SynapseError if the command fails or takes too long; then, and when anything else interrupts this function,
    the command is ended before it returns.
    """
    arguments = [python, "-B", "-c", export_script(ids_path, include_forgotten=include_forgotten)]
    for path in config_path:
        arguments += ["--config-path", os.path.abspath(path)]
    arguments += ["export-data", user_id, "--output-directory", directory]
    # The log of the command can be long, and only the end of it is of interest.
    lines: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
    with _started(arguments, working_directory, lock, lines) as process:
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise SynapseError(
                f"Synapse did not finish the export of {user_id} within {timeout:g} seconds: raise export_timeout."
            ) from error
    if status != 0:
        raise _failed(user_id, status, list(lines))


@contextlib.contextmanager
def _started(
    arguments: t.Sequence[str], working_directory: str, lock: int, lines: collections.deque[str]
) -> t.Iterator[Command]:
    # A signal that came while the command is being started would leave it with nobody to end it.
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
            raise SynapseError(f"{arguments[0]} cannot be run in {working_directory}: {error}.") from error
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
    """A time in which no signal ends the task; what came is acted on when it is over.

    Blocked they are for this thread alone: another one would take a signal, and this one raise what its handler raises.
    """

    # The one that is on, and the signals that came meanwhile.
    on: t.ClassVar[_Uninterrupted | None] = None

    def __init__(self) -> None:
        self.mask: t.Iterable[int] = ()
        self.came: list[int] = []

    def __enter__(self) -> _Uninterrupted:
        _Uninterrupted.on = self
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        return self

    def let_through(self) -> None:
        """End it, and raise what a handler raises for a signal that came."""
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
    raise SynapseError(f"The export was interrupted by {signal.Signals(number).name}: run the task again.")


@contextlib.contextmanager
def interruptible() -> t.Iterator[None]:
    """Turn the signals that end a task into a SynapseError, so that what was begun is cleared away."""
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
    """Return what a failed command wants to say: the last line that is neither of its log nor of a traceback."""
    for line in reversed(lines):
        if line.strip() and line[0] not in " \t" and not _LOG_LINE.match(line):
            return line.strip().rstrip(".")[:_REASON_LENGTH]
    return "it does not say why"


def _failed(user_id: str, status: int, lines: t.Sequence[str]) -> SynapseError:
    reason = f"it was ended by {signal.Signals(-status).name}" if status < 0 else failure_reason(lines)
    if any(words in reason for words in _FULL_DISK):
        mend = "Make room on the disk, or choose another destination."
    elif any(words in reason for words in _UNREADABLE):
        mend = (
            "Run the task with become, as root or as the user of Synapse; if the configuration has relative paths, set"
            " chdir to the directory that Synapse runs in."
        )
    else:
        mend = "See whether config_path and synapse_python are those that the server runs with."
    return SynapseError(f"Synapse's export of {user_id} failed: {reason}. {mend}", status=status)


def _prepare_child(mask: t.Iterable[int], parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # A killed task cannot end the command; Linux then does, other systems have no prctl.
    set_option = getattr(ctypes.CDLL(None), "prctl", None)
    if set_option is not None:
        set_option(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        # It may have been killed before that.
        if os.getppid() != parent:
            os._exit(1)
