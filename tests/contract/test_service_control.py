# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Synapses, with workers too, are stopped and started as daemons."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import find_processes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service, find_service
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until
from ansible_collections.matrix_ops.synapse.tests.contract.workers import with_workers

_NOTHING = {"main": False, "units": [], "daemons": [], "directory": ""}
# In seconds. A Synapse without users needs one for its end, and two for its start.
_LONGEST = 20.0
_HOLDER = """
import socket, sys, time
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("127.0.0.1", int(sys.argv[1])))
held.listen()
print("held", flush=True)
time.sleep(60)
"""


def _service(server: Server, **options: t.Any) -> Service:
    parameters = {
        "manager": "daemon",
        "unit": "",
        "worker_unit": "",
        "synapse_python": server.python,
        "working_directory": None,
        "start_timeout": 60,
        "config_path": server.config_path,
        "base_url": server.base_url,
        "unix_socket": None,
        "validate_certs": True,
        "ca_path": None,
    }
    return find_service({**parameters, **options})


def _pids(server: Server) -> list[int]:
    return [process.pid for process in find_processes(server.config_path).processes]


@pytest.fixture(scope="module")
def own() -> t.Iterator[Server]:
    """A server that these tests stop."""
    with servers.own_servers("sqlite") as [server]:
        # Synapse reports errors of its own later if it is stopped before they are complete.
        until(lambda: server.rows("SELECT 1 FROM background_updates"), lambda rows: not rows)
        yield server


def _answers(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/_matrix/client/versions", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def running(own: Server) -> t.Iterator[Server]:
    """The same server, which runs before a test and after it."""
    if not _pids(own):
        servers.restart(own)
    yield own
    own.forget_connection()


def test_stop_and_start(running: Server) -> None:
    service = _service(running)
    service.require_control()
    before = _pids(running)
    told = service.running()
    assert {**told, "directory": ""} == {**_NOTHING, "main": True}
    begin = time.monotonic()
    service.stop()
    # The database is free, and nobody listens.
    assert _pids(running) == []
    assert not service.is_running()
    assert not _answers(running.base_url)
    # An interrupted run knows what ran by what it has kept.
    assert service.running() == _NOTHING
    assert service.running(json.loads(json.dumps(told))) == told
    service.stop()
    service.start(_NOTHING)
    assert _pids(running) == []
    service.start(told)
    assert _answers(running.base_url)
    assert time.monotonic() - begin < _LONGEST
    after = _pids(running)
    assert len(after) == 1
    assert after != before
    service.start(told)
    service.start()
    assert _pids(running) == after


def test_configuration_that_synapse_refuses(running: Server) -> None:
    service = _service(running)
    wrong = Path(running.config_path[1], "99-wrong.yaml")
    service.stop()
    wrong.write_text("max_upload_size: [1]\n")
    begin = time.monotonic()
    with pytest.raises(StateNotReached, match=r"did not start .*Synapse reported: TypeError: Bad byte size ") as raised:
        service.start()
    assert time.monotonic() - begin < _LONGEST
    assert running.secret not in str(raised.value)
    wrong.unlink()
    service.start()
    assert _answers(running.base_url)


def test_port_of_another_process(running: Server) -> None:
    service = _service(running)
    service.stop()
    port = urllib.parse.urlsplit(running.base_url).port
    assert port
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(port)], stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline()
        begin = time.monotonic()
        match = f"Address already in use.*Port {port}, .*is held by process {other.pid} "
        with pytest.raises(StateNotReached, match=match):
            service.start()
        assert time.monotonic() - begin < _LONGEST
        other.kill()
    assert _pids(running) == []
    service.start()
    assert _answers(running.base_url)


def test_process_that_does_not_end(running: Server) -> None:
    [pid] = _pids(running)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StateNotReached, match=rf"Process {pid} \(synapse.app.homeserver\) did not end within 1 "):
            _service(running, start_timeout=1).stop()
    finally:
        os.kill(pid, signal.SIGCONT)
    _service(running).stop()
    assert _pids(running) == []


def test_server_that_does_not_answer(running: Server) -> None:
    """The process runs, but not where it is asked."""
    service = _service(running, base_url="http://127.0.0.1:9", start_timeout=8)
    service.stop()
    match = r"is not ready\. Synapse did not answer within 8 seconds .*does not answer at http://127.0.0.1:9/health"
    with pytest.raises(StateNotReached, match=match):
        service.start()
    assert len(_pids(running)) == 1


def test_daemon_that_was_killed(running: Server) -> None:
    [pid] = _pids(running)
    os.kill(pid, signal.SIGKILL)
    service = _service(running)
    service.stop()
    service.start()
    assert _answers(running.base_url)


def test_workers() -> None:
    with servers.own_servers("postgresql") as own, with_workers(own[0], 2) as workers:
        server = own[0]
        service = _service(server)
        assert len(_pids(server)) == 3
        with pytest.raises(SynapseError, match=r"\(synapse.app.generic_worker\) cannot be started again .*worker_pid_"):
            service.require_control()
        assert len(_pids(server)) == 3
        files = [Path(server.directory, f"{worker.name}.yaml") for worker in workers]
        for file in files:
            settings = json.loads(file.read_text())
            file.write_text(json.dumps({**settings, "worker_pid_file": str(file.with_suffix(".pid"))}))
        service.require_control()
        told = service.running()
        assert told["main"]
        paths = [[*server.config_path, str(file)] for file in files]
        assert sorted(daemon["config_path"] for daemon in told["daemons"]) == paths
        assert {daemon["app"] for daemon in told["daemons"]} == {"synapse.app.generic_worker"}
        service.stop()
        assert _pids(server) == []
        # Interrupted when only the main process was started: the rest is started by the next run.
        service.start({**told, "daemons": []})
        kept = service.running(told)
        assert len(kept["daemons"]) == 2
        service.start(kept)
        assert len(_pids(server)) == 3
        for worker in workers:
            until(functools.partial(_answers, worker.base_url), bool)
        service.stop()
        assert _pids(server) == []
