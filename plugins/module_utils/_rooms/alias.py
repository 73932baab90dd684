# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Room aliases: where one points to, what rooms call it their address, and how both should be.

Relies on GET /_synapse/admin/v1/rooms/<room id> and on the list GET /_synapse/admin/v1/rooms of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    InvalidInput,
    NotFound,
    RateLimited,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_any_room_alias,
    parse_room_alias,
    parse_room_id,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.addresses import (
    Addresses,
    find_writer,
    read_addresses,
    write_addresses,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.pointer import Pointer

_ROOM = "/_synapse/admin/v1/rooms/{room_id}"
_ROOMS = "/_synapse/admin/v1/rooms"


@dataclasses.dataclass(frozen=True)
class DeclaredAlias:
    """How an alias shall be. None: not declared.

    `room_id`: the room that it shall point to, or, if it shall be free (`present` is false), a room that shall not name
    it any more. `canonical`: whether it is the room's main address. `alt_aliases`: all other addresses of the room.
    """

    room_id: str | None = None
    present: bool = True
    canonical: bool | None = None
    alt_aliases: t.Sequence[str] | None = None


@dataclasses.dataclass
class _NamingRoom:
    """A room that names the alias although it shall not, or not as declared."""

    room_id: str
    current: Addresses
    wanted: Addresses
    writer: str | None
    reason: str


def read_target(client: Client, alias: str) -> str | None:
    """Return the id of the room that `alias` points to, or None if the alias is free."""
    return Pointer(client, alias).target()


class AliasResource:
    """One alias with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(self, client: Client, alias: str, declared: DeclaredAlias) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._given = alias
        self._declared = declared
        self._target = declared.room_id if declared.present else None
        self._warnings: list[str] = []

    def plan(self) -> Plan:
        """Read where the alias points to, and which rooms name it, and decide.

        Raises InvalidInput, or what the client raises.
        """
        self._require_addresses_of_a_room()
        if self._declared.room_id is not None:
            parse_room_id(self._declared.room_id)
        self._alias = str(parse_room_alias(self._given, self._client.server_name))
        self._previous = read_target(self._client, self._alias)
        if self._target is not None and self._target != self._previous:
            self._require_room(self._target)
        self._left = [room for room in map(self._look_at_left, self._left_room_ids()) if room]
        self._own = self._look_at_own()
        current, wanted = (self._own.current, self._own.wanted) if self._own else (None, None)
        dangling = [room for room in self._left if room.writer is None]
        before, after = self._state(self._previous, current, self._left), self._state(self._target, wanted, dangling)
        return Plan(before, after, tuple(self._steps()))

    def verify(self, plan: Plan) -> None:
        """Read the alias and the rooms again. Raises StateNotReached if something is not as declared."""
        target = read_target(self._client, self._alias)
        problems = [f"it points to {target or 'no room'}"] if target != self._target else []
        for room in self._left:
            if room.writer and read_addresses(self._client, room.room_id)[0].names(self._alias):
                problems.append(f"{room.room_id} still names it")
        if self._own:
            found = read_addresses(self._client, self._own.room_id)[0]
            if not found.same_as(self._wanted(found)):
                problems.append(f"the room names {found.canonical or 'nothing'} and {list(found.alternatives)}")
        require(problems, f"The alias {self._alias}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `alias`, `room_id` and `previous_room_id` (None: no room), and what rooms still name the alias.

        `dangling`: whether one does that nobody here can change, for `dangling_reason`. `written_as`: in whose names
        rooms were changed. `warnings`: what was left behind, if anything was.
        """
        dangling = [room for room in self._left if room.writer is None]
        written = [room.writer for room in (*self._left, *([self._own] if self._own else [])) if self._needs(room)]
        return {
            "alias": self._alias,
            "room_id": self._target,
            "previous_room_id": self._previous,
            "dangling": bool(dangling),
            "dangling_reason": "; ".join(f"{room.room_id} still names it: {room.reason}" for room in dangling) or None,
            "written_as": sorted({writer for writer in written if writer}),
            **self._left_open(),
        }

    def _left_open(self) -> dict[str, t.Any]:
        return {"warnings": list(self._warnings)} if self._warnings else {}

    def _left_room_ids(self) -> list[str]:
        """The rooms that the alias leaves: they must not name it any more."""
        declared = None if self._declared.present else self._declared.room_id
        known = [room_id for room_id in (self._previous, declared) if room_id and room_id != self._target]
        if self._declared.present:
            return known
        return list(dict.fromkeys(known)) or self._search()

    def _search(self) -> list[str]:
        """The rooms that call the alias their main address, although it points to none."""
        localpart = self._alias[1:].partition(":")[0]
        rooms = self._client.pages(_ROOMS, "rooms", token="next_batch", params={"search_term": localpart})
        return [str(room["room_id"]) for room in rooms if room.get("canonical_alias") == self._alias]

    def _look_at_left(self, room_id: str) -> _NamingRoom | None:
        current, _content = read_addresses(self._client, room_id)
        if not current.names(self._alias):
            return None
        writer = find_writer(self._client, room_id)
        return _NamingRoom(room_id, current, current.without(self._alias), writer.user_id, writer.reason)

    def _look_at_own(self) -> _NamingRoom | None:
        """The room that the alias points to, if something is declared of its addresses."""
        declared = self._declared
        if self._target is None or (declared.canonical is None and declared.alt_aliases is None):
            return None
        current, _content = read_addresses(self._client, self._target)
        wanted = self._wanted(current)
        if current.same_as(wanted):
            return _NamingRoom(self._target, current, wanted, None, "")
        self._require_pointing(set(wanted.alternatives) - set(current.alternatives), self._target)
        writer = find_writer(self._client, self._target)
        if writer.user_id is None:
            raise InvalidInput(
                f"The addresses that {self._target} names cannot be changed from this server: {writer.reason}."
                f" Nothing was changed. Make somebody of this server an admin of the room first (synapse_room does"
                " that with admin_user), or leave out canonical and alt_aliases."
            )
        return _NamingRoom(self._target, current, wanted, writer.user_id, "")

    def _wanted(self, current: Addresses) -> Addresses:
        declared, canonical = self._declared, current.canonical
        if declared.canonical:
            canonical = self._alias
        elif declared.canonical is False and canonical == self._alias:
            canonical = ""
        if declared.alt_aliases is None:
            return Addresses(canonical, current.alternatives)
        server_name = self._client.server_name
        others = (str(parse_any_room_alias(alias, server_name)) for alias in declared.alt_aliases)
        return Addresses(canonical, tuple(dict.fromkeys(others)))

    def _require_addresses_of_a_room(self) -> None:
        declared = self._declared
        if not declared.present and (declared.canonical or declared.alt_aliases is not None):
            raise InvalidInput(
                "canonical and alt_aliases say what the room names that the alias points to, and with state absent it"
                " points to none: leave them out."
            )

    def _require_pointing(self, aliases: t.Iterable[str], room_id: str) -> None:
        for alias in sorted(set(aliases) - {self._alias}):
            target = read_target(self._client, alias)
            if target != room_id:
                raise InvalidInput(
                    f"alt_aliases holds {alias}, which points to {target or 'no room'}: a room can only name aliases"
                    f" that point to it. Let it point to {room_id} first."
                )

    def _state(self, target: str | None, own: Addresses | None, naming: t.Sequence[_NamingRoom]) -> State:
        if target is None and not naming:
            return None
        state: dict[str, t.Any] = {"alias": self._alias, "room_id": target}
        if own is not None and self._declared.canonical is not None:
            state["canonical"] = own.canonical == self._alias
        if own is not None and self._declared.alt_aliases is not None:
            state["alt_aliases"] = sorted(own.alternatives)
        if naming:
            state["named_by"] = [room.room_id for room in naming]
        return state

    def _steps(self) -> t.Iterator[Step]:
        # First what leads nowhere once the alias is gone: whatever fails later, the next run finds the room again.
        for room in self._left:
            if room.writer:
                yield Step(
                    f"take the alias off the addresses that {room.room_id} names", functools.partial(self._forget, room)
                )
        previous, target = self._previous, self._target
        pointer = Pointer(self._client, self._alias)
        if previous is not None and target is None:
            yield Step(
                f"remove the alias from {previous}", lambda: self._point(lambda: pointer.free(previous), previous)
            )
        elif previous is None and target is not None:
            yield Step(f"point the alias to {target}", lambda: pointer.point_to(target))
        elif previous is not None and target is not None and previous != target:
            yield Step(
                f"move the alias from {previous} to {target}",
                lambda: self._point(lambda: pointer.move(previous, target), previous),
            )
        if self._own and self._needs(self._own):
            yield Step(f"set the addresses that {self._own.room_id} names", functools.partial(self._write, self._own))

    def _needs(self, room: _NamingRoom) -> bool:
        return room.writer is not None and not room.current.same_as(room.wanted)

    def _forget(self, room: _NamingRoom) -> None:
        self._change(room, lambda current: current.without(self._alias))

    def _point(self, work: t.Callable[[], None], previous: str) -> None:
        """Do `work`, which takes the alias from the room `previous`; if Synapse refuses that, the room names it again.

        What another run will do is left as it is.
        """
        try:
            work()
        except SynapseError as error:
            refused = isinstance(error, ApiError) and 400 <= error.status < 500
            if refused and not isinstance(error, (AuthenticationFailed, RateLimited)):
                for room in self._left:
                    if room.writer and room.room_id == previous:
                        self._remember(room, error)
            error.details = {**error.details, **self._left_open()}
            raise

    def _remember(self, room: _NamingRoom, refusal: SynapseError) -> None:
        names = False

        def put_back(current: Addresses) -> Addresses:
            nonlocal names
            # What somebody else has made of it meanwhile stays.
            wanted = room.current if current.same_as(room.wanted) else current
            names = wanted.names(self._alias)
            return wanted

        try:
            if read_target(self._client, self._alias) == room.room_id:
                self._change(room, put_back)
                refusal.explain(f"{room.room_id} names it {'again' if names else 'no more'}.")
        except SynapseError as error:
            refusal.explain(f"{room.room_id} may not name {self._alias} any more, as {error.message}")

    def _write(self, room: _NamingRoom) -> None:
        self._change(room, self._wanted)

    def _change(self, room: _NamingRoom, change: t.Callable[[Addresses], Addresses]) -> None:
        try:
            warning = write_addresses(self._client, room.room_id, t.cast(str, room.writer), change)
        except SynapseError as error:
            error.details = {**error.details, **self._left_open()}
            raise
        if warning:
            self._warnings.append(warning)

    def _require_room(self, room_id: str) -> None:
        try:
            self._client.get(_ROOM, room_id=room_id)
        except NotFound as error:
            raise InvalidInput(
                f"The room {room_id} does not exist on this server: the alias {self._alias} is left as it is."
                " See whether the room id is complete."
            ) from error
