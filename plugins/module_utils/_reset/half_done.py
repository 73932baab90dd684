# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether another module of this collection has begun to work on the database and was interrupted.

Its next run would continue with what it finds, and would take a database that was reset meanwhile for its own.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import remove_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import STATE_NAME
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import (
    Stage,
    marker_path,
    read_marker,
)

_ENDED = (Phase.DONE, Phase.FAILED, Phase.BACK)


def forget_restore(config_path: t.Sequence[str]) -> None:
    """Remove the record of a finished restore, which is about a database that is not there any more.

    With it, a restore of the same backup would have nothing to do. Raises SynapseError if that fails.
    """
    path, trusted = marker_path(config_path), _trusted(config_path)
    if read_marker(path, trusted):
        remove_file(path, trusted=trusted)


def require_nothing_half_done(config_path: t.Sequence[str]) -> None:
    """Raise InvalidInput for an unfinished restore, or an unfinished move to PostgreSQL. Changes nothing.

    Raises SynapseError if the record of one cannot be read.
    """
    path = marker_path(config_path)
    marker = read_marker(path, _trusted(config_path))
    if marker and marker.stage is not Stage.DONE:
        raise InvalidInput(
            f"The restore of {marker.server_name} is not finished, as {path} shows. Finish it first with the playbook"
            " matrix_ops.synapse.restore. Or remove the file, if that restore is given up.",
            changed=False,
        )
    directory = os.path.dirname(os.path.abspath(config_path[0]))
    path = os.path.join(directory, STATE_NAME)
    if not os.path.lexists(path):
        return
    state = StateFile(path, _trusted(config_path)).read()
    if state and state.phase not in _ENDED:
        raise InvalidInput(
            f"The move of {state.source} to PostgreSQL is not finished, as {path} shows. Finish it first with the"
            " playbook matrix_ops.synapse.migrate_to_postgresql, or remove the file, if that move is given up.",
            changed=False,
        )


def _trusted(config_path: t.Sequence[str]) -> set[int]:
    """Return the owner of the directory of the configuration, who decides what Synapse does anyway."""
    directory = os.path.dirname(os.path.abspath(config_path[0]))
    return {os.stat(directory).st_uid} if os.path.isdir(directory) else set()
