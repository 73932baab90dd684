# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is on the host before a restore: nothing, an interrupted restore, or a server, which is never replaced."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import Marker, Stage
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Counts, Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

_SHOWN_AT_MOST = 3


class Occupied(t.NamedTuple):
    """What of an archive is here already: how far its restore is (None: not begun), and whether the database is."""

    stage: Stage | None
    has_database: bool


def judge_host(
    marker: Marker | None, archive: str, marker_file: str, target: Target, counts: Counts, medium: str
) -> Occupied:
    """Return how far the restore of this archive is. Raises InvalidInput for a host with anything else.

    `archive`: the SHA-256 of its content. `counts`: the rows of its tables. `medium`: the path of a medium that is on
    the host already, or "".
    """
    own = marker is not None and marker.archive == archive
    unfinished = marker is not None and marker.stage is not Stage.DONE
    if marker is not None and unfinished and not own:
        raise InvalidInput(
            f"The restore of another backup of {marker.server_name}, made at {iso_time(marker.created_ts)}, was"
            f" interrupted on this host. Run that one again. Or remove what it has restored, and then {marker_file}."
        )
    data = target.data()
    if marker is not None and own and marker.stage is Stage.BEGUN:
        return Occupied(marker.stage, _is_restored(target, data, counts))
    # From then on, the server may have changed it.
    if marker is not None and own and data:
        return Occupied(marker.stage, True)
    if data or medium:
        found = data or f"the media file {medium}"
        raise InvalidInput(
            f"This host has the data of a server: {found}. {_way_out(target.emptying if data else '', medium)}"
        )
    return Occupied(None, False)


def _is_restored(target: Target, data: str, counts: Counts) -> bool:
    """Return whether the interrupted restore has completed the database. Raises InvalidInput for another database."""
    if not data:
        return False
    differences = target.differences(counts)
    if not differences:
        return True
    raise InvalidInput(
        f"A restore was interrupted on this host, but {data} is not the one in the archive:"
        f" {'; '.join(differences[:_SHOWN_AT_MOST])}. {_way_out(target.emptying)}"
    )


def _way_out(emptying: str, medium: str = "") -> str:
    """Return why nothing is restored, and what to do, as sentences. `emptying`: see Target; "" without a database."""
    ways = [*([emptying] if emptying else []), *([f"move the media away, such as {medium}"] if medium else [])]
    return (
        "A restore only fills an empty host, and nothing was changed. Restore onto another host. Or, if that server is"
        f" to be given up, stop Synapse, {', '.join(ways)}, and run the task again."
    )
