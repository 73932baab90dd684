# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_difference import (
    Factor,
    Scaled,
    Sources,
    difference,
    scaled_size,
)

GLOBAL = Factor("global_factor", "caches.global_factor", 2.0)
SINGLE = Factor("per_cache_factors", "caches.per_cache_factors.a", 4.0)
VARIABLE = Factor("environment_variable", "SYNAPSE_CACHE_FACTOR_A", 8.0)
SOURCES = Sources("/conf.d/z.yaml", [], [])


def cache(
    maximum: int | None, factor: Factor = GLOBAL, base: int = 1000, event_cache: bool = False, known: bool = True
) -> Scaled:
    """Return a cache of a process."""
    return Scaled("a", maximum, base, factor, event_cache, known)


def told(
    one: Scaled,
    others: list[Scaled] | None = None,
    configured: Factor = GLOBAL,
    environment: dict[str, str] | None = None,
    sources: Sources | None = SOURCES,
) -> str:
    """Return the difference of a cache as text."""
    return difference(one, [one, *(others or [])], configured, environment or {}, sources) or ""


def test_no_difference() -> None:
    assert told(cache(2000)) == ""
    assert told(cache(None)) == ""
    # An unknown variable may explain it.
    assert told(cache(500, known=False)) == ""


def test_not_reloaded() -> None:
    assert told(cache(500)) == (
        "The process has not read the factor 2.0 of caches.global_factor in /conf.d/z.yaml, and uses a factor of about"
        " 0.5: reload Synapse, or restart it if a file is new or was removed."
    )
    changed = SOURCES._replace(changed_since_start=["/conf.d/z.yaml"])
    assert told(cache(500), sources=changed) == (
        "The process has not read the factor 2.0 of caches.global_factor in /conf.d/z.yaml, and uses a factor of about"
        " 0.5. /conf.d/z.yaml was changed after the process was started: reload Synapse."
    )
    # A changed file that has no effect is not the cause.
    assert "changed" not in told(cache(500), sources=SOURCES._replace(changed_since_start=["/a.yaml"]))
    assert "caches.global_factor (the default)" in told(cache(500), sources=Sources(None, [], [], False))
    assert "/conf.d" not in told(cache(500), sources=None)


def test_a_file_that_replaces_another_is_named() -> None:
    text = told(cache(500), sources=SOURCES._replace(replaced=["/a.yaml", "/b.yaml"]))
    assert text.endswith(" The whole key caches of /a.yaml, /b.yaml is replaced by that of /conf.d/z.yaml.")


def test_the_variable_without_effect_is_named() -> None:
    text = told(cache(500), environment={"SYNAPSE_CACHE_FACTOR": "2"})
    assert text.endswith(" The variable SYNAPSE_CACHE_FACTOR of the process has had no effect since Synapse 1.60.")


def test_a_variable_that_has_priority_is_named() -> None:
    assert told(cache(8000, VARIABLE), configured=SINGLE) == (
        "The variable SYNAPSE_CACHE_FACTOR_A of the process sets the factor 8.0, and has priority over the factor 4.0"
        " of caches.per_cache_factors.a in /conf.d/z.yaml. Remove it from the environment of the unit and restart"
        " Synapse, if the factor of the configuration is right."
    )
    # It sets the same size as the configuration.
    assert told(cache(8000, VARIABLE), configured=GLOBAL._replace(value=8.0)) == ""
    assert (
        "has read the factor 8.0 of SYNAPSE_CACHE_FACTOR_A, but a has at most 500 entries: the process runs another"
        in told(cache(500, VARIABLE))
    )


def test_the_size_of_the_cache_of_events_needs_a_restart() -> None:
    sources = SOURCES._replace(event_cache_size_path="/e.yaml")
    event_cache = cache(500, event_cache=True)
    assert told(event_cache, [cache(4000, base=2000)], sources=sources) == (
        "Other caches have the factor 2.0 of caches.global_factor in /conf.d/z.yaml, but the process was started with"
        " an event_cache_size other than 1000, which /e.yaml sets. Restart Synapse, because a reload does not apply"
        " event_cache_size."
    )
    # No other cache shows which of the two it is.
    assert (
        "2.0 of caches.global_factor in /conf.d/z.yaml, or was started with an event_cache_size other than 1000"
        in told(event_cache)
    )


def test_the_cache_of_events_has_the_old_factor_like_the_others() -> None:
    other = Scaled("b", 167, 335, GLOBAL, False, True)
    text = told(cache(500, event_cache=True), [other])
    assert "event_cache_size" not in text and "reload Synapse" in text
    # Five of ten entries are a factor from 0.5 to less than 0.6.
    few = Scaled("a", 5, 10, GLOBAL, True, True)
    assert "event_cache_size" not in told(few, [Scaled("b", 550, 1000, GLOBAL, False, True)])
    # This one has another factor.
    assert "event_cache_size" in told(cache(500, event_cache=True), [Scaled("b", 300, 335, GLOBAL, False, True)])


def test_a_single_cache_that_differs() -> None:
    text = told(cache(500), [cache(4000, base=2000)])
    assert "the process was started with another factor for this cache, or runs another version of Synapse" in text


def test_small_caches_prove_nothing() -> None:
    # int(1 * 2.0) and int(1 * 2.5) are both 2.
    assert "has not read the factor" in told(cache(2500), [cache(2, base=1)])
    assert "Other caches have the factor" in told(cache(2500), [cache(20, base=10)])


@pytest.mark.parametrize(
    ("base", "factor", "size"), [(335, 0.5, 167), (10, 1e308, None), (10, float("nan"), None), (10**400, 0.5, None)]
)
def test_scaled_size(base: int, factor: float, size: int | None) -> None:
    assert scaled_size(base, factor) == size
