# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The caches of Synapse: their use, and their configured sizes compared with those of a running process.

Relies on synapse/config/cache.py and on the gauges of synapse/util/caches/__init__.py of Synapse 1.163:
synapse_util_caches_cache (lookups since the start), _hits, _size, _max_size and _evicted_size{reason}. A cache holds up
to int(base size * factor) entries. `cache_autotuning` removes entries when memory is low, but does not change these
sizes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import (
    EVENT_CACHE_SIZE,
    BaseSizes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_difference import (
    DEFAULT,
    ENVIRONMENT_VARIABLE,
    GLOBAL_FACTOR,
    PER_CACHE_FACTORS,
    Factor,
    Scaled,
    Sources,
    difference,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sample_index import LARGEST

_METRIC = "synapse_util_caches_cache"
_SIZE, _MAX_SIZE, _HITS, _EVICTED = (f"{_METRIC}_{name}" for name in ("size", "max_size", "hits", "evicted_size"))
_REASONS = ("size", "time", "invalidation")
_VARIABLE = "SYNAPSE_CACHE_FACTOR_"


def canonical_name(cache: str) -> str:
    """Return the name of a cache as Synapse compares it. Synapse also drops the digit 0, by mistake."""
    return re.sub(r"[^A-Za-z_1-9]", "", cache).lower()


def cache_sources(configuration: Configuration, changed_for_reload: t.Collection[str]) -> Sources:
    """Return where the settings of the caches in `configuration` are.

    `changed_for_reload`: the paths of the files that were changed after the start of the process, and whose settings a
    reload applies.
    """
    paths = [file.path for file in configuration.files if "caches" in file.settings]
    caches = configuration.settings.get("caches")
    return Sources(
        path=paths[-1] if paths else None,
        replaced=list(dict.fromkeys(paths[:-1])),
        changed_since_start=[path for path in changed_for_reload if path in paths],
        sets_global_factor=isinstance(caches, dict) and "global_factor" in caches,
        event_cache_size_path=configuration.source_of(EVENT_CACHE_SIZE),
    )


@dataclasses.dataclass(frozen=True)
class CacheSettings:
    """The settings of the caches in a configuration. `event_cache_size` is the base size of the cache of events."""

    global_factor: float
    per_cache_factors: dict[str, float]
    event_cache_size: int
    cache_autotuning: Settings

    @classmethod
    def read(cls, configuration: Configuration) -> CacheSettings:
        """Return the settings of the caches. Raises ConfigurationError for values that Synapse does not accept."""
        settings, file = configuration.settings, configuration.source_of("caches")
        caches = _mapping(settings.get("caches"), "caches", file)
        factors = _mapping(caches.get("per_cache_factors"), "caches.per_cache_factors", file)
        autotuning = _mapping(caches.get("cache_autotuning"), "caches.cache_autotuning", file)
        return cls(
            _factor(caches.get("global_factor", 0.5), "global_factor", file),
            {str(name): _factor(value, f"per_cache_factors.{name}", file) for name, value in factors.items()},
            _event_cache_size(settings.get(EVENT_CACHE_SIZE, "10K"), configuration.source_of(EVENT_CACHE_SIZE)),
            {name: value for name, value in autotuning.items() if value is not None},
        )

    def factor(self, cache: str, environment: t.Mapping[str, str]) -> float:
        """Return the factor of `cache` in a process with `environment`. A variable for a single cache has priority."""
        return (self.factor_of_variable(cache, environment) or self.configured_factor(cache)).value

    def factor_of_variable(self, cache: str, environment: t.Mapping[str, str]) -> Factor | None:
        """Return the factor that a variable of a process sets for `cache`, or None if none does.

        A value that is not a number is ignored: Synapse cannot start with it, so the process does not use it.
        """
        name, found = canonical_name(cache), None
        for variable, text in environment.items():
            if variable.startswith(_VARIABLE) and canonical_name(variable[len(_VARIABLE) :]) == name:
                with contextlib.suppress(ValueError):
                    value = float(text)
                    found = Factor(ENVIRONMENT_VARIABLE, variable, value) if math.isfinite(value) else found
        return found

    def configured_factor(self, cache: str) -> Factor:
        """Return the factor that the configuration sets for `cache`. A default counts as a global factor."""
        name, found = canonical_name(cache), Factor(GLOBAL_FACTOR, "caches.global_factor", self.global_factor)
        for given, value in self.per_cache_factors.items():
            if canonical_name(given) == name:
                found = Factor(PER_CACHE_FACTORS, f"caches.per_cache_factors.{given}", value)
        return found


class _Counts:
    """The values of the gauges of the caches that are possible. `names`: the caches that show a size, sorted."""

    def __init__(self, samples: t.Iterable[Sample]) -> None:
        self._values: dict[tuple[str, str, str], float] = {}
        for sample in samples:
            is_possible = 0 <= sample.value <= LARGEST
            if sample.name.startswith(_METRIC) and "name" in sample.labels and is_possible:
                self._values[(sample.name, sample.labels["name"], sample.labels.get("reason", ""))] = sample.value
        self.names = sorted({cache for metric, cache, _reason in self._values if metric == _SIZE})

    def of(self, metric: str, cache: str, reason: str = "") -> int | None:
        """Return the value of a gauge, or None if the process does not publish it."""
        value = self._values.get((metric, cache, reason))
        return None if value is None else int(value)


def compare_caches(
    samples: t.Iterable[Sample],
    bases: BaseSizes | None,
    settings: CacheSettings,
    environment: dict[str, str] | None,
    sources: Sources | None = None,
) -> list[dict[str, t.Any]]:
    """Return each cache in the metrics of a process, with its use, its current size and the configured size.

    `environment`: that of the process, or None if it is unknown. `sources`: the files of the settings, see
    cache_sources. Values that are unknown or do not apply are left out. `as_configured` is unknown if the base size is
    unknown, if an unknown variable may explain the difference, or if the size is 0, which Synapse does not publish.
    `lookups`, `hits` and `evicted` (entries by the reason of their removal) are counted since the start of the process.
    `factor_source`: what sets the factor (`kind`, `name` and `path`), if the environment is known. `difference`: why
    the maximal size is not the one that the files set; that can be a variable of the process, to which `factor` and
    `expected_max_size` belong, so that `as_configured` is true.
    """
    counts = _Counts(samples)
    known = [_scaled(name, counts.of(_MAX_SIZE, name), bases, settings, environment) for name in counts.names]
    return [_compare(scaled, known, counts, settings, environment, sources) for scaled in known]


def _scaled(
    name: str,
    maximum: int | None,
    bases: BaseSizes | None,
    settings: CacheSettings,
    environment: dict[str, str] | None,
) -> Scaled:
    base = bases.of(name, settings.event_cache_size) if bases and maximum is not None else None
    factor = settings.factor_of_variable(name, environment or {}) or settings.configured_factor(name)
    is_event_cache = bases is not None and bases.sizes.get(name) == EVENT_CACHE_SIZE
    return Scaled(name, maximum, base, factor, is_event_cache, environment is not None)


def _compare(
    scaled: Scaled,
    known: t.Sequence[Scaled],
    counts: _Counts,
    settings: CacheSettings,
    environment: dict[str, str] | None,
    sources: Sources | None,
) -> dict[str, t.Any]:
    name = scaled.name
    lookups, hits = counts.of(_METRIC, name), counts.of(_HITS, name)
    evicted = {reason: counts.of(_EVICTED, name, reason) for reason in _REASONS}
    is_scaled = scaled.base is not None
    compared: dict[str, t.Any] = {
        "name": name,
        "size": counts.of(_SIZE, name),
        "max_size": scaled.maximum,
        "base_size": scaled.base,
        "factor": scaled.factor.value if is_scaled else None,
        "expected_max_size": scaled.expected,
        "as_configured": scaled.is_as_configured,
        "lookups": lookups,
        "hits": hits,
        "hit_ratio": round(hits / lookups, 4) if lookups and hits is not None and 0 <= hits <= lookups else None,
        "evicted": None if None in evicted.values() else evicted,
        "factor_source": _factor_source(scaled.factor, sources) if is_scaled and environment is not None else None,
        "difference": difference(scaled, known, settings.configured_factor(name), environment or {}, sources),
    }
    return {key: value for key, value in compared.items() if value is not None}


def _factor_source(factor: Factor, sources: Sources | None) -> dict[str, str] | None:
    if factor.kind == ENVIRONMENT_VARIABLE:
        return {"kind": factor.kind, "name": factor.name}
    if sources is None:
        return None
    if factor.kind == GLOBAL_FACTOR and not sources.sets_global_factor:
        return {"kind": DEFAULT, "name": factor.name}
    source = {"kind": factor.kind, "name": factor.name}
    return {**source, "path": sources.path} if sources.path else source


def _factor(value: t.Any, name: str, file: str | None) -> float:
    if type(value) in (int, float):
        # A number that is too large, infinite or NaN ends Synapse when it sets the size of the first cache.
        with contextlib.suppress(OverflowError):
            if math.isfinite(float(value)):
                return float(value)
    raise ConfigurationError(
        f"caches.{name} in {file} is not a number. Correct it, because Synapse does not accept it."
    )


def _mapping(value: t.Any, name: str, file: str | None) -> Settings:
    if not isinstance(value or {}, dict):
        raise ConfigurationError(f"{name} in {file} is not a mapping. Correct it, because Synapse does not accept it.")
    return t.cast("Settings", value or {})


def _event_cache_size(value: t.Any, file: str | None) -> int:
    try:
        return parse_size(value)
    except ValueError:
        raise ConfigurationError(
            f"event_cache_size in {file} is not a size such as 10K. Correct it, because Synapse cannot start with it."
        ) from None
