# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Registering an account with the server's shared secret, logging in, and logging out.

Relies on GET and POST /_synapse/admin/v1/register, and POST /_matrix/client/v3/login and /logout of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
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


@dataclasses.dataclass(frozen=True)
class Login:
    """Who logs in, and how the device that the token belongs to is called."""

    user: str
    password: str | None
    device_id: str
    device_display_name: str

    def check(self) -> None:
        """Raise InvalidInput for names that Synapse refuses only when the password was right (handlers/device.py)."""
        for option, name, most in (
            ("device_id", self.device_id, _LONGEST_DEVICE_ID),
            ("device_display_name", self.device_display_name, _LONGEST_DEVICE_NAME),
        ):
            if len(name) > most:
                raise InvalidInput(f"{option} is longer than the {most} characters that Synapse accepts.")


@dataclasses.dataclass(frozen=True)
class NewAccount:
    """An account to register. `username` is its localpart."""

    username: str
    password: str
    admin: bool
    displayname: str | None = None
    user_type: str | None = None


def registration_mac(secret: str, nonce: str, account: NewAccount) -> str:
    """Return the proof that the caller knows `secret`, as POST /_synapse/admin/v1/register wants it (hexadecimal)."""
    fields = [nonce, account.username, account.password, "admin" if account.admin else "notadmin"]
    if account.user_type:
        fields.append(account.user_type)
    # HMAC-SHA1 is what Synapse defines here.
    return hmac.new(secret.encode(), b"\x00".join(field.encode() for field in fields), hashlib.sha1).hexdigest()


def register(client: Client, secret: str, account: NewAccount) -> bool:
    """Register the account and return True, or return False if its name is taken. It has no device afterwards.

    Raises InvalidInput if the server does not know `secret`, or what the client raises.
    """
    nonce = str(member(client.get(_REGISTER), "nonce"))
    body: dict[str, t.Any] = {
        "nonce": nonce,
        "username": account.username,
        "password": account.password,
        "admin": account.admin,
        "mac": registration_mac(secret, nonce, account),
        # A login makes the one device that is wanted.
        "inhibit_login": True,
    }
    if account.displayname is not None:
        body["displayname"] = account.displayname
    if account.user_type:
        body["user_type"] = account.user_type
    try:
        client.post(_REGISTER, body)
    except ApiError as error:
        if error.errcode == "M_USER_IN_USE":
            return False
        if "HMAC incorrect" in error.error:
            raise InvalidInput(
                "Synapse did not accept the registration_shared_secret: it must be the one of this server's own"
                " configuration, as it was when Synapse was last started."
            ) from error
        if "not enabled" in error.error:
            raise InvalidInput(
                "This server has no registration_shared_secret in its configuration: set one and restart Synapse."
            ) from error
        if 400 <= error.status < 500:
            error.explain(f"So {account.username} was not registered.")
        raise
    return True


def log_in(client: Client, login: Login) -> tuple[str, str]:
    """Log in and return the access token and the full user id. Raises what the client raises."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": login.user},
        "password": login.password,
        "device_id": login.device_id,
        "initial_device_display_name": login.device_display_name,
    }
    try:
        answer = client.post("/_matrix/client/v3/login", body)
    except PermissionDenied as error:
        error.explain(
            f"Synapse does not say which it is: no account {login.user}, a wrong password, or a deactivated account."
        )
        raise
    return str(member(answer, "access_token")), str(member(answer, "user_id"))


def log_out(client: Client) -> None:
    """Log the client's access token out, together with its device. Raises what the client raises."""
    client.post("/_matrix/client/v3/logout", {})


def end_session(client: Client) -> SynapseError | None:
    """Log the client's access token out, where a failure must not hide what came before. It is tried twice.

    Returns the error if the token may still be valid, None if it is not any more.
    """
    problem: SynapseError | None = None
    for _attempt in range(2):
        try:
            log_out(client)
        except AuthenticationFailed as error:
            if is_unknown_token(error):
                # The first attempt was carried out although no answer came, or somebody else was faster.
                return None
            problem = error
        except SynapseError as error:
            problem = error
        else:
            return None
    return problem


def is_unknown_token(error: AuthenticationFailed) -> bool:
    """Whether Synapse says that the token is not valid any more, rather than that it may not be used."""
    return error.errcode == "M_UNKNOWN_TOKEN"
