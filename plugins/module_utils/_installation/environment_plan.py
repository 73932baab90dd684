# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The steps after which the virtual environment works and contains the declared packages."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.build import Workshop
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.distribution import Packages
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import (
    Condition,
    Standing,
    examine,
    look,
    require_unexchanged,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import ask_interpreter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    require_entries_changeable,
    require_removable,
    require_tree_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import Requirement
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step

_PRESENT = "present"


class EnvironmentPlan:
    """The steps for the environment at `path`. The constructor reads the environment.

    `virtualenv_python`: the Python that creates it; `requirements`: the packages that it must contain;
    `initial_versions`: the versions of packages that are declared without one and not installed yet, by their canonical
    names. Raises InvalidInput if `path` is not an environment of this collection, or if the Python does not run.
    """

    def __init__(
        self,
        layout: Layout,
        path: str,
        virtualenv_python: str,
        requirements: t.Sequence[Requirement],
        initial_versions: t.Mapping[str, str],
    ) -> None:
        self._layout = layout
        self._path = path
        self._requirements = requirements
        self._initial_versions = initial_versions
        self.interpreter = ask_interpreter(virtualenv_python)
        standing, self._condition = self._read()
        condition = self._condition
        self.rebuild_reason = condition.broken if condition else None
        self.is_built = condition is None or condition.broken is not None
        self.installed = self._needed(condition)
        self.replaced = self._outdated(condition)
        self.steps = self._steps(standing)
        self.discarded = [self._beside(name) for name in standing.leavings]
        if self.steps:
            self._require_possible(standing)

    @property
    def is_new(self) -> bool:
        """Whether there is no environment yet, not even a broken one."""
        return self._condition is None

    def before(self) -> dict[str, t.Any] | None:
        """Return the environment as it is, for a diff."""
        return self._shown(self._condition) if self._condition else None

    def after(self) -> dict[str, t.Any]:
        """Return it as it will be."""
        packages = {each.name: each.version or _PRESENT for each in self._requirements}
        return {"path": self._path, "python": self.interpreter.version, "works": True, "packages": packages}

    def problems(self) -> list[str]:
        """Read the environment again, and return in words how it differs from the declaration."""
        standing, condition = self._read()
        if condition is None or standing.is_displaced:
            return [f"{self._path} does not exist"]
        if condition.broken:
            return [f"{self._path} does not work: {condition.broken}"]
        return [f"{each} is not installed in {self._path}" for each in self._missing(condition.packages)]

    def _read(self) -> tuple[Standing, Condition | None]:
        with self._layout.parent_of(self._path) as parent:
            standing = look(parent, self._path) if parent else Standing(os.path.basename(self._path), None)
            if standing.foreign:
                raise InvalidInput(
                    f"virtualenv {self._path} is not a virtual environment that this collection has created: set a"
                    " path that does not exist yet, or remove the existing one."
                )
            if parent is None or standing.current is None:
                return standing, None
            require_unexchanged(parent, standing.current)
            place = self._beside(standing.current)
            return standing, examine(place, self.interpreter, lambda packages: bool(self._missing(packages)))

    def _needed(self, condition: Condition | None) -> list[str]:
        if condition is not None and condition.broken is None:
            return [self._initially(each) for each in self._missing(condition.packages)]
        if condition is None:
            return [self._initially(each) for each in self._requirements]
        packages = condition.packages
        # The user decides when a package with an initial version is upgraded: a new Python does not change its version.
        stay = {key: packages.last(key) for key in self._initial_versions}
        declared = [
            (stay.get(each.key) if each.version is None else None) or self._initially(each)
            for each in self._requirements
        ]
        return [*declared, *packages.kept({each.key for each in self._requirements})]

    def _initially(self, requirement: Requirement) -> str:
        """Return a package that is not installed yet, in the syntax of pip."""
        version = self._initial_versions.get(requirement.key) if requirement.version is None else None
        return f"{requirement.name}=={version}" if version else str(requirement)

    def _missing(self, packages: Packages) -> list[Requirement]:
        return [each for each in self._requirements if not each.accepts(packages.version(each.key))]

    def _outdated(self, condition: Condition | None) -> list[str]:
        """Return the packages, as they are installed now, that another version replaces, in the syntax of pip."""
        if condition is None or condition.broken is not None:
            return []
        versions = [(each.name, condition.packages.version(each.key)) for each in self._missing(condition.packages)]
        return [f"{name}=={version}" for name, version in versions if version]

    def _steps(self, standing: Standing) -> list[Step]:
        path, interpreter, installed = self._path, self.interpreter, self.installed
        packages = f" with {', '.join(installed)}" if installed else ""
        steps = []
        if standing.current and standing.is_displaced:
            current = standing.current
            steps.append(
                Step(f"move {path}, which an interrupted run has renamed, back to its path", self._put_back(current))
            )
        steps += [
            Step(f"remove {self._beside(name)}, which an interrupted run has left", self._discard(name))
            for name in standing.leavings
        ]
        if self.is_built:
            again = f" again, because {self.rebuild_reason}," if self.rebuild_reason else ""
            said = f"create the virtual environment {path}{again} for Python {interpreter.version}{packages}"
            model = None if standing.current is None else standing.name
            steps.append(Step(said, lambda: self._work(lambda shop: shop.make(interpreter, installed, model))))
        elif installed:
            said = f"install {', '.join(installed)} into {path}"
            steps.append(Step(said, lambda: self._work(lambda shop: shop.install(installed))))
        return steps

    def _put_back(self, name: str) -> t.Callable[[], None]:
        return lambda: self._work(lambda shop: shop.put_back(name))

    def _discard(self, name: str) -> t.Callable[[], None]:
        return lambda: self._work(lambda shop: shop.discard(name))

    def _work(self, act: t.Callable[[Workshop], None]) -> None:
        with self._layout.parent_of(self._path) as parent:
            if parent is None:
                raise SynapseError(
                    f"Another process removed the parent directory of {self._path} at the same moment: run the task"
                    " again."
                )
            act(Workshop(parent, self._path))

    def _require_possible(self, standing: Standing) -> None:
        with self._layout.parent_of(self._path) as parent:
            if parent is None:
                return
            require_entries_changeable(parent, f"virtualenv {self._path} cannot be changed")
            replaced = [standing.current] if standing.current and self.is_built else []
            for name in (*standing.leavings, *replaced):
                mounted = parent.mounted(name)
                if mounted:
                    raise InvalidInput(
                        f"virtualenv {self._path} cannot be changed, because {mounted} is a mount point that must be"
                        " removed: unmount it first."
                    )
                require_tree_removable(parent, name)
            if standing.current and standing.is_displaced:
                require_removable(parent, standing.current)
            if not self.is_built and self.installed and parent.status(os.path.basename(self._path)) is not None:
                with parent.child(os.path.basename(self._path)) as place:
                    require_entries_changeable(place, f"virtualenv {self._path} cannot be changed")

    def _beside(self, name: str) -> str:
        return os.path.join(os.path.dirname(self._path), name)

    def _shown(self, condition: Condition) -> dict[str, t.Any]:
        packages: dict[str, str | None] = {}
        for each in self._requirements:
            version = condition.packages.version(each.key)
            packages[each.name] = (each.version or _PRESENT) if each.accepts(version) else version
        works = condition.broken is None
        return {"path": self._path, "python": condition.version, "works": works, "packages": packages}
