# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether Synapse empties its caches when it uses too much memory (the setting caches.cache_autotuning).

Relies on synapse/util/caches/lrucache.py and synapse/config/cache.py of Synapse 1.163: each 30 seconds, if jemalloc
reports more allocated memory than max_cache_memory_usage, Synapse removes the entries that were not used for
min_cache_ttl, until target_cache_memory_usage is reached. Such entries count as evicted for the reason `time`. The
maximal sizes of the caches do not change. Without jemalloc the setting silently has no effect.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import CacheSettings

_MAXIMUM, _TARGET, _TTL = "max_cache_memory_usage", "target_cache_memory_usage", "min_cache_ttl"
# In milliseconds (parse_duration in synapse/config/_base.py).
_DURATIONS = {"": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = re.compile(r"\s*([+-]?[0-9]+)\s*([smhdwy]?)")
_FIX = "Correct it, because Synapse cannot start with it."


def autotuning_in_force(
    settings: CacheSettings,
    jemalloc: t.Mapping[str, t.Any] | None,
    memory: t.Mapping[str, t.Any] | None = None,
    replacement: str = "",
) -> dict[str, t.Any] | None:
    """Return the autotuning of the caches of a process, or None if the configuration does not set it.

    `jemalloc`: what ProcessReader.jemalloc returns, None if it is unknown. `memory`: the memory as jemalloc reports it,
    with `allocated_bytes`; by default that in `jemalloc`. `replacement`: what Configuration.replacement returns for
    caches. Returned: `max_bytes`, `target_bytes` and `min_ttl_seconds` as far as they are set and right, `in_force`
    (absent if it is unknown), `reason` (why it is not in force or unknown) and, if it is in force and the allocated
    memory is known, `allocated_bytes` and `is_evicting`.
    """
    given = settings.cache_autotuning
    if not given:
        return None
    known: dict[str, t.Any] = {}
    wrong: list[str] = []
    for key, name, parse in (
        (_MAXIMUM, "max_bytes", parse_size),
        (_TARGET, "target_bytes", parse_size),
        (_TTL, "min_ttl_seconds", _seconds),
    ):
        if key not in given:
            wrong.append(f"caches.cache_autotuning.{key} is not set. Set it, because Synapse needs all three keys.")
            continue
        try:
            known[name] = parse(given[key])
        except ValueError:
            unit = "duration such as 5m" if key == _TTL else "size such as 1024M"
            wrong.append(f"caches.cache_autotuning.{key} is not a {unit}. {_FIX}")
    loaded = (jemalloc or {}).get("loaded")
    if wrong:
        return {**known, "in_force": False, "reason": " ".join([*wrong, replacement]).rstrip()}
    if loaded is False:
        reason = "jemalloc is not loaded in the process, and without it Synapse ignores caches.cache_autotuning."
        return {**known, "in_force": False, "reason": f"{reason} Load jemalloc with LD_PRELOAD and restart Synapse."}
    if loaded is not True:
        reason = "It is unknown whether jemalloc is loaded in the process, and without it the setting has no effect."
        return {**known, "reason": f"{reason} Run the task with become, as root."}
    return {**known, "in_force": True, **_use((jemalloc or {}).get("memory") if memory is None else memory, known)}


def _use(memory: t.Any, known: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    allocated = memory.get("allocated_bytes") if isinstance(memory, t.Mapping) else None
    if not isinstance(allocated, int) or isinstance(allocated, bool) or allocated < 0:
        return {}
    return {"allocated_bytes": allocated, "is_evicting": allocated > known["max_bytes"]}


def _seconds(value: t.Any) -> float:
    match = _DURATION.fullmatch(str(value)) if type(value) in (int, str) else None
    if match is None:
        raise ValueError(value)
    try:
        return int(match[1]) * _DURATIONS[match[2]] / 1000
    except OverflowError:
        raise ValueError(value) from None
