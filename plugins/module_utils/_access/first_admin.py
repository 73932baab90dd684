# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The first server admin, where nobody has the token of one: registered if it is new, else made one by the database.

Relies on the table users of Synapse 1.163, whose column admin is a number in SQLite and a smallint in PostgreSQL, and
on the Admin API answering nobody but admins: so the account itself asks it whether the change is in force.

Whatever else is declared must be there already, or come with the registration: nobody but an admin can change it.
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
)
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

# Nobody else's: logging out takes the device away, and with it every token that was ever made for it.
_PROBING_DEVICE = "matrix_ops.synapse.probe."
_WITH_ITS_TOKEN = "then declare the rest with its token"
_NAMED_AT_MOST = 3


@dataclasses.dataclass(frozen=True)
class Ways:
    """Which ways to a first admin a task allows. `secret`: the server's registration_shared_secret.

    `working_directory`: what a relative path of an SQLite database starts from.
    """

    secret: str | None
    allow_database: bool = True
    despite_other_admins: bool = False
    working_directory: str | None = None


class FirstAdmin:
    """One account that shall be a server admin (see _plan.Resource)."""

    def __init__(
        self, accounts: Accounts, user_id: str, declared: DeclaredAccount, configuration: Configuration, ways: Ways
    ) -> None:
        """`accounts`: with a token that is no admin's, best the account's own, or without any. Nothing is read yet."""
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
        """Read the account in the database and decide. Raises InvalidInput if no way is open.

        Nobody is logged in for that: only the account's own token is used, if the task has it.
        """
        self._declared.check()
        self._method = None
        self._user_id = parse_user_id(self._given, self._configuration.server_name)
        self._refuse_delegation()
        current = self._stored()
        if current is None or not current["admin"]:
            self._accounts.guard_appservice(self._user_id, current)
        if current is None:
            return self._plan_registration()
        if current["deactivated"]:
            raise InvalidInput(
                f"{self._user_id} is deactivated: only a server admin can reactivate it. Name another one."
            )
        if current["admin"]:
            return self._plan_proof(current)
        return self._plan_promotion(current)

    def verify(self, plan: Plan) -> None:
        """Read the account again, and let it ask the Admin API.

        Raises StateNotReached if it is not as declared, or if a newly registered admin is refused there.
        """
        require(differences(self._declared, self._stored()), f"The account {self._user_id}")
        self._ask()
        if self._method == "registration" and self._refused:
            raise StateNotReached(
                f"{self._user_id} was registered as a server admin, but Synapse does not treat it as one.",
                **self._left_behind(),
            )
        # A server that has looked the account up before still holds it to be none; if nobody can ask, it may.
        self._restart_required = self._method == "database" and self._seen is None

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `user` as far as it could be seen, and the `method`, None if the account is an admin already.

        `verified`: whether the Admin API answered the account as an admin. `restart_required`: whether Synapse does
        not, or may not, treat it as one before it is restarted. `warnings`: what was left behind, if anything was.
        """
        return {
            "user": self._seen or plan.after,
            "method": self._method,
            "verified": self._seen is not None,
            "restart_required": self._restart_required,
            **self._left_behind(),
        }

    def _left_behind(self) -> dict[str, t.Any]:
        return {"warnings": list(self._warnings)} if self._warnings else {}

    def _refuse_delegation(self) -> None:
        service = self._configuration.settings.get("matrix_authentication_service") or {}
        if service.get("enabled"):
            name = self._user_id.localpart
            raise InvalidInput(
                f"{IN_CHARGE}, and it decides who is an admin: run 'mas-cli manage register-user {name}' for a new"
                f" account, or 'mas-cli manage promote-admin {name}' for one that exists."
            )

    def _refuse(self, others: t.Sequence[str], mend: str) -> None:
        if others:
            raise InvalidInput(
                f"{', '.join(others)} can only be set by a server admin, and the task has no access token that Synapse"
                f" takes for one's: {mend}."
            )

    def _lacking(self, state: State) -> list[str]:
        """The attributes, beside admin, that are not as declared in `state`."""
        declared = dataclasses.replace(self._declared, admin=None)
        return sorted(difference.partition(" is ")[0] for difference in differences(declared, state))

    def _lacking_of_existing(self, current: State) -> list[str]:
        """What an account that exists lacks of what is declared, with its password, unless that shall be left alone."""
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
        self._refuse(self._lacking(self._as_registered()), f"register {self._user_id} first, {_WITH_ITS_TOKEN}")
        self._refuse_namesake()
        if not self._ways.secret:
            raise InvalidInput(
                f"{self._user_id} does not exist, and the configuration holds no registration_shared_secret to register"
                " it with: set one and restart Synapse, or name an account that exists."
            )
        if self._declared.password is None:
            raise InvalidInput(f"{self._user_id} does not exist: set password, with which it is registered.")
        require_allowed(self._declared.password, read_policy(self._accounts.client), str(self._user_id))
        self._method = "registration"
        after = {"user_id": str(self._user_id), "admin": True, "deactivated": False}
        return Plan(None, _shown(after), (Step("register the account as a server admin", self._register),))

    def _as_registered(self) -> State:
        """The account as it will be once it is registered."""
        attributes, types = self._declared.attributes(), self._configuration.settings.get("user_types") or {}
        answer = {
            "name": str(self._user_id),
            "admin": True,
            "deactivated": False,
            "displayname": attributes.get("displayname", self._user_id.localpart),
            "user_type": attributes.get("user_type") or types.get("default_user_type"),
        }
        return {**account_state(answer), "rate_limit": None}

    def _refuse_namesake(self) -> None:
        with Database(self._database()) as database:
            namesakes = read_namesakes(database, str(self._user_id))
        if namesakes:
            raise InvalidInput(
                f"{self._user_id} does not exist and cannot be registered, because {namesakes[0]} differs from it in"
                " capital letters only: name that account, or another one."
            )

    def _plan_promotion(self, current: dict[str, t.Any]) -> Plan:
        self._refuse(self._lacking_of_existing(current), f"make {self._user_id} an admin first, {_WITH_ITS_TOKEN}")
        with Database(self._database()) as database:
            self._require_database_allowed(read_other_admins(database, str(self._user_id)))
        self._method = "database"
        after = {**current, "admin": True}
        return Plan(_shown(current), _shown(after), (Step("set admin in the database", self._promote),))

    def _plan_proof(self, current: dict[str, t.Any]) -> Plan:
        """The plan for an account that is an admin already: what is left is to see whether Synapse knows it."""
        self._refuse(
            self._lacking_of_existing(current),
            f"{self._user_id} is an admin already, so get its token with synapse_access_token, {_WITH_ITS_TOKEN}",
        )
        client = None
        with _leaving_unseen():
            client = self._own_client()
            if client:
                self._look(client)
        self._restart_required = self._refused
        by_login = client is None and self._declared.password is not None
        return Plan(_shown(current), _shown(current), proof=self._prove_by_login if by_login else None)

    def _prove_by_login(self) -> None:
        with _leaving_unseen():
            self._look_by_login(t.cast(str, self._declared.password))
        self._restart_required = self._refused

    def _require_database_allowed(self, admins: t.Sequence[str]) -> None:
        if not self._ways.allow_database:
            raise InvalidInput(
                f"{self._user_id} exists and is no server admin, and without the access token of one only the database"
                " can make it one: set allow_database to true, or give the token of a server admin."
            )
        if admins and not self._ways.despite_other_admins:
            more = f" and {len(admins) - _NAMED_AT_MOST} more" if len(admins) > _NAMED_AT_MOST else ""
            raise InvalidInput(
                f"This server has admins already ({', '.join(admins[:_NAMED_AT_MOST])}{more}): let one of them promote"
                f" {self._user_id} with access_token. If none of them can be reached, set despite_other_admins to true."
            )

    def _promote(self) -> None:
        with Database(self._database(), writable=True) as database:
            # A number, because PostgreSQL takes no boolean there; a wrong name would change no row without a word.
            rows = database.write("UPDATE users SET admin = 1 WHERE name = ?", str(self._user_id))
            if rows != 1:
                raise SynapseError(f"{self._user_id} is not in the database any more: nothing was changed.")

    def _register(self) -> None:
        declared = self._declared
        attributes = declared.attributes()
        account = NewAccount(
            self._user_id.localpart,
            t.cast(str, declared.password),
            True,
            attributes.get("displayname"),
            attributes.get("user_type"),
        )
        if not register(self._accounts.client, t.cast(str, self._ways.secret), account):
            raise SynapseError(f"{self._user_id} was made by somebody else in this moment: run the task again.")

    def _database(self) -> DatabaseSettings:
        return find_database(self._configuration, self._ways.working_directory)

    def _ask(self) -> None:
        """See whether the Admin API takes the account for an admin: with its own token, else with its password.

        A server that does not answer as it should keeps that from being seen. It undoes nothing.
        """
        with _leaving_unseen():
            client = self._own_client()
            if client:
                self._look(client)
            elif self._declared.password is not None:
                self._look_by_login(self._declared.password)

    def _own_client(self) -> Client | None:
        """The task's client, if its token is the account's own."""
        try:
            return self._accounts.client if self._accounts.client.caller == str(self._user_id) else None
        except AuthenticationFailed:
            return None

    def _look(self, client: Client) -> None:
        user_id, accounts = str(self._user_id), Accounts(client)
        try:
            state = accounts.read(user_id, DeclaredAccount())
            if state and not state["admin"] and self._method == "database":
                # Synapse lets it in, but still shows the account as it has remembered it, until it is told by an admin.
                client.put(USER, {"admin": True}, user_id=user_id)
                state = accounts.read(user_id, DeclaredAccount())
        except PermissionDenied:
            state = None
        self._seen = state if state and state["admin"] else None
        self._refused = self._seen is None

    def _look_by_login(self, password: str) -> None:
        anonymous, device = self._accounts.client.speaking_as(None), f"{_PROBING_DEVICE}{secrets.token_hex(8)}"
        # The password of an account that exists need not be the declared one, nor need logins be allowed.
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
            f"The device {device} of {self._user_id}, which was logged in for a moment to see whether Synapse treats"
            f" the account as an admin, may still be logged in: remove it. {problem.message}"
        )


def _leaving_unseen() -> contextlib.AbstractContextManager[None]:
    """A server that does not answer as it should keeps something from being seen, which fails nothing."""
    return contextlib.suppress(ApiError, ConnectionFailed, UnexpectedAnswer)


def _shown(state: dict[str, t.Any]) -> State:
    return {name: state[name] for name in ("user_id", "admin")}
