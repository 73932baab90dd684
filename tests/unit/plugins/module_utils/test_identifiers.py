# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identifiers are opaque: how they may be split, and which texts are refused before they reach a server."""

from __future__ import annotations

import random
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_room_alias,
    parse_room_id,
    parse_user_id,
    require_legal_room_id,
    require_new_alias,
    server_name_of,
)

SERVER_NAMES = [
    "example.org",
    "example.org:8448",
    "1.2.3.4",
    "1.2.3.4:80",
    "[::1]",
    "[2001:db8::1]:8448",
    "localhost:1",
]


class TestUserId:
    @pytest.mark.parametrize("server_name", SERVER_NAMES)
    @pytest.mark.parametrize("localpart", ["alice", "a/b=c.d-e_f+g", "Alice", "ålice", "_", "0"])
    def test_in_full_or_its_localpart_alone(self, server_name: str, localpart: str) -> None:
        full = f"@{localpart}:{server_name}"
        assert str(parse_user_id(localpart, server_name)) == full
        assert str(parse_user_id(full, server_name)) == full
        parsed = parse_user_id(full, server_name)
        assert (parsed.localpart, parsed.server_name) == (localpart, server_name)
        assert server_name_of(full) == server_name

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@",
            "@alice",
            "@:example.org",
            "@alice:",
            "alice:example.org",
            "#alice:example.org",
            "@al ice:example.org",
            "al\u00a0ice",
            "al\tice",
            "al\nice",
            "al\x00ice",
            "@alice:example.org ",
            "@alice:example.org:port",
            "@alice:example.org:123456",
            "@alice:exam ple.org",
            "@alice:::1",
            "@alice:[::1",
            "al\udcffice",
        ],
    )
    def test_refuses_other_texts(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_user_id(text, "example.org")

    @pytest.mark.parametrize(
        ("text", "own"),
        [
            ("@alice:example.com", "example.org"),
            ("@alice:example.org", "example.org:8448"),
            ("@alice:example.org:8448", "example.org"),
            ("@alice:EXAMPLE.org", "example.org"),
            ("@alice:sub.example.org", "example.org"),
            ("@alice:[::1]:80", "[::1]"),
        ],
    )
    def test_refuses_one_of_another_server(self, text: str, own: str) -> None:
        with pytest.raises(InvalidInput, match="but this server is") as caught:
            parse_user_id(text, own)
        assert caught.value.message.startswith(f"{text} is an account of the server {server_name_of(text)}")

    def test_counts_bytes(self) -> None:
        own = "x.org"
        longest = "a" * (255 - len(f"@:{own}"))
        assert len(str(parse_user_id(longest, own))) == 255
        with pytest.raises(InvalidInput, match="255 bytes"):
            parse_user_id(longest + "a", own)
        with pytest.raises(InvalidInput, match="255 bytes"):
            parse_user_id("ä" * 124 + "a", own)
        assert len(str(parse_user_id("ä" * 124, own)).encode()) == 255

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(InvalidInput, match="Write @alice:example.org, or only the part before the colon"):
            parse_user_id("alice:example.org", "example.org")


class TestRoomAlias:
    @pytest.mark.parametrize("server_name", SERVER_NAMES)
    @pytest.mark.parametrize(
        "localpart",
        ["lobby", "a/b?c#d%2Fe&f=g+h", "Großes Ü".replace(" ", "-"), "日本", "🐇", "👩\u200d💻", "می\u200cخواهم", "#"],
    )
    def test_in_full_or_without_the_server(self, server_name: str, localpart: str) -> None:
        full = f"#{localpart}:{server_name}"
        assert str(parse_room_alias(f"#{localpart}", server_name)) == full
        assert str(parse_room_alias(full, server_name)) == full

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "#",
            "lobby",
            "lobby:example.org",
            "#:",
            "#my lobby",
            "#lobby\n",
            "#a\x0bb",
            "#a\x00b",
            "#a\udcffb",
            "@a:example.org",
            "!a",
        ],
    )
    def test_refuses_other_texts(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_room_alias(text, "example.org")

    def test_refuses_one_of_another_server(self) -> None:
        with pytest.raises(
            InvalidInput, match="is a room alias of the server example.com, but this server is example.org"
        ):
            parse_room_alias("#lobby:example.com", "example.org")

    @pytest.mark.parametrize("localpart", ["", "a\u00a0b", "a\u3000b", "\u2028", "a\x01b", "\x1c", "\x7f", "l" * 300])
    def test_one_that_synapse_can_have(self, localpart: str) -> None:
        full = f"#{localpart}:example.org"
        assert str(parse_room_alias(full, "example.org")) == full

    def test_a_new_one_is_counted_in_characters(self) -> None:
        require_new_alias(f"#{'👩' * 250}:x.y")
        with pytest.raises(InvalidInput, match="longer than 255 characters"):
            require_new_alias(f"#{'l' * 251}:x.y")


class TestRoomId:
    @pytest.mark.parametrize(
        "text",
        [
            "!abcdefgh:example.org",
            "!abcdefgh:[::1]:8448",
            "!5ZDlxycXWYNrA5vr3NHMNAEI0dKEwuS5pkGTc4rgQF8",
            "!-_starts_with_signs",
            "!a:b:c/d",
            "!" + "a" * 254,
            "!" + "👩" * 250 + ":x.y",
            "!a\u00a0\x01\x7fb:x.y",
            "!:x.y",
        ],
    )
    def test_is_returned_unchanged(self, text: str) -> None:
        assert parse_room_id(text) == text

    @pytest.mark.parametrize(
        "text", ["", "!", "abc", "#lobby:example.org", "!a b", "!a\n", " !a", "!a\x00:x.y", "!" + "a" * 255, "!\udcff"]
    )
    def test_refuses_other_texts(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_room_id(text)


@pytest.mark.parametrize(
    "parse",
    [lambda text: parse_user_id(text, "x.org"), lambda text: parse_room_alias(text, "x.org"), parse_room_id],
    ids=["user ID", "room alias", "room ID"],
)
def test_any_text_is_accepted_or_refused(parse: t.Callable[[str], object]) -> None:
    chance = random.Random(8448)
    pieces = [
        "@",
        "#",
        "!",
        ":",
        "[",
        "]",
        "x.org",
        "a",
        "B",
        " ",
        "\n",
        "\x00",
        "/",
        "%",
        "ä",
        "🐇",
        "\u200d",
        "\ud800",
        "0",
    ]
    accepted = 0
    for _attempt in range(20000):
        text = "".join(chance.choices(pieces, k=chance.randrange(9)))
        try:
            parsed = str(parse(text))
        except InvalidInput:
            continue
        accepted += 1
        assert text in parsed
        assert not any(character in parsed for character in " \n\x00")
        assert str(parse(parsed)) == parsed
    assert accepted > 100


@pytest.mark.parametrize("text", ["!a:x.org", "!a/b:x.org:8448", "!:x.org", "!a:[::1]:8448", f"!{'a-_Z0' * 8}abc"])
def test_a_room_id_that_synapse_accepts(text: str) -> None:
    require_legal_room_id(text)


@pytest.mark.parametrize("text", ["!a", "!a:", "!a:x_org", f"!{'a' * 42}", f"!{'a' * 44}", f"!{'a' * 42}=", "#a:x.org"])
def test_a_room_id_that_synapse_does_not_accept(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a room ID"):
        require_legal_room_id(text)
