# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_autotuning import autotuning_in_force
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import CacheSettings

KEYS = {"max_cache_memory_usage": "1024M", "target_cache_memory_usage": 758, "min_cache_ttl": "5m"}
KNOWN = {"max_bytes": 1024**3, "target_bytes": 758, "min_ttl_seconds": 300.0}
Jemalloc = t.Optional[dict[str, t.Any]]


def read(keys: dict[str, t.Any], jemalloc: Jemalloc, memory: dict[str, t.Any] | None = None) -> dict[str, t.Any] | None:
    """Return the autotuning of a process with these keys."""
    settings = CacheSettings.read(
        Configuration((ConfigurationFile("/c.yaml", {"caches": {"cache_autotuning": keys}}),))
    )
    return autotuning_in_force(settings, jemalloc, memory)


def test_it_is_not_set() -> None:
    assert read({}, {"loaded": True}) is None
    assert read({"max_cache_memory_usage": None}, {"loaded": True}) is None


@pytest.mark.parametrize(("allocated", "evicting"), [(1024**3, False), (1024**3 + 1, True)])
def test_it_is_in_force(allocated: int, evicting: bool) -> None:
    found = {**KNOWN, "in_force": True, "allocated_bytes": allocated, "is_evicting": evicting}
    assert read(KEYS, {"loaded": True, "memory": {"allocated_bytes": allocated}}) == found
    assert read(KEYS, {"loaded": True}, {"allocated_bytes": allocated}) == found


@pytest.mark.parametrize("memory", [None, {}, {"allocated_bytes": -1}, {"allocated_bytes": float("nan")}])
def test_the_memory_is_unknown(memory: dict[str, t.Any] | None) -> None:
    assert read(KEYS, {"loaded": True, "memory": memory}) == {**KNOWN, "in_force": True}


def test_jemalloc_is_not_loaded() -> None:
    found = read(KEYS, {"loaded": False}, {"allocated_bytes": 5})
    assert found and found.pop("reason").startswith("jemalloc is not loaded in the process")
    assert found == {**KNOWN, "in_force": False}


def test_it_is_unknown_whether_jemalloc_is_loaded() -> None:
    found = read(KEYS, None)
    assert found and found.pop("reason").startswith("It is unknown whether jemalloc is loaded")
    assert found == KNOWN


def test_a_missing_key_that_a_later_file_has_removed() -> None:
    files = [{"caches": {"cache_autotuning": keys}} for keys in (KEYS, {"min_cache_ttl": "1m"})]
    configuration = Configuration(
        tuple(ConfigurationFile(f"/{number}.yaml", each) for number, each in enumerate(files))
    )
    settings, replacement = CacheSettings.read(configuration), configuration.replacement("caches")
    found = autotuning_in_force(settings, {"loaded": True}, None, replacement)
    assert found and found["reason"].endswith(f" {replacement}")
    assert "/1.yaml replaces the whole caches block of /0.yaml" in found["reason"]


@pytest.mark.parametrize("key", list(KEYS))
def test_a_missing_key_is_named(key: str) -> None:
    found = read({name: value for name, value in KEYS.items() if name != key}, {"loaded": True})
    assert found and found["in_force"] is False
    assert found["reason"] == f"caches.cache_autotuning.{key} is not set. Set it, because Synapse needs all three keys."
    assert len(found) == 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_cache_memory_usage", "1GB"),
        ("target_cache_memory_usage", 1.5),
        ("min_cache_ttl", "5 minutes"),
        ("min_cache_ttl", True),
        ("min_cache_ttl", 1.5),
        ("min_cache_ttl", "9" * 400 + "y"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: t.Any) -> None:
    found = read({**KEYS, key: value}, {"loaded": True})
    assert found and found["in_force"] is False
    assert f"caches.cache_autotuning.{key} is not a " in found["reason"]


@pytest.mark.parametrize(("value", "seconds"), [(1500, 1.5), ("1500", 1.5), ("2s", 2), ("1h", 3600), ("1y", 31536000)])
def test_durations(value: t.Any, seconds: float) -> None:
    found = read({**KEYS, "min_cache_ttl": value}, {"loaded": True})
    assert found and found["min_ttl_seconds"] == seconds
