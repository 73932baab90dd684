# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which archives are kept, and whether one is new enough: decisions only, nothing is read or removed."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import INCLUDE, DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import Archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import Recipients


class Retention(t.NamedTuple):
    """How long archives are kept. `last`: how many of the newest; `within`: up to which age in seconds.

    An archive is kept if one of both says so. None says nothing, and without any of them all are kept.
    """

    last: int | None = None
    within: int | None = None


def obsolete(archives: t.Sequence[Archive], retention: Retention, now: int, fresh: Archive | None) -> list[Archive]:
    """Return the archives that are not kept, the oldest last. `archives`: the newest first.

    `now`: in milliseconds since 1970. `fresh`: the one that is new enough, or None if a newer one is about to be made.
    The newest one and `fresh` are always kept: if the clock was wrong, they are not the same.
    """
    if retention.last is None and retention.within is None:
        return []
    found = []
    for place, archive in enumerate(archives, start=int(fresh is None)):
        by_count = retention.last is not None and place < retention.last
        by_age = retention.within is not None and archive.created >= now - retention.within * 1000
        if place > 0 and archive != fresh and not by_count and not by_age:
            found.append(archive)
    return found


def find_fresh(
    archives: t.Sequence[Archive], declared: DeclaredBackup, recipients: Recipients, max_age: int, now: int
) -> Archive | None:
    """Return the newest archive that is not older than `max_age` (seconds) and contains what is declared, or None."""
    for archive in archives:
        found = archive.sidecar
        if (
            0 <= now - archive.created < max_age * 1000
            and found.get("media") in (declared.media, INCLUDE)
            and found.get("encryption") == recipients.kind
            and found.get("recipients") == sorted(recipients.shown)
            and set(declared.extra_paths) <= set(found.get("extra_paths") or ())
            and (found.get("verified") or not declared.verify)
        ):
            return archive
    return None
