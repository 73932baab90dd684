# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two servers that federate get to know each other, and hear of servers that nobody runs.

Whoever uses the fixture `pair` makes no other destinations on it than these, so that tests can name all of them.
"""

from __future__ import annotations

import functools
import secrets
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

# Nobody listens there.
DEAD = ("[::1]:1", "localhost:1")

_DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
_ROOM_VERSIONS = ("12", "11")


def meet(servers: t.Sequence[Server], alias: str = "met_here") -> list[str]:
    """Return the ids of a room on each of the two servers, the first one of version 12, the second one of version 11.

    The plain user of each server has made one with that alias and joined the other, and each server has delivered to
    the other what was said in both. What has been done already is left as it is.
    """
    rooms = [_make_room(server, alias, version) for server, version in zip(servers, _ROOM_VERSIONS, strict=True)]
    users = sorted(server.user for server in servers)
    for room, keeper, guest in zip(rooms, servers, reversed(servers), strict=True):
        if guest.user not in members(keeper, room):
            guest.send("POST", f"/_matrix/client/v3/join/{quoted(f'#{alias}:{keeper.name}')}", token=guest.user_token)
    for server in servers:
        for room in rooms:
            until(functools.partial(members, server, room), lambda found: sorted(found) == users)
    for server in servers:
        for room in rooms:
            say(server, room, "met")
    for server, other in zip(servers, reversed(servers), strict=True):
        wait_for_delivery(server, other, rooms)
    return rooms


def at_met(pair: t.Sequence[Server], number: int, directory: Path) -> Place:
    """Return a place of a case whose server has met the other one: `other` is its name, `user` somebody there."""
    meet(pair)
    other = pair[1 - number]
    return Place(pair[number], f"c{secrets.token_hex(4)}", directory, {"other": other.name, "user": other.user})


def say(server: Server, room: str, word: str) -> None:
    """Say a word in a room as the plain user of a server; what was said there already is not said again."""
    path = f"/_matrix/client/v3/rooms/{quoted(room)}/send/m.room.message/{quoted(word)}"
    server.send("PUT", path, {"msgtype": "m.text", "body": f"{word}, says {server.engine}"}, server.user_token)


def members(server: Server, room: str) -> list[str]:
    """Return who is joined to a room, as far as a server knows."""
    found = server.found(f"/_synapse/admin/v1/rooms/{quoted(room)}/members")
    return [] if found is None else list(found["members"])


def destination(server: Server, name: str) -> Json:
    """Return what a server says of one of its destinations."""
    return server.get(f"{_DESTINATIONS}/{quoted(name)}")


def destinations(server: Server) -> list[Json]:
    """Return what a server says of its destinations, ordered by name."""
    return sorted(server.get(_DESTINATIONS)["destinations"], key=lambda found: str(found["destination"]))


def shared_rooms(server: Server, other: Server) -> list[Json]:
    """Return the rooms that a server has had something to send from to another one, ordered by id."""
    found = server.found(f"{_DESTINATIONS}/{quoted(other.name)}/rooms")
    return sorted(found["rooms"] if found else [], key=lambda room: str(room["room_id"]))


def wait_for_delivery(server: Server, other: Server, rooms: t.Collection[str] = ()) -> None:
    """Wait until a server has delivered to another one whatever there is, with something from each of the rooms."""
    sent = until(
        lambda: shared_rooms(server, other), lambda found: set(rooms) <= {str(room["room_id"]) for room in found}
    )
    last = max((int(room["stream_ordering"]) for room in sent), default=0)
    until(
        lambda: destination(server, other.name),
        lambda found: (found["last_successful_stream_ordering"] or 0) >= last,
    )


def fail_to_reach(server: Server, *names: str) -> None:
    """Let a server look for somebody on servers that cannot be reached, so that it notes them as failing."""
    tried = names or DEAD
    wanted: dict[str, list[str]] = {f"@somebody:{name}": [] for name in tried}
    server.send("POST", "/_matrix/client/v3/keys/query", {"device_keys": wanted}, server.user_token)

    def failing() -> list[str]:
        listed = server.get(_DESTINATIONS)["destinations"]
        return [row["destination"] for row in listed if row["retry_last_ts"]]

    # It answers before it has noted them.
    until(failing, lambda found: set(tried) <= set(found))


def note(server: Server, name: str, **columns: int | None) -> None:
    """Let a server have noted of a destination what is in the columns, as only its database can; once is enough."""
    names = ", ".join(columns)
    marks = ", ".join("?" for _column in columns)
    statement = f"INSERT INTO destinations (destination, {names}) VALUES (?, {marks}) ON CONFLICT DO NOTHING"
    server.write(statement, name, *columns.values())


def quoted(part: str) -> str:
    """Return a part of a path with everything written out that has a meaning there."""
    return urllib.parse.quote(part, safe="")


def _make_room(server: Server, alias: str, version: str) -> str:
    path = f"/_matrix/client/v3/directory/room/{quoted(f'#{alias}:{server.name}')}"
    if found := server.found(path):
        return str(found["room_id"])
    return server.make_room(server.user_token, preset="public_chat", room_alias_name=alias, room_version=version)
