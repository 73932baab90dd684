# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.own_sessions import end_sessions


class Postgresql:
    """A server that needs a while to end sessions: `left` are their numbers, as each new transaction sees them."""

    def __init__(self, left: t.Sequence[int]) -> None:
        self.left = list(left)
        self.seen = 0
        self.asked: list[tuple[str, ...]] = []

    @contextlib.contextmanager
    def connect(self) -> t.Iterator[t.Any]:
        """Begin a transaction."""
        self.seen = self.left[0]
        yield self

    def rows(self, sql: str, *values: str) -> list[tuple[int]]:
        """Answer."""
        self.asked.append((sql.split("(")[0].strip(), *values))
        if "count(*)" in sql:
            self.left = self.left[1:] or self.left
        return [(self.seen,)]


@pytest.fixture(name="clock")
def make_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(waited))
    return waited


def test_sessions_are_ended_and_awaited(clock: list[float]) -> None:
    server = Postgresql([2, 1, 0])
    assert end_sessions(server.connect, "ours")
    assert server.asked == [("SELECT pg_terminate_backend", "ours"), *[("SELECT count", "ours")] * 3]
    assert len(clock) == 2


def test_a_session_that_does_not_end(clock: list[float]) -> None:
    assert not end_sessions(Postgresql([1]).connect, "ours")
    assert 30 < sum(clock) < 31


def test_nothing_is_left(clock: list[float]) -> None:
    assert end_sessions(Postgresql([0]).connect, "ours")
    assert not clock
