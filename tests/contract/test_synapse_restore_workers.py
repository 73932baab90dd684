# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with a real worker comes back from its backup, and the worker runs and answers again."""

from __future__ import annotations

import json
import os
import signal
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, find_processes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service, find_service
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until
from ansible_collections.matrix_ops.synapse.tests.contract.workers import with_workers


def _service(server: Server) -> Service:
    parameters = {
        **{"manager": "daemon", "unit": "", "worker_unit": "", "start_timeout": 60, "working_directory": None},
        **{"synapse_python": server.python, "config_path": server.config_path, "base_url": server.base_url},
        **{"unix_socket": None, "validate_certs": True, "ca_path": None},
    }
    return find_service(parameters)


def _joined_rooms(server: Server, base_url: str) -> list[str] | None:
    """Return the rooms of a user as the process at this URL reads them from the database, or None if it does not."""
    headers = {"Authorization": f"Bearer {server.user_token}"}
    request = urllib.request.Request(f"{base_url}/_matrix/client/v3/joined_rooms", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return t.cast("list[str]", json.loads(answer.read())["joined_rooms"])
    except (urllib.error.URLError, OSError):
        return None


def _workers(server: Server) -> list[int]:
    return [process.pid for process in find_processes(server.config_path).processes if process.app != MAIN_APP]


def test_a_worker_comes_back(tmp_path: Path) -> None:
    with servers.own_servers("postgresql") as own, with_workers(own[0], 1) as [worker]:
        [server] = own
        made = Restored(server, tmp_path)
        made.fill()
        room = server.make_room(server.user_token)
        path = Path(server.directory, f"{worker.name}.yaml")
        settings = json.loads(path.read_text())
        path.write_text(json.dumps({**settings, "worker_pid_file": str(path.with_suffix(".pid"))}))
        # From now on, it is a daemon as its user starts it.
        service = _service(server)
        running = service.running()
        service.stop()
        service.start(running)
        until(lambda: _joined_rooms(server, worker.base_url), lambda rooms: rooms == [room])
        made.back_up()
        service.stop()
        made.wipe()
        try:
            predicted, done = made.run(check=True), made.run()
            assert not done.get("failed"), done
            assert done["steps"] == predicted["steps"]
            assert str(path) in done["restore"]["files"]
            assert len(_workers(server)) == 1
            until(lambda: _joined_rooms(server, worker.base_url), lambda rooms: rooms == [room])
            assert not made.run()["changed"]
            _require_missing_worker_is_started(made, worker.base_url, room)
        finally:
            server.forget_connection()
            _service(server).stop()


def _require_missing_worker_is_started(made: Restored, base_url: str, room: str) -> None:
    """The main process was started, and the task was killed before the worker was."""
    server = made.server
    marker = made.place / ".matrix_ops-restore.json"
    marker.write_text(marker.read_text().replace('"done"', '"placed"'))
    [pid] = _workers(server)
    os.kill(pid, signal.SIGTERM)
    until(lambda: _workers(server), lambda pids: not pids)
    done = made.run()
    assert not done.get("failed"), done
    assert done["changed"]
    assert [step.partition(" ")[0] for step in done["steps"]] == ["start"]
    until(lambda: _joined_rooms(server, base_url), lambda rooms: rooms == [room])
    assert json.loads(marker.read_text())["stage"] == "done"
