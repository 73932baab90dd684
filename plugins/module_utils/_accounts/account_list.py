# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Many accounts in one task: this reads them in pages, compares them, and writes the differences in parallel."""

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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.old_addresses import warning_of_left
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.protection import (
    matches,
    require_protectors,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.reachability import Reachability
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.shared_addresses import shared_addresses
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.taken_values import explain_moves
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_NAMED_AT_MOST = 10
_NONE_DEACTIVATED = (
    "No account was deactivated for not being declared, because an entry that failed may be a misspelt user ID."
)


class AccountList:
    """Many accounts with their declared states (see _plan.Resource)."""

    def __init__(
        self, accounts: Accounts, declared: t.Sequence[tuple[str, DeclaredAccount]], scope: Scope | None = None
    ) -> None:
        """`declared`: pairs of a user ID or localpart, and the declared account."""
        self._accounts = accounts
        self._scope = scope or Scope()
        self._entries = [Entry(given, account) for given, account in declared]
        self._reachable = Reachability(self._scope.parallel)
        self._held = False
        self._small: dict[str, str] | None = None

    def plan(self) -> Plan:
        """Read all accounts and decide on each. An error of one account is not raised, but kept for `result`.

        If an account has an error, no account is deactivated, because the entry may be a misspelt user ID.
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
        explain_moves(self._entries)
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
        """Read all accounts again. If an account is not as declared, its entry gets an error.

        The accounts whose changes failed are read again to find the result of the change.
        """
        broken = [entry for entry in self._entries if entry.broken]
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            list(pool.map(self._look_again, broken))
            self._require_all_reached()
            # Read once more those that were read first, because the server has had more time since then.
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
                entry.error = StateNotReached(f"It was changed, but it could not be read again: {error}")
            return
        self._each(written, lambda entry: self._require_reached(entry, listed))

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `users`, the result for each declared account and each that `exclusive` deactivated, and `summary`.

        If accounts failed, this raises SynapseError with their names, and with the same values in its details.
        """
        users = [self._outcome(entry, executed) for entry in self._entries]
        failed = [entry for entry in self._entries if entry.error]
        if not failed:
            # Another task at the same time may have made all changes.
            reached = {"changed": any(user["changed"] for user in users)} if executed else {}
            return {"users": users, "summary": _summary(users), **reached, **self._left_addresses()}
        named = "; ".join(f"{entry.name}: {str(entry.error).rstrip('.')}" for entry in failed[:_NAMED_AT_MOST])
        more = f"; and {len(failed) - _NAMED_AT_MOST} more" if len(failed) > _NAMED_AT_MOST else ""
        summary = _summary(users)
        number = summary["changed"]
        changed = number > 0
        raise SynapseError(
            f"{len(failed)} of {len(users)} accounts are not as declared ({named}{more})."
            + (" This does not affect the others." if len(failed) < len(users) else "")
            + " Fix these accounts and run the task again."
            + (f" {_NONE_DEACTIVATED}" if self._held and self._scope.exclusive else ""),
            users=users,
            summary=summary,
            changed=changed,
            steps=[_words(number)] if changed else [],
        )

    def _left_addresses(self) -> dict[str, list[str]]:
        """Return the warnings for addresses that accounts keep although they are deactivated."""
        gone = [entry for entry in self._entries if entry.changes and not entry.declared.present]
        left = {entry.name: (entry.after or {}).get("threepids") for entry in gone}
        warnings = [warning_of_left(name, addresses) for name, addresses in left.items() if addresses]
        return {"warnings": warnings} if warnings else {}

    def _identify(self, entry: Entry, server_name: str) -> None:
        entry.user_id = parse_user_id(entry.given, server_name)
        entry.declared.check()

    def _refuse_repetitions(self) -> None:
        seen: set[str] = set()
        for entry in self._entries:
            if entry.name in seen:
                raise InvalidInput(f"{entry.name} is declared twice. Nothing was changed. Remove one of the entries.")
            seen.add(entry.name)

    def _refuse_shared_addresses(self) -> None:
        shared = shared_addresses({entry.name: entry.declared for entry in self._entries if not entry.error})
        for entry in self._entries:
            if entry.name in shared:
                entry.error = InvalidInput(f"{shared[entry.name]}. None of these accounts was changed.")

    def _hold(self) -> None:
        """Deactivate no account if an account has an error.

        A deactivation cannot be undone, and a list that is wrong in one place may be wrong in another.
        """
        if not any(entry.error for entry in self._entries):
            return
        self._held = True
        for entry in self._entries:
            if entry.changes and not entry.declared.present:
                entry.changes, entry.after = [], entry.before
                entry.error = InvalidInput(
                    "It was not deactivated, because another account of the list failed, and a deactivation cannot be"
                    " undone."
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
        # The list does not show which application service an account belongs to.
        self._each(candidates, lambda entry: setattr(entry, "before", self._accounts.read(entry.name, entry.declared)))
        return [
            entry
            for entry in candidates
            if entry.error or not self._accounts.is_appservice_user(entry.name, entry.before)
        ]

    def _is_protected(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self._scope.protect)

    def _decide_all(self, entries: t.Sequence[Entry], listed: t.Mapping[str, State]) -> None:
        # Most accounts need no request of their own, and threads would cost more time than the decision.
        undecided = [entry for entry in entries if not entry.error and not self._is_reached(entry, listed)]
        self._each(undecided, lambda entry: self._decide(entry, listed))

    def _is_reached(self, entry: Entry, listed: t.Mapping[str, State]) -> bool:
        """Whether the list already shows that the account is as declared."""
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
        """Return the plan without the accounts that Synapse would refuse to create."""
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
                f"{_count(number)} would change, but max_changes is {limit}. Nothing was changed. Check the diff of a"
                " run in check mode without max_changes, and increase max_changes if the diff is correct."
            )

    def _change(self) -> None:
        """Make all changes. Deactivate last, and only if all other changes succeeded."""
        changing = [entry for entry in self._entries if entry.changes]
        self._each([entry for entry in changing if entry.declared.present], self._write, Work.ACCOUNTS_CHANGED)
        self._hold()
        gone = [entry for entry in changing if not entry.declared.present and entry.changes]
        self._each(gone, self._write, Work.ACCOUNTS_DEACTIVATED)

    def _write(self, entry: Entry) -> None:
        user_id = t.cast(Identifier, entry.user_id)
        for change in entry.changes:
            entry.broken = change
            entry.written += self._accounts.write(user_id, entry.declared, change)
        entry.broken = None

    def _look_again(self, entry: Entry) -> None:
        """Find the result of the change that failed.

        This waits for a server that is slow or cannot be reached for a moment.
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
        """Set the outcome of the entry. Return False if the account could not be read and a retry may help."""
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
            # Refused, because another task made the same change: the account is as declared.
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
                f"It is not as declared, although Synapse accepted every change ({'; '.join(missing)})."
            )

    def _outcome(self, entry: Entry, executed: bool) -> dict[str, t.Any]:
        steps = entry.written if executed else [change.description for change in entry.changes]
        # Without empty values: Ansible needs time for each value, and most accounts do not change.
        return {
            "user_id": entry.name,
            "changed": bool(steps) or entry.outcome in (PARTLY_DONE, UNKNOWN),
            "failed": entry.error is not None,
            **({"steps": steps} if steps else {}),
            **({"msg": str(entry.error)} if entry.error else {}),
            **({"outcome": entry.outcome} if entry.outcome else {}),
        }

    def _each(
        self, entries: t.Sequence[Entry], work: t.Callable[[Entry], None], shown: Work = Work.ACCOUNTS_COMPARED
    ) -> None:
        """Do `work` for every entry without an error, in parallel. An error becomes the error of the entry.

        `shown`: the work, for the progress.
        """
        chosen = [entry for entry in entries if not entry.error]
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            for number, _done in enumerate(pool.map(lambda entry: self._attempt(entry, work), chosen), 1):
                progress.report(shown, number, len(chosen))

    def _attempt(self, entry: Entry, work: t.Callable[[Entry], None]) -> None:
        if not self._reachable:
            entry.error = ConnectionFailed("It was skipped, because Synapse does not respond any more.", sent=False)
            return
        try:
            work(entry)
            self._reachable.answered()
        except Exception as error:
            entry.error = told(error)
            entry.broken_at = time.monotonic()
            self._reachable.note(entry.error)


def _summary(users: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, int]:
    numbers = {name: sum(user[name] for user in users) for name in ("changed", "failed")}
    return {"total": len(users), **numbers}


def _words(number: int) -> str:
    return f"change {_count(number)}"


def _count(number: int) -> str:
    return f"{number} account{'' if number == 1 else 's'}"


def _known(user_id: str) -> Identifier:
    """Return the parts of a user ID from the list of the server. It is valid."""
    localpart, _colon, server_name = user_id[1:].partition(":")
    return Identifier("@", localpart, server_name)
