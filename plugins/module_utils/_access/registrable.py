# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the configuration of a server says of a registration or a login, before Synapse refuses it.

Relies on allow_underscore_prefixed_localpart, server_notices, hs_disabled and the exclusive namespaces of application
services, as RegistrationHandler.check_username and AuthBlocking.check_auth_blocking of Synapse 1.163 use them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.appservices import owner_of, reserved_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.notices_user import notices_user
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import Registration


def require_free_name(configuration: Configuration, localpart: str, services: t.Iterable[Registration]) -> None:
    """Raise InvalidInput if the configuration reserves the name of a new account.

    `services`: its application services, as far as they can be read. Only Synapse knows what the others reserve.
    """
    if localpart.startswith("_") and not configuration.settings.get("allow_underscore_prefixed_localpart"):
        raise InvalidInput(
            f"The account {localpart} cannot be created: its name begins with _, which this server does not allow"
            " (allow_underscore_prefixed_localpart in its configuration). Set user_id to another account, or set that"
            " to true and restart Synapse."
        )
    try:
        user_id, notices = f"@{localpart}:{configuration.server_name}", notices_user(configuration)
    except ConfigurationError:
        return
    if user_id == notices:
        raise InvalidInput(
            f"The account {user_id} cannot be created: this server sends its notices with it (server_notices in"
            f" {configuration.source_of('server_notices')}). Set user_id to another account."
        )
    owner = owner_of(services, user_id)
    if owner is not None:
        raise reserved_name(owner, user_id)


def require_enabled(configuration: Configuration) -> None:
    """Raise InvalidInput if the configuration disables the server, so that no account gets an access token."""
    if configuration.settings.get("hs_disabled"):
        raise InvalidInput(
            f"{configuration.source_of('hs_disabled')} disables this server (hs_disabled), so no account can log in."
            " Remove that setting and restart Synapse."
        )
