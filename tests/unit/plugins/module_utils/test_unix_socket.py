# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP client over a Unix socket: what arrives there, and what it says if nothing does."""

from __future__ import annotations

import concurrent.futures
import errno
import io
import os
import pathlib
import pwd
import socket
import sys
import tempfile
import threading
import time
import typing as t

import pytest
import requests_unixsocket.adapters
import urllib3

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_unix_socket
from ansible_collections.matrix_ops.synapse.plugins.module_utils._download import download
from ansible_collections.matrix_ops.synapse.plugins.module_utils._unix_socket import adapter_for, problem_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.asking import TOKEN, failure_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import (
    Call,
    ScriptedServer,
)

URL = "http://synapse.test:8008"


@pytest.fixture
def path() -> t.Iterator[str]:
    """A path that is short enough, with characters that have a meaning in URLs."""
    with tempfile.TemporaryDirectory(prefix="s_") as directory:
        yield f"{directory}/Main %41?#@[ü].sock"


@pytest.fixture
def at_socket(path: str) -> t.Iterator[ScriptedServer]:
    """A server with scripted answers at the path."""
    with ScriptedServer(unix_socket=path) as scripted:
        yield scripted


def client_at(path: str, **options: t.Any) -> Client:
    return Client(URL, TOKEN, unix_socket=path, **options)


def refusal_of(path: str) -> str:
    """Return what is said after the request of a client at the path, which cannot have been sent."""
    error = failure_of(errors.ConnectionFailed, lambda: client_at(path).put("/a", {}))
    assert not error.may_be_done
    begin = f"PUT {URL}/a over {path} failed: "
    assert error.message.startswith(begin)
    assert error.details == {"request": {"method": "PUT", "url": f"{URL}/a"}}
    return error.message[len(begin) :]


class TestRequest:
    def test_arrives_as_it_is_sent(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(
            Call("GET", "/a/%23x%2F..%2F%21y%252F/b", {"b": 1}, query={"c": "d e"}, token=TOKEN),
            Call("PUT", "/a", {}, body={"x": ["ü"]}, token="other"),
        )
        client = client_at(path)
        assert client.get("/a/{it}/b", params={"c": "d e"}, it="#x/../!y%2F") == {"b": 1}
        client.speaking_as("other").put("/a", {"x": ["ü"]})
        for headers in at_socket.headers:
            assert headers["Host"] == "synapse.test:8008"
            # Synapse fails without an address where it limits requests.
            assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "http")

    def test_has_the_path_of_the_base_url(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("GET", "/behind/a"))
        Client(f"{URL}/behind/", unix_socket=path).get("/a")

    @pytest.mark.parametrize(
        ("kind", "answer"),
        [
            (errors.UnexpectedAnswer, {"text": b"<html></html>"}),
            (errors.EndpointMissing, {"answer": {"errcode": "M_UNRECOGNIZED", "error": "?"}, "status": 404}),
        ],
    )
    def test_may_fail_because_of_the_path_of_the_base_url(
        self, at_socket: ScriptedServer, path: str, kind: type[errors.SynapseError], answer: t.Any
    ) -> None:
        at_socket.expect(Call("GET", "/sub/a", **answer))
        error = failure_of(kind, lambda: Client(f"{URL}/sub", TOKEN, unix_socket=path).get("/a"))
        assert f"Set base_url to {URL}, without the path /sub, and unix_socket to the path of" in error.message

    def test_that_a_proxy_answers(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("GET", "/a", text=b"<html></html>"))
        error = failure_of(errors.UnexpectedAnswer, lambda: client_at(path).get("/a"))
        assert "Set unix_socket to the path of a Unix socket of Synapse itself, not of a proxy" in error.message

    def test_to_another_server_does_not_go_to_the_socket(self, path: str) -> None:
        client = client_at(path)
        assert client.stranger_to("http://other.test").address.unix_socket == ""
        assert client.stranger_to(f"{URL}/sub").address.unix_socket == path

    def test_of_each_thread_has_its_own_pool(self, path: str) -> None:
        adapter: t.Any = adapter_for(path, 2)
        both = threading.Barrier(2, timeout=10)

        def pool() -> t.Any:
            both.wait()
            return adapter.get_connection(URL)

        mine = adapter.get_connection(URL)
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            others = [future.result() for future in [threads.submit(pool) for _number in range(2)]]
        assert len({id(each) for each in (mine, *others)}) == 3
        assert adapter.get_connection(URL) is mine

    def test_that_arrives_at_another_service(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("GET", "/_matrix/client/v3/account/whoami", {}))
        error = failure_of(errors.UnexpectedAnswer, lambda: client_at(path).caller)
        assert "Check that base_url, or unix_socket if it is set, leads to Synapse" in error.message

    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    def test_uses_no_proxy(
        self, at_socket: ScriptedServer, path: str, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        at_socket.expect(Call("GET", "/a"))
        client_at(path).get("/a")

    def test_follows_no_redirect(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("PUT", "/a", status=307, headers={"Location": "http://127.0.0.1:1/"}))
        error = failure_of(errors.UnexpectedAnswer, lambda: client_at(path).put("/a", {}))
        assert error.message.startswith(
            f"PUT {URL}/a over {path} was redirected to http://127.0.0.1:1/ (307). Set unix"
        )

    def test_names_the_socket_in_a_refusal(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("GET", "/a", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404))
        error = failure_of(errors.EndpointMissing, lambda: client_at(path).get("/a"))
        assert error.message.startswith(f"GET {URL}/a over {path} was refused (404 M_UNRECOGNIZED: ?). This server")
        assert "Set unix_socket to the path of a Unix socket of the main process" in error.message
        assert error.details["request"] == {"method": "GET", "url": f"{URL}/a"}

    def test_ends_at_the_timeout(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("PUT", "/a", silent=True))
        error = failure_of(errors.ConnectionFailed, lambda: client_at(path, timeout=0.2).put("/a", {}))
        assert "no answer within 0.2 seconds" in error.message
        assert error.may_be_done

    def test_ends_at_the_timeout_also_after_another_failure(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("PUT", "/a", silent=True))
        client = client_at(path, timeout=0.2)
        try:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        except FileNotFoundError:
            error = failure_of(errors.ConnectionFailed, lambda: client.put("/a", {}))
            assert "no answer within 0.2 seconds" in error.message
            assert error.may_be_done

    def test_may_be_done_if_the_answer_is_lost(self, at_socket: ScriptedServer, path: str) -> None:
        at_socket.expect(Call("PUT", "/a", drop=True))
        error = failure_of(errors.ConnectionFailed, lambda: client_at(path).put("/a", {}))
        assert "unix_socket is the path of one of its listeners" in error.message
        assert error.may_be_done

    def test_many_at_the_same_time(self, at_socket: ScriptedServer, path: str) -> None:
        """More connections than there is room for are waited for, and each thread keeps its own one."""
        at_socket.always(*(Call("GET", f"/{number}", {"is": number}) for number in range(200)))
        client = client_at(path, connections=20)
        with concurrent.futures.ThreadPoolExecutor(20) as threads:
            found = list(threads.map(lambda number: client.get(f"/{number}")["is"], range(200)))
        assert found == list(range(200))

    def test_downloads(self, at_socket: ScriptedServer, path: str) -> None:
        content = bytes(range(256)) * 2000
        at_socket.expect(
            Call("GET", "/a", status=307, headers={"Location": "/b?c=d"}, token=TOKEN),
            Call("GET", "/b", text=content, query={"c": "d"}, token=None),
        )
        file = io.BytesIO()
        assert download(client_at(path), "/a", file) == len(content)
        assert file.getvalue() == content

    def test_downloads_nothing_in_clear_text_from_the_host_of_the_name(
        self, at_socket: ScriptedServer, path: str
    ) -> None:
        at_socket.expect(Call("GET", "/a", status=307, headers={"Location": "http://synapse.test:80/b"}))
        error = failure_of(errors.UnexpectedAnswer, lambda: download(client_at(path), "/a", io.BytesIO()))
        assert "it is neither HTTPS nor on the same host" in error.message

    def test_reuses_a_connection(self, path: str) -> None:
        connections = []

        def serve(listener: socket.socket) -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                while connection.recv(65536):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
            client = client_at(path)
            for number in range(5):
                client.get(f"/{number}")
        assert len(connections) == 1


class TestNoConnection:
    def test_without_a_file(self, path: str) -> None:
        assert refusal_of(path) == (
            f"unix_socket {path} does not exist. Check that Synapse runs, and that unix_socket is the path of one of"
            " its listeners."
        )

    def test_without_a_listener(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
        assert refusal_of(path).startswith(f"nothing listens at {path}. Check that Synapse runs")

    def test_at_a_file(self, path: str) -> None:
        pathlib.Path(path).touch()
        assert refusal_of(path).startswith(f"unix_socket {path} is a file, not a socket. ")

    def test_at_a_directory(self, path: str) -> None:
        os.mkdir(path)
        assert refusal_of(path).startswith(f"unix_socket {path} is a directory, not a socket. ")

    def test_below_a_file(self, path: str) -> None:
        pathlib.Path(path).touch()
        assert refusal_of(f"{path}/x").startswith(f"unix_socket {path}/x is not a valid path (Not a directory). ")

    def test_at_a_link_to_itself(self, path: str) -> None:
        os.symlink(path, path)
        assert refusal_of(path).startswith(f"unix_socket {path} is not a valid path (Too many levels")

    def test_at_a_socket_for_datagrams(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            assert refusal_of(path).startswith(f"unix_socket {path} is a socket of a kind that has no HTTP. ")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may connect to everything")
    def test_at_one_of_somebody_else(self, at_socket: ScriptedServer, path: str) -> None:
        os.chmod(path, 0)
        assert f"the user {pwd.getpwuid(os.geteuid()).pw_name} is not allowed to connect to" in refusal_of(path)

    @pytest.mark.parametrize("kind", [PermissionError(13, "Permission denied"), PermissionError(1, "Not permitted")])
    def test_that_is_not_allowed(self, path: str, kind: OSError) -> None:
        assert problem_of([kind], path).startswith(f"the user {pwd.getpwuid(os.geteuid()).pw_name} is not allowed to")

    def test_at_one_that_is_full(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            waiting = [socket.socket(socket.AF_UNIX) for _number in range(3)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(path)
            begin = time.monotonic()
            client = client_at(path, timeout=0.3)
            error = failure_of(errors.ConnectionFailed, lambda: client.put("/a", {}))
            assert time.monotonic() - begin >= 0.3
            assert f"failed: unix_socket {path} accepts no more connections. Check whether" in error.message
            assert not error.may_be_done
            for each in waiting:
                each.close()


class TestOption:
    @pytest.mark.parametrize("unix_socket", [None, ""])
    def test_that_is_not_set(self, unix_socket: str | None) -> None:
        assert Client(URL, unix_socket=unix_socket).address == (URL, "")

    @pytest.mark.parametrize(
        ("unix_socket", "said"),
        [
            ("run/x.sock", "unix_socket run/x.sock is not an absolute path. Set it to the path of a listener"),
            ("@abstract", "is not an absolute path"),
            ("unix:/run/x.sock", "is not an absolute path"),
            ("/run/\0x", "contains control characters"),
            ("/run/x\n", "contains control characters"),
            ("/run/\udcff", "is not text"),
            ("/" + "ü" * 54, "has 109 bytes, but the path of a socket has at most 107. Set it to a shorter path"),
        ],
    )
    def test_that_can_never_work(self, unix_socket: str, said: str) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            client_at(unix_socket)
        assert said in caught.value.message
        assert caught.value.message.isprintable()

    def test_as_long_as_possible(self) -> None:
        with tempfile.TemporaryDirectory(prefix="s_") as directory:
            path = f"{directory}/".ljust(107, "x")
            with ScriptedServer(unix_socket=path) as scripted:
                scripted.expect(Call("GET", "/a"))
                client_at(path).get("/a")

    def test_has_no_tls(self) -> None:
        with pytest.raises(errors.InvalidInput, match="a Unix socket has no TLS. Begin base_url with http://"):
            Client("https://synapse.test", unix_socket="/run/x.sock")
        with pytest.raises(errors.InvalidInput, match="a Unix socket has no TLS"):
            checked_unix_socket("/run/x.sock", "HTTPS://synapse.test")


class TestLibrary:
    def test_that_is_missing(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "requests_unixsocket.adapters", None)
        error = failure_of(errors.MissingLibrary, lambda: client_at(path).get("/a"))
        assert isinstance(error, errors.MissingLibrary)
        assert error.library == "requests-unixsocket2"
        assert error.message == "The Python package requests-unixsocket2 is needed for the option unix_socket."

    def test_is_not_needed_without_a_socket(self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "requests_unixsocket.adapters", None)
        server.expect(Call("GET", "/a"))
        Client(server.base_url).get("/a")

    def test_that_is_too_old(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(urllib3, "BaseHTTPResponse", object, raising=False)
        # As in version 0.3.0.
        monkeypatch.setattr(requests_unixsocket.adapters, "UnixHTTPConnection", object)
        error = failure_of(errors.InvalidInput, lambda: client_at(path).get("/a"))
        assert "is too old for urllib3 2. Install requests-unixsocket2" in error.message
