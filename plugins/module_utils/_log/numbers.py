# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""All numbers of a request in one integer, so that one addition adds all of them.

A log has millions of requests with a few thousand different texts of numbers. So each text is read once, and the
integers of its request are added up, each number in its own bits.
"""

from __future__ import annotations

import operator
import re
import typing as t

_COUNT_BITS, _BITS = 30, 60
# In the order of their bits. The processing time has the highest ones, so that of a slower request it is larger.
_CPU, _DATABASE, _WAIT, _TRANSACTIONS, _EVENTS, _SIZE, _PROCESSING = (_COUNT_BITS + _BITS * place for place in range(7))
# A larger one of the others counts as this one, so that a sum cannot reach the bits of another number.
_MOST = 10**12
_REMEMBERED = 20_000
_SECONDS = re.compile(rb"(-?)([0-9]{1,16})\.([0-9]{3})")
_TWO_TIMES = re.compile(rb"(-?[0-9]{1,16}\.[0-9]{3})sec, (-?[0-9]{1,16}\.[0-9]{3})")
_DATABASE_USE = re.compile(rb"(-?[0-9]{1,16}\.[0-9]{3})sec/(-?[0-9]{1,16}\.[0-9]{3})sec/(-?[0-9]{1,18})")
_INTEGER = re.compile(rb"-?[0-9]{1,18}")


class NotANumber(Exception):
    """A text is not what Synapse writes."""


class Numbers(t.NamedTuple):
    """The sums of the numbers of some requests. Times are in milliseconds."""

    requests: int
    cpu: int
    database: int
    database_wait: int
    transactions: int
    events: int
    size: int
    processing: int


class NumberTexts(t.NamedTuple):
    """The numbers of many requests, as they are written in the log.

    `cpu`: for example `0.207sec, 0.003`. `database`: for example `0.001sec/0.002sec/7`.
    """

    processing: t.Sequence[bytes]
    cpu: t.Sequence[bytes]
    database: t.Sequence[bytes]
    size: t.Sequence[bytes]
    events: t.Sequence[bytes]


def packed(texts: NumberTexts) -> list[int]:
    """Return for each request the integer that contains its numbers. Raises NotANumber."""
    add = operator.add
    times = map(add, map(_PROCESSINGS.__getitem__, texts.processing), map(_CPUS.__getitem__, texts.cpu))
    sizes = map(add, map(_SIZES.__getitem__, texts.size), map(_EVENT_COUNTS.__getitem__, texts.events))
    return list(map(add, times, map(add, sizes, map(_DATABASE_USES.__getitem__, texts.database))))


def unpacked(total: int) -> Numbers:
    """Return the numbers in a sum of such integers."""
    count = count_in(total)
    total >>= _COUNT_BITS
    numbers = []
    for _place in range(6):
        # The sign of a number is the highest of its bits.
        number = total & ((1 << _BITS) - 1)
        number -= (number >> (_BITS - 1)) << _BITS
        numbers.append(number)
        total = (total - number) >> _BITS
    cpu, database, wait, transactions, events, size = numbers
    return Numbers(count, cpu, database, wait, transactions, events, size, total)


def count_in(total: int) -> int:
    """Return how many requests there are in a sum of such integers."""
    return total & ((1 << _COUNT_BITS) - 1)


def not_faster_than(seconds: float) -> int:
    """Return an integer that is not larger than that of a request which took so many seconds, or longer."""
    # The numbers in the lower bits may be negative.
    return (round(seconds * 1000) - 1) << _PROCESSING


class _Known(dict[bytes, int]):
    """The integers of the texts that were read, by their texts."""

    def __init__(self, read: t.Callable[[bytes], int]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: bytes) -> int:
        number = self._read(text)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = number
        return number


def _match(expression: re.Pattern[bytes], text: bytes) -> re.Match[bytes]:
    match = expression.fullmatch(text)
    if match is None:
        raise NotANumber
    return match


def _milliseconds(text: bytes) -> int:
    sign, whole, thousandths = _match(_SECONDS, text).groups()
    return int(sign + whole + thousandths)


def _bounded(number: int) -> int:
    return max(-_MOST, min(_MOST, number))


def _processing(text: bytes) -> int:
    return 1 + (_milliseconds(text) << _PROCESSING)


def _cpu(text: bytes) -> int:
    return _bounded(sum(map(_milliseconds, _match(_TWO_TIMES, text).groups()))) << _CPU


def _database(text: bytes) -> int:
    wait, database, transactions = _match(_DATABASE_USE, text).groups()
    return (
        (_bounded(_milliseconds(wait)) << _WAIT)
        + (_bounded(_milliseconds(database)) << _DATABASE)
        + (_bounded(int(transactions)) << _TRANSACTIONS)
    )


def _integer(place: int) -> t.Callable[[bytes], int]:
    return lambda text: _bounded(int(_match(_INTEGER, text)[0])) << place


_PROCESSINGS = _Known(_processing)
_CPUS = _Known(_cpu)
_DATABASE_USES = _Known(_database)
_SIZES = _Known(_integer(_SIZE))
_EVENT_COUNTS = _Known(_integer(_EVENTS))
