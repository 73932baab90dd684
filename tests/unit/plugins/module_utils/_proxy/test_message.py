# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.message import message_of, secrets_of, without


def test_the_length_is_sent_with_a_body_or_where_one_is_expected() -> None:
    for request, length in ((Request("/", "POST"), b"0"), (Request("/", body=b"abc"), b"3")):
        assert b"\r\nContent-Length: " + length + b"\r\n" in (message_of(request, "tag", "a") or b"")
    assert b"Content-Length" not in (message_of(Request("/"), "tag", "a") or b"")


def test_a_header_of_the_request_replaces_that_of_this_collection() -> None:
    message = message_of(Request("/", headers=(("HOST", "b"),)), "tag", "a") or b""
    assert b"HOST: b\r\n" in message and b"Host: a" not in message
    assert b"; tag)\r\n" in message


@pytest.mark.parametrize("request_", [Request("/a\x00"), Request("/", "G ET"), Request("/", headers=(("A:\r", "b"),))])
def test_what_would_be_another_request(request_: Request) -> None:
    assert message_of(request_, "tag", "a") is None


def test_what_must_not_be_shown() -> None:
    signed = 'X-Matrix origin="a",key="ed25519:b",sig="abc/d+",destination="a"'
    hidden = secrets_of(
        Request("/", headers=(("authorization", "Bearer syt_x"), ("Authorization", signed), ("A", "b")))
    )
    assert hidden == ["syt_x", "abc/d+"]
    assert without("a syt_x abc/d+ b", hidden) == "a <redacted> <redacted> b"
