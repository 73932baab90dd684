# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Room aliases: where one points to, and where it should.

Relies on the room directory (GET, PUT and DELETE /_matrix/client/v3/directory/room/<alias>) and on
GET /_synapse/admin/v1/rooms/<room id> of Synapse 1.163.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, NotFound, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_room_alias, parse_room_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require

_ALIAS = "/_matrix/client/v3/directory/room/{alias}"
_ROOM = "/_synapse/admin/v1/rooms/{room_id}"


def read_target(client: Client, alias: str) -> str | None:
    """Return the id of the room that the local `alias` points to, or None if the alias is free."""
    try:
        return str(member(client.get(_ALIAS, alias=alias), "room_id"))
    except NotFound:
        return None


class AliasResource:
    """One alias with its declared target, as the runner wants it (see _plan.Resource)."""

    def __init__(self, client: Client, alias: str, room_id: str | None) -> None:
        """`room_id`: the room that the alias shall point to; None: it shall be free. Nothing is sent yet."""
        self._client = client
        self._given = alias
        self._room_id = room_id

    def plan(self) -> Plan:
        """Read where the alias points to and decide. Raises InvalidInput, or what the client raises."""
        if self._room_id is not None:
            parse_room_id(self._room_id)
        self._alias = str(parse_room_alias(self._given, self._client.server_name))
        self._previous = read_target(self._client, self._alias)
        return Plan(self._state(self._previous), self._state(self._room_id), self._steps())

    def verify(self, plan: Plan) -> None:
        """Read the alias again. Raises StateNotReached if it points elsewhere."""
        target = read_target(self._client, self._alias)
        require([f"it points to {target or 'no room'}"] if target != self._room_id else [], f"The alias {self._alias}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `alias`, `room_id` and `previous_room_id` (None: no room)."""
        return {"alias": self._alias, "room_id": self._room_id, "previous_room_id": self._previous}

    def _state(self, room_id: str | None) -> State:
        return None if room_id is None else {"alias": self._alias, "room_id": room_id}

    def _steps(self) -> tuple[Step, ...]:
        previous, wanted = self._previous, self._room_id
        if previous == wanted:
            return ()
        if wanted is None:
            return (Step(f"remove the alias from {previous}", self._remove),)
        self._require_room(wanted)
        if previous is None:
            return (Step(f"point the alias to {wanted}", lambda: self._point_to(wanted)),)
        return (Step(f"move the alias from {previous} to {wanted}", lambda: self._move(previous, wanted)),)

    def _require_room(self, room_id: str) -> None:
        try:
            self._client.get(_ROOM, room_id=room_id)
        except NotFound as error:
            raise InvalidInput(
                f"The room {room_id} does not exist on this server: the alias {self._alias} is left as it is."
                " See whether the room id is complete."
            ) from error

    def _point_to(self, room_id: str) -> None:
        self._client.put(_ALIAS, {"room_id": room_id}, alias=self._alias)

    def _remove(self) -> None:
        try:
            self._client.delete(_ALIAS, alias=self._alias)
        except NotFound:
            # Somebody else has just removed it: it is as free as declared.
            return

    def _move(self, previous: str, wanted: str) -> None:
        self._remove()
        try:
            self._point_to(wanted)
        except SynapseError as refusal:
            # Synapse knows no move: a refused new target must not cost the alias its old one.
            try:
                self._point_to(previous)
            except SynapseError as error:
                refusal.explain(
                    f"The alias {self._alias} points nowhere now, because it could not be pointed back to {previous}"
                    f" either: {error.message}"
                )
            raise
