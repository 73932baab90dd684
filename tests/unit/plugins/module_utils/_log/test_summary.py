# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import math
import random
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import tally as tally_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import Scanner, Unread
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.summary import returned_summary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tally import Tally
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import BEGIN, line, processed

LAYOUT = Layout(SYNAPSE_FORMAT)
PROFILE = "/_matrix/client/v3/profile/{user_id}"
HOUR = BEGIN // 3600 * 3600 - BEGIN


def summary(*lines: str, most_slow: int = 10, most_requesters: int = 10, parts: int = 1) -> dict[str, t.Any]:
    tally = Tally(most_slow)
    for number in range(parts):
        part, scanner = Tally(most_slow), Scanner(LAYOUT, [LAYOUT], Window())
        found = scanner.find(b"\n" + "".join(lines[number::parts]).encode(), "a.log", Unread())
        part.count(found, "a.log")
        tally.add(part)
    found_summary = returned_summary(tally, {"a.log": [LAYOUT]}.__getitem__, most_requesters)
    json.dumps(found_summary, allow_nan=False)
    return found_summary


def test_one_request() -> None:
    result = summary(processed(0.5, status="499!"))
    measures = {
        "count": 1,
        "errors": 1,
        "server_errors": 0,
        "disconnected": 1,
        "processing_seconds": {"p50": 0.214, "p95": 0.214, "p99": 0.214, "max": 0.214, "total": 0.214},
        "cpu_seconds": 0.21,
        "database_seconds": 0.002,
        "database_wait_seconds": 0.001,
        "database_transactions": 7,
        "database_events": 5,
        "response_bytes": 201,
    }
    assert {name: result[name] for name in measures} == measures
    assert result["by_endpoint"] == [{"method": "GET", "endpoint": PROFILE, **measures}]
    assert result["by_status"] == [{"status": 499, **measures}]
    (hour,) = result["by_hour"]
    assert hour == {"hour": hour["hour"], "hour_ts": (BEGIN + HOUR) * 1000, **measures}
    assert result["by_requester"] == [
        {
            "requester": "@a:example.org",
            "count": 1,
            "processing_seconds": 0.214,
            "cpu_seconds": 0.21,
            "database_seconds": 0.002,
        }
    ]
    assert (result["requesters"], result["requesters_are_exact"]) == (1, True)
    (slow,) = result["slowest"]
    assert (slow["request"], slow["time_ts"], slow["endpoint"]) == ("GET-1", BEGIN * 1000 + 500, PROFILE)
    assert (slow["status"], slow["client_disconnected"], slow["path"]) == (499, True, "a.log")
    assert slow["uri"] == "/_matrix/client/v3/profile/@a:example.org"


def test_no_request() -> None:
    result = summary()
    assert (result["count"], result["processing_seconds"], result["by_endpoint"]) == (0, {}, [])
    assert (result["by_hour"], result["slowest"], result["by_requester"]) == ([], [], [])


@pytest.mark.parametrize("count", [1, 2, 3, 10, 19, 20, 21, 99, 100, 101, 1000])
def test_percentiles(count: int) -> None:
    chance = random.Random(count)
    times = [chance.randrange(0, 9000) / 1000 for _number in range(count)]
    result = summary(*(processed(0, processing=f"{time:.3f}") for time in times), parts=min(3, count))
    ordered = sorted(times)
    expected = {f"p{percent}": ordered[math.ceil(count * percent / 100) - 1] for percent in (50, 95, 99)}
    assert result["processing_seconds"] == {**expected, "max": ordered[-1], "total": round(sum(times), 3)}
    (endpoint,) = result["by_endpoint"]
    assert endpoint["processing_seconds"] == result["processing_seconds"]


def test_percentiles_of_an_hour_are_not_above_the_longest_time() -> None:
    result = summary(processed(0, processing="1.239"), processed(0, processing="-0.000"))
    (hour,) = result["by_hour"]
    assert hour["processing_seconds"] == {"p50": 0.0, "p95": 1.239, "p99": 1.239, "max": 1.239, "total": 1.239}
    assert math.copysign(1, result["processing_seconds"]["p50"]) == 1


def test_negative_times() -> None:
    result = summary(processed(0, processing="-0.000", user_cpu="-0.000", system_cpu="-0.000"))
    assert "-0.0" not in json.dumps(result["processing_seconds"]) + str(result["cpu_seconds"])
    assert summary(processed(0, processing="-1.500"))["processing_seconds"]["max"] == -1.5


def test_groups() -> None:
    result = summary(
        processed(HOUR, status="200", processing="0.100"),
        processed(HOUR + 3599, status="404", processing="0.200", method="PUT"),
        processed(HOUR + 3600, status="500!", processing="5.000", uri="/x", requester="None"),
        processed(HOUR + 7200, status="200", processing="0.300", uri="/y", requester="None"),
    )
    assert [(one["method"], one["endpoint"], one["count"]) for one in result["by_endpoint"]] == [
        ("GET", "(other)", 2),
        ("PUT", PROFILE, 1),
        ("GET", PROFILE, 1),
    ]
    assert [(one["status"], one["count"], one["errors"], one["server_errors"]) for one in result["by_status"]] == [
        (200, 2, 0, 0),
        (404, 1, 1, 0),
        (500, 1, 1, 1),
    ]
    hours = [((one["hour_ts"] // 1000 - BEGIN - HOUR) // 3600, one["count"]) for one in result["by_hour"]]
    assert hours == [(0, 2), (1, 1), (2, 1)]
    assert [(one["requester"], one["count"]) for one in result["by_requester"]] == [("@a:example.org", 2), ("", 2)]
    assert (result["count"], result["errors"], result["server_errors"], result["disconnected"]) == (4, 2, 1, 1)


def test_the_order_does_not_depend_on_the_parts() -> None:
    lines = [
        processed(number, method=method, uri=f"/_matrix/client/v3/{word}", requester=f"@{word}:x", processing="1.000")
        for number, word in enumerate(("login", "sync", "register", "capabilities", "devices"))
        for method in ("PUT", "GET")
    ]
    expected = summary(*lines)
    for parts in (2, 3, 10):
        assert summary(*lines, parts=parts) == expected
    assert [one["endpoint"].rpartition("/")[2] for one in expected["by_endpoint"]][:4] == [
        "capabilities",
        "capabilities",
        "devices",
        "devices",
    ]


def test_the_most_frequent_requesters() -> None:
    lines = [processed(0, requester=f"@{number}:x") for number in range(5) for _count in range(number + 1)]
    result = summary(*lines, most_requesters=2)
    assert [(one["requester"], one["count"]) for one in result["by_requester"]] == [("@4:x", 5), ("@3:x", 4)]
    assert result["requesters"] == 5
    assert summary(*lines, most_requesters=0)["by_requester"] == []


def test_how_many_requesters_is_left_out_if_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MOST_REQUESTERS", 2)
    result = summary(*(processed(0, requester=f"@{number}:x") for number in range(5)))
    assert (result["requesters_are_exact"], len(result["by_requester"])) == (False, 2)
    assert "requesters" not in result


def test_equal_requests_are_different_ones() -> None:
    lines = [processed(0, f"GET-{number}") for number in (4, 0, 3, 1, 2)]
    assert [one["request"] for one in summary(*lines, most_slow=3)["slowest"]] == ["GET-4", "GET-0", "GET-3"]


def test_the_slowest_first() -> None:
    lines = [processed(number, f"GET-{number}", processing=f"{number % 3}.000") for number in range(6)]
    result = summary(*lines, most_slow=4)
    assert [one["request"] for one in result["slowest"]] == ["GET-2", "GET-5", "GET-1", "GET-4"]


def test_requests_without_a_time() -> None:
    result = summary("2026-13-40" + processed(0)[10:])
    assert (result["count"], result["by_hour"]) == (1, [])


def test_a_slow_line_that_its_layouts_do_not_read() -> None:
    tally = Tally(1)
    text = processed(0).encode()
    found = Scanner(LAYOUT, [LAYOUT], Window()).find(b"\n" + text, "a.log", Unread())
    tally.count(found, "a.log")
    (slow,) = returned_summary(tally, lambda path: [], 1)["slowest"]
    assert slow == {"path": "a.log", "processing_seconds": 0.214, "line": text.decode().strip()}


def test_a_line_of_another_logger_is_not_counted() -> None:
    assert summary(processed(0), line(0, "GET-1", processed(0).strip()))["count"] == 1


@pytest.mark.parametrize(
    ("status", "errors", "server_errors"), [("399", 0, 0), ("400", 1, 0), ("500", 1, 1), ("500!", 1, 1)]
)
def test_which_statuses_are_errors(status: str, errors: int, server_errors: int) -> None:
    result = summary(processed(0, status=status))
    assert (result["errors"], result["server_errors"]) == (errors, server_errors)
