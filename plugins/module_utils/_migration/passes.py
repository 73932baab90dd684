# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The two passes of a move: one while Synapse runs, and a short one while it is stopped.

The first pass copies a snapshot. If it is interrupted, it goes on with the same snapshot. The last pass copies what the
snapshot does not have. If it is interrupted, it goes on as long as SQLite has not changed.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as, started_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_tables, table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import read_schema_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.comparison import (
    Expected,
    expect_rows,
    find_missing,
    left_out,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.difference import find_differences
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.port import (
    Counter,
    PortProcess,
    port_arguments,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.repair import add_rows, prepare_rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import (
    copy_database,
    identify,
    settings_of,
    size_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.unset import restore_unset
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import Workplace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.written import read_identities
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import Sample, choose_sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import check_sequences

_REMOVED, _ADDED = "removed", "added"
Save = t.Callable[[MoveState], None]


@dataclasses.dataclass(frozen=True)
class Moved:
    """What the last pass has done: the rows of each table in PostgreSQL, and what is not there, by its table."""

    counts: dict[str, int]
    not_copied: dict[str, int]
    unstorable: dict[str, int]


class Passes:
    """Copies the database of one move."""

    def __init__(
        self,
        declared: DeclaredMigration,
        program: PortProgram,
        workplace: Workplace,
        source: str,
        settings: dict[str, t.Any],
    ) -> None:
        """`source`: the path of the SQLite database. `settings`: of Synapse, with the new database.

        Raises InvalidInput if the names of Synapse's tables cannot be read.
        """
        self._source = source
        self._declared = declared
        self._program = program
        self._workplace = workplace
        self._settings = settings
        self._target = Target(declared)
        self._names = read_schema_names(program.python)

    def end_earlier(self) -> None:
        """End what a killed run has left in PostgreSQL, before anything is done there. Raises SynapseError."""
        with acting_as(self._workplace.uid):
            self._target.end_sessions()

    def begin(self, state: MoveState, save: Save, *, anew: bool) -> None:
        """Mark the target, which is empty or (`anew`) has what an interrupted run has left, and make the snapshot."""
        progress.report(Work.DATABASE_SNAPSHOT, 0, size_of(state.source))
        state.phase, state.rowids, state.file = Phase.BEGUN, {}, []
        save(state)
        with acting_as(self._workplace.uid):
            if anew:
                self._target.reset(state.move, self._names)
            else:
                self._target.mark(state.move)
            copy_database(state.source, self._workplace.first_copy, Work.DATABASE_SNAPSHOT)
        state.phase = Phase.FIRST_PASS
        save(state)

    def first(self, state: MoveState, save: Save) -> None:
        """Copy the snapshot, while Synapse runs. Raises SynapseError if that fails."""
        path = self._workplace.first_copy
        with acting_as(self._workplace.uid):
            if self._target.is_half_made():
                self._target.reset(state.move, self._names)
        self.recopy()
        with self.process(path) as process:
            with acting_as(self._workplace.uid):
                # The target may have no tables yet.
                expected = expect_rows(path, None, self._program.ignored)
            process.begin(Counter(Work.ROWS_COPIED, expected.counts))
            process.wait()
        with acting_as(self._workplace.uid):
            with self._target.open(writable=True) as database:
                restore_unset(database, path, {})
            found = self._count()
            self._require_equal(path, self._expect(path), found)
            self._target.empty_the_rest(found, self._program.append_only)
            self._target.analyze()
            state.rowids = self._target.rowids(self._program.append_only)
            state.counts = found
        state.phase = Phase.STOPPING
        save(state)

    def sample(self) -> Sample:
        """Choose objects in the snapshot that have to be there afterwards."""
        with acting_as(self._workplace.uid), Database(settings_of(self._workplace.first_copy)) as database:
            return choose_sample(database, self._declared.sample_size)

    def process(self, database: str) -> PortProcess:
        """Start Synapse's program, which waits until it is told to begin."""
        configuration, batch_size = self._workplace.write_configuration(self._settings), self._declared.batch_size
        directory = self._declared.working_directory
        # Root must not run files that another user has put there, and without a directory, Synapse may run elsewhere.
        isolated = directory is None or (os.geteuid() == 0 and self._workplace.uid == 0)
        return PortProcess(
            port_arguments(self._program.python, database, configuration, batch_size, isolated=isolated),
            directory or os.path.dirname(self._source),
            self._workplace.lock,
            started_as(self._workplace.uid),
        )

    def last(self, state: MoveState, save: Save, process: PortProcess) -> Moved:
        """Copy what the snapshot does not have, while Synapse is stopped, and compare. Raises SynapseError."""
        path, uid = self._workplace.last_copy, self._workplace.uid
        with acting_as(uid):
            copy_database(state.source, path, Work.DATABASE_SNAPSHOT)
            differences = find_differences(self._workplace.first_copy, path, state.rowids)
        state.phase, state.file = Phase.LAST_PASS, identify(state.source)
        save(state)
        with acting_as(uid), concurrent.futures.ThreadPoolExecutor(1) as pool:
            with self._target.open(writable=True) as database:
                prepare_rows(database, differences, state.move, _REMOVED)
            counting = pool.submit(self._expect, path)
            process.begin(Counter(Work.ROWS_COPIED_STOPPED, state.counts))
            process.wait()
            with self._target.open(writable=True) as database:
                restore_unset(database, path, state.rowids)
                add_rows(database, differences, state.move, _ADDED)
            expected = counting.result()
            found = self._count()
            self._require_equal(path, expected, found)
            transaction = self._target.complete(rebuild_directory=self._program.rebuilds_directory)
            with self._target.open() as database:
                state.identities = read_identities(database)
                faults = check_sequences(database)
            if faults:
                raise SynapseError(f"Synapse could not start with {self._declared.target_name}. {' '.join(faults)}")
        state.counts, state.transaction = found, transaction
        return Moved(found, expected.left, left_out(expected.counts, found))

    def recopy(self) -> None:
        """Remove what an interrupted pass has left in the tables that are copied anew. There may be no tables yet."""
        with acting_as(self._workplace.uid):
            self._target.empty_the_rest(self._tables(), self._program.append_only)

    def _tables(self) -> list[str]:
        """Return the tables of Synapse. Another program may have made others there since the move began."""
        with self._target.open() as database:
            return [name for name in table_names(database) if self._names.has_relation(name)]

    def _count(self) -> dict[str, int]:
        names = self._tables()
        with self._target.open() as database:
            return count_tables(database, names)

    def _expect(self, path: str) -> Expected:
        return expect_rows(path, self._tables(), self._program.ignored)

    def _require_equal(self, path: str, expected: Expected, found: t.Mapping[str, int]) -> None:
        missing = find_missing(path, expected.counts, found)
        if missing:
            raise SynapseError(
                f"Not everything was copied to {self._declared.target_name}: {', '.join(missing)}. Report this, and"
                " run the task again, which copies everything again."
            )
