# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import concurrent.futures
import pathlib
import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import patience
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import NotConnected
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._version import COLLECTION_VERSION
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.made_certificates import Workshop
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    RawServer,
    answer,
    by_target,
    fixed,
)

ROOT = Request("/")


def sent(
    handler: t.Callable[[socket.socket, bytes], bool], request: Request = ROOT, timeout: float = 5
) -> Answer | NoAnswer:
    with RawServer(handler) as server, Sender(timeout=timeout) as sender:
        return sender.send(server.place, request)


def test_the_request_is_sent_byte_for_byte() -> None:
    target = "//a/../%2f%2F/%61?x=%zz&&=;'\"<>|é"
    with RawServer(fixed(answer(200, b"{}"))) as server, Sender() as sender:
        found = sender.send(server.place, Request(target, "PUT", (("X-A", "b  c"), ("host", "other.invalid")), b"body"))
        assert isinstance(found, Answer)
        assert server.heads[0].decode().split("\r\n") == [
            f"PUT {target} HTTP/1.1",
            f"User-Agent: matrix_ops.synapse/{COLLECTION_VERSION} (synapse_proxy_info; {found.tag})",
            "Connection: keep-alive",
            "Content-Length: 4",
            "X-A: b  c",
            "host: other.invalid",
        ]
        sender.send(server.place, Request("/"))
        assert f"Host: 127.0.0.1:{server.port}".encode() in server.heads[-1].split(b"\r\n")
    assert len(found.tag) == 12 and int(found.tag, 16) >= 0


@pytest.mark.parametrize(
    "request_",
    [Request("/a b"), Request("/a\r\nb"), Request("/", "GET\n"), Request("/", headers=(("A", "b\r\nC: d"),))],
)
def test_what_would_be_another_request_is_not_sent(request_: Request) -> None:
    with RawServer(fixed(answer(200))) as server, Sender() as sender:
        found = sender.send(server.place, request_)
        assert isinstance(found, NoAnswer) and found.kind == "not_asked"
        assert (sender.sent, server.connections) == (0, 0)


def test_what_an_answer_contains() -> None:
    with RawServer(fixed(answer(404, b'{"errcode": "M_X"}', Server="a", X="1"))) as server, Sender() as sender:
        found = sender.send(server.place, Request("/"))
        assert isinstance(found, Answer)
        assert (found.status, found.version, found.errcode, found.header("server")) == (404, "HTTP/1.1", "M_X", "a")
        assert found.address == f"127.0.0.1:{server.port}"
        assert [found.local_address] == server.peers == ["127.0.0.77"]
        assert 0 < found.seconds < 5


def test_connections_are_used_again() -> None:
    with RawServer(fixed(answer(200))) as server, Sender() as sender:
        tags = {sender.send(server.place, Request("/", method)).tag for method in ("GET", "HEAD", "GET", "OPTIONS")}
        assert len(tags) == 4
        # The answer to HEAD announces no body.
        assert (server.connections, sender.sent, len(server.heads)) == (1, 4, 4)
        sender.send(server.place, Request("/", "POST"))
        assert server.connections == 2


@pytest.mark.parametrize(
    "content",
    [
        answer(200, Connection="x, Close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        # What follows would be the answer to the next request.
        answer(200) + answer(500),
    ],
)
def test_connections_that_are_not_used_again(content: bytes) -> None:
    with RawServer(fixed(content)) as server, Sender() as sender:
        found = [sender.send(server.place, Request("/")) for _count in range(2)]
        assert [one.status for one in found if isinstance(one, Answer)] == [200, 200]
        assert server.connections == 2


def test_a_kept_connection_that_the_peer_closes() -> None:
    closes = threading.Event()

    def handler(connection: socket.socket, _head: bytes) -> bool:
        # The first connection ends after its first answer: at once, or when the next request arrives.
        if len(server.heads) == 2:
            return False
        connection.sendall(answer(200))
        return not closes.is_set()

    with RawServer(handler) as server, Sender() as sender:
        for _count in range(2):
            assert isinstance(sender.send(server.place, Request("/")), Answer)
        assert (server.connections, len(server.heads), sender.sent) == (2, 3, 2)
        closes.set()
        for _count in range(3):
            assert isinstance(sender.send(server.place, Request("/")), Answer)


def test_a_new_connection_that_the_peer_closes_is_not_repeated() -> None:
    with RawServer(fixed(b"", stays_open=False)) as server, Sender() as sender:
        found = sender.send(server.place, Request("/"))
        assert isinstance(found, NoAnswer)
        assert (found.kind, server.connections) == ("closed", 1)
        assert found.reason == f"127.0.0.1:{server.port} closed the connection without an answer"


def test_nothing_is_sent_after_the_limit_also_from_threads() -> None:
    with RawServer(fixed(answer(200))) as server, Sender(most_requests=20) as sender:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda number: sender.send(server.place, Request(f"/{number}")), range(50)))
        assert (sender.sent, len(server.heads)) == (20, 20)
        assert sum(isinstance(one, Answer) for one in found) == 20
        assert {one.kind for one in found if isinstance(one, NoAnswer)} == {"not_asked"}
        assert len(sender._kept[server.place]) <= 4
        with pytest.raises(NotConnected, match="limit of 20 requests"), sender.open(server.place):
            pass


def test_at_most_four_connections_are_kept() -> None:
    barrier = threading.Barrier(8, timeout=5)

    def handler(connection: socket.socket, head: bytes) -> bool:
        if b"/together" in head:
            barrier.wait()
        return fixed(answer(200))(connection, head)

    with RawServer(handler) as server:
        sender = Sender()
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _number: sender.send(server.place, Request("/together")), range(8)))
        assert (server.connections, len(sender._kept[server.place])) == (8, 4)
        kept = list(sender._kept[server.place])
        sender.close()
        assert [connection.socket.fileno() for connection in kept] == [-1] * 4
        assert isinstance(sender.send(server.place, Request("/")), Answer)
        assert sender._kept == {server.place: []}


def test_a_peer_that_resets_the_connection() -> None:
    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
        return False

    found = sent(handler)
    assert isinstance(found, NoAnswer) and found.kind == "closed"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "accepted the connection, but did not answer within 0.2 seconds"),
        (b"HTTP/1.1 2", "did not complete its answer"),
    ],
)
def test_a_peer_that_waits(content: bytes, words: str) -> None:
    found = sent(fixed(content), timeout=0.2)
    assert isinstance(found, NoAnswer)
    assert found.kind == "silent"
    assert words in found.reason


def test_a_place_that_never_answered_is_not_asked_again() -> None:
    with RawServer(fixed(b"")) as server, RawServer(fixed(answer(200))) as other, Sender(timeout=0.2) as sender:
        first = sender.send(server.place, ROOT)
        begin = time.monotonic()
        again = [sender.send(server.place, ROOT) for _count in range(5)]
        with pytest.raises(NotConnected, match="did not answer within 0.2") as refused, sender.open(server.place):
            pass
        # Each of the six would have waited so long.
        assert time.monotonic() - begin < 6 * 0.2
        assert isinstance(sender.send(other.place, ROOT), Answer)
        assert (len(server.heads), sender.sent) == (1, 2)
    assert isinstance(first, NoAnswer)
    assert [one[3:] for one in again] == [("silent", first.reason)] * 5
    assert refused.value.kind == "silent"
    assert len({first.tag, *(one.tag for one in again)}) == 6


def test_a_place_that_never_answered_tls_is_not_asked_again() -> None:
    with RawServer(fixed(b"")) as server, Sender(timeout=0.2) as sender:
        place = server.place._replace(scheme="https")
        with pytest.raises(NotConnected), sender.open(place):
            pass
        found = sender.send(place, ROOT)
        assert isinstance(found, NoAnswer) and found.kind == "silent"
        assert (server.connections, sender.sent) == (1, 1)


def test_less_patience_with_a_place_that_has_answered_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_MOST_WASTED", 0.3)
    monkeypatch.setattr(patience, "_LEAST", 0.05)
    with RawServer(by_target({"/": answer(200), "/silent": b" "})) as server, Sender(timeout=0.2) as sender:
        assert isinstance(sender.send(server.place, ROOT), Answer)
        found = [sender.send(server.place, Request("/silent")) for _count in range(3)]
        found.append(sender.send(server.place, Request("/silent"), timeout=0.3))
    ends = [one.reason.partition(" within ")[2].partition(" ")[0] for one in found if isinstance(one, NoAnswer)]
    assert (ends[0], ends[2:]) == ("0.2", ["0.05", "0.3"])
    # Less than that on a busy machine, where the first one took longer than it says.
    assert 0.05 <= float(ends[1]) < 0.11


def test_a_slow_drip_ends_at_the_deadline() -> None:
    ended = threading.Event()

    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not ended.wait(0.02):
            connection.sendall(b"x")
        return False

    begin = time.monotonic()
    found = sent(handler, timeout=0.3)
    ended.set()
    assert isinstance(found, NoAnswer) and found.kind == "silent"
    assert time.monotonic() - begin < 2


def test_a_refusal_before_all_of_the_body_was_sent() -> None:
    found = sent(fixed(answer(413), stays_open=False), Request("/", "POST", body=b"x" * 8_000_000))
    # Depending on which packet is first, the connection was reset.
    assert isinstance(found, Answer) or found.kind == "closed"


def test_a_server_with_tls_that_is_asked_without(tmp_path: pathlib.Path) -> None:
    leaf = Workshop(tmp_path).leaf("DNS:a.example")
    with RawServer(fixed(answer(200)), leaf.both) as server, Sender() as sender:
        found = sender.send(server.place._replace(scheme="http"), Request("/"))
    assert isinstance(found, NoAnswer) and found.kind in ("not_http", "closed")


def test_entries_of_connect_to_that_are_added_do_not_replace_others() -> None:
    with RawServer(fixed(answer(200))) as server, Sender(connect_to={"a.example:80": "127.0.0.1:1"}) as sender:
        sender.connect_also({"A.example:80": f"127.0.0.1:{server.port}", "b.example:80": f"127.0.0.1:{server.port}"})
        assert sender.connect_to == {"a.example:80": "127.0.0.1:1", "b.example:80": f"127.0.0.1:{server.port}"}
        assert isinstance(sender.send(Place("http", "b.example", 80), Request("/")), Answer)
        assert isinstance(sender.send(Place("http", "a.example", 80), Request("/")), NoAnswer)
        with pytest.raises(InvalidInput):
            sender.connect_also({"a": "b"})


@pytest.mark.parametrize(
    ("authorization", "secret"),
    [("Bearer syt_abc_def", "syt_abc_def"), ('X-Matrix origin="a",key="ed25519:b",sig="c+/d",destination="a"', "c+/d")],
)
def test_what_a_server_repeats_of_a_secret_is_not_kept(authorization: str, secret: str) -> None:
    repeated = answer(401, f"A{authorization} {secret}B".encode(), Location=f"/{secret}")
    found = sent(fixed(repeated), Request("/", headers=(("Authorization", authorization),)))
    assert isinstance(found, Answer)
    assert secret not in str((found.body, found.headers))
    assert found.body.endswith(b" <redacted>B")
