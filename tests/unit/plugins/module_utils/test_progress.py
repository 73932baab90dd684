# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import sys
import typing as t
import zlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import (
    DESCRIPTOR,
    RECORD_SIZE,
    Measure,
    Progress,
    Record,
    Work,
    decode,
    encode,
    memory_name,
)

WORD = "0123456789abcdef" * 2
RECORD = Record(Work.MEDIA, 400, Measure(120, 5_000_000, 12.5), Measure(0, 0, 2.25))

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memfd_create")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> t.Iterator[Progress]:
    made = Progress(WORD, clock)
    yield made
    if made._descriptor is not None:
        os.close(made._descriptor)


def written(progress: Progress) -> Record | None:
    assert progress._descriptor is not None
    return decode(os.pread(progress._descriptor, RECORD_SIZE * 2, 0).decode())


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        Record(Work.DELETION, None, Measure(None, None, 3.5), Measure(None, None, 1.0)),
        Record(Work.LOG, 10**15, Measure(10**14, None, 1e6), Measure(0, None, 0.0)),
        Record(Work.UNFINISHED_REQUESTS, 10**18 - 1, *[Measure(10**18 - 1, 10**18 - 1, 9e15)] * 2),
    ],
)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    data = encode(record)
    assert len(data) == RECORD_SIZE
    assert decode(data.decode()) == record


def signed(text: str) -> str:
    """The text with its right checksum, which anybody can compute."""
    return f"{zlib.crc32(text.encode()):08x} {text}"


def test_a_record_is_a_name_and_numbers() -> None:
    assert decode(signed("MEDIA 400 120 5000000 1250 0 0 225")) == RECORD


@pytest.mark.parametrize(
    "data",
    [
        "",
        "nonsense",
        "00000000 []",
        encode(RECORD)[:40].decode(),
        encode(RECORD).decode().replace("120", "121"),
        f"FAKE {encode(RECORD).decode()}",
        signed('["your server was broken into",400,"",120,null,1.0,0,null,0.0]'),
        signed("CALL_THIS_NUMBER 400 120 5000000 1250 0 0 225"),
        signed("MEDIA 400 120 5000000 1250 0 0 225 call this number"),
        signed("MEDIA 400 120 5000000 1250 0 0"),
        signed("MEDIA 400 120 5000000 - 0 0 225"),
        signed("MEDIA 400 120 5000000 1250 0 0 -"),
        signed("MEDIA 400 -120 5000000 1250 0 0 225"),
        signed("MEDIA 400 1e9 5000000 1250 0 0 225"),
        signed("MEDIA 400 \u0661 5000000 1250 0 0 225"),
        signed(f"MEDIA 400 {10**18} 5000000 1250 0 0 225"),
        signed("MEDIA 400 120 5000000 1250 0 0 225\x1b[31m"),
        signed("MEDIA\n400 120 5000000 1250 0 0 225"),
    ],
)
def test_anything_else_is_no_record(data: str) -> None:
    assert decode(data) is None


@pytest.mark.parametrize("done", [-1, 10**18])
def test_a_number_that_does_not_fit_is_refused(done: int) -> None:
    with pytest.raises(ValueError, match="too long, or negative"):
        encode(RECORD._replace(now=RECORD.now._replace(done=done)))


@linux
def test_a_report_is_kept_in_memory_for_its_owner_only(progress: Progress, clock: Clock) -> None:
    progress.report(Work.MEDIA, 0, 400, size=0)
    clock.now += 5
    progress.report(Work.MEDIA, 120, 400, size=5_000_000)
    assert written(progress) == Record(Work.MEDIA, 400, Measure(120, 5_000_000, 105.0), Measure(0, 0, 100.0))
    assert progress._descriptor is not None
    status = os.fstat(progress._descriptor)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_nlink == 0
    assert progress._descriptor >= DESCRIPTOR
    assert not os.get_inheritable(progress._descriptor)
    # What the reader looks for.
    link = os.readlink(f"/proc/self/fd/{progress._descriptor}")
    assert link == f"/memfd:{memory_name(WORD)} (deleted)"


@linux
def test_at_most_two_reports_per_second_are_written(progress: Progress, clock: Clock) -> None:
    progress.report(Work.MEDIA, 0, 400)
    writes = []
    for done in range(1, 31):
        clock.now += 0.1
        progress.report(Work.MEDIA, done, 400)
        record = written(progress)
        assert record is not None
        writes.append(record.now.done)
    assert len(set(writes) - {0}) == 6


@linux
def test_new_work_is_written_at_once(progress: Progress, clock: Clock) -> None:
    progress.report(Work.MEDIA, 399, 400)
    clock.now += 0.1
    progress.report(Work.LOG)
    record = written(progress)
    assert record is not None
    assert (record.work, record.now.done, record.begin.time) == (Work.LOG, None, 100.1)


@pytest.mark.parametrize("word", ["", "x" * 32, WORD.upper(), f"{WORD}0"])
def test_without_a_word_of_the_plugin_nothing_is_kept(word: str, clock: Clock) -> None:
    progress = Progress(word, clock)
    progress.report(Work.MEDIA, 1, 400)
    assert progress._descriptor is None


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), AttributeError("memfd_create")])
def test_what_cannot_be_written_does_not_fail(
    error: Exception, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(name: str) -> int:
        calls.append(name)
        raise error

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    progress.report(Work.MEDIA, 1, 400)
    progress.report(Work.LOG)
    assert len(calls) == 1


def test_the_module_keeps_the_word_from_the_programs_that_it_starts() -> None:
    assert _progress.VARIABLE not in os.environ
