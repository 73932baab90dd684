# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pickle

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import signatures
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.signatures import MOST_GROUPS, SignatureFailures

BASE = "synapse.federation.transport.server._base"
EVENT_CLIENT = "synapse.federation.federation_client"
REQUESTS = "synapse.http.matrixfederationclient"
HTTP = "synapse.http.server"
INVALID = "Invalid signature for server us.example with key ed25519:u: Unable to verify signature for us.example"
REFUSED = "{GET-O-4} [b.c] Request failed: GET matrix-federation://b.c/x: HttpResponseException('401: Unauthorized')"
FORBIDDEN = REFUSED.replace("401: Unauthorized", "403: Forbidden")
CLIENT = "<SynapseRequest at 0x7f method='POST' uri='/_matrix/client/v3/join/x' clientproto='HTTP/1.1' site='8008'>"
TOLD = f"{CLIENT} SynapseError: 400 - {INVALID}"
TOLD_EVENT = (
    f"{CLIENT} SynapseError: 403 - event id $e: unable to verify signature for sender domain us: 401: {INVALID}"
)
RETRIEVED = (
    "Signature on retrieved event $e was invalid (unable to verify signature for sender domain b.c: 400: "
    "Not signed by b.c). Checking local store/origin server"
)
NAMED = "event id $e: unable to verify signature for sender domain b.c: 400: Not signed by b.c"

Row = tuple[str, str, float, str]


def failed(origin: str = "b.c", key: str = "ed25519:a") -> str:
    return f"authenticate_request failed: 401: Invalid signature for server {origin} with key {key}: Unable to verify"


def arrived(path: str, reason: str = "Invalid signature for server b.c with key ed25519:a: Unable") -> str:
    uri = f"/_matrix/federation/v1/{path}"
    return f"{CLIENT.replace('/_matrix/client/v3/join/x', uri)} SynapseError: 401 - {reason}"


def count(*rows: Row, stream: str = "main") -> SignatureFailures:
    """Count rows of a logger, a message, a time and a tag."""
    found = SignatureFailures()
    for logger, message, moment, tag in rows:
        record = Record(moment if moment >= 0 else None, logger, "WARNING", tag, message.encode())
        found.add(record, stream, f"{tag} {message}".encode())
    return found


def short(found: SignatureFailures) -> list[tuple[str, str, str, int]]:
    return [(one["origin"], one["cause"], one["direction"], one["count"]) for one in found.returned()]


def test_a_group() -> None:
    found = count(
        (BASE, failed(), 20.5, "PUT-2"),
        (BASE, failed(), 10.25, "PUT-1"),
        (BASE, failed(key="ed25519:b"), 30.0, "PUT-3-!room:b.c-$e"),
        ("synapse.util", failed(), 30.0, "PUT-4"),
    )
    assert found.returned() == [
        {
            "origin": "b.c",
            "cause": "invalid_signature",
            "direction": "inbound",
            "key_ids": ["ed25519:a", "ed25519:b"],
            "count": 3,
            "first": "1970-01-01T00:00:10Z",
            "first_ts": 10250,
            "last": "1970-01-01T00:00:30Z",
            "last_ts": 30000,
            "line": f"PUT-2 {failed()}",
            "requests": ["PUT-2", "PUT-1", "PUT-3"],
            "uris": [],
            "decoded_uris": 0,
        }
    ]
    assert found.others == 0


def test_a_log_without_times_and_tags() -> None:
    [found] = count((BASE, failed(), -1, ""), (BASE, failed(), -1, "")).returned()
    assert (found["count"], found["requests"]) == (2, [])
    assert not {"first", "first_ts", "last", "last_ts"} & set(found)


def test_the_examples_are_bounded() -> None:
    rows = [(BASE, failed(key=f"ed25519:{number}") + "x" * 9000, 1.0, f"PUT-{number}") for number in range(9)]
    [found] = count(*rows).returned()
    assert found["count"] == 9
    assert found["requests"] == [f"PUT-{number}" for number in range(5)]
    assert len(found["key_ids"]) == 5
    assert len(found["line"]) == 4000


def test_the_order() -> None:
    found = count(
        (BASE, failed("z.c"), 1.0, "GET-1"),
        (BASE, failed("a.c"), 1.0, "GET-2"),
        (BASE, failed("m.c"), 1.0, "GET-3"),
        (BASE, failed("m.c"), 1.0, "GET-4"),
    )
    assert [one["origin"] for one in found.returned()] == ["m.c", "a.c", "z.c"]


def test_every_request_is_counted_although_the_numbers_begin_again() -> None:
    assert short(count((BASE, failed(), 1.0, "PUT-1"), (BASE, failed(), 2.0, "PUT-1")))[0][3] == 2


def test_an_event_that_is_told_of_several_times_is_counted_once_in_a_request() -> None:
    found = count(
        (EVENT_CLIENT, RETRIEVED, 1.0, "POST-1"),
        (EVENT_CLIENT, NAMED, 2.0, "POST-1-"),
        (EVENT_CLIENT, RETRIEVED, 3.0, "POST-1"),
    )
    assert short(found) == [("b.c", "event_not_signed", "inbound", 1)]


@pytest.mark.parametrize(
    "second",
    [
        (EVENT_CLIENT, RETRIEVED, 1.0, "POST-2"),
        (EVENT_CLIENT, RETRIEVED.replace("$e", "$f"), 1.0, "POST-1"),
        (EVENT_CLIENT, RETRIEVED, 700.0, "POST-1"),
    ],
)
def test_another_request_or_event_or_time_is_another_failure(second: Row) -> None:
    first = (EVENT_CLIENT, RETRIEVED, 1.0, "POST-1")
    assert short(count(first, second))[0][3] == 2
    one = count(first)
    one.merge(count(second))
    assert short(one)[0][3] == 2


def test_another_process_is_another_failure() -> None:
    one = count((EVENT_CLIENT, RETRIEVED, 1.0, "POST-1"), stream="main")
    one.merge(count((EVENT_CLIENT, RETRIEVED, 1.0, "POST-1"), stream="worker"))
    assert short(one)[0][3] == 2


def test_the_policy_server_is_counted_once_for_an_event() -> None:
    message = f"failed to verify event using public key in policy server event: 401: {INVALID}"
    rows = [
        ("synapse.handlers.room_policy", message, 1.0, tag) for tag in ("PUT-1-!r-$e", "PUT-1-!r-$e", "PUT-1-!r-$f")
    ]
    assert short(count(*rows)) == [("us.example", "policy_signature", "inbound", 2)]


def test_a_refused_request() -> None:
    assert short(count((REQUESTS, REFUSED, 1.0, "POST-1"))) == [("b.c", "refused", "outbound", 1)]


def test_the_reason_of_a_refused_request() -> None:
    found = count((REQUESTS, REFUSED, 1.0, "POST-1"), (HTTP, TOLD, 2.0, "POST-1"))
    assert short(found) == [("b.c", "invalid_signature", "outbound", 1)]
    [group] = found.returned()
    assert (group["first_ts"], group["key_ids"], group["line"]) == (1000, ["ed25519:u"], f"POST-1 {TOLD}")


def test_the_reason_belongs_to_the_last_refused_request() -> None:
    other = REFUSED.replace("[b.c]", "[d.e]")
    found = count((REQUESTS, other, 1.0, "POST-1"), (REQUESTS, REFUSED, 2.0, "POST-1"), (HTTP, TOLD, 2.0, "POST-1"))
    assert short(found) == [("b.c", "invalid_signature", "outbound", 1), ("d.e", "refused", "outbound", 1)]


@pytest.mark.parametrize(("tag", "moment"), [("POST-2", 2.0), ("POST-1", 900.0)])
def test_the_answer_to_another_request_is_no_reason(tag: str, moment: float) -> None:
    found = count((REQUESTS, REFUSED, 1.0, "POST-1"), (HTTP, TOLD, moment, tag))
    assert short(found) == [("b.c", "refused", "outbound", 1)]


def test_an_answer_without_a_refused_request_is_not_counted() -> None:
    assert short(count((HTTP, TOLD, 1.0, "POST-1"))) == []


def test_403_is_counted_only_if_the_answer_names_a_signature() -> None:
    assert short(count((REQUESTS, FORBIDDEN, 1.0, "POST-1"))) == []
    assert short(count((REQUESTS, FORBIDDEN, 1.0, "POST-1"), (HTTP, TOLD, 1.0, "POST-1"))) == []
    found = count((REQUESTS, FORBIDDEN, 1.0, "POST-1"), (HTTP, TOLD_EVENT, 1.0, "POST-1"))
    assert short(found) == [("b.c", "event_invalid_signature", "outbound", 1)]


def uris(found: SignatureFailures) -> list[tuple[str, list[str], int]]:
    return [(one["cause"], one["uris"], one["decoded_uris"]) for one in found.returned()]


def test_the_uri_of_a_failed_request() -> None:
    found = count(
        (BASE, failed(), 1.0, "PUT-1"),
        (BASE, "authenticate_request failed: missing authentication", 1.0, "GET-2"),
        (HTTP, arrived("make_join/%21a%3Ab.c/%40x%3Ab.c?ver=1&token=s"), 1.0, "PUT-1"),
        (HTTP, arrived("version/x", "Missing Authorization headers"), 1.0, "GET-2"),
    )
    assert uris(found) == [
        ("missing_authentication", ["/_matrix/federation/v1/version/x"], 0),
        ("invalid_signature", ["/_matrix/federation/v1/make_join/%21a%3Ab.c/%40x%3Ab.c"], 0),
    ]


@pytest.mark.parametrize(
    "row",
    [
        (HTTP, arrived("x"), 1.0, "PUT-2"),
        (HTTP, arrived("x"), 900.0, "PUT-1"),
        (HTTP, arrived("x", INVALID), 1.0, "PUT-1"),
        (HTTP, arrived("x", "Missing Authorization headers"), 1.0, "PUT-1"),
        (HTTP, arrived("x", "You are not in the room."), 1.0, "PUT-1"),
        (HTTP, TOLD, 1.0, "PUT-1"),
    ],
)
def test_the_uri_of_another_request(row: Row) -> None:
    first = (BASE, failed(), 1.0, "PUT-1")
    assert uris(count(first, row)) == [("invalid_signature", [], 0)]
    # An answer without its failure is none.
    assert uris(count(row)) == []
    one = count(first)
    one.merge(count(row))
    assert uris(one) == [("invalid_signature", [], 0)]


def test_the_uri_in_the_log_of_another_process() -> None:
    one = count((BASE, failed(), 1.0, "PUT-1"), stream="main")
    one.merge(count((HTTP, arrived("x"), 1.0, "PUT-1"), stream="worker"))
    assert uris(one) == [("invalid_signature", [], 0)]


def test_a_message_about_a_failed_request_is_used_once() -> None:
    again = (HTTP, arrived("$x"), 1.0, "PUT-1")
    assert uris(count((BASE, failed(), 1.0, "PUT-1"), (HTTP, arrived("e/$x"), 1.0, "PUT-1"), again, again)) == [
        ("invalid_signature", ["/_matrix/federation/v1/e/$x"], 1)
    ]


@pytest.mark.parametrize(
    ("path", "decoded"),
    [
        ("event/%24a%2Fb", False),
        ("event/$a%2Fb", True),
        ("make_join/!a:b.c/@x:b.c", True),
        ("make_join/%21a/x%40y", False),
        ("make_join/%21a/%40x:b.c", True),
        ("query/directory?room_alias=#a:b.c", False),
        ("query/directory/#a", True),
        ("send/1731", False),
        ("send:x", False),
    ],
)
def test_a_path_that_a_proxy_has_decoded(path: str, decoded: bool) -> None:
    found = count((BASE, failed(), 1.0, "PUT-1"), (HTTP, arrived(path), 1.0, "PUT-1"))
    assert uris(found) == [
        ("invalid_signature", [f"/_matrix/federation/v1/{path}".partition("?")[0]], 1 if decoded else 0)
    ]


def test_the_uris_are_bounded() -> None:
    long = "x" * 1000
    rows = [
        row
        for number in range(9)
        for row in (
            (BASE, failed(), 1.0, f"PUT-{number}"),
            (HTTP, arrived(f"event/{number // 2}{long}$"), 1.0, f"PUT-{number}"),
        )
    ]
    [found] = count(*rows).returned()
    assert [uri[:31] for uri in found["uris"]] == [f"/_matrix/federation/v1/event/{number}x" for number in range(5)]
    assert {len(uri) for uri in found["uris"]} == {300}
    assert found["decoded_uris"] == 9


def test_the_uri_of_a_refused_request() -> None:
    path = "/_matrix/federation/v1/send_join/%21a/%24b"
    refused = REFUSED.replace("b.c/x", f"b.c{path}?omit_members=true")
    found = count((REQUESTS, refused, 1.0, "POST-1"), (HTTP, TOLD, 2.0, "POST-1"), (REQUESTS, refused, 3.0, "POST-2"))
    assert uris(found) == [("invalid_signature", [path], 0), ("refused", [path], 0)]


ROWS: list[Row] = [
    (BASE, failed(), 1.0, "PUT-1"),
    (EVENT_CLIENT, RETRIEVED, 2.0, "POST-1"),
    (REQUESTS, REFUSED, 3.0, "POST-5"),
    (EVENT_CLIENT, NAMED, 4.0, "POST-1"),
    (REQUESTS, FORBIDDEN, 5.0, "POST-6"),
    (HTTP, TOLD, 6.0, "POST-5"),
    (EVENT_CLIENT, RETRIEVED, 7.0, "POST-1"),
    (HTTP, TOLD_EVENT, 8.0, "POST-6"),
    (BASE, failed(), 9.0, "PUT-2"),
    (REQUESTS, REFUSED, 10.0, "POST-5"),
    (HTTP, arrived("event/$x"), 11.0, "PUT-2"),
    (BASE, failed(), 12.0, "PUT-3"),
    (HTTP, arrived("event/%24x"), 13.0, "PUT-3"),
]


@pytest.mark.parametrize("first", range(len(ROWS) + 1))
@pytest.mark.parametrize("second", range(len(ROWS) + 1))
def test_parts_are_merged_as_if_they_were_read_together(first: int, second: int) -> None:
    begin, end = sorted((first, second))
    parts = [pickle.loads(pickle.dumps(count(*rows))) for rows in (ROWS[:begin], ROWS[begin:end], ROWS[end:])]
    whole = count(*ROWS).returned()
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert parts[0].returned() == whole
    again = [count(*rows) for rows in (ROWS[:begin], ROWS[begin:end], ROWS[end:])]
    again[1].merge(again[2])
    again[0].merge(again[1])
    assert again[0].returned() == whole


def test_returned_changes_nothing() -> None:
    found = count(*ROWS[:3])
    before = found.returned()
    assert found.returned() == before
    found.merge(count(*ROWS[3:]))
    assert found.returned() == count(*ROWS).returned()


def test_many_origins_are_bounded_and_the_sum_remains_exact() -> None:
    old = [(BASE, failed("old.c"), 1.0, "PUT-1")] * 3
    many = 2 * MOST_GROUPS + 500
    found = count(*old, *((BASE, failed(f"x{number}.c"), 2.0 + number, "PUT-2") for number in range(many)))
    groups = found.returned()
    assert groups[0]["origin"] == "old.c" and groups[0]["count"] == 3
    assert len(groups) == MOST_GROUPS
    assert sum(one["count"] for one in groups) + found.others == many + 3
    # Of those with the same count, the oldest remain.
    assert {one["origin"] for one in groups[1:]} == {f"x{number}.c" for number in range(MOST_GROUPS - 1)}
    found.merge(count(*((BASE, failed(f"y{number}.c"), 1.5, "PUT-2") for number in range(many))))
    assert sum(one["count"] for one in found.returned()) + found.others == 2 * many + 3
    assert len(found._groups) <= 2 * MOST_GROUPS


def _remembered(found: SignatureFailures) -> list[int]:
    memories = (found._events, found._first_events, found._refused, found._answers, found._failed, found._arrivals)
    return [len(memory) for memory in memories]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_REMEMBERED", 3)
    rows = [
        row
        for number in range(10)
        for row in (
            (EVENT_CLIENT, RETRIEVED.replace("$e", f"${number}"), 1.0, "POST-1"),
            (REQUESTS, REFUSED, 1.0, f"POST-{number}"),
            (HTTP, TOLD, 1.0, f"GET-{number}"),
            (BASE, failed(), 1.0, f"PUT-{number}"),
            (HTTP, arrived("x", INVALID), 1.0, f"PUT-{number}"),
        )
    ]
    found = count(*rows)
    assert sorted(short(found)) == [
        ("b.c", "event_not_signed", "inbound", 10),
        ("b.c", "invalid_signature", "inbound", 10),
        ("b.c", "refused", "outbound", 10),
    ]
    assert _remembered(found) == [3] * 6
    found.merge(count(*rows, stream="worker"))
    assert sum(one["count"] for one in found.returned()) == 60
    assert _remembered(found) == [3] * 6


def test_a_failure_in_both_parts_is_counted_once_although_its_group_is_among_the_others() -> None:
    first = count((EVENT_CLIENT, RETRIEVED, 1.0, "POST-1"))
    rows = [(BASE, failed(f"x{number}.c"), 0.5, "PUT-2") for number in range(2 * MOST_GROUPS)]
    second = count((EVENT_CLIENT, NAMED, 2.0, "POST-1"), *rows)
    first.merge(second)
    assert sum(one["count"] for one in first.returned()) + first.others == 2 * MOST_GROUPS + 1
