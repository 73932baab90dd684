# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.failure_groups import Group, read_groups

PREFIX = "/_matrix/federation/v1/"


def group(*uris: str, decoded: int = 1) -> Group:
    return Group("b.c", "inbound", "invalid_signature", 1, decoded, "", tuple(PREFIX + uri for uri in uris))


def test_what_is_read() -> None:
    failure = {
        "origin": "b.c",
        "direction": "inbound",
        "cause": "invalid_signature",
        "count": 4,
        "line": "a line",
        "uris": ["/x"],
        "decoded_uris": 3,
        "key_ids": ["ed25519:a"],
    }
    assert read_groups([failure], "us") == [Group("b.c", "inbound", "invalid_signature", 4, 3, "a line", ("/x",))]
    assert read_groups((failure,), "B.C") == []


@pytest.mark.parametrize("failures", [None, "inbound", 3, {}, {"direction": "inbound"}, [None, "x", 3, [], {}]])
def test_what_is_no_list_of_failures(failures: t.Any) -> None:
    assert read_groups(failures, "us") == []


@pytest.mark.parametrize("direction", [None, 3, "", "answer", ["inbound"]])
def test_an_unknown_direction(direction: t.Any) -> None:
    assert read_groups([{"origin": "b.c", "direction": direction}], "us") == []


@pytest.mark.parametrize("value", [None, True, -3, "5", 1.5, {}, [3]])
def test_nonsense_is_empty(value: t.Any) -> None:
    failure = dict.fromkeys(("count", "decoded_uris", "uris"), value)
    failure.update(dict.fromkeys(("origin", "cause", "line"), value if not isinstance(value, str) else 5))
    assert read_groups([{**failure, "direction": "outbound"}], "us") == [Group("", "outbound", "other")]


def test_lengths_are_bounded() -> None:
    [found] = read_groups(
        [{"direction": "inbound", "origin": "o" * 9000, "line": "l" * 9000, "uris": ["u" * 9000] * 9}], "us"
    )
    assert (len(found.origin), len(found.line), [len(uri) for uri in found.uris]) == (300, 1000, [300] * 5)


def test_equal_groups_are_added_up() -> None:
    failure = {"origin": "b.c", "direction": "inbound", "cause": "x", "count": 2, "decoded_uris": 1}
    first, second = {**failure, "uris": ["/a", "/b"]}, {**failure, "line": "second", "uris": ["/b", "/c"]}
    other = {**failure, "direction": "outbound"}
    assert read_groups([first, other, second], "us") == [
        Group("b.c", "inbound", "x", 4, 2, "second", ("/a", "/b", "/c")),
        Group("b.c", "outbound", "x", 2, 1),
    ]


@pytest.mark.parametrize(
    ("uris", "decoded"),
    [
        (["make_join/!a:b.c/@x:b.c"], True),
        (["event/$a"], True),
        # Apache keeps %2F.
        (["event/$a%2Fb"], True),
        # Without an example, the number counts.
        ([], True),
        (["event/%24a"], True),
        # As Dendrite sends it.
        (["make_join/%21a:b.c/@x:b.c"], False),
        (["make_join/%21a:b.c/@x:b.c", "event/$a"], True),
    ],
)
def test_decoded(uris: list[str], decoded: bool) -> None:
    assert group(*uris).is_decoded is decoded
    assert not group(*uris, decoded=0).is_decoded


def test_surely_decoded() -> None:
    assert group("query/directory/#a:b.c").is_surely_decoded
    assert not group("make_join/!a/@b").is_surely_decoded
    assert not group("x", "send/1?x=#").is_surely_decoded


@pytest.mark.parametrize(
    ("uri", "twice"),
    [
        ("event/%2524a", True),
        ("make_join/%2521a%253ab/x", True),
        ("event/%24a", False),
        ("event/%25a", False),
        ("x?y=%2524", False),
    ],
)
def test_encoded_twice(uri: str, twice: bool) -> None:
    assert group(uri).is_encoded_twice is twice


def test_endpoints() -> None:
    assert group("make_join/%21a/%40b").is_about("send_join", "make_join")
    assert not group("make_join_x/a", "state/make_join").is_about("make_join")
    assert group("state/%21a").needs_encoding
    assert not group("send/1").needs_encoding
