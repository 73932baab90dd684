# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import in_flight
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.in_flight import in_flight_requests
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import metrics
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Answer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Found, Process, Unknown

GAUGE = "synapse_http_server_in_flight_requests_count"
MAIN_URL, WORKER_URL = "http://127.0.0.1:9000/_synapse/metrics", "http://127.0.0.1:9001/_synapse/metrics"
MAIN = f"""# TYPE {GAUGE} gauge
{GAUGE}{{method="GET",servlet="SyncRestServlet",server_name="a.example"}} 2.0
{GAUGE}{{method="GET",servlet="SyncRestServlet",server_name="b.example"}} 1.0
{GAUGE}{{method="PUT",servlet="RoomSendEventRestServlet",server_name="a.example"}} 7.0
{GAUGE}{{method="PUT",servlet="Nothing",server_name="a.example"}} 0.0
{GAUGE}{{method="PUT",servlet="Broken",server_name="a.example"}} NaN
{GAUGE}{{method="PUT",servlet="Endless",server_name="a.example"}} +Inf
{GAUGE}{{method="PUT",servlet="Huge",server_name="a.example"}} 1e308
{GAUGE}{{method="PUT",servlet="Negative",server_name="a.example"}} -3.0
{GAUGE}{{method="GET",servlet="MetricsResource",server_name="a.example"}} 1.0
synapse_http_server_in_flight_requests_ru_utime_seconds_total{{method="GET",servlet="SyncRestServlet"}} 9.0
"""


class Host:
    """What the processes, their files and their metrics are; `answers` by URL."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.config_path = [str(directory / "homeserver.yaml")]
        worker = directory / "worker.yaml"
        pathlib.Path(self.config_path[0]).write_text(
            "server_name: a.example\nenable_metrics: true\n"
            "listeners: [{type: metrics, port: 9000, bind_addresses: [127.0.0.1]}]\n",
            encoding="utf-8",
        )
        worker.write_text(
            "worker_name: w1\nworker_listeners: [{type: metrics, port: 9001, bind_addresses: [127.0.0.1]}]\n",
            encoding="utf-8",
        )
        self.processes = [
            Process(7, "synapse.app.homeserver", tuple(self.config_path), "python3"),
            Process(8, "synapse.app.generic_worker", (self.config_path[0], str(worker)), "python3"),
        ]
        self.hidden: list[Unknown] = []
        self.answers: dict[str, Answer | Exception] = {
            MAIN_URL: Answer(MAIN, True),
            WORKER_URL: Answer(f'{GAUGE}{{method="GET",servlet="X"}} 4\n', True),
        }

    def find(self, config_path: t.Sequence[str], proc: str) -> Found:
        assert (list(config_path), proc) == (self.config_path, "/p")
        return Found(self.processes, self.hidden, [])

    def fetch(self, url: str, pid: int, timeout: float, proc: str) -> Answer:
        assert (pid, timeout, proc) == ({MAIN_URL: 7, WORKER_URL: 8}[url], 2.5, "/p")
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self) -> tuple[list[dict[str, t.Any]], list[Unknown]]:
        return in_flight_requests(self.config_path, 2.5, "/p")


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(in_flight, "find_processes", made.find)
    monkeypatch.setattr(metrics, "fetch_from", made.fetch)
    monkeypatch.setattr(metrics, "has_other_namespace", lambda *_given: False)
    return made


def test_the_requests_of_every_process(host: Host) -> None:
    assert host.read() == (
        [
            {"pid": 7, "method": "PUT", "servlet": "RoomSendEventRestServlet", "count": 7},
            {"pid": 8, "worker": "w1", "method": "GET", "servlet": "X", "count": 4},
            {"pid": 7, "method": "GET", "servlet": "SyncRestServlet", "count": 3},
        ],
        [],
    )


def test_a_host_without_synapse(host: Host) -> None:
    host.processes = []
    requests, [unknown] = host.read()
    assert requests == []
    assert unknown.name == "in_flight_requests"
    assert host.config_path[0] in unknown.reason and "Start Synapse" in unknown.fix


def test_processes_that_are_hidden_are_not_missing(host: Host) -> None:
    host.processes, host.hidden = [], [Unknown("processes", "not allowed", "become")]
    assert host.read() == ([], [Unknown("processes", "not allowed", "become")])


@pytest.mark.parametrize("error", [ConnectionFailed("GET failed: refused."), UnexpectedAnswer("It is another one.")])
def test_metrics_that_cannot_be_read(host: Host, error: Exception) -> None:
    host.answers[MAIN_URL] = error
    requests, [unknown] = host.read()
    assert [one["pid"] for one in requests] == [8]
    assert unknown.name == "in_flight_requests"
    assert unknown.reason == f"The requests in flight of process 7 are unknown: {error}"
    assert unknown.fix.startswith("Restart Synapse")


def test_a_process_without_a_listener_for_metrics(host: Host) -> None:
    pathlib.Path(host.config_path[0]).write_text("server_name: a.example\n", encoding="utf-8")
    host.processes = host.processes[:1]
    requests, [unknown] = host.read()
    assert requests == []
    assert "process 7" in unknown.reason and "no listener for metrics" in unknown.reason
    assert unknown.fix.startswith("Set enable_metrics to true")


def test_a_configuration_that_cannot_be_read(host: Host) -> None:
    pathlib.Path(host.config_path[0]).write_text("a: [", encoding="utf-8")
    host.processes = host.processes[:1]
    requests, [unknown] = host.read()
    assert requests == []
    assert unknown.name == "in_flight_requests" and host.config_path[0] in unknown.reason
    assert "process 7" in unknown.fix


def test_an_answer_that_may_come_from_another_process(host: Host) -> None:
    host.answers[WORKER_URL] = Answer("", False)
    host.answers[MAIN_URL] = Answer("", True)
    requests, [unknown] = host.read()
    assert requests == []
    assert unknown.name == "metrics_url" and "process 8" in unknown.reason and WORKER_URL in unknown.reason


@pytest.mark.parametrize("error", [ProcessLookupError(), FileNotFoundError()])
def test_a_process_that_has_just_ended_is_left_out(host: Host, error: Exception) -> None:
    host.answers[MAIN_URL] = error
    requests, unknown = host.read()
    assert [one["pid"] for one in requests] == [8]
    assert unknown == []


def test_each_address_of_a_listener_is_tried(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.processes = host.processes[:1]
    monkeypatch.setattr(metrics, "metrics_urls", lambda _settings, **_options: ["http://[::1]:9000/", MAIN_URL])

    def fetch(url: str, *_others: t.Any) -> Answer:
        if url != MAIN_URL:
            raise ConnectionFailed("GET failed: refused.")
        return Answer(MAIN, True)

    monkeypatch.setattr(metrics, "fetch_from", fetch)
    requests, unknown = host.read()
    assert ([one["count"] for one in requests], unknown) == ([7, 3], [])
