# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The archives of a server in a directory, as a resource for the runner (see _plan.Resource)."""

from __future__ import annotations

import functools
import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup, WrittenBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import (
    Archive,
    Destination,
    Sidecar,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import find_recipients
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.retention import (
    Retention,
    find_fresh,
    obsolete,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

_NEW = "a new backup"


class BackupResource:
    """There is an archive that is new enough, and there are no archives that are not kept any more."""

    def __init__(
        self,
        declared: DeclaredBackup,
        retention: Retention,
        max_age: int,
        clock: t.Callable[[], float] = time.time,
    ) -> None:
        """`max_age`: in seconds; with 0 a new archive is always made. `clock`: seconds since 1970."""
        self._declared = declared
        self._retention = retention
        self._max_age = max_age
        self._clock = clock
        self._backup = Backup(declared)
        self._destination: Destination | None = None
        self._fresh: Archive | None = None
        self._estimate = 0
        self._archives: list[Archive] = []
        self._obsolete: list[Archive] = []
        self._removed: list[str] = []
        self._written: WrittenBackup | None = None

    def plan(self) -> Plan:
        """Look at the archives, and if a new one is needed, at all that it needs. Raises SynapseError."""
        configuration = read_configuration(self._declared.config_path)
        destination = self._destination = Destination(self._declared.dest_directory, configuration.server_name)
        now = int(self._clock() * 1000)
        self._archives = []
        if destination.exists:
            with destination.open() as directory:
                self._archives = destination.archives(directory)
        recipients = find_recipients(self._declared.age_recipients, self._declared.gpg_recipients)
        if self._written is None:
            self._fresh = find_fresh(self._archives, self._declared, recipients, self._max_age, now)
        else:
            # A step after it has failed, and the new archive is not made again.
            name = os.path.basename(self._written.path)
            self._fresh = next((archive for archive in self._archives if archive.name == name), None)
        steps = []
        if self._fresh is None:
            self._estimate = self._backup.prepare().estimate
            what = f"make a backup of {configuration.server_name} in {destination.path}"
            steps.append(Step(what, self._make, shown=self._max_age > 0))
        self._obsolete = obsolete(self._archives, self._retention, now, self._fresh)
        for archive in self._obsolete:
            steps.append(Step(f"remove {archive.name}", functools.partial(self._remove, archive.name)))
        names = [archive.name for archive in self._archives]
        gone = {archive.name for archive in self._obsolete}
        after = [*([_NEW] if self._fresh is None else []), *(name for name in names if name not in gone)]
        return Plan({"archives": names}, {"archives": after}, tuple(steps))

    def verify(self, plan: Plan) -> None:
        """Look at the directory again. Raises StateNotReached if the new archive is missing, or an old one is there."""
        destination = self._known_destination()
        with destination.open() as directory:
            names = {archive.name for archive in destination.archives(directory)}
        problems = [f"{name} is still there" for name in self._removed if name in names]
        if self._written is not None and os.path.basename(self._written.path) not in names:
            problems.append(f"{self._written.path} is not there")
        require(problems, f"The directory {destination.path}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the `backup`: the new archive, or the one that is new enough."""
        destination = self._known_destination()
        removed = self._removed if executed else [archive.name for archive in self._obsolete]
        kept = len(self._archives) - len(self._obsolete) + int(self._fresh is None)
        found: dict[str, t.Any] = {"dest_directory": destination.path, "removed": removed, "kept": kept}
        if self._written is not None:
            media = self._written.manifest["media"]
            left = {"vanished_media": media["vanished"], "skipped_media": media["skipped"]}
            found.update(_described(self._written.path, self._written.sidecar), **left)
        elif self._fresh is not None:
            found.update(_described(os.path.join(destination.path, self._fresh.name), self._fresh.sidecar))
        else:
            found["estimated_size"] = self._estimate
        return {"backup": found}

    def _make(self) -> None:
        self._written = self._backup.write()

    def _remove(self, name: str) -> None:
        destination = self._known_destination()
        with destination.locked() as directory:
            destination.remove(directory, name)
        self._removed.append(name)

    def _known_destination(self) -> Destination:
        if self._destination is None:
            raise AssertionError("the runner plans first")
        return self._destination


def _described(path: str, sidecar: Sidecar) -> dict[str, t.Any]:
    names = (
        *("size", "server_name", "synapse_version", "engine", "schema_version", "media", "media_files"),
        *("media_bytes", "files", "encryption", "recipients", "verified"),
    )
    return {
        "path": path,
        **returned_time("created", sidecar["created_ts"]),
        **{name: sidecar[name] for name in names if name in sidecar},
    }
