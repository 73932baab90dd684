# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Why a cache of a running process does not have the size that the files of the configuration set.

Relies on synapse/config/cache.py and reload_cache_config in synapse/app/_base.py of Synapse 1.163: a reload applies
global_factor and per_cache_factors, but not event_cache_size, and reads only files that existed at the start. The
variable SYNAPSE_CACHE_FACTOR has had no effect since Synapse 1.60; those of single caches still have priority.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

ENVIRONMENT_VARIABLE = "environment_variable"
PER_CACHE_FACTORS = "per_cache_factors"
GLOBAL_FACTOR = "global_factor"
DEFAULT = "default"

# Has no effect since Synapse 1.60.
BARE_VARIABLE = "SYNAPSE_CACHE_FACTOR"


class Sources(t.NamedTuple):
    """Where the settings of the caches are.

    `path`: the file whose key `caches` is in force, None if no file has it. `replaced`: earlier files with that key,
    which has no effect there. `changed_since_start`: those of these files that were changed after the start of the
    process, and that a reload applies. `sets_global_factor`: whether `path` sets it. `event_cache_size_path`: the file
    that sets it, None for the default.
    """

    path: str | None
    replaced: list[str]
    changed_since_start: list[str]
    sets_global_factor: bool = True
    event_cache_size_path: str | None = None


class Factor(t.NamedTuple):
    """A factor, and what sets it: the kind, and the name of the variable or of the setting."""

    kind: str
    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A cache, its maximal size in the process, its base size and its factor. What is unknown is None."""

    name: str
    maximum: int | None
    base: int | None
    factor: Factor
    is_event_cache: bool
    environment_known: bool

    @property
    def expected(self) -> int | None:
        """The size that the cache must have."""
        return None if self.base is None else scaled_size(self.base, self.factor.value)

    @property
    def is_as_configured(self) -> bool | None:
        """Whether the cache has that size. None: see `compare_caches`."""
        if self.maximum is None or not self.expected:
            return None
        if self.maximum == self.expected:
            return True
        return False if self.environment_known else None


def scaled_size(base: int, factor: float) -> int | None:
    """Return the maximal size of a cache as Synapse computes it, or None if that is too large for any number."""
    try:
        size = base * factor
    except OverflowError:
        # A setting can have any number of digits.
        return None
    return int(size) if math.isfinite(size) else None


def difference(
    cache: Scaled,
    known: t.Sequence[Scaled],
    configured: Factor,
    environment: t.Mapping[str, str],
    sources: Sources | None,
) -> str | None:
    """Return one or two sentences: why the size of `cache` is not the one that the files set. None: it is, or unknown.

    `known`: all caches of the process. `configured`: the factor that the files set. `environment`: the variables of the
    process. Without `sources` no file is named.
    """
    if cache.is_as_configured is True:
        return _overridden(cache, configured, sources) if cache.factor.kind == ENVIRONMENT_VARIABLE else None
    if cache.is_as_configured is not False:
        return None
    cause = _cause(cache, known, sources)
    if sources and sources.path and sources.replaced:
        return f"{cause} The whole key caches of {', '.join(sources.replaced)} is replaced by that of {sources.path}."
    if BARE_VARIABLE in environment:
        return f"{cause} The variable {BARE_VARIABLE} of the process has had no effect since Synapse 1.60."
    return cause


def _overridden(cache: Scaled, configured: Factor, sources: Sources | None) -> str | None:
    if cache.base is None or scaled_size(cache.base, configured.value) == cache.expected:
        return None
    return (
        f"The variable {cache.factor.name} of the process sets the factor {cache.factor.value}, and has priority over"
        f" the factor {configured.value} of {_named(configured, sources)}. Remove it from the environment of the unit"
        " and restart Synapse, if the factor of the configuration is right."
    )


def _cause(cache: Scaled, known: t.Sequence[Scaled], sources: Sources | None) -> str:
    if cache.factor.kind == ENVIRONMENT_VARIABLE:
        return _another_base(
            cache, f"The process has read the factor {cache.factor.value} of {cache.factor.name}", sources
        )
    named = _named(cache.factor, sources)
    if cache.factor.kind == GLOBAL_FACTOR and _is_in_force(cache, known):
        return _another_base(cache, f"Other caches have the factor {cache.factor.value} of {named}", sources)
    unread = f"The process has not read the factor {cache.factor.value} of {named}"
    if sources and sources.path in sources.changed_since_start:
        return f"{unread}, and{_used(cache)}. {sources.path} was changed after the process was started: reload Synapse."
    if cache.is_event_cache and not _has_old_factor(cache, known):
        return (
            f"{unread}, or was started with an event_cache_size other than {cache.base}, and{_used(cache)}: restart"
            " Synapse, because a reload does not apply event_cache_size."
        )
    return f"{unread}, and{_used(cache)}: reload Synapse, or restart it if a file is new or was removed."


def _another_base(cache: Scaled, proof: str, sources: Sources | None) -> str:
    if cache.is_event_cache:
        path = sources.event_cache_size_path if sources else None
        return (
            f"{proof}, but the process was started with an event_cache_size other than {cache.base}"
            f"{f', which {path} sets' if path else ''}. Restart Synapse, because a reload does not apply"
            " event_cache_size."
        )
    another = "" if cache.factor.kind == ENVIRONMENT_VARIABLE else " was started with another factor for this cache, or"
    return (
        f"{proof}, but {cache.name} has at most {cache.maximum} entries: the process{another} runs another version of"
        f" Synapse with a base size other than {cache.base}. Restart Synapse, and set synapse_python to the Python of"
        " this process."
    )


def _used(cache: Scaled) -> str:
    return f" uses a factor of about {(cache.maximum or 0) / (cache.base or 1):.3g}"


def _named(factor: Factor, sources: Sources | None) -> str:
    if factor.kind == GLOBAL_FACTOR and sources and not sources.sets_global_factor:
        return f"{factor.name} (the default)"
    return f"{factor.name} in {sources.path}" if sources and sources.path else factor.name


def _is_in_force(cache: Scaled, known: t.Sequence[Scaled]) -> bool:
    """Return whether the process uses the factor of `cache`: another cache has a size that only this factor explains.

    Small caches can have the same size with the factor that `cache` seems to have.
    """
    same = (other for other in known if other.is_as_configured and other.factor == cache.factor)
    return any(not _is_explained(other, cache) for other in same)


def _has_old_factor(cache: Scaled, known: t.Sequence[Scaled]) -> bool:
    """Return whether another cache seems to have the same factor as `cache`, instead of the one that both must have."""
    wrong = (other for other in known if other.is_as_configured is False and other.factor == cache.factor)
    return any(_is_explained(other, cache) for other in wrong if other.name != cache.name)


def _is_explained(other: Scaled, cache: Scaled) -> bool:
    """Return whether the size of `other` is possible with the factor that `cache` seems to have."""
    if not other.base or other.maximum is None or not cache.base or cache.maximum is None:
        return False
    least = scaled_size(other.base, cache.maximum / cache.base)
    most = scaled_size(other.base, (cache.maximum + 1) / cache.base)
    return least is not None and most is not None and least <= other.maximum <= most
