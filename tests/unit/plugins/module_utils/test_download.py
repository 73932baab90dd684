# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads from a real server on loopback that answers as no working Synapse does."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import re
import socket
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._download import download
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.asking import TOKEN, client_of, failure_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import (
    CERTIFICATE,
    Call,
    ScriptedServer,
)

MEDIA = "/_matrix/client/v1/media/download/{server}/{media_id}"
QUOTED = "/_matrix/client/v1/media/download/s1.test%3A8448/AbC"
OCTETS = {"Content-Type": "application/octet-stream"}
# Each version of the library has a different message.
BROKEN = "(Response ended prematurely|Connection broken)"


@contextlib.contextmanager
def answering(*answers: bytes) -> t.Iterator[str]:
    """Send these bytes to every connection, whatever the request is, and close it. Yields the base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                connection, _address = listening.accept()
                with connection:
                    while b"\r\n\r\n" not in connection.recv(1 << 16):
                        pass
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


class TestDownload:
    def fetch(self, client: Client, **options: t.Any) -> bytes:
        """Return what was downloaded."""
        file = io.BytesIO()
        count = download(client, MEDIA, file, server="s1.test:8448", media_id="AbC", **options)
        assert count == len(file.getvalue())
        return file.getvalue()

    @pytest.mark.parametrize("content", [b"", b"{}", bytes(range(256)) * 4000])
    def test_writes_every_byte(self, server: ScriptedServer, content: bytes) -> None:
        server.expect(Call("GET", QUOTED, text=content, headers=OCTETS, query={"a": "b c"}, token=TOKEN))
        assert self.fetch(client_of(server), params={"a": "b c"}) == content

    def test_ends_the_connection_if_asked_to(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            asked: list[bytes] = []

            def serve() -> None:
                for _time in range(2):
                    connection, _address = listening.accept()
                    with connection:
                        asked.append(connection.recv(1 << 16))
                        # It announces that it closes the connection, or the next request may arrive during that.
                        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")

            thread = threading.Thread(target=serve)
            thread.start()
            client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", TOKEN)
            assert self.fetch(client, closing=True) == self.fetch(client) == b"abc"
            thread.join(10)
        assert ["Connection: close" in request.decode() for request in asked] == [True, False]

    def test_writes_what_is_compressed_itself_as_it_is(self, server: ScriptedServer) -> None:
        content = b"\x1f\x8b\x08\x00 not even valid"
        server.expect(Call("GET", QUOTED, text=content, headers={"Content-Type": "application/gzip"}))
        assert self.fetch(client_of(server)) == content

    def test_holds_only_a_piece_at_a_time(self, server: ScriptedServer) -> None:
        sizes: list[int] = []
        digest = hashlib.sha256()

        class Counted:
            def write(self, piece: bytes) -> None:
                sizes.append(len(piece))
                digest.update(piece)

        content = bytes(range(251)) * 10_000
        server.expect(Call("GET", "/a", text=content, headers=OCTETS))
        assert download(client_of(server), "/a", Counted()) == sum(sizes) == len(content)
        assert max(sizes) <= 1 << 17
        assert digest.hexdigest() == hashlib.sha256(content).hexdigest()

    def test_raises_what_the_file_raises(self, server: ScriptedServer) -> None:
        class Full:
            def write(self, piece: bytes) -> None:
                raise OSError(28, "No space left on device")

        server.expect(Call("GET", "/a", text=b"abc", headers=OCTETS))
        with pytest.raises(OSError, match="No space left"):
            download(client_of(server), "/a", Full())

    @pytest.mark.parametrize(
        ("status", "answer", "kind"),
        [
            (401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, errors.AuthenticationFailed),
            (403, {"errcode": "M_FORBIDDEN", "error": "No"}, errors.PermissionDenied),
            (404, {"errcode": "M_NOT_FOUND", "error": "Not found"}, errors.NotFound),
            (404, {"errcode": "M_UNRECOGNIZED", "error": "?"}, errors.EndpointMissing),
            (504, {"errcode": "M_NOT_YET_UPLOADED", "error": "Wait"}, errors.ApiError),
            (502, "a page", errors.UnexpectedAnswer),
            (302, {}, errors.UnexpectedAnswer),
            (304, {}, errors.UnexpectedAnswer),
        ],
    )
    def test_writes_nothing_that_is_not_the_file(
        self, server: ScriptedServer, status: int, answer: t.Any, kind: type[errors.SynapseError]
    ) -> None:
        headers = {"Location": f"{server.base_url}/elsewhere"} if status == 302 else {}
        server.expect(Call("GET", "/a", answer, status, headers))
        file = io.BytesIO()
        failure_of(kind, lambda: download(client_of(server), "/a", file))
        assert file.getvalue() == b""

    def test_waits_as_long_as_it_is_asked_to(self, server: ScriptedServer) -> None:
        limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 2500}
        server.expect(Call("GET", "/a", limited, 429), Call("GET", "/a", text=b"abc", headers=OCTETS))
        waited: list[float] = []
        file = io.BytesIO()
        download(client_of(server, sleep=waited.append), "/a", file)
        assert (file.getvalue(), waited) == (b"abc", [2.5])

    def test_does_not_wait_for_longer_than_allowed(self, server: ScriptedServer) -> None:
        limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 2500}
        server.expect(Call("GET", "/a", limited, 429))
        client = client_of(server, rate_limit_retry_timeout=2)
        failure_of(errors.RateLimited, lambda: download(client, "/a", io.BytesIO()))


class TestBrokenDownload:
    def failure(self, answer: bytes, **options: t.Any) -> tuple[str, bytes]:
        """Return the error for such an answer, and what was written."""
        file = io.BytesIO()
        with answering(answer) as base_url:
            client = Client(base_url, TOKEN, **options)
            error = failure_of(errors.ConnectionFailed, lambda: download(client, "/a", file))
        return error.message, file.getvalue()

    def test_error_for_an_incomplete_file(self) -> None:
        said, written = self.failure(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello")
        assert "/a failed: the connection ended after 5 of 12 bytes." in said
        assert written == b"Hello"

    def test_error_for_a_lost_connection(self) -> None:
        said, _written = self.failure(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n")
        assert re.search(f"/a failed: {BROKEN}\\.", said)

    def test_error_for_a_timeout_in_the_middle(self) -> None:
        begun = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello"
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", TOKEN, timeout=0.3)
            held: list[socket.socket] = []

            def begin() -> None:
                held.append(listening.accept()[0])
                held[0].sendall(begun)

            thread = threading.Thread(target=begin)
            thread.start()
            error = failure_of(errors.ConnectionFailed, lambda: download(client, "/a", io.BytesIO()))
            thread.join()
            held[0].close()
        assert "no answer within 0.3 seconds" in error.message

    def test_error_for_an_incomplete_refusal(self) -> None:
        said, written = self.failure(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n")
        assert re.search(f"/a failed: {BROKEN}\\.", said)
        assert written == b""

    def test_ignores_the_length_of_compressed_answers(self) -> None:
        compressed = gzip.compress(b"a" * 1000)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(compressed)}\r\n\r\n".encode()
        file = io.BytesIO()
        with answering(head + compressed) as base_url:
            assert download(Client(base_url, TOKEN), "/a", file) == 1000
        assert file.getvalue() == b"a" * 1000


class TestRedirectedDownload:
    @pytest.mark.parametrize("status", [307, 308])
    def test_is_followed_without_the_token(self, server: ScriptedServer, status: int) -> None:
        with ScriptedServer(tls=True) as store:
            signed = f"{store.base_url}/bucket/a%2Fb?X-Signature=a%2Bb%3D&n"
            server.expect(Call("GET", "/a", {}, status, {"Location": signed}, token=TOKEN))
            signature = {"X-Signature": "a+b=", "n": ""}
            store.expect(Call("GET", "/bucket/a%2Fb", text=b"abc", headers=OCTETS, query=signature, token=None))
            file = io.BytesIO()
            download(client_of(server, verify=str(CERTIFICATE)), "/a", file)
        assert file.getvalue() == b"abc"

    def test_is_followed_on_the_same_host(self, server: ScriptedServer) -> None:
        with ScriptedServer() as store:
            server.expect(
                Call("GET", "/a", {}, 307, {"Location": "/files/a"}),
                Call("GET", "/files/a", {}, 307, {"Location": f"{store.base_url}/b"}, token=None),
            )
            store.expect(Call("GET", "/b", text=b"abc", headers=OCTETS, token=None))
            file = io.BytesIO()
            download(client_of(server), "/a", file)
        assert file.getvalue() == b"abc"

    @pytest.mark.parametrize(
        ("location", "said"),
        [
            ("http://store.invalid/b?signature=hidden", "to http://store.invalid/b, which .* neither HTTPS nor"),
            ("ftp://127.0.0.1/b", "not a URL"),
            ("https://name:hidden@store.invalid/b", "not a URL"),
            ("https://store.invalid:99999/b", "not a URL"),
            ("https://proxy.invalid/a", "Set base_url to the URL of Synapse itself"),
            ("", "Set base_url to the URL of Synapse itself"),
        ],
    )
    def test_follows_no_other_redirect(self, server: ScriptedServer, location: str, said: str) -> None:
        server.expect(Call("GET", "/a", {}, 307, {"Location": location}))
        error = failure_of(errors.UnexpectedAnswer, lambda: download(client_of(server), "/a", io.BytesIO()))
        assert re.search(said, error.message)
        assert "hidden" not in f"{error} {error.details}"

    def test_does_not_go_back_to_plain_http(self) -> None:
        with ScriptedServer(tls=True) as server:
            server.expect(Call("GET", "/a", {}, 307, {"Location": f"http://127.0.0.1:{server.port}/b"}))
            client = client_of(server, verify=str(CERTIFICATE))
            error = failure_of(errors.UnexpectedAnswer, lambda: download(client, "/a", io.BytesIO()))
        assert "neither HTTPS nor" in error.message

    def test_follows_only_a_few_redirects(self, server: ScriptedServer) -> None:
        server.expect(*(Call("GET", f"/{step}", {}, 308, {"Location": f"/{step + 1}"}) for step in range(4)))
        error = failure_of(errors.UnexpectedAnswer, lambda: download(client_of(server), "/0", io.BytesIO()))
        assert "too many redirects" in error.message
