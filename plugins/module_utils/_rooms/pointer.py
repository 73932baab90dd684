# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The room that an alias points to, and how an alias is moved without being lost or taken from another user.

Relies on the room directory of Synapse 1.163 (GET, PUT and DELETE /_matrix/client/v3/directory/room/<alias>). The
directory has no request to move an alias, and its PUT does not take an alias from a room: it answers 409, after it has
checked everything that it refuses.
"""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    NotFound,
    SynapseError,
    after_a_change,
)

_ALIAS = "/_matrix/client/v3/directory/room/{alias}"
# In place of a room ID: the room that the alias points to could not be read.
_UNKNOWN = "?"
_TAKEN = 409


class Pointer:
    """An alias, in full, as the room directory has it. Only aliases of this server can be changed."""

    def __init__(self, client: Client, alias: str) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._alias = alias

    def target(self) -> str | None:
        """Return the id of the room that the alias points to, or None if it is free. Raises what the client raises."""
        try:
            return str(member(self._client.get(_ALIAS, alias=self._alias), "room_id"))
        except NotFound:
            return None

    def point_to(self, room_id: str) -> None:
        """Point the alias, which must be free, to a room. Raises what the client raises."""
        self._client.put(_ALIAS, {"room_id": room_id}, alias=self._alias)

    def free(self, previous: str) -> None:
        """Remove the alias from the room `previous`. Raises SynapseError if it points to another room by now."""
        if self._is_at(self.target(), previous):
            self._remove()

    def move(self, previous: str, wanted: str) -> None:
        """Remove the alias from the room `previous` and point it to `wanted`, or back to `previous` if that is refused.

        What Synapse refuses to point to `wanted` for a reason of its own never leaves `previous`. Raises SynapseError,
        which says where the alias points then.
        """
        found = self.target()
        if found == wanted:
            return
        if self._is_at(found, previous):
            if not self._is_taken(wanted):
                return
            self._leave()
        with after_a_change():
            try:
                self.point_to(wanted)
            except SynapseError as refusal:
                if self._settle(previous, wanted, refusal) != wanted:
                    raise

    def _is_at(self, found: str | None, previous: str) -> bool:
        """Whether the alias points to `previous`; false if it is free. Raises SynapseError if it points elsewhere."""
        if found not in (None, previous):
            raise SynapseError(
                f"Another user pointed the alias {self._alias} to {found} at the same time, so it was not changed."
                " Run the task again to take it from that room."
            )
        return found is not None

    def _is_taken(self, wanted: str) -> bool:
        """Try to point the alias, which points to another room, to `wanted`, and return whether that room keeps it.

        Raises the refusal if Synapse would not point the alias to `wanted` even if it were free: it might not be
        pointed back either. If another user has just removed the alias, it points to `wanted` then.
        """
        try:
            self.point_to(wanted)
        except ApiError as error:
            if error.status != _TAKEN:
                raise
            return True
        return False

    def _remove(self) -> None:
        try:
            self._client.delete(_ALIAS, alias=self._alias)
        except NotFound:
            # Another user has just removed it: it is free, as declared.
            return

    def _leave(self) -> None:
        """Remove the alias. A lost answer does not matter if the alias is free then."""
        try:
            self._remove()
        except SynapseError as error:
            if not error.may_be_done or self._target_after(error) is not None:
                raise

    def _settle(self, previous: str, wanted: str, refusal: SynapseError) -> str | None:
        """After `refusal` of `wanted`, point the alias to `previous` if it is free. Return the room that it points to.

        `refusal` then says which room that is. If another user has pointed it to a room, it stays there.
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
                        f"The alias {self._alias} now points to no room, because it could not be pointed back to"
                        f" {previous} either: {error.message} Run the task again."
                    )
        if found == previous:
            refusal.explain(f"{self._alias} points to {previous} again.")
        elif found not in (None, wanted, _UNKNOWN):
            refusal.explain(f"Another user pointed {self._alias} to {found} at the same time, so it was not changed.")
        return found

    def _target_after(self, error: SynapseError) -> str | None:
        """The room that the alias points to after `error`. If that cannot be read, `error` says so."""
        try:
            return self.target()
        except SynapseError as hidden:
            error.explain(f"The room that {self._alias} points to now could not be read: {hidden.message}")
            return _UNKNOWN


def read_target(client: Client, alias: str) -> str | None:
    """Return the id of the room that `alias`, which may be of another server, points to, or None if it is free."""
    return Pointer(client, alias).target()
