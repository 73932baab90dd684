# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Many accounts in one task: read in pages, compared at once, and only the differences written, several at a time."""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import (
    Accounts,
    name_taken,
    require_valid_localpart,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    Change,
    DeclaredAccount,
    decide,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.entry import Entry, Scope
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.protection import (
    matches,
    require_protectors,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.reachability import Reachability
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.shared_addresses import shared_addresses
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    StateNotReached,
    SynapseError,
    may_pass,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import (
    DONE,
    NOT_DONE,
    PARTLY_DONE,
    PATIENCE,
    PAUSE,
    UNKNOWN,
    is_refusal,
    outcome_of,
    patience_after,
    tell,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier, parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step

_NAMED_AT_MOST = 10
_NOBODY_DEACTIVATED = "Nobody was deactivated for not being declared, because an entry that is wrong may be anybody's."


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
        self._small: dict[str, str] | None = None

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
        if self._scope.exclusive and not any(entry.error for entry in self._entries):
            undeclared = self._undeclared(listed)
            self._decide_all(undeclared, listed)
            self._entries += undeclared
        self._hold()
        self._refuse_too_many(sum(bool(entry.changes) for entry in self._entries))
        return self._made_plan(self._forecast)

    def _made_plan(self, forecast: t.Callable[[], Plan] | None = None) -> Plan:
        changing = [entry for entry in self._entries if entry.changes]
        steps = (Step(_words(len(changing)), self._change),) if changing else ()
        before, after = ({entry.name: getattr(entry, name) for entry in changing} for name in ("before", "after"))
        return Plan(before, after, steps, forecast=forecast)

    def verify(self, plan: Plan) -> None:
        """Read all accounts again. One that is not as declared becomes an error of its entry.

        What failed is looked at again, so that its entry says what became of it.
        """
        broken = [entry for entry in self._entries if entry.broken]
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            list(pool.map(self._look_again, broken))
            self._require_all_reached()
            # Once more, because the server has had more time for those that came first.
            late = [
                entry
                for entry in broken
                if entry.outcome == NOT_DONE and patience_after(t.cast(SynapseError, entry.error))
            ]
            list(pool.map(self._look_once, late))
        for entry in broken:
            self._tell(entry)

    def _require_all_reached(self) -> None:
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
            # A run at the same time may have done all of it.
            return {"users": users, **({"changed": any(user["changed"] for user in users)} if executed else {})}
        named = "; ".join(f"{entry.name}: {entry.error}" for entry in failed[:_NAMED_AT_MOST])
        more = f"; and {len(failed) - _NAMED_AT_MOST} more" if len(failed) > _NAMED_AT_MOST else ""
        number = sum(user["changed"] for user in users)
        changed = number > 0
        others = len(failed) < len(users) and (executed or not changed)
        raise SynapseError(
            f"{len(failed)} of {len(users)} accounts are not as declared ({named}{more})."
            + (" The others are: mend these and run the task again." if others else "")
            + (f" {_NOBODY_DEACTIVATED}" if self._held and self._scope.exclusive else ""),
            users=users,
            changed=changed,
            steps=[_words(number)] if changed else [],
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
        """Deactivate nobody if something is wrong with anybody.

        It cannot be undone, and a list that is wrong in one place may be so in another.
        """
        if not any(entry.error for entry in self._entries):
            return
        self._held = True
        for entry in self._entries:
            if entry.changes and not entry.declared.present:
                entry.changes, entry.after = [], entry.before
                entry.error = InvalidInput(
                    "not deactivated, because something is wrong with another account of the list, and a deactivation"
                    " cannot be undone"
                )

    def _undeclared(self, listed: t.Mapping[str, State]) -> list[Entry]:
        spared = {entry.name for entry in self._entries} | {self._accounts.client.caller}
        candidates = [
            Entry(name, DeclaredAccount(present=False), _known(name), before=state)
            for name, state in listed.items()
            if state and not state["deactivated"] and name not in spared and not self._is_protected(name)
        ]
        if candidates:
            require_protectors(self._scope.protect, listed, self._accounts.client.server_name)
        # The list does not tell whose account it is.
        self._each(candidates, lambda entry: setattr(entry, "before", self._accounts.read(entry.name, entry.declared)))
        return [
            entry
            for entry in candidates
            if entry.error or not self._accounts.is_appservice_user(entry.name, entry.before)
        ]

    def _is_protected(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self._scope.protect)

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
            require_valid_localpart(user_id)
            namesake = self._in_small_letters(listed).get(entry.name.lower())
            if namesake is not None:
                raise name_taken(user_id, namesake)
        entry.before, entry.after, entry.changes = current, after, changes

    def _in_small_letters(self, listed: t.Mapping[str, State]) -> dict[str, str]:
        if self._small is None:
            self._small = {name.lower(): name for name in listed}
        return self._small

    def _forecast(self) -> Plan:
        """The plan without the accounts that Synapse would not create: a run learns that when it creates them."""
        new = [entry for entry in self._entries if any(change.creates for change in entry.changes)]
        self._each(new, lambda entry: self._accounts.require_creatable(t.cast(Identifier, entry.user_id)))
        for entry in new:
            if entry.error:
                entry.changes, entry.after = [], entry.before
        self._hold()
        return self._made_plan()

    def _refuse_too_many(self, number: int) -> None:
        limit = self._scope.max_changes
        if limit is not None and number > limit:
            raise InvalidInput(
                f"{number} accounts would be changed, but max_changes allows {limit}: nothing was changed."
                " Look at the diff of a run in check mode without it, and allow more if that is meant."
            )

    def _change(self) -> None:
        """Make all changes, and deactivate last: only if everything else went well."""
        changing = [entry for entry in self._entries if entry.changes]
        self._each([entry for entry in changing if entry.declared.present], self._write)
        self._hold()
        self._each([entry for entry in changing if not entry.declared.present and entry.changes], self._write)

    def _write(self, entry: Entry) -> None:
        user_id = t.cast(Identifier, entry.user_id)
        for change in entry.changes:
            entry.broken = change
            entry.written += self._accounts.write(user_id, entry.declared, change)
        entry.broken = None

    def _look_again(self, entry: Entry) -> None:
        """Find out what became of the change that failed.

        A server that is slow, or cannot be reached for a moment, is given time.
        """
        error = t.cast(SynapseError, entry.error)
        slow = entry.broken_at + patience_after(error)
        blind = entry.broken_at + (PATIENCE if error.may_be_done else 0)
        while not self._look_once(entry) and time.monotonic() < blind:
            time.sleep(PAUSE)
        while entry.outcome == NOT_DONE and time.monotonic() < slow:
            time.sleep(PAUSE)
            self._look_once(entry)

    def _look_once(self, entry: Entry) -> bool:
        """Set the entry's outcome, and return whether the account could be seen, or will not be in a moment either."""
        change, error = t.cast(Change, entry.broken), t.cast(SynapseError, entry.error)
        user_id = t.cast(Identifier, entry.user_id)
        try:
            state = self._accounts.read(entry.name, entry.declared)
            _after, left = self._accounts.plan(user_id, entry.declared, state)
        except Exception as hidden:
            entry.outcome = UNKNOWN if error.may_be_done else NOT_DONE
            return not may_pass(hidden)
        following = [each.description for each in entry.changes[entry.changes.index(change) + 1 :]]
        descriptions = [each.description for each in left]
        entry.outcome = outcome_of(
            change.description, error, shown=change.shown, left=descriptions, following=following
        )
        return True

    def _tell(self, entry: Entry) -> None:
        change, error = t.cast(Change, entry.broken), t.cast(SynapseError, entry.error)
        if entry.outcome == DONE and is_refusal(error):
            # Refused, because somebody else was doing the same: it is as declared.
            entry.error = entry.broken = entry.outcome = None
            return
        tell(error, entry.written, change.description, t.cast(str, entry.outcome))
        if entry.outcome == DONE:
            entry.written.append(change.description)

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


def _words(number: int) -> str:
    return f"change {number} accounts"


def _known(user_id: str) -> Identifier:
    """A user id that the server itself has listed, in its parts: it needs no checking."""
    localpart, _colon, server_name = user_id[1:].partition(":")
    return Identifier("@", localpart, server_name)
