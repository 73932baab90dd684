# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import pickle
import random
import string
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import tally as tally_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.cells import Endpoint
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import OTHER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.numbers import NumberTexts, packed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Row, Rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tally import (
    MOST_UNSERVED,
    Requester,
    Sums,
    Tally,
)

PROFILE = "/_matrix/client/v3/profile/{user_id}"
Counted = tuple[Row, t.Optional[float]]


def row(number: int = 0, **values: t.Any) -> Row:
    fields = {
        "time": f"2026-11-23 {number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d},000",
        "requester": "@a:x",
        "processing": "0.214",
        "user_cpu": "0.207",
        "system_cpu": "0.003",
        "database_wait": "0.001",
        "database": "0.002",
        "transactions": "7",
        "size": "201",
        "status": "200",
        "what": "GET /_matrix/client/v3/profile/@a:x",
        "events": "5",
        **values,
    }
    text = {name: str(value).encode() for name, value in fields.items()}
    cpu = b"%ssec, %s" % (text["user_cpu"], text["system_cpu"])
    database = b"%ssec/%ssec/%s" % (text["database_wait"], text["database"], text["transactions"])
    texts = NumberTexts([text["processing"]], [cpu], [database], [text["size"]], [text["events"]])
    return Row(
        text["time"], text["requester"], text["processing"], text["status"], text["what"], numbers=packed(texts)[0]
    )


def line_of(one: Row) -> bytes:
    return b"line of " + b" ".join(one[:5])


def rows_of(counted: t.Sequence[Counted], lines: t.Sequence[bytes] = ()) -> Rows:
    rows, hours = [one for one, _hour in counted], [hour for _one, hour in counted]
    return Rows(
        [one.time for one in rows],
        [one.requester for one in rows],
        [one.processing for one in rows],
        [one.status for one in rows],
        [one.what for one in rows],
        [one.numbers for one in rows],
        hours,
        lines or list(map(line_of, rows)),
    )


def tally(counted: t.Iterable[Counted], most_slow: int = 3, path: str = "a.log", parts: int = 1) -> Tally:
    """The counts of all rows. `parts`: how many tallies are added up."""
    all_of = list(counted)
    size = max(1, -(-len(all_of) // parts))
    result = Tally(most_slow)
    for start in range(0, len(all_of), size):
        some = all_of[start : start + size]
        part = Tally(most_slow)
        part.count(rows_of(some), path)
        result.add(pickle.loads(pickle.dumps(part)))
    return result


def numbers(sums: Sums | Requester) -> tuple[t.Any, ...]:
    found = (getattr(sums, name) for name in sums.__slots__)
    return tuple(round(value, 6) if isinstance(value, float) else value for value in found)


def everything(found: Tally) -> dict[str, t.Any]:
    return {
        "cells": {cell: numbers(sums) for cell, sums in found.cells.items()},
        "hours": {hour: numbers(sums) for hour, sums in found.hours.items()},
        "hour_statuses": found.hour_statuses,
        "requesters": {name: numbers(one) for name, one in found.requesters.items()},
        "exact": found.requesters_are_exact,
        "slowest": found.slowest,
    }


def random_rows(seed: int, count: int = 300) -> list[Counted]:
    chance = random.Random(seed)
    paths = ("/_matrix/client/v3/sync", "/_matrix/client/v3/profile/@a", "/x", "/_matrix/client/v3/unheard/of")
    return [
        (
            row(
                number,
                requester=chance.choice(("None", "@a:x", "example.org", "@b:x|@a:x")),
                processing=chance.choice(("0.001", "0.002", "-0.000", "12.345", f"{chance.random() * 99:.3f}")),
                size=str(chance.randrange(10**9)),
                status=chance.choice(("200", "404", "499!", "500")),
                what=f"{chance.choice(('GET', 'PUT'))} {chance.choice(paths)}",
            ),
            chance.choice((None, 0.0, 3600.0)),
        )
        for number in range(count)
    ]


def test_the_sums_of_requests() -> None:
    other = row(1, processing="12.345", user_cpu="1.000", system_cpu="-0.500", size="1", requester="None", events="0")
    found = tally([(row(), 0.0), (other, 0.0), (row(2, status="404"), 3600.0)])
    cell = found.cells[Endpoint("GET", PROFILE), b"200"]
    assert numbers(cell) == (
        0.71,
        0.004,
        0.002,
        5,
        12.345,
        12.559,
        202,
        collections.Counter({b"0.214": 1, b"12.34": 1}),
        14,
    )
    assert set(found.cells) == {(Endpoint("GET", PROFILE), b"200"), (Endpoint("GET", PROFILE), b"404")}
    assert {hour: sums.transactions for hour, sums in found.hours.items()} == {0.0: 14, 3600.0: 7}
    assert found.hours[0.0].times == {b"0.214": 1, b"12.3": 1}
    assert found.hour_statuses == {0.0: {b"200": 2}, 3600.0: {b"404": 1}}
    assert {name: numbers(one) for name, one in found.requesters.items()} == {
        b"@a:x": (2, 0.42, 0.004, 0.428),
        b"None": (1, 0.5, 0.002, 12.345),
    }


def test_nothing() -> None:
    found = tally([])
    assert everything(found) == everything(Tally(3))
    assert found.slowest == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("parts", [2, 3, 50, 300])
def test_parts_are_added_up(seed: int, parts: int) -> None:
    rows = random_rows(seed)
    assert everything(tally(rows, parts=parts)) == everything(tally(rows))


def test_blocks_of_one_part() -> None:
    rows = random_rows(9)
    found = Tally(3)
    for start in range(0, len(rows), 7):
        some = rows[start : start + 7]
        found.count(rows_of(some), "a.log")
    assert everything(found) == everything(tally(rows))


@pytest.mark.parametrize(
    ("text", "counts_as"),
    [
        ("0.000", 0.0),
        ("-0.000", 0.0),
        ("9.999", 9.999),
        ("12.345", 12.34),
        ("123.456", 123.4),
        ("1234.567", 1234),
        ("99999.999", 99999),
        ("100000.000", 100000),
        ("123456.789", 123500),
        ("999999999999.999", 1e12),
        ("-12345.678", -12350),
    ],
)
def test_long_times_lose_only_their_last_digits(text: str, counts_as: float) -> None:
    found = tally([(row(processing=text), 0.0)])
    (cell,) = found.cells.values()
    assert [float(time) for time in cell.times] == [counts_as]
    assert [float(time) for time in found.hours[0.0].times] == [pytest.approx(float(text), rel=0.01)]
    assert cell.longest == float(text)


def test_there_are_few_different_times() -> None:
    texts = [f"{number / 1000:.3f}" for number in range(0, 200_000, 7)]
    found = tally([(row(processing=text), 0.0) for text in texts])
    assert sum(found.hours[0.0].times.values()) == len(texts)
    assert len(found.hours[0.0].times) < 3000
    (cell,) = found.cells.values()
    assert len(cell.times) < 12_000


def test_the_slowest() -> None:
    times = ("1.000", "0.500", "3.000", "2.000", "0.100")
    found = tally([(row(number, processing=text), None) for number, text in enumerate(times)], path="b.log")
    assert [(slow.seconds, slow.line, slow.path) for slow in found.slowest] == [
        (3.0, line_of(row(2, processing="3.000")), "b.log"),
        (2.0, line_of(row(3, processing="2.000")), "b.log"),
        (1.0, line_of(row(0, processing="1.000")), "b.log"),
    ]


@pytest.mark.parametrize("most_slow", [0, 1, 1000])
def test_how_many_slowest(most_slow: int) -> None:
    rows = random_rows(1)
    assert len(tally(rows, most_slow, parts=3).slowest) == min(
        most_slow, sum(not one.what.endswith(b"/sync") for one, _hour in rows)
    )


@pytest.mark.parametrize(
    ("what", "waits"),
    [
        ("GET /_matrix/client/v3/sync", True),
        ("GET /_matrix/client/unstable/org.matrix.simplified_msc3575/sync", True),
        ("GET /_matrix/client/r0/events", True),
        ("GET /_matrix/client/v3/profile/@sync:x", False),
        ("PUT /_synapse/replication/fed_send_events/a", False),
        ("GET /sync", False),
    ],
)
def test_requests_that_wait_on_purpose(what: str, waits: bool) -> None:
    found = tally([(row(processing="30.000", what=what), None), (row(), None)], 1)
    assert [slow.seconds for slow in found.slowest] == [0.214 if waits else 30.0]


@pytest.mark.parametrize("parts", [1, 2, 5, 100])
def test_of_equally_slow_ones_the_first_count(parts: int) -> None:
    rows: list[Counted] = [(row(number, processing="5.000"), None) for number in range(100)]
    assert [slow.row for slow in tally(rows, 4, parts=parts).slowest] == [one for one, _hour in rows[:4]]
    # Those of another worker are read later.
    later = Tally(4)
    for start in (50, 0):
        later.count(rows_of(rows[start : start + 50]), "a.log")
    assert [slow.row for slow in later.slowest] == [one for one, _hour in rows[:4]]


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 20])
def test_equal_requests_are_different_ones(parts: int) -> None:
    # Of the same values, only the lines are different.
    lines = [b"%d" % (number * 7 % 20) for number in range(20)]
    found = Tally(5)
    for part in range(parts):
        some = lines[part * 20 // parts : (part + 1) * 20 // parts]
        one_part = Tally(5)
        one_part.count(rows_of([(row(), None)] * len(some), some), "a.log")
        found.add(one_part)
    assert [slow.line for slow in found.slowest] == lines[:5]


def test_many_requesters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MOST_REQUESTERS", 10)
    rare: list[Counted] = [(row(requester=f"@{number}:x"), None) for number in range(20)]
    usual: list[Counted] = [(row(requester=f"@usual{number}:x"), None) for number in range(5)]
    usual *= 2
    assert tally(rare).requesters_are_exact
    found = tally(rare + usual)
    assert not found.requesters_are_exact
    assert len(found.requesters) == 10
    assert [found.requesters[f"@usual{number}:x".encode()].count for number in range(5)] == [2] * 5
    both = tally(rare)
    both.add(tally(usual))
    assert (both.requesters_are_exact, len(both.requesters)) == (False, 10)
    exact = tally(usual)
    exact.add(found)
    assert not exact.requesters_are_exact


def words(seed: int) -> t.Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield "".join(chance.choice(string.ascii_lowercase) for _number in range(12))


def test_clients_cannot_make_up_endpoints_without_end() -> None:
    served: list[Counted] = [(row(what=f"GET /_matrix/client/v3/profile/{number}"), None) for number in range(10)]
    made_up: list[Counted] = [
        (row(what=f"{word.upper() if number % 2 else 'GET'} /_matrix/client/v3/{word}/{word}"), None)
        for number, word in zip(range(3 * MOST_UNSERVED), words(1))
    ]
    one_part = Tally(0)
    one_part.count(rows_of(made_up + served), "a.log")
    for found in (one_part, tally(made_up + served, parts=3)):
        paths = {endpoint.path for endpoint, _status in found.cells}
        assert len(paths - {OTHER, PROFILE}) == MOST_UNSERVED
        assert found.cells[Endpoint("GET", PROFILE), b"200"].transactions == 70
        assert {endpoint.method for endpoint, _status in found.cells} == {"GET", OTHER}
        assert sum(sums.transactions for sums in found.cells.values()) == 7 * (len(made_up) + 10)


def test_hours_in_any_order() -> None:
    rows: list[Counted] = [(row(number), float(number * 7 % 5 * 3600)) for number in range(25)]
    found = tally(rows)
    assert {hour: sums.transactions for hour, sums in found.hours.items()} == {3600.0 * hour: 35 for hour in range(5)}


def test_that_requesters_were_dropped_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MOST_REQUESTERS", 10)
    found = tally([(row(requester=f"@{number}:x"), None) for number in range(30)])
    assert not found.requesters_are_exact
    found.add(tally([(row(), None)]))
    assert not found.requesters_are_exact
