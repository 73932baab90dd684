# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import unfinished as unfinished_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.unfinished import (
    MOST_REQUESTS,
    Unfinished,
)


def request(uri: str = "/_matrix/client/v3/login", method: str = "GET") -> Received:
    return Received("192.0.2.1", "8008", method, uri)


def tags(requests: list[dict[str, object]]) -> list[object]:
    return [one["request"] for one in requests]


def test_a_request_without_processed() -> None:
    found = Unfinished(60)
    assert not found.has_received
    found.received("main", 1000.5, "GET-1", request())
    found.received("main", 1010.0, "GET-2", request())
    found.received("main", 1095.0, "GET-3", request())
    found.processed("main", 1011.0, "GET-2")
    found.processed("main", 1011.0, "GET-99")
    found.processed("worker", 1011.0, "GET-1")
    assert found.has_received
    assert found.returned({"main": 1100.0}) == {
        "requests": [
            {
                "request": "GET-1",
                "received": "1970-01-01T00:16:40Z",
                "received_ts": 1000500,
                "method": "GET",
                "uri": "/_matrix/client/v3/login",
                "client_address": "192.0.2.1",
                "site_tag": "8008",
                "source": "main",
                "long_poll": False,
                "seconds": 99.5,
            }
        ],
        "omitted_requests": 0,
        "waiting": 1,
        "ended_by_restart": {"count": 0, "requests": []},
    }


def test_the_longest_is_first_and_the_limit_itself_is_not_longer() -> None:
    found = Unfinished(10)
    for stream, moment, tag in (("b", 50.0, "GET-1"), ("a", 20.0, "GET-2"), ("a", 90.0, "GET-3"), ("a", 20.0, "GET-1")):
        found.received(stream, moment, tag, request())
    returned = found.returned({"a": 100.0, "b": 70.0})
    assert tags(returned["requests"]) == ["GET-2", "GET-1", "GET-1"]
    assert [one["source"] for one in returned["requests"]] == ["a", "a", "b"]
    assert returned["waiting"] == 1


def test_a_log_without_times() -> None:
    found = Unfinished(10)
    found.received("main", None, "GET-1", request())
    found.received("main", None, "GET-2", request())
    found.processed("main", None, "GET-1")
    [one] = found.returned({"main": None})["requests"]
    assert one["request"] == "GET-2"
    assert not {"seconds", "received", "received_ts"} & set(one)


def test_requests_without_a_tag_cannot_be_found() -> None:
    found = Unfinished(10)
    found.received("main", 1.0, "", request())
    assert (found.has_received, found.without_tag) == (True, 1)
    assert found.returned({"main": 100.0})["requests"] == []


@pytest.mark.parametrize(
    ("uri", "method", "wait"),
    [
        ("/_matrix/client/v3/sync?since=s1&timeout=30000", "GET", 30.0),
        ("/_matrix/client/r0/sync?timeout=45000&since=", "GET", 45.0),
        ("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=20000", "POST", 20.0),
        ("/_matrix/client/v3/events?from=s1", "GET", 30.0),
        ("/_matrix/client/api/v1/events?timeout=5000", "GET", 5.0),
        ("/_matrix/client/v3/sync?timeout=0", "GET", None),
        ("/_matrix/client/v3/sync", "GET", None),
        ("/_matrix/client/v3/sync?timeout=x", "GET", None),
        ("/_matrix/client/v3/sync?timeout=9999999999999999", "GET", None),
        ("/_matrix/client/v3/sync?timeout=-1", "GET", None),
        ("/_matrix/client/v3/sync?timeout=30000", "PUT", None),
        ("/_matrix/client/v3/rooms/x?/sync&timeout=30000", "GET", None),
        ("/_matrix/client/v3/rooms/x/event?timeout=30000", "GET", None),
        ("/x/sync?timeout=30000", "GET", None),
    ],
)
def test_a_long_poll_may_wait_for_its_timeout(uri: str, method: str, wait: float | None) -> None:
    found = Unfinished(10)
    found.received("main", 100.0, f"{method}-1", request(uri, method))
    limit = 110.0 + (wait or 0)
    assert found.returned({"main": limit}) == {
        "requests": [],
        "omitted_requests": 0,
        "waiting": 1,
        "ended_by_restart": {"count": 0, "requests": []},
    }
    [one] = found.returned({"main": limit + 0.1})["requests"]
    assert one["long_poll"] is (wait is not None)


def test_a_start_ends_the_requests_of_its_stream() -> None:
    found = Unfinished(10)
    found.started("main", 1.0)
    found.received("main", 2.0, "GET-1", request())
    found.received("worker", 2.0, "GET-1", request())
    found.started("main", 50.0)
    found.received("main", 60.0, "GET-1", request())
    returned = found.returned({"main": 100.0, "worker": 100.0})
    assert [(one["source"], one["seconds"]) for one in returned["requests"]] == [("worker", 98.0), ("main", 40.0)]
    assert returned["ended_by_restart"]["count"] == 1
    [one] = returned["ended_by_restart"]["requests"]
    assert (one["request"], one["seconds"], one["source"]) == ("GET-1", 48.0, "main")


def test_the_requests_that_ended_are_bounded_and_long_polls_are_last() -> None:
    found = Unfinished(10)
    for number in range(30):
        found.received("main", 1.0, f"GET-{number}", request("/_matrix/client/v3/sync?timeout=30000"))
    for number in range(30, 45):
        found.received("main", float(number), f"GET-{number}", request())
    found.started("main", 50.0)
    ended = found.returned({})["ended_by_restart"]
    assert (ended["count"], len(ended["requests"])) == (45, 20)
    assert tags(ended["requests"])[:15] == [f"GET-{number}" for number in range(30, 45)]


def test_a_number_that_comes_again_ends_the_earlier_request() -> None:
    found = Unfinished(10)
    found.received("main", 1.0, "GET-7", request("/first"))
    found.received("main", 2.0, "GET-8", request())
    found.received("main", 50.0, "GET-7", request("/second"))
    returned = found.returned({"main": 100.0})
    assert [one["uri"] for one in returned["requests"]] == ["/_matrix/client/v3/login", "/second"]
    assert [one["uri"] for one in returned["ended_by_restart"]["requests"]] == ["/first"]
    assert "seconds" not in returned["ended_by_restart"]["requests"][0]
    found.processed("main", 100.0, "GET-7")
    assert tags(found.returned({"main": 100.0})["requests"]) == ["GET-8"]


def test_the_value_of_a_header_can_be_there_twice() -> None:
    found = Unfinished(10)
    found.received("main", 1.0, "GET-a b", request("/first"))
    found.received("main", 50.0, "GET-a b", request("/second"))
    found.received("main", 60.0, "GET-a b", request("/third"))
    found.processed("main", 70.0, "GET-a b", 20.1)
    assert [one["uri"] for one in found.returned({"main": 100.0})["requests"]] == ["/first", "/third"]
    found.processed("main", 70.0, "GET-a b")
    assert [one["uri"] for one in found.returned({"main": 100.0})["requests"]] == ["/first"]


def test_numbers_that_begin_again_end_the_requests_before() -> None:
    found = Unfinished(10)
    found.received("main", 1.0, "GET-500", request("/old"))
    found.received("main", 1.5, "GET-900", request("/old"))
    for number in range(12):
        found.received("main", 2.0 + number, f"PUT-{number}", request("/new"))
    returned = found.returned({"main": 100.0})
    assert tags(returned["ended_by_restart"]["requests"]) == ["GET-500", "GET-900"]
    assert tags(returned["requests"]) == [f"PUT-{number}" for number in range(12)]


@pytest.mark.parametrize("after", [["GET-3"], [f"GET-{number}" for number in range(9)], ["GET-a"] * 20])
def test_a_few_low_numbers_are_no_restart(after: list[str]) -> None:
    found = Unfinished(10)
    found.received("main", 1.0, "GET-500", request())
    for tag in after:
        found.received("main", 2.0, tag, request())
        found.processed("main", 2.0, tag)
    found.received("main", 2.0, "GET-501", request())
    for number in range(9):
        found.received("main", 3.0, f"PUT-{number}", request())
        found.processed("main", 3.0, f"PUT-{number}")
    assert tags(found.returned({"main": 100.0})["requests"]) == ["GET-500", "GET-501"]


def test_only_pending_requests_are_in_memory() -> None:
    found = Unfinished(10)
    for number in range(1000):
        found.received("main", 1.0, f"GET-{number}", request())
        found.processed("main", 1.0, f"GET-{number}")
    assert not found._streams["main"].pending


def test_only_the_longest_are_returned() -> None:
    found = Unfinished(10)
    for number in reversed(range(MOST_REQUESTS + 7)):
        found.received("main", float(number), f"GET-{number + 100}", request())
    returned = found.returned({"main": 10_000.0})
    assert tags(returned["requests"]) == [f"GET-{number + 100}" for number in range(MOST_REQUESTS)]
    assert (returned["omitted_requests"], returned["waiting"]) == (7, 0)


def test_without_times_the_first_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished_module, "MOST_REQUESTS", 2)
    found = Unfinished(10)
    for number in (9, 8, 10):
        found.received("main", None, f"GET-{number}", request())
    returned = found.returned({"main": None})
    assert (tags(returned["requests"]), returned["omitted_requests"]) == (["GET-9", "GET-8"], 1)


def full(monkeypatch: pytest.MonkeyPatch, most: int = 3, count: int = 10) -> Unfinished:
    """Requests at the seconds from 100 on, of which only the first are remembered."""
    monkeypatch.setattr(unfinished_module, "_MOST_PENDING", most)
    found = Unfinished(10)
    for number in range(count):
        found.received("main", 100.0 + number, f"GET-{number}", request())
    return found


def counts(found: Unfinished, end: float = 1000.0) -> tuple[list[object], int, int, int]:
    returned = found.returned({"main": end})
    ended = returned["ended_by_restart"]["count"]
    return tags(returned["requests"]), returned["omitted_requests"], returned["waiting"], ended


def test_the_newest_of_too_many_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = full(monkeypatch)
    first = ["GET-0", "GET-1", "GET-2"]
    assert counts(found) == (first, 7, 0, 0)
    assert len(found._streams["main"].pending) == 3
    # One that there was no room for, one that was received before the log began, and one that is remembered.
    found.processed("main", 106.0, "GET-5", 1.0)
    assert counts(found) == (first, 6, 0, 0)
    found.processed("main", 106.0, "GET-77", 80.0)
    assert counts(found) == (first, 6, 0, 0)
    found.processed("main", 107.0, "GET-1", 6.0)
    assert counts(found) == (["GET-0", "GET-2"], 6, 0, 0)
    # There is room again, for one.
    found.received("main", 120.0, "GET-20", request())
    found.received("main", 121.0, "GET-21", request())
    assert counts(found) == (["GET-0", "GET-2", "GET-20"], 7, 0, 0)
    for number in range(100):
        found.processed("main", 130.0, f"GET-{number}", 1.0)
    assert counts(found) == ([], 0, 0, 0)
    for number in range(3):
        found.received("main", 140.0, f"GET-{number}", request())
    assert counts(found) == (first, 0, 0, 0)


def test_those_that_are_only_counted_may_not_be_pending_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    found = full(monkeypatch)
    assert counts(found, 112.5) == (["GET-0", "GET-1", "GET-2"], 0, 7, 0)
    assert counts(found, 113.5) == (["GET-0", "GET-1", "GET-2"], 7, 0, 0)


def test_those_that_are_only_counted_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = full(monkeypatch)
    found.started("main", 200.0)
    assert counts(found) == ([], 0, 0, 10)
    found = full(monkeypatch, count=300)
    # Without the line of the start: when it is known that the numbers begin again, there is room for the last one.
    for number in range(10):
        found.received("main", 500.0, f"PUT-{number}", request())
    assert counts(found) == (["PUT-9"], 9, 0, 300)


def test_the_value_of_a_header_that_there_was_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished_module, "_MOST_PENDING", 1)
    found = Unfinished(10)
    found.received("main", 100.0, "GET-a", request("/first"))
    found.received("main", 150.0, "GET-a", request("/second"))
    found.processed("main", 151.0, "GET-a", 1.0)
    assert counts(found) == (["GET-a"], 0, 0, 0)
    assert found.returned({"main": 1000.0})["requests"][0]["uri"] == "/first"
    found.processed("main", 160.0, "GET-a", 60.0)
    assert counts(found) == ([], 0, 0, 0)


def test_long_texts_are_cut() -> None:
    found = Unfinished(10)
    long = "/_matrix/client/v3/sync?since=" + "a" * 3000
    found.received("main", 1.0, "GET-1", Received("b" * 3000, "8008", "GET", f"{long}&timeout=30000"))
    assert found.returned({"main": 30.0})["waiting"] == 1
    [one] = found.returned({"main": 50.0})["requests"]
    assert (one["uri"], one["client_address"], one["long_poll"]) == (long[:2000], "b" * 2000, True)


def test_long_texts_need_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished_module, "_MOST_TEXT", 10_000)
    found = Unfinished(10)
    for repetition in range(3):
        for number in range(20):
            found.received("main", 100.0, f"GET-{number}", request("/" + "a" * 5000))
        assert counts(found) == ([f"GET-{number}" for number in range(4)], 16, 0, 0), repetition
        for number in range(20):
            found.processed("main", 101.0, f"GET-{number}", 1.0)
        assert counts(found) == ([], 0, 0, 0)
