# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Advice about the version, the type of the database, jemalloc, presence and the limit of open files.

Relies on the FAQ of Synapse ("Synapse is slow and eats all my RAM/CPU", "Running out of File Handles").
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import (
    Advice,
    Found,
    entries,
    figure,
    mebibytes,
    named,
    per_minute,
    percent,
    plain,
    processor_share,
    section,
    share,
    waiting,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import (
    Thresholds,
    parse_version,
)

_HOUR = 3600
# The default of the role synapse_file_limits, and the largest number that it accepts.
_FEWEST_FILES, _MOST_FILES = 16_384, 1_073_741_816


def advise_on_version(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to upgrade an old Synapse."""
    oldest = thresholds.oldest_version
    versions = [process.get("version") for process in entries(found, "processes")]
    evidence = [
        f"{named(process)} runs Synapse {plain(process['version'])}."
        for process in entries(found, "processes")
        if _is_older(process.get("version"), oldest)
    ]
    server = section(found, "server").get("version")
    if not evidence and _is_older(server, oldest):
        evidence.append(f"The server runs Synapse {plain(server)}.")
    newer = [text for text in versions if parse_version(text) and not _is_older(text, oldest)]
    if evidence and newer:
        # The role would install exactly the version that is set, which may be older than that of the other processes.
        advice = f"Restart these processes, because others already run Synapse {plain(newer[0])}."
        yield Advice("version", advice, evidence, {})
    elif evidence:
        advice = f"Upgrade Synapse to {oldest} or later (synapse_homeserver_version). Read its upgrade notes first."
        yield Advice("version", advice, evidence, {"synapse_homeserver_version": oldest})


def advise_on_database_engine(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to use PostgreSQL."""
    if section(found).get("database_engine") == "sqlite3":
        advice = (
            "Move the data to PostgreSQL with synapse_port_db, then set synapse_homeserver_database to postgresql. The"
            " role does not move the data."
        )
        evidence = ["The configuration sets the database sqlite3, which is only for trying Synapse out."]
        evidence += filter(None, (waiting(process, thresholds) for process in entries(found, "processes")))
        yield Advice("database_engine", advice, evidence, {"synapse_homeserver_database": "postgresql"})


def advise_on_jemalloc(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to load jemalloc in processes that use much memory."""
    evidence: list[str] = []
    for process in entries(found, "processes"):
        resident = figure(process, "memory", "resident_bytes")
        is_large = resident is not None and resident >= thresholds.memory_without_jemalloc_bytes
        if is_large and section(process, "jemalloc").get("loaded") is False:
            evidence.append(f"{named(process)} uses {mebibytes(resident or 0)} of memory and has not loaded jemalloc.")
    if evidence:
        advice = "Load jemalloc (synapse_jemalloc_state), which needs less memory and returns more of it to the host."
        if any(section(process, "jemalloc").get("loaded") is True for process in entries(found, "processes")):
            advice += " Other processes have loaded it, so it may be enough to restart these."
        yield Advice("jemalloc", advice, evidence, {"synapse_jemalloc_state": "present"})


def advise_on_presence(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to disable presence if it is enabled and busy."""
    evidence: list[str] = []
    for process in entries(found, "processes"):
        own = section(process, "presence_settings") or section(found, "presence_settings")
        busy = _busy_presence(process, thresholds) if own.get("mode") == "enabled" else []
        cpu = processor_share(process)
        if busy:
            used = "" if cpu is None else f", and uses {percent(cpu)} of a processor core"
            evidence.append(f"Presence is enabled. {named(process)} {' and '.join(busy)} per minute{used}.")
    if evidence:
        advice = (
            "Disable presence (synapse_presence_mode), if users can do without seeing who is online. With untracked,"
            " only what modules set is shown."
        )
        yield Advice("presence", advice, evidence, {"synapse_presence_mode": "disabled"})


def advise_on_file_limit(found: Found, thresholds: Thresholds) -> t.Iterator[Advice]:
    """Yield the advice to raise the limit of open files if it is near or will soon be reached."""
    evidence: list[str] = []
    wanted = _FEWEST_FILES
    for process in entries(found, "processes"):
        used, limit = figure(process, "open_files"), figure(process, "file_limits", "soft")
        part = share(used, limit)
        if used is None or limit is None or part is None:
            continue
        # A process opens many files in its first hours, and then no more.
        is_half_way = part >= thresholds.open_files_share / 2
        growing = _soon_reached(process, limit - used, thresholds) if is_half_way else ""
        if part >= thresholds.open_files_share or growing:
            wanted = max(wanted, min(2 * int(limit), _MOST_FILES))
            evidence.append(f"{named(process)} has {used:.0f} of {limit:.0f} files open ({percent(part)}){growing}.")
    if evidence:
        advice = f"Raise the limit of open files to {wanted} (synapse_file_limits_nofile)."
        advice += " If their number never falls, look for requests that stay in flight."
        yield Advice("file_limit", advice, evidence, {"synapse_file_limits_nofile": wanted})


def _is_older(version: t.Any, oldest: str) -> bool:
    running, recommended = parse_version(version), parse_version(oldest)
    return running is not None and recommended is not None and running < recommended


def _busy_presence(process: Found, thresholds: Thresholds) -> list[str]:
    least = thresholds.uptime_seconds
    updates = per_minute(process, ("rates", "presence_updates_per_minute"), ("presence", "updates"), least)
    sent = per_minute(process, ("rates", "presence_edus_sent_per_minute"), ("presence", "sent_edus"), least)
    busy: list[str] = []
    if updates is not None and updates >= thresholds.presence_updates_per_minute:
        busy.append(f"handles {updates:.0f} updates of presence")
    if sent is not None and sent >= thresholds.presence_edus_sent_per_minute:
        busy.append(f"sends {sent:.0f} messages with presence to other servers")
    return busy


def _soon_reached(process: Found, free: float, thresholds: Thresholds) -> str:
    """Return the end of a sentence: when the limit will be reached, or an empty text if that is not soon or unknown."""
    added, seconds = figure(process, "growth", "open_files"), figure(process, "growth", "seconds")
    if not added or seconds is None or seconds < _HOUR:
        return ""
    hours = max(free, 0) / added * seconds / _HOUR
    if not math.isfinite(hours) or hours > thresholds.file_limit_hours:
        return ""
    past = f"{added:.0f} more than {seconds / _HOUR:.1f} hours ago"
    return f", {past}, and reaches the limit in {hours:.1f} hours at this rate"
