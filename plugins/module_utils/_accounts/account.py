# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One account with its declared state, as the runner uses it."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    Change,
    DeclaredAccount,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.old_addresses import warning_of_left
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    AuthenticationFailed,
    PermissionDenied,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier, parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require

# In place of a password in before and after: both are secret, but the change must be visible.
_HIDDEN, _HIDDEN_NEW = "(hidden)", "(hidden, new)"
# How Synapse refuses a request without a token, and one with the token of an account that is not a server admin.
_NOT_AN_ADMIN = ("M_MISSING_TOKEN", "M_FORBIDDEN")
_BOOTSTRAP = (
    "If this server has no server admin yet, or none can be reached, set bootstrap_admin to true and run the task on"
    " the host of Synapse. This makes the account a server admin without an access token."
)


class AccountResource:
    """One account with its declared state (see _plan.Resource)."""

    def __init__(self, accounts: Accounts, user_id: str, declared: DeclaredAccount) -> None:
        """`user_id`: in full, or the localpart alone. Nothing is sent yet."""
        self._accounts = accounts
        self._given = user_id
        self._declared = declared

    def plan(self) -> Plan:
        """Read the account and decide what to change. Raises InvalidInput, or what the client raises."""
        self._declared.check()
        self._identifier, current = self._read()
        self._user_id = str(self._identifier)
        current, after, changes = self._accounts.decide(self._identifier, self._declared, current)
        return Plan(
            _showing_password(current, changes, _HIDDEN),
            _showing_password(after, changes, _HIDDEN_NEW),
            tuple(self._step(change) for change in changes),
        )

    def verify(self, plan: Plan) -> None:
        """Read the account again. Raises StateNotReached if it is not as declared."""
        self._reached = self._accounts.read(self._user_id, self._declared)
        require(differences(self._declared, self._reached), f"The account {self._user_id}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `user`: the account as it is, or in check mode as it would be, {} if it does not exist.

        Also the `method`, whether the server has shown that state (`verified`), and that no restart is required.
        """
        user = (self._reached if executed else plan.after) or {}
        left = user.get("threepids") if plan.changed and not self._declared.present else None
        return {
            **({"warnings": [warning_of_left(self._user_id, left)]} if left else {}),
            "user": {name: value for name, value in user.items() if name != "password"},
            "method": "admin_api",
            "verified": executed or not plan.changed,
            "restart_required": False,
        }

    def _read(self) -> tuple[Identifier, State]:
        try:
            identifier = parse_user_id(self._given, self._accounts.client.server_name)
            return identifier, self._accounts.read(str(identifier), self._declared)
        except (AuthenticationFailed, PermissionDenied) as error:
            if self._declared.present and self._declared.admin and error.errcode in _NOT_AN_ADMIN:
                error.explain(_BOOTSTRAP)
            raise

    def _step(self, change: Change) -> Step:
        write = functools.partial(self._accounts.write, self._identifier, self._declared, change)
        return Step(change.description, write, change.shown)


def _showing_password(state: State, changes: list[Change], shown: str) -> State:
    sets_password = any("password" in change.body for change in changes)
    return {**state, "password": shown} if state is not None and sets_password else state
