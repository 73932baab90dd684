# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers for the tests: those that all workers share, and those that a test has for itself."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import json
import operator
import os
import subprocess
import tempfile
import types
import typing as t
from pathlib import Path

import yaml

from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

ENGINES = ("sqlite", "postgresql")

# Who stops the shared servers, and where their descriptions lie: the process that began the tests tells its workers.
_OWNER, _SHARED = "CONTRACT_OWNER", "CONTRACT_SHARED"
PROGRAM = Path(__file__).resolve().parents[1] / "integration" / "targets" / "setup_synapse" / "files" / "servers.py"
# A server that cannot be reached is given up at once: what is on loopback answers in time.
_SETTINGS: dict[str, t.Any] = {"federation": {"client_timeout": "1s", "max_long_retries": 0, "max_short_retries": 0}}
# The user of PostgreSQL, when the tests run as root.
_USER = "nobody"


@contextlib.contextmanager
def shared() -> t.Iterator[None]:
    """Begin the time in which servers are shared by this process and all that it starts, and stop them after it."""
    with tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_shared_") as directory:
        os.environ.update({_OWNER: str(os.getpid()), _SHARED: directory})
        try:
            yield
        finally:
            for described in Path(directory).glob("*.json"):
                stop(json.loads(described.read_text())["directory"])
            del os.environ[_SHARED], os.environ[_OWNER]


def shared_server(engine: str) -> Server:
    """Return the server on `engine` that all tests share, started now if this is the first one that asks for it."""
    described = Path(os.environ[_SHARED]) / f"{engine}.json"
    # Whoever comes second waits until the first one has started it.
    with described.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            described.write_text(json.dumps(start(engine, owner=int(os.environ[_OWNER]))))
    return Server(json.loads(described.read_text())["servers"][0])


@contextlib.contextmanager
def own_servers(*engines: str, federating: bool = False, **settings: t.Any) -> t.Iterator[list[Server]]:
    """Start servers that nobody else uses, with further keys of homeserver.yaml, and stop them afterwards."""
    started = start(",".join(engines), owner=os.getpid(), federating=federating, **settings)
    try:
        yield [Server(described) for described in started["servers"]]
    finally:
        stop(started["directory"])


def start(engines: str, *, owner: int, federating: bool = False, **settings: t.Any) -> dict[str, t.Any]:
    """Start servers on `engines` (with a comma between) that `owner` stops; return their description."""
    given = settings if federating else {**_SETTINGS, **settings}
    arguments = [engines, json.dumps(given), os.environ["CONTRACT_POSTGRESQL_BIN"], _USER]
    printed = _run("start", *arguments, *(["federating"] if federating else []), owner=owner)
    return t.cast("dict[str, t.Any]", json.loads(printed.splitlines()[-1]))


def stop(directory: str) -> None:
    """Stop the servers below `directory` and remove it."""
    _run("stop", directory)


def halt(server: Server) -> None:
    """Stop one server of one's own; `restart` starts it again."""
    _run("halt", server.directory)


def restart(server: Server) -> None:
    """Stop one server of one's own if it runs, and start it with the configuration that it has now."""
    _run("restart", server.directory, server.base_url)


def listen_at_socket(server: Server, unix_socket: str) -> None:
    """Let a server of one's own listen for clients only at a Unix socket from now on."""
    path = Path(server.config_path[0])
    configuration = yaml.safe_load(path.read_text())
    [metrics] = [each for each in configuration["listeners"] if each["type"] == "metrics"]
    resources = [{"names": ["client", "federation"]}]
    # Listeners are opened in their order: when the last one answers, so does the first one.
    configuration["listeners"] = [{"type": "http", "path": unix_socket, "resources": resources}, metrics]
    path.write_text(yaml.safe_dump(configuration))
    _run("restart", server.directory, server.metrics_url.rpartition("/")[0])
    server.forget_connection()
    server.unix_socket = unix_socket


def wait_for_profiles(server: Server) -> None:
    """Wait until an index of a new database is complete: before, Synapse 1.163 answers a reactivation with 500.

    Raises AssertionError if it never is.
    """
    pending = "SELECT update_name FROM background_updates WHERE update_name = 'profiles_full_user_id_key_idx'"
    until(lambda: server.rows(pending), operator.not_)


def free_ports(count: int) -> list[int]:
    """Return free ports on loopback, which no other server of the tests gets while this process runs."""
    return t.cast("list[int]", processes().free_ports(count))


@functools.lru_cache
def processes() -> types.ModuleType:
    """Return the module that keeps ports, which lies beside the program that starts the servers."""
    specification = importlib.util.spec_from_file_location("processes", PROGRAM.with_name("processes.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _run(*arguments: str, owner: int = 0) -> str:
    done = subprocess.run(
        [os.environ["CONTRACT_SYNAPSE_PYTHON"], PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "SETUP_SYNAPSE_OWNER": str(owner), "PYTHONPATH": ""},
        cwd=tempfile.gettempdir(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"servers.py {arguments[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout
