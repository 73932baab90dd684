# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import re
from urllib.parse import quote

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import (
    Change,
    Step,
    change_of,
    describe_change,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import apache, nginx


@pytest.mark.parametrize(
    ("sent", "arrived", "kind", "text"),
    [
        ("/a/%3A", "/a/:", "decoded", "%3A became :"),
        ("/a/%2fb", "/a/b", "decoded", "%2f became /"),
        ("/a/%2fb", "/a//b", "decoded", "%2f became /"),
        ("/a/x%2fb", "/a/x/b", "decoded", "%2f became /"),
        ("/a%2F/b", "/a/b", "decoded", "%2F became /, // became /"),
        ("/a/%253A", "/a/%3A", "decoded", "%253A became %3A"),
        ("/a/%253A", "/a/:", "decoded", "%253A became :"),
        ("/a/%25x", "/a/%x", "decoded", "%25 became %"),
        ("/a/%C3%A9b", "/a/éb", "decoded", "%C3%A9 became é"),
        ("/a/%C3%A9b", "/a/Ã©b", "decoded", "%C3 became Ã, %A9 became ©"),
        ("/a/%20b", "/a/ b", "decoded", "%20 became a space"),
        ("/a/%20b", "/a/+b", "rewritten", "%20 became +"),
        ("/a/+b", "/a/%20b", "rewritten", "+ became %20"),
        ("/a/+b", "/a/ b", "rewritten", "+ became a space"),
        ("/a/+b", "/a/%2Bb", "rewritten", "+ became %2B"),
        ("/a/!b", "/a/%21b", "rewritten", "! became %21"),
        ("/a/é", "/a/%C3%A9", "rewritten", "é became %C3%A9"),
        ("/a/%2fb", "/a/%2Fb", "rewritten", "%2f became %2F"),
        ("/a/%C3%A9b", "/a/%c3%a9b", "rewritten", "%C3 became %c3, %A9 became %a9"),
        ("/a/%3A", "/a/%253A", "encoded_twice", "%3A became %253A"),
        ("/a/%3a", "/a/%253A", "encoded_twice", "%3a became %253A"),
        ("/a/%2F%3A", "/a/%252F:", "decoded", "%3A became :, %2F became %252F"),
        ("/a//b", "/a/b", "merged", "// became /"),
        ("//a///b", "/a/b", "merged", "// became /"),
        ("/a/b/", "/a/b", "slash_removed", "the slash at the end was removed"),
        ("/a/b//", "/a/b", "slash_removed", "the slash at the end was removed"),
        ("/a/b", "/a/b/", "slash_added", "a slash was added at the end"),
        ("/_matrix/a/%3A", "/a/:", "rewritten", "/_matrix was cut at the beginning, %3A became :"),
        ("/_matrix/a/b", "/x/_matrix/a/b", "rewritten", "/x was added at the beginning"),
        ("/_matrix/a/b", "/y/a/b", "rewritten", "/_matrix became /y at the beginning"),
        ("/a/./c/../b%3A", "/a/b:", "rewritten", "the segments . and .. were removed, %3A became :"),
        ("/a/b/..", "/a/", "rewritten", "the segments . and .. were removed"),
        ("/a/b", "/nothing", "rewritten", "the path became /nothing"),
        ("/a/b", "", "rewritten", "the path became "),
        ("/a/b", "*", "rewritten", "the path became *"),
        ("/a?b=%3A", "/a?b=:", "query_changed", "in the query %3A became :"),
        ("/a?b=1&c=2", "/a?c=2&b=1", "query_changed", "the query became another one"),
        ("/a", "/a?b", "query_changed", "?b was added to the query"),
        ("/a?b", "/a?b&c", "query_changed", "&c was added to the query"),
        ("/a?b=%3Acd", "/a?b=%3", "query_cut", "only the first 4 of 7 characters of the query arrived"),
        ("/a?b", "/a", "query_cut", "the query was removed"),
        ("/a?b", "/a?", "query_cut", "the query was removed"),
        ("/a?", "/a", "query_changed", "the question mark at the end changed"),
        ("/a/%3A?b=%21", "/a/:?b=!", "decoded", "%3A became :; in the query %21 became !"),
        ("/a?b=//", "/a?b=/", "query_cut", "only the first 3 of 4 characters of the query arrived"),
        ("/a", "/a", "same", ""),
        ("", "", "same", ""),
    ],
)
def test_what_changed(sent: str, arrived: str, kind: str, text: str) -> None:
    change = describe_change(sent, arrived)
    assert (change.kind, change.text) == (kind, text)


def test_what_is_harmless() -> None:
    assert describe_change("/a/%7E%73%2D", "/a/~s-").is_harmless
    assert not describe_change("/a/%7E%3A", "/a/~:").is_harmless
    assert describe_change("/a/%7E%3A", "/a/~:").touched == ("%3A",)
    assert not describe_change("/a/%257E", "/a/~").is_harmless
    assert not describe_change("/a/~", "/a/%7E").is_harmless
    assert not describe_change("/a", "/b").is_harmless
    assert not describe_change("/a", "/a").is_harmless
    # What matters comes first, although the other is more of the kind.
    assert describe_change("//%7E%7E", "/~~").kind == "merged"


def test_touched_characters_are_each_named_once() -> None:
    change = describe_change("/%3A/%3A/%21", "/:/:/!")
    assert change.touched == ("%3A", "%21")
    assert change.text == "%3A became :, %21 became !"


def test_many_differences_are_counted() -> None:
    sent = "".join(f"/%{code:02X}" for code in b"!:@$,;=&")
    assert describe_change(sent, re.sub("%..", lambda match: chr(int(match[0][1:], 16)), sent)).text.endswith(
        " and 2 more"
    )
    assert change_of([]) == Change("same")


def test_long_texts_are_shortened_and_end() -> None:
    change = describe_change("/a", "/" + "x" * 5000)
    assert len(change.text) < 100
    # Neither a query of 4000 characters nor one that has nothing in common needs long.
    assert describe_change("/a?b=%3A" + "x" * 4000, "/a?b=:" + "x" * 4000).text == "in the query %3A became :"
    assert describe_change("/" + "a/" * 2000, "/" + "b/" * 2000).kind == "rewritten"
    assert describe_change("/" + "%2F" * 500, "/" * 400).kind in ("decoded", "rewritten")


def some_path(chance: random.Random) -> str:
    """Return a path as servers make them."""
    segments = []
    for _number in range(chance.randint(1, 4)):
        text = "".join(chance.choice("ab0-_~!$:@#%/ +=é") for _character in range(chance.randint(1, 8)))
        segments.append(quote(text, safe=chance.choice(("", "!$:@", "+="))))
    return "/_matrix/x/" + "/".join(f"x{segment}" for segment in segments)


@pytest.mark.parametrize("seed", range(60))
def test_changes_of_real_proxies(seed: int) -> None:
    chance = random.Random(seed)
    for _number in range(10):
        sent = some_path(chance)
        assert describe_change(sent, sent) == Change("same")
        for proxy in (nginx, apache):
            arrived = proxy(sent)
            change = describe_change(sent, arrived)
            assert (change.kind == "same") == (sent == arrived)
            assert change.kind in ("same", "decoded", "rewritten", "merged"), (sent, arrived)
            decoded = {step.before.upper() for step in change.steps if step.kind == "decoded"}
            if proxy is apache:
                assert "%2F" not in decoded
            elif re.search("%2F", sent) and change.kind != "same":
                assert "%2F" in decoded, (sent, arrived)


@pytest.mark.parametrize("seed", range(30))
def test_the_steps_lead_from_one_to_the_other(seed: int) -> None:
    chance = random.Random(seed)
    for _number in range(10):
        tokens = re.findall("%..|.", some_path(chance))
        expected: list[Step] = []
        arrived = ""
        for token in tokens:
            after = token
            if len(token) == 3 and int(token[1:], 16) < 0x80 and token not in ("%2F", "%25"):
                way = chance.randint(0, 3)
                after = (token, chr(int(token[1:], 16)), f"%25{token[1:]}", token.lower())[way]
                if after != token:
                    expected.append(Step(("", "decoded", "encoded_twice", "rewritten")[way], token, after))
            arrived += after
        change = describe_change("".join(tokens), arrived)
        # A space or another character may be next to a plain one of the same kind, but the set is the same.
        assert set(change.steps) == set(expected), ("".join(tokens), arrived)
        assert change.kind == (change_of(expected).kind)


def test_whatever_arrives_is_described() -> None:
    chance = random.Random(1)
    for _number in range(500):
        sent, arrived = ("".join(chance.choice("/%2Fa:?.&\0é\ud800") for _character in range(12)) for _text in range(2))
        change = describe_change(sent, arrived)
        assert (change.kind == "same") == (sent == arrived)
        assert bool(change.text) == (sent != arrived)
