# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a user of this server accepts the invitation of another one who is not a server admin.

Relies on GET /_synapse/admin/v1/users/<id>/accountdata, and on the account data that Synapse 1.163 obeys
(storage/invite_rule.py).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._globs import glob_pattern
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules

_ACCOUNT_DATA = "/_synapse/admin/v1/users/{user_id}/accountdata"
_BLOCK_ALL, _FILTERS = "m.invite_permission_config", "org.matrix.msc4155.invite_permission_config"
_LONGEST_PATTERN = 255
_ORDER = ("allowed", "ignored", "blocked")


def require_welcome(client: Client, problem: str, user_id: str, inviter: str, rules: ConfiguredRules) -> None:
    """Raise InvalidInput if `inviter`, who is not a server admin, cannot invite the user. `problem` begins the message.

    `rules`: those of the server, as far as they are known. Raises what the client raises.
    """
    source = rules.blocks_invitations()
    if source:
        raise InvalidInput(
            f"{problem}, because the user must be invited by {inviter}, and block_non_admin_invites in {source} lets"
            f" only server admins invite. Make {inviter} a server admin first, or remove the setting and restart"
            " Synapse."
        )
    answer = client.get(_ACCOUNT_DATA, user_id=user_id)
    everything = _object(_object(answer.get("account_data")).get("global"))
    declared = everything.get(_BLOCK_ALL)
    if declared is not None:
        refused = _object(declared).get("default_action") == "block"
    else:
        refused = rules.filters_invitations() and _is_filtered(_object(everything.get(_FILTERS)), inviter)
    if refused:
        raise InvalidInput(
            f"{problem}, because the user must be invited by {inviter}, and has blocked such invitations in a client."
            " The user must allow them first, or join the room by another way."
        )


def _is_filtered(filters: JsonObject, inviter: str) -> bool:
    for kind, value in (("users", inviter), ("servers", server_name_of(inviter))):
        for action in _ORDER:
            if any(glob_pattern(pattern).match(value) for pattern in _patterns(filters.get(f"{action}_{kind}"))):
                return action == "blocked"
    return False


def _patterns(listed: t.Any) -> list[str]:
    found = listed if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, str) and 0 < len(each) <= _LONGEST_PATTERN]


def _object(value: t.Any) -> JsonObject:
    # Account data is written by clients, so it can contain anything.
    return value if isinstance(value, dict) else {}
