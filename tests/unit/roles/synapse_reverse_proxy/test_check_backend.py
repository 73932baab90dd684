# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backend that is not the declared server is found before the proxy forwards to it."""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import shutil
import socket
import ssl
import tempfile
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import check_backend, make_certificate


@contextlib.contextmanager
def _server(status: int, body: str, certificate: str = "") -> t.Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/_matrix/key/v2/server" else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _faults(backend: str, **values: object) -> list[str]:
    ports = {"https": [443, 8448], "http": [80]}
    question = {"backend": backend, "unix_socket": "", "ports": ports, "server_name": "a.example", "asks_backend": True}
    return check_backend.backend_faults({**question, "may_be_down": False, **values})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"server_name": "a.example"}', ""),
        # A listener without the resource of keys.
        (404, '{"errcode": "M_UNRECOGNIZED"}', ""),
        (200, '{"server_name": "b.example"}', "is the server b.example, but synapse_reverse_proxy_server_name is a."),
        (404, "<html>", "is not Synapse: it answers /_matrix/key/v2/server with status 404, and without JSON"),
        (502, "[]", "is not Synapse: it answers /_matrix/key/v2/server with status 502, and without JSON"),
        (200, "", "is not Synapse: "),
    ],
)
def test_the_answer_shows_which_server_it_is(status: int, body: str, expected: str) -> None:
    with _server(status, body) as url:
        found = _faults(url)
        assert _faults(url, asks_backend=False) == []
    beginning = f"synapse_reverse_proxy_backend ({url}) {expected}"
    assert [sentence[: len(beginning)] for sentence in found] == ([beginning] if expected else [])


def test_a_server_that_is_installed_later_is_missing_in_check_mode_only() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        (sentence,) = _faults(url)
        assert _faults(url, may_be_down=True) == []
    assert sentence.startswith(f"synapse_reverse_proxy_backend ({url}) does not answer: ")


def test_another_program_than_a_web_server_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"

        def answer() -> None:
            connection, _address = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (sentence,) = _faults(url)
        thread.join()
    assert "does not answer as Synapse does: BadStatusLine." in sentence


@pytest.mark.parametrize(
    "backend", ["https://127.0.0.1", "http://localhost:80", "http://127.0.0.1", "http://127.0.0.3:8448"]
)
def test_the_proxy_itself_is_no_backend(backend: str) -> None:
    (sentence,) = _faults(backend, asks_backend=False)
    assert sentence.startswith(f"synapse_reverse_proxy_backend is {backend}, which is the proxy itself")


def test_a_name_that_nginx_cannot_find_is_refused() -> None:
    (sentence,) = _faults("http://synapse.invalid:8008", asks_backend=False, may_be_down=True)
    assert sentence.startswith(
        "synapse_reverse_proxy_backend is http://synapse.invalid:8008, but nginx cannot find synapse.invalid: "
    )


def test_the_same_port_of_another_host_is_a_backend() -> None:
    assert _faults("https://192.0.2.1", asks_backend=False) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_backend_that_never_answers_is_not_waited_for(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_backend, "ANSWER_LIMIT", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def wait() -> None:
            connection, _address = other.accept()
            connection.settimeout(5)
            # Until the other end gives up.
            with connection, contextlib.suppress(OSError):
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=wait)
        thread.start()
        (sentence,) = _faults(f"{scheme}://127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert "does not answer: " in sentence and "timed out" in sentence


@pytest.mark.skipif(not shutil.which("openssl"), reason="it needs openssl")
def test_the_certificate_of_a_backend_is_not_verified(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "made.pem")
    make_certificate.make_certificate(["b.example"], path)
    with _server(200, '{"server_name": "a.example"}', path) as url:
        assert url.startswith("https://")
        assert _faults(url) == []
        (sentence,) = _faults(url.replace("https:", "http:"))
    assert "does not answer" in sentence


@pytest.mark.parametrize(("name", "expected"), [("a.example", ""), ("b.example", "is the server b.example, but")])
def test_a_backend_can_be_a_socket(name: str, expected: str) -> None:
    body = f'{{"server_name": "{name}"}}'
    # Linux limits the path of a socket to 107 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket(socket.AF_UNIX) as server:
        path = f"{directory}/main.sock"
        server.bind(path)
        server.listen()

        def answer() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        found = _faults(f"http://unix:{path}", unix_socket=path)
        thread.join()
    assert expected in "".join(found)
    assert bool(found) is bool(expected)


def test_a_socket_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "main.sock")
    (found,) = _faults(f"http://unix:{path}", unix_socket=path)
    assert f"(http://unix:{path}) does not answer: " in found
    assert _faults(f"http://unix:{path}", unix_socket=path, may_be_down=True) == []
    assert _faults(f"http://unix:{path}", unix_socket=path, asks_backend=False) == []
