# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Windows of time, and how an administrator writes their limits."""

from __future__ import annotations

import datetime
import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = re.compile(r"\d{10,16}(?:\.\d{1,9})?", re.ASCII)
_RELATIVE = re.compile(r"-\s?(?:\d{1,9}\s?[a-z]+\s?)+", re.ASCII)
_PART = re.compile(r"(\d+)\s?([a-z]+)", re.ASCII)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
}
# More than this are milliseconds: as seconds it would be the year 5138.
_MOST_SECONDS = 1e11


class Window(t.NamedTuple):
    """The time from `since` to before `until`, both in seconds since 1970; None: without this limit."""

    since: float | None = None
    until: float | None = None

    def contains(self, time: float) -> bool:
        """Whether since <= time < until."""
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    def overlaps(self, first: float, last: float) -> bool:
        """Whether it contains a time from `first` to `last`, both included."""
        return (self.since is None or last >= self.since) and (self.until is None or first < self.until)

    def admits(self, time: float | None) -> bool:
        """Whether a record counts; `time`: None if it has none, so that it only counts without limits."""
        return not self.limited or (time is not None and self.contains(time))

    @property
    def limited(self) -> bool:
        return self.since is not None or self.until is not None


def parse_window(since: str | None, until: str | None, now: float) -> Window:
    """Return the window of the options `since` and `until`; None: without this limit. `now`: in seconds since 1970.

    Raises InvalidInput.
    """
    window = Window(
        None if since is None else parse_moment(since, "since", now),
        None if until is None else parse_moment(until, "until", now),
    )
    if window.since is not None and window.until is not None and window.since >= window.until:
        option, change = "since", _clock_change(since, before=window.until)
        if not change:
            option, change = "until", _clock_change(until, after=window.since)
        if change:
            raise InvalidInput(
                f"since ({since}) is not before until ({until}), because {option} is in an hour that the clock of this"
                f" host {change}: write both with their offset from UTC, such as 2026-11-28T14:05:30+00:00."
            )
        raise InvalidInput(f"since ({since}) is not before until ({until}): exchange them.")
    return window


def _clock_change(text: str | None, *, after: float = -math.inf, before: float = math.inf) -> str:
    """Whether the clock "skips" or "repeats" a local time that in its other meaning is in these limits; "" if not."""
    iso = _ISO.fullmatch((text or "").strip())
    if not iso or iso.group(8):
        return ""
    moment = _datetime_of(iso)
    first, second = moment.timestamp(), moment.replace(fold=1).timestamp()
    if first == second or not after < second < before:
        return ""
    return "skips" if first > second else "repeats"


def parse_moment(text: str, option: str, now: float) -> float:
    """Return the point in time `text`, the value of `option`, in seconds since 1970. `now`: as well.

    ISO 8601 (without an offset: the local time of this host, the first of the two in an hour that its clock repeats),
    seconds or milliseconds since 1970, before now (such as -15min or -1h30min), now, today or yesterday (when they
    began). Raises InvalidInput for everything else.
    """
    text = text.strip()
    try:
        found = _moment(text, now)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None:
        raise InvalidInput(
            f"{option} {text!r} is not a point in time: write for example 2026-11-28, 2026-11-28T14:05, 2026-11-28"
            " 14:05:30Z, -15min, -1h30min, today, or seconds since 1970."
        )
    return found


def _moment(text: str, now: float) -> float | None:
    iso = _ISO.fullmatch(text)
    if iso:
        return _datetime_of(iso).timestamp()
    if _EPOCH.fullmatch(text):
        number = float(text)
        return number / 1000 if number > _MOST_SECONDS else number
    word = text.lower()
    if word == "now":
        return now
    if word in ("today", "yesterday"):
        day = datetime.datetime.fromtimestamp(now).date() - datetime.timedelta(days=word == "yesterday")
        return datetime.datetime.combine(day, datetime.time()).timestamp()
    if _RELATIVE.fullmatch(word):
        parts = _PART.findall(word)
        if all(unit in _UNITS for number, unit in parts):
            return now - sum(int(number) * _UNITS[unit] for number, unit in parts)
    return None


def _datetime_of(iso: re.Match[str]) -> datetime.datetime:
    year, month, day, hour, minute, second, fraction, offset = iso.groups()
    if offset and hour is None:
        raise ValueError
    zone = None
    if offset:
        digits = "0000" if offset in "Zz" else offset[1:].replace(":", "").ljust(4, "0")
        away = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        zone = datetime.timezone(-away if offset[0] == "-" else away)
    return datetime.datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "0")[:6].ljust(6, "0")),
        zone,
    )
