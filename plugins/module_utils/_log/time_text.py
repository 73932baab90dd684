# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Points in time as a log contains them: the regular expression that finds one, and its value."""

from __future__ import annotations

import calendar
import datetime
import re
import time
import typing as t

# What the C library makes of these directives without a locale, which Synapse does not set.
_COMPOSED = {
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "c": "%a %b %e %H:%M:%S %Y",
    "h": "%b",
    "n": "\n",
    "r": "%I:%M:%S %p",
    "t": "\t",
    "x": "%m/%d/%y",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}
_DIRECTIVES = {
    "A": rb"[^ \n0-9]+",
    "B": rb"[^ \n0-9]+",
    "C": rb"[0-9]{2}",
    "G": rb"[0-9]{4}",
    "H": rb"[0-9]{2}",
    "I": rb"[0-9]{2}",
    "M": rb"[0-9]{2}",
    "P": rb"[ap]m",
    "S": rb"[0-9]{2}",
    "U": rb"[0-9]{2}",
    "V": rb"[0-9]{2}",
    "W": rb"[0-9]{2}",
    "Y": rb"[0-9]{4}",
    "Z": rb"[A-Za-z0-9+-]*",
    "a": rb"[A-Za-z]{3}",
    "b": rb"[A-Za-z]{3}",
    "d": rb"[0-9]{2}",
    "e": rb"[ 0-9][0-9]",
    "g": rb"[0-9]{2}",
    "j": rb"[0-9]{3}",
    "k": rb"[ 0-9][0-9]",
    "l": rb"[ 0-9][0-9]",
    "m": rb"[0-9]{2}",
    "p": rb"[AP]M",
    "s": rb"[0-9]+",
    "u": rb"[0-9]",
    "w": rb"[0-9]",
    "y": rb"[0-9]{2}",
    "z": rb"[+-][0-9]{4}",
}
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
# Of a number that always has two characters.
_TWO_DIGITS = re.compile(rb"\[0-9\]\{2\}|\[ 0-9\]\[0-9\]")
_DIRECTIVE = re.compile(r"%([-_0^#EO]?)([a-zA-Z+%])")
_FRACTION = re.compile(rb"\.[0-9]{1,9}\Z")
_ISO = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    rb"(?:[.,]([0-9]{0,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_EPOCH = re.compile(rb"[0-9]{1,11}(?:\.[0-9]*)?\Z")
_CACHED = 20_000
_DAY = 86_400


class TimeText:
    """One way to write a point in time.

    `expression`: a fast regular expression that matches each such text, and more. `dated`: whether the text tells the
    day, because a time of day alone is not a point in time.
    """

    dated = True

    def __init__(self, expression: bytes) -> None:
        self.expression = expression
        self._cache: dict[bytes, float | None] = {}

    def moment(self, text: bytes) -> float | None:
        """Return the seconds since 1970 of a text, None if it is not such a text.

        A time without an offset from UTC is local time, as Python's logging writes it; in an hour that the clock
        repeats, it is the first of the two.
        """
        whole, fraction = self._parted(text)
        try:
            value = self._cache[whole]
        except KeyError:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            value = self._cache[whole] = self._parse(whole)
        return value if value is None else value + fraction

    def _parted(self, text: bytes) -> tuple[bytes, float]:
        return text, 0.0

    def _parse(self, text: bytes) -> float | None:
        raise NotImplementedError


class IsoTime(TimeText):
    """What Python writes by default, 2026-05-20 11:01:31,265, and ISO 8601 with up to nine digits of a second."""

    def __init__(self, expression: bytes = rb"[0-9-]{10}[ T][0-9:.,Z+-]+") -> None:
        super().__init__(expression)

    def _parted(self, text: bytes) -> tuple[bytes, float]:
        end = 19
        if text[19:20] in (b",", b"."):
            end = 20
            while text[end : end + 1].isdigit():
                end += 1
        if end - 20 > 9:
            return text, 0.0
        return text[:19] + text[end:], float(b"0." + text[20:end]) if end > 20 else 0.0

    def _parse(self, text: bytes) -> float | None:
        match = _ISO.match(text)
        if match is None:
            return None
        year, month, day, hour, minute, second = (int(number) for number in match.groups()[:6])
        return _seconds(year, month, day, hour, minute, second, _offset(match.group(8)))


class EpochTime(TimeText):
    """Seconds since 1970, with or without a fraction; an empty text is not a time."""

    def __init__(self, expression: bytes = rb"[0-9.]*") -> None:
        super().__init__(expression)

    def moment(self, text: bytes) -> float | None:
        """Return the number; None if it is not one."""
        return float(text) if _EPOCH.match(text) else None


class DirectiveTime(TimeText):
    """A text made by strftime from `datefmt`; `fraction`: with a point and digits of a second behind it.

    `written`: in seconds since 1970, when the log was written last, by default now. A text without a year has the year
    in which it is not more than a day later.
    """

    def __init__(self, datefmt: str, written: float | None = None, *, fraction: bool = False) -> None:
        parts = list(_parts(_DIRECTIVE.sub(lambda match: _COMPOSED.get(match.group(2), match.group()), datefmt)))
        super().__init__(b"".join(part for part, kind in parts) + (rb"\.[0-9]+" if fraction else b""))
        self._kinds = [kind for part, kind in parts if kind]
        self._whole = re.compile(b"".join(b"(" + part + b")" if kind else part for part, kind in parts) + rb"\Z")
        self._fraction = fraction
        self._written = written
        kinds = set(self._kinds)
        self.dated = "s" in kinds or bool(kinds & {"d", "e"} and kinds & {"m", "b", "B"})

    def _parted(self, text: bytes) -> tuple[bytes, float]:
        match = _FRACTION.search(text) if self._fraction else None
        return (text, 0.0) if match is None else (text[: match.start()], float(b"0" + match.group()))

    def _parse(self, text: bytes) -> float | None:
        match = self._whole.match(text)
        if match is None or not self.dated:
            return None
        parts = dict(zip(self._kinds, match.groups()))
        if "s" in parts:
            return float(parts["s"]) if len(parts["s"]) < 12 else None
        limit = (time.time() if self._written is None else self._written) + _DAY
        year = _year(parts)
        if year is not None:
            return _moment(parts, year)
        latest = time.localtime(limit).tm_year
        # The 29th of February was up to eight years ago.
        moments = (_moment(parts, year) for year in range(latest, latest - 9, -1))
        return next((moment for moment in moments if moment is not None and moment <= limit), None)


def _parts(datefmt: str) -> t.Iterator[tuple[bytes, str]]:
    """Return the parts of a format of strftime: each as a regular expression, and its directive ("" for a text)."""
    end = 0
    for match in _DIRECTIVE.finditer(datefmt):
        yield re.escape(_encoded(datefmt[end : match.start()])), ""
        end = match.end()
        flag, kind = match.groups()
        expression = _DIRECTIVES.get(kind)
        if expression is None:
            # The C library writes what it does not know as it stands, for example %f.
            yield re.escape(b"%" if kind == "%" else _encoded(match.group())), ""
        elif flag in "-_" and flag:
            yield _TWO_DIGITS.sub(b"[0-9]{1,2}" if flag == "-" else b"[ 0-9][0-9]", expression), kind
        else:
            yield expression, kind
    yield re.escape(_encoded(datefmt[end:])), ""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _year(parts: dict[str, bytes]) -> int | None:
    if "Y" in parts:
        return int(parts["Y"])
    if "y" in parts:
        short = int(parts["y"])
        return short + (2000 if short < 69 else 1900)
    return None


def _moment(parts: dict[str, bytes], year: int) -> float | None:
    name = parts.get("b", parts.get("B", b""))[:3].capitalize()
    month = _MONTHS.index(name) + 1 if name in _MONTHS else int(parts.get("m", b"0"))
    day = int(parts.get("d", parts.get("e", b"0")))
    minute, second = int(parts.get("M", b"0")), int(parts.get("S", b"0"))
    offset = 0 if parts.get("Z") in (b"UTC", b"GMT") else _offset(parts.get("z"))
    return _seconds(year, month, day, _hour(parts), minute, second, offset)


def _hour(parts: dict[str, bytes]) -> int:
    if "H" in parts or "k" in parts:
        return int(parts.get("H", parts.get("k", b"0")))
    hour = int(parts.get("I", parts.get("l", b"0")))
    half = parts.get("p", parts.get("P", b"")).upper()
    return hour % 12 + (12 if half == b"PM" else 0) if half else hour


def _offset(text: bytes | None) -> int | None:
    if not text:
        return None
    if text == b"Z":
        return 0
    seconds = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return -seconds if text.startswith(b"-") else seconds


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int, offset: int | None) -> float | None:
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 60):
        return None
    try:
        if offset is not None:
            return float(calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)) - offset)
        # Not time.mktime: what it makes of an hour that the clock repeats depends on what it was asked before.
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59)).timestamp()
    except (OverflowError, ValueError, OSError):
        return None
    return moment + second - min(second, 59)


ISO: t.Final = IsoTime()
EPOCH: t.Final = EpochTime()
