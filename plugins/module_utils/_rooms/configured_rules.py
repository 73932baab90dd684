# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the configuration of a server lets a server admin do with rooms: what no read of the Admin API shows.

Relies on hs_disabled, user_consent, block_non_admin_invites and server_notices, as Synapse 1.163 applies them
(api/auth_blocking.py, handlers/message.py, handlers/room_member.py), and on GET /_synapse/admin/v2/users/<id>. Only the
attempt shows a limit of monthly active users, a rate limit, and what modules (spam checkers, rules for events) refuse.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration_if_there,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.notices_user import notices_user
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.own_configuration import (
    own_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
    Registration,
    read_registrations,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_USER = "/_synapse/admin/v2/users/{user_id}"
# These users may always send events, and need no consent to the privacy policy.
_SUPPORT, _WITHOUT_CONSENT = "support", ("support", "bot")


class ConfiguredRules:
    """The configuration of the server behind `client`, as far as it decides what Synapse refuses.

    Without a configuration nothing is known, and nothing is refused.
    """

    def __init__(self, client: Client, config_path: t.Sequence[str] = (), working_directory: str | None = None) -> None:
        """`config_path`: see read_configuration_if_there; empty for no configuration. Nothing is read yet."""
        self._client = client
        self._paths = tuple(config_path)
        self._working_directory = working_directory
        self.warnings: list[str] = []

    @functools.cached_property
    def configuration(self) -> Configuration | None:
        """The configuration, or None if the default paths contain none, or that of another server.

        Raises ConfigurationError if it cannot be used, and InvalidInput if the task names that of another server.
        """
        if not self._paths:
            return None
        found = read_configuration_if_there(self._paths)
        return own_configuration(found, self._client, is_default=self._is_default) if found else None

    @functools.cached_property
    def registrations(self) -> tuple[Registration, ...]:
        """The application services, in the order in which Synapse asks them.

        Raises ConfigurationError for a file that is not a valid registration. If the task does not set config_path,
        that is only a warning, and this file is left out.
        """
        if self.configuration is None:
            return ()
        found, problems = read_registrations(self.configuration, self._working_directory)
        for problem in problems:
            if not self._is_default:
                raise problem
            self.warnings.append(f"{problem.message} Until then, no task can tell which aliases this service owns.")
        return found

    def require_events(self, what: str) -> None:
        """Raise InvalidInput if Synapse refuses every event that the caller causes. `what`: what needs an event."""
        settings = self._settings()
        consent = settings.get("user_consent")
        version = _needed_consent(consent)
        if not settings.get("hs_disabled") and version is None:
            return
        caller = self._client.caller
        if caller == self.notices_user():
            return
        account = self._client.get(_USER, user_id=caller)
        # Other rules apply to application services.
        if account.get("appservice_id"):
            return
        kind = account.get("user_type")
        if settings.get("hs_disabled") and kind != _SUPPORT:
            raise InvalidInput(
                f"{what} is not possible, because hs_disabled in {self._source('hs_disabled')} makes Synapse refuse"
                " every event. Nothing was changed. Remove it there, and restart Synapse."
            )
        if version is not None and kind not in _WITHOUT_CONSENT and account.get("consent_version") != version:
            raise InvalidInput(
                f"{what} is not possible, because the account of the access token, {caller}, has not agreed to version"
                f" {version} of the privacy policy, which user_consent in {self._source('user_consent')} requires."
                " Nothing was changed. Agree to it with this account, or use the access token of a server admin who"
                " has, or of one with the user type bot."
            )

    def refuses_all_events(self) -> bool:
        """Whether hs_disabled is set. Then even members cannot be removed from a room, unless the caller is exempt."""
        return bool(self._settings().get("hs_disabled"))

    def blocks_invitations(self) -> str | None:
        """Return the file in which block_non_admin_invites is set: then only server admins can invite. Else None."""
        key = "block_non_admin_invites"
        return self._source(key) if self._settings().get(key) else None

    def filters_invitations(self) -> bool:
        """Whether the experimental filters of invitations (MSC4155) are enabled."""
        experimental = self._settings().get("experimental_features")
        return isinstance(experimental, dict) and bool(experimental.get("msc4155_enabled"))

    def notices_user(self) -> str | None:
        """Return the user who sends server notices, whom no user can invite. None if there is none, or not known."""
        return notices_user(self.configuration) if self.configuration else None

    @property
    def _is_default(self) -> bool:
        return self._paths == DEFAULT_CONFIG_PATH

    def _settings(self) -> dict[str, t.Any]:
        return self.configuration.settings if self.configuration else {}

    def _source(self, key: str) -> str:
        return str(self.configuration.source_of(key)) if self.configuration else ""


def _needed_consent(consent: t.Any) -> str | None:
    """Return the version of the privacy policy without which Synapse accepts no event, None if there is none."""
    if not isinstance(consent, dict) or consent.get("block_events_error") is None or "version" not in consent:
        return None
    return str(consent["version"])
