# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Measure, Record, Work
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_line import ProgressLine, amount, duration

TITLE = "synapse_export on host1"


def line(work: Work, done: int | None, total: int | None, size: int | None = None, *, seconds: float = 10) -> str:
    """The first line about work that began with nothing done `seconds` ago, in a task that began a second before."""
    begin = Measure(None if done is None else 0, None if size is None else 0, 100.0)
    return ProgressLine(TITLE, iter([99.0, 100.0 + seconds]).__next__).text(
        Record(work, total, Measure(done, size, 100.0 + seconds), begin)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            line(Work.MEDIA, 120, 400, size=123_000_000),
            "media 120 of 400 (30 %), 12.3 MB/s, about 23 s left",
        ),
        (
            line(Work.LOG, 1_200_000_000, 4_000_000_000),
            "log 1.2 GB of 4.0 GB (30 %), 120.0 MB/s, about 23 s left",
        ),
        (line(Work.ACCOUNTS_CHANGED, 50, 5000), "accounts changed 50 of 5000 (1 %), 5.0/s, about 16 min left"),
        (line(Work.ACCOUNTS_READ, 3000, None), "accounts read 3000, 300/s, 11 s so far"),
        (line(Work.BACKGROUND_UPDATES, None, None), "pending background updates, 11 s so far"),
        (line(Work.JOURNAL, 5000, None), "journal 5.0 kB, 500 B/s, 11 s so far"),
        (line(Work.MEDIA, 0, 400, size=0), "media 0 of 400 (0 %)"),
        (line(Work.MEDIA, 400, 400, seconds=100), "media 400 of 400 (100 %), 4.0/s"),
        (line(Work.LOG, 500, 400, seconds=100), "log 500 B of 400 B (100 %), 5 B/s"),
        (line(Work.MEDIA, 399, 400), "media 399 of 400 (99 %), 40/s, about 1 s left"),
        (line(Work.MEDIA, 0, 0), "media 0 of 0"),
        (
            line(Work.ROWS_COPIED, 5000, 20000, size=12),
            "rows copied to PostgreSQL while Synapse runs 5000 of 20000 (25 %), 12 tables complete, 500/s,"
            " about 30 s left",
        ),
        (line(Work.MEDIA, 1, 400, seconds=0.5), "media 1 of 400 (0 %)"),
        (line(Work.MEDIA, 1, 10, seconds=1000), "media 1 of 10 (10 %), about 2 h 30 min left"),
    ],
)
def test_the_line_says_what_is_known(text: str, expected: str) -> None:
    assert text == f"{TITLE}: {expected}"


def test_what_gets_less_has_no_rate() -> None:
    record = Record(Work.BACKGROUND_UPDATES, None, Measure(3, None, 40.0), Measure(5, None, 0.0))
    assert (
        ProgressLine(TITLE, iter([0.0, 41.0]).__next__).text(record)
        == f"{TITLE}: pending background updates 3, 41 s so far"
    )


def test_the_rate_is_that_of_the_last_lines() -> None:
    lines = ProgressLine(TITLE)
    begin = Measure(0, None, 0.0)
    text = ""
    for number in range(1, 20):
        done = 100 * number if number < 10 else 900 + 10 * (number - 9)
        text = lines.text(Record(Work.MEDIA, 2000, Measure(done, None, 10.0 * number), begin))
    assert text == f"{TITLE}: media 1000 of 2000 (50 %), 1.0/s, about 17 min left"


def test_the_time_is_that_of_the_task_also_if_the_first_report_is_the_only_one() -> None:
    at_once = Measure(None, None, 5.0)
    text = ProgressLine(TITLE, iter([0.0, 3.0]).__next__).text(Record(Work.RUNNING, None, at_once, at_once))
    assert text == f"{TITLE}: waiting until Synapse runs as declared, 3 s so far"


def test_new_work_has_a_rate_of_its_own() -> None:
    lines = ProgressLine(TITLE)
    lines.text(Record(Work.MEDIA, 400, Measure(400, 10**9, 10.0), Measure(0, 0, 0.0)))
    text = lines.text(Record(Work.ACCOUNTS_READ, 20, Measure(10, None, 12.0), Measure(0, None, 10.0)))
    assert text == f"{TITLE}: accounts read 10 of 20 (50 %), 5.0/s, about 2 s left"


def test_no_control_character_reaches_the_terminal() -> None:
    record = Record(Work.MEDIA, None, Measure(1, None, 0.0), Measure(1, None, 0.0))
    text = ProgressLine("synapse_export on host\x07\n").text(record)
    assert text == "synapse_export on host??: media 1, 0 s so far"


@pytest.mark.parametrize("work", Work)
def test_all_work_has_a_text_of_its_own_that_fits_into_a_line(work: Work) -> None:
    assert Work(work.value) is work
    assert len(work.value) < 60
    assert re.fullmatch(r"[A-Za-z (),]+", work.value)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (2.5e12, "2.5 TB")]
)
def test_an_amount_has_the_unit_that_suits(size: float, text: str) -> None:
    assert amount(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (150, "2 min"), (7140, "119 min"), (7800, "2 h 10 min")],
)
def test_a_duration_is_as_a_person_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
