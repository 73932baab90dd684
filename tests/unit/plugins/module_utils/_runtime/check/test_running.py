# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.check import (
    Connect,
    RuntimeCheck,
    Waiting,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

OUTDATED = [{"path": "/e/99-mine.yaml", "kind": "configuration", "reason": "/e/99-mine.yaml was changed."}]
HIDDEN = {"name": "outdated_by", "reason": "It is hidden.", "fix": "Run the task with become."}
RIGHT = {"name": "one", "size": 1, "max_size": 20, "expected_max_size": 20, "as_configured": True}
WRONG = {**RIGHT, "max_size": 10, "as_configured": False}
FACTOR = {"global_factor": 2.0}


class Clock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds


NAMED = (
    Call("GET", "/_matrix/key/v2/server", {"server_name": "a.org"}),
    Call("GET", "/_synapse/admin/v1/server_version", {"server_version": "1.2"}),
)


class Connecting:
    """Connects to a URL, and knows the time for each client. `needs`: the seconds that each client then needs."""

    def __init__(self, base_url: str, clock: Clock, needs: float = 0) -> None:
        self._base_url = base_url
        self._clock = clock
        self._needs = needs
        self.asked: list[int | None] = []

    def __call__(self, seconds: int | None) -> Client:
        self.asked.append(seconds)
        self._clock.time += self._needs
        return Client(self._base_url)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(
    machine: Machine, clock: Clock, *states: dict[str, t.Any], connect: Connect | None = None, **declared: t.Any
) -> dict[str, t.Any]:
    """Check the states that are read one after another, the last one again and again."""
    remaining = list(states)

    def read() -> dict[str, t.Any]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    check = RuntimeCheck(
        machine.declared(**declared),
        read,
        timeout=5,
        connect=connect,
        host=machine.host,
        waiting=Waiting(lambda: clock.time, clock.pause),
    )
    return check.run()


def state(*processes: dict[str, t.Any], **values: t.Any) -> dict[str, t.Any]:
    unknown = [one for process in processes for one in process["unknown"]]
    return {"processes": list(processes), "unknown": unknown, "restart_record": {}, **values}


def test_a_process_as_declared(machine: Machine, clock: Clock) -> None:
    found = state(machine.process(outdated_by=[]))
    assert run(machine, clock, found, user="matrix-synapse", fresh=True) == {
        "processes": found["processes"],
        "unknown": [],
        "caches_proven": False,
        "presence_proven": False,
        "proofs": {},
        "warnings": [],
    }
    assert (clock.pauses, machine.asked) == ([], 0)


def test_no_process_runs(machine: Machine, clock: Clock) -> None:
    with pytest.raises(StateNotReached) as raised:
        run(machine, clock, state(), open_files=4, base_url="http://a", option_names={"base_url": "my_url"})
    assert raised.value.message == (
        f"No Synapse process runs on this host with the configuration {machine.configuration}. Start Synapse. See"
        f" journalctl --unit {UNIT} if it does not stay up. If a server still answers at http://a, it is a different"
        " one: set my_url to the URL of this server."
    )
    [failure] = raised.value.details["failures"]
    assert failure.keys() == {"declared", "reason"}


def test_processes_that_cannot_be_seen(machine: Machine, clock: Clock) -> None:
    hidden = {"name": "processes", "reason": "Process 7 is hidden.", "fix": "Run the task with become."}
    with pytest.raises(StateNotReached, match=r"Process 7 is hidden\. Run the task with become\.$"):
        run(machine, clock, state(unknown=[hidden]))
    with pytest.raises(StateNotReached, match=r"Process 7 is hidden\. Run the task with become\.$"):
        run(machine, clock, state(machine.process(), unknown=[hidden]), fresh=True)
    # It may be of somebody else, and nothing is declared of it.
    run(machine, clock, state(machine.process(), unknown=[hidden]))


def test_every_failure_is_in_the_message_once(machine: Machine, clock: Clock) -> None:
    few = {"soft": 1000, "hard": 1000}
    main = machine.process(outdated_by=OUTDATED, user="root", file_limits=few)
    worker = machine.process(name=None, pid=71, outdated_by=[], unknown=[HIDDEN])
    with pytest.raises(StateNotReached) as raised:
        run(machine, clock, state(main, worker), fresh=True, user="matrix-synapse", open_files=4000)
    assert raised.value.message == (
        f"main (process 70) runs as root, not as matrix-synapse. Restart {UNIT}. main (process 70) does not run with"
        f" its present files. /e/99-mine.yaml was changed. Restart {UNIT}. main (process 70) can open 1000 files,"
        " but synapse_file_limits_nofile is 4000. It was not restarted after the limit was set: restart"
        f" {UNIT}."
    )
    declared = [(one["declared"], one.get("process"), one["pid"]) for one in raised.value.details["failures"]]
    assert declared == [("user", "main", 70), ("fresh", "main", 70), ("open_files", "main", 70)]
    # The state of the processes would hide the sentences.
    assert "processes" not in raised.value.details
    assert raised.value.details["warnings"] == [
        "Whether worker (process 71) runs with all of its present files is unknown. It is hidden. Run the task with"
        " become."
    ]


def test_what_is_not_declared_does_not_matter(machine: Machine, clock: Clock) -> None:
    process = machine.process(outdated_by=OUTDATED, user="root", file_limits={"soft": 1, "hard": 1}, unknown=[HIDDEN])
    assert run(machine, clock, state(process))["proofs"] == {}


def test_a_process_without_a_unit_is_restarted_itself(machine: Machine, clock: Clock) -> None:
    with pytest.raises(StateNotReached, match=r"was changed\. Restart it\.$"):
        run(machine, clock, state(machine.process(outdated_by=OUTDATED, unit=None)), fresh=True, unit="")


def test_waiting_for_a_process(machine: Machine, clock: Clock) -> None:
    run(machine, clock, state(), state(), state(machine.process()), wait_timeout=30)
    assert clock.pauses == [0.25, 0.5]
    with pytest.raises(StateNotReached, match="^No Synapse process runs"):
        run(machine, clock, state(), wait_timeout=3)
    assert 3 <= sum(clock.pauses) - 0.75 < 4


def test_waiting_for_the_version(machine: Machine, clock: Clock) -> None:
    silent = state(machine.process(), unknown=[])
    answering = state(machine.process(), server={"name": "a.org", "version": "1.2"})
    run(machine, clock, silent, answering, version="1.2", wait_timeout=30)
    assert clock.pauses == [0.25]
    with pytest.raises(StateNotReached, match="declared are any name and 1.3"):
        run(machine, clock, silent, answering, version="1.3", wait_timeout=30)


def test_waiting_for_an_answer(machine: Machine, clock: Clock) -> None:
    with ScriptedServer() as server:
        server.expect(Call("GET", "/health", drop=True), Call("GET", "/health", text=b"no", status=503))
        server.expect(Call("GET", "/health", text=b"OK"))
        server.expect(*NAMED)
        connect = Connecting(server.base_url, clock)
        found = run(
            machine,
            clock,
            state(machine.process()),
            connect=connect,
            answers=True,
            wait_timeout=30,
            base_url="http://a",
        )
    assert found["proofs"] == {"server": "Server: Synapse 1.2 answers as a.org at http://a."}
    assert found["server"] == {"name": "a.org", "version": "1.2"}
    assert clock.pauses == [0.25, 0.5]
    # In the first request, and then in whole seconds of those that are left.
    assert connect.asked == [30, 29, 29, 29]


def test_a_server_that_never_answers(machine: Machine, clock: Clock) -> None:
    connect = Connecting("http://127.0.0.1:1", clock)
    with pytest.raises(
        StateNotReached, match=r"^Synapse does not answer at .*/health after 5 seconds \(Connection refused"
    ):
        run(machine, clock, state(machine.process()), connect=connect, answers=True, wait_timeout=5)
    assert sum(clock.pauses) == 5
    assert connect.asked == [5, 4, 4, 3, 2, 1, 1, 1, 1]


def test_slow_requests_are_part_of_the_time(machine: Machine, clock: Clock) -> None:
    connect = Connecting("http://127.0.0.1:1", clock, needs=3)
    with pytest.raises(StateNotReached, match=r"/health after 6 seconds \("):
        run(machine, clock, state(machine.process()), connect=connect, answers=True, wait_timeout=5)
    assert connect.asked == [5, 1, 1]
    assert clock.pauses == [0.25]


def test_a_slow_server_whose_health_is_not_declared(machine: Machine, clock: Clock) -> None:
    connect = Connecting("http://127.0.0.1:1", clock, needs=3)
    with pytest.raises(StateNotReached, match="^Whether the server has version is unknown"):
        run(machine, clock, state(machine.process()), connect=connect, version="1.2", wait_timeout=2)
    assert (connect.asked, clock.pauses) == ([2], [])


def test_the_caches_are_waited_for_in_the_rest_of_the_time(machine: Machine, clock: Clock) -> None:
    wrong = state(machine.process(caches=[WRONG]), cache_settings=FACTOR)
    with pytest.raises(StateNotReached, match="do not have the size that the configuration sets"):
        run(machine, clock, state(), state(), state(), state(), wrong, caches=True, wait_timeout=4)
    assert sum(clock.pauses) == 4


def test_a_check_that_does_not_wait_has_the_declared_timeout(machine: Machine, clock: Clock) -> None:
    with ScriptedServer() as server:
        server.expect(Call("GET", "/health", text=b"OK"), *NAMED)
        connect = Connecting(server.base_url, clock)
        run(machine, clock, state(machine.process()), connect=connect, answers=True)
    assert connect.asked == [None, None]


def test_a_server_whose_health_is_not_declared(machine: Machine, clock: Clock) -> None:
    with ScriptedServer() as server:
        server.expect(NAMED[0], Call("GET", NAMED[1].path, status=404))
        connect = Connecting(server.base_url, clock)
        found = run(machine, clock, state(machine.process()), connect=connect, server_name="a.org")
    assert found["server"] == {"name": "a.org"}
    assert [one["name"] for one in found["unknown"]] == ["server.version"]


def test_waiting_for_the_caches_after_a_reload(machine: Machine, clock: Clock) -> None:
    wrong = state(machine.process(caches=[WRONG]), cache_settings=FACTOR)
    right = state(machine.process(caches=[RIGHT]), cache_settings=FACTOR)
    assert run(machine, clock, wrong, wrong, right, caches=True, wait_timeout=60)["caches_proven"]
    assert clock.pauses == [1.0, 1.0]
    with pytest.raises(StateNotReached, match="do not have the size that the configuration sets"):
        run(machine, clock, wrong, caches=True, wait_timeout=60)
    assert sum(clock.pauses) == 12
    clock.pauses.clear()
    with pytest.raises(StateNotReached):
        run(machine, clock, wrong, caches=True)
    assert not run(machine, clock, wrong, report_caches=True, wait_timeout=60)["caches_proven"]
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"config_path": []}, "^config_path is empty"),
        ({"open_files": 0}, "^open_files is 0"),
        ({"wait_timeout": -1}, "^wait_timeout is -1"),
    ],
)
def test_options_that_cannot_be_meant(values: dict[str, t.Any], message: str) -> None:
    given = {**dict.fromkeys(Declared.__dataclass_fields__), "config_path": ["/a"], "wait_timeout": 0}
    assert Declared.read(given).called("open_files") == "open_files"
    with pytest.raises(InvalidInput, match=message):
        Declared.read({**given, **values})


@pytest.mark.parametrize(
    ("unit", "log_path", "hint"),
    [
        ("u.service", "/log", "See /log and journalctl --unit u.service"),
        ("", "/log", "See /log"),
        ("u.service", None, "See journalctl --unit u.service"),
        ("", None, "See the log of Synapse"),
    ],
)
def test_where_the_log_is(unit: str, log_path: str | None, hint: str) -> None:
    assert Declared(unit=unit, log_path=log_path).log_hint == hint
