# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every class of exception that the libraries of the client have, raised where they would raise it."""

from __future__ import annotations

import http.client
import http.server
import socket
import ssl
import types
import typing as t

import pytest
import requests
import urllib3

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    ConnectionFailed,
    InvalidInput,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import (
    Call,
    ScriptedServer,
)

NAMES = ("requests", "urllib3", "http", "ssl", "socket")
# The arguments of constructors that need more than a text.
ARGUMENTS: dict[str, tuple[t.Any, ...]] = {
    "http.client.IncompleteRead": (b"half", 5),
    "urllib3.exceptions.IncompleteRead": (4, 5),
    "urllib3.exceptions.InvalidChunkLength": (types.SimpleNamespace(tell=lambda: 1, length_remaining=2), b"zz"),
}


def exceptions_of(*modules: types.ModuleType) -> list[type[Exception]]:
    found = {
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Exception)
        and not issubclass(thing, Warning)
        # Without the names that they have imported.
        and thing.__module__.partition(".")[0] in (*NAMES, "builtins")
        and not thing.__name__.startswith("_")
    }
    return sorted(found, key=lambda each: f"{each.__module__}.{each.__qualname__}")


def subclasses_of(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(each for child in kind.__subclasses__() for each in subclasses_of(child))]


SYSTEM = [each for each in subclasses_of(OSError) if each.__module__ == "builtins"]
LIBRARIES = exceptions_of(requests.exceptions, urllib3.exceptions, http.client, ssl, socket)


def made(kind: type[Exception]) -> Exception:
    """Return an object of the class, with the arguments that its constructor needs."""
    arguments = ARGUMENTS.get(f"{kind.__module__}.{kind.__qualname__}")
    return kind(*arguments) if arguments else kind.__new__(kind, "boom")


@pytest.mark.parametrize("kind", [*LIBRARIES, *SYSTEM], ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_nothing_that_a_library_raises_passes(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object, **_named: object) -> t.NoReturn:
        raise made(kind)

    monkeypatch.setattr(requests.Session, "request", fail)
    with pytest.raises((ConnectionFailed, InvalidInput)) as caught:
        Client("http://127.0.0.1:1", "syt_secret").get("/a")
    assert caught.value.message.endswith(".")
    assert "syt_secret" not in caught.value.message


@pytest.mark.parametrize("kind", [OSError, PermissionError], ids=lambda kind: kind.__name__)
def test_an_error_that_the_connection_did_not_cause_is_not_converted(
    server: ScriptedServer, kind: type[OSError]
) -> None:
    server.expect(Call("GET", "/a"))
    with pytest.raises(kind), Client(server.base_url).streamed("/a", params=None, headers={}):
        raise kind(28, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        socket.timeout("timed out"),
        ConnectionResetError(104, "Reset"),
        ssl.SSLError("bad record"),
        http.client.BadStatusLine("x"),
    ],
    ids=["timeout", "reset", "TLS", "library"],
)
def test_an_error_in_a_stream_is_an_error_of_the_connection(server: ScriptedServer, error: Exception) -> None:
    server.expect(Call("GET", "/a"))
    with pytest.raises(ConnectionFailed), Client(server.base_url).streamed("/a", params=None, headers={}):
        raise error


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 10**12])
def test_timeout_out_of_range(timeout: float) -> None:
    with pytest.raises(
        InvalidInput, match="^timeout is .* Set it to a number of seconds that is more than 0 and at most 86400"
    ):
        Client("http://127.0.0.1:1", timeout=timeout)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "other"])
def test_authorities_of_the_environment_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any, variable: str, content: str | None
) -> None:
    bundle = tmp_path / "authorities.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(InvalidInput, match=variable) as caught:
        Client("https://127.0.0.1:1").get("/a")
    assert str(bundle) in caught.value.message
    # The file is not used if no certificate is checked.
    with pytest.raises(ConnectionFailed):
        Client("http://127.0.0.1:1").get("/a")


class TestWhatMayHaveBeenDone:
    def error_of(self, client: Client) -> SynapseError:
        with pytest.raises(SynapseError) as caught:
            client.put("/a", {})
        return caught.value

    def test_not_where_nothing_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        error = self.error_of(Client(f"http://127.0.0.1:{port}"))
        assert not error.may_be_done
        assert isinstance(error, ConnectionFailed) and error.waited is None

    def test_not_where_there_is_no_such_host(self) -> None:
        assert not self.error_of(Client("http://synapse.invalid")).may_be_done

    def test_not_where_the_certificate_is_refused(self) -> None:
        with ScriptedServer(tls=True) as server:
            assert not self.error_of(Client(server.base_url)).may_be_done

    def test_where_an_earlier_request_was_not_sent(self, server: ScriptedServer) -> None:
        server.expect(Call("PUT", "/a", silent=True))
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except ConnectionRefusedError:
            assert self.error_of(Client(server.base_url, timeout=0.2)).may_be_done

    def test_where_no_answer_came_in_time(self, server: ScriptedServer) -> None:
        server.expect(Call("PUT", "/a", silent=True))
        error = self.error_of(Client(server.base_url, timeout=0.2))
        assert error.may_be_done
        assert isinstance(error, ConnectionFailed) and error.waited == 0.2

    @pytest.mark.parametrize(
        "call",
        [
            Call("PUT", "/a", drop=True),
            Call("PUT", "/a", missing=5),
            Call("PUT", "/a", text=b'{"cut'),
            Call("PUT", "/a", text=b"<html>", status=502),
            Call("PUT", "/a", {"errcode": "M_UNKNOWN", "error": "Internal"}, 500),
        ],
        ids=["no answer", "cut answer", "cut JSON", "page of a proxy", "internal error"],
    )
    def test_where_the_answer_is_lost(self, server: ScriptedServer, call: Call) -> None:
        server.expect(call)
        assert self.error_of(Client(server.base_url)).may_be_done

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429])
    def test_not_where_synapse_refuses(self, server: ScriptedServer, status: int) -> None:
        server.expect(Call("PUT", "/a", {"errcode": "M_UNKNOWN", "error": "No"}, status))
        error = self.error_of(Client(server.base_url, rate_limit_retry_timeout=0))
        assert isinstance(error, ApiError) and not error.may_be_done


@pytest.mark.parametrize("users", [None, "alice", {"name": "alice"}, ["alice"], 5], ids=repr)
def test_list_that_contains_something_else_is_not_from_synapse(server: ScriptedServer, users: t.Any) -> None:
    server.expect(Call("GET", "/list", {"users": users}))
    with pytest.raises(UnexpectedAnswer, match="no list of users"):
        list(Client(server.base_url).pages("/list", "users"))


@pytest.mark.parametrize("location", ["http://[/", "http://x\xff/", "//", "", "http://x:y/"], ids=ascii)
@pytest.mark.parametrize("streamed", [False, True])
def test_redirect_to_nowhere_is_no_traceback(server: ScriptedServer, location: str, streamed: bool) -> None:
    server.expect(Call("GET", "/a", status=302, headers={"Location": location}))
    client = Client(server.base_url)
    with pytest.raises(SynapseError, match="Set base_url to the URL of Synapse itself"):
        if streamed:
            with client.streamed("/a", params=None, headers={}) as response:
                client.answer_of("GET", "/a", response)
        client.get("/a")


@pytest.mark.parametrize(
    ("date", "ahead"),
    [("Sat, 28 Nov 2126 09:00:00 GMT", True), ("yesterday", False), ("Sat, 99 Nov 2126 09:00:00 GMT", False)],
)
def test_clock_is_the_servers(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, date: str, ahead: bool) -> None:
    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "date_time_string", lambda *_given: date)
    server.expect(Call("GET", "/a"))
    client = Client(server.base_url)
    own = client.now_ms()
    client.get("/a")
    assert (client.now_ms() - own > 10**12) == ahead
