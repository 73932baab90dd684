# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers of a server of one's own: processes of Synapse beside the main one, with Redis between them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_LOOPBACK = {"bind_addresses": ["127.0.0.1"]}


class Worker(t.NamedTuple):
    """A running worker: where it answers, where its metrics are, and its log."""

    name: str
    base_url: str
    metrics_url: str
    log: Path


@contextlib.contextmanager
def with_workers(server: Server, count: int) -> t.Iterator[list[Worker]]:
    """Let a server of one's own, on PostgreSQL, be restarted with that many workers, and stop these afterwards."""
    directory = Path(server.directory)
    with contextlib.ExitStack() as running:
        redis, replication = servers.free_ports(2)
        command = ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        program = os.environ["CONTRACT_REDIS_SERVER"]
        running.enter_context(_ended(subprocess.Popen(command, executable=program, stdout=subprocess.DEVNULL)))
        listeners = yaml.safe_load(Path(server.config_path[0]).read_text())["listeners"]
        listeners.append({"type": "http", "port": replication, "resources": [{"names": ["replication"]}], **_LOOPBACK})
        settings = {
            "listeners": listeners,
            "redis": {"enabled": True, "host": "127.0.0.1", "port": redis},
            "instance_map": {"main": {"host": "127.0.0.1", "port": replication}},
            "worker_replication_secret": "between the processes",
        }
        Path(server.config_path[1], "80-workers.yaml").write_text(json.dumps(settings))
        servers.restart(server)
        workers = [_worker(server, number) for number in range(1, count + 1)]
        processes = [running.enter_context(_ended(_start(server, worker))) for worker in workers]
        for worker, process in zip(workers, processes):
            until(functools.partial(_answers, server, worker, process), bool)
        yield workers


def _worker(server: Server, number: int) -> Worker:
    name = f"worker{number}"
    directory = Path(server.directory)
    client, metrics = servers.free_ports(2)
    worker = Worker(
        name,
        f"http://127.0.0.1:{client}",
        f"http://127.0.0.1:{metrics}/metrics",
        directory / f"{name}.log",
    )
    log_config = yaml.safe_load((directory / "log_config.yaml").read_text())
    log_config["handlers"]["file"]["filename"] = str(worker.log)
    (directory / f"{name}.log.config").write_text(json.dumps(log_config))
    settings = {
        "worker_app": "synapse.app.generic_worker",
        "worker_name": name,
        "worker_listeners": [
            {"type": "http", "port": client, "resources": [{"names": ["client", "federation"]}], **_LOOPBACK},
            {"type": "metrics", "port": metrics, **_LOOPBACK},
        ],
        "worker_log_config": str(directory / f"{name}.log.config"),
    }
    (directory / f"{name}.yaml").write_text(json.dumps(settings))
    return worker


def _start(server: Server, worker: Worker) -> subprocess.Popen[bytes]:
    directory = Path(server.directory)
    paths = [*server.config_path, str(directory / f"{worker.name}.yaml")]
    given = [word for path in paths for word in ("--config-path", path)]
    with (directory / f"{worker.name}.start").open("wb") as output:
        return subprocess.Popen(
            [server.python, "-m", "synapse.app.generic_worker", *given],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": ""},
        )


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> t.Iterator[subprocess.Popen[bytes]]:
    """End a process when it is not needed any more."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(server: Server, worker: Worker, process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the worker answers. Raises RuntimeError with its last words if it has ended."""
    if process.poll() is not None:
        written = [Path(server.directory, f"{worker.name}.start"), worker.log]
        said = "\n".join(path.read_text()[-2000:] for path in written if path.exists())
        raise RuntimeError(f"{worker.name} has ended with status {process.returncode}:\n{said}")
    try:
        with urllib.request.urlopen(f"{worker.base_url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
