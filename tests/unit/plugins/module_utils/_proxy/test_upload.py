# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import upload as upload_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.upload import Uploaded, upload
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.made_certificates import Workshop
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    Handler,
    RawServer,
    answer,
    fixed,
)

MEBIBYTE = 1024 * 1024
TOKEN = b'{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}'
# As Synapse sends it.
CHUNKED = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(TOKEN), TOKEN)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "_TO_REFUSE", 0.05)
    monkeypatch.setattr(upload_module, "_TO_EXPLAIN", 0.2)


def after(size: int, content: bytes, first: bytes = b"", stays_open: bool = False) -> Handler:
    """Return what answers after so many bytes of the body."""

    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(first)
        left = size
        while left > 0:
            left -= len(connection.recv(min(left, MEBIBYTE))) or left
        connection.sendall(content)
        return stays_open

    return handler


def uploaded(handler: Handler, size: int, certificate: str = "", authority: str = "") -> tuple[Uploaded, bytes]:
    with RawServer(handler, certificate) as server, Sender(verify=authority or True) as sender:
        done = upload(sender, server.place, size)
        assert sender.sent == 1
        return done, server.heads[0]


def test_the_request() -> None:
    done, head = uploaded(after(1000, CHUNKED), 1000)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /_matrix/media/v3/upload HTTP/1.1"
    assert "Content-Length: 1000" in lines
    assert "Content-Type: application/octet-stream" in lines
    assert done.answer is not None
    assert f"(synapse_proxy_info; {done.answer.tag})" in head.decode()
    assert "Authorization" not in head.decode()


@pytest.mark.parametrize("size", [1, 65536, 65537, 20 * MEBIBYTE])
@pytest.mark.parametrize("content", [CHUNKED, answer(401, TOKEN)])
@pytest.mark.parametrize("first", [b"", CONTINUE, CONTINUE * 2])
def test_everything_is_accepted(size: int, content: bytes, first: bytes) -> None:
    done, _head = uploaded(after(size, content, first, stays_open=True), size)
    assert (done.sent, done.is_closed) == (size, False)
    assert done.answer is not None
    assert (done.answer.status, done.answer.errcode) == (401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("first", [b"", CONTINUE])
def test_the_header_alone_is_refused(first: bytes) -> None:
    done, _head = uploaded(fixed(first + answer(413, b"<html>", Server="nginx")), 20 * MEBIBYTE)
    assert (done.sent, done.is_closed) == (0, False)
    assert done.answer is not None
    assert (done.answer.status, done.answer.body, done.answer.header("server")) == (413, b"<html>", "nginx")


def test_the_answer_comes_after_a_part() -> None:
    done, _head = uploaded(after(MEBIBYTE, answer(413), stays_open=True), 50 * MEBIBYTE)
    assert MEBIBYTE <= done.sent < 50 * MEBIBYTE
    assert done.answer is not None and done.answer.status == 413


def test_the_connection_is_closed_after_a_part() -> None:
    done, _head = uploaded(after(MEBIBYTE, b""), 50 * MEBIBYTE)
    assert MEBIBYTE <= done.sent < 50 * MEBIBYTE
    assert (done.answer, done.is_closed) == (None, True)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 413", b"HTTP/1.1 99 x\r\n\r\n", b"a" * 100_000, b"\x15\x03\x01"]
)
def test_what_is_no_answer(content: bytes) -> None:
    done, _head = uploaded(fixed(content, stays_open=False), 10)
    assert (done.answer, done.is_closed) == (None, True)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"HTTP/1.1 413 x\r\nContent-Length: 9\r\n\r\nab", b"ab"),
        (b"HTTP/1.0 413\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 413 x\r\nTransfer-Encoding: chunked\r\n\r\nzz", b"zz"),
        (b"HTTP/1.1 413 x\r\nContent-Length: x\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nabc", b"ab"),
    ],
)
def test_an_incomplete_answer(content: bytes, body: bytes) -> None:
    done, _head = uploaded(fixed(content, stays_open=False), MEBIBYTE)
    assert done.answer is not None and (done.answer.status, done.answer.body) == (413, body)


def test_only_a_part_can_be_sent_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "_TO_SEND", 0.2)
    is_over = threading.Event()

    def slow(_connection: socket.socket, _head: bytes) -> bool:
        return is_over.wait(60)

    done, _head = uploaded(slow, 500 * MEBIBYTE)
    is_over.set()
    assert 0 < done.sent < 500 * MEBIBYTE
    assert (done.answer, done.is_closed) == (None, False)


def test_no_answer_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "_TO_ANSWER", 0.1)
    assert uploaded(after(MEBIBYTE, b"", stays_open=True), 1000)[0] == Uploaded(1000, None, False)


def test_over_tls(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    authority = workshop.authority("Test")
    both = workshop.leaf("IP:127.0.0.1", authority).both
    done, _head = uploaded(after(20 * MEBIBYTE, CHUNKED, stays_open=True), 20 * MEBIBYTE, both, authority.certificate)
    assert done.sent == 20 * MEBIBYTE
    assert done.answer is not None and done.answer.errcode == "M_MISSING_TOKEN"
    done, _head = uploaded(after(MEBIBYTE, answer(413), stays_open=True), 50 * MEBIBYTE, both, authority.certificate)
    assert done.sent < 50 * MEBIBYTE
    assert done.answer is not None and done.answer.status == 413


def test_no_connection() -> None:
    with RawServer(fixed(b"")) as server:
        place = server.place
    with Sender() as sender, pytest.raises(OSError, match="refused the connection"):
        upload(sender, place, 10)


def test_the_answer_is_received_to_its_end() -> None:
    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 413 x\r\nServer: nginx\r\nContent-Length: 30\r\n\r\n0123456789")
        # The rest comes as a packet of its own.
        threading.Event().wait(0.05)
        connection.sendall(b"01234567890123456789")
        return True

    done, _head = uploaded(handler, MEBIBYTE)
    assert done.answer is not None and done.answer.body == b"0123456789" * 3


@pytest.mark.parametrize("host", ["a\r\nX: y", "a\x7f"])
def test_a_host_that_no_request_can_name(host: str) -> None:
    with Sender() as sender, pytest.raises(OSError, match="is not a valid host$"):
        upload(sender, Place("http", host, 80), 10)
    assert sender.sent == 0
