# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files that let a service run as declared: all of them in one plan, with the directories that they need."""

from __future__ import annotations

import errno
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.directory_plan import DirectoryPlan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    find_leavings,
    removal_of_leavings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.directory_removal import (
    DirectoryRemoval,
    own_directories,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.file_plan import FilePlan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.location import (
    Location,
    locate,
    require_different,
)

# All services and all users may look for files in it.
_DIRECTORY_MODE = 0o755
# Another run may remove one directory after the other while this one reads them.
_READINGS = 5


class ServiceFilesResource:
    """The files of a service, as a resource of the runner (see _plan.Resource)."""

    def __init__(self, declared: t.Sequence[DeclaredFile]) -> None:
        """`declared`: the files. Does not read anything yet."""
        self._declared = declared
        self._changes: list[tuple[str, str]] = []
        self._not_done: set[str] = set()
        self._problems: t.Callable[[], list[str]] = list

    def plan(self) -> Plan:
        """Read all files and decide. Raises InvalidInput for wrong options, SynapseError if reading fails."""
        left = _READINGS
        while True:
            left -= 1
            try:
                return self._plan()
            except SynapseError as error:
                if not left or not isinstance(error.__cause__, FileNotFoundError):
                    raise

    def verify(self, plan: Plan) -> None:
        """Read everything again. Raises StateNotReached if something is not as declared."""
        problems = self._problems()
        if problems:
            raise StateNotReached(
                f"The files are not as declared, although every step was successful: {'; '.join(problems)}."
                " Another process may change them at the same time: run the task again."
            )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return which of the declared files were changed, or in check mode would be.

        If another process was faster with a step or prevented it, also `changed` and `steps` without that step.
        """
        paths = [path for path, description in self._changes if description not in self._not_done]
        if not executed or not self._not_done:
            return {"changed_paths": paths}
        steps = [step.description for step in plan.steps if step.description not in self._not_done]
        return {"changed_paths": paths, "changed": bool(steps), "steps": steps}

    def _plan(self) -> Plan:
        for each in self._declared:
            each.check()
        locations = [locate(each) for each in self._declared]
        require_different(locations)
        files = [FilePlan(each, location) for each, location in zip(self._declared, locations)]
        present = [location for each, location in zip(self._declared, locations) if each.present]
        absent = [location for each, location in zip(self._declared, locations) if not each.present]
        everywhere = _missing(locations)
        leavings = find_leavings(everywhere)
        needed = _missing(present)
        directories = DirectoryPlan(needed)
        removal = DirectoryRemoval(absent, present, leavings)
        changes = [(file.path, file.step) for file in files if file.step]
        self._changes = [(path, step.description) for path, step in changes]
        self._not_done = set()
        self._problems = lambda: [
            *directories.problems(),
            *(problem for file in files for problem in file.problems()),
            *removal.problems(),
        ]
        steps = [
            *(removal_of_leavings(everywhere, path) for path in leavings),
            *(_accepting_that_of_another(step, needed) for step in directories.steps),
            *(step for _path, step in changes),
            *removal.steps,
        ]
        own = own_directories(locations)
        return Plan(
            {"files": {file.path: file.before() for file in files}, "directories": own, "leavings": leavings},
            {
                "files": {file.path: file.after() for file in files},
                "directories": sorted({*own, *directories.created} - set(removal.removed)),
                "leavings": [],
            },
            tuple(self._noting(step) for step in _first_requiring(files, steps)),
        )

    def _noting(self, step: Step) -> Step:
        """Let a step that returns false not be shown as done."""

        def run() -> None:
            if step.run() is False:
                self._not_done.add(step.description)

        return Step(step.description, run)


def _missing(locations: t.Iterable[Location]) -> Layout:
    """Return the directories that do not exist and that files at these locations need."""
    paths = {path for location in locations for path in location.missing}
    ordered = sorted(paths, key=lambda path: (path.count("/"), path))
    return Layout(tuple(DeclaredDirectory(path, Ownership(_DIRECTORY_MODE)) for path in ordered), None)


def _accepting_that_of_another(step: Step, layout: Layout) -> Step:
    """Let a step return false if another run has created its directory, which is then as any that existed before."""

    def run() -> bool:
        try:
            step.run()
        except SynapseError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if step.description in [each.description for each in DirectoryPlan(layout).steps]:
                error.explain("Another process created it at the same moment: run the task again.")
                raise
            return False
        return True

    return Step(step.description, run)


def _first_requiring(files: t.Sequence[FilePlan], steps: t.Sequence[Step]) -> tuple[Step, ...]:
    """Let the first step begin with a check that is not possible in check mode: earlier tasks create accounts."""
    if not steps:
        return ()
    first = steps[0]

    def run() -> t.Any:
        for file in files:
            file.require_known()
        return first.run()

    return (Step(first.description, run), *steps[1:])
