# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, Process
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.used_database import require_use

MAIN, OTHER, WORKER = (
    Process(pid, app, ("/homeserver.yaml",), "python")
    for pid, app in ((7, MAIN_APP), (9, MAIN_APP), (8, "synapse.app.generic_worker"))
)


class Service:
    """A service whose processes are, at each look, the next of `seen`."""

    def __init__(self, *seen: t.Sequence[Process]) -> None:
        self._seen = list(seen)

    def processes(self) -> list[Process]:
        return list(self._seen.pop(0) if len(self._seen) > 1 else self._seen[0])


@pytest.fixture(name="waited")
def make_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(waited))
    return waited


def test_it_uses_another_one(waited: list[float]) -> None:
    with pytest.raises(InvalidInput, match=r"^Synapse runs \(process 7\), but does not use the database, which its"):
        require_use(Service([MAIN, WORKER]), "the database", lambda pids: 7 not in pids)
    assert sum(waited) == 10


def test_it_needs_a_moment_to_open_it(waited: list[float]) -> None:
    require_use(Service([MAIN]), "the database", lambda pids: len(waited) > 1)
    assert len(waited) == 2


def test_it_ends_meanwhile(waited: list[float]) -> None:
    """systemd starts it again and again."""
    require_use(Service([MAIN], [OTHER]), "the database", lambda pids: False)
    assert len(waited) == 1


def test_it_does_not_run(waited: list[float]) -> None:
    require_use(Service([WORKER]), "the database", lambda pids: False)
    assert not waited
