# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Carrying a plan out. What fails on the way is looked at again, so that the error says what has been done."""

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

# Between two looks at what a server may still be doing, in seconds, and for how long it is looked at in any case.
PAUSE = 0.25
PATIENCE = 10.0

DONE, PARTLY_DONE, NOT_DONE, UNKNOWN = "done", "partly_done", "not_done", "unknown"
_WORDS = {
    DONE: "this is done",
    PARTLY_DONE: "this is partly done",
    NOT_DONE: "this is not done",
    UNKNOWN: "it is unknown whether this is done",
}


def patience_after(error: SynapseError) -> float:
    """Return for how many seconds what failed with `error` may still be done: as long again as was waited for it."""
    waited = error.waited if isinstance(error, ConnectionFailed) else None
    return 0 if waited is None else max(waited, PATIENCE)


def outcome_of(
    description: str, error: SynapseError, *, shown: bool, left: t.Sequence[str], following: t.Collection[str]
) -> str:
    """Return what became of a change that failed, as looking again tells: DONE, PARTLY_DONE, NOT_DONE or UNKNOWN.

    `left` is what there is to do now, `following` what would have come after the change. `shown`: whether it can be
    seen at all.
    """
    if description in left:
        return UNKNOWN if not shown and error.may_be_done else NOT_DONE
    return DONE if set(left) <= set(following) else PARTLY_DONE


class Carried(t.NamedTuple):
    """What came of a plan: the descriptions of the steps that were `done`, and what the resource says (`result`)."""

    done: list[str]
    result: dict[str, t.Any]


def carry_out(
    resource: Resource,
    plan: Plan,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Carried:
    """Run the steps in order, let the resource verify what they have reached, and return what it says of the outcome.

    After a failure no other step runs, unless somebody else has done the same in that moment. Raises the SynapseError
    that ended it. It says then what had been done before, and what became of the step that failed, as the object itself
    shows it: `changed`, `steps` (those that are done) and the `outcome` are among its details.
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
            # What Synapse has refused to change, somebody else has.
            own = moved and (error.may_be_done or not is_refusal(error))
            changed = bool(done) or own or outcome == UNKNOWN
            error.details = {"changed": changed, "steps": done, "outcome": outcome, **error.details}
            raise
        done.append(step.description)
    try:
        _run(lambda: resource.verify(plan))
        return Carried(done, _run(lambda: resource.result(plan, True)))
    except SynapseError as error:
        # A resource of many objects knows better itself what has changed.
        if "changed" not in error.details:
            error.explain(f"What had been done before that: {'; '.join(done)}.")
        error.details = {"changed": True, "steps": done, **error.details}
        raise


def is_refusal(error: SynapseError) -> bool:
    """Whether the server itself has said that it does not do what it was asked for."""
    return isinstance(error, ApiError) and error.status < 500


def has_moved(plan: Plan, now: State) -> bool:
    """Whether something that the plan was to change is not as it was before, in the state `now`."""
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
    """What became of a step that failed, and whether what the plan was to change is as it was before.

    A server that is slow, or cannot be reached for a moment, is given time.
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
            return outcome, has_moved(plan, again.before)
        sleep(PAUSE)


def tell(error: SynapseError, done: t.Sequence[str], description: str, outcome: str) -> None:
    """Let the error say what had been `done` before it, and the outcome of what it has ended."""
    if done:
        error.explain(f"Already done before that: {'; '.join(done)}.")
    # A plain refusal says by itself that nothing was done.
    if outcome != NOT_DONE or error.may_be_done or done:
        late = outcome == NOT_DONE and patience_after(error) > 0
        error.explain(
            f"Looked at again, {_WORDS[outcome]}: {description}"
            + (", but Synapse may still be about to do it." if late else ".")
        )
