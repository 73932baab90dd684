# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The export that a task declares: the account, the destination, the maximum age and the content."""

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
    """The options of the module, with the same names. `export_timeout` is in seconds, 0 means no limit.

    One of `dest` and `dest_directory` is set: the path, or the directory in which the path is made from the account.
    """

    user_id: str
    dest: str | None
    config_path: t.Sequence[str]
    synapse_python: str
    working_directory: str | None
    export_timeout: int
    recreate: bool
    dest_directory: str | None = None
    max_age: str | None = None
    format: str = "directory"
    media: bool = False
    media_source: str = "auto"
    include_quarantined: bool = False
    include_forgotten: bool = False
    require_all_media: bool = False
    parallel: int = 4

    def place(self, localpart: str) -> ExportPlace:
        """Return the place for the export of the account with this localpart.

        In a `dest_directory`, each account has a different place (see _export.names), and the directory is created if
        it is missing. Raises InvalidInput if the declared path is not valid.
        """
        option = "dest" if self.dest_directory is None else "dest_directory"
        if not (self.dest if self.dest_directory is None else self.dest_directory):
            raise InvalidInput(f"{option} is empty. Set it to a path for the export, such as /root/export.")
        archive = None if self.format == "directory" else self.format
        if self.dest_directory is None:
            return ExportPlace(self.dest or "", archive)
        path = os.path.join(self.dest_directory, name_of(localpart))
        return ExportPlace(path, archive, make_parent=True)

    @property
    def wants_quarantined_media(self) -> bool:
        """Whether quarantined media are requested. Without `media`, `include_quarantined` has no effect."""
        return self.media and self.include_quarantined

    def oldest(self) -> int | None:
        """Return the time (ms since 1970) before which an export is too old, or None. Raises InvalidInput."""
        if self.max_age is None:
            return None
        found = _AGE.fullmatch(self.max_age.strip())
        try:
            if found is None:
                raise ValueError
            age = datetime.timedelta(seconds=int(found.group(1)) * _SECONDS[found.group(2)])
            return milliseconds(now() - age)
        except (OverflowError, ValueError):
            raise InvalidInput(
                f"max_age {self.max_age!r} is not a duration. Set it to a number of seconds, or to a number followed by"
                " s, m, h, d or w, such as 30d."
            ) from None


def now() -> datetime.datetime:
    """Return the current time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def milliseconds(time: datetime.datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return int(time.timestamp() * 1000)
