# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""To which room an alias points, and how it comes to point to another one, without being lost or taken from anybody.

Relies on the room directory of Synapse 1.163 (GET, PUT and DELETE /_matrix/client/v3/directory/room/<alias>). It knows
no move, and its PUT takes no alias away from a room: it answers 409.
"""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import NotFound, SynapseError, after_a_change

_ALIAS = "/_matrix/client/v3/directory/room/{alias}"
# In place of a room id, where it cannot be seen to which room an alias points.
_UNSEEN = "?"


class Pointer:
    """An alias of this server, in full, as the room directory has it."""

    def __init__(self, client: Client, alias: str) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._alias = alias

    def target(self) -> str | None:
        """Return the id of the room that it points to, or None if it is free. Raises what the client raises."""
        try:
            return str(member(self._client.get(_ALIAS, alias=self._alias), "room_id"))
        except NotFound:
            return None

    def point_to(self, room_id: str) -> None:
        """Let it, which must be free, point to a room. Raises what the client raises."""
        self._client.put(_ALIAS, {"room_id": room_id}, alias=self._alias)

    def free(self, previous: str) -> None:
        """Free it from the room `previous`. Raises SynapseError if it points to another one by now."""
        if self._is_at(self.target(), previous):
            self._remove()

    def move(self, previous: str, wanted: str) -> None:
        """Free it from the room `previous`, and let it point to `wanted`; or back, if that is refused.

        Raises SynapseError, which says where it points then.
        """
        found = self.target()
        if found == wanted:
            return
        if self._is_at(found, previous):
            self._leave()
        with after_a_change():
            try:
                self.point_to(wanted)
            except SynapseError as refusal:
                if self._settle(previous, wanted, refusal) != wanted:
                    raise

    def _is_at(self, found: str | None, previous: str) -> bool:
        """Whether it points to `previous`; false if it is free. Raises SynapseError if it is somebody else's by now."""
        if found not in (None, previous):
            raise SynapseError(
                f"The alias {self._alias} was pointed to {found} by somebody else in this moment: it is left alone."
                " Run the task again if it shall be taken from there."
            )
        return found is not None

    def _remove(self) -> None:
        try:
            self._client.delete(_ALIAS, alias=self._alias)
        except NotFound:
            # Somebody else has just removed it: it is as free as declared.
            return

    def _leave(self) -> None:
        """Free it. A lost answer does not matter if it is free then."""
        try:
            self._remove()
        except SynapseError as error:
            if not error.may_be_done or self._target_after(error) is not None:
                raise

    def _settle(self, previous: str, wanted: str, refusal: SynapseError) -> str | None:
        """After `refusal` of `wanted`, let it point to `previous` unless it has a room; return the one that it has.

        `refusal` says which that is. Somebody who was faster keeps it.
        """
        found = self._target_after(refusal)
        if found is None:
            try:
                self.point_to(previous)
                found = previous
            except SynapseError as error:
                found = self._target_after(refusal)
                if found is None:
                    refusal.explain(
                        f"The alias {self._alias} points nowhere now, because it could not be pointed back to"
                        f" {previous} either: {error.message} Run the task again."
                    )
        if found == previous:
            refusal.explain(f"{self._alias} points to {previous} again.")
        elif found not in (None, wanted, _UNSEEN):
            refusal.explain(f"{self._alias} was pointed to {found} by somebody else in this moment: it is left alone.")
        return found

    def _target_after(self, error: SynapseError) -> str | None:
        """Where it points after `error`, which says so if that cannot be seen."""
        try:
            return self.target()
        except SynapseError as hidden:
            error.explain(f"Where {self._alias} points now could not be seen: {hidden.message}")
            return _UNSEEN
