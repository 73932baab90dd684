# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What to say if the database is not dropped: the evidence, and what helps with the problems people usually have."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_EXAMPLES = 3
_PLAYBOOK = "ansible-playbook -i INVENTORY matrix_ops.synapse"
_WORDS = {
    "destinations": "servers that it has sent something to, or has tried to",
    "joined_members": "servers of users in its rooms",
    "members": "servers of users who are in its rooms, or are invited to them",
    "rooms": "servers whose users created rooms that it knows",
    "aliases": "servers that take part in a room with an alias",
    "inbound": "servers that have sent it something within the last day",
    "inbound_events": "servers whose events it has not processed yet",
    "unfinished_joins": "servers in rooms that it is still joining",
    "signing_keys": "servers whose signing keys it has fetched",
    "device_lists": "servers of users whose devices or encryption keys it knows, or that it informs about its own",
    "device_messages": "servers that have sent messages to devices of its users within the last week",
    "presence": "servers of users whose presence it knows",
    "user_directory": "servers of users in its user directory",
    "media": "servers that it has fetched media from",
    "past_members": "servers of users who have been in its rooms, or have invited one of its users",
    "events": "servers of users whose events it has stored",
}


def remedies(server_name: str) -> list[JsonObject]:
    """Return the problems for which people want to drop a database, each with the `remedy`: what to run instead."""
    return [
        {
            "problem": "a room that is broken, or that users cannot enter",
            "remedy": "Give a user power in it with the module matrix_ops.synapse.synapse_room (admin_user_id), or"
            " delete it from this server with its state: absent.",
        },
        {
            "problem": "the taken alias of a lost room",
            "remedy": f"{_PLAYBOOK}.free_alias -e free_alias_alias='#lobby:{server_name}'",
        },
        {
            "problem": "a lost password, or no server admin",
            "remedy": f"{_PLAYBOOK}.grant_admin -e grant_admin_user_id=alice, or {_PLAYBOOK}.reset_password"
            " -e reset_password_user_id=alice",
        },
        {
            "problem": "a full disk",
            "remedy": "List the biggest rooms with the module matrix_ops.synapse.synapse_database_info (option"
            " biggest_rooms), delete those that are not needed with matrix_ops.synapse.synapse_room (state: absent),"
            " and remove media of other servers that were not used since a time in milliseconds since 1970 with POST"
            " /_synapse/admin/v1/purge_media_cache?before_ts=TIME.",
        },
        {
            "problem": "a slow Synapse",
            "remedy": f"{_PLAYBOOK}.tune, then {_PLAYBOOK}.slow_requests for what is still slow.",
        },
    ]


def refuse_federated(server_name: str, evidence: t.Sequence[JsonObject]) -> InvalidInput:
    """Return the error for a server that has federated, with the `evidence` and the remedies as details."""
    found = remedies(server_name)
    instead = " ".join(f"For {each['problem']}: {_as_sentence(each['remedy'])}" for each in found)
    error = InvalidInput(
        f"The database of {server_name} is not dropped, because {server_name} has federated: other servers remember its"
        " rooms, members and keys, and with an empty database it could not take part in those rooms again, with the"
        f" same name. Evidence: {'; '.join(map(_shown, evidence))}. What helps instead: {instead}"
    )
    error.details = {"evidence": list(evidence), "remedies": found}
    return error


def _shown(kind: JsonObject) -> str:
    names, count = list(kind["servers"][:_EXAMPLES]), int(kind["count"])
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return f"{_WORDS.get(kind['kind'], kind['kind'])}: {', '.join(names)}{more}"


def _as_sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
