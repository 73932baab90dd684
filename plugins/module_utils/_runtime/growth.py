# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How the open files and the memory of a process grew since the last time that they were read.

The figures of the last time are in a file on the host, written by this collection. Only a file that no other user can
write to is believed. Figures of a different process are never compared: the process id, the start and the boot must be
the same (/proc/sys/kernel/random/boot_id).
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._private_file import write_private
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.trusted_json import TrustedFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

_FILE = TrustedFile(
    "growth", "figures of an earlier run", "Set state_path to another file, or remove this one. It was not changed."
)
# The start is read from two clocks one after the other, and one of them can be corrected in small steps.
_SAME_START_SECONDS = 2
_LARGEST = 2**63


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is compared of one process. `started`: in seconds since the boot. What is unknown is None.

    `uptime_seconds`: for how long it had run when it was read. Other processes were read earlier or later.
    """

    started: float
    uptime_seconds: int
    open_files: int | None
    open_files_by_kind: dict[str, int] | None
    resident_bytes: int | None


@dataclasses.dataclass(frozen=True)
class State:
    """The figures of an earlier run, by process id, in the boot `boot_id` (None if that was unknown)."""

    boot_id: str | None
    processes: dict[int, Figures]


def read_state(path: str) -> State | Unknown | None:
    """Return the figures in the file, None if it does not exist, or the reason why it is ignored."""
    return _FILE.read(path, _from_record)


def keep_state(path: str, processes: t.Iterable[t.Mapping[str, t.Any]], now: Clock) -> None:
    """Write the figures of `processes` into the file for the next run, unless something else is in its place.

    Raises SynapseError if the file cannot be written.
    """
    if isinstance(read_state(path), Unknown):
        # Whatever it is, it is not a file of this collection.
        return
    try:
        write_private(path, state_text(processes, now))
    except SynapseError:
        # The figures of another run, which has written them at the same moment, are as good.
        if not isinstance(read_state(path), State):
            raise


def with_growth(found: dict[str, t.Any], path: str, now: Clock) -> dict[str, t.Any]:
    """Return what RuntimeReader has found, with the `growth` of each process since the state in the file.

    `now`: the current time. A file that is ignored is added to `unknown`.
    """
    state = read_state(path)
    if isinstance(state, State) and now.boot_id is None:
        reason = f"The boot ID of the kernel is unknown, so the figures in {path} were ignored."
        state = Unknown("growth", reason, "Allow the task to read /proc/sys/kernel/random/boot_id.")
    if isinstance(state, Unknown):
        return {**found, "unknown": [*found["unknown"], state._asdict()]}
    if state is None:
        return found
    growths = [growth_of(process, state, now) for process in found["processes"]]
    processes = [
        {**process, "growth": growth} if growth else process for process, growth in zip(found["processes"], growths)
    ]
    return {**found, "processes": processes}


def growth_of(process: t.Mapping[str, t.Any], state: State, now: Clock) -> dict[str, t.Any] | None:
    """Return how the figures of `process` grew since `state`, with the time of it and the `seconds` that passed since.

    `process`: as synapse_runtime_info describes it. `now`: the current time. A figure that fell is negative, and one
    that is unknown in one of the two is left out. None if the process was not there, if less than a second passed, or
    if there is nothing to compare.
    """
    before = state.processes.get(process["pid"])
    if before is None or now.boot_id is None or state.boot_id != now.boot_id:
        return None
    after = _figures(process, now)
    seconds = after.uptime_seconds - before.uptime_seconds
    if seconds < 1 or abs(after.started - before.started) > _SAME_START_SECONDS:
        return None
    changes: dict[str, t.Any] = {
        "open_files": _change(before.open_files, after.open_files),
        "resident_bytes": _change(before.resident_bytes, after.resident_bytes),
    }
    if before.open_files_by_kind is not None and after.open_files_by_kind is not None:
        earlier, later = before.open_files_by_kind, after.open_files_by_kind
        changes["open_files_by_kind"] = {kind: later[kind] - earlier[kind] for kind in later if kind in earlier} or None
    known = {name: change for name, change in changes.items() if change is not None}
    since_ts = process["started_ts"] + before.uptime_seconds * 1000
    return {**returned_time("since", since_ts), "seconds": seconds, **known} if known else None


def state_text(processes: t.Iterable[t.Mapping[str, t.Any]], now: Clock) -> str:
    """Return the content of the file for the next run: the figures of `processes`, and nothing older.

    `now`: the current time.
    """
    figures = {str(process["pid"]): _known(dataclasses.asdict(_figures(process, now))) for process in processes}
    return json.dumps({**_known({"boot_id": now.boot_id}), "processes": figures}, indent=2, sort_keys=True)


def _figures(process: t.Mapping[str, t.Any], now: Clock) -> Figures:
    # The wall clock can be set between two runs, so the start is compared on the clock of the boot.
    started = round(process["started_ts"] / 1000 - now.wall_time(0.0), 3)
    return Figures(
        started,
        process["uptime_seconds"],
        process.get("open_files"),
        process.get("open_files_by_kind"),
        (process.get("memory") or {}).get("resident_bytes"),
    )


def _from_record(record: t.Any) -> State:
    boot_id = record.get("boot_id") if isinstance(record, dict) else None
    if boot_id is not None and not isinstance(boot_id, str):
        raise TypeError("the boot ID is not text")
    processes = {int(pid): _recorded(given) for pid, given in dict(record["processes"]).items()}
    return State(boot_id, processes)


def _recorded(given: t.Any) -> Figures:
    by_kind = given.get("open_files_by_kind") if isinstance(given, dict) else None
    return Figures(
        _time(given["started"]),
        _whole(given["uptime_seconds"]),
        _count(given.get("open_files")),
        None if by_kind is None else {str(kind): _whole(number) for kind, number in dict(by_kind).items()},
        _count(given.get("resident_bytes")),
    )


def _change(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _count(value: t.Any) -> int | None:
    return None if value is None else _whole(value)


def _whole(value: t.Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError("this is not a count")
    return value


def _time(value: t.Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("this is not a time")
    return float(value)


def _known(values: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in values.items() if value is not None}
