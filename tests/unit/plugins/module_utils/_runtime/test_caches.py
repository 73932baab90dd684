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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import BaseSizes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import (
    CacheSettings,
    cache_sources,
    canonical_name,
    compare_caches,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample

BASES = BaseSizes({"*getEvent*": "event_cache_size", "get_user_by_id": 1000, "is_host_joined": 335})


@pytest.mark.parametrize(
    ("cache", "name"),
    [("*getEvent*", "getevent"), ("GET_USER_BY_ID", "get_user_by_id"), ("state-group cache 10", "stategroupcache1")],
)
def test_canonical_name(cache: str, name: str) -> None:
    assert canonical_name(cache) == name


def configured(settings: dict[str, t.Any]) -> Configuration:
    return Configuration((ConfigurationFile("/etc/h.yaml", settings), ConfigurationFile("/etc/other.yaml", {})))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, CacheSettings(0.5, {}, 10240, {})),
        ({"caches": None, "event_cache_size": 5000}, CacheSettings(0.5, {}, 5000, {})),
        ({"caches": {"per_cache_factors": None}, "event_cache_size": "2M"}, CacheSettings(0.5, {}, 2097152, {})),
        (
            {"caches": {"global_factor": 2, "per_cache_factors": {"a": 1.5}, "cache_autotuning": {"x": 1}}},
            CacheSettings(2.0, {"a": 1.5}, 10240, {"x": 1}),
        ),
        ({"caches": {"cache_autotuning": {"x": 1, "y": None}}}, CacheSettings(0.5, {}, 10240, {"x": 1})),
    ],
)
def test_settings_of_the_caches(settings: dict[str, t.Any], expected: CacheSettings) -> None:
    assert CacheSettings.read(configured(settings)) == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"caches": [1]}, "caches in /etc/h.yaml is not a mapping"),
        ({"caches": {"per_cache_factors": [1]}}, "caches.per_cache_factors in /etc/h.yaml is not a mapping"),
        ({"caches": {"cache_autotuning": "1G"}}, "caches.cache_autotuning in /etc/h.yaml is not a mapping"),
        ({"caches": {"global_factor": "2"}}, "caches.global_factor in /etc/h.yaml is not a number"),
        ({"caches": {"global_factor": True}}, "caches.global_factor in /etc/h.yaml is not a number"),
        (
            {"caches": {"per_cache_factors": {"a": None}}},
            r"caches.per_cache_factors.a in /etc/h.yaml is not a number",
        ),
        ({"caches": {"global_factor": float("nan")}}, "caches.global_factor in /etc/h.yaml is not a number"),
        ({"caches": {"global_factor": 10**400}}, "caches.global_factor in /etc/h.yaml is not a number"),
        ({"event_cache_size": "10X"}, "event_cache_size in /etc/h.yaml is not a size"),
        ({"event_cache_size": ""}, "event_cache_size in /etc/h.yaml is not a size"),
    ],
)
def test_settings_that_synapse_refuses(settings: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        CacheSettings.read(configured(settings))


@pytest.mark.parametrize(
    ("cache", "environment", "factor"),
    [
        ("is_host_joined", {}, 2.0),
        ("*getEvent*", {}, 3.0),
        ("get_user_by_id", {}, 0.25),
        ("get_user_by_id", {"SYNAPSE_CACHE_FACTOR_GET_USER_BY_ID": "7"}, 7.0),
        ("is_host_joined", {"SYNAPSE_CACHE_FACTOR_IS_HOST_JOINED": "0.1", "LD_PRELOAD": "x"}, 0.1),
        ("is_host_joined", {"SYNAPSE_CACHE_FACTOR": "9", "SYNAPSE_CACHE_FACTOR_GETEVENT": "8"}, 2.0),
    ],
)
def test_factor(cache: str, environment: dict[str, str], factor: float) -> None:
    settings = CacheSettings(2.0, {"GetEvent": 3.0, "get_user_by_id": 0.25}, 10240, {})
    assert settings.factor(cache, environment) == factor


@pytest.mark.parametrize("text", ["much", "nan", "inf", ""])
def test_a_factor_in_the_environment_that_is_not_a_number_is_ignored(text: str) -> None:
    # Synapse cannot start with it, so the process does not use it.
    assert CacheSettings(2.0, {}, 1, {}).factor("a", {"SYNAPSE_CACHE_FACTOR_A": text}) == 2.0


def test_the_last_of_two_variables_or_keys_with_the_same_name_counts() -> None:
    settings = CacheSettings(2.0, {"a": 3.0, "*A*": 4.0}, 1, {})
    assert settings.factor("a", {}) == 4.0
    assert settings.factor("a", {"SYNAPSE_CACHE_FACTOR_A": "5", "SYNAPSE_CACHE_FACTOR_a0": "6"}) == 6.0


def samples(**maximums: float | None) -> list[Sample]:
    """Return the metrics of caches with 5 entries each and these maximal sizes."""
    made = [Sample("synapse_util_caches_cache_hits", {"name": "get_user_by_id"}, 9), Sample("up", {}, 1)]
    for name, maximum in maximums.items():
        labels = {"name": "*getEvent*" if name == "getEvent" else name, "server_name": "x:8448"}
        made.append(Sample("synapse_util_caches_cache_size", labels, 5.0))
        if maximum is not None:
            made.append(Sample("synapse_util_caches_cache_max_size", labels, maximum))
    return made


def compare(
    found: list[Sample], bases: BaseSizes | None = BASES, factor: float = 0.5, environment: dict[str, str] | None = None
) -> dict[str, t.Any]:
    settings = CacheSettings(factor, {}, 10240, {})
    return {cache["name"]: cache for cache in compare_caches(found, bases, settings, environment)}


def test_every_cache_is_compared() -> None:
    found = compare(
        samples(getEvent=5120, get_user_by_id=999, is_host_joined=167, unknown=7, streams=None), environment={}
    )
    assert list(found) == ["*getEvent*", "get_user_by_id", "is_host_joined", "streams", "unknown"]
    assert found["*getEvent*"] == {
        "name": "*getEvent*",
        "size": 5,
        "max_size": 5120,
        "base_size": 10240,
        "factor": 0.5,
        "expected_max_size": 5120,
        "as_configured": True,
    }
    assert found["get_user_by_id"]["hits"] == 9
    assert (found["get_user_by_id"]["expected_max_size"], found["get_user_by_id"]["as_configured"]) == (500, False)
    # Synapse rounds down.
    assert (found["is_host_joined"]["expected_max_size"], found["is_host_joined"]["as_configured"]) == (167, True)
    # Values that are unknown or do not apply are left out.
    assert found["unknown"] == {"name": "unknown", "size": 5, "max_size": 7}
    assert found["streams"] == {"name": "streams", "size": 5}


def test_as_configured_is_left_out_if_it_is_unknown() -> None:
    found = samples(getEvent=1, get_user_by_id=500)
    assert not any("as_configured" in cache for cache in compare(found, bases=None, environment={}).values())
    # A hidden variable may explain a difference, but not an equality.
    unknown = compare(found, environment=None)
    assert "as_configured" not in unknown["*getEvent*"]
    assert unknown["get_user_by_id"]["as_configured"] is True
    # Synapse does not publish a size of 0. The metrics then show an old size.
    told = compare(found, factor=0.0001, environment={})
    assert told["*getEvent*"]["as_configured"] is True
    assert told["get_user_by_id"]["expected_max_size"] == 0
    assert "as_configured" not in told["get_user_by_id"]


def test_a_variable_of_the_process_counts() -> None:
    environment = {"SYNAPSE_CACHE_FACTOR_GET_USER_BY_ID": "3"}
    assert compare(samples(get_user_by_id=3000), environment=environment)["get_user_by_id"]["as_configured"] is True


def gauge(name: str, value: float, **labels: str) -> Sample:
    """Return one sample of a gauge of the cache get_user_by_id."""
    return Sample(f"synapse_util_caches_cache{name}", {"name": "get_user_by_id", **labels}, value)


def use(lookups: float, hits: float) -> dict[str, t.Any]:
    """Return what is found about a cache with these counts."""
    found: dict[str, t.Any] = compare([*samples(get_user_by_id=500), gauge("", lookups), gauge("_hits", hits)])
    return dict(found["get_user_by_id"])


def test_how_a_cache_is_used() -> None:
    found = use(12, 9)
    assert (found["lookups"], found["hits"], found["hit_ratio"]) == (12, 9, 0.75)
    # Without lookups, there is no ratio; a process that is read while it counts can show more hits than lookups.
    assert "hit_ratio" not in use(0, 0)
    assert "hit_ratio" not in use(8, 9)


def test_evictions_are_counted_by_reason() -> None:
    reasons = [gauge("_evicted_size", number, reason=reason) for number, reason in ((1, "size"), (2, "time"))]
    assert "evicted" not in compare([*samples(get_user_by_id=500), *reasons])["get_user_by_id"]
    reasons.append(gauge("_evicted_size", 3, reason="invalidation", server_name="x"))
    found = compare([*samples(get_user_by_id=500), *reasons])["get_user_by_id"]
    assert found["evicted"] == {"size": 1, "time": 2, "invalidation": 3}


def test_values_that_are_impossible_are_left_out() -> None:
    found = [gauge("", float("nan")), gauge("_hits", float("inf")), gauge("_max_size", float("nan"))]
    assert compare([*found, gauge("_size", 5)])["get_user_by_id"] == {"name": "get_user_by_id", "size": 5}
    assert compare([gauge("_size", float("nan"))]) == {}
    impossible = [gauge("", 1e308), gauge("_hits", -5.0), gauge("_max_size", -500.0)]
    assert compare([gauge("_size", 3), *impossible])["get_user_by_id"] == {"name": "get_user_by_id", "size": 3}
    huge = compare(samples(get_user_by_id=500), factor=1e308)["get_user_by_id"]
    assert "expected_max_size" not in huge and "as_configured" not in huge


CONFIGURATION = Configuration(
    (
        ConfigurationFile("/a.yaml", {"caches": {"global_factor": 4}, "event_cache_size": "1K"}),
        ConfigurationFile("/b.yaml", {"server_name": "x"}),
        ConfigurationFile("/c.yaml", {"caches": {"per_cache_factors": {"get_user_by_id": 3}}}),
    )
)


def test_sources() -> None:
    sources = cache_sources(CONFIGURATION, ["/c.yaml", "/b.yaml"])
    assert tuple(sources) == ("/c.yaml", ["/a.yaml"], ["/c.yaml"], False, "/a.yaml")
    assert tuple(cache_sources(Configuration(()), [])) == (None, [], [], False, None)
    wrong = Configuration((ConfigurationFile("/a.yaml", {"caches": None}),))
    assert tuple(cache_sources(wrong, [])) == ("/a.yaml", [], [], False, None)


def source_of(cache: str, environment: dict[str, str] | None, configuration: Configuration = CONFIGURATION) -> t.Any:
    """Return what sets the factor of a cache."""
    settings = CacheSettings.read(configuration)
    sources = cache_sources(configuration, [])
    found = compare_caches(samples(**{cache: 1.0}), BASES, settings, environment, sources)
    return found[0].get("factor_source")


def test_what_sets_the_factor() -> None:
    variable = {"SYNAPSE_CACHE_FACTOR_GET_USER_BY_ID": "3"}
    assert source_of("get_user_by_id", variable) == {
        "kind": "environment_variable",
        "name": "SYNAPSE_CACHE_FACTOR_GET_USER_BY_ID",
    }
    assert source_of("get_user_by_id", {}) == {
        "kind": "per_cache_factors",
        "name": "caches.per_cache_factors.get_user_by_id",
        "path": "/c.yaml",
    }
    assert source_of("is_host_joined", {}) == {"kind": "default", "name": "caches.global_factor"}
    first = Configuration(CONFIGURATION.files[:1])
    assert source_of("is_host_joined", {}, first) == {
        "kind": "global_factor",
        "name": "caches.global_factor",
        "path": "/a.yaml",
    }
    # An unknown variable may set it, and a cache with an unknown base size may not be scaled.
    assert source_of("is_host_joined", None) is None
    assert source_of("unknown", {}) is None
    without = compare(samples(is_host_joined=1), environment={})["is_host_joined"]
    assert "factor_source" not in without


def test_a_difference_is_explained() -> None:
    found = compare(samples(get_user_by_id=999, is_host_joined=167), environment={})
    assert "caches.global_factor" in found["get_user_by_id"]["difference"]
    assert "difference" not in found["is_host_joined"]


def test_the_real_metrics_of_a_server_without_traffic() -> None:
    labels = {"name": "*getEvent*", "server_name": "postgresql.test:8448"}
    names = ("_size", "_hits", "")
    real = [Sample(f"synapse_util_caches_cache{name}", labels, 0.0) for name in names]
    real += [
        Sample("synapse_util_caches_cache_evicted_size", {**labels, "reason": reason}, 0.0)
        for reason in ("size", "time", "invalidation")
    ]
    real.append(Sample("synapse_util_caches_cache_max_size", labels, 5120.0))
    found = compare(real, environment={})["*getEvent*"]
    assert (found["lookups"], found["hits"], found["as_configured"]) == (0, 0, True)
    assert found["evicted"] == {"size": 0, "time": 0, "invalidation": 0}
