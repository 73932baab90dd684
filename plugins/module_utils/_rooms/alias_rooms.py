# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The rooms that Synapse lets an alias point to, and that may publish an alias.

Relies on GET /_synapse/admin/v1/rooms/<room ID> and .../members, and on the room directory of Synapse 1.163.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ApiError, InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.pointer import read_target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import read_joined

_ROOM = "/_synapse/admin/v1/rooms/{room_id}"


def require_joined_room(client: Client, room_id: str, alias: str) -> None:
    """Raise InvalidInput if the alias cannot point to the room: it is not on this server, or all have left it."""
    try:
        client.get(_ROOM, room_id=room_id)
    except NotFound as error:
        raise InvalidInput(
            f"The room {room_id} does not exist on this server, so the alias {alias} was not changed."
            " Check that the room ID is complete."
        ) from error
    if not read_joined(client, room_id):
        raise InvalidInput(
            f"No user of any server is in the room {room_id}, as far as this server knows, and Synapse points no"
            f" alias to such a room. The alias {alias} was not changed. Set another room_id, or join the room"
            " first."
        )


def require_pointing(client: Client, aliases: t.Iterable[str], room_id: str) -> None:
    """Raise InvalidInput if one of the aliases does not point to the room, which then cannot publish it.

    Raises what the client raises, for example for an alias of another server that does not answer.
    """
    for alias in sorted(aliases):
        target = _look_up(client, alias)
        if target != room_id:
            raise InvalidInput(
                f"alt_aliases contains {alias}, which points to {target or 'no room'}. A room can only publish"
                f" aliases that point to it: point the alias to {room_id} first."
            )


def _look_up(client: Client, alias: str) -> str | None:
    """Return the room that an alias of any server points to. Raises what the client raises."""
    try:
        return read_target(client, alias)
    except ApiError as error:
        server = alias.partition(":")[2]
        if error.status == 502 and server != client.server_name:
            error.explain(
                f"alt_aliases contains {alias}, and Synapse cannot ask the server {server} which room it points to."
                " Nothing was changed. Remove the alias from alt_aliases, or run the task again when that server"
                " is available."
            )
        elif error.status == 403 and "Federation denied" in error.error:
            error.explain(
                f"alt_aliases contains {alias}, but this server may not ask the server {server}, because"
                " federation_domain_whitelist in its configuration does not contain it. Nothing was changed."
            )
        raise
