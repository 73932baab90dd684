# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which of the files that a process was started with have changed since: then it runs with something else.

The start of a process is known on the clock of the boot, the change of a file on the wall clock only. If nobody has set
that in between, comparing is easy. If somebody has, every reading that is left of it is compared, and a doubt counts as
a change. What ends all doubt is a record that was taken before the process started: a file that is still what it was
then has not changed since, whatever its times are.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import Input
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

# The kernel notes starts and changes of files in steps of up to 10 ms. No Synapse has read its files so soon.
_GRAIN = 0.02
# Within so many seconds after a record the roles have restarted every process.
_RESTARTS_TAKE = 600.0
# A file that is put in its place has the time of its folder, or is given to its owner a moment later.
_PUT_IN_PLACE = 1.0

# What has changed since a process was started: its `path`, its `kind`, and `why` it counts, a sentence.
Finding = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Start:
    """How a process was started: when, in seconds since the boot, and with which files.

    `unit_started`: when it was, in seconds since 1970, as the wall clock showed then; None if nobody knows.
    """

    boottime: float
    inputs: tuple[Input, ...]
    unit_started: float | None = None


def outdated_by(start: Start, now: Snapshot, record: Snapshot | None) -> list[Finding]:
    """Return each file that has changed since the start.

    `now`: what the files are. A file that is not in it is left out: somebody else has to say that it cannot be seen.
    `record`: what they were before the last restart, if that was noted.
    """
    judge = _Judge(start, now, record)
    found = [(place, why) for place in start.inputs if place.suffix is None for why in judge.file(place)]
    changed = {place.path for place, _why in found}
    for place in start.inputs:
        if place.suffix is not None:
            found += judge.folder(place, changed)
    return [{"path": place.path, "kind": place.kind, "why": why} for place, why in found]


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
            # What was recorded in another boot was recorded before this one.
            self._record = record
        elif record and now.clock.boot_id:
            readings.append(record.clock.wall_time(start.boottime))
            later = start.boottime - record.clock.boottime
            self._record = record if later >= -_GRAIN else None
            self._restarted_for_record = -_GRAIN <= later <= _RESTARTS_TAKE
        self._started = min(readings)

    def file(self, place: Input) -> list[str]:
        """Return why a file counts as changed: one sentence, or none."""
        if place.path not in self._now.places or self._is_as_recorded(place):
            return []
        seen, earlier = self._now.places[place.path], self._earlier(place)
        if place.reloaded and (earlier is None or earlier.reloaded):
            return []
        if seen is None:
            return [_gone(place)] if place.required or earlier else []
        return self._changed_since(seen, place, f"{place.path} was changed")

    def folder(self, place: Input, changed: t.Collection[str]) -> list[tuple[Input, str]]:
        """Return what counts as changed of a folder, and why: files that are gone, or the folder itself.

        `changed`: the paths of the files that count already, which are reason enough for the time of their folder.
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
        # Editors put files of their own beside what they show: those that count are the same as before the restart.
        same_names = earlier is not None and self._restarted_for_record
        explained = any(os.path.dirname(path) == place.path for path in changed) or self._explains_itself(place, seen)
        return [] if same_names or explained else [(place, reason) for reason in reasons]

    def _earlier(self, place: Input) -> Seen | None:
        return self._record.places.get(place.path) if self._record else None

    def _is_as_recorded(self, place: Input) -> bool:
        if self._record is None or place.path not in self._record.places:
            return False
        seen, earlier = self._now.places[place.path], self._record.places[place.path]
        return (seen and seen.identity) == (earlier and earlier.identity)

    def _changed_since(self, seen: Seen, place: Input, what: str) -> list[str]:
        at = iso_time(int(seen.changed * 1000)) or "a time that no calendar has"
        if seen.changed > self._now.clock.wall + _GRAIN:
            return [f"{place.path} has a time in the future, {at}, so whether the process has read it cannot be told."]
        if seen.changed > self._started + _GRAIN:
            return [f"{what} at {at}, after the process was started at {iso_time(int(self._started * 1000))}."]
        if self._record and place.path in self._record.places and seen.changed + _GRAIN < self._record.clock.wall:
            return [f"{place.path} is not what it was before the last restart, though its times are older than that."]
        return []

    def _explains_itself(self, folder: Input, seen: Seen) -> bool:
        """Return whether the last change of a folder was to put a file into it that a reload applies."""
        for place in self._start.inputs:
            file = self._now.places.get(place.path)
            within = place.reloaded and os.path.dirname(place.path) == folder.path
            if within and file and -_GRAIN <= file.changed - seen.changed <= _PUT_IN_PLACE:
                return True
        return False


def _gone(place: Input) -> str:
    return f"{place.path} does not exist any more, though the process was started with it."
