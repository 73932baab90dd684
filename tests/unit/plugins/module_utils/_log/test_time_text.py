# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time in a log."""

from __future__ import annotations

import re
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import (
    EPOCH,
    ISO,
    DirectiveTime,
    IsoTime,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import parse_moment

# 2026-05-20T11:01:31Z
NOON = 1779274891


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"2026-05-20 13:01:31,265", NOON + 0.265),
        (b"2026-05-20 13:01:31.265", NOON + 0.265),
        (b"2026-05-20T13:01:31", NOON),
        (b"2026-05-20 13:01:31,", NOON),
        (b"2026-05-20T11:01:31.265Z", NOON + 0.265),
        (b"2026-05-20T11:01:31.123456789Z", NOON + 0.123456789),
        (b"2026-05-20T13:01:31+02:00", NOON),
        (b"2026-05-20T05:31:31.5-0530", NOON + 0.5),
        (b"2026-01-20 12:00:00,000", 1768906800),
    ],
)
def test_iso_times(text: bytes, moment: float) -> None:
    assert ISO.moment(text) == pytest.approx(moment, abs=1e-6)
    assert re.fullmatch(ISO.expression, text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"2026-13-20 13:01:31,265",
        b"2026-05-00 13:01:31",
        b"2026-05-20 24:01:31",
        b"2026-05-20 13:01:31,1234567890",
        b"2026-05-20 13:01:31,265 ",
        b"2026-05-20 13:01",
        b"0000-00-00 00:00:00",
        b"----------  ::::",
        b"2026-05-20 13:01:31,\xb2",
    ],
)
def test_what_is_not_an_iso_time(text: bytes) -> None:
    assert ISO.moment(text) is None
    # The second time from the cache.
    assert ISO.moment(text) is None


def test_the_hour_that_the_clock_repeats_is_in_order_with_an_offset() -> None:
    first, second = ISO.moment(b"2026-10-25T02:30:00+02:00"), ISO.moment(b"2026-10-25T02:30:00+01:00")
    assert first is not None and second is not None
    assert second - first == 3600
    assert ISO.moment(b"2026-10-25 02:30:00,000") in (first, second)


def test_that_a_repeated_hour_does_not_depend_on_what_was_asked_before() -> None:
    first = ISO.moment(b"2026-10-25T02:30:00+02:00")
    for before in (b"2026-01-25 12:00:00", b"2026-07-25 12:00:00", b"2026-10-25 03:30:00"):
        for kind in (IsoTime(), DirectiveTime("%Y-%m-%d %H:%M:%S")):
            kind.moment(before)
            assert kind.moment(b"2026-10-25 02:30:00") == first
    # As for since and until.
    assert parse_moment("2026-10-25 02:30", "since", 0) == first


def test_a_leap_second_and_a_day_that_does_not_exist() -> None:
    assert ISO.moment(b"2016-12-31 00:59:60") == ISO.moment(b"2016-12-31 01:00:00")
    assert ISO.moment(b"2026-02-30 12:00:00") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [(b"1779274891.265", 1779274891.265), (b"0", 0.0), (b"", None), (b".", None), (b"1.2.3", None), (b"9" * 400, None)],
)
def test_epoch_times(text: bytes, moment: float | None) -> None:
    assert EPOCH.moment(text) == moment


@pytest.mark.parametrize(
    ("datefmt", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", b"2026-05-20 13:01:31"),
        ("%d/%b/%Y:%H:%M:%S %z", b"20/May/2026:11:01:31 +0000"),
        ("%d.%m.%y %T", b"20.05.26 13:01:31"),
        ("%D %I:%M:%S %p", b"05/20/26 01:01:31 PM"),
        ("%a %F %T %Z", b"Wed 2026-05-20 11:01:31 UTC"),
        ("%a %F %T %Z", b"Wed 2026-05-20 13:01:31 CEST"),
        ("%c", b"Wed May 20 13:01:31 2026"),
        ("%s", b"1779274891"),
        ("%-d. %B %Y, %H.%M.%S", b"20. May 2026, 13.01.31"),
        ("%Y-%m-%dT%H:%M:%S.%f", b"2026-05-20T13:01:31.%f"),
        ("%Y%m%d %H%M%S%%", b"20260520 130131%"),
        ("%Y-%-m-%-e %-l:%M:%S %p", b"2026-5-20 1:01:31 PM"),
        ("%Y-%m-%d %-k:%M:%S", b"2026-05-20 13:01:31"),
        ("%d-%^b-%Y %T", b"20-MAY-2026 13:01:31"),
        ("%_d %b %Y %_H:%M:%S", b"20 May 2026 13:01:31"),
    ],
)
def test_a_datefmt(datefmt: str, text: bytes) -> None:
    directive = DirectiveTime(datefmt)
    assert directive.dated
    assert re.fullmatch(directive.expression, text)
    assert directive.moment(text) == NOON
    assert directive.moment(text + b"\n") is None


@pytest.mark.parametrize("datefmt", ["%H:%M:%S", "%Y %H:%M", "%d %H:%M", "now"])
def test_without_a_day_it_is_not_a_point_in_time(datefmt: str) -> None:
    directive = DirectiveTime(datefmt)
    assert not directive.dated
    assert directive.moment(b"13:01:31") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [(b"May 20 13:01:31", NOON), (b"May 21 13:01:30", NOON + 86399), (b"Dec 31 12:00:00", 1767178800)],
)
def test_a_time_without_a_year_is_not_later_than_the_file(text: bytes, moment: float) -> None:
    assert DirectiveTime("%b %e %H:%M:%S", NOON).moment(text) == moment


def test_a_leap_day_without_a_year() -> None:
    # In January 2025, and in 2104, because the year 2100 has no leap day.
    for written, moment in ((1736510400, 1709204400), (4229280000, 3981351600)):
        assert DirectiveTime("%b %e %H:%M:%S", written).moment(b"Feb 29 12:00:00") == moment
    assert DirectiveTime("%b %e %H:%M:%S", NOON).moment(b"Feb 30 12:00:00") is None


def test_a_fraction_behind_directives() -> None:
    directive = DirectiveTime("%b %e %H:%M:%S", NOON, fraction=True)
    assert directive.moment(b"May 20 13:01:31.250000") == NOON + 0.25
    assert directive.moment(b"May 32 13:01:31.250000") is None


def test_the_cache_is_bounded() -> None:
    for second in range(40_000):
        ISO.moment(b"%04d-01-01 00:00:00" % second)
    assert len(ISO._cache) <= 20_000


@pytest.mark.parametrize(
    ("hour", "expected"), [(b"12:30 AM", 0), (b"01:30 AM", 1), (b"12:30 PM", 12), (b"11:30 PM", 23)]
)
def test_hours_with_am_and_pm(hour: bytes, expected: int) -> None:
    found = DirectiveTime("%Y-%m-%d %I:%M %p").moment(b"2026-05-20 " + hour)
    assert found is not None
    assert found == DirectiveTime("%Y-%m-%d %H:%M").moment(b"2026-05-20 %02d:30" % expected)


@pytest.mark.parametrize("zone", [b"UTC", b"GMT"])
def test_the_names_of_utc(zone: bytes) -> None:
    assert DirectiveTime("%Y-%m-%d %H:%M:%S %Z").moment(b"2026-05-20 11:01:31 " + zone) == NOON
