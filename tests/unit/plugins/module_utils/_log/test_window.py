# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as an administrator writes them, and windows."""

from __future__ import annotations

import datetime
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window, parse_moment, parse_window

NOW = 1_795_874_400.5


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0
) -> float:
    zone = datetime.timezone.utc
    return datetime.datetime(year, month, day, hour, minute, second, microsecond, zone).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28", utc(2026, 11, 27, 23)),
        ("2026-07-01", utc(2026, 6, 30, 22)),
        ("2026-11-28T14:05", utc(2026, 11, 28, 13, 5)),
        ("2026-11-28 14:05:30", utc(2026, 11, 28, 13, 5, 30)),
        (" 2026-11-28 14:05:30 ", utc(2026, 11, 28, 13, 5, 30)),
        ("2026-11-28 14:05:30,265", utc(2026, 11, 28, 13, 5, 30, 265000)),
        ("2026-11-28t14:05:30.123456789z", utc(2026, 11, 28, 14, 5, 30, 123456)),
        ("2026-11-28T14:05:30Z", utc(2026, 11, 28, 14, 5, 30)),
        ("2026-11-28 14:05:30+00:00", utc(2026, 11, 28, 14, 5, 30)),
        ("2026-11-28T14:05+0530", utc(2026, 11, 28, 8, 35)),
        ("2026-11-28 14:05 -03", utc(2026, 11, 28, 17, 5)),
        ("1700000000", 1_700_000_000),
        ("1700000000.25", 1_700_000_000.25),
        ("1700000000250", 1_700_000_000.25),
        ("-15min", NOW - 900),
        ("-2h", NOW - 7200),
        ("-1d", NOW - 86400),
        ("-30s", NOW - 30),
        ("-1h30min", NOW - 5400),
        ("-1h 30 min", NOW - 5400),
        ("-1W", NOW - 604800),
        ("- 5 minutes", NOW - 300),
        ("now", NOW),
        ("today", utc(2026, 11, 27, 23)),
        ("Yesterday", utc(2026, 11, 26, 23)),
    ],
)
def test_parse_moment(text: str, moment: float) -> None:
    assert parse_moment(text, "since", NOW) == pytest.approx(moment, abs=1e-4)


def test_that_days_begin_at_midnight_also_where_a_day_has_25_hours() -> None:
    noon = utc(2026, 10, 25, 11)
    assert parse_moment("today", "since", noon) == utc(2026, 10, 24, 22)
    assert parse_moment("yesterday", "since", noon + 86400) == utc(2026, 10, 24, 22)
    assert parse_moment("today", "since", noon + 86400) == utc(2026, 10, 25, 23)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "15min",
        "-15",
        "-15 parsecs",
        "-1h30",
        "tomorrow",
        "2026-13-01",
        "2026-02-30",
        "2026-11-28T25:00",
        "2026-11-28T14",
        "2026-11-28Z",
        "2026-11-28T14:05+99:00",
        "28.11.2026",
        "20261128",
        "0",
        "2026",
        "-1700000000",
        "99999999999999999999",
        "0000-01-01",
        "٢٠٢٦-١١-٢٨",
        "nan",
        "inf",
        "-" + "1h" * 5000 + "!",
    ],
)
def test_that_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="until .* is not a point in time: write for example .*-15min"):
        parse_moment(text, "until", NOW)


def test_windows() -> None:
    assert parse_window(None, None, NOW) == Window(None, None)
    assert not Window().limited
    window = parse_window("-15min", "-5min", NOW)
    assert window.limited
    # `until` itself is not in it.
    assert [window.contains(NOW - ago) for ago in (901, 900, 301, 300, 0)] == [False, True, True, False, False]
    assert Window().contains(0)
    assert Window(since=5).contains(6) and not Window(since=5).contains(4)
    assert Window(until=5).contains(4) and not Window(until=5).contains(5)
    assert window.overlaps(0, NOW - 900) and not window.overlaps(0, NOW - 901)
    assert window.overlaps(NOW - 301, NOW) and not window.overlaps(NOW - 300, NOW)


@pytest.mark.parametrize(("since", "until"), [("-5min", "-15min"), ("now", "now"), ("today", "2020-01-01")])
def test_that_a_window_without_time_is_refused(since: str, until: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_window(since, until, NOW)
    assert str(caught.value) == f"since ({since}) is not before until ({until}): exchange them."


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        ("2026-03-29 02:30", "2026-03-29 03:00", "because since is in an hour that the clock of this host skips:"),
        ("2026-10-25 02:50", "2026-10-25T02:10", "because until is in an hour that the clock of this host repeats:"),
        # In no meaning of these is since before until.
        ("2026-03-29 02:30", "2026-03-29 01:00", "exchange them."),
        ("2026-10-25 02:50", "2026-10-25T01:10", "exchange them."),
        ("2026-10-25 02:50Z", "2026-10-25T02:10Z", "exchange them."),
    ],
)
def test_limits_in_the_hours_when_the_clock_changes(since: str, until: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_window(since, until, NOW)
    assert reason in str(caught.value)


def test_that_the_message_names_the_option() -> None:
    with pytest.raises(InvalidInput, match="since 'x' is"):
        parse_window("x", None, NOW)
    with pytest.raises(InvalidInput, match="until 'y' is"):
        parse_window(None, "y", NOW)
