# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.server import (
    health_problem,
    judge_server,
    same_version,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

URL = "http://127.0.0.1:8008"
SERVER = {"name": "example.org", "version": "1.163.2"}
REFUSED = {"name": "server", "reason": "GET failed: Connection refused.", "fix": "Start Synapse."}


def judge(
    server: dict[str, str], health: str | None = None, unknown: t.Sequence[dict[str, str]] = (), **declared: t.Any
) -> Verdict:
    verdict, waited = Verdict(), declared.pop("waited", 0)
    found = {"processes": [], "unknown": list(unknown), **({"server": server} if server else {})}
    judge_server(Declared(base_url=URL, unit="synapse.service", **declared), found, health, verdict, waited)
    return verdict


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.163", "1.163.0"),
        ("1.163.2", "1.163.2"),
        ("1.163.2", "v1.163.2"),
        ("1.164.0rc1", "1.164.0-rc.1"),
        ("1.164.0rc1", "1.164rc1"),
        ("01.163", "1.163"),
    ],
)
def test_the_same_version(one: str, other: str) -> None:
    assert all(same_version(*pair) for pair in ((one, other), (other, one)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.163.2", "1.163.3"),
        ("1.163.2", "1.163"),
        ("1.16", "1.160"),
        ("1.164.0rc1", "1.164.0"),
        ("1.164.0rc1", "1.164.0rc2"),
        ("", ""),
        ("nginx", "nginx"),
        ("1.163.2+own", "1.163.2"),
        ("1" * 5000, "1" * 5000),
        ("\u0661", "1"),
    ],
)
def test_different_versions(one: str, other: str) -> None:
    assert not same_version(one, other)


@pytest.mark.parametrize("version", ["1.163.2", "1.163.2 (b=x,abc)"])
def test_the_proof(version: str) -> None:
    verdict = judge({**SERVER, "version": version}, version="1.163.2", server_name="example.org", answers=True)
    assert verdict.failures == []
    assert verdict.proofs == {"server": f"Server: Synapse 1.163.2 answers as example.org at {URL}."}


@pytest.mark.parametrize(("version", "any_is_right"), [("1.1", True), ("1.163.2 (b=x)", True), ("develop", False)])
def test_any_version(version: str, any_is_right: bool) -> None:
    verdict = judge({**SERVER, "version": version}, version="*")
    assert bool(verdict.failures) != any_is_right
    assert any_is_right or "declared are any name and any version" in verdict.message


def test_nothing_is_declared() -> None:
    verdict = judge(SERVER, health="status 502")
    assert (verdict.failures, verdict.proofs) == ([], {})


def test_another_server() -> None:
    names = {"port": "my_port"}
    verdict = judge({"name": "b.org", "version": "1.1"}, version="1.2", server_name="a.org", option_names=names)
    assert [failure["declared"] for failure in verdict.failures] == ["server_name", "version"]
    assert verdict.message == (
        f"The server at {URL} is b.org with Synapse 1.1, but declared are a.org and 1.2. Either another server uses"
        " this port (set my_port to a free one), or the restart failed (See journalctl --unit synapse.service)."
    )
    assert "server" not in verdict.proofs
    assert "set base_url to the URL" in judge(SERVER, version="1.2").message


def test_a_server_that_does_not_answer() -> None:
    waiting = {"wait_timeout": 30, "waited": 60.9, "log_path": "/log"}
    verdict = judge({}, "Connection refused", [REFUSED], answers=True, version="1.2", **waiting)
    assert [failure["declared"] for failure in verdict.failures] == ["answers", "version"]
    assert verdict.message == (
        f"Synapse does not answer at {URL}/health after 60 seconds (Connection refused). See /log and journalctl --unit"
        " synapse.service for the reason. If Synapse listens at another URL, set base_url."
    )


def test_values_that_cannot_be_read() -> None:
    verdict = judge({}, None, [REFUSED], server_name="a.org")
    assert verdict.message == (
        "Whether the server has server_name is unknown. GET failed: Connection refused. Start Synapse."
    )
    hidden = {"name": "server.version", "reason": "It is hidden.", "fix": "Set base_url."}
    assert judge({"name": "a.org"}, None, [hidden], server_name="a.org").failures == []
    assert "It is hidden." in judge({"name": "a.org"}, None, [hidden], version="1.2").message


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"text": b"OK"}, None),
        ({"text": b"OK\n"}, None),
        ({"text": b"OKAY"}, "the answer is not OK"),
        ({"text": b"\xff" * 100000}, "the answer is not OK"),
        ({"text": b""}, "the answer is not OK"),
        ({"text": b"OK", "status": 502}, "status 502"),
        ({"text": b"", "status": 302, "headers": {"Location": "/health"}}, "status 302"),
    ],
)
def test_the_health(call: dict[str, t.Any], problem: str | None) -> None:
    with ScriptedServer() as server:
        server.expect(Call("GET", "/health", token=None, **call))
        assert health_problem(Client(server.base_url)) == problem


def test_the_health_in_chunks() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _peer = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n")
                connection.sendall(b"1\r\nK\r\n0\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        try:
            assert health_problem(Client(f"http://127.0.0.1:{listening.getsockname()[1]}")) is None
        finally:
            answering.join()


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (
            "HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /health (Caused by"
            " NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f>: Failed to establish. [Errno 111]"
            " Connection refused'))",
            "Connection refused",
        ),
        ("HTTPConnectionPool(host='127.0.0.1', port=1): Read timed out. (read timeout=1)", "no answer in time"),
        ("ProtocolError('Connection broken')", "the connection failed"),
        ("no answer within 3 seconds. Check whether Synapse is overloaded.", "no answer within 3 seconds"),
    ],
)
def test_no_words_of_a_library(monkeypatch: pytest.MonkeyPatch, message: str, problem: str) -> None:
    def fail(self: Client, where: str, **_options: t.Any) -> t.NoReturn:
        raise ConnectionFailed(f"GET {URL}{where} failed: {message}")

    monkeypatch.setattr(Client, "streamed", fail)
    assert health_problem(Client(URL)) == problem


def test_the_health_at_a_rate_limit() -> None:
    with ScriptedServer() as server:
        server.expect(Call("GET", "/health", status=429, headers={"Retry-After": "20"}))
        problem = health_problem(Client(server.base_url, rate_limit_retry_timeout=0))
    assert problem == "was refused (429 M_LIMIT_EXCEEDED: Too Many Requests, retry in 20 s)"


def test_the_health_of_nothing() -> None:
    assert health_problem(Client("http://127.0.0.1:1")) == "Connection refused"
