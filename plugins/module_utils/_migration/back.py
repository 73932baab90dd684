# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The way back to SQLite, as long as nobody has written into PostgreSQL since the switch."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import Found, Switch, is_target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import Workplace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.written import find_written, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interruption import (
    Interrupted,
    interruptible,
    told_of,
)


def require_moved(state: MoveState | None, found: Found, declared: DeclaredMigration) -> MoveState:
    """Return the state of the move. Raises InvalidInput if Synapse was not moved by this module."""
    phases = (Phase.DONE, Phase.SWITCHING, Phase.RETURNING)
    if state is None or not (found.uses_sqlite or state.phase in phases):
        raise InvalidInput(
            f"Synapse uses {found.database.shown}, and {declared.state_path} does not say that this module has moved"
            " it there. So there is no SQLite database to go back to."
        )
    return state


class WayBack:
    """Brings a server back to SQLite. `uid`: the user of Synapse."""

    def __init__(self, declared: DeclaredMigration, service: Service, target: Target, switch: Switch, uid: int) -> None:
        self._declared = declared
        self._service = service
        self._target = target
        self._switch = switch
        self._uid = uid

    def require_possible(self, state: MoveState, found: Found) -> None:
        """Raise InvalidInput if there is no way back. Changes nothing."""
        self._service.require_control()
        if found.uses_sqlite:
            # An interrupted run has left Synapse stopped, and PostgreSQL was not used any more, or not yet.
            return
        if not is_target(found.database, self._declared):
            raise InvalidInput(
                f"Synapse uses {found.database.shown}, and not {self._declared.target_name}. Set login_host, login_port"
                " and login_db to the database that the server was moved to."
            )
        if identify(state.source) != state.file:
            raise InvalidInput(
                f"{state.source} has changed since the move, so going back would start Synapse with other data. Copy"
                " the database from a backup, if it is needed."
            )
        self._require_unwritten(state)

    def run(self, state: MoveState, found: Found, file: StateFile, workplace: Workplace) -> None:
        """Stop Synapse, restore the drop-in, and start it with SQLite. Raises SynapseError if that fails."""
        with interruptible("The way back"):
            state.running = self._service.running(None if state.phase is Phase.DONE else state.running)
            state.phase = Phase.RETURNING
            file.write(state)
            if not found.uses_sqlite:
                self._stop_unwritten(state, file)
                self._restore_dropin(state)
            self._service.start(state.running)
            # Nobody would remove the copies of a move that is over.
            workplace.clear()
            state.phase = Phase.BACK
            file.write(state)

    def _restore_dropin(self, state: MoveState) -> None:
        try:
            self._switch.restore(state.dropin)
        except (Exception, Interrupted) as raised:
            # Whichever database the configuration names now has everything. The next run goes on.
            self._service.start(state.running)
            error = told_of(raised)
            error.explain("Synapse was started again. Correct that, and run the task again.")
            raise error from raised

    def _stop_unwritten(self, state: MoveState, file: StateFile) -> None:
        try:
            self._service.stop()
            # Now nobody can write any more.
            self._require_unwritten(state)
        except (Exception, Interrupted) as raised:
            self._service.start(state.running)
            state.phase = Phase.DONE
            file.write(state)
            error = told_of(raised)
            error.explain("Synapse runs with PostgreSQL again.")
            raise error from raised

    def _require_unwritten(self, state: MoveState) -> None:
        with acting_as(self._uid), self._target.open() as database:
            written = find_written(database, state.transaction, state.counts, state.identities)
        if written:
            raise InvalidInput(
                f"Going back to {state.source} would lose what was written to {self._declared.target_name} since the"
                f" switch: {shown(written)}. Nothing was changed."
            )
