# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How far a module is, for the action plugin that started it (see plugin_utils/_progress_action).

The module keeps one small record in its memory: a file of memfd_create, with a fixed descriptor. It has no path that
another user could replace, it belongs to the user of the module, and nothing is left when the module ends, even if it
is killed. The action plugin reads it through /proc. It finds it by a random word in its name, which the module gets in
its environment. The word is no secret: other users see it in the list of processes. What proves the record is that its
file belongs to the user of the module, which no other user can bring about. Without the word nothing is kept, and a
report costs nothing. The same without Linux.

The record contains numbers and the name of a `Work`, and nothing else of it is shown: no text of a host or a server.
"""

from __future__ import annotations

import enum
import os
import re
import threading
import time
import typing as t
import zlib

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Not a POSIX system: nothing is kept.
    HAS_FCNTL = False
else:
    HAS_FCNTL = True

VARIABLE = "MATRIX_OPS_SYNAPSE_PROGRESS"
# No module has as many open files, and the usual limit is 1024.
DESCRIPTOR = 900
# Of a record, in bytes. Less than a page.
RECORD_SIZE = 256
# In seconds. A report within this time after another one about the same work is not written.
_SHORTEST_PAUSE = 0.5
_WORD = re.compile(r"[0-9a-f]{32}")
# The work, and seven numbers that may be unknown. They fit into 64 bits.
_RECORD = re.compile(r"[A-Z_]{1,40}(?: (?:[0-9]{1,18}|-)){7}")
_TICKS_PER_SECOND = 100


class Work(enum.Enum):
    """What a module can be at. The values are the texts that a person reads, followed by the numbers."""

    ACCOUNTS_CHANGED = "accounts changed"
    ACCOUNTS_COMPARED = "accounts compared"
    ACCOUNTS_DEACTIVATED = "accounts deactivated"
    ACCOUNTS_READ = "accounts read"
    BACKGROUND_UPDATES = "pending background updates"
    BACKUP = "backup"
    BACKUP_VERIFIED = "verification of the backup"
    DATABASE_COPIED = "copy of the database"
    DATABASE_SNAPSHOT = "database copied to a snapshot"
    DELETION = "deletion of the room (active), users removed"
    DELETION_SCHEDULED = "deletion of the room (scheduled), users removed"
    JOURNAL = "journal"
    LOG = "log"
    MEDIA = "media"
    RESTORED = "restored from the backup"
    ROWS_COPIED = "rows copied to PostgreSQL while Synapse runs"
    ROWS_COPIED_STOPPED = "rows copied to PostgreSQL while Synapse is stopped"
    RUNNING = "waiting until Synapse runs as declared"
    ROOMS_WRITTEN = "rooms written by Synapse"
    SAMPLE = "sampled objects compared"
    UNFINISHED_REQUESTS = "log files searched for unfinished requests"

    @property
    def in_bytes(self) -> bool:
        """Whether what is done is a number of bytes."""
        return self in (
            Work.BACKUP,
            Work.BACKUP_VERIFIED,
            Work.DATABASE_SNAPSHOT,
            Work.JOURNAL,
            Work.LOG,
            Work.RESTORED,
        )

    @property
    def counts_tables(self) -> bool:
        """Whether its size is the number of tables that are complete, and not a number of bytes."""
        return self in (Work.ROWS_COPIED, Work.ROWS_COPIED_STOPPED)


class Measure(t.NamedTuple):
    """What is done at a time: `done` in the unit of the work, `size` in bytes, `time` in seconds of any clock."""

    done: int | None
    size: int | None
    time: float


class Record(t.NamedTuple):
    """How far the work is: `now`, and at its first report (`begin`). `total` is None if it is not known."""

    work: Work
    total: int | None
    now: Measure
    begin: Measure


def memory_name(word: str) -> str:
    """Return the name of the file in memory for this word, as it is given to memfd_create."""
    return f"matrix_ops_synapse_progress_{word}"


def encode(record: Record) -> bytes:
    """Return the record as RECORD_SIZE bytes. Raises ValueError if a number is negative, or has more than 18 digits."""
    numbers = [record.total]
    for done, size, seconds in (record.now, record.begin):
        numbers += [done, size, round(seconds * _TICKS_PER_SECOND)]
    text = " ".join([record.work.name, *("-" if number is None else str(number) for number in numbers)])
    if not _RECORD.fullmatch(text):
        raise ValueError("a number of the record is too long, or negative")
    return f"{_sum(text):08x} {text}".encode("ascii").ljust(RECORD_SIZE)


def decode(data: str) -> Record | None:
    """Return the record, or None if it is none, or was read while it was being written."""
    checksum, _space, text = data.rstrip().partition(" ")
    if not _RECORD.fullmatch(text) or checksum != f"{_sum(text):08x}":
        return None
    name, *words = text.split(" ")
    total, *numbers = [None if word == "-" else int(word) for word in words]
    now, begin = _measure(*numbers[:3]), _measure(*numbers[3:])
    if name not in Work.__members__ or now is None or begin is None:
        return None
    return Record(Work[name], total, now, begin)


def _measure(done: int | None, size: int | None, ticks: int | None) -> Measure | None:
    return None if ticks is None else Measure(done, size, ticks / _TICKS_PER_SECOND)


def _sum(text: str) -> int:
    return zlib.crc32(text.encode("ascii"))


class Progress:
    """Keeps how far the module is, if there is a `word`: the one of the action plugin. Threads may share it."""

    def __init__(self, word: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._word = word if HAS_FCNTL and _WORD.fullmatch(word) else ""
        self._clock = clock
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._begin: Measure | None = None
        self._work: Work | None = None
        self._written = 0.0

    @property
    def active(self) -> bool:
        """Whether a report is kept: for work that is only needed to report it."""
        return bool(self._word)

    def report(self, work: Work, done: int | None = None, total: int | None = None, *, size: int | None = None) -> None:
        """Say that `done` of `total` is done of the work, and `size` bytes.

        At most two reports per second are written, and the first one of each work. It never fails: what cannot be
        written is not shown.
        """
        if not self._word:
            return
        with self._lock:
            now = Measure(done, size, round(self._clock(), 2))
            if work is not self._work or self._begin is None:
                self._work, self._begin = work, now
            elif now.time - self._written < _SHORTEST_PAUSE:
                return
            self._written = now.time
            try:
                os.pwrite(self._file(), encode(Record(work, total, now, self._begin)), 0)
            except (OSError, ValueError, AttributeError):
                # No memory, too low a limit of open files, or a system without memfd_create.
                self._word = ""

    def _file(self) -> int:
        if self._descriptor is None:
            created = os.memfd_create(memory_name(self._word))
            try:
                os.fchmod(created, 0o600)
                self._descriptor = fcntl.fcntl(created, fcntl.F_DUPFD_CLOEXEC, DESCRIPTOR)
            finally:
                os.close(created)
        return self._descriptor


# A module is one process. The programs that it starts do not get the word.
progress = Progress(os.environ.pop(VARIABLE, ""))
