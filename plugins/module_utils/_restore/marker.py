# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The record of a restore on its host: of which archive, and how far it is. While it is unfinished, no server starts.

It is the first thing that a restore writes, so that the next run knows that what is there comes from this archive.
"""

from __future__ import annotations

import enum
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import read_file, replace_file

NAME = ".matrix_ops-restore.json"
_FORMAT = 1


class Stage(enum.Enum):
    """How far a restore is, in this order. From PLACED on, all content is proven, and the server may run."""

    BEGUN = "begun"
    PLACED = "placed"
    DONE = "done"


class Marker(t.NamedTuple):
    """`archive`: the SHA-256 of what the archive contains. `created_ts`: when the backup was made, in ms since 1970."""

    archive: str
    server_name: str
    created_ts: int
    stage: Stage

    def written(self) -> str:
        """Return it as the text of the file."""
        return json.dumps(
            {
                "matrix_ops.synapse": "the restore of a backup",
                "format": _FORMAT,
                "archive": self.archive,
                "server_name": self.server_name,
                "created_ts": self.created_ts,
                "stage": self.stage.value,
            }
        )


def marker_path(config_path: t.Sequence[str]) -> str:
    """Return where the marker of a server with this configuration is: beside its first file."""
    return os.path.join(os.path.dirname(config_path[0]), NAME)


def read_marker(path: str, trusted: t.Collection[int]) -> Marker | None:
    """Return the marker, or None if there is none. Raises SynapseError if it cannot be read.

    `trusted`: the ID of the user of Synapse, to whom the directory may belong.
    """
    file = read_file(path, trusted=trusted)
    if file is None:
        return None
    try:
        found = json.loads(file.content)
        if found["format"] != _FORMAT:
            raise ValueError("format")
        return Marker(str(found["archive"]), str(found["server_name"]), int(found["created_ts"]), Stage(found["stage"]))
    except (ValueError, LookupError, TypeError) as error:
        raise SynapseError(
            f"{path} is not a record of a restore, as this version of the collection writes it. Remove it if no restore"
            " is in progress."
        ) from error


def write_marker(path: str, marker: Marker, trusted: t.Collection[int]) -> None:
    """Write the marker so that it is on the disk. `trusted`: see `read_marker`. Raises SynapseError if that fails."""
    own = Attributes(0o600, os.geteuid(), os.getegid())
    replace_file(path, f"{marker.written()}\n", own, trusted=trusted)
