# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The installation of a server: its directories, and the virtual environment that it runs from."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.directory_plan import DirectoryPlan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import hidden_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment_plan import EnvironmentPlan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import (
    DeclaredDirectory,
    Layout,
    lay_out,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    find_leavings,
    removal_of_leavings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.lock import wait_for_others
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.removal import Removal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import parse_requirements
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import Account


@dataclasses.dataclass(frozen=True)
class DeclaredInstallation:
    """An installation as a task declares it. `purge`: whether its absence is that of its directories too."""

    directories: tuple[DeclaredDirectory, ...] = ()
    environment: str | None = None
    python: str = "python3"
    packages: tuple[str, ...] = ()
    present: bool = True
    purge: bool = False


class InstallationResource:
    """One installation, as the runner wants it (see _plan.Resource)."""

    def __init__(self, declared: DeclaredInstallation, accounts: t.Sequence[Account] | None = None) -> None:
        """`accounts`: those of the host, read if None. Nothing is read yet."""
        self._declared = declared
        self._accounts = accounts
        self._result: dict[str, t.Any] = {}
        self._problems: t.Callable[[], list[str]] = list

    def plan(self) -> Plan:
        """Read what is there, and decide. Raises InvalidInput for what may not be, SynapseError if it is unreadable."""
        declared = self._declared
        layout = lay_out(declared.directories, declared.environment, self._accounts)
        _wait_for_others(layout)
        return self._present(layout) if declared.present else self._absent(layout)

    def verify(self, plan: Plan) -> None:
        """Read all of it again. Raises StateNotReached if something is not as declared."""
        problems = self._problems()
        if problems:
            raise StateNotReached(
                f"The installation is not as declared although every step went well: {'; '.join(problems)}."
                " Something else may be changing it at the same time; run the task again."
            )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what was made, installed, removed and left, or in check mode would be."""
        return self._result

    def _present(self, layout: Layout) -> Plan:
        requirements = parse_requirements(self._declared.packages)
        if requirements and layout.environment is None:
            raise InvalidInput("packages needs an environment to install them into: name one.")
        directories = DirectoryPlan(layout)
        environment = None
        if layout.environment:
            environment = EnvironmentPlan(layout, layout.environment, self._declared.python, requirements)
        leavings = find_leavings(layout)
        steps = [removal_of_leavings(layout, path) for path in leavings] + directories.steps
        self._result = _result(layout.environment, made=directories.made, removed=leavings)
        if environment and layout.environment:
            steps += environment.steps
            self._result["made"] = directories.made + ([layout.environment] if environment.is_new else [])
            self._result["packages_installed"] = environment.installed
            self._result["rebuilt"] = environment.rebuilt
            self._result["removed"] = leavings + environment.discarded
        self._problems = lambda: directories.problems() + (environment.problems() if environment else [])

        def require_what_came_before() -> None:
            directories.require_known()
            if environment and environment.is_made:
                environment.interpreter.require_whole()

        return Plan(
            {"directories": directories.before(), "environment": environment.before() if environment else None},
            {"directories": directories.after(), "environment": environment.after() if environment else None},
            _first_requiring(require_what_came_before, steps),
        )

    def _absent(self, layout: Layout) -> Plan:
        removal = Removal(layout, self._declared.purge)
        self._problems = removal.problems
        self._result = _result(
            layout.environment,
            removed=removal.removed,
            left=[{"path": path, "why": why} for path, why in sorted(removal.left.items())],
        )
        return Plan({"there": sorted(removal.removed)}, {"there": []}, tuple(removal.steps))


def _wait_for_others(layout: Layout) -> None:
    """Wait for a task that works on the environment: a killed playbook leaves one on the host, and it ends its work."""
    path = layout.environment
    if path is not None:
        with layout.parent_of(path) as parent:
            if parent is not None:
                wait_for_others(parent, (os.path.basename(path), *hidden_names(path)), path)


def _result(environment: str | None, **found: t.Any) -> dict[str, t.Any]:
    nothing: dict[str, t.Any] = {"made": [], "packages_installed": [], "rebuilt": None, "removed": [], "left": []}
    return {"environment": environment, **nothing, **found}


def _first_requiring(require: t.Callable[[], None], steps: t.Sequence[Step]) -> tuple[Step, ...]:
    """Let the first step begin with a question that check mode cannot ask: whether what another task brings is there.

    Accounts and packages of the system are made by tasks before this one, which in check mode have not made them.
    """
    if not steps:
        return ()
    first = steps[0]

    def run() -> None:
        require()
        first.run()

    return (Step(first.description, run), *steps[1:])
