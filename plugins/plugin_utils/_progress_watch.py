# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The thread that looks now and then how far a module is, while the main thread waits for the module."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Record

# In seconds: most tasks end before the first look, and a long one needs fewer looks the longer it lasts.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 30.0
_GROWTH = 1.25
# So many looks in a row may fail, for example because the connection is lost.
_FAILURES = 3
# In seconds. A look that takes longer is left alone: the task must not wait for it.
_PATIENCE = 1.0


def usual_pauses() -> t.Iterator[float]:
    """Return how long to wait before each look, in seconds."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


class Watch:
    """A context in which a thread shows each new record. After it nothing is shown any more.

    `read` returns the record, or None if there is none yet. `show` shows it. Nothing that they raise gets out of the
    thread. It ends after some failures.
    """

    def __init__(
        self,
        read: t.Callable[[], Record | None],
        show: t.Callable[[Record], None],
        pauses: t.Callable[[], t.Iterator[float]] = usual_pauses,
    ) -> None:
        self._read = read
        self._show = show
        self._pauses = pauses
        self._ended = threading.Event()
        # Held while a line is shown. A process that ends while it holds the lock of Ansible's queue would stop all
        # the others.
        self._showing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._started = False

    def __enter__(self) -> Watch:
        try:
            self._thread.start()
            self._started = True
        except RuntimeError:
            # The system has no thread left: the module runs without progress.
            self._started = False
        return self

    def __exit__(self, *_error: object) -> None:
        with self._showing:
            self._ended.set()
        if self._started:
            # A look usually takes milliseconds. One that hangs does not keep the process from ending.
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        failures, last = 0, None
        for pause in self._pauses():
            if self._ended.wait(pause):
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
                if not self._shown(record):
                    return

    def _shown(self, record: Record) -> bool:
        with self._showing:
            if self._ended.is_set():
                return False
            try:
                self._show(record)
            except Exception:
                return False
        return True
