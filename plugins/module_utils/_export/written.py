# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Renames what Synapse's command has written: from digests of ids to readable names."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import digest_of, name_of

_ACCOUNT_DATA = os.path.join("user_data", "account_data")
# Next to those of rooms; it is not a valid room ID.
_GLOBAL = "global"


def name_by_ids(directory: str, ids_path: str) -> dict[str, str]:
    """Rename everything in `directory` that the command has named by a digest, and return the ids by path.

    `ids_path` is the file with the ids (see _export.script). The paths are relative to `directory`. They are those of
    the directories of rooms, and of the files with state, with account data of rooms, and with descriptions of media.

    Raises SynapseError if a name is not the digest of one of the ids, or if it cannot be renamed.
    """
    try:
        renaming = _Renaming(directory, _read_ids(ids_path))
        renaming.rename("media_ids")
        renaming.rename(_ACCOUNT_DATA, kept=_GLOBAL)
        for room in renaming.rename("rooms"):
            renaming.rename(os.path.join(room, "state"))
    except OSError as error:
        raise SynapseError(f"{error.filename} in the export could not be renamed: {error.strerror}.") from error
    return renaming.ids


class _Renaming:
    def __init__(self, directory: str, known: t.Mapping[str, str]) -> None:
        """`known`: ids by their digests."""
        self.ids: dict[str, str] = {}
        self._directory = directory
        self._known = known

    def rename(self, parent: str, kept: str | None = None) -> list[str]:
        """Rename the entries of the directory `parent` if it exists, except `kept`. Returns the new paths."""
        renamed = []
        there = os.path.join(self._directory, parent)
        for digest in sorted(os.listdir(there)) if os.path.isdir(there) else ():
            if digest == kept:
                continue
            identifier = self._known.get(digest)
            if identifier is None:
                raise SynapseError(
                    f"Synapse has written {os.path.join(parent, digest)!r}, which this version of the collection does"
                    " not support. Use a version of the collection that supports this version of Synapse."
                )
            path = os.path.join(parent, name_of(identifier))
            os.rename(os.path.join(there, digest), os.path.join(self._directory, path))
            self.ids[path] = identifier
            renamed.append(path)
        return renamed


def _read_ids(path: str) -> dict[str, str]:
    with open(path, encoding="ascii") as file:
        return {digest_of(identifier): identifier for identifier in map(json.loads, file)}
