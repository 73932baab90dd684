# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.journal import (
    Attempt,
    Ending,
    last_failed,
    read_attempts,
)

UNIT = "matrix-synapse.service"
# As systemd 252 writes them.
EXITED = {"COMMAND": "ExecStart", "EXIT_CODE": "exited", "EXIT_STATUS": "203", "MESSAGE": "Main process exited"}
FAILED = {"UNIT_RESULT": "exit-code", "MESSAGE": "Failed with result 'exit-code'."}


def attempts(*entries: dict[str, t.Any]) -> list[Attempt]:
    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        assert f"--unit={UNIT}" in arguments
        return Completed(0, "\n".join(json.dumps(entry) for entry in entries), "")

    return read_attempts(UNIT, run, 5)


def of_systemd(start: str, fields: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"UNIT": UNIT, "INVOCATION_ID": start, "_PID": "1", **fields}


def test_how_starts_have_ended() -> None:
    words = {"MESSAGE": "bad", "_SYSTEMD_UNIT": UNIT, "_SYSTEMD_INVOCATION_ID": "a"}
    found = attempts(words, of_systemd("a", EXITED), of_systemd("a", FAILED), of_systemd("b", {"MESSAGE": "Starting"}))
    assert found == [Attempt(["bad"], "exit-code", {"ExecStart": Ending("exited", 203)}), Attempt()]
    assert last_failed(found) is found[0]
    # A start between them has not failed.
    assert last_failed([*found, Attempt()]) is None
    assert last_failed([]) is None


def test_fields_that_are_not_those_of_systemd() -> None:
    for odd in ({"EXIT_STATUS": "x"}, {"EXIT_STATUS": None}, {"EXIT_STATUS": [None]}, {"EXIT_STATUS": "9" * 5000}):
        [found] = attempts(of_systemd("a", {**EXITED, **odd}))
        assert found == Attempt()
    [found] = attempts(of_systemd("a", {"UNIT_RESULT": {"a": 1}, "INVOCATION_ID": [1]}))
    assert found.result == ""
