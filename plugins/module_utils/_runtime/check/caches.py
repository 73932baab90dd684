# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the caches of each process have the sizes that are declared, and how far that is proven."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict

# The values without which no size is known.
_NEEDED = ("caches", "base_size")


def wrong_caches(process: Mapping) -> list[Mapping]:
    """Return the caches of a process that do not have the configured size."""
    return [cache for cache in process.get("caches", []) if cache.get("as_configured") is False]


def judge_caches(declared: Declared, found: Mapping, verdict: Verdict) -> bool:
    """Compare the caches with what is declared. Return whether the size of each cache that was read is proven.

    `found`: what RuntimeReader returns. Each process must show at least one cache, and none of a wrong size.
    """
    if not declared.reads_caches:
        return False
    processes = found["processes"]
    judged = [[cache for cache in process.get("caches", []) if "as_configured" in cache] for process in processes]
    wrong = [cache for process in processes for cache in wrong_caches(process)]
    proven = bool(judged) and all(judged) and not wrong
    if declared.cache_factor is not None:
        _judge_factor(declared, declared.cache_factor, found, verdict)
    for process in processes if declared.caches else ():
        _judge_sizes(declared, process, verdict)
    verdict.proofs["caches"] = proof = _proof(declared, found, sum(map(len, judged)), len(wrong), proven)
    if declared.require_cache_proof and not proven and not verdict.failed("caches"):
        reason = f"{proof} ({declared.called('require_cache_proof')} is true)"
        verdict.fail("require_cache_proof", reason, need=None if wrong else Need.ANSWER)
    return proven


def _judge_factor(declared: Declared, wanted: float, found: Mapping, verdict: Verdict) -> None:
    option, factor = declared.called("cache_factor"), found["cache_settings"]["global_factor"]
    if factor != wanted:
        source = read_configuration(declared.config_path).source_of("caches")
        if source is None:
            cause = f"No file of the configuration sets it, so the default applies. Set it to {wanted}."
        else:
            cause = f"{source} is the last file with the setting caches, and replaces that of all other files."
            cause += f" Set global_factor to {wanted} there, or remove caches there, and reload Synapse."
        reason = f"The setting caches.global_factor in force is {factor}, but {option} is {wanted}. {cause}"
        verdict.fail("cache_factor", reason)
    for process in found["processes"]:
        without = unknown_of(process["unknown"], ("config_path",))
        if without:
            verdict.fail("cache_factor", f"{identified(process)} may not have {option}. {without}", process)


def _judge_sizes(declared: Declared, process: Mapping, verdict: Verdict) -> None:
    wrong = wrong_caches(process)
    if wrong:
        first = wrong[0]
        verdict.fail(
            "caches",
            f"{len(wrong)} caches of {identified(process)} do not have the size that the configuration sets. One of"
            f" them is {first['name']} with {first['max_size']} instead of {first['expected_max_size']} entries."
            f" Restart {declared.restart(process)} and run this again.",
            process,
        )


def _is_unjudged(process: Mapping) -> bool:
    return any(cache.get("expected_max_size") and "as_configured" not in cache for cache in process.get("caches", []))


def _proof(declared: Declared, found: Mapping, count: int, wrong: int, proven: bool) -> str:
    in_force = f"global_factor {found['cache_settings']['global_factor']}"
    unmanaged = "" if declared.judges_caches else f"not managed ({declared.called('cache_factor')} is not set). "
    if proven:
        return f"Caches: {unmanaged}{count} caches of the running server have the size that {in_force} sets."
    if wrong:
        doubt = f"{wrong} caches of the running server have another size: reload it."
    else:
        unknown: t.Sequence[Mapping] = found["unknown"]
        # An unknown variable can explain a difference, and matters to no other size.
        names = (*_NEEDED, "environment") if any(map(_is_unjudged, found["processes"])) else _NEEDED
        reasons = unknown_of(unknown, names) or "no cache has been used yet."
        doubt = f"the sizes in the running server cannot be read: {reasons}"
    return f"Caches: {unmanaged}NOT proven. {in_force} is configured, but {doubt}"
