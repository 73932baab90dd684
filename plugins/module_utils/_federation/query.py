# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sources of information on the federation of a server: the Admin API, or the database. Both return the same.

Relies on GET /_synapse/admin/v1/federation/destinations, .../<destination>/rooms, /_synapse/admin/v1/rooms and
.../<room ID>/members, and on the table destination_rooms, of Synapse 1.163. See `stored` for the other tables.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.destination import (
    describe_destination,
    read_destination,
    require_server_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.stored import STORED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of

_DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
_PAGE = 1000
# The columns have the names of the keys of the API.
_COLUMNS = ("destination", "retry_last_ts", "retry_interval", "failure_ts", "last_successful_stream_ordering")


class Source(t.Protocol):
    """Where to look something up."""

    @property
    def server_name(self) -> str:
        """The name of the server itself."""

    @property
    def evidence(self) -> t.Collection[str]:
        """The kinds of evidence that `servers_by` can look up."""

    def destinations(self, name: str | None = None) -> list[JsonObject]:
        """Return all destinations, or the one with that `name` if it exists, as the Admin API shows them."""

    def rooms_of(self, destination: str) -> list[JsonObject]:
        """Return the rooms shared with a destination: `room_id`, and `stream_ordering` of the last event for it."""

    def servers_by(self, evidence: str) -> set[str]:
        """Return the servers that a kind of evidence names. The server itself may be one of them."""


class ApiSource:
    """The Admin API. It lists only the rooms whose members Synapse has already counted."""

    evidence = ("destinations", "joined_members", "rooms")

    def __init__(self, client: Client) -> None:
        """`client` needs the access token of a server admin. Sends no request yet."""
        self._client = client
        self._listed_rooms: list[JsonObject] | None = None

    @property
    def server_name(self) -> str:
        """See Source."""
        return self._client.server_name

    def destinations(self, name: str | None = None) -> list[JsonObject]:
        """See Source."""
        if name is not None:
            found = read_destination(self._client, name)
            return [] if found is None else [found]
        # Pages are counted from the start: if a destination is added meanwhile, another one is listed twice.
        unique = {
            member(row, "destination"): row for row in self._client.pages(_DESTINATIONS, "destinations", limit=_PAGE)
        }
        return list(unique.values())

    def rooms_of(self, destination: str) -> list[JsonObject]:
        """See Source."""
        template = _DESTINATIONS + "/{destination}/rooms"
        found = self._client.pages(template, "rooms", limit=_PAGE, destination=destination)
        unique = {member(row, "room_id"): member(row, "stream_ordering") for row in found}
        return _as_rooms(unique.items())

    def servers_by(self, evidence: str) -> set[str]:
        """See Source. Joined members need one request for each room with a member of another server."""
        if evidence == "destinations":
            return {str(member(row, "destination")) for row in self.destinations()}
        if evidence == "joined_members":
            return self._joined_servers()
        if evidence == "rooms":
            return {server_name_of(room["creator"]) for room in self._rooms() if room["creator"]}
        raise ValueError(f"the Admin API does not show {evidence}")

    def _joined_servers(self) -> set[str]:
        found: set[str] = set()
        for room in self._rooms():
            if (room["joined_members"] or 0) > (room["joined_local_members"] or 0):
                found.update(self._servers_in(room["room_id"]))
        return found

    def _rooms(self) -> list[JsonObject]:
        if self._listed_rooms is None:
            names = ("room_id", "creator", "joined_members", "joined_local_members")
            listed = self._client.pages("/_synapse/admin/v1/rooms", "rooms", token="next_batch", limit=_PAGE)
            self._listed_rooms = [{name: member(room, name) for name in names} for room in listed]
        return self._listed_rooms

    def _servers_in(self, room_id: str) -> set[str]:
        try:
            answer = self._client.get("/_synapse/admin/v1/rooms/{room_id}/members", room_id=room_id)
        except NotFound:
            # The room was deleted after it was listed.
            return set()
        return {server_name_of(user_id) for user_id in member(answer, "members")}


class DatabaseSource:
    """The database of the Synapse that `configuration` belongs to, read only. To be used with `with`."""

    evidence = tuple(STORED)

    def __init__(self, configuration: Configuration, working_directory: str | None) -> None:
        """Connect. Raises what `find_database` and `Database` raise, and ConfigurationError without a server name."""
        self.server_name = configuration.server_name
        settings = find_database(configuration, working_directory)
        self._database = Database(settings)

    def __enter__(self) -> DatabaseSource:
        self._database.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._database.__exit__(kind, *rest)

    def destinations(self, name: str | None = None) -> list[JsonObject]:
        """See Source."""
        chosen = "" if name is None else " WHERE destination = ?"
        sql = f"SELECT {', '.join(_COLUMNS)} FROM destinations{chosen}"
        return [dict(zip(_COLUMNS, row)) for row in self._database.rows(sql, *([] if name is None else [name]))]

    def rooms_of(self, destination: str) -> list[JsonObject]:
        """See Source."""
        sql = "SELECT room_id, stream_ordering FROM destination_rooms WHERE destination = ?"
        return _as_rooms((room_id, position) for room_id, position in self._database.rows(sql, destination))

    def servers_by(self, evidence: str) -> set[str]:
        """See Source."""
        engine = self._database.settings.engine
        return {name for stored in STORED[evidence] for (name,) in self._database.rows(stored.query(engine))}


@dataclasses.dataclass(frozen=True)
class DestinationFilter:
    """Which destinations to return. None: no filter. `failing`: whether the last attempt failed."""

    destination: str | None = None
    failing: bool | None = None


def find_destinations(source: Source, wanted: DestinationFilter, now: float, *, rooms: bool) -> list[JsonObject]:
    """Return the destinations that match the filter, ordered by name; see `describe_destination`.

    `rooms`: add the rooms shared with each destination, and whether the last event of the room was `delivered`.
    Raises InvalidInput if the filter contains what cannot be the name of a server, and what the source raises.
    """
    if wanted.destination is not None:
        require_server_name(wanted.destination)
    found = [describe_destination(row, now) for row in source.destinations(wanted.destination)]
    kept = [row for row in found if wanted.failing is None or wanted.failing == (row["retry_state"] != "ok")]
    kept.sort(key=_by_name)
    return [{**row, "rooms": _delivered(row, source.rooms_of(row["destination"]))} for row in kept] if rooms else kept


def _by_name(row: JsonObject) -> str:
    return str(row["destination"])


def _delivered(row: JsonObject, rooms: list[JsonObject]) -> list[JsonObject]:
    reached = row.get("last_successful_stream_ordering")
    return [{**room, "delivered": reached is not None and room["stream_ordering"] <= reached} for room in rooms]


def _as_rooms(found: t.Iterable[tuple[str, int]]) -> list[JsonObject]:
    return [{"room_id": room_id, "stream_ordering": position} for room_id, position in sorted(found)]
