# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which records with the same tag belong to the same request."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.occurrence import (
    Occurrence,
    occurrences,
    returned,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Processed, Received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import LINES, Origin, Started, Tagged

MAIN, WORKER = Origin("/log/homeserver.log"), Origin("/log/worker.log")
SYNC, LOGIN = "/_matrix/client/v3/sync", "/_matrix/client/v3/login"


def processed(uri: str = SYNC, seconds: float = 1.0, response: float = 0.0, site_tag: str = "8008") -> Processed:
    return Processed(
        client_address="192.0.2.9",
        site_tag=site_tag,
        requester="@a:example.org",
        authenticated_entity="",
        processing_seconds=seconds,
        response_seconds=response,
        user_cpu_seconds=0.0,
        system_cpu_seconds=0.0,
        database_wait_seconds=0.0,
        database_seconds=0.0,
        database_transactions=1,
        response_bytes=2,
        status=200,
        client_disconnected=False,
        method="GET",
        uri=uri,
        protocol="HTTP/1.1",
        user_agent="curl",
        database_events=0,
    )


def received(uri: str = SYNC, site_tag: str = "8008") -> Received:
    return Received("192.0.2.9", site_tag, "GET", uri)


def tagged(
    name: str,
    time: float | None = None,
    access: Processed | Received | None = None,
    origin: Origin = MAIN,
    file: str = "/log/homeserver.log",
) -> Tagged:
    return Tagged(origin, time, access, (name.encode(),), 0, file)


def grouped(*records: Tagged | Started) -> list[str]:
    """The names of the records of each request, such as "abc"."""
    return [b"".join(each.lines).decode() for each in occurrences(records)]


def test_nothing() -> None:
    assert occurrences([]) == []
    assert occurrences([Started(MAIN, 1.0)]) == []


@pytest.mark.parametrize("time", [100.0, None])
def test_one_request(time: float | None) -> None:
    records = [tagged("a", time, received()), tagged("b", time), tagged("c", time, processed()), tagged("d", time)]
    assert grouped(*records) == ["abcd"]
    (found,) = occurrences(records)
    assert (found.received, found.processed, found.first, found.last) == (received(), processed(), time, time)


def test_lines_without_any_of_the_access_logger() -> None:
    (found,) = occurrences([tagged("a", 5.0), tagged("b", 4.0)])
    assert (found.lines, found.first, found.last) == ([b"a", b"b"], 4.0, 5.0)
    assert (found.received, found.processed, found.started) == (None, None, None)


def test_workers_are_told_apart() -> None:
    records = [tagged("a", 10.0), tagged("x", 9.0, origin=WORKER), tagged("b", 10.0, processed())]
    records.append(tagged("y", 9.5, processed(), WORKER))
    assert grouped(*records) == ["xy", "ab"]


def test_processes_with_prefixes_are_told_apart() -> None:
    one, two = Origin("/log", "synapse-1 |"), Origin("/log", "synapse-2 |")
    records = [tagged("a", 1.0, origin=one), tagged("x", 1.5, origin=two), tagged("b", 2.0, origin=one)]
    # A start of the one is none of the other.
    assert grouped(*records) == ["ab", "x"]
    assert grouped(*records[:2], Started(two, 1.7), records[2]) == ["ab", "x"]
    assert grouped(*records[:2], Started(one, 1.7), records[2]) == ["a", "x", "b"]


def test_a_start_between_them() -> None:
    records: list[Tagged | Started] = [
        tagged("a", 1.0),
        Started(MAIN, 2.0),
        tagged("b", 3.0),
        Started(MAIN, 4.0),
        tagged("c", 5.0),
    ]
    assert [(each.lines, each.started) for each in occurrences(records)] == [
        ([b"a"], None),
        ([b"b"], 2.0),
        ([b"c"], 4.0),
    ]


def test_a_rotation_in_the_middle() -> None:
    records = [
        tagged("a", 1.0, received(), file="/log/homeserver.log.1"),
        tagged("b", 1.1, file="/log/homeserver.log.1"),
        tagged("c", 2.0, processed(), file="/log/homeserver.log"),
    ]
    (found,) = occurrences(records)
    assert (found.lines, found.files) == ([b"a", b"b", b"c"], ["/log/homeserver.log.1", "/log/homeserver.log"])


class TestNumbersThatBeginAgain:
    def test_with_received(self) -> None:
        assert grouped(
            tagged("a", 1.0, received()),
            tagged("b", 2.0, processed()),
            tagged("c", 2.5),
            tagged("v", 100.0, received(LOGIN)),
            tagged("w", 100.1),
            tagged("x", 101.0, processed(LOGIN)),
            tagged("y", 102.0),
        ) == ["abc", "vwxy"]

    def test_without_received(self) -> None:
        assert grouped(
            tagged("a", 1.0),
            tagged("b", 2.0, processed(seconds=1.0)),
            # A background task of the first one, then the second one, which began at 100.
            tagged("c", 99.0),
            tagged("v", 100.0),
            tagged("w", 100.1),
            tagged("x", 101.0, processed(seconds=0.6, response=0.4)),
            tagged("y", 102.0),
        ) == ["abc", "vwxy"]

    def test_without_times(self) -> None:
        assert grouped(
            tagged("a"), tagged("b", None, processed()), tagged("v"), tagged("x", None, processed()), tagged("y")
        ) == ["ab", "vxy"]

    def test_a_crash_before_the_end(self) -> None:
        found = occurrences(
            [
                tagged("a", 1.0, received()),
                tagged("b", 1.1),
                tagged("v", 50.0, received()),
                tagged("w", 50.1),
                tagged("x", 51.0, processed(seconds=1.0)),
                tagged("y", 51.1),
            ]
        )
        assert [(b"".join(each.lines), each.processed is not None) for each in found] == [
            (b"ab", False),
            (b"vwxy", True),
        ]

    def test_a_crash_before_the_end_without_times(self) -> None:
        assert grouped(
            tagged("a", None, received()),
            tagged("b"),
            tagged("v", None, received()),
            tagged("w"),
            tagged("x", None, processed()),
        ) == ["ab", "vwx"]

    def test_several_crashes(self) -> None:
        assert grouped(
            tagged("a", 1.0, received()), tagged("b", 2.0), tagged("c", 3.0, received(LOGIN)), tagged("d", 4.0)
        ) == ["ab", "cd"]

    def test_what_was_before_the_beginning(self) -> None:
        # Without a start of Synapse, and without a record of the access logger for the first one.
        found = occurrences([tagged("a", 1.0), tagged("v", 49.99), tagged("x", 51.0, processed(seconds=1.0))])
        assert [(each.lines, each.processed is not None) for each in found] == [([b"a"], False), ([b"v", b"x"], True)]

    def test_received_is_logged_from_then_on(self) -> None:
        assert grouped(
            tagged("a", 1.0),
            tagged("b", 2.0, processed()),
            tagged("v", 50.0, received(LOGIN)),
            tagged("x", 51.0, processed(LOGIN)),
        ) == ["ab", "vx"]

    def test_three_times(self) -> None:
        records = [
            record
            for name, time in (("abc", 0.0), ("def", 100.0), ("ghi", 200.0))
            for record in (
                tagged(name[0], time + 1.0),
                tagged(name[1], time + 2.0, processed(seconds=1.0)),
                tagged(name[2], time + 3.0),
            )
        ]
        assert grouped(*records) == ["abc", "def", "ghi"]


class TestRequestsAtTheSameTime:
    """Two workers with one log, or tags that a proxy has chosen."""

    def test_by_the_listener(self) -> None:
        one, two = processed(site_tag="8081"), processed(site_tag="8082", seconds=5.0)
        found = occurrences(
            [
                tagged("a", 1.0, received(site_tag="8081")),
                tagged("v", 1.1, received(site_tag="8082")),
                tagged("b", 2.0, one),
                tagged("w", 3.0),
                tagged("x", 6.1, two),
            ]
        )
        assert [(b"".join(each.lines), each.process["site_tag"]) for each in found] == [
            (b"ab", "8081"),
            (b"vwx", "8082"),
        ]

    def test_one_within_the_other(self) -> None:
        assert grouped(
            tagged("a", 1.0, received(LOGIN)),
            tagged("v", 2.0, received()),
            tagged("w", 2.5),
            tagged("x", 3.0, processed(seconds=1.0)),
            tagged("b", 4.0),
            tagged("c", 5.0, processed(LOGIN, seconds=4.0)),
        ) == ["abc", "vwx"]

    def test_the_same_request(self) -> None:
        assert grouped(
            tagged("0", 0.0, received(LOGIN)),
            tagged("a", 1.0, received()),
            tagged("v", 2.0, received()),
            tagged("x", 3.0, processed(seconds=1.0)),
            tagged("b", 5.0, processed(seconds=4.0)),
        ) == ["0", "ab", "vx"]

    def test_the_same_request_that_ends_first(self) -> None:
        assert grouped(
            tagged("a", 1.0, received()),
            tagged("v", 2.0, received()),
            tagged("b", 3.0, processed(seconds=2.0)),
            tagged("x", 5.0, processed(seconds=3.0)),
        ) == ["ab", "vx"]

    def test_without_received(self) -> None:
        assert grouped(
            tagged("a", 2.0, processed(LOGIN, site_tag="8081")), tagged("v", 3.0, processed(seconds=2.5))
        ) == ["a", "v"]

    def test_an_unfinished_one_that_is_not_the_same(self) -> None:
        assert grouped(
            tagged("a", None, received(LOGIN)), tagged("b"), tagged("v", None, processed()), tagged("w")
        ) == ["a", "bvw"]


@pytest.mark.parametrize(
    ("time", "belongs"),
    # The beginning is calculated from rounded values.
    [(99.99, True), (99.9, False)],
)
def test_milliseconds(time: float, belongs: bool) -> None:
    records = [tagged("a", 1.0, processed()), tagged("b", time), tagged("c", 101.5, processed(seconds=1.5))]
    assert grouped(*records) == (["a", "bc"] if belongs else ["ab", "c"])


@pytest.mark.parametrize(("time", "belongs"), [(99.0, True), (98.0, False)])
def test_whole_seconds(time: float, belongs: bool) -> None:
    records = [tagged("a", 1.0, processed()), tagged("b", time), tagged("c", 101.0, processed(seconds=1.5))]
    assert grouped(*records) == (["a", "bc"] if belongs else ["ab", "c"])


def test_a_client_that_went_away() -> None:
    # The response time is negative: it went away 5 seconds before the end, which is when this is logged.
    records = [
        tagged("a", 1.0, processed()),
        tagged("b", 91.0),
        tagged("c", 100.0, processed(seconds=9.0, response=-5.0)),
    ]
    assert grouped(*records) == ["a", "bc"]


def test_each_record_belongs_to_exactly_one_request() -> None:
    kinds: list[t.Callable[[str, float], Tagged | Started]] = [
        tagged,
        lambda name, time: tagged(name, time, received()),
        lambda name, time: tagged(name, time, processed(seconds=1.5)),
        lambda name, time: Started(MAIN, time),
    ]
    for number in range(4**6):
        records = [kinds[number // 4**place % 4]("abcdef"[place], float(place)) for place in range(6)]
        names = sorted(each.lines[0] for each in records if isinstance(each, Tagged))
        found = occurrences(records)
        assert sorted(name for each in found for name in each.lines) == names
        for each in found:
            assert each.lines == sorted(each.lines)
            accesses = [r.access for r in records if isinstance(r, Tagged) and r.lines[0] in each.lines and r.access]
            assert len(accesses) == len({type(access) for access in accesses}) <= 2


def test_many_records_do_not_need_long() -> None:
    records: list[Tagged | Started] = []
    for number in range(3000):
        records += [tagged("r", float(number), received()), tagged("x", number + 0.1)]
    for number in range(3000):
        records += [tagged("p", 4000.0 + number, processed(seconds=1.0))]
    assert sum(len(each.lines) for each in occurrences(records)) == 9000


def test_the_lines_of_a_request_are_limited() -> None:
    records = [Tagged(MAIN, 1.0, None, (b"x",) * 7000, 3, "/log") for each in range(2)]
    records.append(tagged("end", 2.0, processed(seconds=1.0)))
    (found,) = occurrences(records)
    assert (len(found.lines), found.omitted_lines, found.lines[-1]) == (LINES + 1, 4000 + 6, b"end")


def test_returned_values() -> None:
    origin = Origin("matrix-synapse.service", "", 643)
    finished = Tagged(origin, 1_700_000_001.0, processed(), (b"caf\xc3\xa9 \xff",), 0, "")
    records: list[Tagged | Started] = [
        Started(origin, 1_699_999_000.25),
        Tagged(origin, 1_700_000_000.5, received(), (b"a",), 0, ""),
        finished,
    ]
    (found,) = occurrences(records)
    values = returned(found)
    fields = values.pop("processed")
    assert values == {
        "process": {
            "source": "matrix-synapse.service",
            "pid": 643,
            "site_tag": "8008",
            "started": "2023-11-14T21:56:40Z",
            "started_ts": 1_699_999_000_250,
        },
        "first": "2023-11-14T22:13:20Z",
        "first_ts": 1_700_000_000_500,
        "last": "2023-11-14T22:13:21Z",
        "last_ts": 1_700_000_001_000,
        "received": True,
        "finished": True,
        "lines": ["a", "caf\u00e9 \\xff"],
        "omitted_lines": 0,
        "files": [],
    }
    assert (fields["processing_seconds"], fields["uri"]) == (1.0, SYNC)


def test_values_that_are_not_known_are_left_out() -> None:
    found = Occurrence(Origin("/log", "synapse-1 |"))
    found.add(tagged("a"))
    assert returned(found) == {
        "process": {"source": "/log", "prefix": "synapse-1 |"},
        "received": False,
        "finished": False,
        "lines": ["a"],
        "omitted_lines": 0,
        "files": ["/log/homeserver.log"],
    }
    assert "null" not in json.dumps(returned(found))
