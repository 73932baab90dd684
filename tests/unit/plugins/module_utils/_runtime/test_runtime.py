# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import listener, runtime
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader

# A program that is started as Synapse is, and serves metrics of a start `argv[-1]` seconds later than it was, as one
# does whose clock was set.
PROGRAM = """
import http.server, os, sys
ticks = float(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
booted = next(float(line.split()[1]) for line in open("/proc/stat") if line.startswith("btime"))
TEXT = f'''process_start_time_seconds {booted + ticks + float(sys.argv[-1])}
synapse_util_caches_cache_size{{name="plain"}} 1
synapse_util_caches_cache_max_size{{name="plain"}} 500
'''

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TEXT.encode())

    def log_request(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
"""
BASES = Completed(0, json.dumps({"plain": [1000]}), "")


class Host:
    """A host with a configuration, and with programs that run as if they were Synapse."""

    def __init__(self, directory: pathlib.Path, stack: contextlib.ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self.config_path = [str(directory / "homeserver.yaml"), str(directory / "conf.d")]
        package = directory / "python" / "synapse" / "app"
        package.mkdir(parents=True)
        (directory / "conf.d").mkdir()
        for app in ("homeserver", "generic_worker"):
            (package / f"{app}.py").write_text(PROGRAM)
        self.configure({})

    def configure(self, settings: dict[str, t.Any], name: str = "homeserver.yaml") -> None:
        """Write a file of the configuration; JSON is YAML too."""
        (self.directory / name).write_text(json.dumps(settings))

    def start(self, app: str, config_path: t.Sequence[str], later: float = 0) -> tuple[subprocess.Popen[str], int]:
        """Start a program and return it with the port of its metrics."""
        arguments = [argument for path in config_path for argument in ("-c", path)]
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", f"synapse.app.{app}", *arguments, str(later)],
                env={"PYTHONPATH": str(self.directory / "python")},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(process.kill)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    def read(self, caches: bool = True, bases: Completed = BASES) -> dict[str, t.Any]:
        reader = RuntimeReader(
            self.config_path,
            caches=caches,
            freshness=False,
            synapse_python="/synapse/python",
            timeout=10,
            host=runtime.Host(run=lambda *_: bases),
        )
        return reader.read()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> t.Iterator[Host]:
    with contextlib.ExitStack() as stack:
        yield Host(tmp_path, stack)


def metrics(port: int) -> dict[str, t.Any]:
    return {"type": "metrics", "port": port, "bind_addresses": ["127.0.0.1"]}


def test_nothing_runs(host: Host) -> None:
    settings = {"global_factor": 0.5, "per_cache_factors": {}, "event_cache_size": 10240, "cache_autotuning": None}
    assert host.read() == {"processes": [], "settings": settings, "started_with": None, "unseen": []}


def test_processes_alone_need_no_configuration(host: Host) -> None:
    program, _port = host.start("homeserver", host.config_path)
    os.unlink(host.config_path[0])
    found = host.read(caches=False)
    assert found["settings"] is None
    assert found["unseen"] == []
    main = found["processes"][0]
    assert (main["name"], main["app"], main["pid"]) == ("main", "synapse.app.homeserver", program.pid)
    assert (main["caches"], main["metrics_url"], main["config_path"]) == (None, None, host.config_path)
    assert (main["outdated_by"], found["started_with"]) == (None, None)
    started = datetime.datetime.strptime(main["started_at"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert started == pytest.approx(time.time(), abs=60)
    with pytest.raises(ConfigurationError, match=r"homeserver\.yaml does not exist"):
        host.read()


def test_the_main_process_and_a_worker_have_their_own_metrics(host: Host) -> None:
    worker_file = str(host.directory / "worker.yaml")
    _process, main_port = host.start("homeserver", host.config_path)
    _process, worker_port = host.start("generic_worker", [*host.config_path, worker_file])
    host.configure({"enable_metrics": True, "listeners": [metrics(main_port)]})
    host.configure(
        {"worker_name": "w1", "worker_listeners": [metrics(worker_port)], "caches": {"global_factor": 3}}, "worker.yaml"
    )
    found = host.read()
    assert found["unseen"] == []
    assert found["settings"]["global_factor"] == 0.5
    main, worker = found["processes"]
    assert (main["name"], worker["name"]) == ("main", "w1")
    assert main["metrics_url"] == f"http://127.0.0.1:{main_port}/_synapse/metrics"
    assert worker["metrics_url"] == f"http://127.0.0.1:{worker_port}/_synapse/metrics"
    assert [cache["as_configured"] for cache in main["caches"]] == [True]
    assert [(cache["expected_max_size"], cache["as_configured"]) for cache in worker["caches"]] == [(3000, False)]


def test_a_process_without_metrics(host: Host) -> None:
    host.start("homeserver", host.config_path)
    found = host.read()
    assert found["processes"][0]["caches"] is None
    assert [(item["what"], item["why"]) for item in found["unseen"]] == [
        ("caches", "The configuration has no listener for metrics.")
    ]
    assert found["processes"][0]["unseen"] == found["unseen"]


def test_a_listener_that_is_not_open_yet(host: Host) -> None:
    program, port = host.start("homeserver", host.config_path)
    other, other_port = host.start("homeserver", [str(host.directory / "other.yaml")])
    other.kill()
    other.wait()
    host.configure({"enable_metrics": True, "listeners": [metrics(other_port)]})
    found = host.read()
    assert found["processes"][0]["metrics_url"] is None
    assert "Connection refused" in found["unseen"][0]["why"]
    assert found["unseen"][0]["mend"].startswith("Restart Synapse")
    host.configure({"enable_metrics": True, "listeners": [metrics(other_port), metrics(port)]})
    assert host.read()["processes"][0]["metrics_url"] == f"http://127.0.0.1:{port}/_synapse/metrics"
    assert program.poll() is None


def test_the_metrics_of_another_process_are_not_taken(host: Host) -> None:
    host.start("homeserver", host.config_path)
    # As old as the first, as two are that the host starts when it boots.
    other, port = host.start("homeserver", [str(host.directory / "other.yaml")])
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read()
    assert found["processes"][0]["caches"] is None
    assert [(item["what"], item["mend"][:15]) for item in found["unseen"]] == [("caches", "Restart Synapse")]
    url = f"http://127.0.0.1:{port}/_synapse/metrics"
    assert found["unseen"][0]["why"].startswith(f"{url} is served by another process, process {other.pid} (python")


@pytest.mark.parametrize("later", [-400_000_000.0, -100.0, 100.0, 400_000_000.0])
def test_a_clock_that_is_set_makes_no_process_another_one(host: Host, later: float) -> None:
    _process, port = host.start("homeserver", host.config_path, later)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read()
    assert found["unseen"] == []
    assert found["processes"][0]["metrics_url"] == f"http://127.0.0.1:{port}/_synapse/metrics"


def test_a_user_who_may_not_see_whose_metrics_these_are(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    program, port = host.start("homeserver", host.config_path)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    monkeypatch.setattr(listener, "_sockets_of", lambda *_: None)
    found = host.read()
    assert [cache["as_configured"] for cache in found["processes"][0]["caches"]] == [True]
    assert found["unseen"] == [
        {
            "what": "metrics_url",
            "why": f"Whether process {program.pid} itself serves http://127.0.0.1:{port}/_synapse/metrics is hidden,"
            " so its answer was believed.",
            "mend": "Run the task with become, as root.",
        }
    ]


def test_a_process_that_lacks_a_part_of_the_configuration(host: Host) -> None:
    _process, port = host.start("homeserver", host.config_path[:1])
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    host.configure({"caches": {"global_factor": 2}}, "conf.d/50-own.yaml")
    found = host.read()
    assert [(item["what"], "conf.d" in item["why"]) for item in found["unseen"]] == [("config_path", True)]
    # What was declared is not in force, whatever the process makes of its own files.
    assert [cache["as_configured"] for cache in found["processes"][0]["caches"]] == [False]


def test_without_base_sizes_nothing_is_claimed(host: Host) -> None:
    _process, port = host.start("homeserver", host.config_path)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read(bases=Completed(1, "", "No module named synapse"))
    assert [cache["as_configured"] for cache in found["processes"][0]["caches"]] == [None]
    assert found["unseen"] == [
        {
            "what": "base_size",
            "why": "/synapse/python cannot tell the base sizes of the caches: No module named synapse.",
            "mend": "Set synapse_python to the Python of Synapse: process"
            f" {found['processes'][0]['pid']} runs {sys.executable}.",
        }
    ]


@pytest.mark.parametrize("settings", ["worker_name: [", "caches: {global_factor: much}"])
def test_a_worker_with_a_broken_file(host: Host, settings: str) -> None:
    worker_file = host.directory / "worker.yaml"
    worker_file.write_text(settings)
    host.start("generic_worker", [*host.config_path, str(worker_file)])
    found = host.read()
    assert (found["processes"][0]["name"], found["processes"][0]["caches"]) == (None, None)
    assert [item["what"] for item in found["unseen"]] == ["name", "caches"]
