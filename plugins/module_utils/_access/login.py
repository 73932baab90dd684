# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Create an account with the registration_shared_secret of the server, log in, and log out.

Relies on GET and POST /_synapse/admin/v1/register and /_matrix/client/v3/login, and POST /_matrix/client/v3/logout of
Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.normal_form import require_storable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import (
    LOGIN,
    PASSWORD_LOGIN,
    allows_login,
    require_password,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.server_rules import (
    is_about_type,
    unknown_type,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    InvalidInput,
    PermissionDenied,
    SynapseError,
)

_LONGEST_DEVICE_ID = 512
_LONGEST_DEVICE_NAME = 100
_REGISTER = "/_synapse/admin/v1/register"
# Synapse creates no account with this name, because of its character.
_IMPOSSIBLE = "~"
# Nobody gets it: it is the password of the account that is not created.
_ANY_PASSWORD = "matrix_ops.synapse"
# Synapse looks at it after the proof of the secret, and refuses everything but a boolean.
_NO_BOOLEAN = "?"
_FORBIDDEN = "Possible reasons: the account {user_id} does not exist or is deactivated, or the password is wrong."
# For all other codes the client explains what they mean.
_WHO = "The account that logs in is {user_id}."


@dataclasses.dataclass(frozen=True)
class Login:
    """The account that logs in, and the device that the access token belongs to.

    `user_id` may be a localpart. It is None if the task does not declare an account.
    """

    user_id: str | None
    password: str | None
    device_id: str
    device_display_name: str

    def check(self) -> None:
        """Raise InvalidInput for a password or a device that Synapse refuses or cannot store, whatever its settings."""
        if self.password:
            require_password("password", self.password)
        if not self.device_id:
            raise InvalidInput("device_id is empty. Set it, so that not each login creates a new device.")
        # The limits are those of Synapse's handlers/device.py.
        for option, name, longest in (
            ("device_id", self.device_id, _LONGEST_DEVICE_ID),
            ("device_display_name", self.device_display_name, _LONGEST_DEVICE_NAME),
        ):
            if len(name) > longest:
                raise InvalidInput(f"{option} is longer than {longest} characters, which Synapse does not accept.")
            require_storable(option, name)


@dataclasses.dataclass(frozen=True)
class NewAccount:
    """An account to create. `username` is its localpart."""

    username: str
    password: str
    admin: bool
    display_name: str | None = None
    user_type: str | None = None


def registration_mac(secret: str, nonce: str, account: NewAccount) -> str:
    """Return the proof that the caller knows `secret`, in hexadecimal, for POST /_synapse/admin/v1/register."""
    fields = [nonce, account.username, account.password, "admin" if account.admin else "notadmin"]
    if account.user_type:
        fields.append(account.user_type)
    # Synapse requires HMAC-SHA1 here.
    return hmac.new(secret.encode(), b"\x00".join(field.encode() for field in fields), hashlib.sha1).hexdigest()


def register(client: Client, secret: str, account: NewAccount, device: Login | None = None) -> JsonObject | None:
    """Create the account and return the answer, or return None if its name is in use.

    With the `device` of a login, the answer contains an access token for it, unless the server lets admins approve new
    accounts. Otherwise the account has no device afterwards. Raises InvalidInput if the server does not accept
    `secret`, or what the client raises. If the account may have been created although the request was refused, the
    error says that it `may_be_done`.
    """
    more: JsonObject = {"inhibit_login": True}
    if device is not None:
        more = {"device_id": device.device_id, "initial_device_display_name": device.device_display_name}
    try:
        return _send_registration(client, secret, account, more)
    except ApiError as error:
        if error.errcode == "M_USER_IN_USE":
            return None
        if not error.may_be_done:
            error.explain(f"The account {account.username} was not created.")
        raise


def require_registration(client: Client, secret: str, user_type: str | None = None) -> None:
    """Raise InvalidInput if the server does not accept `secret` or `user_type` for a registration.

    This asks the server with a registration that it refuses in any case, for two reasons: its name, and a value of the
    wrong type. Synapse compares the user type and the secret before. Raises what the client raises.
    """
    nobody = NewAccount(_IMPOSSIBLE, _ANY_PASSWORD, False, user_type=user_type)
    try:
        _send_registration(client, secret, nobody, {"inhibit_login": True, "refresh_token": _NO_BOOLEAN})
    except ApiError as error:
        if error.status != 400:
            raise
        if user_type and is_about_type(error):
            raise unknown_type(user_type) from error


def _send_registration(client: Client, secret: str, account: NewAccount, more: JsonObject) -> JsonObject:
    nonce = str(member(client.get(_REGISTER), "nonce"))
    body: JsonObject = {
        "nonce": nonce,
        "username": account.username,
        "password": account.password,
        "admin": account.admin,
        "mac": registration_mac(secret, nonce, account),
        **more,
    }
    if account.display_name is not None:
        body["displayname"] = account.display_name
    if account.user_type:
        body["user_type"] = account.user_type
    try:
        return client.post(_REGISTER, body)
    except ApiError as error:
        if "HMAC incorrect" in error.error:
            raise InvalidInput(
                "Synapse did not accept the registration_shared_secret. Set the value of the configuration that Synapse"
                " was last started with."
            ) from error
        if "not enabled" in error.error:
            raise InvalidInput(
                "The configuration of this server has no registration_shared_secret. Set one and restart Synapse."
            ) from error
        # Synapse creates the account before the access token, and refuses that alone with another status.
        error.may_be_done = error.may_be_done or ("device_id" in body and error.status != 400)
        raise


def require_password_login(client: Client, account: str) -> None:
    """Raise InvalidInput if the server does not allow logins with a password, or what the client raises."""
    if not allows_login(client):
        raise InvalidInput(
            "This server does not allow logins with a password (password_config in its configuration). Set access_token"
            f" or access_token_path to a valid access token of {account}."
        )


def log_in(client: Client, login: Login) -> tuple[str, str]:
    """Log in and return the access token and the full user ID. Raises what the client raises."""
    body = {
        "type": PASSWORD_LOGIN,
        "identifier": {"type": "m.id.user", "user": login.user_id},
        "password": login.password,
        "device_id": login.device_id,
        "initial_device_display_name": login.device_display_name,
    }
    try:
        answer = client.post(LOGIN, body)
    except (AuthenticationFailed, PermissionDenied) as error:
        error.explain((_FORBIDDEN if error.errcode == "M_FORBIDDEN" else _WHO).format(user_id=login.user_id))
        raise
    return str(member(answer, "access_token")), str(member(answer, "user_id"))


def log_out(client: Client) -> None:
    """Log out the access token of the client, together with its device. Raises what the client raises."""
    client.post("/_matrix/client/v3/logout", {})


def end_session(client: Client) -> SynapseError | None:
    """Log out the access token of the client and do not raise an error. It is tried twice.

    Returns the error if the token may still be valid, and None if it is not valid any more.
    """
    problem: SynapseError | None = None
    for _attempt in range(2):
        try:
            log_out(client)
        except AuthenticationFailed as error:
            if is_unknown_token(error):
                # The first attempt succeeded although no response arrived, or something else logged the token out.
                return None
            problem = error
        except SynapseError as error:
            problem = error
        else:
            return None
    return problem


def is_unknown_token(error: AuthenticationFailed) -> bool:
    """Whether the token is not valid any more, in contrast to a valid token that must not be used now."""
    return error.errcode == "M_UNKNOWN_TOKEN"
