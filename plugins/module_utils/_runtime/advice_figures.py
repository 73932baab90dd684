# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Figures for the advice, taken out of the result of RuntimeReader, in which each key can be missing.

A figure is None if it is missing, negative, not finite or not a number: then it is unknown, and gives no advice.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import Thresholds

Found = t.Mapping[str, t.Any]

_LONGEST_NAME = 80


class Advice(t.NamedTuple):
    """One advice: what it is about, what to do, the sentences that prove it, and the role variables to set."""

    topic: str
    advice: str
    evidence: list[str]
    variables: dict[str, t.Any]


def section(found: t.Any, *keys: str) -> Found:
    """Return the dictionary at `keys`, or an empty one."""
    for key in keys:
        found = found.get(key) if isinstance(found, t.Mapping) else None
    return found if isinstance(found, t.Mapping) else {}


def entries(found: t.Any, key: str) -> list[Found]:
    """Return the dictionaries in the list at `key`."""
    listed = section(found).get(key)
    return [one for one in listed if isinstance(one, t.Mapping)] if isinstance(listed, (list, tuple)) else []


def figure(found: t.Any, *keys: str) -> float | None:
    """Return the number at `keys`."""
    value: t.Any = section(found, *keys[:-1]).get(keys[-1])
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def share(part: float | None, whole: float | None) -> float | None:
    """Return the share of a part, or None if one of them is unknown or the whole is 0."""
    return part / whole if part is not None and whole else None


def per_minute(process: Found, rate: tuple[str, str], total: tuple[str, str], least_uptime: float) -> float | None:
    """Return a rate of a process: the measured one, or the average since its start if that is long ago."""
    measured, uptime = figure(process, *rate), figure(process, "uptime_seconds")
    if measured is not None:
        return measured
    average = share(figure(process, *total), uptime)
    return average * 60 if average is not None and (uptime or 0) >= least_uptime else None


def lasting(measured: float | None, since_start: float | None, least: float) -> float | None:
    """Return the measured figure, or that since the start if none was measured; None if it is less than `least`.

    A few busy seconds are no reason for advice, so a measured figure counts only if that since the start is at least
    half of `least`, or unknown.
    """
    found = since_start if measured is None else measured
    if found is None or found < least or (since_start is not None and since_start < least / 2):
        return None
    return found


def has_run(process: Found, thresholds: Thresholds) -> bool:
    """Return whether a process runs for so long that the work of its start does not distort its figures."""
    uptime = figure(process, "uptime_seconds")
    return uptime is not None and uptime >= thresholds.uptime_seconds


def waiting(process: Found, thresholds: Thresholds) -> str:
    """Return the sentence that transactions wait for a connection to the database, or an empty text if they do not."""
    transactions = figure(process, "database", "transactions")
    if transactions is None or transactions < thresholds.database_transactions or not has_run(process, thresholds):
        return ""
    measured, since_start = (figure(process, group, "average_wait_seconds") for group in ("rates", "database"))
    wait = lasting(measured, since_start, thresholds.average_wait_seconds)
    if wait is None:
        return ""
    return f"A transaction of {named(process)} waits {wait:.3f} seconds on average for a connection to the database."


def processor_share(process: Found) -> float | None:
    """Return the share of one core that a process uses now, or else has used since its start."""
    measured = figure(process, "rates", "cpu_share")
    return figure(process, "cpu", "average_share") if measured is None else measured


def used_bytes(process: Found) -> float | None:
    """Return the memory of a process with what is in swap: its proportional share if it is known, else all pages."""
    proportional = figure(process, "memory", "proportional_bytes")
    used = figure(process, "memory", "resident_bytes") if proportional is None else proportional
    return None if used is None else used + (figure(process, "memory", "swapped_bytes") or 0)


def plain(name: t.Any) -> str:
    """Return a name in one line, not longer than a sentence can bear."""
    text = "".join(character if character.isprintable() else " " for character in str(name)[:_LONGEST_NAME])
    return " ".join(text.split())


def named(process: Found) -> str:
    """Return the words that identify a process at the beginning of a sentence."""
    name, pid = process.get("name") or process.get("app") or "Synapse", process.get("pid")
    return plain(name) if pid is None else f"{plain(name)} (process {plain(pid)})"


def percent(part: float) -> str:
    """Return a share as text, without an exponent."""
    value = part * 100
    if 0 < value < 0.001:
        return "less than 0.001 %"
    return f"{value:.0f} %" if value >= 999.5 else f"{value:.3g} %"


def mebibytes(number: float) -> str:
    """Return a number of bytes as text."""
    return f"{number / 1024**2:.0f} MiB"
