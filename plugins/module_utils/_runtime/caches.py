# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sizes of Synapse's caches: the configured ones, compared with those of a running process.

Relies on synapse/config/cache.py and synapse/util/caches of Synapse 1.163. A cache holds up to int(base size * factor)
entries. `cache_autotuning` removes entries when memory is low, but does not change these sizes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import BaseSizes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample

_SIZE, _MAX_SIZE = "synapse_util_caches_cache_size", "synapse_util_caches_cache_max_size"
_VARIABLE = "SYNAPSE_CACHE_FACTOR_"
_SUFFIXES = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def canonical_name(cache: str) -> str:
    """Return the name of a cache as Synapse compares it. Synapse also drops the digit 0, by mistake."""
    return re.sub(r"[^A-Za-z_1-9]", "", cache).lower()


@dataclasses.dataclass(frozen=True)
class CacheSettings:
    """The settings of the caches in a configuration. `event_cache_size` is the base size of the cache of events."""

    global_factor: float
    per_cache_factors: dict[str, float]
    event_cache_size: int
    cache_autotuning: Settings

    @classmethod
    def read(cls, settings: Settings) -> CacheSettings:
        """Return the settings of the caches. Raises ConfigurationError for values that Synapse does not accept."""
        caches = _mapping(settings.get("caches"), "caches")
        factors = _mapping(caches.get("per_cache_factors"), "caches.per_cache_factors")
        autotuning = _mapping(caches.get("cache_autotuning"), "caches.cache_autotuning")
        return cls(
            _factor(caches.get("global_factor", 0.5), "global_factor"),
            {str(name): _factor(value, f"per_cache_factors.{name}") for name, value in factors.items()},
            _size(settings.get("event_cache_size", "10K")),
            {name: value for name, value in autotuning.items() if value is not None},
        )

    def factor(self, cache: str, environment: t.Mapping[str, str]) -> float:
        """Return the factor of `cache` in a process with `environment`. A variable for a single cache has priority."""
        name = canonical_name(cache)
        for variable, value in environment.items():
            if variable.startswith(_VARIABLE) and canonical_name(variable[len(_VARIABLE) :]) == name:
                with contextlib.suppress(ValueError):
                    return float(value)
        single = {canonical_name(given): factor for given, factor in self.per_cache_factors.items()}
        return single.get(name, self.global_factor)


def compare_caches(
    samples: t.Iterable[Sample], bases: BaseSizes | None, settings: CacheSettings, environment: dict[str, str] | None
) -> list[dict[str, t.Any]]:
    """Return each cache in the metrics of a process, with its current size and the configured size.

    `environment`: that of the process, or None if it is unknown. Values that are unknown or do not apply are left out.
    `as_configured` is unknown if the base size is unknown, if an unknown variable may explain the difference, or if the
    size is 0, which Synapse does not publish.
    """
    sizes: dict[str, float] = {}
    maximums: dict[str, float] = {}
    for sample in samples:
        if sample.name in (_SIZE, _MAX_SIZE) and "name" in sample.labels:
            (sizes if sample.name == _SIZE else maximums)[sample.labels["name"]] = sample.value
    return [_compare(name, sizes[name], maximums.get(name), bases, settings, environment) for name in sorted(sizes)]


def _compare(
    name: str,
    size: float,
    maximum: float | None,
    bases: BaseSizes | None,
    settings: CacheSettings,
    environment: dict[str, str] | None,
) -> dict[str, t.Any]:
    base = bases.of(name, settings.event_cache_size) if bases and maximum is not None else None
    factor = None if base is None else settings.factor(name, environment or {})
    expected = None if base is None or factor is None else int(base * factor)
    compared: dict[str, t.Any] = {
        "name": name,
        "size": int(size),
        "max_size": None if maximum is None else int(maximum),
        "base_size": base,
        "factor": factor,
        "expected_max_size": expected,
        "as_configured": _is_as_configured(maximum, expected, environment is not None),
    }
    return {key: value for key, value in compared.items() if value is not None}


def _is_as_configured(maximum: float | None, expected: int | None, environment_known: bool) -> bool | None:
    if maximum is None or not expected:
        return None
    if maximum == expected:
        return True
    return False if environment_known else None


def _factor(value: t.Any, name: str) -> float:
    if type(value) not in (int, float):
        raise ConfigurationError(
            f"caches.{name} in the configuration is not a number. Correct it, because Synapse does not accept it."
        )
    return float(value)


def _mapping(value: t.Any, name: str) -> Settings:
    if not isinstance(value or {}, dict):
        raise ConfigurationError(
            f"{name} in the configuration is not a mapping. Correct it, because Synapse does not accept it."
        )
    return t.cast("Settings", value or {})


def _size(value: t.Any) -> int:
    try:
        text = str(value)
        return int(text[:-1]) * _SUFFIXES[text[-1]] if text[-1:] in _SUFFIXES else int(text)
    except ValueError:
        raise ConfigurationError(
            "event_cache_size in the configuration is not a size such as 10K. Correct it, because Synapse cannot start"
            " with it."
        ) from None
