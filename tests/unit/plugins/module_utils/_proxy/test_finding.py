# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import evidence, fix_of, quoted

PLACE = Place("https", "example.org", 443)


def answer(body: bytes, location: str = "", target: str = "/") -> Answer:
    headers = (("location", location),) if location else ()
    return Answer(PLACE, Request(target), "tag", 200, headers, body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.2")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer syt_YWxpY2U_secret", "Authorization: Bearer <redacted>"),
        ('{"authorization":"bearer secret"}', '{"authorization":"bearer <redacted>'),
        ('X-Matrix origin="a",sig="secret",destination="a"', 'X-Matrix origin="a",sig=<redacted>'),
        ("/x?access_token=secret&y=1", "/x?access_token=<redacted>&y=1"),
        ("/x?Signature=secret", "/x?Signature=<redacted>"),
    ],
)
def test_what_an_answer_repeats_of_its_request_is_no_secret_in_evidence(text: str, shown: str) -> None:
    assert quoted(answer(text.encode())) == f"200 {shown}"
    assert "secret" not in quoted(answer(b"", location=text))
    # Also where the text is cut.
    assert "secret" not in quoted(answer(b"x" * 150 + b" " + text.encode()))


def test_the_request_without_secrets() -> None:
    shown = evidence(answer(b"", target="/x?access_token=secret&y=1"), expected="nothing")
    assert shown == {
        "request": "GET https://example.org/x?access_token=<redacted>&y=1",
        "answer": "200",
        "expected": "nothing",
    }


def test_texts_of_others_are_short_and_printable() -> None:
    shown = quoted(answer(b"\x1b[31m\x00\xff\r\n" + b"x" * 10_000, location="\x1b]0;title\x07"))
    assert shown.isprintable()
    assert shown.startswith("200 Location: ]0;title [31m \ufffd xxx") and shown.endswith("xxx...")
    assert len(shown) == 203


@pytest.mark.parametrize(("kind", "words"), [("not_asked", "Examine less"), ("timeout", "again")])
def test_what_to_do_without_an_answer(kind: str, words: str) -> None:
    got = NoAnswer(PLACE, Request("/"), "tag", kind, "the reason")
    assert words in fix_of(got)
    assert quoted(got) == "the reason"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example/a?state=secret&user=secret", "https://login.example/a?<redacted>"),
        ("https://login.example/a#token=secret", "https://login.example/a"),
        ("https://user:secret@login.example/a", "https://<redacted>@login.example/a"),
        ("/a?", "/a?<redacted>"),
        ("https://example.org/a/?x=1", "https://example.org/a/?x=1"),
    ],
)
def test_what_a_redirect_contains_of_a_session_is_no_evidence(location: str, shown: str) -> None:
    assert quoted(answer(b"", location, target="/a?x=1")) == f"200 Location: {shown}"
