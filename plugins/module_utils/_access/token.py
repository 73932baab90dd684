# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An access token for automation. A valid token is reused. Otherwise a login or a new account gets one.

Relies on GET /_matrix/client/v3/account/whoami of Synapse 1.163, and on the endpoints of _access.login.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    end_session,
    is_unknown_token,
    log_in,
    log_out,
    register,
    require_password_login,
    require_registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.random_password import RandomPassword
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.registrable import (
    require_enabled,
    require_free_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import require_valid_localpart
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import read_registrations
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    EndpointMissing,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StateNotReached,
    SynapseError,
    after_a_change,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    Identifier,
    parse_user_id,
    server_name_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import remove_file, require_writable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._private_file import (
    PRIVATE_MODE,
    make_private,
    read_private,
    write_private,
)

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration


@dataclasses.dataclass(frozen=True)
class Creation:
    """How an account is created that does not exist yet. Without a password in the login, it gets a random one.

    `secret` returns the registration_shared_secret of the server. It is called only if a login is needed.
    `server_name` returns the name of the server if it is known. It is called only if the server does not return it.
    `configuration` returns the configuration of the server if it is known. It is called only if a login is needed.
    """

    secret: t.Callable[[], str]
    admin: bool
    server_name: t.Callable[[], str | None] = lambda: None
    configuration: t.Callable[[], Configuration | None] = lambda: None


class AccessTokenResource:
    """The access token of one account with its declared state, as the runner needs it (see _plan.Resource)."""

    def __init__(
        self,
        client: Client,
        login: Login,
        *,
        present: bool = True,
        known_token: str | None = None,
        path: str | None = None,
        creation: Creation | None = None,
        admin: bool = False,
    ) -> None:
        """`client` sends no token itself. `known_token`: a token to reuse or to log out; `path`: the token file.

        `creation`: None means that the account must exist. `admin`: whether the account must be a server admin.
        """
        self._anonymous = client
        self._login = login
        self._random = RandomPassword(login.user_id and _localpart(login.user_id), path)
        self._present = present
        self._known_token = known_token
        self._path = path
        self._creation = creation
        self._admin = admin or bool(creation and creation.admin)
        self._secret = ""
        self._created = False
        self._registering = False
        self._exists: bool | None = None
        self._returned: tuple[str, str] | None = None
        self._token: str | None = None
        self._user_id: str | None = None

    def plan(self) -> Plan:
        """Check whether the known token is still valid, and decide. Raises InvalidInput, or what the client raises."""
        kept = read_private(self._path) if self._path else None
        stored, mode = kept or (None, None)
        self._created = False
        # With a declared file, logging out a token that is not in it would end a session that was not declared.
        known = self._known_token if self._present or not self._path else None
        self._token = stored or known
        if self._present and self._creation and self._login.user_id and not self._token:
            # A secret that Synapse cannot use is found without a request.
            self._creation.secret()
        holder = self._holder(self._token, stored=bool(stored))
        if holder is None and self._present and stored and known not in (None, stored):
            self._token, stored = known, None
            holder = self._holder(self._token, stored=False)
        self._user_id = holder["user_id"] if holder else self._expected_user_id()
        before = self._state(holder.get("device_id") if holder else None, mode)
        if not self._present:
            steps = self._steps_absent(holder is not None, kept is not None)
            before["password_path"] = self._kept_password_path()
            return Plan(before if steps else None, None, steps)
        kept_mode = PRIVATE_MODE if self._path else None
        if holder is None:
            self._token = None
            steps = self._steps_present()
            after = self._state(self._login.device_id, kept_mode)
            before = {"account_exists": self._exists, "password_path": self._kept_password_path(), **before}
            return Plan(before, {"account_exists": True, "password_path": None, **after}, steps)
        if not stored:
            # The file does not contain this token.
            before = self._state(holder.get("device_id"), None)
        self._require_admin()
        after = self._state(holder.get("device_id"), kept_mode)
        before = {"account_exists": True, "password_path": self._kept_password_path(), **before}
        return Plan(before, {"account_exists": True, "password_path": None, **after}, self._steps_kept(stored, mode))

    def verify(self, plan: Plan) -> None:
        """Check that the server accepts the token, or after a logout does not accept it. Raises StateNotReached."""
        holder = self._holder(self._token, stored=bool(self._path))
        if not self._present and holder is not None:
            raise StateNotReached(
                f"The access token of {self._user_id} is still valid although Synapse accepted the logout."
                " Run the task again."
            )
        if not self._present:
            return
        if holder is None:
            raise StateNotReached(
                f"Synapse returned an access token for {self._user_id}, but does not accept it. Run the task again."
            )
        self._require_admin()

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the token with its account and device. The token itself is left out if a file contains it."""
        return {"token": self._shown_token(plan) if self._present else {}, "account_created": self._created}

    def _shown_token(self, plan: Plan) -> dict[str, t.Any]:
        # Ansible would censor a token that the task was given.
        is_new = self._token is not None and self._token != self._known_token
        shown = {
            "user_id": self._user_id,
            "device_id": (plan.after or {}).get("device_id"),
            "admin": self._is_admin() if self._token else None,
            "access_token_path": self._path,
            "access_token": self._token if is_new and not self._path else None,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _state(self, device_id: str | None, mode: str | None) -> dict[str, t.Any]:
        """The device of the token, and the token file with its mode. None if there is none."""
        return {
            "user_id": self._user_id,
            "device_id": device_id,
            "access_token_path": mode and self._path,
            "mode": mode,
        }

    def _holder(self, token: str | None, *, stored: bool) -> JsonObject | None:
        """The account and device of the token, or None if it is not valid. Raises InvalidInput for another account.

        A known token that is not `stored` may belong to another account. It is ignored if a token must be present.
        """
        if not token:
            return None
        try:
            client = self._anonymous.speaking_as(token)
            holder, user_id = client.whoami(), client.caller
        except AuthenticationFailed as error:
            if error.errcode == "M_USER_LOCKED":
                raise
            return None
        if self._login.user_id is None:
            return holder
        declared = parse_user_id(self._login.user_id, server_name_of(user_id))
        if str(declared).lower() != user_id.lower():
            if not stored and self._present:
                return None
            token, fix = f"The access token in {self._path}", "Use a separate token file for each account."
            if not stored:
                token, fix = "The value of access_token", "Set the token of this account."
            raise InvalidInput(f"{token} belongs to {holder['user_id']}, not to {declared}. {fix}")
        return holder

    def _expected_user_id(self) -> str | None:
        """The full user ID of the declared account, or None if none is declared or the server name is not known."""
        declared = self._login.user_id
        if declared is None:
            return None
        own = self._announced_server_name() or (self._creation.server_name() if self._creation else None)
        if own is None:
            return declared if declared.startswith("@") else None
        return str(parse_user_id(declared, own))

    def _announced_server_name(self) -> str | None:
        try:
            return str(member(self._anonymous.get("/_matrix/key/v2/server"), "server_name"))
        except ApiError:
            # A listener with the resource `client` only does not serve the keys of the server.
            return None

    def _kept_password_path(self) -> str | None:
        """The path of the file with the password of an account that a task has not finished to create, or None."""
        return self._random.path if self._random.is_kept() else None

    def _removal_of_password(self) -> list[Step]:
        path = self._kept_password_path()
        return [Step(f"remove {path}", self._random.remove)] if path else []

    def _steps_absent(self, valid: bool, stored: bool) -> tuple[Step, ...]:
        logout = [Step("log out the access token", self._log_out)] if valid else []
        removals = [Step(f"remove {self._path}", self._remove_file)] if stored else []
        removals += self._removal_of_password()
        if self._path and removals:
            require_writable(self._path, "access_token_path")
        return (*logout, *removals)

    def _steps_kept(self, stored: str | None, mode: str | None) -> tuple[Step, ...]:
        path, token = self._path, self._token
        steps = []
        if path and token and not stored:
            steps.append(Step(f"write the access token to {path}", lambda: write_private(path, token)))
        elif path and mode != PRIVATE_MODE:
            steps.append(Step(f"set the mode of {path} to 0600", lambda: make_private(path)))
        steps += self._removal_of_password()
        if path and steps:
            require_writable(path, "access_token_path")
        return tuple(steps)

    def _steps_present(self) -> tuple[Step, ...]:
        declared = {"user_id": self._login.user_id, "password": self._login.password or self._creation}
        if missing := [name for name, value in declared.items() if not value]:
            raise self._lacking(" and ".join(missing))
        self._login.check()
        if self._creation:
            self._require_valid_name()
            self._secret = self._creation.secret()
        if self._path:
            require_writable(self._path, "access_token_path")
        account = self._user_id or str(self._login.user_id)
        # Only the token shows that there was a login, and it is lost with a lost response.
        login = Step(f"log in as {account}", self._log_in, shown=False)
        self._exists = self._find() if self._creation else True
        if self._exists:
            self._require_login(account)
            return (login,)
        self._require_creatable()
        if not self._login.password:
            self._random.require_usable()
        self._created = True
        if self._exists is None:
            description = f"create the account {account} if it does not exist, and log in"
            return (Step(description, self._create_and_log_in, shown=False),)
        return (Step(f"create the account {account} and log in", self._create_and_log_in),)

    def _lacking(self, options: str) -> InvalidInput:
        account = f" of {self._user_id or self._login.user_id}" if self._login.user_id else ""
        return InvalidInput(f"There is no valid access token{account} to reuse. Set {options} to log in.")

    def _require_login(self, account: str) -> None:
        """Raise InvalidInput if it is not possible to log in to an existing account, or what the client raises."""
        if self._registering:
            # This only looks whether the registration that has just failed was done.
            return
        if not self._login.password and not self._random.read():
            error = self._lacking("password")
            error.explain(
                "create only sets a random password for an account that does not exist yet. If its password is not"
                " known, set user_id to an account that does not exist."
            )
            raise error
        try:
            require_password_login(self._anonymous, account)
        except InvalidInput as error:
            if self._creation:
                error.explain("Or set user_id to an account that does not exist: a new account needs no login.")
            raise

    def _require_valid_name(self) -> None:
        user_id = str(self._login.user_id)
        localpart = _localpart(user_id)
        if localpart != localpart.lower():
            raise InvalidInput(
                f"{user_id} cannot be created, because Synapse does not create accounts with capital letters."
                f" Set {user_id.lower()}."
            )

    def _require_creatable(self) -> None:
        """Raise InvalidInput if Synapse would refuse to create the account, or what the client raises."""
        # The server may not return its name. Only the localpart matters here.
        declared = self._user_id or str(self._login.user_id)
        require_valid_localpart(Identifier("@", _localpart(declared), server_name_of(declared)))
        configuration = t.cast(Creation, self._creation).configuration()
        # With a secret in the task, the configuration of this host may be that of another server.
        if configuration and self._user_id in (
            None,
            f"@{_localpart(declared)}:{configuration.settings.get('server_name')}",
        ):
            require_enabled(configuration)
            # One that cannot be read reserves nothing here.
            services, _problems = read_registrations(configuration)
            require_free_name(configuration, _localpart(declared), services)
        if not self._registering:
            require_registration(self._anonymous, self._secret)

    def _find(self) -> bool | None:
        """Whether the account has a profile (GET v3/profile/<id>). Each account has one until it is erased.

        None if the server does not show profiles without a token, or its name is not known. Then only the attempt to
        create the account shows whether it exists.
        """
        if self._user_id is None:
            return None
        try:
            self._anonymous.get("/_matrix/client/v3/profile/{user_id}", user_id=self._user_id)
        except NotFound:
            return False
        except ApiError:
            return None
        return True

    def _create(self) -> None:
        if self._path:
            # Before the server creates a token that cannot be written.
            require_writable(self._path, "access_token_path")
        password, admin = self._login.password or self._random.make(), t.cast(Creation, self._creation).admin
        account = NewAccount(_localpart(str(self._login.user_id)), password, admin)
        self._registering = True
        try:
            answer = register(self._anonymous, self._secret, account, self._login)
        except SynapseError as error:
            if error.may_be_done and not self._login.password:
                error.explain(
                    f"If the account was created, its random password is kept in {self._random.path}, for the next run."
                    if self._random.path
                    else "If the account was created, its random password is lost. Set user_id to an account that does"
                    " not exist, or set a new password with synapse_admin_user."
                )
            raise
        self._registering = False
        self._created = answer is not None
        if not self._created:
            self._random.forget_new()
        if answer and "access_token" in answer:
            self._returned = str(answer["access_token"]), str(member(answer, "user_id"))

    def _create_and_log_in(self) -> None:
        """Create the account if it does not exist, and log in."""
        self._create()
        if not self._created:
            self._require_login(str(self._login.user_id))
            self._log_in()
            return
        try:
            with after_a_change():
                self._log_in()
        except SynapseError as error:
            error.explain(f"The account {self._login.user_id} was created before the login.")
            raise

    def _log_in(self) -> None:
        """Log in, unless the new account has its token already. Keep the token in the file."""
        if self._returned is None:
            if self._path:
                # Before the login creates a token that cannot be written.
                require_writable(self._path, "access_token_path")
            self._returned = self._returned_by_login()
        (self._token, self._user_id), self._returned = self._returned, None
        try:
            self._require_admin()
            if self._path:
                write_private(self._path, self._token)
                self._random.remove()
        except Exception as cause:
            error = told(cause)
            self._give_up(error)
            raise error from cause

    def _returned_by_login(self) -> tuple[str, str]:
        if self._login.password:
            return log_in(self._anonymous, self._login)
        try:
            return log_in(self._anonymous, dataclasses.replace(self._login, password=self._random.read()))
        except PermissionDenied as error:
            if self._random.path:
                error.explain(
                    f"The password is the one that an interrupted task has kept in {self._random.path}. Set password,"
                    " or remove that file and set user_id to an account that does not exist."
                )
            raise

    def _give_up(self, error: SynapseError) -> None:
        """Log out the new token after `error`, and add the result to its message."""
        device = self._login.device_id
        problem = end_session(self._anonymous.speaking_as(self._token))
        error.may_be_done = problem is not None
        error.explain(
            f"The new access token was logged out again, together with the device {device}."
            if problem is None
            else f"The new access token is still valid: remove the device {device} of {self._user_id}."
            f" The logout failed: {problem.message}"
        )
        if self._created and not self._login.password:
            error.explain(
                f"The random password of the new account is kept in {self._random.path}, for the next run."
                if self._random.path
                else f"The password of the new account {self._user_id} is random and lost. Set user_id to an account"
                " that does not exist, or set a new password with synapse_admin_user."
            )

    def _log_out(self) -> None:
        try:
            log_out(self._anonymous.speaking_as(self._token))
        except AuthenticationFailed as error:
            # Something else logged the token out: that is the declared state.
            if not is_unknown_token(error):
                raise

    def _remove_file(self) -> None:
        remove_file(t.cast(str, self._path))

    def _require_admin(self) -> None:
        if not self._admin or self._is_admin() is not False:
            return
        if self._creation:
            raise InvalidInput(
                f"{self._user_id} already exists and is not a server admin, and create does not change that."
                " Make it a server admin with synapse_admin_user, or set the user_id of an account that does not exist."
            )
        raise InvalidInput(
            f"{self._user_id} is not a server admin, but admin is true."
            " Make it a server admin with synapse_admin_user, or set admin to false."
        )

    def _is_admin(self) -> bool | None:
        """Whether the account of the token is a server admin. None if the server does not serve the Admin API."""
        client = self._anonymous.speaking_as(self._token)
        try:
            answer = client.get("/_synapse/admin/v1/users/{user_id}/admin", user_id=client.caller)
        except PermissionDenied:
            return False
        except EndpointMissing:
            return None
        return bool(member(answer, "admin"))


def _localpart(user_id: str) -> str:
    """Return the localpart of a user ID, which may be a localpart already."""
    return user_id.lstrip("@").partition(":")[0]
