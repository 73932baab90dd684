# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import socket
import ssl
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    _why_no_tls,
    read_connect_to,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.made_certificates import Workshop
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    RawServer,
    answer,
    fixed,
)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_places_that_cannot_be_reached() -> None:
    port = closed_port()
    with Sender() as sender:
        found = sender.send(Place("https", "127.0.0.1", port), Request("/"))
        assert isinstance(found, NoAnswer)
        assert (found.kind, found.reason) == ("refused", f"127.0.0.1:{port} refused the connection")
        for host in ("a" * 64 + ".invalid", "a..b", "é" * 300):
            found = sender.send(Place("http", host, 80), Request("/"))
            assert isinstance(found, NoAnswer) and found.kind == "unresolved", found
        found = sender.send(Place("http", "127.0.0.1", 99_999), Request("/"))
        assert isinstance(found, NoAnswer) and found.kind == "unresolved"


def test_a_unix_socket_that_cannot_be_reached(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The path of a socket must be short.
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").touch()
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind("ended")
    with socket.socket(socket.AF_UNIX) as full, Sender(timeout=0.2) as sender:
        full.bind("full")
        full.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _number in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex("full")
        for path, kind, reason in (
            ("none", "unreachable", "unix_socket none does not exist"),
            ("file", "refused", "unix_socket file is a file, not a socket"),
            ("ended", "refused", "nothing listens at ended"),
            ("full", "timeout", "full did not accept the connection in time"),
        ):
            found = sender.send(Place("http", "synapse.test", 80, path), Request("/"))
            assert isinstance(found, NoAnswer)
            assert (found.kind, found.reason) == (kind, reason)
        for each in waiting:
            each.close()


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def slow(*_arguments: object, **_more: object) -> t.NoReturn:
        ended.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Sender(timeout=0.1) as sender:
        found = sender.send(Place("http", "a.invalid", 80), Request("/"))
        ended.set()
        assert isinstance(found, NoAnswer)
        assert (found.kind, found.reason) == ("unresolved", "no name server answered for a.invalid in time")
        found = sender.send(Place("http", "a.invalid", 80), Request("/"), 5)
        assert isinstance(found, NoAnswer)
        assert found.reason == "the name servers gave no answer for a.invalid (later)"


def test_all_addresses_of_a_host_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(fixed(answer(200))) as server, Sender() as sender:
        port = closed_port()
        addresses = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", number)) for number in (port, server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_more: list(addresses))
        found = sender.send(Place("http", "a.invalid", 80), Request("/"))
        assert isinstance(found, Answer) and found.address == f"127.0.0.1:{server.port}"
        del addresses[1]
        found = sender.send(Place("http", "b.invalid", 80), Request("/"))
        assert isinstance(found, NoAnswer)
        assert found.reason == f"b.invalid:80 (127.0.0.1:{port}) refused the connection"


def test_only_tcp_goes_elsewhere(tmp_path: pathlib.Path) -> None:
    workshop = Workshop(tmp_path)
    authority = workshop.authority("Authority")
    leaf = workshop.leaf("DNS:matrix.example.org", authority)
    with RawServer(fixed(answer(200)), leaf.both) as server:
        elsewhere = {"MATRIX.example.org:443": f"127.0.0.1:{server.port}"}
        with Sender(authority.certificate, connect_to=elsewhere) as sender:
            place = Place("https", "Matrix.example.org", 443)
            found = sender.send(place, Request("/"))
            assert isinstance(found, Answer), found
            assert found.place == place and found.address == f"127.0.0.1:{server.port}"
            assert b"\r\nHost: Matrix.example.org\r\n" in server.heads[0]
            assert server.peers == ["127.0.0.77"]
            found = sender.send(server.place, Request("/"))
            assert isinstance(found, NoAnswer) and found.kind == "certificate"
            assert "IP address mismatch" in found.reason
            with sender.open(place) as connection:
                connection.sendall(b"GET /raw HTTP/1.1\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert connection.fileno() == -1
            assert sender.sent == 3
        with Sender(connect_to=elsewhere) as sender:
            found = sender.send(place, Request("/"))
            assert isinstance(found, NoAnswer) and found.kind == "certificate"
            assert "unable to get local issuer certificate" in found.reason
        with Sender(False, connect_to=elsewhere) as sender:
            assert isinstance(sender.send(place, Request("/")), Answer)
            assert isinstance(sender.send(place, Request("/")), Answer)
            assert server.connections == 5


def test_a_server_without_tls_and_one_that_waits() -> None:
    with RawServer(fixed(answer(200))) as server, Sender(timeout=0.3) as sender:
        found = sender.send(server.place._replace(scheme="https"), Request("/"))
        assert isinstance(found, NoAnswer)
        assert (found.kind, found.reason) == (
            "silent",
            f"127.0.0.1:{server.port} accepted the connection, but did not answer the TLS handshake in time",
        )


@pytest.mark.parametrize("content", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ready\r\n", b""])
def test_a_server_that_answers_tls_with_text(content: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection = listener.accept()[0]
            connection.recv(4096)
            connection.sendall(content)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        with Sender(timeout=5) as sender:
            found = sender.send(Place("https", "127.0.0.1", listener.getsockname()[1]), Request("/"))
    assert isinstance(found, NoAnswer) and found.kind == "tls"
    assert ("does not use TLS" if content else "closed the connection during the TLS handshake") in found.reason


def test_connect_to() -> None:
    assert read_connect_to({"A.example:443": "[2001:DB8::1]:8443", "[::1]:80": "127.0.0.1:8080"}) == {
        "a.example:443": "[2001:db8::1]:8443",
        "[::1]:80": "127.0.0.1:8080",
    }


@pytest.mark.parametrize(
    "text", ["a", "a:", ":1", "a:0", "a:65536", "::1:80", "[a]:80", "https://a:1", "a:1/", 5, "a b:1"]
)
def test_connect_to_is_checked(text: t.Any) -> None:
    for values in ({text: "a:1"}, {"a:1": text}):
        with pytest.raises(InvalidInput, match="connect_to contains .* not a host and a port"):
            Sender(connect_to=values)


def test_authorities_are_checked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").write_text("")
    for name, words in (("empty", "contains no certificate"), ("missing", "cannot be read: No such file or directory")):
        with pytest.raises(InvalidInput, match=rf"ca_path {tmp_path}/{name} {words}\."):
            Sender(str(tmp_path / name))
    Sender(str(tmp_path))


class Unexplained(ssl.SSLError):
    """What OpenSSL gives for an error that has no name in Python."""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", "there is no common version of TLS, of which this host needs 1.2 or newer"),
        ("TLSV1_UNRECOGNIZED_NAME", "it has no certificate for this name"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "there is no common cipher, or it has no certificate for this name"),
        ("SOMETHING_ELSE", "something else"),
        (None, "without a reason"),
    ],
)
def test_why_there_is_no_tls(reason: str | None, words: str) -> None:
    error = Unexplained(1, "unknown error (_ssl.c:1000)")
    error.reason = reason or ""
    assert _why_no_tls("a:1", error).reason == f"a:1 did not agree on TLS ({words})"
