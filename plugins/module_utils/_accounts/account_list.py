# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Many accounts in one task: read in pages, compared at once, and only the differences written, several at a time."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import fnmatch
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    Change,
    DeclaredAccount,
    decide,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.reachability import Reachability
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.shared_addresses import shared_addresses
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    StateNotReached,
    SynapseError,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import (
    DONE,
    NOT_DONE,
    PARTLY_DONE,
    PAUSE,
    UNKNOWN,
    outcome_of,
    patience_after,
    tell,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier, parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step

_NAMED_AT_MOST = 10
_NOBODY_DEACTIVATED = "Nobody was deactivated for not being declared, because an entry that is wrong may be anybody's."
_PARALLEL_AT_MOST = 64


@dataclasses.dataclass
class Entry:
    """One account of the list: what is declared, what is, what will be, and what became of it.

    `broken`: the change that `error` has ended, `broken_at` when that was, and `outcome` what became of it: it may have
    been made nevertheless.
    """

    given: str
    declared: DeclaredAccount
    user_id: Identifier | None = None
    before: State = None
    after: State = None
    changes: list[Change] = dataclasses.field(default_factory=list)
    written: list[str] = dataclasses.field(default_factory=list)
    error: SynapseError | None = None
    broken: Change | None = None
    broken_at: float = 0
    outcome: str | None = None

    @property
    def name(self) -> str:
        """The full user id, or what the task gave if that is none."""
        return str(self.user_id or self.given)


@dataclasses.dataclass(frozen=True)
class Scope:
    """How far a task may go.

    `exclusive` deactivates every account that is not declared, but for those that a pattern in `protect` matches.
    `max_changes`: the most accounts that may be changed, None for any number. `parallel`: requests at the same time.
    """

    exclusive: bool = False
    protect: t.Sequence[str] = ()
    max_changes: int | None = None
    parallel: int = 4

    def check(self) -> None:
        """Raise InvalidInput for a number that can never work."""
        if not 1 <= self.parallel <= _PARALLEL_AT_MOST:
            raise InvalidInput(f"parallel is {self.parallel}: it must be between 1 and {_PARALLEL_AT_MOST}.")
        if self.max_changes is not None and self.max_changes < 0:
            raise InvalidInput(f"max_changes is {self.max_changes}: it cannot be negative.")


class AccountList:
    """Many accounts with their declared states, as the runner wants it (see _plan.Resource)."""

    def __init__(
        self, accounts: Accounts, declared: t.Sequence[tuple[str, DeclaredAccount]], scope: Scope | None = None
    ) -> None:
        """`declared`: pairs of a user id, in full or its localpart alone, and what is declared of it."""
        self._accounts = accounts
        self._scope = scope or Scope()
        self._entries = [Entry(given, account) for given, account in declared]
        self._reachable = Reachability(self._scope.parallel)
        self._held = False

    def plan(self) -> Plan:
        """Read all accounts and decide on each. What is wrong with one of them is kept for `result`, not raised.

        As long as something is wrong with one, nobody is deactivated: it may be the one that was meant.
        Raises InvalidInput if two entries are the same account, or if more would change than `max_changes` allows.
        """
        self._scope.check()
        server_name = self._accounts.client.server_name
        listed = self._accounts.everyone()
        for entry in self._entries:
            self._attempt(entry, lambda entry: self._identify(entry, server_name))
        self._refuse_repetitions()
        self._refuse_shared_addresses()
        self._decide_all(self._entries, listed)
        self._held = any(entry.error for entry in self._entries)
        if self._held:
            self._hold()
        elif self._scope.exclusive:
            undeclared = self._undeclared(listed)
            self._decide_all(undeclared, listed)
            self._entries += undeclared
        changing = [entry for entry in self._entries if entry.changes]
        self._refuse_too_many(len(changing))
        steps = (
            (Step(f"change {len(changing)} accounts", lambda: self._each(changing, self._write)),) if changing else ()
        )
        return Plan(
            {entry.name: entry.before for entry in changing}, {entry.name: entry.after for entry in changing}, steps
        )

    def verify(self, plan: Plan) -> None:
        """Read all accounts again. One that is not as declared becomes an error of its entry.

        What failed is looked at again, so that its entry says whether it has been done.
        """
        broken = [entry for entry in self._entries if entry.broken]
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            list(pool.map(self._look_again, broken))
        written = [entry for entry in self._entries if entry.written and not entry.error]
        if not written:
            return
        self._reachable.forget()
        try:
            listed = self._accounts.everyone()
        except SynapseError as error:
            for entry in written:
                entry.error = StateNotReached(f"it was changed, but could not be read again: {error}")
            return
        self._each(written, lambda entry: self._require_reached(entry, listed))

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `users`: what became of each declared account, and of each that `exclusive` deactivated.

        Raises SynapseError naming the accounts that failed, with the same list in its details.
        """
        users = [self._outcome(entry, executed) for entry in self._entries]
        failed = [entry for entry in self._entries if entry.error]
        if not failed:
            return {"users": users}
        named = "; ".join(f"{entry.name}: {entry.error}" for entry in failed[:_NAMED_AT_MOST])
        more = f"; and {len(failed) - _NAMED_AT_MOST} more" if len(failed) > _NAMED_AT_MOST else ""
        changed = any(user["changed"] for user in users)
        others = len(failed) < len(users) and (executed or not changed)
        raise SynapseError(
            f"{len(failed)} of {len(users)} accounts are not as declared ({named}{more})."
            + (" The others are: mend these and run the task again." if others else "")
            + (f" {_NOBODY_DEACTIVATED}" if self._held and self._scope.exclusive else ""),
            users=users,
            changed=changed,
            steps=[step.description for step in plan.steps] if changed else [],
        )

    def _identify(self, entry: Entry, server_name: str) -> None:
        entry.user_id = parse_user_id(entry.given, server_name)
        entry.declared.check()

    def _refuse_repetitions(self) -> None:
        seen: set[str] = set()
        for entry in self._entries:
            if entry.name in seen:
                raise InvalidInput(f"{entry.name} is declared twice: nothing was changed.")
            seen.add(entry.name)

    def _refuse_shared_addresses(self) -> None:
        shared = shared_addresses({entry.name: entry.declared for entry in self._entries if not entry.error})
        for entry in self._entries:
            if entry.name in shared:
                entry.error = InvalidInput(f"{shared[entry.name]}. Nothing of either was changed.")

    def _hold(self) -> None:
        """Deactivate nobody: that cannot be undone, and a list that is wrong in one place may be so in another."""
        for entry in self._entries:
            if entry.changes and not entry.declared.present:
                entry.changes, entry.after = [], entry.before
                entry.error = InvalidInput(
                    "not deactivated, because another entry of the list is wrong, and a deactivation cannot be undone"
                )

    def _undeclared(self, listed: t.Mapping[str, State]) -> list[Entry]:
        spared = {entry.name for entry in self._entries} | {self._accounts.client.caller}
        candidates = [
            Entry(name, DeclaredAccount(present=False), _known(name), before=state)
            for name, state in listed.items()
            if state and not state["deactivated"] and name not in spared and not self._is_protected(name)
        ]
        if candidates:
            self._require_protectors(listed)
        # The list does not tell whose account it is.
        self._each(candidates, lambda entry: setattr(entry, "before", self._accounts.read(entry.name, entry.declared)))
        return [
            entry
            for entry in candidates
            if entry.error or not self._accounts.is_appservice_user(entry.name, entry.before)
        ]

    def _is_protected(self, name: str) -> bool:
        return any(_matches(pattern, name) for pattern in self._scope.protect)

    def _require_protectors(self, listed: t.Iterable[str]) -> None:
        """Raise InvalidInput for a pattern that cannot match what it is there for: a misspelt one protects nobody."""
        own = self._accounts.client.server_name
        for pattern in self._scope.protect:
            _localpart, colon, server_name = pattern.partition(":")
            reason = None
            if colon and not fnmatch.fnmatchcase(own, server_name):
                reason = f"is for another server than {own}"
            elif not set(pattern) & set("*?[") and not any(_matches(pattern, name) for name in listed):
                reason = "is none of the accounts here"
            if reason:
                raise InvalidInput(
                    f"protect holds {pattern!r}, which {reason}: nothing was changed. See whether it is spelt right, as"
                    " the account that it shall protect would be deactivated."
                )

    def _decide_all(self, entries: t.Sequence[Entry], listed: t.Mapping[str, State]) -> None:
        # Most need no request of their own, and handing them to threads would take longer than deciding.
        undecided = [entry for entry in entries if not entry.error and not self._is_reached(entry, listed)]
        self._each(undecided, lambda entry: self._decide(entry, listed))

    def _is_reached(self, entry: Entry, listed: t.Mapping[str, State]) -> bool:
        """Whether the list shows already that there is nothing to do."""
        current, declared = listed.get(entry.name), entry.declared
        if current is None or declared.needs_details():
            return False
        if declared.password is not None and declared.update_password == "if_different":
            return False
        return not decide(t.cast(Identifier, entry.user_id), declared, current)[1]

    def _decide(self, entry: Entry, listed: t.Mapping[str, State]) -> None:
        user_id, declared = t.cast(Identifier, entry.user_id), entry.declared
        current = listed.get(entry.name)
        if current is not None:
            current = self._accounts.read(entry.name, declared)
        after, changes = self._accounts.plan(user_id, declared, current)
        if current is None and after is not None:
            self._accounts.require_creatable(user_id)
        entry.before, entry.after, entry.changes = current, after, changes

    def _refuse_too_many(self, number: int) -> None:
        limit = self._scope.max_changes
        if limit is not None and number > limit:
            raise InvalidInput(
                f"{number} accounts would be changed, but max_changes allows {limit}: nothing was changed."
                " Look at the diff of a run in check mode without it, and allow more if that is meant."
            )

    def _write(self, entry: Entry) -> None:
        user_id = t.cast(Identifier, entry.user_id)
        for change in entry.changes:
            entry.broken = change
            entry.written += self._accounts.write(user_id, entry.declared, change)
        entry.broken = None

    def _look_again(self, entry: Entry) -> None:
        """Find out what became of the change that failed: a server that is only slow may still be making it."""
        change, error = t.cast(Change, entry.broken), t.cast(SynapseError, entry.error)
        end = entry.broken_at + patience_after(error)
        while True:
            outcome = self._outcome_of(entry, change, error)
            if outcome != NOT_DONE or time.monotonic() >= end:
                break
            time.sleep(PAUSE)
        if outcome == DONE and not error.may_be_done:
            # Refused, because somebody else was doing the same: it is as declared.
            entry.error = entry.broken = None
            return
        tell(error, entry.written, change.description, outcome)
        entry.outcome = outcome
        if outcome == DONE:
            entry.written.append(change.description)

    def _outcome_of(self, entry: Entry, change: Change, error: SynapseError) -> str:
        user_id = t.cast(Identifier, entry.user_id)
        try:
            state = self._accounts.read(entry.name, entry.declared)
            _after, left = self._accounts.plan(user_id, entry.declared, state)
        except Exception:
            return UNKNOWN if error.may_be_done else NOT_DONE
        following = [each.description for each in entry.changes[entry.changes.index(change) + 1 :]]
        return outcome_of(
            change.description,
            error,
            shown=change.shown,
            left=[each.description for each in left],
            following=following,
        )

    def _require_reached(self, entry: Entry, listed: t.Mapping[str, State]) -> None:
        details = entry.declared.needs_details()
        state = self._accounts.read(entry.name, entry.declared) if details else listed.get(entry.name)
        missing = differences(entry.declared, state)
        if missing:
            raise StateNotReached(
                f"it is not as declared although Synapse accepted every change ({'; '.join(missing)})"
            )

    def _outcome(self, entry: Entry, executed: bool) -> dict[str, t.Any]:
        steps = entry.written if executed else [change.description for change in entry.changes]
        # Without what is empty: Ansible takes its time for every value, and most accounts need nothing.
        return {
            "user_id": entry.name,
            "changed": bool(steps) or entry.outcome in (PARTLY_DONE, UNKNOWN),
            "failed": entry.error is not None,
            **({"steps": steps} if steps else {}),
            **({"msg": str(entry.error)} if entry.error else {}),
            **({"outcome": entry.outcome} if entry.outcome else {}),
        }

    def _each(self, entries: t.Sequence[Entry], work: t.Callable[[Entry], None]) -> None:
        """Do `work` for every entry without an error, several at a time; what it raises becomes the entry's error."""
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            list(pool.map(lambda entry: self._attempt(entry, work), [entry for entry in entries if not entry.error]))

    def _attempt(self, entry: Entry, work: t.Callable[[Entry], None]) -> None:
        if not self._reachable:
            entry.error = ConnectionFailed("not attempted, because Synapse does not answer any more", sent=False)
            return
        try:
            work(entry)
            self._reachable.answered()
        except Exception as error:
            entry.error = told(error)
            entry.broken_at = time.monotonic()
            self._reachable.note(entry.error)


def _known(user_id: str) -> Identifier:
    """A user id that the server itself has listed, in its parts: it needs no checking."""
    localpart, _colon, server_name = user_id[1:].partition(":")
    return Identifier("@", localpart, server_name)


def _matches(pattern: str, name: str) -> bool:
    localpart = name[1:].partition(":")[0]
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(localpart, pattern)
