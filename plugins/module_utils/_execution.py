# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Runs the steps of a plan. If a step fails, the object is read again, so that the error reports what was done."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    ConnectionFailed,
    SynapseError,
    may_pass,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Resource, State, Step

# The time between two reads of an object that a server may still be changing, and the minimum time of all, in seconds.
PAUSE = 0.25
PATIENCE = 10.0

DONE, PARTLY_DONE, NOT_DONE, UNKNOWN = "done", "partly_done", "not_done", "unknown"
_WORDS = {
    DONE: "A check afterwards shows that this is done",
    PARTLY_DONE: "A check afterwards shows that this is partly done",
    NOT_DONE: "A check afterwards shows that this is not done",
    UNKNOWN: "Even after a check, it is unknown whether this is done",
}


def patience_after(error: SynapseError) -> float:
    """Return for how many seconds a request that failed with `error` may still be processed: as long as its timeout."""
    waited = error.waited if isinstance(error, ConnectionFailed) else None
    return 0 if waited is None else max(waited, PATIENCE)


def outcome_of(
    description: str, error: SynapseError, *, shown: bool, left: t.Sequence[str], following: t.Collection[str]
) -> str:
    """Return the outcome of a change that failed, from a new plan: DONE, PARTLY_DONE, NOT_DONE or UNKNOWN.

    `left`: the steps of the new plan. `following`: the steps of the old plan after the change. `shown`: whether a plan
    can show that the change is done.
    """
    if description in left:
        return UNKNOWN if not shown and error.may_be_done else NOT_DONE
    return DONE if set(left) <= set(following) else PARTLY_DONE


class Carried(t.NamedTuple):
    """The result of a plan: the descriptions of the steps that were `done`, and the `result` of the resource."""

    done: list[str]
    result: dict[str, t.Any]


def carry_out(
    resource: Resource,
    plan: Plan,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Carried:
    """Run the steps in order, let the resource verify the new state, and return its result.

    After a failure no other step runs, unless another program has made the same change at the same time. Raises the
    SynapseError of the failure. Its message contains the steps that were done before and the outcome of the step that
    failed, as the object shows it. Its details contain `changed`, `steps` (the finished ones) and the `outcome`.
    """
    done: list[str] = []
    for step in plan.steps:
        try:
            _run(step.run)
        except SynapseError as error:
            outcome, moved = _look_again(resource, plan, step, error, clock, sleep)
            if outcome == DONE and is_refusal(error):
                continue
            tell(error, done, step.description, outcome)
            if outcome == DONE:
                done.append(step.description)
            # If Synapse refused the change, another program has made it.
            own = moved and (error.may_be_done or not is_refusal(error))
            changed = bool(done) or own or outcome == UNKNOWN
            error.details = {"changed": changed, "steps": done, "outcome": outcome, **error.details}
            raise
        done.append(step.description)
    try:
        _run(lambda: resource.verify(plan))
        return Carried(done, _run(lambda: resource.result(plan, True)))
    except SynapseError as error:
        # A resource of many objects reports its changes itself.
        if "changed" not in error.details:
            error.explain(f"Already done before that: {'; '.join(done)}.")
        error.details = {"changed": True, "steps": done, **error.details}
        raise


def is_refusal(error: SynapseError) -> bool:
    """Whether Synapse itself refused the request."""
    return isinstance(error, ApiError) and error.status < 500


def has_moved(plan: Plan, now: State) -> bool:
    """Whether a value that the plan changes differs in the state `now` from its value before."""
    before, after, found = plan.before or {}, plan.after or {}, now or {}
    changing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return any(found.get(name) != before.get(name) for name in changing)


def _run(work: t.Callable[[], t.Any]) -> t.Any:
    try:
        return work()
    except Exception as error:
        found = told(error)
        if found is error:
            raise
        raise found from error


def _look_again(
    resource: Resource,
    plan: Plan,
    step: Step,
    error: SynapseError,
    clock: t.Callable[[], float],
    sleep: t.Callable[[float], None],
) -> tuple[str, bool]:
    """Return the outcome of a step that failed, and whether a value that the plan changes is different from before.

    It waits for a server that is slow or cannot be reached for a moment.
    """
    slow, blind = clock() + patience_after(error), clock() + (PATIENCE if error.may_be_done else 0)
    while True:
        try:
            again = resource.plan()
        except Exception as hidden:
            if may_pass(hidden) and clock() < blind:
                sleep(PAUSE)
                continue
            return (UNKNOWN, True) if error.may_be_done else (NOT_DONE, False)
        following = [each.description for each in plan.steps[plan.steps.index(step) + 1 :]]
        left = [each.description for each in again.steps]
        outcome = outcome_of(step.description, error, shown=step.shown, left=left, following=following)
        if outcome != NOT_DONE or not step.shown or clock() >= slow:
            moved = has_moved(plan, again.before)
            # Only of the first step it is certain that no other step has changed a value.
            own = step is plan.steps[0] and error.may_be_done
            return PARTLY_DONE if outcome == NOT_DONE and moved and own else outcome, moved
        sleep(PAUSE)


def tell(error: SynapseError, done: t.Sequence[str], description: str, outcome: str) -> None:
    """Add to the message of the error the steps that were `done` before it, and the outcome of the failed step."""
    if done:
        error.explain(f"Already done before that: {'; '.join(done)}.")
    # A refusal without other steps already means that nothing was done.
    if outcome != NOT_DONE or error.may_be_done or done:
        late = outcome == NOT_DONE and patience_after(error) > 0
        error.explain(f"{_WORDS[outcome]}: {description}" + (", but Synapse may still do it." if late else "."))
