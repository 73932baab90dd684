# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.caches import judge_caches
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

RIGHT = {"name": "one", "size": 1, "max_size": 20, "expected_max_size": 20, "as_configured": True}
WRONG = {"name": "two", "size": 1, "max_size": 10, "expected_max_size": 20, "as_configured": False}
UNJUDGED = {"name": "three", "size": 1}
DOUBTED = {"name": "four", "size": 1, "max_size": 10, "expected_max_size": 20}
NO_METRICS = {"name": "caches", "reason": "There is no listener.", "fix": "Add one."}
NAMES = {"cache_factor": "synapse_cache_factor_global", "require_cache_proof": "my_proof"}


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def judge(
    machine: Machine, *caches: list[dict[str, t.Any]] | None, factor: float = 2.0, **declared: t.Any
) -> tuple[bool, Verdict]:
    verdict = Verdict()
    processes = [machine.process(pid=70 + number, caches=found) for number, found in enumerate(caches)]
    unknown = [NO_METRICS] if None in caches else []
    found = {"processes": processes, "cache_settings": {"global_factor": factor}, "unknown": unknown}
    proven = judge_caches(machine.declared(**{"option_names": NAMES, **declared}), found, verdict)
    return proven, verdict


def test_nothing_is_declared(machine: Machine) -> None:
    proven, verdict = judge(machine, [WRONG])
    assert (proven, verdict.failures, verdict.proofs) == (False, [], {})


def test_proven(machine: Machine) -> None:
    proven, verdict = judge(machine, [RIGHT, UNJUDGED], [RIGHT], caches=True, cache_factor=2, require_cache_proof=True)
    assert (proven, verdict.failures) == (True, [])
    assert verdict.proofs["caches"] == (
        "Caches: 2 caches of the running server have the size that global_factor 2.0 sets."
    )


def test_caches_of_a_wrong_size(machine: Machine) -> None:
    proven, verdict = judge(machine, [RIGHT, WRONG], [RIGHT], caches=True, require_cache_proof=True)
    assert not proven
    assert verdict.message == (
        "1 caches of main (process 70) do not have the size that the configuration sets. One of them is two with 10"
        f" instead of 20 entries. Restart {UNIT} and run this again."
    )
    assert "NOT proven. global_factor 2.0 is configured, but 1 caches of the running" in verdict.proofs["caches"]


def test_wrong_sizes_are_only_reported_if_no_size_is_declared(machine: Machine) -> None:
    proven, verdict = judge(machine, [WRONG], report_caches=True)
    assert (proven, verdict.failures) == (False, [])
    assert verdict.proofs["caches"] == (
        "Caches: not managed (synapse_cache_factor_global is not set). NOT proven. global_factor 2.0 is configured, but"
        " 1 caches of the running server have another size: reload it."
    )


@pytest.mark.parametrize(
    ("caches", "reason"),
    [((None,), "There is no listener. Add one."), (([UNJUDGED], [RIGHT]), "no cache has been used")],
)
def test_sizes_that_cannot_be_read(machine: Machine, caches: t.Any, reason: str) -> None:
    proven, verdict = judge(machine, *caches, caches=True, cache_factor=2.0)
    assert (proven, verdict.failures) == (False, [])
    assert f"but the sizes in the running server cannot be read: {reason}" in verdict.proofs["caches"]
    proven, verdict = judge(machine, *caches, require_cache_proof=True)
    assert verdict.failures[0]["declared"] == "require_cache_proof"
    assert verdict.message == f"{verdict.proofs['caches']} (my_proof is true)"


def test_only_reasons_that_matter_are_named(machine: Machine) -> None:
    names = ("open_files", "environment", "name", "metrics_url", "base_size")
    unknown = [{"name": name, "reason": f"{name} is hidden.", "fix": "Become."} for name in names]
    for cache, reason in ((UNJUDGED, "base_size is hidden."), (DOUBTED, "environment is hidden. base_size is hidden.")):
        verdict = Verdict()
        process = machine.process(caches=[cache])
        found = {"processes": [process], "cache_settings": {"global_factor": 2.0}, "unknown": unknown}
        judge_caches(machine.declared(caches=True), found, verdict)
        assert verdict.proofs["caches"].endswith(f"the sizes in the running server cannot be read: {reason} Become.")


def test_the_file_that_sets_another_factor(machine: Machine) -> None:
    machine.configure({"caches": {"global_factor": 1.0}})
    verdict = judge(machine, [RIGHT], factor=1.0, cache_factor=2.0)[1]
    assert verdict.message.startswith(
        "The setting caches.global_factor in force is 1.0, but synapse_cache_factor_global is 2.0."
        f" {machine.configuration} is the last file with the setting caches"
    )
    machine.configure({})
    verdict = judge(machine, [RIGHT], factor=0.5, cache_factor=2.0)[1]
    assert "No file of the configuration sets it" in verdict.message


def test_a_process_that_does_not_use_a_file(machine: Machine) -> None:
    verdict = Verdict()
    unknown = {"name": "config_path", "reason": "It was started without conf.d.", "fix": "Add it."}
    found = {
        "processes": [machine.process(caches=[RIGHT], unknown=[unknown])],
        "cache_settings": {"global_factor": 2.0},
        "unknown": [unknown],
    }
    judge_caches(machine.declared(cache_factor=2.0, option_names=NAMES), found, verdict)
    assert verdict.message == (
        "main (process 70) may not have synapse_cache_factor_global. It was started without conf.d. Add it."
    )
