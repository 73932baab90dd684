# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a configuration on this host is that of the server that a task talks to, which may be another one."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration


def own_configuration(found: Configuration, client: Client, *, is_default: bool) -> Configuration | None:
    """Return `found`, or None if it is that of another server than the one behind `client`, and `is_default`.

    `is_default`: the task does not name it, but it is at the default paths. Otherwise this raises what `require_own`
    raises. Raises what the client raises.
    """
    try:
        require_own(found, client)
    except (ConfigurationError, InvalidInput):
        if is_default:
            return None
        raise
    return found


def require_own(found: Configuration, client: Client) -> None:
    """Raise InvalidInput if the configuration is that of another server, ConfigurationError if it has no name."""
    name = found.server_name
    if name != client.server_name:
        raise InvalidInput(
            f"config_path is the configuration of the server {name}, but the server that answers is"
            f" {client.server_name}. Set config_path and {client.address.option} to the same server."
        )
