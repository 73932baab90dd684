# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The installation of a server: its directories and its virtual environment."""

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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import (
    parse_requirements,
    parse_versions,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import Account


@dataclasses.dataclass(frozen=True)
class DeclaredInstallation:
    """An installation as a task declares it. `purge`: whether its directories are removed with it."""

    directories: tuple[DeclaredDirectory, ...] = ()
    virtualenv: str | None = None
    virtualenv_python: str = "python3"
    packages: tuple[str, ...] = ()
    initial_versions: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    present: bool = True
    purge: bool = False


class InstallationResource:
    """One installation, as a resource of the runner (see _plan.Resource)."""

    def __init__(self, declared: DeclaredInstallation, accounts: t.Sequence[Account] | None = None) -> None:
        """`accounts`: the accounts of the host, which are read if None. Does not read anything yet."""
        self._declared = declared
        self._accounts = accounts
        self._result: dict[str, t.Any] = {}
        self._problems: t.Callable[[], list[str]] = list

    def plan(self) -> Plan:
        """Read the current state and decide. Raises InvalidInput for wrong options, SynapseError if reading fails."""
        declared = self._declared
        layout = lay_out(declared.directories, declared.virtualenv, self._accounts)
        _wait_for_others(layout)
        return self._present(layout) if declared.present else self._absent(layout)

    def verify(self, plan: Plan) -> None:
        """Read everything again. Raises StateNotReached if something is not as declared."""
        problems = self._problems()
        if problems:
            raise StateNotReached(
                f"The installation is not as declared, although every step was successful: {'; '.join(problems)}."
                " Another process may change it at the same time: run the task again."
            )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what was created, installed, removed and kept, or in check mode would be."""
        return self._result

    def _present(self, layout: Layout) -> Plan:
        requirements = parse_requirements(self._declared.packages)
        if requirements and layout.environment is None:
            raise InvalidInput("packages needs an environment to install them into: set virtualenv.")
        initial_versions = parse_versions(self._declared.initial_versions, requirements)
        directories = DirectoryPlan(layout)
        environment = None
        if layout.environment:
            environment = EnvironmentPlan(
                layout, layout.environment, self._declared.virtualenv_python, requirements, initial_versions
            )
        leavings = find_leavings(layout)
        steps = [removal_of_leavings(layout, path) for path in leavings] + directories.steps
        self._result = _result(created_paths=directories.created, removed_paths=leavings)
        if environment and layout.environment:
            steps += environment.steps
            self._result = _result(
                bool(environment.installed or environment.rebuild_reason),
                virtualenv=layout.environment,
                created_paths=directories.created + ([layout.environment] if environment.is_new else []),
                packages_installed=environment.installed,
                packages_replaced=environment.replaced,
                removed_paths=leavings + environment.discarded,
                **({"rebuild_reason": environment.rebuild_reason} if environment.rebuild_reason else {}),
            )
        self._problems = lambda: directories.problems() + (environment.problems() if environment else [])

        def require_prerequisites() -> None:
            directories.require_known()
            if environment and environment.is_built:
                environment.interpreter.require_whole()

        return Plan(
            {"directories": directories.before(), "virtualenv": environment.before() if environment else None},
            {"directories": directories.after(), "virtualenv": environment.after() if environment else None},
            _first_requiring(require_prerequisites, steps),
        )

    def _absent(self, layout: Layout) -> Plan:
        removal = Removal(layout, self._declared.purge)
        self._problems = removal.problems
        self._result = _result(
            layout.environment in removal.removed,
            **({"virtualenv": layout.environment} if layout.environment else {}),
            removed_paths=removal.removed,
            kept_paths=[{"path": path, "reason": reason} for path, reason in sorted(removal.kept.items())],
        )
        return Plan({"there": sorted(removal.removed)}, {"there": []}, tuple(removal.steps))


def _wait_for_others(layout: Layout) -> None:
    """Wait for another task that works on the environment, such as one that a killed playbook left on the host."""
    path = layout.environment
    if path is not None:
        with layout.parent_of(path) as parent:
            if parent is not None:
                wait_for_others(parent, (os.path.basename(path), *hidden_names(path)), path)


def _result(restart_required: bool = False, **found: t.Any) -> dict[str, t.Any]:
    lists = ("created_paths", "packages_installed", "packages_replaced", "removed_paths", "kept_paths")
    nothing: dict[str, t.Any] = {name: [] for name in lists}
    return {"installation": {**nothing, **found}, "restart_required": restart_required}


def _first_requiring(require: t.Callable[[], None], steps: t.Sequence[Step]) -> tuple[Step, ...]:
    """Let the first step begin with a check that is not possible in check mode.

    Earlier tasks create accounts and install system packages. In check mode they have not done so.
    """
    if not steps:
        return ()
    first = steps[0]

    def run() -> None:
        require()
        first.run()

    return (Step(first.description, run), *steps[1:])
