# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The export that a task declares: of which account, where, how old at most, and with what in it."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.place import ExportPlace

_AGE = re.compile(r"(\d+)([smhdw]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclasses.dataclass(frozen=True)
class DeclaredExport:
    """What a task declares; the names are those of the module's options. `export_timeout` in seconds, 0: no limit.

    Of `destination` and `destination_directory` one is given: the place, or where it is named after the account.
    """

    user_id: str
    destination: str | None
    config_path: t.Sequence[str]
    synapse_python: str
    chdir: str | None
    export_timeout: int
    force: bool
    destination_directory: str | None = None
    max_age: str | None = None
    archive: str | None = None
    media: bool = False
    media_source: str = "auto"
    include_quarantined: bool = False
    include_forgotten: bool = False
    strict: bool = False
    parallel: int = 4

    def place(self, localpart: str) -> ExportPlace:
        """Return where the export goes of the account that is called `localpart` on its server.

        In a `destination_directory` no two accounts have the same place (see _export.names), and that directory is made
        if it is missing. Raises InvalidInput if what is declared is no place.
        """
        option = "destination" if self.destination_directory is None else "destination_directory"
        if not (self.destination if self.destination_directory is None else self.destination_directory):
            raise InvalidInput(f"{option} is empty: name the place that shall hold the export, such as /root/export.")
        if self.destination_directory is None:
            return ExportPlace(self.destination or "", self.archive)
        path = os.path.join(self.destination_directory, name_of(localpart))
        return ExportPlace(path, self.archive, make_parent=True)

    def oldest(self) -> str | None:
        """Return when an export must have been made to be young enough, None if any will do. Raises InvalidInput."""
        if self.max_age is None:
            return None
        found = _AGE.fullmatch(self.max_age.strip())
        try:
            if found is None:
                raise ValueError
            age = datetime.timedelta(seconds=int(found.group(1)) * _SECONDS[found.group(2)])
            return shown(now() - age)
        except (OverflowError, ValueError):
            raise InvalidInput(
                f"max_age {self.max_age!r} is not a time: write a number of seconds, or one with m, h, d or w after it,"
                " as 30d."
            ) from None


def now() -> datetime.datetime:
    """Return the point of time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def shown(time: datetime.datetime) -> str:
    """Return a point of time in UTC as a manifest has it. As texts they sort in their order."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
