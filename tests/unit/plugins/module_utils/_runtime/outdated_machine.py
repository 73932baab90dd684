# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import Input
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import (
    Start,
    changed_for_reload,
    outdated_by,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot, Status

MAIN, DROP_IN, CACHES = "/etc/synapse/homeserver.yaml", "/etc/synapse/conf.d/50-own.yaml", "/etc/synapse/conf.d/60.yaml"
FOLDER, VARIABLES, UNIT_FOLDER = "/etc/synapse/conf.d", "/etc/default/synapse", "/etc/systemd/system/synapse.service.d"
YEAR = 365 * 86400.0


class Machine:
    """A host whose clocks, files and Synapse a test controls. Every step takes ten seconds."""

    def __init__(self) -> None:
        self.boot_id, self.boottime, self.offset = "first", 5000.0, 1_700_000_000.0
        self.started, self.unit_started = 0.0, 0.0
        self.record: Snapshot | None = None
        self._inode = 1
        self._files: dict[str, Status] = {}
        self._folders: dict[str, Status] = {}
        self.caches_only = {CACHES}
        for path in (MAIN, DROP_IN, CACHES, VARIABLES):
            self.write(path)
        self.restart(noting=False)

    @property
    def wall(self) -> float:
        return self.boottime + self.offset

    def wait(self, seconds: float = 10) -> None:
        self.boottime += seconds

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self.offset += seconds

    def write(self, path: str, content_time: float | None = None) -> None:
        """Move a new file to a path. The time of its content is `content_time`, or the current time."""
        self.wait()
        self._inode += 1
        now = int(self.wall * 1e9)
        content = now if content_time is None else int(content_time * 1e9)
        self._files[path] = (self._inode, 100, content, now)
        self.touch_folder(os.path.dirname(path))

    def write_in_place(self, path: str) -> None:
        self.wait()
        now = int(self.wall * 1e9)
        self._files[path] = (self._files[path][0], 90, now, now)

    def chmod(self, path: str) -> None:
        self.wait()
        inode, size, content, _changed = self._files[path]
        self._files[path] = (inode, size, content, int(self.wall * 1e9))

    def move_here(self, path: str) -> None:
        """Move a file to a path together with its directory, so that all its times are old."""
        self.wait()
        self._inode += 1
        self._files[path] = (self._inode, 100, 10**18, 10**18)

    def remove(self, path: str) -> None:
        self.wait()
        del self._files[path]
        self.touch_folder(os.path.dirname(path))

    def remove_folder(self, folder: str) -> None:
        del self._folders[folder]

    def change_at(self, path: str, boottime: float) -> None:
        """Set the times of a file to that moment."""
        inode, size, _content, _changed = self._files[path]
        moment = int((boottime + self.offset) * 1e9)
        self._files[path] = (inode, size, moment, moment)

    def touch_folder(self, folder: str) -> None:
        """Change the time of a directory, as a file in it does that does not count."""
        now = int(self.wall * 1e9)
        self._folders[folder] = (7, 4096, now, now)

    def note(self) -> None:
        """Do what the roles do before a restart."""
        self.wait()
        self.record = self.snapshot()

    def restart(self, noting: bool = True) -> None:
        if noting:
            self.note()
        self.wait()
        self.started, self.unit_started = self.boottime, float(int(self.wall) + 1)
        self.wait()

    def reboot(self) -> None:
        self.boot_id += " next"
        self.offset += self.boottime
        self.boottime = 0.0
        self.restart(noting=False)

    def snapshot(self) -> Snapshot:
        places: dict[str, Seen | None] = {
            path: None for path in (MAIN, DROP_IN, CACHES, VARIABLES, FOLDER, UNIT_FOLDER)
        }
        for path, status in self._files.items():
            places[path] = Seen((status,), path in self.caches_only)
        for folder, status in self._folders.items():
            names = tuple(sorted(os.path.basename(path) for path in self._files if os.path.dirname(path) == folder))
            places[folder] = Seen((status,), False, names)
        return Snapshot(Clock(self.boot_id, self.boottime, self.wall), places)

    def inputs(self) -> tuple[Input, ...]:
        inside = [path for path in self._files if os.path.dirname(path) in (FOLDER, UNIT_FOLDER)]
        return (
            Input(MAIN, "configuration"),
            *(Input(path, "configuration", reloaded=path in self.caches_only) for path in inside),
            Input(FOLDER, "configuration", suffix=".yaml"),
            Input(VARIABLES, "environment", required=False),
            Input(UNIT_FOLDER, "unit", required=False, suffix=".conf"),
        )

    def found(self, *, systemd: bool = True) -> list[dict[str, str]]:
        self.wait()
        return outdated_by(self._start(systemd), self.snapshot(), self.record)

    def outdated(self, *, systemd: bool = True) -> list[str]:
        return [item["path"] for item in self.found(systemd=systemd)]

    def for_reload(self, *, systemd: bool = True) -> list[str]:
        self.wait()
        return changed_for_reload(self._start(systemd), self.snapshot(), self.record)

    def _start(self, systemd: bool) -> Start:
        return Start(self.started, self.inputs(), self.unit_started if systemd else None)


# Ways to change a file.
CHANGES: dict[str, t.Callable[[Machine, str], None]] = {
    "replaced": Machine.write,
    "replaced by something older": lambda host, path: host.write(path, content_time=1e9),
    "written": Machine.write_in_place,
    "other mode": Machine.chmod,
}
