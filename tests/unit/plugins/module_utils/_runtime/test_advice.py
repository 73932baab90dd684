# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import random
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice import Thresholds, advise
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.bad_server import (
    FOUND,
    PROCESS,
    Tree,
    advised,
    changed,
)

ORDER = [
    "version",
    "database_engine",
    "cache_factor",
    "cache_factor_variable",
    "jemalloc",
    "presence",
    "file_limit",
    "database",
    "event_loop",
    "workers",
]


def test_the_order_is_that_of_the_faq() -> None:
    topics = list(advised(FOUND))
    assert topics == [topic for topic in ORDER if topic != "database_engine"]
    sqlite = list(advised(changed(database_engine="sqlite3")))
    assert sqlite == [topic for topic in ORDER if topic not in ("database", "workers")]


@pytest.mark.parametrize("found", [{}, {"processes": []}, {"processes": [{}]}, {"processes": [None], "host": None}])
def test_nothing_is_known(found: Tree) -> None:
    assert advised(found) == {}


_ODD: tuple[t.Any, ...] = (
    None,
    True,
    -1,
    0,
    1e-308,
    1e308,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "text\n",
    [],
    {},
    [None],
    {"size": []},
)


def damage(value: t.Any, chance: random.Random) -> t.Any:
    """Return a value in which keys are missing or have other values."""
    if chance.random() < 0.06:
        return chance.choice(_ODD)
    if isinstance(value, dict):
        return {key: damage(inner, chance) for key, inner in value.items() if chance.random() > 0.06}
    return [damage(inner, chance) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(20))
def test_keys_that_are_missing_or_wrong_never_raise(seed: int) -> None:
    chance = random.Random(seed)
    rates = {"cpu_share": 0.9, "presence_updates_per_minute": 5000, "average_wait_seconds": 0.4}
    whole = changed(
        {"rates": rates, "memory": {**PROCESS["memory"], "limit_bytes": 1024**3}}, server={"version": "1.2"}
    )
    whole["processes"].append(copy.deepcopy(PROCESS))
    for _repetition in range(100):
        found = damage(whole, chance)
        for one in advise(found, Thresholds()):
            assert one["evidence"] and one["topic"] and one["advice"]
            json.dumps(one)


def keys_of(tree: t.Any, path: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    """Yield the path of each key of a tree."""
    for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from keys_of(inner, (*path, key))


def test_no_key_is_needed() -> None:
    for *parents, last in keys_of(FOUND):
        found: t.Any = copy.deepcopy(FOUND)
        inner = found
        for key in parents:
            inner = inner[key]
        del inner[last]
        assert len(advise(found, Thresholds())) <= len(advise(FOUND, Thresholds())) + 1
