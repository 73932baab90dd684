# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A plan is what the difference between a declared and a current state comes to. It is computed once."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached

State = t.Optional[dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Step:
    """One change. `description` says it in words (no secrets), `run` makes it.

    `shown`: whether a plan that is made anew tells that it has been done. A new password, for one, cannot be seen.
    """

    description: str
    run: t.Callable[[], t.Any]
    shown: bool = True


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is (`before`), what will be (`after`) and the steps between the two.

    `before` and `after` have the same shape, hold no secrets, and are what diff mode shows; None means that the object
    does not exist. Without a step nothing changes. `proof`: what a run that changes nothing does beside, to see what
    reading alone does not show; check mode leaves it out, because it may leave traces until it ends. `forecast`: what
    check mode asks beside, because the run learns it by doing; it returns the plan that is left then.
    """

    before: State
    after: State
    steps: tuple[Step, ...] = ()
    proof: t.Callable[[], None] | None = None
    forecast: t.Callable[[], Plan] | None = None

    @property
    def changed(self) -> bool:
        """Whether carrying the plan out changes anything."""
        return bool(self.steps)

    def execute(self, done: list[str] | None = None) -> None:
        """Run the steps in order, and add the description of each that is done to `done`; stop at one that fails.

        Raises the SynapseError of the step that failed.
        """
        for step in self.steps:
            step.run()
            if done is not None:
                done.append(step.description)


class Resource(t.Protocol):
    """An object with a declared state, as every module that changes something hands it to the runner."""

    def plan(self) -> Plan:
        """Read the current state and decide what has to happen. Changes nothing. Raises SynapseError."""

    def verify(self, plan: Plan) -> None:
        """Read the object again after the steps. Raises StateNotReached if it is not as declared."""

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what the module returns beside `changed` and `diff`.

        `executed` is true after the steps ran, false in check mode (the values are then the predicted ones).
        """


def require(problems: t.Sequence[str], what: str) -> None:
    """Raise StateNotReached naming `what` and the `problems`, if there are any."""
    if problems:
        raise StateNotReached(
            f"{what} is not as declared although Synapse accepted every change: {'; '.join(problems)}."
            " Something else may be changing it at the same time; run the task again."
        )
