# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    RawServer,
    answer,
    fixed,
)


def got(content: bytes, method: str = "GET", stays_open: bool = False) -> Answer | NoAnswer:
    with RawServer(fixed(content, stays_open)) as server, Sender(timeout=5) as sender:
        return sender.send(server.place, Request("/", method))


def answered(content: bytes, method: str = "GET", stays_open: bool = False) -> Answer:
    found = got(content, method, stays_open=stays_open)
    assert isinstance(found, Answer), found
    return found


def failed(content: bytes) -> NoAnswer:
    found = got(content)
    assert isinstance(found, NoAnswer), found
    return found


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200\nContent-Length: 2\n\n\xff\xfe", b"\xff\xfe"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(200, b"x"), b"x"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 101 Switching\r\n\r\nother", b""),
        (answer(200, b"x" * 300_000), b"x" * 262_144),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * 300_000, b"x" * 262_144),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, b"x" * 262_144),
    ],
)
def test_bodies(content: bytes, body: bytes) -> None:
    assert answered(content).body == body


def test_the_answer_to_head_has_no_body() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", stays_open=True).body == b""


def test_headers_are_kept_as_they_were_sent() -> None:
    lines = [b"HTTP/1.1 200 OK", b"A: 1", b"a:2", b" folded", b"nothing", b"Location: /\x07\xff\x1b[0m"]
    found = answered(b"\r\n".join([*lines, b"Content-Length: 0", b"", b""]))
    assert found.headers == (("A", "1"), ("a", "2 folded"), ("Location", "/\x07\xff\x1b[0m"), ("Content-Length", "0"))
    assert found.all("a") == ["1", "2 folded"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "its first line is not one of HTTP/1"),
        (b"HTTP/1.1 099 No\r\n\r\n", "its first line"),
        (b"HTTP/1.1 20x\r\n\r\n", "its first line"),
        (b"\x00" * 100_000, "a line of the answer is too long"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "it expects TLS"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "one interim answer (1xx) after another"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "too long"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 2_000_000, "too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length is not a number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "size of a chunk is not a number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 50 + b"\r\n", "size of a chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "another size than was announced"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20_000, "too long"),
    ],
)
def test_what_is_not_http(content: bytes, words: str) -> None:
    found = failed(content)
    assert found.kind == "not_http"
    assert words in found.reason


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_an_answer_that_is_not_complete(content: bytes) -> None:
    found = failed(content)
    assert found.kind == "closed"
    assert found.reason.endswith("closed the connection in the middle of its answer")
