# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The move itself, from a server on SQLite to the same server on PostgreSQL, or back to where it was if it fails."""

from __future__ import annotations

import contextlib
import time
import uuid

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Moved, Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.port import PortProcess
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import Switch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import Workplace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.written import find_written, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck, check_sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Running, Service
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interruption import (
    Interrupted,
    interruptible,
    told_of,
)

_NOTHING: Running = {"main": False, "units": [], "daemons": []}


class Move:
    """One run of a move. `target_name`: the target in messages."""

    def __init__(
        self,
        service: Service,
        client: Client | None,
        target: Target,
        switch: Switch,
        file: StateFile,
        target_name: str,
        uid: int,
    ) -> None:
        """`uid`: the user of Synapse."""
        self._uid = uid
        # Whether the server on PostgreSQL has not been ready yet.
        self._unreached = True
        self._service = service
        self._client = client
        self._target = target
        self._switch = switch
        self._file = file
        self._target_name = target_name

    def run(self, state: MoveState, passes: Passes, workplace: Workplace, *, resumes: bool, anew: bool) -> None:
        """Move everything. `resumes`: go on with `state`; `anew`: the target has what an interrupted run has left.

        Raises SynapseError if it fails; then Synapse runs with SQLite again, if it ran before.
        """
        with interruptible("The move"):
            passes.end_earlier()
            if not resumes:
                # An interrupted run may have left it stopped, and the first pass may need hours.
                self._service.start(state.running or _NOTHING)
                passes.begin(state, self._file.write, anew=anew)
            if state.phase is Phase.FIRST_PASS:
                try:
                    passes.first(state, self._file.write)
                except (Exception, Interrupted) as error:
                    raise self._failed_before_stop(state, workplace, error) from error
            self._switch_over(state, passes, workplace)

    def _failed_before_stop(
        self, state: MoveState, workplace: Workplace, raised: Exception | Interrupted
    ) -> SynapseError:
        """Return the error with what is there now."""
        # An interrupted pass goes on. One that has failed would fail again with the same snapshot.
        if not isinstance(raised, Interrupted):
            self._forget(state, workplace)
            self._save_if_possible(state)
        error = told_of(raised)
        error.explain("Synapse still runs with SQLite, and nothing has changed for it.")
        return error

    def _switch_over(self, state: MoveState, passes: Passes, workplace: Workplace) -> None:
        redone = state.phase is Phase.LAST_PASS or state.phase is Phase.SWITCHING
        if not redone:
            # An interrupted run may have stopped the server already.
            is_running = self._service.is_running()
            state.sample = passes.sample()
            state.before = self._check(state).differences if is_running and self._client else []
            state.dropin = self._switch.present()
        with passes.process(workplace.last_copy) as process:
            state.running = self._service.running(state.running or None)
            self._file.write(state)
            begin = time.monotonic()
            try:
                moved = self._copy_the_rest(state, passes, process, redone=redone)
                state.result = {"not_copied": moved.not_copied, "unstorable": moved.unstorable}
                self._start_on_target(state)
                downtime = time.monotonic() - begin
                check = self._prove(state)
            except BaseException as error:
                raise self._gave_up(state, workplace, error) from error
        self._complete(state, check, downtime, workplace)

    def _copy_the_rest(self, state: MoveState, passes: Passes, process: PortProcess, *, redone: bool) -> Moved:
        self._service.stop()
        if redone:
            # What is in the target from now on is not what was there at an earlier switch.
            state.phase, state.transaction = Phase.LAST_PASS, ""
            self._file.write(state)
            passes.recopy()
        return passes.last(state, self._file.write, process)

    def _start_on_target(self, state: MoveState) -> None:
        if self._service.is_running() or identify(state.source) != state.file:
            raise StateNotReached(
                f"Synapse was started by something else while {state.source} was being copied, so that the copy is not"
                " complete. Find out what starts it."
            )
        state.phase = Phase.SWITCHING
        self._file.write(state)
        self._switch.write()
        self._service.start(state.running)
        self._unreached = False

    def finish(self, state: MoveState, workplace: Workplace) -> None:
        """Go on after an interruption between the switch and its proof, or before a way back: the drop-in is there."""
        self._unreached = False
        with interruptible("The move"):
            try:
                state.phase = Phase.SWITCHING
                self._file.write(state)
                if identify(state.source) != state.file:
                    raise StateNotReached(f"{state.source} has changed since everything was copied.")
                self._service.start(state.running)
                check = self._prove(state, is_late=True)
            except BaseException as error:
                raise self._gave_up(state, workplace, error) from error
        self._complete(state, check, None, workplace)

    def _check(self, state: MoveState, *, login: bool = False) -> SampleCheck:
        return check_sample(state.sample, self._client, login=login)

    def _prove(self, state: MoveState, *, is_late: bool = False) -> SampleCheck:
        """Compare the sample with the server that was started. Raises StateNotReached for a new difference.

        `is_late`: people may have used the server for some time. Then what they have changed is no proof of anything.
        """
        if not state.running.get("main"):
            unknown = {"name": "sample", "reason": "Synapse was not running before.", "fix": "Start Synapse."}
            return SampleCheck([], [unknown], {})
        check = self._check(state, login=True)
        new = [difference for difference in check.differences if difference not in state.before]
        if new and is_late and self._find_written(state):
            reason = "It may have been changed since the switch, because other data was written to PostgreSQL."
            fix = f"Compare it by hand with {state.source}."
            changed = [{"name": "sample", "reason": f"{difference} {reason}", "fix": fix} for difference in new]
            return SampleCheck([], [*check.unknown, *changed], check.proven)
        if new:
            raise StateNotReached(f"Synapse with {self._target_name} does not show what it showed before. {new[0]}")
        return check

    def _gave_up(self, state: MoveState, workplace: Workplace, raised: BaseException) -> SynapseError:
        """Bring back the server on SQLite, and return the error with what was done."""
        ended = SynapseError(f"The move was ended ({type(raised).__name__}).")
        error = told_of(raised) if isinstance(raised, (Exception, Interrupted)) else ended
        if state.phase is Phase.SWITCHING:
            try:
                written = self._stop_unwritten(state)
            except SynapseError as failed:
                error.explain(
                    f"Everything is in {self._target_name}, and Synapse is still set to it: {failed.message} Correct"
                    " that, and run the task again."
                )
                return error
            if written:
                error.explain(
                    f"Synapse stays with {self._target_name}, because going back would lose what was written there"
                    f" since the switch: {shown(written)}. If it does not run, correct the cause, and run the task"
                    " again."
                )
                return error
        try:
            if state.phase is Phase.SWITCHING:
                self._switch.restore(state.dropin)
            # Before the last pass, the target has nothing that a later run could not use.
            if state.phase is not Phase.STOPPING:
                self._forget(state, workplace)
            self._save_if_possible(state)
            self._service.start(state.running)
            started, state.running = state.running, {}
            self._save_if_possible(state)
        except SynapseError as failed:
            error.explain(
                f"Synapse could not be started again with SQLite: {failed.message} Nothing is lost: {state.source} has"
                " everything. Correct that, start Synapse, and run the task again."
            )
            return error
        runs = "Synapse runs" if started.get("main") else "Synapse, which was not running before, starts"
        error.explain(f"{runs} with SQLite as before ({state.source}), and nothing is lost.")
        return error

    def _forget(self, state: MoveState, workplace: Workplace) -> None:
        """Let the next run begin anew: it needs the space, and nothing of the copies."""
        state.phase = Phase.FAILED
        with contextlib.suppress(OSError, SynapseError):
            workplace.clear()

    def _save_if_possible(self, state: MoveState) -> None:
        # On a full disk, Synapse has to start all the same. With an older state, the next run begins anew, too.
        with contextlib.suppress(SynapseError):
            self._file.write(state)

    def _stop_unwritten(self, state: MoveState) -> list[str]:
        """Stop Synapse unless something was written into the target, and return in words what was."""
        written = self._written(state)
        if written:
            return written
        self._service.stop()
        # It can have served people until then, also if it was never ready.
        written = self._written(state)
        if written:
            with contextlib.suppress(SynapseError):
                self._service.start(state.running)
        return written

    def _written(self, state: MoveState) -> list[str]:
        try:
            return self._find_written(state)
        except SynapseError as unseen:
            if self._unreached:
                return []
            return [f"what, is not known, because {unseen.message[:1].lower()}{unseen.message[1:].rstrip('.')}"]

    def _find_written(self, state: MoveState) -> list[str]:
        with acting_as(self._uid), self._target.open() as database:
            return find_written(database, state.transaction, state.counts, state.identities)

    def _complete(
        self,
        state: MoveState,
        check: SampleCheck,
        downtime: float | None,
        workplace: Workplace,
    ) -> None:
        state.phase = Phase.DONE
        state.result = {
            **state.result,
            "rows": sum(state.counts.values()),
            "tables": len(state.counts),
            "proven": check.proven,
            "unknown": check.unknown,
            **({} if downtime is None else {"downtime": round(downtime, 1)}),
        }
        # Nobody would remove the copies of a move that is done.
        workplace.clear()
        self._file.write(state)


def new_state(source: str, target: str, before: MoveState | None, *, anew: bool) -> MoveState:
    """Return the state of a new move. `anew`: it keeps the name of the earlier one, which is in the target.

    In an empty target, it gets another name: it must never find itself in a database that an earlier move has filled.
    """
    move = before.move if before and anew else uuid.uuid4().hex
    stopped = (Phase.STOPPING, Phase.LAST_PASS, Phase.SWITCHING, Phase.RETURNING)
    running = before.running if before and before.phase in stopped else {}
    return MoveState(move, source, target, running=running)
