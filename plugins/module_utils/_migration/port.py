# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Runs Synapse's program synapse_port_db, shows how far it is, and finds out whether it succeeded.

Its configuration is one file with all settings of Synapse and the new database. The paths in it that are relative start
in the working directory of Synapse, where it runs. It prints a line for each batch of rows to its standard output, and
its log to its standard error. Its exit status is 0 also after an error without words (1.163), so its log counts too.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

# It imports everything before it is told to begin: that takes seconds, in which Synapse can still run.
_RUN = """
import sys
from synapse._scripts import synapse_port_db
if sys.stdin.readline().strip() == "begin":
    sys.argv[0] = "synapse_port_db"
    synapse_port_db.main()
else:
    sys.exit("it was not told to begin")
"""
_BATCH = re.compile(r"(\w+): \d+% \((\d+)/(\d+)\)")
_TABLE = re.compile(r"Table (\w+): (\d+)/(\d+) \(rows ")
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ - (\S+) - \d+ - (\w+) - (.*)")
# Other loggers report as errors what does not matter, such as metrics that are there twice.
_LOGGER = "synapse_port_db"
# What Twisted writes first of an error in one of several tasks; its last lines say nothing.
_FAILURE = re.compile(r"\[Failure instance: Traceback.*?: <class '[^']*'>: (.*)")
_LINES_KEPT = 200
_REASON_LENGTH = 500
_SET_PARENT_DEATH_SIGNAL = 1


class Counter:
    """How many rows of which tables are copied, from what the program prints. Threads may share it."""

    def __init__(self, work: Work, expected: t.Mapping[str, int]) -> None:
        """`expected`: the rows of the tables that will be copied, as far as that is known."""
        self._work = work
        self._total = dict(expected)
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def see(self, line: str) -> None:
        """Count what a line of the program says."""
        found = _BATCH.match(line) or _TABLE.search(line)
        if found is None:
            return
        with self._lock:
            table, done, total = found[1], int(found[2]), int(found[3])
            self._done[table] = max(done, self._done.get(table, 0))
            self._total[table] = max(total, self._done[table])
            complete = sum(self._done.get(name, 0) >= rows for name, rows in self._total.items())
            progress.report(self._work, sum(self._done.values()), max(sum(self._total.values()), 1), size=complete)


class PortProcess:
    """The running program, which waits until it is told to begin. To be used with `with`, which ends it."""

    def __init__(
        self, arguments: t.Sequence[str], working_directory: str, lock: int, options: t.Mapping[str, t.Any]
    ) -> None:
        """`options`: as whom it is started. `lock`: a descriptor that it keeps open. Raises SynapseError."""
        self._lines: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
        self._errors: list[str] = []
        self._counter: Counter | None = None
        parent = os.getpid()
        try:
            self._process = Command(
                arguments,
                cwd=working_directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Without it, libpq looks for its files at home of the user that the program runs as, and not of root.
                env={name: value for name, value in os.environ.items() if name != "HOME"},
                umask=0o077,
                start_new_session=True,
                pass_fds=(lock,),
                preexec_fn=lambda: _end_with(parent),
                **options,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SynapseError(
                f"{arguments[0]} cannot be run in {working_directory}: {error}. Check synapse_python and"
                " working_directory."
            ) from error
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> PortProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def begin(self, counter: Counter) -> None:
        """Tell the program to copy."""
        self._counter = counter
        stdin = self._process.stdin
        if stdin is not None:
            # A program that has ended says why in its log.
            with contextlib.suppress(OSError):
                stdin.write("begin\n")
                stdin.flush()
                stdin.close()

    def wait(self) -> None:
        """Return when everything is copied. Raises SynapseError with the reason if that failed."""
        status = self._process.wait()
        for reader in self._readers:
            reader.join()
        if status == 0 and not self._errors:
            return
        if status < 0:
            reason = f"it was ended by {signal.Signals(-status).name}"
        else:
            reason = failure_reason(list(self._lines), self._errors)
        raise SynapseError(
            f"Synapse's program synapse_port_db failed: {reason}. If a row cannot be copied, correct it in SQLite. If"
            " PostgreSQL failed, correct that. Then run the task again.",
            exit_status=status,
        )

    def _read_output(self) -> None:
        for line in self._process.stdout or ():
            self._see(line)

    def _read_log(self) -> None:
        for line in self._process.stderr or ():
            self._lines.append(line)
            found = _LOG_LINE.match(line)
            if found and found[1] == _LOGGER and found[2] in ("ERROR", "CRITICAL"):
                self._errors.append(found[3].strip())
            self._see(line)

    def _see(self, line: str) -> None:
        if self._counter is not None:
            self._counter.see(line)


def port_arguments(python: str, database: str, configuration: str, batch_size: int, *, isolated: bool) -> list[str]:
    """Return the command that copies the SQLite database `database` with the file `configuration`.

    `isolated`: without modules from the working directory and from PYTHONPATH, for root. Synapse has modules from there
    too, which its configuration may name.
    """
    return [
        python,
        *["-I"] * isolated,
        "-B",
        "-u",
        "-c",
        _RUN,
        "--sqlite-database",
        database,
        "--postgres-config",
        configuration,
        "--batch-size",
        str(batch_size),
    ]


def failure_reason(lines: t.Sequence[str], errors: t.Sequence[str]) -> str:
    """Return the reason of a failed program: the last line that is no part of its log or of a traceback."""
    failures = [found[1] for found in map(_FAILURE.search, lines) if found]
    if failures:
        return failures[-1].strip().rstrip(".")[:_REASON_LENGTH]
    for line in reversed(lines):
        if line.strip() and line[0] not in " \t" and not _LOG_LINE.match(line) and not line.startswith("DETAIL"):
            return line.strip().rstrip(".")[:_REASON_LENGTH]
    named = [error for error in errors if error]
    return named[-1][:_REASON_LENGTH].rstrip(".") if named else "it gave no reason"


def _end_with(parent: int) -> None:
    # A killed task cannot end the program. Then Linux ends it; other systems do not have prctl.
    set_option = getattr(ctypes.CDLL(None), "prctl", None)
    if set_option is not None:
        set_option(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        # The task may have been killed before that.
        if os.getppid() != parent:
            os._exit(1)
