# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.requests import judge_requests
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import Machine

FREE = {"connections": {"working": 1, "open": 5, "max": 10}}
FULL = {"connections": {"working": 10, "open": 10, "max": 10}}
POSTGRESQL = {"database": {"name": "psycopg2", "args": {"cp_max": 10}}}
NEITHER = "They wait neither for a connection to the database nor for the event loop: see the log for slow requests."


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def judge(machine: Machine, *processes: dict[str, t.Any], most: int | None = 5, **declared: t.Any) -> Verdict:
    verdict = Verdict()
    judge_requests(machine.declared(in_flight_requests=most, **declared), processes, verdict)
    return verdict


def busy(machine: Machine, count: int = 8, waited: float = 0.0, **values: t.Any) -> dict[str, t.Any]:
    requests = {"in_flight": count, "long_polls": 90, "endpoints": [], "database_wait_seconds": waited}
    return machine.process(**{"requests": requests, "database": FREE, **values})


def test_nothing_is_declared(machine: Machine) -> None:
    verdict = judge(machine, machine.process(), most=None)
    assert (verdict.failures, verdict.proofs) == ([], {})


def test_the_proof(machine: Machine) -> None:
    assert judge(machine, busy(machine, 5)).proofs == {
        "in_flight_requests": "Requests: 5 in flight in main. At most 5 are allowed."
    }
    verdict = judge(machine, busy(machine, 5), busy(machine, 0, pid=71, name="w1"))
    assert verdict.failures == []
    assert verdict.proofs["in_flight_requests"].startswith("Requests: 5 or 0 in flight in main, w1.")


def test_the_endpoints(machine: Machine) -> None:
    process = busy(machine)
    names = ["SyncRestServlet", "A", "SlidingSyncRestServlet", "B", "C", "D"]
    process["requests"]["endpoints"] = [
        {"method": "GET", "servlet": name, "in_flight": 9 - number} for number, name in enumerate(names)
    ]
    verdict = judge(machine, process, option_names={"in_flight_requests": "my_most"})
    assert verdict.message == (
        "main (process 70) has 8 requests in flight, but my_most is 5. Most of them are 8 of GET A, 6 of GET B, 5 of"
        f" GET C. {NEITHER}"
    )
    [failure] = verdict.failures
    assert (failure["declared"], failure["process"], verdict.proofs) == ("in_flight_requests", "main", {})


def test_one_request(machine: Machine) -> None:
    assert judge(machine, busy(machine, 1), most=0).message.startswith("main (process 70) has 1 request in flight, but")


def test_labels_of_another_program(machine: Machine) -> None:
    process = busy(machine)
    process["requests"]["endpoints"] = [{"method": "GET\n", "servlet": "A" * 900, "in_flight": 8}]
    message = judge(machine, process).message
    assert f"are 8 of GET? {'A' * 60}. " in message


@pytest.mark.parametrize(
    ("configuration", "pool"),
    [
        (POSTGRESQL, "sets cp_max to 10: raise it if PostgreSQL is not busy, or look for slow queries."),
        ({"database": {"name": "psycopg2"}}, "does not set cp_max, so it is 5: raise it if PostgreSQL"),
        ({"database": {"name": "psycopg2", "args": {"cp_max": True}}}, "does not set cp_max"),
        ({"database": {"name": "psycopg2", "args": [1]}}, "does not set cp_max"),
        ({"databases": {"one": POSTGRESQL["database"], "two": 4}}, "sets cp_max to 10"),
        ({"database": {"name": "sqlite3"}}, "sets an SQLite database, which has only one: use PostgreSQL."),
        ({"database": {}}, "sets an SQLite database"),
        ({"database_path": "/x"}, "sets an SQLite database"),
        ({"database_path": "/x", **POSTGRESQL}, "sets cp_max to 10"),
    ],
)
def test_all_connections_are_in_use(machine: Machine, configuration: dict[str, t.Any], pool: str) -> None:
    machine.configure(configuration)
    message = judge(machine, busy(machine, waited=12.34, database=FULL)).message
    assert (
        "but in_flight_requests is 5. All 10 connections to the database are in use, and the requests have waited 12.3"
        f" seconds for one so far. {machine.configuration} {pool}"
    ) in message


def test_a_later_file_replaces_the_pool(machine: Machine) -> None:
    machine.configure(POSTGRESQL)
    later = machine.configuration.with_name("later.yaml")
    later.write_text('{"database": {"name": "psycopg2", "args": {"user": "synapse"}}}')
    paths = [str(machine.configuration), str(later)]
    message = judge(machine, busy(machine, waited=12.34, database=FULL, config_path=paths)).message
    assert f"{later} does not set cp_max, so it is 5: raise it" in message
    assert (
        f"{later} replaces the whole database block of {machine.configuration}, so that database.args.cp_max" in message
    )


def test_the_requests_have_waited_for_the_database(machine: Machine) -> None:
    assert judge(machine, busy(machine, waited=0.8)).message.endswith(
        "They have waited 0.8 seconds for a connection to the database so far. Check whether the database is slow."
    )
    assert judge(machine, busy(machine, waited=0.7)).message.endswith(NEITHER)
    # No connection was made yet.
    assert judge(machine, busy(machine, database={"connections": {"working": 0, "max": 0}})).message.endswith(NEITHER)


def test_a_configuration_that_cannot_be_read(machine: Machine) -> None:
    machine.configuration.write_text("a: [")
    message = judge(machine, busy(machine, database=FULL)).message
    assert f"Which file sets their number (cp_max) is unknown. {machine.configuration} is not valid YAML" in message


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        ({"average_tick_seconds": 0.25, "last_tick_seconds_ago": 0.1}, "takes 0.25 seconds on average. Give"),
        (
            {"average_tick_seconds": 0.01, "last_tick_seconds_ago": 7.0},
            "takes 0.01 seconds on average, and the present one has lasted 7.0 seconds. Give",
        ),
        ({"last_tick_seconds_ago": 7.0}, "and the present one has lasted 7.0 seconds. Give"),
        ({"average_tick_seconds": 0.01, "last_tick_seconds_ago": 0.1}, NEITHER),
    ],
)
def test_the_event_loop(machine: Machine, loop: dict[str, float], words: str) -> None:
    assert words in judge(machine, busy(machine, event_loop=loop)).message


def test_only_what_the_metrics_contain(machine: Machine) -> None:
    process = machine.process(requests={"in_flight": 8})
    assert judge(machine, process).message.endswith(f"but in_flight_requests is 5. {NEITHER}")


def test_metrics_that_cannot_be_read(machine: Machine) -> None:
    hidden = {"name": "activity", "reason": "It has no listener.", "fix": "Add one."}
    verdict = judge(machine, machine.process(unknown=[hidden]), busy(machine, 0))
    assert verdict.message == (
        "Whether main (process 70) has at most the declared in_flight_requests is unknown. It has no listener. Add one."
    )
    assert "Its metrics cannot be read." in judge(machine, machine.process()).message
    impossible = machine.process(unknown=[hidden], requests={"endpoints": []})
    assert "is unknown. It has no listener." in judge(machine, impossible).message
    assert verdict.proofs == {}
