# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a file that a window of time needs: never too few, and few of a file that is in order."""

from __future__ import annotations

import os
import random
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import regions as tested
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.regions import regions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

FORMAT = Layout("%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s")
DAY = 1_795_824_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """Small steps, so that small files are divided often. UTC, because a log contains local time."""
    monkeypatch.setattr(tested, "_SHORT", 400)
    monkeypatch.setattr(tested, "_DISTANCE", 400)
    monkeypatch.setattr(tested, "_FIRST_LOOK", 150)
    monkeypatch.setattr(tested, "_LONGEST_LOOK", 5000)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def record(seconds: float, message: str = "x") -> bytes:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(DAY + seconds))
    return f"{moment},{int(seconds * 1000) % 1000:03} - synapse.x - 1 - INFO - GET-1 - {message}\n".encode()


def log_file(tmp_path: Path, text: bytes) -> LogFile:
    path = tmp_path / "homeserver.log"
    path.write_bytes(text)
    file = LogFile(str(path), path.stat())
    file.layouts = (FORMAT,)
    times = times_of(text)
    file.first, file.last = times[0], times[-1]
    return file


def times_of(text: bytes) -> list[float]:
    found = [FORMAT.record(line) for line in text.split(b"\n")]
    return [record.time for record in found if record is not None and record.time is not None]


def window(since: float | None, until: float | None) -> Window:
    return Window(None if since is None else DAY + since, None if until is None else DAY + until)


def found_in(file: LogFile, wanted: Window) -> list[float]:
    """The times of the records that are found. Checks that the regions are in order and do not touch."""
    parts = regions(file, wanted)
    assert all(start < end for start, end in parts)
    assert all(before[1] < after[0] for before, after in zip(parts, parts[1:]))
    text = b"".join(block for start, end in parts for offset, block in file.blocks(start, end))
    return times_of(text)


def assert_complete(file: LogFile, text: bytes, wanted: Window) -> None:
    expected = sorted(moment for moment in times_of(text) if wanted.contains(moment))
    assert sorted(moment for moment in found_in(file, wanted) if wanted.contains(moment)) == expected


def size_of(parts: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in parts)


WINDOWS = [
    window(None, 0),
    window(None, 0.001),
    window(None, 5000),
    window(4000, 4300),
    window(4000, 4000.001),
    window(9999, None),
    window(10000.001, None),
    window(-5, 99999),
    window(20000, 30000),
]


@pytest.mark.parametrize("wanted", WINDOWS)
def test_a_file_in_order(tmp_path: Path, wanted: Window) -> None:
    text = b"".join(record(seconds) for seconds in range(10001))
    file = log_file(tmp_path, text)
    assert_complete(file, text, wanted)
    needed = sum(wanted.contains(DAY + seconds) for seconds in range(10001)) * len(record(0))
    assert size_of(regions(file, wanted)) <= needed + 3500


def test_that_a_window_that_ends_before_or_begins_after_the_file_needs_nothing(tmp_path: Path) -> None:
    file = log_file(tmp_path, b"".join(record(seconds) for seconds in range(1000)))
    assert regions(file, window(None, -11)) == []
    assert regions(file, window(1011, None)) == []
    # Records may be up to ten seconds late.
    assert regions(file, window(None, -9)) != []
    assert regions(file, Window()) == [(0, file.size)]


@pytest.mark.parametrize("wanted", WINDOWS)
def test_times_that_are_a_little_out_of_order(tmp_path: Path, wanted: Window) -> None:
    random.seed(7)
    text = b"".join(record(max(0, seconds - 5 * random.random())) for seconds in range(10001))
    assert_complete(log_file(tmp_path, text), text, wanted)


@pytest.mark.parametrize("wanted", WINDOWS)
def test_files_put_together(tmp_path: Path, wanted: Window) -> None:
    one = b"".join(record(seconds) for seconds in range(0, 10001, 2))
    two = b"".join(record(seconds) for seconds in range(3000, 5000, 3))
    for text in (one + two, two + one, one + two + one, two * 5):
        assert_complete(log_file(tmp_path, text), text, wanted)


def test_that_only_what_is_needed_of_files_put_together_is_read(tmp_path: Path) -> None:
    one = b"".join(record(seconds) for seconds in range(10000))
    file = log_file(tmp_path, one * 3)
    assert size_of(regions(file, window(5000, 5100))) < file.size / 20


def test_that_a_short_file_is_read_completely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    hour = b"".join(record(seconds, "x" * 300) for seconds in range(0, 3600, 9))
    late = b"".join(record(seconds - 120) for seconds in range(1000, 1010))
    for text in (hour + hour, hour + late + hour[-1000:]):
        assert_complete(log_file(tmp_path, text), text, window(600, 900))


def test_that_a_short_file_is_not_read_if_it_is_old_in_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    file = log_file(tmp_path, record(0) + record(5))
    file.modified = DAY + 5.0
    assert regions(file, window(5 + 86_400, None)) == [(0, file.size)]
    assert regions(file, window(6 + 86_400, None)) == []
    for name in ("modified", "first", "last"):
        with monkeypatch.context() as patched:
            patched.setattr(file, name, DAY + 6.0)
            assert regions(file, window(6 + 86_400, None)) == [(0, file.size)]


@pytest.mark.parametrize("late", [30, 120])
def test_late_records_next_to_a_part_of_the_window(tmp_path: Path, late: int) -> None:
    """Wherever the places are, because they lie behind the first record of a place or not."""
    size = len(record(0))
    for place in range(300, 310):
        # What is next to it ends at most one distance, 400 bytes, behind the part of the window.
        text = b"".join(map(record, [*range(place), place - late, *range(place, 600)]))
        file = log_file(tmp_path, text)
        assert_complete(file, text, window(place - 10 - 400 // size - 2, place - 10))
        assert_complete(file, text, window(place - late, place - 9))


def test_that_the_places_are_bounded_in_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "_PLACES", 10)
    text = b"".join(record(seconds) for seconds in range(10001))
    file = log_file(tmp_path, text)
    assert_complete(file, text, window(4000, 4300))
    # One tenth has it, or two, and there is one on each side.
    assert size_of(regions(file, window(4100, 4101))) in range(file.size // 4, file.size // 2)


def test_zeros_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "_DISTANCE", 1 << 20)
    half = b"".join(record(seconds) for seconds in range(1000))
    file = log_file(tmp_path, half + record(1000))
    with open(file.path, "r+b") as opened:
        opened.write(half)
        opened.seek(20 << 30)
        opened.write(b"\n" + half.replace(b"2026-11-28", b"2026-11-29"))
    status = os.stat(file.path)
    long = LogFile(file.path, status)
    long.layouts, long.first, long.last = file.layouts, file.first, DAY + 86400 + 999
    begin = time.monotonic()
    parts = regions(long, window(10, 20))
    assert parts[0][0] == 0 and time.monotonic() - begin < 5


@pytest.mark.parametrize("wanted", WINDOWS)
def test_a_clock_that_was_set(tmp_path: Path, wanted: Window) -> None:
    times = [*range(2000), *range(500, 3000), *range(9000, 9500), *range(3500, 10001)]
    text = b"".join(record(seconds) for seconds in times)
    assert_complete(log_file(tmp_path, text), text, wanted)


@pytest.mark.parametrize("wanted", WINDOWS)
def test_no_order_at_all(tmp_path: Path, wanted: Window) -> None:
    random.seed(8)
    text = b"".join(record(random.random() * 10000) for number in range(3000))
    file = log_file(tmp_path, text)
    assert_complete(file, text, wanted)


@pytest.mark.parametrize("wanted", WINDOWS)
def test_long_stretches_without_a_record(tmp_path: Path, wanted: Window) -> None:
    traceback = b"".join(b'  File "x.py", line %d, in f\n' % number for number in range(500))
    parts = [record(seconds) for seconds in range(0, 10001, 20)]
    parts[100] += traceback
    parts[200] += b"x" * 20000 + b"\n"
    parts[-1] += traceback
    text = traceback + b"".join(parts)
    assert_complete(log_file(tmp_path, text), text, wanted)


def test_that_a_continuation_belongs_to_its_record(tmp_path: Path) -> None:
    traceback = b"  in x\n" * 2000
    text = b"".join(record(seconds) for seconds in range(1000)) + record(1000) + traceback
    text += b"".join(record(seconds) for seconds in range(1100, 3000))
    file = log_file(tmp_path, text)
    found = b"".join(block for part in regions(file, window(1000, 1001)) for offset, block in file.blocks(*part))
    assert found.count(b"  in x\n") == 2000


@pytest.mark.parametrize("wanted", WINDOWS)
def test_forged_times_in_continuation_lines(tmp_path: Path, wanted: Window) -> None:
    random.seed(9)
    parts = [record(seconds) for seconds in range(10001)]
    for number in range(0, 10001, 50):
        parts[number] += record(random.random() * 1e6)
    found = found_in(log_file(tmp_path, b"".join(parts) + record(10001)), wanted)
    # Those that are genuine are found.
    assert {DAY + seconds for seconds in range(10002) if wanted.contains(DAY + seconds)} <= set(found)


def test_random_files(tmp_path: Path) -> None:
    random.seed(20)
    for _file in range(60):
        moment, parts = 0.0, []
        for _record in range(random.randrange(1, 400)):
            moment += random.choice((0, 0, 0.5, 1, 30))
            if random.random() < 0.01:
                moment = random.random() * 2000
            parts.append(record(moment, "m" * random.choice((1, 30, 500))))
            if random.random() < 0.1:
                parts.append(b"continued\n" * random.choice((1, 5, 200)))
        text = record(0) + b"".join(parts)
        limits = sorted(random.random() * 2500 for limit in range(2))
        assert_complete(log_file(tmp_path, text), text, window(*limits))


def test_compressed_files(tmp_path: Path) -> None:
    file = log_file(tmp_path, record(0))
    file.compression, file.last = "gzip", None
    assert regions(file, window(50, 60)) == [(0, file.end)]
    assert regions(file, window(None, -11)) == []
    file.not_after = DAY + 200
    assert regions(file, window(150, None)) == [(0, file.end)]
    assert regions(file, window(201, None)) == []


def test_that_a_log_without_times_is_refused(tmp_path: Path) -> None:
    file = log_file(tmp_path, record(0))
    file.first = file.last = None
    with pytest.raises(
        InvalidInput, match=r"since and until cannot be used with .*homeserver.log, because the records"
    ):
        regions(file, window(0, None))
    assert regions(file, Window()) == [(0, file.size)]
    file = log_file(tmp_path, record(0))
    file.layouts = (FORMAT, Layout("%(levelname)s:%(name)s:%(message)s"))
    with pytest.raises(InvalidInput) as caught:
        regions(file, window(None, 5))
    # The time may be there, but in a form that is not known.
    assert "if they have one, set log_format and log_datefmt as in Synapse's log configuration, else" in str(
        caught.value
    )
    assert "add %(asctime)s to the format there" in str(caught.value)


def test_a_compressed_file_that_begins_a_little_later(tmp_path: Path) -> None:
    file = log_file(tmp_path, record(0))
    file.compression, file.first, file.not_after = "gzip", 1000.0, None
    assert regions(file, Window(None, 995.0)) == [(0, file.end)]
    assert regions(file, Window(None, 900.0)) == []
