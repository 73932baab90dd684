# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is proven of a restored server, and what could not be."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Counts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import check_sample

Json = dict[str, t.Any]

_SHOWN_AT_MOST = 5


class Proof:
    """Collects what a restore has proven. `connect`: see RestoreResource."""

    def __init__(self, connect: t.Callable[[], Client | None]) -> None:
        self._connect = connect
        self.proven: Json = {}
        self.unknown: list[Json] = []

    def rows(self, counts: Counts) -> None:
        """Record that all tables have the rows of the backup."""
        self.proven.update(tables=len(counts), rows=sum(counts.values()))

    def media(self, number: int) -> None:
        """Record how many media were read again from the disk."""
        self.proven["media_files"] = number

    def unseen(self, name: str, reason: str, fix: str) -> None:
        """Record what could not be found out."""
        self.unknown.append({"name": name, "reason": reason, "fix": fix})

    def sample(self, sample: Json, lost: t.Sequence[Json]) -> None:
        """Compare the running server with the sample of the backup. Raises StateNotReached for a difference.

        `lost`: the media of the sample that are not in the backup.
        """
        if not sample:
            self.unseen(
                "sample", "The backup contains no sample.", "Make the next backup while its database is reachable."
            )
            return
        try:
            client = self._connect()
        except InvalidInput as error:
            client = None
            self.unseen("access_token", error.message, "Set access_token_path to a file that exists after the restore.")
        if lost:
            reason = f"{len(lost)} media files of the sample are not in the backup."
            self.unseen("media", reason, "Look for them on the old server, or in an older backup.")
        media = [medium for medium in sample.get("media", []) if medium not in lost]
        checked = check_sample({**sample, "media": media}, client)
        if checked.differences:
            more = len(checked.differences) - _SHOWN_AT_MOST
            raise StateNotReached(
                "The server was restored and runs, but differs from the backup:"
                f" {'; '.join(each.rstrip('.') for each in checked.differences[:_SHOWN_AT_MOST])}"
                f"{f' and {more} more' if more > 0 else ''}. Compare it with the old server before you let users in."
            )
        self.proven.update(checked.proven)
        self.unknown += checked.unknown
