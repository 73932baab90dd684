# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import http.server
import math
import os
import re
import socket
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import metrics
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import Owner
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import (
    NoMetrics,
    Sample,
    fetch,
    fetch_from,
    metrics_urls,
    parse,
)

METRICS = {"type": "metrics", "port": 9000}


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", Sample("up", {}, 1.0)),
        ("up 1.5e+06 1700000000000", Sample("up", {}, 1500000.0)),
        ("a:b_c{} +Inf", Sample("a:b_c", {}, math.inf)),
        (
            'a{name="*getEvent*",server_name="x:8448"} 5120.0',
            Sample("a", {"name": "*getEvent*", "server_name": "x:8448"}, 5120),
        ),
        ('a { b = "1" , c = "2" , } 3', Sample("a", {"b": "1", "c": "2"}, 3)),
        (r'a{b="q\"q\\n\nn\\"} 4', Sample("a", {"b": 'q"q\\n\nn\\'}, 4)),
        ('a{b="} 9",c=","} 5', Sample("a", {"b": "} 9", "c": ","}, 5)),
        ('a{b=""} 6', Sample("a", {"b": ""}, 6)),
        ('a{b="é\u2028"} 7', Sample("a", {"b": "é\u2028"}, 7)),
        ("  a\t8", Sample("a", {}, 8)),
    ],
)
def test_parse_a_sample(line: str, sample: Sample) -> None:
    assert parse(f"# HELP x y\n# TYPE x gauge\n\n{line}\n# EOF\n") == [sample]


def test_parse_a_value_that_is_not_a_number() -> None:
    assert math.isnan(parse("a NaN")[0].value)


@pytest.mark.parametrize(
    "line", ["<html>", "a", "a{b=1} 1", 'a{b="1" 1', 'a{b="1"', "1a 1", "a one", 'a{b="1"c="2"} 1', "{}"]
)
def test_another_format_is_refused(line: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="The response is not in the text format of Prometheus"):
        parse(f"up 1\n{line}\n")


def resource(*names: str, **listener: t.Any) -> dict[str, t.Any]:
    return {"type": "http", "port": 8008, "resources": [{"names": list(names), "compress": False}], **listener}


@pytest.mark.parametrize(
    ("settings", "urls"),
    [
        ({"listeners": [METRICS]}, ["http://127.0.0.1:9000"]),
        (
            {"listeners": [{**METRICS, "bind_addresses": ["::1", "127.0.0.1"]}]},
            ["http://[::1]:9000", "http://127.0.0.1:9000"],
        ),
        ({"listeners": [{**METRICS, "bind_address": "192.0.2.1"}]}, ["http://192.0.2.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["0.0.0.0"]}]}, ["http://127.0.0.1:9000"]),
        ({"listeners": [{**METRICS, "bind_addresses": ["::"]}]}, ["http://[::1]:9000"]),
        ({"listeners": [resource("client", "metrics"), METRICS]}, ["http://127.0.0.1:9000", "http://127.0.0.1:8008"]),
        ({"listeners": [resource("client"), resource("metrics", port=8009)]}, ["http://127.0.0.1:8009"]),
        (
            {"listeners": [resource("metrics", tls=True), resource("metrics", port=None, path="/run/s"), METRICS]},
            ["http://127.0.0.1:9000"],
        ),
        ({"metrics_port": 9100}, ["http://127.0.0.1:9100"]),
        ({"metrics_port": 9100, "metrics_bind_host": "192.0.2.1", "listeners": None}, ["http://192.0.2.1:9100"]),
    ],
)
def test_where_the_main_process_serves_its_metrics(settings: dict[str, t.Any], urls: list[str]) -> None:
    settings = {"enable_metrics": True, "worker_listeners": [{**METRICS, "port": 9999}], **settings}
    assert metrics_urls(settings, worker=False) == [f"{url}/_synapse/metrics" for url in urls]


def test_where_a_worker_serves_its_metrics() -> None:
    settings = {"enable_metrics": True, "listeners": [METRICS], "worker_listeners": [{**METRICS, "port": 9001}]}
    assert metrics_urls(settings, worker=True) == ["http://127.0.0.1:9001/_synapse/metrics"]


@pytest.mark.parametrize(
    ("settings", "reason", "fix"),
    [
        ({}, "no listener for metrics", "enable_metrics to true, add a listener .* to listeners, and restart"),
        ({"listeners": [resource("client")], "enable_metrics": True}, "no listener", "add a listener"),
        ({"listeners": ["broken", 5]}, "no listener", "add a listener"),
        ({"listeners": [METRICS]}, "enable_metrics is not true", "Set enable_metrics to true and restart"),
        (
            {"listeners": [resource("metrics", tls=True)], "enable_metrics": True},
            "over TLS or on a Unix socket",
            "Add a",
        ),
        ({"listeners": [resource("metrics", port=None, path="/s")], "enable_metrics": True}, "Unix socket", "Add a"),
    ],
)
def test_why_there_are_no_metrics(settings: dict[str, t.Any], reason: str, fix: str) -> None:
    answer = metrics_urls(settings, worker=False)
    assert isinstance(answer, NoMetrics)
    assert reason in answer.reason
    assert re.search(fix, answer.fix)


class Page(http.server.BaseHTTPRequestHandler):
    """Answers /metrics, and nothing else."""

    def do_GET(self) -> None:
        found = self.path == "/metrics"
        body = 'a{b="é"} 1\n'.encode() if found else b"<html>"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: t.Any = "-", size: t.Any = "-") -> None:
        """Write no log."""


@pytest.fixture
def served() -> t.Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.closing(server.socket):
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_fetch_ignores_proxies(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert parse(fetch(f"{served}/metrics", 10)) == [Sample("a", {"b": "é"}, 1)]


def test_metrics_of_the_process_itself_are_certain(served: str) -> None:
    answer = fetch_from(f"{served}/metrics", os.getpid(), 10)
    assert (parse(answer.text), answer.is_certain) == ([Sample("a", {"b": "é"}, 1)], True)


def owners(monkeypatch: pytest.MonkeyPatch, *answers: Owner) -> None:
    """Return these owners of the socket, one after the other."""
    following = iter(answers)
    monkeypatch.setattr(metrics, "owner_of", lambda *_: next(following))


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
        fetch_from(f"{served}/metrics", 7, 10)


def test_metrics_without_a_socket_are_of_another_process(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owners(monkeypatch, Owner(False, frozenset()), Owner(False, frozenset()))
    with pytest.raises(UnexpectedAnswer, match="served by a different process, which this user is not allowed to see"):
        fetch_from(f"{served}/metrics", 7, 10)


def test_metrics_of_an_unknown_process_are_not_certain(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owners(monkeypatch, Owner(None, frozenset({1})), Owner(None, frozenset({1})))
    assert fetch_from(f"{served}/metrics", 7, 10).is_certain is False


def test_the_message_of_a_failed_fetch(served: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=rf"GET {served}/other failed: status 404\."):
        fetch(f"{served}/other", 10)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=rf"GET http://127.0.0.1:{port}/ failed: Connection refused\."):
        fetch(f"http://127.0.0.1:{port}/", 10)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"])
def test_fetch_from_another_service(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectionFailed, match="GET http://127.0.0.1:.* failed: "):
            fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/", 10)
        thread.join()


def test_fetch_has_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionFailed, match="timed out"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.2)
