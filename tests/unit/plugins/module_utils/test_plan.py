# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan is computed once: it shows what will change, and changes only that."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require


def test_changes_something_if_it_has_steps() -> None:
    assert not Plan({"a": 1}, {"a": 1}).changed
    assert not Plan({"a": 1}, {"a": 2}).changed
    assert Plan({"a": 1}, {"a": 1}, (Step("set the password", lambda: None),)).changed
    assert Plan(None, {"a": 1}, (Step("make it", lambda: None),)).changed


def test_runs_its_steps_in_their_order() -> None:
    ran: list[str] = []
    steps = tuple(Step(name, functools.partial(ran.append, name)) for name in ("a", "b", "c"))
    Plan(None, None, steps).execute()
    assert ran == ["a", "b", "c"]


def test_runs_no_step_after_one_that_failed() -> None:
    ran: list[str] = []

    def fail() -> None:
        raise StateNotReached("no")

    steps = (Step("a", lambda: ran.append("a")), Step("b", fail), Step("c", lambda: ran.append("c")))
    with pytest.raises(StateNotReached, match="no"):
        Plan(None, None, steps).execute()
    assert ran == ["a"]


def test_runs_nothing_before_execute() -> None:
    ran: list[str] = []
    assert Plan(None, {}, (Step("a", lambda: ran.append("a")),)).changed
    assert ran == []


def test_requires_that_there_are_no_problems() -> None:
    require([], "The account")
    with pytest.raises(StateNotReached) as caught:
        require(["admin is False", "locked is True"], "The account @a:b")
    assert caught.value.message.startswith("The account @a:b is not as declared")
    assert "admin is False; locked is True" in caught.value.message
