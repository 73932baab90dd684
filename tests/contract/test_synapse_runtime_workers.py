# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_info and synapse_runtime_check see of a main process and two workers, and of what goes wrong."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import http.client
import json
import math
import os
import signal
import socket
import threading
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import hanging, servers, workers
from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_CLIENTS = 100
_ALL = ["activity", "caches", "memory", "open_files", "presence", "rates"]


class _Divided(t.NamedTuple):
    place: Place
    workers: list[workers.Worker]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[_Divided]:
    """A server with two workers, where no client is slowed down, and which asks also what is on loopback."""
    quick = {"per_second": 1000, "burst_count": 1000}
    with contextlib.ExitStack() as running:
        [server] = running.enter_context(
            servers.own_servers("postgresql", rc_presence={"per_user": quick}, **hanging.SETTINGS)
        )
        started = running.enter_context(workers.with_workers(server, 2))
        yield _Divided(Place(server, "divided", tmp_path_factory.mktemp("divided")), started)


def _by_name(seen: Result) -> dict[str, dict[str, t.Any]]:
    return {process["name"]: process for process in seen["processes"]}


def _connect(stack: contextlib.ExitStack, base_url: str, count: int) -> None:
    """Open connections, and send the beginning of a request on each, as a proxy does that never closes them."""
    parts = urllib.parse.urlsplit(base_url)
    for _number in range(count):
        connection = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), 30))
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n")


def _connections(place: Place, name: str, kind: str) -> int:
    seen = _by_name(runtime.look(place, gather=["open_files"]))
    return int(seen[name]["open_files_by_kind"][kind])


def test_every_process_is_described(divided: _Divided) -> None:
    place = divided.place
    server = place.server
    server.get("/_matrix/client/v3/sync?timeout=0")
    seen = runtime.look(place, gather=_ALL, rate_interval=1)
    processes = _by_name(seen)
    assert list(processes) == ["main", "worker1", "worker2"]
    assert seen["unknown"] == []
    assert seen["database_engine"] == "psycopg2"
    assert seen["presence_settings"] == {"mode": "enabled", "key": "default", "ignored": []}
    assert seen["host"]["memory_total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert seen["host"]["processors"] == os.cpu_count()
    running = server.get("/_synapse/admin/v1/server_version")["server_version"]
    for process in processes.values():
        assert process["version"] == running
        assert process["uptime_seconds"] >= 0
        assert sum(process["open_files_by_kind"].values()) == pytest.approx(process["open_files"], abs=5)
        assert process["open_files_by_kind"]["database"] >= 1
        assert process["open_files_by_kind"]["log"] >= 1
        assert process["open_files_by_kind"]["replication"] >= 1
        assert process["open_files_by_kind"]["listening"] >= 2
        assert process["memory"]["resident_bytes"] > process["memory"]["proportional_bytes"] > 20 * 1024**2
        assert process["threads"] > 1
        assert process["cpu"]["seconds"] > 0.1
        assert process["database"]["connections"]["max"] == 5
        assert process["database"]["transactions"] > 0
        assert process["database"]["wait_seconds"] >= 0
        assert process["event_loop"]["ticks"] > 10
        assert process["garbage_collection"]["collections"] >= 0
        # Workers can be asking the main process for something.
        assert process["requests"]["in_flight"] >= 0
        assert 1 <= process["rates"]["seconds"] < 60
        assert process["rates"]["cpu_share"] >= 0
        assert "growth" not in process
        _require_json(process)
    assert processes["main"]["presence"]["tracked_users"] >= 1
    looked_up = [cache for cache in processes["main"]["caches"] if cache.get("lookups")]
    assert looked_up
    for cache in looked_up:
        assert cache["hit_ratio"] == pytest.approx(cache["hits"] / cache["lookups"], abs=0.001)
        assert cache["evicted"].keys() == {"size", "time", "invalidation"}


def _require_json(value: t.Any) -> None:
    json.dumps(value, allow_nan=False)
    assert "null" not in json.dumps(value)


def test_a_leak_is_seen_as_growth(divided: _Divided) -> None:
    place = divided.place
    state = str(place.directory / "state.json")
    before = runtime.look(place, gather=["open_files", "memory"], state_path=state)
    assert "growth" not in before["processes"][0]
    assert Path(state).stat().st_mode & 0o777 == 0o600
    with contextlib.ExitStack() as leak:
        clients = _connections(place, "worker1", "client")
        _connect(leak, divided.workers[0].base_url, 60)
        until(functools.partial(_connections, place, "worker1", "client"), lambda count: count >= clients + 60)
        until(lambda: _grown(place, state), all)
        kept = Path(state).read_bytes()
        play(place, runtime.MODULE, runtime.parameters(place, gather=[], state_path=state), token=False, check=True)
        assert Path(state).read_bytes() == kept, "check mode has written the file"
        seen = _by_name(runtime.look(place, gather=["open_files", "memory"], state_path=state))
    growth = seen["worker1"]["growth"]
    assert growth["open_files"] == pytest.approx(60, abs=5)
    assert growth["open_files_by_kind"]["client"] == 60
    assert growth["seconds"] >= 1
    assert seen["main"]["growth"]["open_files_by_kind"]["client"] == 0
    local = [host for host in seen["worker1"]["remote_hosts"] if host["address"] == "127.0.0.1"]
    assert [host["kind"] for host in local] == ["client"]
    assert local[0]["connections"] >= 60


def _grown(place: Place, state: str) -> list[bool]:
    """Return whether the growth of each process is known, as check mode sees it, which keeps the file."""
    given = runtime.parameters(place, gather=[], state_path=state)
    seen = play(place, runtime.MODULE, given, token=False, check=True)
    return ["growth" in process for process in seen["processes"]]


def test_a_storm_of_presence_is_seen_as_rates(divided: _Divided) -> None:
    place = divided.place
    server = place.server
    clients = [_client(server, f"storm{number}") for number in range(_CLIENTS)]
    quiet = _by_name(runtime.look(place, gather=["rates"], rate_interval=1))["main"]["rates"]
    # A user who was online can go offline in this second.
    assert quiet["presence_state_transitions_per_minute"] < 500
    over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        storm = [pool.submit(_toggle, server, clients[start::8], over) for start in range(8)]
        seen = runtime.look(
            place,
            gather=["advice", "rates"],
            rate_interval=3,
            advice_thresholds={"presence_updates_per_minute": 500},
        )
        over.set()
    assert sum(one.result() for one in storm) > _CLIENTS
    rates = _by_name(seen)["main"]["rates"]
    assert rates["presence_updates_per_minute"] > 1000
    assert rates["presence_state_transitions_per_minute"] > 1000
    assert rates["requests_per_minute"] > 1000
    assert math.isfinite(rates["cpu_share"])
    [advice] = [one for one in seen["advice"] if one["topic"] == "presence"]
    assert advice["variables"] == {"synapse_presence_mode": "disabled"}
    assert advice["evidence"][0].startswith("Presence is enabled. main (process ")


class _Client(t.NamedTuple):
    user_id: str
    token: str


def _client(server: Server, localpart: str) -> _Client:
    user_id = server.make_account(localpart)
    return _Client(user_id, server.speaking_as(user_id))


def _toggle(server: Server, clients: t.Sequence[_Client], over: threading.Event) -> int:
    """Let each client be online and away in turn until it is over. Return how many requests that took."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.base_url).netloc, timeout=60)
    count = 0
    while not over.is_set():
        for client in clients:
            state = ("online", "unavailable")[count // len(clients) % 2]
            path = f"/_matrix/client/v3/presence/{urllib.parse.quote(client.user_id)}/status"
            headers = {"Authorization": f"Bearer {client.token}"}
            connection.request("PUT", path, json.dumps({"presence": state}), headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"{}")
            count += 1
    connection.close()
    return count


def _check(place: Place, **declared: t.Any) -> Result:
    return play(place, "synapse_runtime_check", runtime.parameters(place, **declared), token=False)


def test_requests_in_flight_are_counted_and_named(divided: _Divided) -> None:
    place = divided.place
    until(lambda: _check(place, in_flight_requests=0).get("failed", False), lambda failed: not failed)
    with hanging.hanging_request(place.server):
        seen = _by_name(runtime.look(place, gather=["activity"]))
        refused = _check(place, in_flight_requests=0)
        allowed = _check(place, in_flight_requests=20)
    assert seen["main"]["requests"]["in_flight"] >= 1
    hanging_one = {"method": hanging.METHOD, "servlet": hanging.SERVLET, "in_flight": 1}
    assert hanging_one in seen["main"]["requests"]["endpoints"]
    assert hanging_one not in seen["worker1"]["requests"]["endpoints"]
    assert {failure["declared"] for failure in refused["failures"]} == {"in_flight_requests"}
    [failure] = [failure for failure in refused["failures"] if failure["process"] == "main"]
    assert hanging.SERVLET in failure["reason"]
    assert not allowed.get("failed")


def test_a_worker_that_does_not_run_is_missed(divided: _Divided) -> None:
    place = divided.place
    proven = _check(place, workers=2)
    assert not proven.get("failed"), proven
    refused = _check(place, workers=3)
    assert "worker1" in refused["msg"]
    assert "worker2" in refused["msg"]
    [pid] = [process["pid"] for process in runtime.look(place, gather=[])["processes"][2:]]
    os.kill(pid, signal.SIGTERM)
    until(lambda: len(runtime.look(place, gather=[])["processes"]), lambda count: count == 2)
    refused = _check(place, workers=2)
    [failure] = refused["failures"]
    assert failure["declared"] == "workers"
    assert "worker1" in failure["reason"]
    assert not _check(place, workers=1).get("failed")


def test_synapse_accepts_the_configuration_of_each_process(divided: _Divided) -> None:
    server = divided.place.server
    own = [[], *([f"{server.directory}/{worker.name}.yaml"] for worker in divided.workers)]
    for more in own:
        asked = {
            "base_url": None,
            "config_path": [*server.config_path, *more],
            "validate": True,
            "synapse_python": server.python,
            "working_directory": server.directory,
        }
        done = play(divided.place, "synapse_config_info", asked, token=False)
        assert done["validation"] == {"accepted": True, "cause": "", "complaint": ""}
        assert done["config"]["faults"] == []
