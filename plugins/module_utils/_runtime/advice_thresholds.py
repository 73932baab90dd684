# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The thresholds of the advice: from which figure on a server gets an advice. They are choices of this collection.

Each threshold, its unit and its default are described in `Thresholds`, one line for each.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(rc\d{1,9})?")
# The name of a threshold that is a part of a whole, between 0 and 1, ends like this.
_PARTS = ("_share", "_ratio")


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The figures from which on there is an advice. A `_share` or `_ratio` is a part of a whole, between 0 and 1.

    - `oldest_version` (text): the version that is recommended to servers with an older one. Default 1.163.0.
    - `cache_lookups` (number): a cache with fewer lookups since the start is not judged. Default 10000.
    - `cache_hit_ratio`: a cache is too small only if fewer of its lookups found an entry. Default 0.9.
    - `cache_evictions_share`: a cache is too small only if, for each failed lookup, at least this share of an entry was
      removed because the cache was full. Default 0.2.
    - `small_caches` (number): how many caches must be too small for a larger factor. Default 3.
    - `memory_available_share`: memory is short if less of the memory of the host is available. Default 0.1.
    - `memory_limit_share`: memory is short if a process uses more of the limit of its control group. Default 0.9.
    - `swapped_share`: memory is short if more of the memory of a process is in swap, and less than 30 % of that
      of the host is available. Default 0.2.
    - `synapse_memory_share`: smaller caches help only if Synapse uses at least this share of the memory of the host, or
      is near its limit. Default 0.25.
    - `memory_without_jemalloc_bytes` (bytes): jemalloc is worth it for a process that uses at least this memory.
      Default 524288000.
    - `presence_updates_per_minute` (number): states of users that one process handles, changed or not. Default 1000.
    - `presence_edus_sent_per_minute` (number): messages with presence that one process sends to other servers, each
      counted once for each server. Default 1000.
    - `uptime_seconds` (seconds): totals and averages of a process that has not run for as long do not count. Measured
      waits, turns of the event loop and use of the processor count only if the average since the start is at least half
      of their thresholds. Default 600.
    - `open_files_share`: of the soft limit of open files. Default 0.7.
    - `file_limit_hours` (hours): the limit of open files is near if it would be reached so soon, at the rate of an hour
      or more in which the files increased. It counts only if half of `open_files_share` is reached. Default 24.
    - `average_wait_seconds` (seconds): how long a transaction waits for a connection to the database. Default 0.1.
    - `database_transactions` (number): averages of fewer transactions do not count. Default 1000.
    - `average_tick_seconds` (seconds): how long one turn of the event loop takes. Default 0.1.
    - `slow_ticks_share`: of the turns of the event loop, those that took longer than one second. Default 0.01.
    - `event_loop_ticks` (number): averages of fewer turns do not count. Default 1000.
    - `processor_share`: of one processor core. A process in Python can use one. Default 0.8.
    - `io_pressure_share`: of the last minute, when a task waited for the disk. Default 0.1. It is evidence only
      together with caches that are too small.
    """

    oldest_version: str = "1.163.0"
    cache_lookups: float = 10_000
    cache_hit_ratio: float = 0.9
    cache_evictions_share: float = 0.2
    small_caches: float = 3
    memory_available_share: float = 0.1
    memory_limit_share: float = 0.9
    swapped_share: float = 0.2
    synapse_memory_share: float = 0.25
    memory_without_jemalloc_bytes: float = 524_288_000
    presence_updates_per_minute: float = 1000
    presence_edus_sent_per_minute: float = 1000
    uptime_seconds: float = 600
    open_files_share: float = 0.7
    file_limit_hours: float = 24
    average_wait_seconds: float = 0.1
    database_transactions: float = 1000
    average_tick_seconds: float = 0.1
    slow_ticks_share: float = 0.01
    event_loop_ticks: float = 1000
    processor_share: float = 0.8
    io_pressure_share: float = 0.1

    @classmethod
    def read(cls, given: t.Mapping[str, t.Any]) -> Thresholds:
        """Return the defaults with the thresholds in `given`. Raises InvalidInput for a wrong name or value."""
        names = [field.name for field in dataclasses.fields(cls)]
        read: dict[str, t.Any] = {}
        for name, value in given.items():
            if name not in names:
                near = difflib.get_close_matches(str(name), names, 1)
                advice = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(names)}."
                raise InvalidInput(f"advice_thresholds contains {str(name)!r}, which is not a threshold. {advice}")
            read[name] = _version_text(value) if name == "oldest_version" else _number(name, value)
        return cls(**read)


def parse_version(text: t.Any) -> tuple[int, int, int, bool] | None:
    """Return a version of Synapse so that it can be compared, or None if the text does not start with one.

    A release candidate (rc) is older than its release. Synapse adds the branch and the commit after a space.
    """
    match = _VERSION.match(text) if isinstance(text, str) else None
    if match is None or text[match.end() : match.end() + 1] not in ("", " ", "+", "-"):
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0), match[4] is None


def _version_text(value: t.Any) -> str:
    if not isinstance(value, str) or parse_version(value) is None:
        raise InvalidInput(
            f"advice_thresholds.oldest_version is {value!r}, which is not a version: set text in quotation marks, such"
            ' as "1.163.0".'
        )
    return value


def _number(name: str, value: t.Any) -> float:
    if type(value) not in (int, float) or (isinstance(value, float) and math.isnan(value)) or value < 0:
        raise InvalidInput(
            f"advice_thresholds.{name} is {value!r}: set a number that is 0 or greater, without quotation marks."
        )
    if name.endswith(_PARTS) and value > 1:
        raise InvalidInput(
            f"advice_thresholds.{name} is {value!r}, but it is a part of a whole: set a number from 0 to 1."
        )
    try:
        return float(value)
    except OverflowError:
        return math.inf
