# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The accounts that application services own, by their registration files in the configuration of Synapse.

Relies on RegistrationHandler.check_user_id_not_appservice_exclusive of Synapse 1.163: it creates no such account,
except for the service itself.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import Registration

_OF_ITSELF = "or let the service itself create it (POST /_matrix/client/v3/register with its as_token)."


def owner_of(services: t.Iterable[Registration], user_id: str) -> Registration | None:
    """Return the application service that owns the user ID, None if every user may have it."""
    return next((service for service in services if service.owns(user_id)), None)


def ownership(service: Registration, user_id: str) -> str:
    """Return how the application service owns the user ID, to be read after the user ID."""
    if user_id == service.sender:
        return f"is the user of the application service {service.service_id} (sender_localpart in {service.path})"
    return f"is in an exclusive namespace of the application service {service.service_id} ({service.path})"


def reserved_name(service: Registration, user_id: str) -> InvalidInput:
    """Return the error for a new account that only the application service may create."""
    fix = f"Set user_id to another account, {_OF_ITSELF}"
    if user_id != service.sender:
        fix = (
            f"Set user_id to another account; remove the namespace from {service.path}, or set exclusive: false there,"
            f" and restart Synapse; {_OF_ITSELF}"
        )
    return InvalidInput(
        f"The account {user_id} cannot be created: it {ownership(service, user_id)}, so that only this service may"
        f" create it. {fix}"
    )
