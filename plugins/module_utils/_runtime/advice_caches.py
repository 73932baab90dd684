# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Advice about the factor of the caches: larger if caches are too small, smaller if memory is short, never both.

Relies on the FAQ of Synapse ("Synapse is slow and eats all my RAM/CPU"): a larger factor, for which 2.0 is a good
start, helps where disks are slow; a smaller one saves memory, but where requests wait for a slow disk it makes memory
and speed worse, so then the factor is never reduced. A cache is too small
only if it removed entries because it was full: without that, a larger one would find nothing more.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import (
    Advice,
    Found,
    entries,
    figure,
    mebibytes,
    named,
    percent,
    plain,
    section,
    share,
    used_bytes,
    waiting,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import (
    Thresholds,
    parse_version,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_difference import (
    BARE_VARIABLE,
    ENVIRONMENT_VARIABLE,
    PER_CACHE_FACTORS,
)

_VARIABLE = "synapse_cache_factor_global"
# The FAQ recommends it.
_GOOD_START = 2.0
# What the role synapse_cache_factor accepts.
_LARGEST = 1000.0
# Below it, Synapse looks up most of what it needs again and again.
_SMALLEST = 0.1
# The last version in which the variable had an effect is older.
_WITHOUT_VARIABLE = (1, 60, 0, True)
_MOST_NAMES = 5
# The share of the memory of the host. If so much is available, Linux has only put pages into swap that are never used.
_PLENTY = 0.3


def advise_on_caches(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice about the factor of the caches, at most one, and then about a variable that has no effect."""
    factor = figure(found, "cache_settings", "global_factor")
    short = _short_memory(found, thresholds)
    small = _small_caches(found, thresholds)
    if factor is not None and short:
        yield from _less_memory(found, thresholds, factor, short, small)
    elif factor and small and factor < _LARGEST:
        larger = _GOOD_START if factor < _GOOD_START else min(factor * 2, _LARGEST)
        advice = f"Increase the factor of the caches from {factor:g} to {larger:g} ({_VARIABLE}), and watch the memory."
        available = figure(found, "host", "memory_available_bytes")
        room = [] if available is None else [f"{mebibytes(available)} of the memory of the host are available."]
        yield Advice("cache_factor", advice, [*small, *_slow_disks(found, thresholds), *room], {_VARIABLE: larger})
    yield from _ignored_variable(found)


def _less_memory(
    found: Found, thresholds: Thresholds, factor: float, short: list[str], small: list[str]
) -> t.Iterator[Advice]:
    is_limited = any(_near_limit(process, thresholds) for process in entries(found, "processes"))
    used = _memory_of_synapse(found, thresholds)
    is_cause = is_limited or bool(used)
    slow = _slow_disks(found, thresholds) if small else []
    if slow and is_cause and factor < _GOOD_START and not is_limited:
        advice = (
            f"Increase the factor of the caches from {factor:g} to {_GOOD_START:g} ({_VARIABLE}), although memory is"
            " short: requests that wait for the disk or the database can use more memory than larger caches. Watch the"
            " memory, and add memory if it stays short."
        )
        yield Advice("cache_factor", advice, [*short, *used, *small, *slow], {_VARIABLE: _GOOD_START})
    elif is_cause and factor > _SMALLEST and not slow:
        smaller = round(min(max(factor / 2, _SMALLEST), _LARGEST), 3)
        advice = f"Reduce the factor of the caches from {factor:g} to {smaller:g} ({_VARIABLE}), or add memory."
        if small:
            advice += " Caches are too small as well, but memory is short, so a larger factor would make it worse:"
            advice += " adding memory is better."
        yield Advice("cache_factor", advice, [*short, *used, *small], {_VARIABLE: smaller})
    elif small or is_cause:
        advice = "Add memory to the host or stop what uses it"
        if is_limited:
            advice = "Give Synapse more memory, with a higher limit of its control group"
        if small:
            advice += f", before you increase the factor of the caches ({_VARIABLE}): caches are too small, but memory"
            advice += " is short"
        yield Advice("memory", f"{advice}.", [*short, *used, *small, *slow], {})


def _short_memory(found: Found, thresholds: Thresholds) -> list[str]:
    evidence: list[str] = []
    available, total = (figure(found, "host", f"memory_{name}_bytes") for name in ("available", "total"))
    free = share(available, total)
    if free is not None and free < thresholds.memory_available_share:
        evidence.append(f"Only {mebibytes(available or 0)} of the memory of the host are available ({percent(free)}).")
    for process in entries(found, "processes"):
        resident, swapped = (figure(process, "memory", f"{name}_bytes") for name in ("resident", "swapped"))
        part = _near_limit(process, thresholds)
        if part is not None:
            limit = figure(process, "memory", "limit_bytes") or 0
            evidence.append(
                f"{named(process)} uses {mebibytes(resident or 0)} of memory, {percent(part)} of the limit of its"
                f" control group ({mebibytes(limit)})."
            )
        part = share(swapped, None if resident is None or swapped is None else resident + swapped)
        if part is not None and part > thresholds.swapped_share and free is not None and free < _PLENTY:
            evidence.append(
                f"{mebibytes(swapped or 0)} of the memory of {named(process)} are in swap ({percent(part)})."
            )
    return evidence


def _near_limit(process: Found, thresholds: Thresholds) -> float | None:
    """Return the share that a process uses of the limit of its control group, or None if the limit is not near."""
    part = share(figure(process, "memory", "resident_bytes"), figure(process, "memory", "limit_bytes"))
    return part if part is not None and part > thresholds.memory_limit_share else None


def _memory_of_synapse(found: Found, thresholds: Thresholds) -> list[str]:
    """Return a sentence if Synapse itself uses much of the memory of the host."""
    used = sum(used_bytes(process) or 0 for process in entries(found, "processes"))
    part = share(used, figure(found, "host", "memory_total_bytes"))
    if part is None or part < thresholds.synapse_memory_share:
        return []
    return [f"The processes of Synapse use {mebibytes(used)}, {percent(part)} of the memory of the host."]


def _small_caches(found: Found, thresholds: Thresholds) -> list[str]:
    """Return a sentence for each process in which many caches are too small."""
    evidence: list[str] = []
    for process in entries(found, "processes"):
        small = sorted(
            (ratio, plain(cache.get("name")))
            for cache in entries(process, "caches")
            for ratio in [_ratio_of_small_cache(cache, thresholds)]
            if ratio is not None
        )
        if small and len(small) >= thresholds.small_caches:
            names = ", ".join(f"{name} ({percent(ratio)})" for ratio, name in small[:_MOST_NAMES])
            evidence.append(
                f"In {named(process)}, {len(small)} caches are full and find too few of the entries that are looked up,"
                f" such as {names}."
            )
    return evidence


def _ratio_of_small_cache(cache: Found, thresholds: Thresholds) -> float | None:
    """Return the hit ratio of a cache that is too small and has the global factor, or None."""
    lookups, hits, evicted = figure(cache, "lookups"), figure(cache, "hits"), figure(cache, "evicted", "size")
    own = section(cache, "factor_source").get("kind") in (ENVIRONMENT_VARIABLE, PER_CACHE_FACTORS)
    # The size of some caches does not depend on the factor.
    if own or figure(cache, "factor") is None or lookups is None or hits is None or hits > lookups:
        return None
    ratio, evictions = share(hits, lookups), share(evicted, lookups - hits)
    if ratio is None or evictions is None or not evicted or lookups < thresholds.cache_lookups:
        return None
    is_small = ratio < thresholds.cache_hit_ratio and evictions >= thresholds.cache_evictions_share
    return ratio if is_small else None


def _slow_disks(found: Found, thresholds: Thresholds) -> list[str]:
    """Return the sentences that show that requests wait for a disk or for the database."""
    evidence: list[str] = []
    pressure = figure(found, "host", "io_pressure_share")
    if pressure is not None and pressure >= thresholds.io_pressure_share:
        evidence.append(f"Tasks of the host waited for the disk for {percent(pressure)} of the last minute.")
    evidence += filter(None, (waiting(process, thresholds) for process in entries(found, "processes")))
    return evidence


def _ignored_variable(found: Found) -> t.Iterator[Advice]:
    evidence = [
        f"{named(process)} was started with {BARE_VARIABLE}={plain(section(process, 'environment')[BARE_VARIABLE])}."
        for process in entries(found, "processes")
        if BARE_VARIABLE in section(process, "environment")
        and (parse_version(process.get("version")) or _WITHOUT_VARIABLE) >= _WITHOUT_VARIABLE
    ]
    if evidence:
        advice = f"Set the factor of the caches with {_VARIABLE}: {BARE_VARIABLE} has had no effect since Synapse 1.60."
        yield Advice("cache_factor_variable", f"{advice} The role then removes the variable.", evidence, {})
