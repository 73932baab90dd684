# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The accounts of a server: reads them, plans the changes of one, guards those of others, and carries them out.

One account and a list of them go the same way, through `Accounts.plan`.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    RATE_LIMIT,
    USER,
    Address,
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import read_policy, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Answer, Client, JsonObject
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

_BY_IDENTITY = "/_synapse/admin/v1/auth_providers/{provider}/users/{external_id}"
_BY_ADDRESS = "/_synapse/admin/v1/threepid/{medium}/users/{address}"
_LIST = "/_synapse/admin/v3/users"
# Large pages, because Synapse sorts and joins the whole table for each of them.
_PAGE = 1000
# What PUT answers for an account that it has not created.
_EXISTED = 200
# How Synapse refuses a name, before it does anything.
_NO_NAME = ("M_USER_IN_USE", "M_EXCLUSIVE", "M_INVALID_USERNAME")
# What Synapse accepts in a new localpart (synapse/types, contains_invalid_mxid_characters).
_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")


@dataclasses.dataclass(frozen=True)
class Permissions:
    """What a task may do beyond the accounts that it declares.

    `namespaces`: patterns of the user ids that application services own, as far as the configuration is known.
    """

    manage_appservice_users: bool = False
    steal_threepids: bool = False
    namespaces: tuple[re.Pattern[str], ...] = ()


class Accounts:
    """The accounts of the server behind `client`, whose token must be a server admin's."""

    def __init__(
        self,
        client: Client,
        permissions: Permissions | None = None,
        password_is_set: t.Callable[[str, str], bool] | None = None,
    ) -> None:
        """`password_is_set` tells of a user id and a password whether they belong together, for "if_different"."""
        self.client = client
        self._permissions = permissions or Permissions()
        self._password_is_set = password_is_set
        self._delegated: bool | None = None
        self._policy: JsonObject | None = None

    def read(self, user_id: str, declared: DeclaredAccount) -> State:
        """Return the account as `account_state` shows it, or None. With its rate limit, if that is declared."""
        try:
            state: dict[str, t.Any] = account_state(self.client.get(USER, user_id=user_id))
        except NotFound:
            return None
        if declared.rate_limit is not None:
            state["rate_limit"] = rate_limit_state(self.client.get(RATE_LIMIT, user_id=user_id))
        return state

    def everyone(self) -> dict[str, dict[str, t.Any]]:
        """Return all accounts by user id, as `listed_state` shows them: locked, deactivated and guests too."""
        try:
            return self._list({"locked": "true"})
        except ApiError as error:
            if error.errcode != "M_INVALID_PARAM" or not self.delegated():
                raise
        # Where another service has the accounts, there are no guests, and Synapse refuses to list them.
        return self._list({"locked": "true", "guests": "false"})

    def _list(self, parameters: dict[str, str]) -> dict[str, dict[str, t.Any]]:
        rows = self.client.pages(_LIST, "users", limit=_PAGE, params=parameters)
        return {row["name"]: listed_state(row) for row in rows}

    def delegated(self) -> bool:
        """Whether the Matrix Authentication Service is in charge of the accounts. Asked once."""
        if self._delegated is None:
            self._delegated = is_delegated(self.client)
        return self._delegated

    def caller_is_admin(self) -> bool:
        """Whether the caller is a server admin. Raises AuthenticationFailed if its token is not valid."""
        try:
            self.client.get(USER, user_id=self.client.caller)
        except PermissionDenied:
            return False
        return True

    def plan(self, user_id: Identifier, declared: DeclaredAccount, current: State) -> tuple[State, list[Change]]:
        """Return the account as it will be and the requests that make it so (see `decide`).

        Raises InvalidInput for a change that Synapse would not make, for a password that its policy forbids, and for a
        change that would hit somebody else: an application service's account, the caller itself, or another account's
        address or identity.
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
            self._guard_addresses(str(user_id), current, after)
        return after, changes

    def _settle_password(self, user_id: Identifier, declared: DeclaredAccount, current: State) -> DeclaredAccount:
        if declared.update_password != "if_different" or declared.password is None or current is None:
            return declared
        differs = self.password_differs(str(user_id), declared.password)
        return dataclasses.replace(declared, update_password="always" if differs else "on_create")

    def password_differs(self, user_id: str, password: str) -> bool:
        """Whether an account that exists has another password.

        Raises InvalidInput without a configuration that says where the stored one is, ConfigurationError if the two
        cannot be compared.
        """
        if self._password_is_set is None:
            raise InvalidInput(
                "update_password if_different compares the password with the stored one: set config_path to Synapse's"
                " configuration, which says where the database is."
            )
        return not self._password_is_set(user_id, password)

    def _read_policy(self) -> JsonObject:
        if self._policy is None:
            self._policy = read_policy(self.client)
        return self._policy

    def is_appservice_user(self, user_id: str, state: State) -> bool:
        """Whether an application service made the account, or has its user id in a namespace that is known here."""
        owner = state.get("appservice_id") if state else None
        return bool(owner) or any(pattern.match(user_id) for pattern in self._permissions.namespaces)

    def decide(
        self, user_id: Identifier, declared: DeclaredAccount, current: State
    ) -> tuple[State, State, list[Change]]:
        """Return the account as it is, as it will be, and the requests between the two.

        Raises what `plan` raises, and InvalidInput if Synapse would not create the account. The server is asked, so
        that check mode knows.
        """
        after, changes = self.plan(user_id, declared, current)
        if current is not None or after is None or self._is_free(user_id):
            return current, after, changes
        # Somebody else may just have created it.
        current = self.read(str(user_id), declared)
        if current is None:
            raise name_taken(user_id)
        return (current, *self.plan(user_id, declared, current))

    def require_creatable(self, user_id: Identifier) -> None:
        """Raise InvalidInput if Synapse would not create the account, which does not exist. The server is asked."""
        if not self._is_free(user_id) and self.read(str(user_id), DeclaredAccount()) is None:
            raise name_taken(user_id)

    def _is_free(self, user_id: Identifier) -> bool:
        """Whether the name is free. Raises InvalidInput if Synapse creates no account with it for another reason."""
        require_valid_localpart(user_id)
        try:
            self.client.get("/_synapse/admin/v1/username_available", params={"username": user_id.localpart})
        except EndpointMissing:
            # Older servers do not answer this.
            return True
        except ApiError as error:
            if error.status != 400:
                raise
            if error.errcode == "M_USER_IN_USE":
                return False
            raise _uncreatable(user_id, error) from error
        return True

    def write(self, user_id: Identifier, declared: DeclaredAccount, change: Change) -> list[str]:
        """Make one change, and return in words what was done. Raises what the client raises.

        An account that somebody else has just created, such as another run of the same task, is brought to what is
        declared like any that exists.
        """
        name = str(user_id)
        try:
            answer = self._request(name, change)
        except ApiError as error:
            if not change.creates or error.errcode not in _NO_NAME:
                raise
            current = self.read(name, declared) if error.errcode == "M_USER_IN_USE" else None
            if current is None:
                # In the words in which check mode says it.
                raise (
                    name_taken(user_id) if error.errcode == "M_USER_IN_USE" else _uncreatable(user_id, error)
                ) from error
            _after, changes = self.plan(user_id, declared, current)
            for left in changes:
                with after_a_change():
                    self._request(name, left)
            return [left.description for left in changes]
        if change.creates and answer.status == _EXISTED:
            return ["write over the account that somebody else has just created"]
        return [change.description]

    def _request(self, user_id: str, change: Change) -> Answer:
        try:
            return self.client.request(change.method, change.template, body=change.body, user_id=user_id)
        except ApiError as error:
            # Synapse sets one attribute after the other, and refuses the first that it does not like.
            error.may_be_done = error.may_be_done or (change.template == USER and len(change.body) > 1)
            raise

    def guard_appservice(self, user_id: Identifier, current: State) -> None:
        """Raise InvalidInput if the account is an application service's, and the task may not manage those."""
        if self._permissions.manage_appservice_users or not self.is_appservice_user(str(user_id), current):
            return
        owner = current.get("appservice_id") if current else None
        whose = f"belongs to the application service {owner}" if owner else "is an application service's user id"
        raise InvalidInput(
            f"{user_id} {whose}: it is left alone. Set manage_appservice_users to true to manage it nevertheless."
        )

    def _guard_caller(self, current: State, after: State) -> None:
        if current is None or after is None or current["user_id"] != self.client.caller:
            return
        harmful = [name for name in ("locked", "suspended", "deactivated") if after.get(name) and not current.get(name)]
        if current["admin"] and not after["admin"]:
            harmful.append("not an admin")
        if harmful:
            raise InvalidInput(
                f"{current['user_id']} is the account that this task runs as: made {' and '.join(harmful)},"
                " it could not undo that. Use the access token of another server admin."
            )

    def _guard_addresses(self, user_id: str, current: State, after: State) -> None:
        for entry in _added("external_ids", current, after):
            owner = self._owner_of_identity(entry)
            if owner not in (None, user_id):
                raise InvalidInput(
                    f"{entry['external_id']} of {entry['auth_provider']} is already the identity of {owner}:"
                    f" take it from there first, then give it to {user_id}."
                )
        for entry in () if self._permissions.steal_threepids else _added("threepids", current, after):
            owner = self._owner_of_address(entry)
            if owner not in (None, user_id):
                raise InvalidInput(
                    f"{entry['address']} is already an address of {owner}, and would be taken from there."
                    " Set steal_threepids to true if that is meant."
                )

    def _owner_of_identity(self, entry: Address) -> str | None:
        provider, external_id = entry["auth_provider"], entry["external_id"]
        try:
            return str(self.client.get(_BY_IDENTITY, provider=provider, external_id=external_id)["user_id"])
        except NotFound:
            return None

    def _owner_of_address(self, entry: Address) -> str | None:
        try:
            return str(self.client.get(_BY_ADDRESS, medium=entry["medium"], address=entry["address"])["user_id"])
        except NotFound:
            return None


def _added(name: str, current: State, after: State) -> list[Address]:
    before = (current or {}).get(name) or []
    return [entry for entry in (after or {}).get(name) or [] if entry not in before]


def name_taken(user_id: Identifier, by: str | None = None) -> InvalidInput:
    """Return the error for a name that is taken by one (`by`) that differs from it in capital letters only."""
    who = by or "one whose user id differs in capital letters"
    return InvalidInput(
        f"The account {user_id} cannot be created: its name is taken, by {who}; Synapse does not tell capital letters"
        " apart here. Name that one as it is written."
    )


def _uncreatable(user_id: Identifier, refusal: ApiError) -> InvalidInput:
    return InvalidInput(f"The account {user_id} cannot be created: {refusal.error.rstrip('.')}.")


def require_valid_localpart(user_id: Identifier) -> None:
    """Raise InvalidInput for a localpart that no account can be created with (Synapse's own rules, 1.163).

    What a server can be configured to allow is left to the server.
    """
    localpart = user_id.localpart
    reason = None
    if not _LOCALPART.fullmatch(localpart):
        reason = "a localpart consists of a-z, 0-9 and . _ = / + - only"
    elif localpart.isdigit():
        reason = "a localpart of digits alone is kept for guests"
    if reason:
        raise InvalidInput(f"The account {user_id} cannot be created: {reason}.")
