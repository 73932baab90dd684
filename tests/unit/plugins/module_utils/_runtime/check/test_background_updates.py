# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.background_updates import (
    BackgroundUpdates,
    are_as_declared,
    judge_background_updates,
    read_background_updates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.check import RuntimeCheck, Waiting
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import Machine

NONE = BackgroundUpdates()
ONE = BackgroundUpdates(({"name": "one", "progress": {}},))
TWO = BackgroundUpdates((*ONE.pending, {"name": "two", "depends_on": "one"}))
LOCKED = BackgroundUpdates(problem="The SQLite database /x refused a query: no such table.")
WRONG = BackgroundUpdates(problem="No database is set in /h.yaml.", lasting=True)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    machine = Machine(tmp_path)
    (machine.proc / "70").mkdir()
    return machine


def make_database(path: pathlib.Path, *names: str) -> dict[str, t.Any]:
    """Create a database with pending updates, and return its settings."""
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE background_updates (update_name text, progress_json text, depends_on text, ordering int)"
    )
    connection.executemany("INSERT INTO background_updates VALUES (?, '{}', NULL, 1)", [(name,) for name in names])
    connection.commit()
    connection.close()
    return {"name": "sqlite3", "args": {"database": str(path)}}


def judge(updates: BackgroundUpdates | None, most: int | None = 0, waited: float = 0, **values: t.Any) -> Verdict:
    verdict = Verdict()
    judge_background_updates(Declared(pending_background_updates=most, **values), updates, waited, verdict)
    return verdict


def test_all_are_complete() -> None:
    assert judge(NONE).proofs == {"pending_background_updates": "Background updates: all are complete."}


def test_some_are_left_that_are_allowed() -> None:
    assert judge(TWO, most=2).proofs == {
        "pending_background_updates": "Background updates: 2 left: one, two. At most 2 are allowed."
    }


def test_more_are_left_than_declared() -> None:
    verdict = judge(
        TWO, 1, 8.9, wait_timeout=9, unit="u.service", option_names={"pending_background_updates": "my_most"}
    )
    [failure] = verdict.failures
    assert (failure["declared"], verdict.proofs) == ("pending_background_updates", {})
    assert verdict.message == (
        "2 background updates are not complete after 9 seconds, but my_most is 1: one, two. Synapse works, but until"
        " they are complete, some requests fail with status 500, such as the reactivation of an account on SQLite, and"
        " others are slow. Run the task again later, or raise wait_timeout. If the same ones remain, see journalctl"
        " --unit u.service for lines with background_updates."
    )


def test_one_is_left() -> None:
    verdict = judge(ONE, option_names={"wait_timeout": "my_timeout"})
    assert verdict.message.startswith("1 background update is not complete, but pending_background_updates is 0: one.")
    assert " or raise my_timeout. If the same ones remain, see the log of Synapse for " in verdict.message


def test_names_that_are_many_or_strange() -> None:
    names = ["a\nb", "c" * 900, *(f"u{number}" for number in range(10))]
    message = judge(BackgroundUpdates(tuple({"name": name} for name in names))).message
    assert f": a?b, {'c' * 100}, u0, u1, u2, u3, u4, u5, u6, u7 and 2 more. Synapse" in message


def test_they_cannot_be_read() -> None:
    verdict = judge(LOCKED, most=5)
    assert verdict.message == (
        "Whether at most the declared pending_background_updates are left is unknown. The SQLite database /x refused a"
        " query: no such table."
    )
    assert verdict.proofs == {}


def test_nothing_is_declared_or_was_read() -> None:
    for verdict in (judge(None), judge(TWO, most=None)):
        assert (verdict.failures, verdict.proofs) == ([], {})


@pytest.mark.parametrize(
    ("updates", "most", "expected"),
    [(NONE, 0, True), (ONE, 0, False), (ONE, 1, True), (TWO, 1, False), (LOCKED, 9, False), (TWO, None, True)],
)
def test_whether_they_are_as_declared(updates: BackgroundUpdates, most: int | None, expected: bool) -> None:
    assert are_as_declared(Declared(pending_background_updates=most), updates) is expected


def test_reading(machine: Machine) -> None:
    machine.configure({"database": make_database(machine.directory / "one.db", "a", "b")})
    found = read_background_updates(machine.declared(), 5)
    assert found == BackgroundUpdates(({"name": "a", "progress": {}}, {"name": "b", "progress": {}}))


def test_reading_several_databases(machine: Machine) -> None:
    state = {**make_database(machine.directory / "state.db", "c"), "data_stores": ["state"]}
    main = {**make_database(machine.directory / "main.db", "a"), "data_stores": ["main"]}
    machine.configure({"databases": {"first": state, "second": main}})
    found = read_background_updates(machine.declared(), 5)
    assert [update["name"] for update in found.pending] == ["a", "c"]


def test_reading_a_relative_path(machine: Machine) -> None:
    make_database(machine.directory / "one.db", "a")
    machine.configure({"database": {"name": "sqlite3", "args": {"database": "one.db"}}})
    found = read_background_updates(machine.declared(working_directory=str(machine.directory)), 5)
    assert len(found.pending) == 1
    found = read_background_updates(machine.declared(), 5)
    assert found.lasting
    assert "has a relative path. Set working_directory" in found.problem


def test_a_database_that_cannot_be_read(machine: Machine) -> None:
    machine.configure({})
    found = read_background_updates(machine.declared(), 5)
    assert (found.lasting, found.problem.startswith("No database is set in")) == (True, True)
    machine.configure({"database": {"name": "sqlite3", "args": {"database": str(machine.directory / "none.db")}}})
    found = read_background_updates(machine.declared(), 5)
    assert (found.lasting, "none.db does not exist" in found.problem) == (False, True)
    sqlite3.connect(machine.directory / "none.db").close()
    assert "no such table: background_updates" in read_background_updates(machine.declared(), 5).problem


class Updates:
    """Background updates that are read one after another, the last ones again and again. It takes the process down."""

    def __init__(self, machine: Machine, *states: BackgroundUpdates, ends_after: int = 0) -> None:
        self.machine = machine
        self.states = list(states)
        self.ends_after = ends_after
        self.reads = 0
        self.pauses: list[float] = []

    def read(self, declared: Declared, timeout: float) -> BackgroundUpdates:
        self.reads += 1
        if self.reads == self.ends_after:
            (self.machine.proc / "70").rmdir()
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def processes(self) -> dict[str, t.Any]:
        runs = (self.machine.proc / "70").is_dir()
        return {"processes": [self.machine.process()] if runs else [], "unknown": []}

    def check(self, **declared: t.Any) -> dict[str, t.Any]:
        waiting = Waiting(lambda: 1000.0 + sum(self.pauses), self.pauses.append)
        return RuntimeCheck(
            self.machine.declared(**{"pending_background_updates": 0, **declared}),
            self.processes,
            timeout=5,
            host=self.machine.host,
            waiting=waiting,
            read_updates=self.read,
        ).run()


def test_they_are_not_read_if_nothing_is_declared(machine: Machine) -> None:
    updates = Updates(machine, TWO)
    assert "background_updates" not in updates.check(pending_background_updates=None)
    assert updates.reads == 0


def test_waiting_for_them(machine: Machine) -> None:
    updates = Updates(machine, TWO, TWO, ONE, NONE)
    found = updates.check(wait_timeout=60)
    assert (found["background_updates"], updates.pauses) == ([], [0.25, 0.5, 1.0])
    assert found["proofs"] == {"pending_background_updates": "Background updates: all are complete."}
    updates = Updates(machine, TWO, ONE)
    assert updates.check(wait_timeout=60, pending_background_updates=1)["background_updates"] == list(ONE.pending)


def test_each_pause_is_reported(machine: Machine, reports: list[tuple[t.Any, ...]]) -> None:
    Updates(machine, LOCKED, TWO, ONE, NONE).check(wait_timeout=60)
    assert reports == [(Work.BACKGROUND_UPDATES, left) for left in (None, 2, 1)]


def test_they_are_not_complete_in_time(machine: Machine) -> None:
    updates = Updates(machine, TWO)
    with pytest.raises(StateNotReached, match="^2 background updates are not complete after 30 seconds") as raised:
        updates.check(wait_timeout=30)
    assert raised.value.details["background_updates"] == list(TWO.pending)
    updates = Updates(machine, TWO)
    with pytest.raises(StateNotReached, match="^2 background updates are not complete, but"):
        updates.check()
    assert (updates.reads, updates.pauses) == (1, [])


def test_waiting_for_a_database_that_does_not_exist_yet(machine: Machine) -> None:
    updates = Updates(machine, LOCKED, ONE, NONE)
    assert updates.check(wait_timeout=60)["background_updates"] == []


def test_not_waiting_for_a_database_that_cannot_be_read(machine: Machine) -> None:
    updates = Updates(machine, LOCKED)
    with pytest.raises(StateNotReached, match="is unknown. The SQLite database /x refused") as raised:
        updates.check(wait_timeout=3600)
    assert 10 <= sum(updates.pauses) <= 11
    assert "background_updates" not in raised.value.details
    updates = Updates(machine, WRONG)
    with pytest.raises(StateNotReached, match="is unknown. No database is set"):
        updates.check(wait_timeout=3600)
    assert updates.pauses == []


def test_synapse_ends_in_the_meantime(machine: Machine) -> None:
    updates = Updates(machine, TWO, ends_after=3)
    with pytest.raises(StateNotReached, match="^No Synapse process runs on this host") as raised:
        updates.check(wait_timeout=3600)
    assert (updates.reads, "background" in raised.value.message) == (3, False)
    # They are not read either if none runs from the beginning.
    updates = Updates(machine, TWO)
    with pytest.raises(StateNotReached, match="^No Synapse process runs on this host"):
        updates.check()
    assert updates.reads == 0


class Restarted(Updates):
    """Another process takes the place of the one that ends, and reading it takes a minute."""

    def processes(self) -> dict[str, t.Any]:
        if not (self.machine.proc / "70").is_dir():
            self.pauses.append(60)
        return {"processes": [self.machine.process()], "unknown": []}


def test_the_time_ends_while_the_processes_are_read(machine: Machine) -> None:
    updates = Restarted(machine, TWO, ends_after=2)
    with pytest.raises(StateNotReached, match="^2 background updates are not complete after 60 seconds"):
        updates.check(wait_timeout=9)
    # time.sleep refuses a negative number.
    assert min(updates.pauses) == 0
