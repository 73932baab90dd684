# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Many accounts in one task: read in pages, compared at once, and only the differences written, several at a time."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import fnmatch
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import (
    Accounts,
    require_valid_localpart,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    Change,
    DeclaredAccount,
    decide,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier, parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step

_NAMED_AT_MOST = 10
_PARALLEL_AT_MOST = 64


@dataclasses.dataclass
class Entry:
    """One account of the list: what is declared, what is, what will be, and what became of it."""

    given: str
    declared: DeclaredAccount
    user_id: Identifier | None = None
    before: State = None
    after: State = None
    changes: list[Change] = dataclasses.field(default_factory=list)
    written: list[str] = dataclasses.field(default_factory=list)
    error: SynapseError | None = None

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
        self._unreachable = threading.Event()

    def plan(self) -> Plan:
        """Read all accounts and decide on each. What is wrong with one of them is kept for `result`, not raised.

        Raises InvalidInput if two entries are the same account, or if more would change than `max_changes` allows.
        """
        self._scope.check()
        server_name = self._accounts.client.server_name
        listed = self._accounts.everyone()
        for entry in self._entries:
            self._attempt(entry, lambda entry: self._identify(entry, server_name))
        self._refuse_repetitions()
        if self._scope.exclusive:
            self._entries += self._undeclared(listed)
        # Most need no request of their own, and handing them to threads would take longer than deciding.
        undecided = [entry for entry in self._entries if not entry.error and not self._is_reached(entry, listed)]
        self._each(undecided, lambda entry: self._decide(entry, listed))
        changing = [entry for entry in self._entries if entry.changes]
        self._refuse_too_many(len(changing))
        steps = (
            (Step(f"change {len(changing)} accounts", lambda: self._each(changing, self._write)),) if changing else ()
        )
        return Plan(
            {entry.name: entry.before for entry in changing}, {entry.name: entry.after for entry in changing}, steps
        )

    def verify(self, plan: Plan) -> None:
        """Read all accounts again. One that is not as declared becomes an error of its entry."""
        if self._unreachable.is_set():
            return
        listed = self._accounts.everyone()
        written = [entry for entry in self._entries if entry.written and not entry.error]
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
            + (" The others are: mend these and run the task again." if others else ""),
            users=users,
            changed=changed,
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

    def _undeclared(self, listed: t.Mapping[str, State]) -> list[Entry]:
        spared = {entry.name for entry in self._entries} | {self._accounts.client.caller}
        candidates = [
            Entry(name, DeclaredAccount(present=False), _known(name), before=state)
            for name, state in listed.items()
            if state and not state["deactivated"] and name not in spared and not self._is_protected(name)
        ]
        # The list does not tell whose account it is.
        self._each(candidates, lambda entry: setattr(entry, "before", self._accounts.read(entry.name, entry.declared)))
        return [
            entry
            for entry in candidates
            if entry.error or not self._accounts.is_appservice_user(entry.name, entry.before)
        ]

    def _is_protected(self, name: str) -> bool:
        localpart = name[1:].partition(":")[0]
        return any(
            fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(localpart, pattern)
            for pattern in self._scope.protect
        )

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
        entry.before, entry.after, entry.changes = current, after, changes

    def _refuse_too_many(self, number: int) -> None:
        limit = self._scope.max_changes
        if limit is not None and number > limit:
            raise InvalidInput(
                f"{number} accounts would be changed, but max_changes allows {limit}: nothing was changed."
                " Look at the diff of a run in check mode without it, and allow more if that is meant."
            )

    def _write(self, entry: Entry) -> None:
        for change in entry.changes:
            self._accounts.request(entry.name, change)
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
            "changed": bool(steps),
            "failed": entry.error is not None,
            **({"steps": steps} if steps else {}),
            **({"msg": str(entry.error)} if entry.error else {}),
        }

    def _each(self, entries: t.Sequence[Entry], work: t.Callable[[Entry], None]) -> None:
        """Do `work` for every entry without an error, several at a time; what it raises becomes the entry's error."""
        with concurrent.futures.ThreadPoolExecutor(self._scope.parallel) as pool:
            list(pool.map(lambda entry: self._attempt(entry, work), [entry for entry in entries if not entry.error]))

    def _attempt(self, entry: Entry, work: t.Callable[[Entry], None]) -> None:
        if self._unreachable.is_set():
            entry.error = ConnectionFailed("not attempted, because Synapse does not answer any more")
            return
        try:
            work(entry)
        except ConnectionFailed as error:
            entry.error = error
            self._unreachable.set()
        except SynapseError as error:
            entry.error = error


def _known(user_id: str) -> Identifier:
    """A user id that the server itself has listed, in its parts: it needs no checking."""
    localpart, _colon, server_name = user_id[1:].partition(":")
    return Identifier("@", localpart, server_name)
