# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Room aliases: the room that an alias points to, the rooms that publish it, and how both should be.

Relies on GET /_synapse/admin/v1/rooms/<room ID> and on the list GET /_synapse/admin/v1/rooms of Synapse 1.163.
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
    RateLimited,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import (
    parse_any_room_alias,
    parse_room_alias,
    parse_room_id,
    require_new_alias,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias_rooms import (
    require_joined_room,
    require_pointing,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias_rules import (
    explain_refusal,
    require_allowed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.event_size import require_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.pointer import Pointer, read_target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.published_aliases import (
    EVENT,
    PublishedAliases,
    content_with,
    find_writer,
    read_published,
    write_published,
)

_ROOMS = "/_synapse/admin/v1/rooms"
_USER = "/_synapse/admin/v2/users/{user_id}"


@dataclasses.dataclass(frozen=True)
class DeclaredAlias:
    """How an alias should be. None: not declared.

    `room_id`: the room that the alias should point to. If the alias should be free (`present` is false): a room that
    should not publish it. `canonical`: whether it is the room's canonical alias. `alt_aliases`: all alternative aliases
    that the room publishes.
    """

    room_id: str | None = None
    present: bool = True
    canonical: bool | None = None
    alt_aliases: t.Sequence[str] | None = None


@dataclasses.dataclass
class _PublishingRoom:
    """A room that publishes the alias although it should not, or not as declared. `writer`: who can change that."""

    room_id: str
    current: PublishedAliases
    wanted: PublishedAliases
    writer: str | None
    reason: str


class AliasResource:
    """One alias with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(
        self, client: Client, alias: str, declared: DeclaredAlias, rules: ConfiguredRules | None = None
    ) -> None:
        """`rules`: those of the server, as far as they are known. Nothing is sent yet."""
        self._client = client
        self._rules = rules or ConfiguredRules(client)
        self._given = alias
        self._declared = declared
        self._target = declared.room_id if declared.present else None
        self._warnings: list[str] = []

    def plan(self) -> Plan:
        """Read the room that the alias points to and the rooms that publish it, and decide.

        Raises InvalidInput, or what the client raises.
        """
        self._check_declared()
        if self._declared.room_id is not None:
            parse_room_id(self._declared.room_id)
        self._alias = str(parse_room_alias(self._given, self._client.server_name))
        self._previous = read_target(self._client, self._alias)
        if self._target != self._previous:
            if self._target is not None:
                require_new_alias(self._alias)
                require_joined_room(self._client, self._target, self._alias)
            require_allowed(self._client, self._rules, self._alias, self._target)
        self._left = [room for room in map(self._read_left, self._left_room_ids()) if room]
        self._own = self._read_own()
        current, wanted = (self._own.current, self._own.wanted) if self._own else (None, None)
        before = self._state(self._previous, current, self._left)
        after = self._state(self._target, wanted, self._unchangeable())
        self._require_events()
        return Plan(before, after, tuple(self._steps()))

    def verify(self, plan: Plan) -> None:
        """Read the alias and the rooms again. Raises StateNotReached if something is not as declared."""
        target = read_target(self._client, self._alias)
        problems = [f"it points to {target or 'no room'}"] if target != self._target else []
        for room in self._left:
            if room.writer and self._alias in read_published(self._client, room.room_id)[0]:
                problems.append(f"{room.room_id} still publishes it")
        if self._own:
            found = read_published(self._client, self._own.room_id)[0]
            if not found.same_as(self._wanted(found)):
                problems.append(
                    f"the canonical alias of the room is {found.canonical or 'not set'} and its alternative aliases are"
                    f" {list(found.alternatives)}"
                )
        require(problems, f"The alias {self._alias}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `room_alias`, and `warnings` if an access token could not be logged out."""
        return {
            "room_alias": {
                "alias": self._alias,
                **({"room_id": self._target} if self._target else {}),
                **({"previous_room_id": self._previous} if self._previous else {}),
                "still_published_by": [
                    {"room_id": room.room_id, "reason": room.reason} for room in self._unchangeable()
                ],
                "written_as": sorted({room.writer for room in self._written() if room.writer}),
            },
            **self._returned_warnings(),
        }

    def _written(self) -> list[_PublishingRoom]:
        """The rooms in which a step changes what they publish."""
        own = [self._own] if self._own else []
        return [room for room in (*self._left, *own) if self._needs(room)]

    def _unchangeable(self) -> list[_PublishingRoom]:
        """The rooms that still publish the alias after the task, because no user of this server can change that."""
        return [room for room in self._left if room.writer is None]

    def _returned_warnings(self) -> dict[str, t.Any]:
        warnings = [*self._rules.warnings, *self._warnings]
        return {"warnings": warnings} if warnings else {}

    def _left_room_ids(self) -> list[str]:
        """The rooms that the alias leaves: they must not publish it any more."""
        declared = None if self._declared.present else self._declared.room_id
        known = [room_id for room_id in (self._previous, declared) if room_id and room_id != self._target]
        if self._declared.present:
            return known
        return list(dict.fromkeys(known)) or self._search()

    def _search(self) -> list[str]:
        """The rooms that have the alias as canonical alias, although it points to no room."""
        localpart = self._alias[1:].partition(":")[0]
        rooms = self._client.pages(_ROOMS, "rooms", token="next_batch", params={"search_term": localpart})
        return [str(room["room_id"]) for room in rooms if room.get("canonical_alias") == self._alias]

    def _read_left(self, room_id: str) -> _PublishingRoom | None:
        current, _content = read_published(self._client, room_id)
        if self._alias not in current:
            return None
        writer = find_writer(self._client, room_id)
        return _PublishingRoom(room_id, current, current.without(self._alias), writer.user_id, writer.reason)

    def _read_own(self) -> _PublishingRoom | None:
        """The room that the alias should point to, if `canonical` or `alt_aliases` is declared."""
        declared = self._declared
        if self._target is None or (declared.canonical is None and declared.alt_aliases is None):
            return None
        current, content = read_published(self._client, self._target)
        wanted = self._wanted(current)
        if current.same_as(wanted):
            return _PublishingRoom(self._target, current, wanted, None, "")
        added = set(wanted.alternatives) - set(current.alternatives) - {self._alias}
        require_pointing(self._client, added, self._target)
        writer = find_writer(self._client, self._target)
        if writer.user_id is None:
            raise InvalidInput(
                f"The published aliases of {self._target} cannot be changed from this server, because {writer.reason}."
                " Nothing was changed. Make a user of this server room admin first (admin_user_id of synapse_room), or"
                " leave out canonical and alt_aliases."
            )
        require_size(
            content_with(content, wanted),
            kind=EVENT,
            room_id=self._target,
            sender=writer.user_id,
            what=f"The list of the published aliases of {self._target}",
        )
        return _PublishingRoom(self._target, current, wanted, writer.user_id, "")

    def _wanted(self, current: PublishedAliases) -> PublishedAliases:
        declared, canonical = self._declared, current.canonical
        if declared.canonical:
            canonical = self._alias
        elif declared.canonical is False and canonical == self._alias:
            canonical = ""
        if declared.alt_aliases is None:
            return PublishedAliases(canonical, current.alternatives)
        server_name = self._client.server_name
        others = (str(parse_any_room_alias(alias, server_name)) for alias in declared.alt_aliases)
        return PublishedAliases(canonical, tuple(dict.fromkeys(others)))

    def _check_declared(self) -> None:
        declared = self._declared
        if not declared.present and (declared.canonical or declared.alt_aliases is not None):
            raise InvalidInput(
                "canonical and alt_aliases cannot be set with state=absent, because the alias then points to no room:"
                " leave them out."
            )

    def _require_events(self) -> None:
        """Raise InvalidInput if the steps need an event in a room that Synapse refuses to the caller."""
        # While it removes an alias, Synapse withdraws it in the name of the caller where it is still published.
        silent = [room for room in self._unchangeable() if room.room_id == self._previous]
        changed = [*self._written(), *silent]
        if changed:
            self._rules.require_events(f"A change of the published aliases of {changed[0].room_id}")
        caller = self._client.caller
        if silent and self._client.get(_USER, user_id=caller).get("suspended"):
            raise InvalidInput(
                f"The account of the access token, {caller}, is suspended. {silent[0].room_id} would still publish the"
                " alias, and Synapse does not let a suspended user remove such an alias. Nothing was changed. Lift the"
                " suspension, or use the access token of another server admin."
            )

    def _state(self, target: str | None, own: PublishedAliases | None, rooms: t.Sequence[_PublishingRoom]) -> State:
        if target is None and not rooms:
            return None
        state: dict[str, t.Any] = {"alias": self._alias, "room_id": target}
        if own is not None and self._declared.canonical is not None:
            state["canonical"] = own.canonical == self._alias
        if own is not None and self._declared.alt_aliases is not None:
            state["alt_aliases"] = sorted(own.alternatives)
        if rooms:
            state["published_by"] = [room.room_id for room in rooms]
        return state

    def _steps(self) -> t.Iterator[Step]:
        # First the rooms that the alias leaves: if a later step fails, the next run still finds them by the alias.
        for room in self._left:
            if room.writer:
                yield Step(
                    f"remove the alias from the published aliases of {room.room_id}",
                    functools.partial(self._withdraw, room),
                )
        previous, target = self._previous, self._target
        pointer = Pointer(self._client, self._alias)
        if previous is not None and target is None:
            yield Step(
                f"remove the alias, which points to {previous}",
                lambda: self._point(lambda: pointer.free(previous), previous),
            )
        elif previous is None and target is not None:
            yield Step(f"point the alias to {target}", lambda: self._explained(lambda: pointer.point_to(target)))
        elif previous is not None and target is not None and previous != target:
            yield Step(
                f"move the alias from {previous} to {target}",
                lambda: self._point(lambda: pointer.move(previous, target), previous),
            )
        if self._own and self._needs(self._own):
            yield Step(f"set the published aliases of {self._own.room_id}", functools.partial(self._write, self._own))

    def _needs(self, room: _PublishingRoom) -> bool:
        return room.writer is not None and not room.current.same_as(room.wanted)

    def _withdraw(self, room: _PublishingRoom) -> None:
        self._change(room, lambda current: current.without(self._alias))

    def _point(self, work: t.Callable[[], None], previous: str) -> None:
        """Do `work`, which takes the alias from the room `previous`. If Synapse refuses, that room publishes it again.

        After any other error nothing is restored, because the next run continues from there.
        """
        try:
            self._explained(work)
        except SynapseError as error:
            refused = isinstance(error, ApiError) and 400 <= error.status < 500
            if refused and not isinstance(error, (AuthenticationFailed, RateLimited)):
                for room in self._left:
                    if room.writer and room.room_id == previous:
                        self._restore(room, error)
            error.details = {**error.details, **self._returned_warnings()}
            raise

    def _explained(self, work: t.Callable[[], None]) -> None:
        try:
            work()
        except ApiError as error:
            explain_refusal(error, self._alias)
            raise

    def _restore(self, room: _PublishingRoom, refusal: SynapseError) -> None:
        published = False

        def put_back(current: PublishedAliases) -> PublishedAliases:
            nonlocal published
            # A change that another user has made since then stays.
            wanted = room.current if current.same_as(room.wanted) else current
            published = self._alias in wanted
            return wanted

        try:
            if read_target(self._client, self._alias) == room.room_id:
                self._change(room, put_back)
                refusal.explain(
                    f"{room.room_id} {'publishes it again' if published else 'does not publish it any more'}."
                )
        except SynapseError as error:
            refusal.explain(f"{room.room_id} may not publish {self._alias} any more: {error.message}")

    def _write(self, room: _PublishingRoom) -> None:
        self._change(room, self._wanted)

    def _change(self, room: _PublishingRoom, change: t.Callable[[PublishedAliases], PublishedAliases]) -> None:
        try:
            warning = write_published(self._client, room.room_id, t.cast(str, room.writer), change)
        except SynapseError as error:
            error.details = {**error.details, **self._returned_warnings()}
            raise
        if warning:
            self._warnings.append(warning)
