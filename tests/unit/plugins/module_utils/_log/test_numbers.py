# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import numbers
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.numbers import (
    NotANumber,
    Numbers,
    NumberTexts,
    count_in,
    not_faster_than,
    packed,
    unpacked,
)

USUAL = NumberTexts([b"0.214"], [b"0.207sec, 0.003"], [b"0.001sec/0.002sec/7"], [b"201"], [b"5"])


def time_text(milliseconds: int) -> bytes:
    return b"%s%d.%03d" % (b"-" * (milliseconds < 0), abs(milliseconds) // 1000, abs(milliseconds) % 1000)


def test_one_request() -> None:
    assert unpacked(packed(USUAL)[0]) == Numbers(1, 210, 2, 1, 7, 5, 201, 214)
    assert unpacked(0) == Numbers(0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_sums(seed: int) -> None:
    chance = random.Random(seed)
    rows = [
        [chance.randrange(-(10 ** chance.randrange(1, 12)), 10 ** chance.randrange(1, 12)) for _n in range(8)]
        for _row in range(200)
    ]
    texts = NumberTexts(
        [time_text(row[0]) for row in rows],
        [b"%ssec, %s" % (time_text(row[1] // 2), time_text(row[2] // 2)) for row in rows],
        [b"%ssec/%ssec/%d" % (time_text(row[3]), time_text(row[4]), row[5]) for row in rows],
        [b"%d" % row[6] for row in rows],
        [b"%d" % row[7] for row in rows],
    )
    total = sum(packed(texts))
    columns = [sum(column) for column in zip(*rows)]
    cpu = sum(row[1] // 2 + row[2] // 2 for row in rows)
    assert unpacked(total) == (200, cpu, columns[4], columns[3], columns[5], columns[7], columns[6], columns[0])
    assert count_in(total) == 200


@pytest.mark.parametrize("name", NumberTexts._fields)
@pytest.mark.parametrize(
    "text", [b"", b"x", b"1", b"0.12", b"0.001\n", b"0.001sec, 0.001 ", b"1e5", b"nan", b"\xd9\xa1"]
)
def test_what_is_no_number(name: str, text: bytes) -> None:
    if not (text == b"1" and name in ("size", "events")):
        with pytest.raises(NotANumber):
            packed(USUAL._replace(**{name: [text]}))


def test_large_numbers_do_not_reach_others() -> None:
    largest = USUAL._replace(size=[b"9" * 18], database=[b"999999999999.999sec/-999999999999.999sec/-" + b"9" * 18])
    found = unpacked(sum(packed(largest) * 1000))
    assert found == Numbers(1000, 210_000, -(10**15), 10**15, -(10**15), 5000, 10**15, 214_000)


@pytest.mark.parametrize("text", [b"0.213", b"0.214", b"0.215", b"-0.001", b"12.345"])
@pytest.mark.parametrize("cpu", [b"0.000sec, 0.000", b"-0.001sec, 0.000", b"99999.999sec, 0.000"])
def test_the_slower_one_is_larger(text: bytes, cpu: bytes) -> None:
    [number] = packed(USUAL._replace(processing=[text], cpu=[cpu]))
    assert not_faster_than(float(text)) <= number < not_faster_than(float(text) + 0.002)


def test_few_texts_are_remembered() -> None:
    for start in range(0, 60_000, 1000):
        sizes = [b"%d" % number for number in range(start, start + 1000)]
        for size in sizes:
            packed(USUAL._replace(size=[size]))
    assert len(numbers._SIZES) <= 20_000
