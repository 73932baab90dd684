# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The first server admin, without the access token of a server admin.

A new account is registered as a server admin. An existing account is made a server admin in the database. All other
declared values must be correct already, or be set by the registration, because only a server admin can change them.

Relies on the table users of Synapse 1.163, whose column admin is a number in SQLite and a smallint in PostgreSQL. It
also relies on the Admin API, which only responds to server admins: a request of the account itself shows whether the
change is in effect.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    end_session,
    log_in,
    register,
    require_registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.registrable import require_free_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.stored_account import (
    read_namesakes,
    read_other_admins,
    read_stored,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import (
    Accounts,
    require_valid_localpart,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    USER,
    DeclaredAccount,
    account_state,
    decide,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.delegation import IN_CHARGE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import read_policy, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    PermissionDenied,
    StateNotReached,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require

# Only for this purpose: logging out deletes the device, and every access token that was created for it.
_PROBING_DEVICE = "matrix_ops.synapse.probe."
_WITH_ITS_TOKEN = "then set them with its access token."
_NAMED_AT_MOST = 3


@dataclasses.dataclass(frozen=True)
class Ways:
    """The permissions of a task to make the first server admin.

    `secret`: the registration_shared_secret of the server. `working_directory`: the relative path of an SQLite database
    starts from it.
    """

    secret: str | None
    allow_database_write: bool = True
    allow_existing_admins: bool = False
    working_directory: str | None = None


class FirstAdmin:
    """One account that must be a server admin (see _plan.Resource)."""

    def __init__(
        self, accounts: Accounts, user_id: str, declared: DeclaredAccount, configuration: Configuration, ways: Ways
    ) -> None:
        """`accounts`: with no access token, or with one that does not belong to a server admin. Reads nothing yet."""
        self._accounts = accounts
        self._given = user_id
        self._declared = declared
        self._configuration = configuration
        self._ways = ways
        self._method: str | None = None
        self._seen: State = None
        self._refused = False
        self._restart_required = False
        self._warnings: list[str] = []

    def plan(self) -> Plan:
        """Read the account in the database and decide what to do. Raises InvalidInput if nothing is possible.

        This does not log in. It only uses the access token of the account itself, if the task has it.
        """
        self._declared.check()
        self._method = None
        self._user_id = parse_user_id(self._given, self._configuration.server_name)
        self._refuse_delegation()
        current = self._stored()
        if current is None:
            return self._plan_registration()
        if not current["admin"]:
            self._accounts.guard_appservice(self._user_id, current)
        if current["deactivated"]:
            raise InvalidInput(
                f"{self._user_id} is deactivated, and only a server admin can reactivate it. Set user_id to another"
                " account."
            )
        if current["admin"]:
            return self._plan_proof(current)
        return self._plan_promotion(current)

    def verify(self, plan: Plan) -> None:
        """Read the account again, and send a request to the Admin API as the account.

        Raises StateNotReached if it is not as declared, or if the Admin API refuses a newly registered admin.
        """
        require(differences(self._declared, self._stored()), f"The account {self._user_id}")
        self._ask()
        if self._method == "registration" and self._refused:
            raise StateNotReached(
                f"{self._user_id} was registered as a server admin, but Synapse does not treat it as one. Restart"
                " Synapse and run the task again.",
                **self._left_behind(),
            )
        # If Synapse has read the account before, it remembers that it is not an admin. Otherwise this is unknown.
        self._restart_required = self._method == "database" and self._seen is None

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `user` as far as it is known, and the `method`, unless the account is already a server admin.

        `verified`: whether the Admin API treated the account as a server admin. `restart_required`: whether Synapse
        must, or may have to, be restarted before it does. `warnings`: a device that may still be logged in.
        """
        return {
            "user": self._seen or plan.after,
            **({"method": self._method} if self._method else {}),
            "verified": self._seen is not None,
            "restart_required": self._restart_required,
            **self._left_behind(),
        }

    def _left_behind(self) -> dict[str, t.Any]:
        return {"warnings": list(self._warnings)} if self._warnings else {}

    def _refuse_delegation(self) -> None:
        service = self._configuration.settings.get("matrix_authentication_service")
        if isinstance(service, dict) and service.get("enabled"):
            name = self._user_id.localpart
            raise InvalidInput(
                f"{IN_CHARGE}, and decides which accounts are server admins. Run 'mas-cli manage register-user {name}'"
                f" for a new account, or 'mas-cli manage promote-admin {name}' for an existing account."
            )

    def _refuse(self, others: t.Sequence[str], fix: str) -> None:
        if others:
            raise InvalidInput(
                f"Only a server admin can set {', '.join(others)}, and the task has no access token of a server admin."
                f" {fix}"
            )

    def _lacking(self, state: State) -> list[str]:
        """Return the attributes that are not as declared in `state`, except admin."""
        declared = dataclasses.replace(self._declared, admin=None)
        return sorted(difference.partition(" is ")[0] for difference in differences(declared, state))

    def _lacking_of_existing(self, current: State) -> list[str]:
        """Return the attributes of an existing account that are not as declared, and the password if it is compared."""
        declared, found = self._declared, self._lacking(current)
        compared = declared.password is not None and declared.update_password != "on_create"
        if compared and self._accounts.password_differs(str(self._user_id), t.cast(str, declared.password)):
            found.append("a new password")
        return found

    def _stored(self) -> State:
        with Database(self._database()) as database:
            return read_stored(database, str(self._user_id))

    def _plan_registration(self) -> Plan:
        decide(self._user_id, self._declared, None)
        require_valid_localpart(self._user_id)
        fix = f"Register {self._user_id} without them first, {_WITH_ITS_TOKEN}"
        self._refuse(self._lacking(self._as_registered()), fix)
        self._refuse_namesake()
        if not self._ways.secret:
            raise InvalidInput(
                f"{self._user_id} does not exist, and the configuration has no registration_shared_secret to register"
                " it with. Set registration_shared_secret in the configuration and restart Synapse, or set user_id to"
                " an existing account."
            )
        if self._declared.password is None:
            raise InvalidInput(f"{self._user_id} does not exist. Set password, which is needed to register it.")
        require_free_name(self._configuration, self._user_id.localpart, self._accounts.services)
        require_allowed(self._declared.password, read_policy(self._accounts.client), str(self._user_id))
        require_registration(self._accounts.client, self._ways.secret, self._declared.user_type)
        self._method = "registration"
        after = {"user_id": str(self._user_id), "admin": True, "deactivated": False}
        return Plan(None, _shown(after), (Step("register the account as a server admin", self._register),))

    def _as_registered(self) -> State:
        """Return the account as it will be after the registration."""
        attributes, types = self._declared.attributes(), self._configuration.block("user_types")
        answer = {
            "name": str(self._user_id),
            "admin": True,
            "deactivated": False,
            "displayname": attributes.get("display_name", self._user_id.localpart),
            "user_type": attributes.get("user_type") or types.get("default_user_type"),
        }
        return {**account_state(answer), "rate_limit": {}}

    def _refuse_namesake(self) -> None:
        with Database(self._database()) as database:
            namesakes = read_namesakes(database, str(self._user_id))
        if namesakes:
            raise InvalidInput(
                f"{self._user_id} does not exist and cannot be registered, because {namesakes[0]} differs from it only"
                " in upper and lower case. Set user_id to that account or to another one."
            )

    def _plan_promotion(self, current: dict[str, t.Any]) -> Plan:
        fix = f"Make {self._user_id} a server admin without them first, {_WITH_ITS_TOKEN}"
        self._refuse(self._lacking_of_existing(current), fix)
        with Database(self._database()) as database:
            self._require_database_allowed(read_other_admins(database, str(self._user_id)))
        self._method = "database"
        after = {**current, "admin": True}
        return Plan(_shown(current), _shown(after), (Step("set admin in the database", self._promote),))

    def _plan_proof(self, current: dict[str, t.Any]) -> Plan:
        """Return the plan for an account that is already a server admin: to see whether Synapse treats it as one."""
        self._refuse(
            self._lacking_of_existing(current),
            f"{self._user_id} is already a server admin. Get its access token with synapse_access_token,"
            f" {_WITH_ITS_TOKEN}",
        )
        client = None
        with _leaving_unknown():
            client = self._own_client()
            if client:
                self._look(client)
        self._restart_required = self._refused
        by_login = client is None and self._declared.password is not None
        return Plan(_shown(current), _shown(current), proof=self._prove_by_login if by_login else None)

    def _prove_by_login(self) -> None:
        with _leaving_unknown():
            self._look_by_login(t.cast(str, self._declared.password))
        self._restart_required = self._refused

    def _require_database_allowed(self, admins: t.Sequence[str]) -> None:
        if not self._ways.allow_database_write:
            raise InvalidInput(
                f"{self._user_id} exists and is not a server admin. Set allow_database_write to true to make it one in"
                " the database, or set access_token to the access token of a server admin."
            )
        if admins and not self._ways.allow_existing_admins:
            more = f" and {len(admins) - _NAMED_AT_MOST} more" if len(admins) > _NAMED_AT_MOST else ""
            raise InvalidInput(
                f"This server already has server admins ({', '.join(admins[:_NAMED_AT_MOST])}{more}). To make"
                f" {self._user_id} a server admin, set access_token to the access token of one of them. If none of them"
                " can be reached, set allow_existing_admins to true."
            )

    def _promote(self) -> None:
        with Database(self._database(), writable=True) as database:
            # A number, because PostgreSQL accepts no boolean for it. The count shows if no row had this name.
            rows = database.write("UPDATE users SET admin = 1 WHERE name = ?", str(self._user_id))
            if rows != 1:
                raise SynapseError(
                    f"{self._user_id} is not in the database any more. Nothing was changed. Run the task again."
                )

    def _register(self) -> None:
        declared = self._declared
        attributes = declared.attributes()
        account = NewAccount(
            self._user_id.localpart,
            t.cast(str, declared.password),
            True,
            attributes.get("display_name"),
            attributes.get("user_type") or None,
        )
        if register(self._accounts.client, t.cast(str, self._ways.secret), account) is None:
            raise SynapseError(f"Another task has just created {self._user_id}. Run the task again.")

    def _database(self) -> DatabaseSettings:
        return find_database(self._configuration, self._ways.working_directory)

    def _ask(self) -> None:
        """See whether the Admin API treats the account as a server admin: with its access token or its password.

        If the server does not respond as expected, this remains unknown. It is not an error.
        """
        with _leaving_unknown():
            client = self._own_client()
            if client:
                self._look(client)
            elif self._declared.password is not None:
                self._look_by_login(self._declared.password)

    def _own_client(self) -> Client | None:
        """Return the client of the task, if its access token belongs to the account."""
        try:
            return self._accounts.client if self._accounts.client.caller == str(self._user_id) else None
        except AuthenticationFailed:
            return None

    def _look(self, client: Client) -> None:
        user_id, accounts = str(self._user_id), Accounts(client)
        try:
            state = accounts.read(user_id, DeclaredAccount())
            if state and not state["admin"] and self._method == "database":
                # Synapse accepts the request, but shows the account as it remembers it until an admin changes it.
                client.put(USER, {"admin": True}, user_id=user_id)
                state = accounts.read(user_id, DeclaredAccount())
        except PermissionDenied:
            state = None
        self._seen = state if state and state["admin"] else None
        self._refused = self._seen is None

    def _look_by_login(self, password: str) -> None:
        anonymous, device = self._accounts.client.speaking_as(None), f"{_PROBING_DEVICE}{secrets.token_hex(8)}"
        # An existing account may have another password, and the server may not allow logins.
        try:
            token, _user_id = log_in(anonymous, Login(str(self._user_id), password, device, "Ansible"))
        except SynapseError as error:
            if error.may_be_done:
                self._warn_of(device, error)
            raise
        client = anonymous.speaking_as(token)
        try:
            self._look(client)
        finally:
            problem = end_session(client)
            if problem:
                self._warn_of(device, problem)

    def _warn_of(self, device: str, problem: SynapseError) -> None:
        self._warnings.append(
            f"The device {device} of {self._user_id} may still be logged in. Remove it. The task logged it in to see"
            f" whether Synapse treats the account as a server admin. {problem.message}"
        )


def _leaving_unknown() -> contextlib.AbstractContextManager[None]:
    """Ignore a server that does not respond as expected: something remains unknown then."""
    return contextlib.suppress(ApiError, ConnectionFailed, UnexpectedAnswer)


def _shown(state: dict[str, t.Any]) -> State:
    return {name: state[name] for name in ("user_id", "admin")}
