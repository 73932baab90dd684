# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import http.server
import os
import pathlib
import re
import socket
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import metrics
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import Owner
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import (
    Answer,
    Metrics,
    NoMetrics,
    Sample,
    fetch_from,
    parse,
    read_metrics,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Process

TLS = {
    "type": "http",
    "port": 8448,
    "tls": True,
    "bind_addresses": ["127.0.0.1"],
    "resources": [{"names": ["metrics"]}],
}
PEM = "-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----\n"
URL = "https://127.0.0.1:8448/_synapse/metrics"


def this_process() -> Process:
    # Each test can run in a process of its own.
    return Process(os.getpid(), "synapse.app.homeserver", ("/c.yaml",), "python3")


class Page(http.server.BaseHTTPRequestHandler):
    """Answers /_synapse/metrics, and nothing else."""

    def do_GET(self) -> None:
        found = self.path == "/_synapse/metrics"
        body = 'a{b="é"} 1\n'.encode() if found else b"<html>"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: t.Any = "-", size: t.Any = "-") -> None:
        """Write no log."""


@pytest.fixture
def port() -> t.Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with contextlib.closing(server.socket):
        yield server.server_port
        server.shutdown()


@pytest.fixture
def served(port: int) -> str:
    return f"http://127.0.0.1:{port}/_synapse/metrics"


def test_read_metrics(port: int, served: str) -> None:
    listeners = [{"type": "metrics", "port": number, "bind_addresses": ["127.0.0.1"]} for number in (1, port)]
    found = read_metrics({"enable_metrics": True, "listeners": listeners}, this_process(), 10)
    assert found == Metrics(served, [Sample("a", {"b": "é"}, 1)])


def test_each_reason_why_no_metrics_were_read() -> None:
    listeners = [{"type": "metrics", "port": 1, "bind_addresses": ["127.0.0.1", "127.0.0.2"]}]
    found = read_metrics({"enable_metrics": True, "listeners": listeners}, this_process(), 10)
    assert isinstance(found, NoMetrics)
    assert "//127.0.0.1:1/" in found.reason and "//127.0.0.2:1/" in found.reason
    assert found.fix.count("Restart Synapse, so that it opens the listener for metrics in listeners") == 1
    worker = Process(os.getpid(), "synapse.app.generic_worker", ("/c.yaml",), "python3")
    found = read_metrics({"enable_metrics": True, "worker_listeners": listeners}, worker, 10)
    assert isinstance(found, NoMetrics) and "in worker_listeners" in found.fix


def test_a_process_with_a_network_of_its_own(
    port: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics_listener = {"type": "metrics", "port": port, "bind_addresses": ["127.0.0.1"]}
    unix = {**TLS, "tls": False, "port": None, "path": f"{tmp_path}/s"}
    monkeypatch.setattr(metrics, "has_other_namespace", lambda _pid, kind, _proc: kind == "net")
    found = read_metrics({"enable_metrics": True, "listeners": [metrics_listener]}, this_process(), 10)
    # A process of this network answers at the address.
    assert isinstance(found, NoMetrics)
    assert f"Process {os.getpid()} has a network of its own" in found.reason
    assert "type: http, path: " in found.fix and "to listeners, and restart" in found.fix
    monkeypatch.setattr(metrics, "fetch_from", lambda *_: Answer("a 1", True))
    found = read_metrics({"enable_metrics": True, "listeners": [metrics_listener, unix]}, this_process(), 10)
    assert isinstance(found, Metrics) and found.url.startswith("http+unix:")


def test_a_listener_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listener = {"type": "metrics", "port": silent.getsockname()[1], "bind_addresses": ["127.0.0.1"]}
        found = read_metrics({"enable_metrics": True, "listeners": [listener]}, this_process(), 0.2)
    assert isinstance(found, NoMetrics)
    assert found.reason.endswith(" timed out.")
    assert found.fix.startswith("Increase metrics_timeout, and check that the process is not stopped")


def test_a_unix_socket_with_a_relative_path(short_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"enable_metrics": True, "listeners": [{**TLS, "tls": False, "port": None, "path": "s"}]}
    monkeypatch.chdir(short_path)
    monkeypatch.setattr(metrics, "fetch_from", lambda url, *_: Answer("a 1", True) if "%2Fs/" in url else None)
    found = read_metrics(settings, this_process(), 10)
    assert isinstance(found, Metrics) and found.doubt is None
    assert found.url == f"http+unix://{str(short_path).replace('/', '%2F')}%2Fs/_synapse/metrics"

    def forbidden(_path: str) -> str:
        raise PermissionError

    monkeypatch.setattr(os, "readlink", forbidden)
    assert isinstance(read_metrics(settings, this_process(), 10), NoMetrics)


def test_metrics_of_the_process_itself_are_certain(served: str) -> None:
    answer = fetch_from(served, os.getpid(), 10)
    assert (parse(answer.text), answer.is_certain) == ([Sample("a", {"b": "é"}, 1)], True)


def owners(monkeypatch: pytest.MonkeyPatch, *answers: Owner) -> None:
    """Return these owners of the socket, one after the other."""
    following = iter(answers)
    monkeypatch.setattr(metrics, "owner_of", lambda *_: next(following))


def test_a_unix_socket_proves_its_process_by_itself(short_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners(monkeypatch, Owner(None, frozenset({1})))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short_path / "s"))
        listening.listen()
        server = http.server.HTTPServer(("", 0), Page, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        monkeypatch.setattr(server, "get_request", lambda: (listening.accept()[0], ("", 0)))
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http+unix://{str(short_path / 's').replace('/', '%2F')}/_synapse/metrics"
        assert fetch_from(url, os.getpid(), 10) == Answer('a{b="é"} 1\n', True)
        thread.join()


def test_metrics_of_another_process_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:1/metrics"
    owners(monkeypatch, Owner(False, frozenset({1}), "process 8 (nc)"))
    with pytest.raises(UnexpectedAnswer, match=rf"^{url} is served by a different process, process 8 \(nc\)\.$"):
        fetch_from(url, 7, 10)
    owners(monkeypatch, Owner(False, frozenset({1})))
    with pytest.raises(UnexpectedAnswer, match=rf"^{url} is served by a different process\.$"):
        fetch_from(url, 7, 10)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Owner(True, frozenset({1})), Owner(False, frozenset({2}), "process 8 (nc)")),
        (Owner(False, frozenset()), Owner(True, frozenset({1}))),
        (Owner(None, frozenset({1})), Owner(None, frozenset({2}))),
    ],
)
def test_a_socket_that_changes_its_owner_during_the_request(
    served: str, monkeypatch: pytest.MonkeyPatch, before: Owner, after: Owner
) -> None:
    owners(monkeypatch, before, after)
    with pytest.raises(UnexpectedAnswer, match="^A different process began to serve http.* during the request"):
        fetch_from(served, 7, 10)


def test_metrics_without_a_socket_are_of_another_process(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owners(monkeypatch, Owner(False, frozenset()), Owner(False, frozenset()))
    with pytest.raises(UnexpectedAnswer, match="served by a different process, which this user is not allowed to see"):
        fetch_from(served, 7, 10)


def test_metrics_of_an_unknown_process_are_not_certain(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owners(monkeypatch, Owner(None, frozenset({1}), "process 8 (a)"), Owner(None, frozenset({1}), "process 8 (b)"))
    assert fetch_from(served, 7, 10) == Answer('a{b="é"} 1\n', False, None, "process 8 (b)")


@pytest.mark.parametrize(
    ("answer", "reason", "fix"),
    [
        (Answer("a 1", True), None, None),
        (Answer("a 1", False), "not allowed to see whether process", "with become"),
        (Answer("a 1", False, None, "process 8 (nc)"), "shared by process .* and process 8 \\(nc\\)", "of its own"),
    ],
)
def test_a_doubt(monkeypatch: pytest.MonkeyPatch, answer: Answer, reason: str | None, fix: str | None) -> None:
    monkeypatch.setattr(metrics, "fetch_from", lambda *_: answer)
    found = read_metrics({"enable_metrics": True, "metrics_port": 9000}, this_process(), 10)
    assert isinstance(found, Metrics)
    if reason is None or fix is None:
        assert found.doubt is None
        return
    assert found.doubt and found.doubt.name == "metrics_url"
    assert re.search(reason, found.doubt.reason) and fix in found.doubt.fix


class Encrypted:
    """What a server presents over TLS, and what the file of Synapse contains."""

    def __init__(self, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = directory / "cert.pem"
        self.path.write_text(PEM)
        self.configured: t.Any = str(self.path)
        self._monkeypatch = monkeypatch

    def read(self, certificate: bytes, is_certain: bool = False) -> Metrics | NoMetrics:
        self._monkeypatch.setattr(metrics, "fetch_from", lambda *_: Answer("a 1", is_certain, certificate))
        settings = {"enable_metrics": True, "listeners": [TLS], "tls_certificate_path": self.configured}
        return read_metrics(settings, this_process(), 10)


@pytest.fixture
def encrypted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Encrypted:
    return Encrypted(tmp_path, monkeypatch)


def test_the_certificate_of_a_process_that_is_not_proven(encrypted: Encrypted, monkeypatch: pytest.MonkeyPatch) -> None:
    found = encrypted.read(b"one")
    assert isinstance(found, Metrics) and found.doubt and found.url == URL
    monkeypatch.chdir(encrypted.path.parent)
    encrypted.configured = encrypted.path.name
    assert isinstance(encrypted.read(b"one"), Metrics)
    found = encrypted.read(b"two")
    assert isinstance(found, NoMetrics)
    assert f"not the first one in tls_certificate_path {encrypted.path}." in found.reason
    assert "with become" in found.fix and "reload Synapse" in found.fix


@pytest.mark.parametrize("configured", [None, 5, "/missing"])
def test_the_certificate_of_a_process_that_is_proven_does_not_matter(encrypted: Encrypted, configured: t.Any) -> None:
    encrypted.configured = configured
    assert encrypted.read(b"two", is_certain=True) == Metrics(URL, [Sample("a", {}, 1)])
    found = encrypted.read(b"one")
    assert isinstance(found, NoMetrics)
    assert "tls_certificate_path" in found.reason and "tls_certificate_path" in found.fix


def test_a_certificate_that_this_user_cannot_read(encrypted: Encrypted, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_path: str) -> bytes:
        raise PermissionError

    monkeypatch.setattr(metrics, "first_certificate", forbidden)
    found = encrypted.read(b"one")
    assert isinstance(found, NoMetrics)
    assert "nor to read tls_certificate_path" in found.reason and "become" in found.fix
