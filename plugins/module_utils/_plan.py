# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A plan: the steps from the current state to the declared state. It is computed once."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached

State = t.Optional[dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Step:
    """One change. `description` describes it, without secrets, and `run` makes it.

    `shown`: whether a new plan shows that the change is done. For example, a new password cannot be read.
    """

    description: str
    run: t.Callable[[], t.Any]
    shown: bool = True


@dataclasses.dataclass(frozen=True)
class Plan:
    """The current state (`before`), the state that follows (`after`) and the steps between the two.

    `before` and `after` have the same keys, contain no secrets, and are shown in diff mode. None means that the object
    does not exist. Without a step nothing changes. `proof`: a check in a run that changes nothing, for what cannot be
    read; check mode skips it, because it can leave traces until it ends. `forecast`: a request in check mode only, for
    what a run finds out by its steps; it returns the remaining plan.
    """

    before: State
    after: State
    steps: tuple[Step, ...] = ()
    proof: t.Callable[[], None] | None = None
    forecast: t.Callable[[], Plan] | None = None

    @property
    def changed(self) -> bool:
        """Whether the plan changes anything."""
        return bool(self.steps)

    def execute(self, done: list[str] | None = None) -> None:
        """Run the steps in order, and add the description of each finished step to `done`. Stop at a step that fails.

        Raises the SynapseError of the step that failed.
        """
        for step in self.steps:
            step.run()
            if done is not None:
                done.append(step.description)


class Resource(t.Protocol):
    """An object with a declared state. Every module that changes something passes one to the runner."""

    def plan(self) -> Plan:
        """Read the current state and return the necessary steps. Changes nothing. Raises SynapseError."""

    def verify(self, plan: Plan) -> None:
        """Read the object again after the steps. Raises StateNotReached if it is not as declared."""

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the values that the module returns in addition to `changed`, `steps` and `diff`.

        `executed`: true after the steps have run, false in check mode, for predicted values.
        """


def require(problems: t.Sequence[str], what: str) -> None:
    """Raise StateNotReached with `what` and the `problems`, if there are any."""
    if problems:
        raise StateNotReached(
            f"{what} is not as declared although Synapse accepted every change: {'; '.join(problems)}."
            " Another program may have changed it at the same time. Run the task again."
        )
