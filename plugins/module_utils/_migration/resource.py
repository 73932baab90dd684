# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a server as declared: moved to PostgreSQL, or back on SQLite. See _plan.Resource."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.libpq_variables import (
    forget_libpq_variables,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import read_schema_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.server_directory import (
    find_server_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.back import WayBack, require_moved
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.interrupted import InterruptedMove
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.move import Move, new_state
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram, read_program
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import (
    require_movable,
    require_space,
    require_used,
    settings_of,
    size_of,
    warn_of_others,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.space import (
    copies_of,
    needs_of,
    require_server_space,
    used_size,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import (
    Found,
    Switch,
    configuration_owner,
    is_target,
    port_configuration,
    read_present,
    trusted_users,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import (
    Workplace,
    left_in,
    locked,
    open_workplace,
    require_workplace,
    workplace_path,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service


class MigrationResource:
    """The database of one server. `present`: moved to PostgreSQL, otherwise back on SQLite."""

    def __init__(
        self, declared: DeclaredMigration, service: Service, client: Client | None, *, present: bool = True
    ) -> None:
        """`client`: with the token of a server admin, or None without a token."""
        self._declared = declared
        self._service = service
        self._client = client
        self._present = present
        self._target = Target(declared)
        self._state: MoveState | None = None
        self._source = ""
        self._description = ""
        self._warnings: list[str] = []
        self._tried = False

    def plan(self) -> Plan:
        """Read everything and decide. Raises SynapseError for whatever a run would fail at. Changes nothing."""
        declared = self._declared
        declared.check()
        forget_libpq_variables()
        found = read_present(declared)
        if self._tried:
            # After a failure, only the result counts.
            return self._outcome(found)
        self._state = self._file(configuration_owner(self._declared)).read()
        self._source = self._find_source(found)
        self._service.require_same_configuration()
        if not self._present:
            return self._plan_back(found)
        if not found.uses_sqlite:
            if not is_target(found.database, declared):
                raise InvalidInput(
                    f"Synapse already uses {found.database.shown}, and not {declared.target_name}. Set login_host,"
                    " login_port and login_db to that database, if it is the one that is meant."
                )
            if self._state is None or self._state.phase not in (Phase.SWITCHING, Phase.RETURNING):
                return self._plan_of(found)
            self._service.require_control()
            self._require_workplace()
            return self._plan_of(found, "start Synapse and complete the interrupted move", self._finish)
        return self._plan_move(found)

    def verify(self, plan: Plan) -> None:
        """Read the configuration again. Raises StateNotReached if Synapse does not use the declared database."""
        after = (plan.after or {})["database"]
        name = self._name_of(read_present(self._declared))
        require([] if name == after else [f"Synapse uses {name} instead of {after}"], "The database of Synapse")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return where the data was and is, and what the move has found out."""
        state = self._file(configuration_owner(self._declared)).read() if executed else self._state
        details = state.result if state and state.phase is Phase.DONE and self._present and self._source else {}
        return {
            "migration": {
                "state": "migrated" if self._present else "back",
                "source": self._source,
                "database": (plan.after or {})["database"],
                "dropin_path": self._declared.dropin,
                **(details if not plan.changed or executed else {}),
            },
            "warnings": self._warnings,
        }

    def _plan_of(
        self, found: Found, description: str = "", run: t.Callable[[], None] | None = None, after: str = ""
    ) -> Plan:
        target = after or (self._declared.target_name if self._present else f"the SQLite database {self._source}")
        now = self._name_of(found)
        steps = () if run is None else (Step(description, lambda: self._try(run)),)
        self._description = description or self._description
        return Plan({"database": now, "complete": not steps}, {"database": target, "complete": True}, steps)

    def _name_of(self, found: Found) -> str:
        """Return the words for the database of Synapse. The configuration may name SQLite's file by a link."""
        if not found.uses_sqlite:
            return self._declared.target_name
        return f"the SQLite database {os.path.realpath(found.database.arguments['database'])}"

    def _try(self, run: t.Callable[[], None]) -> None:
        self._tried = True
        run()

    def _outcome(self, found: Found) -> Plan:
        if found.uses_sqlite is self._present:
            return self._plan_of(found, self._description, lambda: None)
        state = self._file(configuration_owner(self._declared)).read()
        if state is None or state.phase in (Phase.DONE, Phase.BACK):
            return self._plan_of(found)
        # The configuration is as declared, but the server is not proven, or does not run.
        return self._plan_of(found, "complete the interrupted move", lambda: None)

    def _plan_move(self, found: Found) -> Plan:
        declared, uid = self._declared, self._uid
        program = read_program(declared.synapse_python)
        self._service.require_control()
        # After the switch, it would be too late to learn that a start cannot be seen.
        self._service.require_answer()
        names = read_schema_names(program.python)
        with acting_as(uid):
            require_movable(settings_of(self._source), program)
            self._warnings = warn_of_others(settings_of(self._source), program, names)
        interrupted = InterruptedMove(declared, program, self._target, self._service, self._source, uid)
        resumes, anew = interrupted.find(self._state)
        require_used(self._source, self._service)
        directory = self._require_workplace()
        existing = directory if os.path.isdir(directory) else os.path.dirname(directory)
        left = left_in(directory, but_first=resumes)
        require_space(self._source, existing, 1 if resumes else 2, left)
        running = self._service.running()
        processes = 1 + len(running["units"]) + len(running["daemons"])
        with acting_as(uid):
            self._target.require_usable(processes)
        self._require_server_space(directory, existing)
        switch = self._switch()
        switch.prepare()
        begins = "continue the interrupted move of" if resumes else "move"
        return self._plan_of(
            found,
            f"{begins} {self._name_of(found)} to {declared.target_name}: copy it while Synapse runs, stop"
            f" {self._described}, copy the rest, write {switch.path}, and start it",
            lambda: self._move(found, program, switch, resumes=resumes, anew=anew),
        )

    def _require_server_space(self, directory: str, existing: str) -> None:
        """Raise InvalidInput if a disk of PostgreSQL is too small, if it can be seen. `directory`: for the copies."""
        data = find_server_directory(self._declared.login_host, self._declared.login_port)
        if data:
            with acting_as(self._uid):
                used, storage = used_size(settings_of(self._source)), self._target.storage()
            copies = copies_of(size_of(self._source), directory, existing)
            require_server_space(needs_of(used, storage, data), copies)

    def _move(self, found: Found, program: PortProgram, switch: Switch, *, resumes: bool, anew: bool) -> None:
        declared = self._declared
        with self._workplace() as workplace:
            self._require_same_state()
            state = self._state if resumes else None
            state = state or new_state(self._source, declared.target_name, self._state, anew=anew)
            settings = port_configuration(found.configuration, declared)
            passes = Passes(declared, program, workplace, self._source, settings)
            self._run(switch).run(state, passes, workplace, resumes=resumes, anew=anew)

    def _finish(self) -> None:
        with self._workplace() as workplace:
            self._require_same_state()
            if self._state is not None:
                self._run(self._switch()).finish(self._state, workplace)

    def _plan_back(self, found: Found) -> Plan:
        if found.uses_sqlite and not self._has_left_stopped():
            return self._plan_of(found)
        state = require_moved(self._state, found, self._declared)
        back = WayBack(self._declared, self._service, self._target, self._switch(), self._uid)
        back.require_possible(state, found)
        self._require_workplace()
        return self._plan_of(
            found,
            f"stop {self._described}, restore {self._declared.dropin}, and start Synapse with {self._source}",
            lambda: self._go_back(back, state, found),
        )

    def _has_left_stopped(self) -> bool:
        """Return whether an interrupted run has stopped Synapse, or may have."""
        state = self._state
        if state is None:
            return False
        if state.phase in (Phase.STOPPING, Phase.LAST_PASS):
            return bool(state.running.get("main")) and not self._service.is_running()
        return state.phase in (Phase.SWITCHING, Phase.RETURNING)

    def _go_back(self, back: WayBack, state: MoveState, found: Found) -> None:
        with self._workplace() as workplace:
            self._require_same_state()
            back.run(state, found, self._file(self._uid), workplace)

    def _find_source(self, found: Found) -> str:
        """Return the path of the SQLite database that is moved, or was."""
        if found.uses_sqlite:
            path = str(found.database.arguments["database"])
            if not os.path.exists(path):
                raise InvalidInput(
                    f"{path} does not exist, which is the database in {found.database.source}. Check config_path."
                )
            return os.path.realpath(path)
        return self._state.source if self._state else ""

    @property
    def _described(self) -> str:
        """The service inside of a sentence."""
        described = self._service.described
        return f"the{described[3:]}" if described.startswith("The ") else described

    @property
    def _uid(self) -> int:
        """The user of Synapse: the owner of its database."""
        try:
            return os.stat(self._source).st_uid
        except OSError as error:
            raise SynapseError(f"{self._source or 'The SQLite database'} cannot be read: {error.strerror}.") from error

    def _require_workplace(self) -> str:
        """Return the path of the directory for the copies. Raises what `_workplace` would raise. Changes nothing."""
        path, uid = workplace_path(self._source, self._declared.work_directory), self._uid
        with locked(self._source):
            require_workplace(path, uid, trusted_users(self._declared, uid))
        return path

    @contextlib.contextmanager
    def _workplace(self) -> t.Iterator[Workplace]:
        path, uid = workplace_path(self._source, self._declared.work_directory), self._uid
        # Another task may have another directory.
        with locked(self._source), open_workplace(path, uid, trusted_users(self._declared, uid)) as workplace:
            yield workplace

    def _switch(self) -> Switch:
        return Switch(self._declared, self._uid, trusted_users(self._declared, self._uid))

    def _run(self, switch: Switch) -> Move:
        file, name = self._file(self._uid), self._declared.target_name
        return Move(self._service, self._client, self._target, switch, file, name, self._uid)

    def _file(self, uid: int) -> StateFile:
        return StateFile(self._declared.state_path, trusted_users(self._declared, uid))

    def _require_same_state(self) -> None:
        """Raise SynapseError if another task has worked on the move since this one was planned."""
        if self._file(self._uid).read() != self._state:
            raise SynapseError("Another task has worked on this move at the same time. Run the task again.")
