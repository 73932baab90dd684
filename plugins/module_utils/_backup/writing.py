# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Writes bytes to a descriptor in one thread and hashes them in another, while the caller reads the next ones."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import queue
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import PIECE

# Of batches between two threads. A batch has about a MiB.
_WAITING = 32
# In seconds.
_BETWEEN_FLUSHES = 0.3
# writev(2) takes at most 1024 on Linux.
_PIECES_AT_ONCE = 512

# A piece, whether it belongs to the content of the current member, and the name of the member if it ends here.
_Operation = tuple[bytes, bool, t.Optional[str]]
_Batch = list[_Operation]


@contextlib.contextmanager
def flushed(descriptor: int) -> t.Iterator[None]:
    """Let what is written to the open file in the block go to the disk meanwhile. At the end everything is there.

    Otherwise the disk would be idle until the end, and the end would have to wait for it. What is there does not stay
    in memory: it would take the place of what Synapse and its database read. Raises OSError.
    """
    stop = threading.Event()
    errors: list[OSError] = []

    def flush() -> None:
        try:
            while not stop.wait(_BETWEEN_FLUSHES):
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            # Linux reports it once: the last call would succeed.
            errors.append(error)

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


class HashingWriter:
    """Writes pieces to `descriptor` in their order, and computes the SHA-256 of each member.

    To be used with `with`. An error of the threads is raised by the next call, or at the end of the block.
    """

    def __init__(self, descriptor: int, ended: t.Callable[[str, bytes], None]) -> None:
        """`ended`: is called with the name and the digest of each member, in their order, by another thread."""
        self._descriptor = descriptor
        self._ended = ended
        self._batch: _Batch = []
        self._size = 0
        self._digest = hashlib.sha256()
        self.written = 0
        self._errors: collections.deque[BaseException] = collections.deque()
        self._queues: list[queue.Queue[_Batch | None]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> HashingWriter:
        for work in (self._write, self._hash):
            waiting: queue.Queue[_Batch | None] = queue.Queue(_WAITING)
            self._queues.append(waiting)
            self._threads.append(threading.Thread(target=self._run, args=(work, waiting), daemon=True))
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_ignored: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._stop()
        if kind is None:
            self._require_no_error()

    def put(self, piece: bytes, *, content: bool = False, end_of: str | None = None) -> None:
        """Write a piece. `content`: it belongs to the current member. `end_of`: the member, if it ends with it."""
        self._batch.append((piece, content, end_of))
        self._size += len(piece)
        self.written += len(piece)
        if self._size >= PIECE or len(self._batch) >= _PIECES_AT_ONCE:
            self._send()

    def flush(self) -> None:
        """Wait until everything is written and hashed. Raises what a thread has raised."""
        self._send()
        for waiting in self._queues:
            waiting.join()
        self._require_no_error()

    def _send(self) -> None:
        self._require_no_error()
        if self._batch:
            for waiting in self._queues:
                waiting.put(self._batch)
            self._batch, self._size = [], 0

    def _require_no_error(self) -> None:
        if self._errors:
            raise self._errors[0]

    def _stop(self) -> None:
        for waiting, thread in zip(self._queues, self._threads):
            if thread.ident is not None:
                waiting.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, work: t.Callable[[_Batch], None], waiting: queue.Queue[_Batch | None]) -> None:
        while True:
            batch = waiting.get()
            try:
                if batch is None:
                    return
                # After an error the queue is only emptied, so that the caller does not wait for this thread.
                if not self._errors:
                    work(batch)
            except BaseException as error:
                self._errors.append(error)
            finally:
                waiting.task_done()

    def _write(self, batch: _Batch) -> None:
        left = collections.deque(memoryview(piece) for piece, _content, _end in batch if piece)
        while left:
            written = os.writev(self._descriptor, [*left])
            while left and written >= len(left[0]):
                written -= len(left.popleft())
            if written:
                left[0] = left[0][written:]

    def _hash(self, batch: _Batch) -> None:
        for piece, content, end_of in batch:
            if content:
                self._digest.update(piece)
            if end_of is not None:
                self._ended(end_of, self._digest.digest())
                self._digest = hashlib.sha256()
