# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The process that looks now and then how far a module is, while the process of the task waits for the module.

It is no thread of the task's process, because of what happens when a person interrupts Ansible. The system may give
the signal to any thread, but Python handles it in the main thread, which waits for the module. And the process may end
while a thread holds the lock of Ansible's queue, which stops Ansible forever.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Record

# In seconds: most tasks end before the first look, and a long one needs fewer looks the longer it lasts.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 30.0
_GROWTH = 1.25
# So many looks in a row may fail, for example because the connection is lost.
_FAILURES = 3
# In seconds: so long the child may take to end a look in order.
_GRACE = 1.0
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def usual_pauses() -> t.Iterator[float]:
    """Return how long to wait before each look, in seconds."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


class Watch:
    """A context in which a child process shows each new record. After it nothing is shown any more.

    All three are called in the child: `prepare` once, `read` returns the record, or None if there is none yet, and
    `show` shows it. Nothing that they raise gets out of it. It ends after some failures, and with its parent.
    """

    def __init__(
        self,
        prepare: t.Callable[[], None],
        read: t.Callable[[], Record | None],
        show: t.Callable[[Record], None],
        pauses: t.Callable[[], t.Iterator[float]] = usual_pauses,
    ) -> None:
        self._prepare = prepare
        self._read = read
        self._show = show
        self._pauses = pauses
        self._child: int | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Watch:
        try:
            # Each process has only one end, so that each knows when the other has ended.
            self._socket, other = socket.socketpair()
        except OSError:
            # The system has no descriptor left: the module runs without progress.
            return self
        with other:
            try:
                child = os.fork()
            except OSError:
                # Or no process.
                return self
            if child == 0:
                try:
                    self._socket.close()
                    self._run(other)
                finally:
                    # What the parent would do at its end is not for the child to do.
                    os._exit(0)
        self._child = child
        return self

    def __exit__(self, *_error: object) -> None:
        if self._socket is None:
            return
        with self._socket:
            if self._child is not None:
                self._end(self._child, self._socket)

    @staticmethod
    def _end(child: int, connected: socket.socket) -> None:
        """End the child in order: while it looks, ssh has its password in a file, which Ansible removes afterwards."""
        with contextlib.suppress(OSError):
            # A signal at a bad moment does not wake it up. Some systems refuse this after it has ended.
            connected.shutdown(socket.SHUT_WR)
        ended = select.poll()
        ended.register(connected, select.POLLIN)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGTERM)
            if not ended.poll(_GRACE * 1000):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _run(self, connected: socket.socket) -> None:
        for number in _ENDING_SIGNALS:
            signal.signal(number, _leave)
        parent = select.poll()
        parent.register(connected, select.POLLIN)
        self._prepare()
        failures, last = 0, None
        for pause in self._pauses():
            if parent.poll(pause * 1000):
                return
            try:
                record = self._read()
                failures = 0
            except Exception:
                failures += 1
                if failures == _FAILURES:
                    return
                continue
            if record is not None and record != last:
                last = record
                if parent.poll(0):
                    return
                self._show(record)


def _leave(_number: int, _frame: object) -> t.NoReturn:
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit()
