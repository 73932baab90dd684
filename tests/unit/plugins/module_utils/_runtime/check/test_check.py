# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That the check of the processes judges presence, workers and requests, and waits for workers."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.check import RuntimeCheck, Waiting
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

DISABLED = {"mode": "disabled", "key": "presence.enabled", "path": "/e/h.yaml", "ignored": []}


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def run(machine: Machine, *states: list[dict[str, t.Any]], **declared: t.Any) -> tuple[dict[str, t.Any], list[float]]:
    """Check the processes that are read one after another, the last ones again and again. Return the pauses too."""
    remaining = list(states)
    pauses: list[float] = []

    def read() -> dict[str, t.Any]:
        return {"processes": remaining.pop(0) if len(remaining) > 1 else remaining[0], "unknown": []}

    checked = RuntimeCheck(
        machine.declared(**declared),
        read,
        timeout=5,
        host=machine.host,
        waiting=Waiting(lambda: 1000.0 + sum(pauses), pauses.append),
    )
    return checked.run(), pauses


def worker(machine: Machine, name: str, pid: int) -> dict[str, t.Any]:
    return machine.process(app="synapse.app.generic_worker", name=name, pid=pid)


def test_everything_as_declared(machine: Machine) -> None:
    main = machine.process(presence_settings=DISABLED, outdated_by=[], requests={"in_flight": 1})
    found, pauses = run(machine, [main], presence="disabled", workers=0, in_flight_requests=1)
    assert found["proofs"].keys() == {"presence", "workers", "in_flight_requests"}
    assert (found["presence_proven"], found["warnings"], pauses) == (False, [], [])


def test_each_pause_is_reported(machine: Machine, reports: list[tuple[t.Any, ...]]) -> None:
    main = machine.process()
    _found, pauses = run(machine, [], [main], [main, worker(machine, "one", 78)], workers=1, wait_timeout=60)
    assert reports == [(Work.RUNNING,)] * len(pauses)
    assert len(pauses) == 2


def test_nothing_as_declared(machine: Machine) -> None:
    main = machine.process(presence_settings=DISABLED, requests={"in_flight": 1})
    with pytest.raises(StateNotReached) as raised:
        run(machine, [main], presence="enabled", workers=1, in_flight_requests=0)
    declared = [failure["declared"] for failure in raised.value.details["failures"]]
    assert declared == ["workers", "in_flight_requests", "presence"]


def test_a_file_that_synapse_does_not_read(machine: Machine) -> None:
    directory = machine.directory / "conf.d"
    directory.mkdir()
    (directory / "presence.yml").write_text("presence: {enabled: true}\n")
    (directory / "other.yaml").write_text("{}\n")
    paths = (str(machine.configuration), str(directory))
    main = machine.process(presence_settings=DISABLED)
    with pytest.raises(StateNotReached) as raised:
        run(machine, [main], presence="enabled", config_path=paths)
    [warning] = raised.value.details["warnings"]
    assert str(directory / "presence.yml") in warning
    # It does not matter to what is as declared.
    found, _pauses = run(machine, [main], presence="disabled", config_path=paths)
    assert found["warnings"] == []


def test_waiting_for_workers(machine: Machine) -> None:
    main, one, two = machine.process(), worker(machine, "a", 71), worker(machine, "b", 72)
    found, pauses = run(machine, [main], [main, one], [main, one, two], workers=2, wait_timeout=30)
    assert (found["proofs"]["workers"], pauses) == ("Workers: 2 workers run: a, b.", [0.25, 0.5])
    # Those that end need time too.
    assert run(machine, [main, one, two], [main, one], workers=1, wait_timeout=30)[1] == [0.25]
    assert run(machine, [main, one], [main], workers=0, wait_timeout=30)[1] == [0.25]
    # They are not waited for if nothing is declared of them.
    assert run(machine, [main], [main, one], wait_timeout=30)[1] == []
    with pytest.raises(StateNotReached, match="^0 workers of this Synapse run"):
        run(machine, [main], workers=1, wait_timeout=3)
    with pytest.raises(StateNotReached, match="^0 workers of this Synapse run"):
        run(machine, [main], [main, one], workers=1)


def test_everything_that_a_process_lacks_because_it_is_starting(machine: Machine) -> None:
    machine.shown.update(LoadState="loaded", ActiveState="activating", SubState="start", Result="success")
    main = machine.process(file_limits={"soft": 1024, "hard": 524288}, outdated_by=[], caches=[])
    states = {"processes": [main], "unknown": [], "cache_settings": {"global_factor": 1.0}}
    declared = {"open_files": 4096, "in_flight_requests": 1, "require_cache_proof": True}
    check = RuntimeCheck(machine.declared(**declared), lambda: states, timeout=5, host=machine.host)
    (machine.proc / "70").mkdir()
    with pytest.raises(StateNotReached) as raised:
        check.run()
    assert [failure["declared"] for failure in raised.value.details["failures"]] == [
        "open_files",
        "require_cache_proof",
        "in_flight_requests",
    ]
    assert raised.value.message == (
        f"main (process 70) is not ready. {UNIT} is still starting, and Synapse is not ready yet: wait. See journalctl"
        f" --unit {UNIT} if it does not start."
    )
