# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.bad_server import (
    CACHE,
    FOUND,
    PROCESS,
    Tree,
    advised,
    changed,
)

QUICK = {**FOUND["host"], "io_pressure_share": 0.01}


def test_larger_caches() -> None:
    advice = advised(FOUND)["cache_factor"]
    assert advice["variables"] == {"synapse_cache_factor_global": 2.0}
    assert "from 0.5 to 2 (synapse_cache_factor_global)" in advice["advice"]
    assert advice["evidence"] == [
        "In main (process 7), 3 caches are full and find too few of the entries that are looked up, such as a (60 %),"
        " b (60 %), c (60 %).",
        "Tasks of the host waited for the disk for 40 % of the last minute.",
        "A transaction of main (process 7) waits 0.500 seconds on average for a connection to the database.",
        "5120 MiB of the memory of the host are available.",
    ]
    more = advised(changed(cache_settings={"global_factor": 3}))["cache_factor"]
    assert more["variables"] == {"synapse_cache_factor_global": 6}
    assert "cache_factor" not in advised(changed(cache_settings={"global_factor": 1000}))
    assert "cache_factor" not in advised(changed(cache_settings=None))


@pytest.mark.parametrize(
    "cache",
    [
        {"lookups": 9999, "hits": 100},
        {"hits": 19_000},
        {"hits": 20_001},
        {"evicted": {"size": 1599}},
        {"evicted": {"size": 0, "time": 7000}},
        {"factor": None},
        {"factor_source": {"kind": "environment_variable"}},
        {"factor_source": {"kind": "per_cache_factors"}},
    ],
)
def test_caches_that_are_not_too_small(cache: Tree) -> None:
    caches = [{**CACHE, **cache}, *PROCESS["caches"][1:]]
    assert "cache_factor" not in advised(changed({"caches": caches}))


def test_memory_is_short_and_caches_are_too_small() -> None:
    host = {**QUICK, "memory_available_bytes": 200 * 1024**2}
    advice = advised(changed({"database": None}, host=host))["cache_factor"]
    assert advice["variables"] == {"synapse_cache_factor_global": 0.25}
    assert advice["advice"].startswith("Reduce the factor of the caches from 0.5 to 0.25")
    assert "memory is short, so a larger factor would make it worse" in advice["advice"]
    assert advice["evidence"][:2] == [
        "Only 200 MiB of the memory of the host are available (2.44 %).",
        "The processes of Synapse use 2048 MiB, 25 % of the memory of the host.",
    ]
    only_short = advised(changed({"caches": None}, host=host))["cache_factor"]
    assert "too small" not in only_short["advice"]


def test_the_factor_is_not_reduced_where_requests_wait() -> None:
    # The FAQ of Synapse: then a smaller factor makes it worse.
    host = {**FOUND["host"], "memory_available_bytes": 200 * 1024**2}
    advice = advised(changed(host=host))["cache_factor"]
    assert advice["variables"] == {"synapse_cache_factor_global": 2.0}
    assert advice["advice"].startswith("Increase the factor of the caches from 0.5 to 2 (synapse_cache_factor_global)")
    assert "although memory is short" in advice["advice"]
    assert advice["evidence"] == [
        "Only 200 MiB of the memory of the host are available (2.44 %).",
        "The processes of Synapse use 2048 MiB, 25 % of the memory of the host.",
        "In main (process 7), 3 caches are full and find too few of the entries that are looked up, such as a (60 %),"
        " b (60 %), c (60 %).",
        "Tasks of the host waited for the disk for 40 % of the last minute.",
        "A transaction of main (process 7) waits 0.500 seconds on average for a connection to the database.",
    ]
    large = advised(changed(host=host, cache_settings={"global_factor": 2}))
    assert "cache_factor" not in large
    assert large["memory"]["variables"] == {}


def test_another_program_uses_the_memory() -> None:
    host = {**FOUND["host"], "memory_available_bytes": 200 * 1024**2}
    memory = {"resident_bytes": 300 * 1024**2}
    advice = advised(changed({"memory": memory}, host=host))
    assert "cache_factor" not in advice
    assert advice["memory"]["variables"] == {}
    assert "memory is short" in advice["memory"]["advice"]
    quiet = advised(changed({"memory": memory, "caches": None}, host=host))
    assert not {"memory", "cache_factor"} & set(quiet)


def test_the_smallest_factor() -> None:
    host = {**QUICK, "memory_available_bytes": 200 * 1024**2}
    nearly = advised(changed({"database": None}, host=host, cache_settings={"global_factor": 0.15}))["cache_factor"]
    assert nearly["variables"] == {"synapse_cache_factor_global": 0.1}
    smallest = advised(changed({"caches": None}, host=host, cache_settings={"global_factor": 0.1}))
    assert "cache_factor" not in smallest
    assert smallest["memory"]["advice"] == "Add memory to the host or stop what uses it."


def test_the_role_accepts_the_reduced_factor() -> None:
    host = {**QUICK, "memory_available_bytes": 200 * 1024**2}
    advice = advised(changed({"caches": None}, host=host, cache_settings={"global_factor": 5000}))["cache_factor"]
    assert advice["variables"] == {"synapse_cache_factor_global": 1000}


def test_the_limit_of_the_control_group_is_near() -> None:
    memory = {**PROCESS["memory"], "limit_bytes": int(2.1 * 1024**3)}
    found = changed({"memory": memory, "database": None}, host=QUICK)
    advice = advised(found)["cache_factor"]
    assert advice["variables"] == {"synapse_cache_factor_global": 0.25}
    assert "95.2 % of the limit of its control group" in advice["evidence"][0]
    assert "Reduce" not in advised(found, memory_limit_share=0.96)["cache_factor"]["advice"]
    # Linux ends a process that needs more than its limit, so a larger factor would be wrong too.
    waiting = advised(changed({"memory": memory}))
    assert "cache_factor" not in waiting
    assert "higher limit of its control group, before you increase" in waiting["memory"]["advice"]


def test_swap_counts_only_if_little_memory_is_available() -> None:
    memory = {**PROCESS["memory"], "swapped_bytes": 1024**3}
    assert "Increase" in advised(changed({"memory": memory}))["cache_factor"]["advice"]
    host = {**QUICK, "memory_available_bytes": 2 * 1024**3}
    advice = advised(changed({"memory": memory, "database": None}, host=host))["cache_factor"]
    assert advice["evidence"][0] == "1024 MiB of the memory of main (process 7) are in swap (33.3 %)."
    assert "Reduce" in advice["advice"]


def test_a_variable_without_effect() -> None:
    assert "cache_factor_variable" not in advised(FOUND | {"processes": [{**PROCESS, "version": "1.59.1"}]})
    advice = advised(changed({"version": "1.163.2"}))["cache_factor_variable"]
    assert advice["evidence"] == ["main (process 7) was started with SYNAPSE_CACHE_FACTOR=4."]
    assert advice["variables"] == {}
