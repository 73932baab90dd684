# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Accounts on a server that uses the Matrix Authentication Service: what only it can change, and its commands.

Relies on GET /_matrix/client/v1/auth_metadata of Synapse 1.163, which exists only if Synapse uses that service,
and on the commands of mas-cli 1.0.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    EndpointMissing,
    InvalidInput,
    NotFound,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State

IN_CHARGE = "The Matrix Authentication Service manages the accounts of this server"


def is_delegated(client: Client) -> bool:
    """Whether the server uses that service. Raises what the client raises: a fault must not look like that service."""
    try:
        client.get("/_matrix/client/v1/auth_metadata")
    except (EndpointMissing, NotFound):
        return False
    except ApiError as error:
        # Synapse passes on the status of a proxy in front of that service.
        if error.status not in (502, 504):
            raise
    return True


def commands(user_id: Identifier, current: State, after: State, sets_password: bool) -> list[str]:
    """Return the commands for the parts of a change that only that service can make; nothing if there are none.

    `sets_password`: whether the change sets a password, which is in neither state.
    """
    name, before, wanted = user_id.localpart, current or {}, after or {}
    found = [] if current is not None else [f"mas-cli manage register-user {name}"]
    if sets_password:
        found.append(f"mas-cli manage set-password {name}")
    if bool(before.get("admin")) != bool(wanted.get("admin")):
        found.append(f"mas-cli manage {'promote' if wanted.get('admin') else 'demote'}-admin {name}")
    for key, option in (("locked", ""), ("deactivated", " --deactivate")):
        if not before.get(key) and wanted.get(key):
            found.append(f"mas-cli manage lock-user {name}{option}")
        if before.get(key) and not wanted.get(key):
            found.append(f"mas-cli manage unlock-user {name}{option.replace('deactivate', 'reactivate')}")
    return found


def refuse(user_id: Identifier, needed: t.Sequence[str]) -> None:
    """Raise InvalidInput if a change of the account needs commands of that service (see `commands`)."""
    if needed:
        named = ", then ".join(f"'{command}'" for command in needed)
        raise InvalidInput(f"{IN_CHARGE}, so Synapse cannot make this change of {user_id}. Run {named}.")
