# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What one server refuses of the values of accounts because of its settings. It is asked before the first change.

Relies on the order of the checks in UserRestServletV2.on_PUT of Synapse 1.163 (synapse/rest/admin/users.py), on GET
/_matrix/client/v3/login and GET /_synapse/admin/v1/media/<server>/<id>, and on max_avatar_size and
allowed_avatar_mimetypes as ProfileHandler.check_avatar_size_and_mime_type reads them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import USER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import allows_login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    EndpointMissing,
    InvalidInput,
    NotFound,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration

_MEDIA = "/_synapse/admin/v1/media/{server}/{media}"
# Every Synapse knows these.
_BUILT_IN_TYPES = ("bot", "support")
# Synapse creates no account with this character.
_IMPOSSIBLE = "@~:{server_name}"
# The type of each of these is wrong, and Synapse looks at all of them after the user type and before the first change.
# One of them would be enough. `admin` is not among them: taken for true or false, it would be a valid value.
_NEVER_ACCEPTED: JsonObject = {"password": 0, "logout_devices": "?", "deactivated": "?", "locked": "?"}

_Setting = t.TypeVar("_Setting")


class ServerRules:
    """The rules of the server behind `client`, whose token must belong to a server admin.

    `configuration`: the configuration of the server, if it can be read here. Only the limits of avatars need it.
    Everything is asked once.
    """

    def __init__(self, client: Client, configuration: Configuration | None = None) -> None:
        self._client = client
        self._settings = configuration.settings if configuration else {}
        self._types: dict[str, bool] = {}
        self._passwords: bool | None = None

    def require_accepted(self, current: State, after: State, *, sets_password: bool) -> None:
        """Raise InvalidInput if the server would refuse to change the account from `current` to `after`.

        `sets_password`: whether the change sets a password. Raises what the client raises.
        """
        before, wanted = current or {}, after or {}
        user_type, avatar = wanted.get("user_type"), wanted.get("avatar_url")
        if user_type and user_type != before.get("user_type") and not self._knows_type(user_type):
            raise unknown_type(user_type)
        # Synapse stores the password of a new account in any case.
        if sets_password and current is not None and not self._allows_passwords():
            raise InvalidInput(
                f"The password of {before['user_id']} cannot be set: this server does not allow passwords"
                " (password_config in its configuration). Allow them and restart Synapse, or remove password from the"
                " task."
            )
        if avatar and avatar != before.get("avatar_url"):
            self._require_avatar(avatar)

    def _knows_type(self, user_type: str) -> bool:
        """Whether the server knows a user type. It is asked with a request that it refuses in any case."""
        if user_type not in _BUILT_IN_TYPES and user_type not in self._types:
            body = {"user_type": user_type, **_NEVER_ACCEPTED}
            nobody = _IMPOSSIBLE.format(server_name=self._client.server_name)
            try:
                self._client.put(USER, body, user_id=nobody)
            except ApiError as error:
                if error.status != 400:
                    raise
                self._types[user_type] = not is_about_type(error)
        return self._types.get(user_type, True)

    def _allows_passwords(self) -> bool:
        if self._passwords is None:
            in_database = bool(self._setting("password_config", dict).get("localdb_enabled", True))
            self._passwords = allows_login(self._client) and in_database
        return self._passwords

    def _require_avatar(self, uri: str) -> None:
        largest, kinds = self._largest_avatar(), self._setting("allowed_avatar_mimetypes", list)
        if largest is None and not kinds:
            return
        server, _slash, media = uri[len("mxc://") :].partition("/")
        reason = None
        try:
            info = member(self._client.get(_MEDIA, server=server, media=media), "media_info")
        except NotFound:
            reason = "is not on this server"
        except EndpointMissing:
            # Another process serves media: only the attempt shows what Synapse knows of it.
            return
        else:
            if largest is not None and (info.get("media_length") is None or info["media_length"] > largest):
                reason = f"is larger than max_avatar_size ({largest} bytes)"
            elif kinds and info.get("media_type") not in kinds:
                reason = f"is of the type {info.get('media_type')}, which is not in allowed_avatar_mimetypes"
        if reason:
            raise InvalidInput(
                f"avatar_url {uri} {reason}, and the configuration of this server limits avatars. Upload a picture that"
                " complies with max_avatar_size and allowed_avatar_mimetypes, and set avatar_url to its URI."
            )

    def _largest_avatar(self) -> int | None:
        """Return the limit in bytes, None if there is none or if it is not a size."""
        try:
            return parse_size(self._settings.get("max_avatar_size", "")) or None
        except ValueError:
            return None

    def _setting(self, name: str, kind: type[_Setting]) -> _Setting:
        """Return a setting, empty if it is not set or of another type: Synapse does not start with that."""
        found = self._settings.get(name)
        return found if isinstance(found, kind) else kind()


def unknown_type(user_type: str) -> InvalidInput:
    """Return the error for a user type that the server does not know."""
    return InvalidInput(
        f"This server does not know the user type {user_type!r}. Set user_type to bot, support, or a type in"
        " user_types.extra_user_types of its configuration. If that contains the type, restart Synapse."
    )


def is_about_type(error: ApiError) -> bool:
    """Whether Synapse refused a request because of the user type in it."""
    return "user type" in error.error.lower()
