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

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import listener, memory, runtime
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

# A program that is started like Synapse. In its metrics the start is `argv[-1]` seconds later than the real start, as
# if the clock was set.
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
    """A host with a configuration, and with programs that run like Synapse."""

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

    def read(
        self,
        caches: bool = True,
        freshness: bool = False,
        bases: Completed = BASES,
        client: Client | None = None,
        **wanted: t.Any,
    ) -> dict[str, t.Any]:
        reader = RuntimeReader(
            self.config_path,
            Wanted(caches=caches, freshness=freshness, **wanted),
            synapse_python="/synapse/python",
            timeout=10,
            client=client,
            host=runtime.Host(run=lambda *_: bases),
        )
        found = reader.read()
        # Other programs on this machine can start containers at the same time.
        own = [one for one in found["in_containers"] if one["config_path"][0].startswith(str(self.directory))]
        return {**found, "in_containers": own}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> t.Iterator[Host]:
    with contextlib.ExitStack() as stack:
        yield Host(tmp_path, stack)


def metrics(port: int) -> dict[str, t.Any]:
    return {"type": "metrics", "port": port, "bind_addresses": ["127.0.0.1"]}


def test_nothing_runs(host: Host) -> None:
    settings = {"global_factor": 0.5, "per_cache_factors": {}, "event_cache_size": 10240, "cache_autotuning": {}}
    assert host.read() == {"processes": [], "in_containers": [], "cache_settings": settings, "unknown": []}


def test_processes_alone_need_no_configuration(host: Host) -> None:
    program, _port = host.start("homeserver", host.config_path)
    os.unlink(host.config_path[0])
    found = host.read(caches=False)
    assert found.keys() == {"processes", "in_containers", "unknown"}
    assert found["unknown"] == []
    main = found["processes"][0]
    assert (main["name"], main["app"], main["pid"]) == ("main", "synapse.app.homeserver", program.pid)
    assert main["config_path"] == host.config_path
    assert not {"caches", "metrics_url", "outdated_by", "changed_for_reload", "restart_required"} & main.keys()
    started = datetime.datetime.strptime(main["started"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert started == pytest.approx(time.time(), abs=60)
    assert main["started_ts"] // 1000 == started
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
    assert found["unknown"] == []
    assert found["cache_settings"]["global_factor"] == 0.5
    main, worker = found["processes"]
    assert (main["name"], worker["name"]) == ("main", "w1")
    assert main["metrics_url"] == f"http://127.0.0.1:{main_port}/_synapse/metrics"
    assert worker["metrics_url"] == f"http://127.0.0.1:{worker_port}/_synapse/metrics"
    assert [cache["as_configured"] for cache in main["caches"]] == [True]
    assert [(cache["expected_max_size"], cache["as_configured"]) for cache in worker["caches"]] == [(3000, False)]


def test_a_process_without_metrics(host: Host) -> None:
    host.start("homeserver", host.config_path)
    found = host.read()
    assert "caches" not in found["processes"][0]
    assert [(item["name"], item["reason"]) for item in found["unknown"]] == [
        ("caches", "The configuration has no listener for metrics.")
    ]
    assert found["processes"][0]["unknown"] == found["unknown"]


def test_a_listener_that_is_not_open_yet(host: Host) -> None:
    program, port = host.start("homeserver", host.config_path)
    other, other_port = host.start("homeserver", [str(host.directory / "other.yaml")])
    other.kill()
    other.wait()
    host.configure({"enable_metrics": True, "listeners": [metrics(other_port)]})
    found = host.read()
    assert "metrics_url" not in found["processes"][0]
    assert "Connection refused" in found["unknown"][0]["reason"]
    assert found["unknown"][0]["fix"].startswith("Restart Synapse")
    host.configure({"enable_metrics": True, "listeners": [metrics(other_port), metrics(port)]})
    assert host.read()["processes"][0]["metrics_url"] == f"http://127.0.0.1:{port}/_synapse/metrics"
    assert program.poll() is None


def test_the_metrics_of_another_process_are_not_taken(host: Host) -> None:
    host.start("homeserver", host.config_path)
    # As old as the first process, like two processes that start during the boot.
    other, port = host.start("homeserver", [str(host.directory / "other.yaml")])
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read()
    assert "caches" not in found["processes"][0]
    assert [(item["name"], item["fix"][:15]) for item in found["unknown"]] == [("caches", "Restart Synapse")]
    url = f"http://127.0.0.1:{port}/_synapse/metrics"
    assert found["unknown"][0]["reason"].startswith(
        f"{url} is served by a different process, process {other.pid} (python"
    )


@pytest.mark.parametrize("later", [-400_000_000.0, -100.0, 100.0, 400_000_000.0])
def test_a_clock_that_is_set_does_not_matter(host: Host, later: float) -> None:
    _process, port = host.start("homeserver", host.config_path, later)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read()
    assert found["unknown"] == []
    assert found["processes"][0]["metrics_url"] == f"http://127.0.0.1:{port}/_synapse/metrics"


def test_a_user_who_is_not_allowed_to_see_which_process_serves_the_metrics(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, port = host.start("homeserver", host.config_path)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    monkeypatch.setattr(listener, "_sockets_of", lambda *_: None)
    found = host.read()
    assert [cache["as_configured"] for cache in found["processes"][0]["caches"]] == [True]
    assert found["unknown"] == [
        {
            "name": "metrics_url",
            "reason": f"This user is not allowed to see whether process {program.pid} itself serves"
            f" http://127.0.0.1:{port}/_synapse/metrics, so the answer was used without this check.",
            "fix": "Run the task with become, as root.",
        }
    ]


def test_a_process_that_was_started_without_a_part_of_the_configuration(host: Host) -> None:
    _process, port = host.start("homeserver", host.config_path[:1])
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    host.configure({"caches": {"global_factor": 2}}, "conf.d/50-own.yaml")
    found = host.read()
    assert [(item["name"], "conf.d" in item["reason"]) for item in found["unknown"]] == [("config_path", True)]
    # The declared settings are not in force, although the process uses its own files.
    assert [cache["as_configured"] for cache in found["processes"][0]["caches"]] == [False]


def test_as_configured_is_left_out_without_base_sizes(host: Host) -> None:
    _process, port = host.start("homeserver", host.config_path)
    host.configure({"enable_metrics": True, "listeners": [metrics(port)]})
    found = host.read(bases=Completed(1, "", "No module named synapse"))
    assert found["processes"][0]["caches"] == [{"name": "plain", "size": 1, "max_size": 500}]
    assert found["unknown"] == [
        {
            "name": "base_size",
            "reason": "/synapse/python cannot read the base sizes of the caches: No module named synapse.",
            "fix": "Set synapse_python to the Python of Synapse. Process"
            f" {found['processes'][0]['pid']} runs {sys.executable}.",
        }
    ]


@pytest.mark.parametrize("settings", ["worker_name: [", "caches: {global_factor: much}"])
def test_a_worker_with_a_broken_file(host: Host, settings: str) -> None:
    worker_file = host.directory / "worker.yaml"
    worker_file.write_text(settings)
    host.start("generic_worker", [*host.config_path, str(worker_file)])
    found = host.read()
    assert not {"name", "caches"} & found["processes"][0].keys()
    assert [item["name"] for item in found["unknown"]] == ["name", "caches"]


def test_a_worker_with_a_broken_file_and_without_caches(host: Host) -> None:
    worker_file = host.directory / "worker.yaml"
    worker_file.write_text("worker_name: [")
    host.start("generic_worker", [*host.config_path, str(worker_file)])
    found = host.read(caches=False)
    assert "name" not in found["processes"][0]
    assert [item["name"] for item in found["unknown"]] == ["name"]


def test_a_host_with_workers_only(host: Host) -> None:
    for number in (1, 2):
        host.configure({"worker_name": f"w{number}"}, f"worker{number}.yaml")
    files = [str(host.directory / f"worker{number}.yaml") for number in (1, 2)]
    programs = [host.start("generic_worker", [*host.config_path, file])[0] for file in files]
    found = host.read(freshness=True)
    assert {(each["name"], each["pid"]) for each in found["processes"]} == {
        (f"w{number}", program.pid) for number, program in enumerate(programs, 1)
    }
    for process in found["processes"]:
        assert (process["outdated_by"], process["restart_required"]) == ([], False)
    assert found["restart_record"]["places"].keys() >= {*host.config_path, *files}
    os.utime(files[0], (4e9, 4e9))
    again = host.read(freshness=True)["processes"]
    assert {each["name"]: each["restart_required"] for each in again} == {"w1": True, "w2": False}
    assert [found["path"] for each in again for found in each["outdated_by"]] == [files[0]]
    assert [each["changed_for_reload"] for each in again] == [[], []]


def test_factors_that_were_changed_after_the_start(host: Host) -> None:
    drop_in = "conf.d/60-caches.yaml"
    host.configure({"caches": {"global_factor": 2}}, drop_in)
    host.start("homeserver", host.config_path)
    [process] = host.read(freshness=True)["processes"]
    assert process["changed_for_reload"] == []
    os.utime(host.directory / drop_in, (4e9, 4e9))
    [process] = host.read(freshness=True)["processes"]
    assert process["changed_for_reload"] == [str(host.directory / drop_in)]
    assert (process["outdated_by"], process["restart_required"]) == ([], False)


def test_a_worker_without_a_name_has_that_of_its_app(host: Host) -> None:
    host.configure({"worker_app": "synapse.app.generic_worker"}, "worker.yaml")
    host.start("generic_worker", [*host.config_path, str(host.directory / "worker.yaml")])
    assert host.read(caches=False)["processes"][0]["name"] == "synapse.app.generic_worker"
    host.configure({"worker_name": ["a"]}, "worker.yaml")
    assert "name" not in host.read(caches=False)["processes"][0]


def test_memory(host: Host) -> None:
    program, _port = host.start("homeserver", host.config_path)
    found = host.read(caches=False, memory=True)
    [process] = found["processes"]
    assert process["memory"]["resident_bytes"] > 2**20
    assert process["threads"] >= 1
    assert process["cpu"]["seconds"] > 0
    assert found["host"]["memory_total_bytes"] > process["memory"]["resident_bytes"]
    assert found["unknown"] == []
    assert program.poll() is None


def test_memory_that_only_root_sees(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    program, _port = host.start("homeserver", host.config_path)
    complete = memory.read_memory(program.pid)
    monkeypatch.setattr(runtime, "read_memory", lambda *_: complete._replace(is_complete=False))
    assert host.read(caches=False, memory=True)["unknown"] == [
        {
            "name": "memory",
            "reason": f"Only root and the user of process {program.pid} are allowed to see its proportional memory.",
            "fix": "Run the task with become, as root.",
        }
    ]


def test_open_files(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    program, _port = host.start("homeserver", host.config_path)
    [process] = host.read(caches=False, open_files=True)["processes"]
    assert process["open_files_by_kind"]["listening"] == 1
    assert sum(process["open_files_by_kind"].values()) == process["open_files"]
    assert process["remote_hosts"] == []

    def forbidden(*_: t.Any) -> t.NoReturn:
        raise PermissionError

    # The rights of the process have changed since its open files were counted.
    monkeypatch.setattr(runtime, "read_open_files", forbidden)
    [process] = host.read(caches=False, open_files=True)["processes"]
    assert not {"open_files_by_kind", "remote_hosts"} & process.keys()
    reason = f"Only root and the user of process {program.pid} are allowed to see what its open files are."
    assert [(item["name"], item["reason"]) for item in process["unknown"]] == [("open_files_by_kind", reason)]


def test_presence(host: Host) -> None:
    host.configure({"presence": {"enabled": False}})
    host.start("homeserver", host.config_path)
    # What only this worker has is wrong.
    host.configure({"presence": 5}, "worker.yaml")
    host.start("generic_worker", [*host.config_path, str(host.directory / "worker.yaml")])
    found = host.read(caches=False, presence=True)
    assert found["presence_settings"]["mode"] == "disabled"
    main, worker = found["processes"]
    assert main["presence_settings"] == found["presence_settings"]
    assert "presence_settings" not in worker
    assert [(item["name"], item["fix"]) for item in worker["unknown"]] == [
        ("presence_settings", f"Correct the configuration of process {worker['pid']}.")
    ]


def test_the_engine_of_the_database(host: Host) -> None:
    host.configure({"database": {"name": "psycopg2"}})
    assert host.read()["database_engine"] == "psycopg2"


def test_a_server_that_answers(host: Host) -> None:
    with ScriptedServer() as server:
        server.expect(
            Call("GET", "/_matrix/key/v2/server", {"server_name": "example.org"}, token=None),
            Call("GET", "/_synapse/admin/v1/server_version", {"server_version": "1.163.2"}, token=None),
        )
        found = host.read(caches=False, client=Client(server.base_url))
    assert found == {
        "server": {"name": "example.org", "version": "1.163.2"},
        "processes": [],
        "in_containers": [],
        "unknown": [],
    }


def test_a_server_that_does_not_answer(host: Host) -> None:
    host.start("homeserver", [*host.config_path, str(host.directory / "missing")])
    with ScriptedServer() as server:
        closed = server.base_url
    found = host.read(client=Client(closed))
    assert "server" not in found
    # The entries of the server are before those of the processes.
    assert [item["name"] for item in found["unknown"]] == ["server", "caches"]
