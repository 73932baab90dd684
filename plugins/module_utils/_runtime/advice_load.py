# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Advice about a server with too much work: connections to the database, the event loop, and workers.

Relies on how Synapse 1.163 works: a transaction waits if all connections of the pool of a process (cp_max) are in use;
all Python code of a process runs in one thread, the event loop, so that it can use about one processor core.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import (
    Advice,
    Found,
    entries,
    figure,
    has_run,
    lasting,
    named,
    percent,
    section,
    share,
    waiting,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import Thresholds

_SQLITE = "sqlite3"


def advise_on_database(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice about connections to the database. SQLite allows only one, and has an advice of its own."""
    evidence: list[str] = []
    for process in entries(found, "processes") if section(found).get("database_engine") != _SQLITE else ():
        sentence = waiting(process, thresholds)
        if not sentence:
            continue
        evidence.append(sentence)
        working, most = (figure(process, "database", "connections", name) for name in ("working", "max"))
        # Without the wait, it is one moment that says nothing.
        if working is not None and most is not None and working >= most:
            evidence.append(f"{named(process)} uses all of its {most:.0f} connections to the database now.")
    if evidence:
        advice = (
            "Look for slow queries and a slow disk in PostgreSQL first. If PostgreSQL has capacity left, raise cp_max"
            " in database.args of the configuration, and max_connections of PostgreSQL for all processes together."
        )
        yield Advice("database", advice, evidence, {})


def advise_on_event_loop(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice about an event loop that is late."""
    evidence: list[str] = []
    for process in entries(found, "processes"):
        ticks = figure(process, "event_loop", "ticks")
        if ticks is None or ticks < thresholds.event_loop_ticks or not has_run(process, thresholds):
            continue
        measured, since_start = (figure(process, group, "average_tick_seconds") for group in ("rates", "event_loop"))
        tick = lasting(measured, since_start, thresholds.average_tick_seconds)
        slow = share(figure(process, "event_loop", "slow_ticks"), ticks)
        if tick is not None:
            evidence.append(f"One turn of the event loop of {named(process)} takes {tick:.3f} seconds on average.")
        elif slow is not None and slow > thresholds.slow_ticks_share:
            evidence.append(
                f"{percent(slow)} of the turns of the event loop of {named(process)} took longer than one second."
            )
    if evidence:
        advice = (
            "Reduce the work of these processes: each request waits for one turn of the event loop or more. Look for"
            " slow requests in their logs, and check whether the host has processor time left."
        )
        yield Advice("event_loop", advice, evidence, {})


def advise_on_workers(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to use workers if a process is near the one core that it can use. They need PostgreSQL."""
    evidence: list[str] = []
    for process in entries(found, "processes") if section(found).get("database_engine") != _SQLITE else ():
        if not has_run(process, thresholds):
            continue
        measured, since_start = figure(process, "rates", "cpu_share"), figure(process, "cpu", "average_share")
        cpu = lasting(measured, since_start, thresholds.processor_share)
        if cpu is not None:
            evidence.append(
                f"{named(process)} uses {percent(cpu)} of a processor core, and can use little more than one."
            )
    if evidence:
        processors = figure(found, "host", "processors")
        if processors is not None and processors <= len(entries(found, "processes")):
            evidence.append(
                f"The number of processor cores of the host is {processors:.0f}, and each worker can use one more."
            )
        advice = "Move work from these processes to more workers, after all other advice. No role of this collection"
        advice += " does that."
        yield Advice("workers", advice, evidence, {})
