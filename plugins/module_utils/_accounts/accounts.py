# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The accounts of a server: this reads them, plans the changes of an account, protects other accounts, and writes.

A single account and a list of accounts both use `Accounts.plan`.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.appservices import (
    owner_of,
    ownership,
    reserved_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    RATE_LIMIT,
    USER,
    Change,
    DeclaredAccount,
    account_state,
    decide,
    listed_state,
    rate_limit_state,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.delegation import (
    commands,
    is_delegated,
    refuse,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.normal_form import (
    LOCALPART,
    LOCALPART_CHARACTERS,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import read_policy, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.server_rules import ServerRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.taken_values import require_free_values
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Answer, Client, JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errcodes import explain
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    EndpointMissing,
    InvalidInput,
    NotFound,
    PermissionDenied,
    after_a_change,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import Registration

_LIST = "/_synapse/admin/v3/users"
# Large pages, because Synapse sorts and joins the whole table for each page.
_PAGE = 1000
# The status of a PUT for an account that existed already.
_EXISTED = 200
# How Synapse refuses a user name, before it changes anything.
_NO_NAME = ("M_USER_IN_USE", "M_EXCLUSIVE", "M_INVALID_USERNAME")


@dataclasses.dataclass(frozen=True)
class Permissions:
    """The permissions of a task.

    `services`: the application services of the server, if its configuration is known.
    """

    allow_appservice_users: bool = False
    allow_threepid_takeover: bool = False
    services: tuple[Registration, ...] = ()


class Accounts:
    """The accounts of the server behind `client`, whose token must belong to a server admin."""

    def __init__(
        self,
        client: Client,
        permissions: Permissions | None = None,
        password_is_set: t.Callable[[str, str], bool] | None = None,
        rules: ServerRules | None = None,
    ) -> None:
        """`password_is_set` returns whether a user ID has a password, for "if_different"."""
        self.client = client
        self._rules = rules or ServerRules(client)
        self._permissions = permissions or Permissions()
        self._password_is_set = password_is_set
        self._delegated: bool | None = None
        self._policy: JsonObject | None = None

    def read(self, user_id: str, declared: DeclaredAccount) -> State:
        """Return the account as `account_state` shows it, with its rate limit if that is declared, or None."""
        try:
            state: dict[str, t.Any] = account_state(self.client.get(USER, user_id=user_id))
        except NotFound:
            return None
        if declared.rate_limit is not None:
            state["rate_limit"] = rate_limit_state(self.client.get(RATE_LIMIT, user_id=user_id))
        return state

    def everyone(self) -> dict[str, dict[str, t.Any]]:
        """Return all accounts by user ID, as `listed_state` shows them: also locked, deactivated and guest accounts."""
        try:
            return self._list({"locked": "true"})
        except ApiError as error:
            if error.errcode != "M_INVALID_PARAM" or not self.delegated():
                raise
        # With the Matrix Authentication Service there are no guests, and Synapse refuses to list them.
        return self._list({"locked": "true", "guests": "false"})

    def _list(self, parameters: dict[str, str]) -> dict[str, dict[str, t.Any]]:
        rows = self.client.pages(_LIST, "users", limit=_PAGE, params=parameters)
        found = {}
        for row in rows:
            found[row["name"]] = listed_state(row)
            progress.report(Work.ACCOUNTS_READ, len(found))
        return found

    def delegated(self) -> bool:
        """Whether the server uses the Matrix Authentication Service. Requested once."""
        if self._delegated is None:
            self._delegated = is_delegated(self.client)
        return self._delegated

    def caller_is_admin(self) -> bool:
        """Whether the caller is a server admin. Raises AuthenticationFailed if the token is not valid."""
        try:
            self.client.get(USER, user_id=self.client.caller)
        except PermissionDenied:
            return False
        return True

    def plan(self, user_id: Identifier, declared: DeclaredAccount, current: State) -> tuple[State, list[Change]]:
        """Return the account as it will be and the requests that make the change (see `decide`).

        Raises InvalidInput for a change that Synapse does not make, for a password that its policy forbids, for a value
        that its settings forbid (`ServerRules`), and for a change that harms the caller itself or an account of an
        application service, and what `require_free_values` raises.
        """
        after, changes = decide(user_id, self._settle_password(user_id, declared, current), current)
        if declared.update_password == "if_different":
            changes = [change._replace(shown=True) for change in changes]
        passwords = [change.body["password"] for change in changes if "password" in change.body]
        if changes:
            self._guard_caller(current, after)
            self.guard_appservice(user_id, current)
            needed = commands(user_id, current, after, bool(passwords))
            if needed and self.delegated():
                refuse(user_id, needed)
            for password in passwords:
                require_allowed(password, self._read_policy(), str(user_id))
            self._rules.require_accepted(current, after, sets_password=bool(passwords))
            require_free_values(
                self.client, str(user_id), current, after, takeover=self._permissions.allow_threepid_takeover
            )
        return after, changes

    def _settle_password(self, user_id: Identifier, declared: DeclaredAccount, current: State) -> DeclaredAccount:
        if declared.update_password != "if_different" or declared.password is None or current is None:
            return declared
        differs = self.password_differs(str(user_id), declared.password)
        return dataclasses.replace(declared, update_password="always" if differs else "on_create")

    def password_differs(self, user_id: str, password: str) -> bool:
        """Whether an existing account has a different password.

        Raises InvalidInput or ConfigurationError if the passwords cannot be compared.
        """
        if self._password_is_set is None:
            raise InvalidInput(
                "update_password=if_different compares the password with the one in the database of Synapse: set"
                " config_path to the configuration of Synapse."
            )
        return not self._password_is_set(user_id, password)

    def _read_policy(self) -> JsonObject:
        if self._policy is None:
            self._policy = read_policy(self.client)
        return self._policy

    @property
    def services(self) -> tuple[Registration, ...]:
        """The application services of the server, as far as they are known here."""
        return self._permissions.services

    def is_appservice_user(self, user_id: str, state: State) -> bool:
        """Whether an application service created the account, or the user ID is in a namespace that is known here."""
        return self._why_appservice(user_id, state) is not None

    def _why_appservice(self, user_id: str, state: State) -> str | None:
        """Return how an application service owns the account, to be read after the user ID, None if none does."""
        maker, owner = (state or {}).get("appservice_id"), owner_of(self.services, user_id)
        if maker:
            return f"belongs to the application service {maker}"
        return ownership(owner, user_id) if owner else None

    def decide(
        self, user_id: Identifier, declared: DeclaredAccount, current: State
    ) -> tuple[State, State, list[Change]]:
        """Return the account as it is, as it will be, and the requests that make the change.

        Raises what `plan` raises, and InvalidInput if Synapse would not create the account. It asks the server, so that
        check mode fails as well.
        """
        after, changes = self.plan(user_id, declared, current)
        if current is not None or after is None or self._is_free(user_id):
            return current, after, changes
        # Another task may just have created it.
        current = self.read(str(user_id), declared)
        if current is None:
            raise name_taken(user_id)
        return (current, *self.plan(user_id, declared, current))

    def require_creatable(self, user_id: Identifier) -> None:
        """Ask the server whether it would create the account, which does not exist. Raises InvalidInput if not."""
        if not self._is_free(user_id) and self.read(str(user_id), DeclaredAccount()) is None:
            raise name_taken(user_id)

    def _is_free(self, user_id: Identifier) -> bool:
        """Whether the name is free. Raises InvalidInput if Synapse refuses the name for another reason."""
        require_valid_localpart(user_id)
        try:
            self.client.get("/_synapse/admin/v1/username_available", params={"username": user_id.localpart})
        except EndpointMissing:
            # Older servers do not have this endpoint.
            return True
        except ApiError as error:
            if error.status != 400:
                raise
            if error.errcode == "M_USER_IN_USE":
                return False
            raise self._uncreatable(user_id, error) from error
        return True

    def write(self, user_id: Identifier, declared: DeclaredAccount, change: Change) -> list[str]:
        """Make one change, and return the steps that were done. Raises what the client raises.

        If another task has just created the account, for example another run of the same task, the account is changed
        like any existing account.
        """
        name = str(user_id)
        try:
            answer = self._request(name, change)
        except ApiError as error:
            if not change.creates or error.errcode not in _NO_NAME:
                raise
            current = self.read(name, declared) if error.errcode == "M_USER_IN_USE" else None
            if current is None:
                # The same message as in check mode.
                raise (
                    name_taken(user_id) if error.errcode == "M_USER_IN_USE" else self._uncreatable(user_id, error)
                ) from error
            _after, changes = self.plan(user_id, declared, current)
            for left in changes:
                with after_a_change():
                    self._request(name, left)
            return [left.description for left in changes]
        if change.creates and answer.status == _EXISTED:
            return ["overwrite the account that another task has just created"]
        return [change.description]

    def _request(self, user_id: str, change: Change) -> Answer:
        try:
            return self.client.request(change.method, change.template, body=change.body, user_id=user_id)
        except ApiError as error:
            # Synapse sets one attribute after the other, and stops at the first that it refuses.
            error.may_be_done = error.may_be_done or (change.template == USER and len(change.body) > 1)
            raise

    def _uncreatable(self, user_id: Identifier, refusal: ApiError) -> InvalidInput:
        owner = owner_of(self.services, str(user_id))
        if owner is not None and refusal.errcode == "M_EXCLUSIVE":
            return reserved_name(owner, str(user_id))
        words = refusal.error.rstrip(".")
        meaning = explain(refusal.status, refusal.errcode, refusal.error)
        return InvalidInput(f"The account {user_id} cannot be created: {words}. {meaning}".rstrip())

    def guard_appservice(self, user_id: Identifier, current: State) -> None:
        """Raise InvalidInput if the account belongs to an application service, and the task must not change those.

        An account that does not exist is not one of them: Synapse does not create it.
        """
        if self._permissions.allow_appservice_users or current is None:
            return
        reason = self._why_appservice(str(user_id), current)
        if reason:
            raise InvalidInput(
                f"{user_id} {reason}, so it was not changed. Set allow_appservice_users to true to change it."
            )

    def _guard_caller(self, current: State, after: State) -> None:
        if current is None or after is None or current["user_id"] != self.client.caller:
            return
        harmful = [name for name in ("locked", "suspended", "deactivated") if after.get(name) and not current.get(name)]
        if current["admin"] and not after["admin"]:
            harmful.append("not an admin")
        if harmful:
            raise InvalidInput(
                f"{current['user_id']} is the account that this task runs as. If it is {' and '.join(harmful)},"
                " the task cannot undo that. Use the access token of another server admin."
            )


def name_taken(user_id: Identifier, by: str | None = None) -> InvalidInput:
    """Return the error for a name that an account (`by`) has that differs from it only in upper and lower case."""
    who = by or "an account whose user ID differs only in upper and lower case"
    return InvalidInput(
        f"The account {user_id} cannot be created: its name is already used by {who}. Synapse ignores upper and lower"
        " case here. Set user_id to the user ID of the existing account, exactly as it is."
    )


def require_valid_localpart(user_id: Identifier) -> None:
    """Raise InvalidInput for a localpart with which Synapse 1.163 creates no account, whatever its configuration."""
    localpart = user_id.localpart
    reason = None
    if not LOCALPART.fullmatch(localpart):
        reason = f"a localpart can only contain {LOCALPART_CHARACTERS}"
    elif localpart.isdigit():
        reason = "a localpart of digits only is reserved for guests"
    if reason:
        raise InvalidInput(f"The account {user_id} cannot be created: {reason}.")
