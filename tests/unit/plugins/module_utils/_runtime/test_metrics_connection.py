# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import metrics_connection
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.certificate import first_certificate
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_connection import Response, fetch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import unix_url

BODY = 'a{b="é"} 1\n'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + BODY.encode()
LISTENS = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(); input()"


class Server:
    """Answers each connection with `pieces`, and waits `pause` seconds after each. `requests`: what was asked."""

    def __init__(self, listening: socket.socket, pieces: t.Sequence[bytes], pause: float, tls: ssl.SSLContext | None):
        self.requests: list[bytes] = []
        self._listening, self._pieces, self._pause, self._tls = listening, pieces, pause, tls
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self.requests.append(connection.recv(5000))
                for piece in self._pieces:
                    connection.sendall(piece)
                    time.sleep(self._pause)
                connection.close()


class Site:
    """Starts servers, and closes them at the end."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def tcp(self, *pieces: bytes, pause: float = 0, tls: ssl.SSLContext | None = None) -> tuple[str, Server]:
        listening = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._stack.callback(listening.shutdown, socket.SHUT_RDWR)
        url = f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}/_synapse/metrics"
        return url, Server(listening, pieces, pause, tls)

    def unix(self, path: str, *pieces: bytes) -> tuple[str, Server]:
        listening = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen()
        self._stack.callback(listening.shutdown, socket.SHUT_RDWR)
        url = unix_url(os.path.abspath(path), "/_synapse/metrics")
        assert url
        return url, Server(listening, pieces, 0, None)


@pytest.fixture
def site() -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(stack)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a file with a key and a certificate that has expired and has another name."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other.example", "-days", "1"]
    subprocess.run([*command, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + pathlib.Path(f"{path}.crt").read_text())
    return path


def test_the_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    url, server = site.tcp(GOOD)
    assert fetch(url, 1, 10) == Response(BODY, None, False)
    [request] = server.requests
    assert request.startswith(b"GET /_synapse/metrics HTTP/1.1\r\n")
    assert b"encoding" not in request.lower()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.0 200 OK\r\n\r\n", BODY.encode()],
        [
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na{b="\r\n7\r\n',
            BODY.encode()[5:],
            b"\r\n0\r\n\r\n",
        ],
        [GOOD[:50], GOOD[50:53], GOOD[53:]],
    ],
)
def test_responses_of_any_form(site: Site, pieces: list[bytes]) -> None:
    assert fetch(site.tcp(*pieces, pause=0.01)[0], 1, 10).text == BODY


def test_over_tls(site: Site, certificate: pathlib.Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url, _server = site.tcp(GOOD, tls=context)
    assert fetch(url, 1, 10) == Response(BODY, first_certificate(str(certificate)), False)


def test_a_listener_that_does_not_use_tls_yet(site: Site) -> None:
    url, _server = site.tcp(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectionFailed, match="may not use TLS. Synapse was probably not restarted"):
        fetch(url.replace("http:", "https:"), 1, 10)


def test_on_a_unix_socket(site: Site, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, server = site.unix(str(tmp_path / "main é.sock"), GOOD)
    assert fetch(url, os.getpid(), 10) == Response(BODY, None, True)
    # Such a user connects without the root directory of the process.
    open_file = os.open

    def opened(path: str, flags: int) -> int:
        if path.startswith("/proc"):
            raise PermissionError
        return open_file(path, flags)

    monkeypatch.setattr(os, "open", opened)
    assert fetch(url, os.getpid(), 10).text == BODY
    assert len(server.requests) == 2


def test_a_unix_socket_with_a_long_path(site: Site, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    monkeypatch.chdir(directory)
    # The last name alone can be nearly as long as Linux allows.
    for name in ("s", "s" * 107):
        assert fetch(site.unix(name, GOOD)[0], os.getpid(), 10).text == BODY


def test_a_unix_socket_of_another_process(short_path: pathlib.Path) -> None:
    path = str(short_path / "s")
    command = [sys.executable, "-c", LISTENS, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        # A link, as another user could put it there.
        (short_path / "link").symlink_to(path)
        for name in ("s", "link"):
            url = str(unix_url(str(short_path / name), "/"))
            with pytest.raises(UnexpectedAnswer, match=f"served by a different process, process {other.pid}\\."):
                fetch(url, os.getpid(), 10)
        other.communicate(b"\n")


def test_a_unix_socket_with_too_many_connections(short_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(short_path / "s"))
        listening.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(short_path / "s"))
        begin = time.monotonic()
        with pytest.raises(ConnectionFailed, match="timed out"):
            fetch(str(unix_url(str(short_path / "s"), "/")), os.getpid(), 0.3)
        assert 0.2 < time.monotonic() - begin < 5


@pytest.mark.parametrize("name", ["missing", "missing/s", "file"])
def test_no_unix_socket(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionFailed, match="failed: (No such file or directory|Connection refused)"):
        fetch(str(unix_url(str(tmp_path / name), "/")), os.getpid(), 10)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("404 Not Found", "status 404. It does not serve metrics there. Synapse was probably not restarted"),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "status 302.$"),
        ("204 No Content", "status 204.$"),
    ],
)
def test_another_status(site: Site, status: str, message: str) -> None:
    url, server = site.tcp(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    with pytest.raises(UnexpectedAnswer, match=f"GET {url} failed: {message}"):
        fetch(url, 1, 10)
    assert len(server.requests) == 1


def test_the_message_of_a_refused_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=rf"GET http://127.0.0.1:{port}/ failed: Connection refused\."):
        fetch(f"http://127.0.0.1:{port}/", 1, 10)


@pytest.mark.parametrize("url", ["http://metrics.invalid:9000/", "http://%ED%A0%80:9000/", "http://[x]:9000/"])
def test_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: t.Any, **__: t.Any) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionFailed, match="failed: "):
        fetch(url, 1, 10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\x1b[2J\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na",
    ],
)
def test_another_service(site: Site, answer: bytes) -> None:
    with pytest.raises(ConnectionFailed, match="GET http://127.0.0.1:.* failed: ") as caught:
        fetch(site.tcp(answer)[0], 1, 10)
    assert caught.value.message.isprintable()


def test_too_much(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_connection, "_BYTES_AT_MOST", 1000)
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert len(fetch(site.tcp(head, b"x" * 1000)[0], 1, 10).text) == 1000
    with pytest.raises(UnexpectedAnswer, match="more than 1000 bytes"):
        fetch(site.tcp(head, b"x" * 1001)[0], 1, 10)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"", *[b"x"] * 100],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 100,
        [b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 90],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100],
    ],
)
def test_slow_answers_have_one_timeout(site: Site, pieces: list[bytes]) -> None:
    begin = time.monotonic()
    with pytest.raises(ConnectionFailed, match="timed out"):
        fetch(site.tcp(*pieces, pause=0.05)[0], 1, 0.3)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_without_an_answer(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionFailed, match="timed out"):
        fetch(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", 1, 0.2)
