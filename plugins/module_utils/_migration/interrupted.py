# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What earlier runs have left of a move: whether it can go on, or what has to be removed first."""

from __future__ import annotations

import os

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import read_schema_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify, settings_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import workplace_path
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.written import find_written, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service


class InterruptedMove:
    """Finds what is left. `source`: the path of the SQLite database, `uid`: the user of Synapse. Changes nothing."""

    def __init__(
        self,
        declared: DeclaredMigration,
        program: PortProgram,
        target: Target,
        service: Service,
        source: str,
        uid: int,
    ) -> None:
        self._declared = declared
        self._program = program
        self._target = target
        self._service = service
        self._source = source
        self._uid = uid

    def find(self, state: MoveState | None) -> tuple[bool, bool]:
        """Return whether the move with this state can go on, and otherwise whether the target has to be emptied first.

        Raises InvalidInput if the target has content of anything else.
        """
        declared = self._declared
        with acting_as(self._uid):
            if self._target.is_empty():
                return False, False
            if state is None or not self._target.holds(state.move):
                raise InvalidInput(
                    f"{declared.target_name} is not empty, and what is in it does not come from an interrupted move of"
                    " this server. Nothing is removed there. Set login_db to an empty database, created with"
                    f" {declared.createdb}"
                )
            self._require_unused(state)
            has_copy = self._has_copy(state)
        # Also for a move that goes on: some tables are emptied then, or all are removed.
        names = read_schema_names(self._program.python)
        with acting_as(self._uid):
            self._target.require_own(names)
        if has_copy and state.phase in (Phase.FIRST_PASS, Phase.STOPPING):
            return True, False
        is_unchanged = state.phase in (Phase.LAST_PASS, Phase.SWITCHING) and identify(self._source) == state.file
        if has_copy and is_unchanged and not self._service.is_running():
            return True, True
        return False, True

    def _has_copy(self, state: MoveState) -> bool:
        """Return whether the copy for the first pass is there, for this version of Synapse."""
        copy = os.path.join(workplace_path(self._source, self._declared.work_directory), "first.db")
        if state.source != self._source or not os.path.exists(copy):
            return False
        with Database(settings_of(copy)) as database:
            return database.rows("SELECT version FROM schema_version") == [(self._program.schema_version,)]

    def _require_unused(self, state: MoveState) -> None:
        """Raise InvalidInput if Synapse has used the target since the switch, and something was written to it."""
        if not state.transaction:
            return
        with self._target.open() as database:
            written = find_written(database, state.transaction, state.counts, state.identities)
        if written:
            raise InvalidInput(
                f"Synapse was moved to {self._declared.target_name} before, and what was written there since then is"
                f" not in {self._source}: {shown(written)}. If Synapse should use PostgreSQL again, restore"
                f" {self._declared.dropin}. If that data is not needed, set login_db to an empty database."
            )
