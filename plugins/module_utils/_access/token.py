# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An access token for automation: reused while it is valid, else obtained by a login, after registering if asked.

Relies on GET /_matrix/client/v3/account/whoami of Synapse 1.163, and on what _access.login relies on.
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
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id, server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import remove_file, require_writable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._private_file import (
    PRIVATE_MODE,
    make_private,
    read_private,
    write_private,
)


@dataclasses.dataclass(frozen=True)
class Registration:
    """How an account that does not exist yet is registered. `secret`: the server's registration_shared_secret."""

    secret: str
    admin: bool


class AccessTokenResource:
    """The token of one account with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(
        self,
        client: Client,
        login: Login,
        *,
        present: bool = True,
        known_token: str | None = None,
        path: str | None = None,
        registration: Registration | None = None,
        admin: bool = False,
        server_name: str | None = None,
    ) -> None:
        """`client` sends no token itself. `known_token`: one to reuse or to log out; `path`: the file where it is kept.

        `registration`: None means that the account must exist. `admin`: whether it must be a server admin.
        `server_name`: the server's own name, where it is known.
        """
        self._anonymous = client
        self._login = login
        self._present = present
        self._known_token = known_token
        self._path = path
        self._registration = registration
        self._admin = admin or bool(registration and registration.admin)
        self._server_name = server_name
        self._registered = False
        self._token: str | None = None

    def plan(self) -> Plan:
        """See whether the known token is still valid, and decide. Raises InvalidInput, or what the client raises."""
        kept = read_private(self._path) if self._path else None
        stored, mode = kept or (None, None)
        self._registered = False
        self._token = stored or self._known_token
        holder = self._holder(self._token, stored=bool(stored))
        if holder is None and self._present and stored and self._known_token not in (None, stored):
            self._token, stored = self._known_token, None
            holder = self._holder(self._token, stored=False)
        self._user_id = holder["user_id"] if holder else self._expected_user_id()
        before = self._state(holder.get("device_id") if holder else None, mode)
        if not self._present:
            return Plan(before, self._state(None, None), self._steps_absent(holder is not None, kept is not None))
        kept_mode = PRIVATE_MODE if self._path else None
        if holder is None:
            self._token = None
            return Plan(before, self._state(self._login.device_id, kept_mode), self._steps_present())
        if not stored:
            # Whatever the file holds, it is not the token.
            before = self._state(holder.get("device_id"), None)
        self._require_admin()
        return Plan(before, self._state(holder.get("device_id"), kept_mode), self._steps_kept(stored, mode))

    def verify(self, plan: Plan) -> None:
        """Ask the server whose the token is. Raises StateNotReached unless it is valid, or after a logout is not."""
        holder = self._holder(self._token, stored=bool(self._path))
        if not self._present and holder is not None:
            raise StateNotReached(
                f"The access token of {self._user_id} still works although Synapse accepted the logout."
            )
        if not self._present:
            return
        if holder is None:
            raise StateNotReached(f"Synapse gave {self._user_id} an access token, but does not accept it.")
        self._require_admin()

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return whose token it is, and the token itself unless it is kept in a file."""
        valid = self._present and self._token is not None
        after = plan.after or {}
        return {
            "user_id": self._user_id,
            "device_id": after.get("device_id"),
            "admin": self._is_admin() if valid else None,
            "registered": self._registered,
            "access_token_path": self._path,
            # One that the task was given is known already, and Ansible would censor it.
            "access_token": self._token if valid and not self._path and self._token != self._known_token else None,
        }

    def _state(self, device_id: str | None, mode: str | None) -> State:
        """The device that the token logs in, and the file that holds it with its mode; None where there is none."""
        return {
            "user_id": self._user_id,
            "device_id": device_id,
            "access_token_path": mode and self._path,
            "mode": mode,
        }

    def _holder(self, token: str | None, *, stored: bool) -> JsonObject | None:
        """Whom the token belongs to, or None if it is not valid. Raises InvalidInput if it is somebody else's.

        A token that is not `stored` but only known may be anybody's: then it just is no use for obtaining one.
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
        declared = parse_user_id(self._login.user, server_name_of(user_id))
        if str(declared).lower() != user_id.lower():
            if not stored and self._present:
                return None
            place = f"in {self._path}" if stored else "given as access_token"
            raise InvalidInput(
                f"The access token {place} belongs to {holder['user_id']}, not to {declared}:"
                " keep each account's token in a file of its own."
            )
        return holder

    def _expected_user_id(self) -> str | None:
        """The full user id of the account, or None if nothing says which server this is."""
        own = self._server_name or self._announced_server_name()
        if own is None:
            return self._login.user if self._login.user.startswith("@") else None
        return str(parse_user_id(self._login.user, own))

    def _announced_server_name(self) -> str | None:
        try:
            return str(member(self._anonymous.get("/_matrix/key/v2/server"), "server_name"))
        except ApiError:
            # A listener for clients only does not serve the server's keys.
            return None

    def _steps_absent(self, valid: bool, stored: bool) -> tuple[Step, ...]:
        steps = [Step("log the access token out", self._log_out)] if valid else []
        if self._path and stored:
            require_writable(self._path, "access_token_path")
            steps.append(Step(f"remove {self._path}", self._remove_file))
        return tuple(steps)

    def _steps_kept(self, stored: str | None, mode: str | None) -> tuple[Step, ...]:
        path, token = self._path, self._token
        if path and token and not stored:
            require_writable(path, "access_token_path")
            return (Step(f"write the access token to {path}", lambda: write_private(path, token)),)
        if path and mode != PRIVATE_MODE:
            require_writable(path, "access_token_path")
            return (Step(f"make {path} readable by its owner only", lambda: make_private(path)),)
        return ()

    def _steps_present(self) -> tuple[Step, ...]:
        if not self._login.password:
            raise InvalidInput(
                f"There is no valid access token of {self._user_id or self._login.user} to reuse,"
                " and no password to log in with: set password."
            )
        self._login.check()
        if self._registration:
            self._require_registrable()
        if self._path:
            require_writable(self._path, "access_token_path")
        who = self._user_id or self._login.user
        # Whether somebody was logged in is seen by the token alone, which a lost answer takes with it.
        login = Step(f"log in as {who}", self._log_in, shown=False)
        missing = self._is_missing() if self._registration else False
        self._registered = missing is not False
        if missing:
            return (Step(f"register {who}", self._register), login)
        if missing is None:
            return (Step(f"register {who} if it does not exist, and log in as it", self._enter, shown=False),)
        return (login,)

    def _require_registrable(self) -> None:
        localpart = self._login.user.lstrip("@").partition(":")[0]
        if localpart != localpart.lower():
            raise InvalidInput(
                f"{self._login.user} cannot be registered, because Synapse makes no accounts with capital letters:"
                f" write {self._login.user.lower()}."
            )

    def _is_missing(self) -> bool | None:
        """Whether the account has no profile (GET v3/profile/<id>): every account has one until it is erased.

        None where the server does not show profiles to strangers, or is not known by name: only registering will tell.
        """
        if self._user_id is None:
            return None
        try:
            self._anonymous.get("/_matrix/client/v3/profile/{user_id}", user_id=self._user_id)
        except NotFound:
            return True
        except ApiError:
            return None
        return False

    def _register(self) -> None:
        registration, password = t.cast(Registration, self._registration), t.cast(str, self._login.password)
        username = self._login.user.lstrip("@").partition(":")[0]
        account = NewAccount(username, password, registration.admin)
        self._registered = register(self._anonymous, registration.secret, account)

    def _enter(self) -> None:
        """Register the account unless it exists, and log in."""
        self._register()
        if not self._registered:
            self._log_in()
            return
        try:
            with after_a_change():
                self._log_in()
        except SynapseError as error:
            error.explain(f"{self._login.user} was registered before that.")
            raise

    def _log_in(self) -> None:
        if self._path:
            # Before there is a token that could not be kept.
            require_writable(self._path, "access_token_path")
        self._token, self._user_id = log_in(self._anonymous, self._login)
        try:
            self._require_admin()
            if self._path:
                write_private(self._path, self._token)
        except Exception as cause:
            error = told(cause)
            self._give_up(error)
            raise error from cause

    def _give_up(self, error: SynapseError) -> None:
        """Log out after `error`, and say in it what became of that: a token that nobody has must not stay valid."""
        device = self._login.device_id
        problem = end_session(self._anonymous.speaking_as(self._token))
        error.may_be_done = problem is not None
        error.explain(
            f"The new access token was logged out again, together with the device {device}."
            if problem is None
            else f"The new access token, which is not kept, stays valid: remove the device {device} of"
            f" {self._user_id}. It could not be logged out, because {problem.message}"
        )

    def _log_out(self) -> None:
        try:
            log_out(self._anonymous.speaking_as(self._token))
        except AuthenticationFailed as error:
            # Somebody else was faster: it is as little valid as declared.
            if not is_unknown_token(error):
                raise

    def _remove_file(self) -> None:
        remove_file(t.cast(str, self._path))

    def _require_admin(self) -> None:
        if not self._admin or self._is_admin() is not False:
            return
        if self._registration:
            raise InvalidInput(
                f"{self._user_id} existed before and is not a server admin: registering cannot change that."
                " Make it one with synapse_admin_user, or name an account that does not exist yet."
            )
        raise InvalidInput(
            f"{self._user_id} is not a server admin, as admin declares it: make it one with synapse_admin_user, or set"
            " admin to false."
        )

    def _is_admin(self) -> bool | None:
        """Whether the holder of the token is a server admin; None where the server cannot be asked that."""
        client = self._anonymous.speaking_as(self._token)
        try:
            answer = client.get("/_synapse/admin/v1/users/{user_id}/admin", user_id=client.caller)
        except PermissionDenied:
            return False
        except EndpointMissing:
            return None
        return bool(member(answer, "admin"))
