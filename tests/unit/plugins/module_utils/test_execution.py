# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a plan that failed: the steps that were done, and whether something has changed."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    ConnectionFailed,
    StateNotReached,
    SynapseError,
    after_a_change,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step


def timed_out() -> ConnectionFailed:
    return ConnectionFailed("No answer within 2 seconds.", waited=2)


@dataclasses.dataclass
class Lamp:
    """An object with the switches a, b and c, all of which must be on. `secret`: a plan does not show the switch b.

    Switching b raises `error` after it has been done (`done`) or before. `late`: how many more plans do not show it.
    `blind`: no further plan is possible.
    """

    error: Exception | None = None
    done: bool = False
    secret: bool = False
    late: int = 0
    blind: bool = False
    verifies: bool = True
    reports: bool = True
    on: dict[str, bool] = dataclasses.field(default_factory=lambda: {"a": False, "b": False, "c": False})
    failed: bool = False
    looks: int = 0

    def plan(self) -> Plan:
        if self.failed:
            self.looks += 1
            if self.blind:
                raise ConnectionFailed("Nothing listens.", sent=False)
            if self.looks > self.late and self.late:
                self.on["b"] = True
        shown = {name: on for name, on in self.on.items() if not (self.secret and name == "b")}
        off = [name for name, on in self.on.items() if not on or (self.secret and name == "b")]
        steps = tuple(Step(f"switch {name} on", self.switch(name), not (self.secret and name == "b")) for name in off)
        return Plan(shown, dict.fromkeys(shown, True), steps)

    def switch(self, name: str) -> t.Callable[[], None]:
        def run() -> None:
            if name != "b" or self.error is None:
                self.on[name] = True
                return
            self.on[name] = self.done
            self.failed = True
            raise self.error

        return run

    def verify(self, plan: Plan) -> None:
        if not self.verifies:
            raise StateNotReached("It flickers.")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        if not self.reports:
            raise SynapseError("Its colour is unknown.")
        return {"executed": executed}


def failure(lamp: Lamp) -> tuple[str, bool, list[str]]:
    """Carry out the plan, and return the message, whether something has changed, and the reported steps."""
    waited: list[float] = []
    with pytest.raises(SynapseError) as caught:
        carry_out(lamp, lamp.plan(), clock=lambda: sum(waited), sleep=waited.append)
    assert sum(waited) <= 10.5
    return caught.value.message, caught.value.details["changed"], caught.value.details["steps"]


def test_every_step_succeeds() -> None:
    lamp = Lamp()
    steps = [f"switch {name} on" for name in "abc"]
    assert carry_out(lamp, lamp.plan()) == (steps, {"executed": True})
    assert all(lamp.on.values())


def test_refused_after_another_step() -> None:
    message, changed, steps = failure(Lamp(SynapseError("No.")))
    assert message == (
        "No. Already done before that: switch a on. A check afterwards shows that this is not done: switch b on."
    )
    assert (changed, steps) == (True, ["switch a on"])


def test_refused_as_the_first_step() -> None:
    lamp = Lamp(SynapseError("No."))
    lamp.on["a"] = True
    assert failure(lamp) == ("No.", False, [])


def test_done_although_the_answer_was_lost() -> None:
    message, changed, steps = failure(Lamp(timed_out(), done=True))
    assert "this is done: switch b on." in message
    assert (changed, steps) == (True, ["switch a on", "switch b on"])


def test_done_only_after_a_while() -> None:
    lamp = Lamp(ConnectionFailed("No answer.", waited=2), late=4)
    lamp.on["a"] = True
    message, changed, steps = failure(lamp)
    assert "this is done" in message
    assert (changed, steps, lamp.looks) == (True, ["switch b on"], 5)


def test_not_done_within_the_same_time_again() -> None:
    lamp = Lamp(ConnectionFailed("No answer.", waited=2), late=1000)
    lamp.on["a"] = True
    message, changed, steps = failure(lamp)
    assert "this is not done: switch b on, but Synapse may still do it." in message
    assert (changed, steps) == (False, [])


def test_broken_connection_is_not_waited_for() -> None:
    lamp = Lamp(ConnectionFailed("Reset."), late=100)
    assert "this is not done" in failure(lamp)[0]
    assert lamp.looks == 1


@pytest.mark.parametrize("waited", [2, None])
def test_unknown_where_it_cannot_be_seen(waited: float | None) -> None:
    lamp = Lamp(ConnectionFailed("Lost.", waited=waited), secret=True)
    lamp.on["a"] = True
    message, changed, steps = failure(lamp)
    assert "it is unknown whether this is done: switch b on." in message
    assert (changed, steps) == (True, [])


def test_not_done_where_it_cannot_be_seen_but_was_never_asked() -> None:
    lamp = Lamp(ConnectionFailed("Refused.", sent=False), secret=True)
    lamp.on["a"] = True
    assert failure(lamp)[1:] == (False, [])


@pytest.mark.parametrize(("sent", "changed"), [(True, True), (False, False)])
def test_the_check_afterwards_fails(sent: bool, changed: bool) -> None:
    lamp = Lamp(ConnectionFailed("Gone.", sent=sent), blind=True)
    lamp.on["a"] = True
    message, told, steps = failure(lamp)
    assert (told, steps) == (changed, [])
    assert ("unknown" in message) == changed


def test_refused_in_the_middle_of_a_step() -> None:
    def begin() -> None:
        with after_a_change():
            raise ConnectionFailed("Refused.", sent=False)

    class Begun(Lamp):
        def plan(self) -> Plan:
            if self.failed:
                raise ConnectionFailed("Gone.", sent=False)
            self.failed = True
            return Plan(None, {}, (Step("begin", begin),))

    assert failure(Begun())[1:] == (True, [])


def test_done_in_part() -> None:
    class Pair(Lamp):
        def plan(self) -> Plan:
            left = [name for name in ("a", "b") if not self.on[name]]
            steps = (Step(f"switch {' and '.join(left)} on", self.switch("b")),) if left else ()
            return Plan(dict(self.on), {"a": True, "b": True, "c": False}, steps)

        def switch(self, name: str) -> t.Callable[[], None]:
            def run() -> None:
                self.on["a"] = True
                raise SynapseError("Only a.")

            return run

    message, changed, steps = failure(Pair())
    assert "this is partly done: switch a and b on." in message
    assert (changed, steps) == (True, [])


def test_another_program_does_the_same_at_the_same_time() -> None:
    refusal = ApiError("Taken.", method="PUT", url="/", status=409, errcode="M_UNKNOWN", error="Taken")
    lamp = Lamp(refusal, done=True)
    assert carry_out(lamp, lamp.plan()).done == ["switch a on", "switch c on"]


def test_another_program_does_something_else_at_the_same_time() -> None:
    class Lamps(Lamp):
        def plan(self) -> Plan:
            plan = super().plan()
            return Plan({**(plan.before or {}), "b": "red" if self.failed else False}, plan.after, plan.steps)

    lamp = Lamps(ApiError("Taken.", method="PUT", url="/", status=409, errcode="M_UNKNOWN", error="Taken"))
    lamp.on["a"] = True
    assert failure(lamp)[1:] == (False, [])


def test_server_that_cannot_be_reached_for_a_moment_is_waited_for() -> None:
    class Away(Lamp):
        def plan(self) -> Plan:
            if self.failed and self.looks < 4:
                self.looks += 1
                raise ConnectionFailed("Refused.", sent=False)
            return super().plan()

    lamp = Away(ConnectionFailed("Reset."))
    lamp.on["a"] = True
    message, changed, _steps = failure(lamp)
    assert "this is not done: switch b on." in message
    assert changed is False


def test_changes_of_another_program_are_not_reported_as_changed() -> None:
    class Room(Lamp):
        def plan(self) -> Plan:
            found = super().plan()
            return Plan(
                {**(found.before or {}), "colour": self.looks}, {**(found.after or {}), "colour": 0}, found.steps
            )

    lamp = Room(SynapseError("No."))
    lamp.on["a"] = True
    assert failure(lamp)[1] is False


@pytest.mark.parametrize(
    ("lamp", "said"),
    [(Lamp(verifies=False), "It flickers."), (Lamp(reports=False), "Its colour is unknown.")],
    ids=["verify", "result"],
)
def test_does_not_show_what_it_accepted(lamp: Lamp, said: str) -> None:
    message, changed, steps = failure(lamp)
    assert message == f"{said} Already done before that: switch a on; switch b on; switch c on."
    assert (changed, steps) == (True, ["switch a on", "switch b on", "switch c on"])


def test_errors_of_the_system_are_reported_too() -> None:
    message, changed, _steps = failure(Lamp(PermissionError(13, "Permission denied", "/etc/x")))
    assert message.startswith("/etc/x: Permission denied.")
    assert changed
