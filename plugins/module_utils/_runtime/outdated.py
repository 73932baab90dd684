# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files that have changed since a process was started with them, so that the process does not use their content.

The start of a process is known on the clock of the boot, the change of a file only on the wall clock. If the wall clock
was not set in between, both can be compared. If it was set, every known reading of it is compared, and an uncertain
case counts as a change. A record that was written before the process started makes it certain: a file that is still in
the recorded state has not changed since, whatever its times are.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import Input
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

# The kernel records starts and changes of files in steps of up to 10 ms. Synapse never reads its files so soon.
_GRAIN = 0.02
# The roles restart every process within this number of seconds after they have written a record.
_RESTARTS_TAKE = 600.0
# A file that is moved into a directory has the same time as the directory, or its owner is set a moment later.
_PUT_IN_PLACE = 1.0

# Something that has changed since a process was started: its `path`, its `kind`, and the `reason`, a sentence.
Finding = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Start:
    """How a process was started: when, in seconds since the boot, and with which files.

    `unit_started`: the same in seconds since 1970, on the wall clock at that time; None if it is unknown.
    """

    boottime: float
    inputs: tuple[Input, ...]
    unit_started: float | None = None


def outdated_by(start: Start, now: Snapshot, record: Snapshot | None) -> list[Finding]:
    """Return each file that has changed since the start.

    `now`: the current state of the files. A file that is not in it is left out; the caller reports that it cannot be
    read. `record`: their state before the last restart, if it was recorded.
    """
    judge = _Judge(start, now, record)
    found = [(place, reason) for place in start.inputs if place.suffix is None for reason in judge.file(place)]
    changed = {place.path for place, _reason in found}
    for place in start.inputs:
        if place.suffix is not None:
            found += judge.directory(place, changed)
    return [{"path": place.path, "kind": place.kind, "reason": reason} for place, reason in found]


def changed_for_reload(start: Start, now: Snapshot, record: Snapshot | None) -> list[str]:
    """Return the paths of the changed files that `outdated_by` leaves out because a reload applies their settings.

    `now` and `record`: as in `outdated_by`. A file that was removed is not among them.
    """
    judge = _Judge(start, now, record)
    return list(dict.fromkeys(place.path for place in start.inputs if judge.is_for_reload(place)))


class _Judge:
    def __init__(self, start: Start, now: Snapshot, record: Snapshot | None) -> None:
        self._start = start
        self._now = now
        self._record: Snapshot | None = None
        self._restarted_for_record = False
        readings = [now.clock.wall_time(start.boottime)]
        if start.unit_started is not None:
            readings.append(start.unit_started)
        if record and now.clock.boot_id and record.clock.boot_id != now.clock.boot_id:
            # A record of a previous boot was written before this boot.
            self._record = record
        elif record and now.clock.boot_id:
            readings.append(record.clock.wall_time(start.boottime))
            later = start.boottime - record.clock.boottime
            self._record = record if later >= -_GRAIN else None
            self._restarted_for_record = -_GRAIN <= later <= _RESTARTS_TAKE
        self._started = min(readings)

    def file(self, place: Input) -> list[str]:
        """Return the reason why a file counts as changed, one sentence, or an empty list."""
        return [] if self._held_factors_alone(place) else self._change(place)

    def is_for_reload(self, place: Input) -> bool:
        """Return whether a file exists and was changed, but does not count because a reload applies it."""
        exists = self._now.places.get(place.path) is not None
        return exists and self._held_factors_alone(place) and bool(self._change(place))

    def directory(self, place: Input, changed: t.Collection[str]) -> list[tuple[Input, str]]:
        """Return what counts as changed in a directory, and the reasons: removed files, or the directory itself.

        `changed`: the paths of the files that count already. They explain the time of their directory.
        """
        if place.path not in self._now.places or self._is_as_recorded(place):
            return []
        seen, earlier = self._now.places[place.path], self._earlier(place)
        if seen is None:
            return [(place, _gone(place))] if place.required or earlier else []
        reasons = self._changed_since(seen, place, f"A file in {place.path} was added, removed or renamed")
        gone = sorted(set(earlier.names or ()) - set(seen.names or ())) if earlier else []
        if reasons and gone:
            names = [dataclasses.replace(place, path=os.path.join(place.path, name), suffix=None) for name in gone]
            return [(name, _gone(name)) for name in names]
        # Editors write files of their own next to the edited file. The files that count are the same as in the record.
        same_names = earlier is not None and self._restarted_for_record
        explained = any(os.path.dirname(path) == place.path for path in changed) or self._explains_itself(place, seen)
        return [] if same_names or explained else [(place, reason) for reason in reasons]

    def _held_factors_alone(self, place: Input) -> bool:
        earlier = self._earlier(place)
        return place.reloaded and (earlier is None or earlier.reloaded)

    def _change(self, place: Input) -> list[str]:
        if place.path not in self._now.places or self._is_as_recorded(place):
            return []
        seen = self._now.places[place.path]
        if seen is None:
            return [_gone(place)] if place.required or self._earlier(place) else []
        return self._changed_since(seen, place, f"{place.path} was changed")

    def _earlier(self, place: Input) -> Seen | None:
        return self._record.places.get(place.path) if self._record else None

    def _is_as_recorded(self, place: Input) -> bool:
        if self._record is None or place.path not in self._record.places:
            return False
        seen, earlier = self._now.places[place.path], self._record.places[place.path]
        return (seen and seen.identity) == (earlier and earlier.identity)

    def _changed_since(self, seen: Seen, place: Input, what: str) -> list[str]:
        at = iso_time(int(seen.changed * 1000)) or "a time after the year 9999"
        if seen.changed > self._now.clock.wall + _GRAIN:
            return [f"{place.path} has a time in the future, {at}, so it is unknown whether the process has read it."]
        if seen.changed > self._started + _GRAIN:
            return [f"{what} at {at}, after the process was started at {iso_time(int(self._started * 1000))}."]
        if self._record and place.path in self._record.places and seen.changed + _GRAIN < self._record.clock.wall:
            return [f"{place.path} is different from its state before the last restart, although its times are older."]
        return []

    def _explains_itself(self, directory: Input, seen: Seen) -> bool:
        """Return whether the last change of a directory was that a file was added to it that a reload applies."""
        for place in self._start.inputs:
            file = self._now.places.get(place.path)
            within = place.reloaded and os.path.dirname(place.path) == directory.path
            if within and file and -_GRAIN <= file.changed - seen.changed <= _PUT_IN_PLACE:
                return True
        return False


def _gone(place: Input) -> str:
    return f"{place.path} does not exist any more, although the process was started with it."
