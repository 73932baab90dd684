# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.verdicts import judge_failures
from ansible_collections.matrix_ops.synapse.plugins.modules.synapse_request_log_info import RETURN

JOIN = "/_matrix/federation/v1/make_join/%21a%3Aus/%40x%3Ab.c"
DECODED = "/_matrix/federation/v1/make_join/!a:us/@x:b.c"
SEND = "/_matrix/federation/v1/send/17"
SIGNATURE = "invalid_signature"


def failure(
    cause: str = SIGNATURE,
    origin: str = "b.c",
    direction: str = "inbound",
    uris: t.Sequence[str] = (),
    decoded: int = 0,
) -> dict[str, t.Any]:
    return {
        "origin": origin,
        "direction": direction,
        "cause": cause,
        "count": 2,
        "line": "the line",
        "uris": list(uris),
        "decoded_uris": decoded,
    }


def finding(name: str, *groups: str, site: str = "federation", severity: str = "error") -> Finding:
    return Finding(name, "what", severity, site, {}, groups)


def several(
    count: int, cause: str = SIGNATURE, direction: str = "inbound", uris: t.Sequence[str] = ()
) -> list[dict[str, t.Any]]:
    return [failure(cause, f"{number}.c", direction, uris) for number in range(count)]


def judged(
    failures: list[dict[str, t.Any]], *findings: Finding, skew: float | None = None, is_examined: bool = True
) -> set[tuple[str, str]]:
    found = judge_failures(failures, findings, "us", skew, is_examined)
    for each in found:
        assert re.fullmatch(r"[^\s].*[^.]\.", each["what"]) and re.fullmatch(r"[A-Z].*[^.]\.", each["fix"])
    return {(each["side"], each["reason"]) for each in found}


def test_a_verdict() -> None:
    [found] = judge_failures([failure(uris=[DECODED], decoded=2)], [finding("path_decoded", "federation")], "us", None)
    assert found == {
        "origin": "b.c",
        "direction": "inbound",
        "cause": SIGNATURE,
        "count": 2,
        "side": "ours",
        "reason": "proxy_changes_path",
        "what": "The proxy of this server changes requests on their way to Synapse (path_decoded), so that users of b.c"
        " cannot join rooms of this server or accept invitations to them.",
        "fix": "Correct the proxy so that it passes on the path and the query byte for byte.",
        "evidence": {"line": "the line", "uris": [DECODED]},
    }


def test_nothing_and_nonsense() -> None:
    assert judge_failures(None, [], "us", None) == []
    assert judge_failures([failure(origin="US")], [], "us", None) == []
    assert judged([{"direction": "inbound"}]) == {("unknown", "unknown")}


def test_the_order() -> None:
    failures = [
        failure("not_signed"),
        failure("wrong_destination", "a.c"),
        {**failure("wrong_destination", "d.c"), "count": 9},
        failure("other"),
    ]
    found = judge_failures(failures, [], "us", None)
    assert [(each["side"], each["origin"]) for each in found] == [
        ("ours", "d.c"),
        ("ours", "a.c"),
        ("unknown", "b.c"),
        ("theirs", "b.c"),
    ]


@pytest.mark.parametrize("name", ["path_decoded", "path_encoded_twice", "path_merged", "signature_broken", "query_cut"])
def test_our_proxy_by_a_finding(name: str) -> None:
    ours = {("ours", "proxy_changes_path")}
    assert judged([failure()], finding(name, "federation", "key")) == ours
    assert judged([failure()], finding(name, "media", "federation", site="client")) == ours
    assert judged([failure()], finding(name)) == ours
    # For other paths, it does not matter.
    assert judged([failure()], finding(name, "media", site="client")) == {("theirs", "key_changed")}
    assert judged([failure()], finding(name, site="client")) == {("theirs", "key_changed")}
    # What decodes only %7E breaks no signature.
    assert judged([failure()], finding(name, "federation", severity="info")) == {("theirs", "key_changed")}


def test_our_proxy_by_the_log() -> None:
    ours, unknown = {("ours", "proxy_changes_path")}, {("unknown", "proxy_changes_path")}
    one = failure(uris=[DECODED], decoded=1)
    assert judged([one, failure(origin="d.e", uris=[DECODED], decoded=1)]) == ours
    # One server alone can be of a kind that does not encode, if our proxy changes nothing.
    assert judged([one]) == unknown
    assert judged([one], is_examined=False) == ours
    assert judged([one], finding("unreachable", "federation", "key")) == ours
    assert judged([failure(uris=["/_matrix/federation/v1/query/directory/#a:us"], decoded=1)]) == ours
    assert judged([failure(uris=[JOIN.replace("%", "%25")])]) == ours
    dendrite = failure(uris=["/_matrix/federation/v1/make_join/%21a:us/@x:b.c"], decoded=1)
    assert judged([dendrite]) == {("theirs", "key_changed")}


def test_a_signature_with_an_intact_path() -> None:
    intact = failure(uris=[JOIN])
    assert judged([intact]) == {("theirs", "key_changed")}
    assert judged([intact], is_examined=False) == {("unknown", "unknown")}
    assert judged([intact], finding("certificate_expired", "federation", "key")) == {("unknown", "unknown")}
    for name in ("errors_replaced", "proxy_error"):
        assert judged([intact], finding(name, "client", "federation")) == {("unknown", "unknown")}
        assert judged([intact], finding(name, "media")) == {("theirs", "key_changed")}
    assert judged([intact], finding("forwarded_for_ignored")) == {("theirs", "key_changed")}
    assert judged(several(2, uris=[JOIN])) == {("theirs", "key_changed")}
    assert judged(several(3, uris=[JOIN])) == {("unknown", "unknown")}
    # Failures without a name are not of another server.
    assert judged([*several(2), failure(origin="")]) == {("theirs", "key_changed")}


@pytest.mark.parametrize(("skew", "reason"), [(61.0, "clock"), (-61.0, "clock"), (60.0, ""), (None, "")])
def test_the_clock(skew: float | None, reason: str) -> None:
    clock = {("ours", "clock")}
    assert judged(several(3), skew=skew) == (clock if reason else {("unknown", "unknown")})
    assert judged(several(3, "key_not_found"), skew=skew) == (clock if reason else {("ours", "key_not_reachable")})
    refused = several(3, "refused", direction="outbound")
    assert judged(refused, skew=skew) == (clock if reason else {("ours", "key_changed")})
    assert judged([failure()], skew=skew) == {("theirs", "key_changed")}


def test_keys() -> None:
    assert judged(several(2, "key_not_found")) == {("theirs", "key_not_reachable")}
    assert judged(several(3, "key_not_found")) == {("ours", "key_not_reachable")}
    assert judged([failure("key_response")]) == {("theirs", "key_not_reachable")}


def test_no_authentication() -> None:
    assert judged([failure("missing_authentication", "")]) == {("unknown", "not_federation")}
    removed = finding("authorization_removed", "federation")
    assert judged([failure("missing_authentication", "")], removed) == {("ours", "proxy_removes_authorization")}


@pytest.mark.parametrize("cause", ["refused", SIGNATURE])
def test_refused_by_another_server(cause: str) -> None:
    outbound: dict[str, t.Any] = {"cause": cause, "direction": "outbound"}
    assert judged([failure(**outbound, uris=[JOIN])]) == {("theirs", "other_proxy_changes_path")}
    assert judged([failure(**outbound, uris=[SEND])]) == {("theirs", "unknown")}
    assert judged(several(3, **outbound, uris=[JOIN])) == {("ours", "key_changed")}
    # The paths of requests to us do not matter to others, but whether they reach our key.
    assert judged([failure(**outbound, uris=[JOIN])], finding("path_decoded", "federation", "key")) == {
        ("theirs", "other_proxy_changes_path")
    }
    assert judged([failure(**outbound, uris=[JOIN])], finding("unreachable", "federation", "key")) == {
        ("ours", "key_not_reachable")
    }
    assert judged([failure(**outbound)], finding("unreachable", "client", site="client")) == {("theirs", "unknown")}


def test_another_server_without_our_key() -> None:
    assert judged([failure("key_not_found", direction="outbound")]) == {("unknown", "key_not_reachable")}


@pytest.mark.parametrize(
    ("direction", "uri", "words"),
    [
        ("inbound", JOIN, "users of b.c cannot join rooms of this server"),
        ("outbound", JOIN.replace("make_join", "send_join"), "users of this server cannot join rooms of b.c"),
        ("inbound", JOIN.replace("make_join", "invite"), "users of b.c cannot invite users of this server"),
        ("inbound", SEND, "the signatures of b.c do not match"),
        ("outbound", JOIN.replace("make_join", "state"), "it refuses the signatures of this server"),
    ],
)
def test_what_users_notice(direction: str, uri: str, words: str) -> None:
    [found] = judge_failures(
        [failure(direction=direction, uris=[uri])], [finding("path_decoded", "federation")], "us", None
    )
    assert words in found["what"]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_every_documented_cause_has_a_verdict(direction: str) -> None:
    causes = re.findall(r"- V\((\w+)\) - ", RETURN.partition("signature_failures:")[2])
    assert len(causes) > 15
    for cause in causes:
        [found] = judge_failures([failure(cause, direction=direction)], [], "us", None)
        assert "NAME" not in found["what"] + found["fix"]
        assert found["side"] in ("ours", "theirs", "unknown")


@pytest.mark.parametrize(
    ("cause", "direction", "expected"),
    [
        ("wrong_destination", "inbound", ("ours", "wrong_destination")),
        ("wrong_destination", "outbound", ("theirs", "wrong_destination")),
        ("federation_denied", "inbound", ("ours", "federation_denied")),
        ("missing_authentication", "outbound", ("theirs", "other_proxy_removes_authorization")),
        ("banned_key", "outbound", ("ours", "key_banned")),
        ("event_not_signed", "inbound", ("theirs", "bad_event")),
        ("event_invalid_signature", "outbound", ("unknown", "bad_event")),
        ("policy_signature", "inbound", ("theirs", "bad_event")),
        ("malformed_authentication", "inbound", ("unknown", "not_federation")),
        ("other", "outbound", ("unknown", "unknown")),
        ("something new", "inbound", ("unknown", "unknown")),
    ],
)
def test_causes_that_need_no_comparison(cause: str, direction: str, expected: tuple[str, str]) -> None:
    assert judged([failure(cause, direction=direction)]) == {expected}
