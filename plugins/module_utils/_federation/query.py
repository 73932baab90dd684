# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where a server's federation is looked up: the Admin API, or the database. Both tell of it in the same words.

Relies on GET /_synapse/admin/v1/federation/destinations, .../<destination>/rooms, /_synapse/admin/v1/rooms and
.../<room id>/members, and on the tables named below, of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.destination import (
    describe_destination,
    read_destination,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of

_DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
_PAGE = 1000
# The names of the columns are those of the API.
_COLUMNS = ("destination", "retry_last_ts", "retry_interval", "failure_ts", "last_successful_stream_ordering")


class Source(t.Protocol):
    """Where to look."""

    @property
    def server_name(self) -> str:
        """The name of the server itself."""

    def destinations(self, name: str | None = None) -> list[JsonObject]:
        """Return all destinations, or the one with that `name` if there is one, as the Admin API has them."""

    def rooms_of(self, destination: str) -> list[JsonObject]:
        """Return the rooms shared with a destination: `room_id`, and `stream_ordering` of the last event for it."""

    def joined_servers(self) -> set[str]:
        """Return the servers of everybody who is joined to a room that this server is in, itself among them."""

    def founders(self) -> set[str]:
        """Return the servers of those who created the rooms that this server knows, itself among them."""


class ApiSource:
    """The Admin API. Of rooms it knows only those that Synapse has counted the members of."""

    def __init__(self, client: Client) -> None:
        """`client` needs the access token of a server admin. Nothing is sent yet."""
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
        # The pages are counted from the start, so a destination made meanwhile can show another one twice.
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

    def joined_servers(self) -> set[str]:
        """See Source. One request for each room that somebody of another server is joined to."""
        found: set[str] = set()
        for room in self._rooms():
            if (room["joined_members"] or 0) > (room["joined_local_members"] or 0):
                found.update(self._servers_in(room["room_id"]))
        return found

    def founders(self) -> set[str]:
        """See Source."""
        return {server_name_of(room["creator"]) for room in self._rooms() if room["creator"]}

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
            # Deleted since it was listed.
            return set()
        return {server_name_of(user_id) for user_id in member(answer, "members")}


@dataclasses.dataclass(frozen=True)
class _Kept:
    """Where the database holds names of servers: in `columns` of `table`, in user ids or alone."""

    table: str
    columns: tuple[str, ...]
    in_user_ids: bool = False
    condition: str = ""


_MEMBERS = "type = 'm.room.member'"
_JOINED = _Kept("current_state_events", ("state_key",), True, f"{_MEMBERS} AND membership = 'join'")
_FOUNDERS = _Kept("rooms", ("creator",), True)
# By the names of the evidence, in the order in which it is shown.
_KEPT = {
    "members": _Kept("current_state_events", ("state_key",), True, _MEMBERS),
    "aliases": _Kept("room_alias_servers", ("server",)),
    "inbound": _Kept("received_transactions", ("origin",)),
    "inbound_events": _Kept("federation_inbound_events_staging", ("origin",)),
    "signing_keys": _Kept("server_keys_json", ("server_name",)),
    "device_lists": _Kept("device_lists_remote_cache", ("user_id",), True),
    "media": _Kept("remote_media_cache", ("media_origin",)),
    # Who sends an invitation to a room that this server never was in is no member of anything here.
    "past_members": _Kept("room_memberships", ("user_id", "sender"), True),
}


class DatabaseSource:
    """The database of the Synapse that `configuration` is of, which is read only. To be used with `with`."""

    def __init__(self, configuration: Configuration, working_directory: str | None) -> None:
        """Connect. Raises what `find_database` and `Database` raise, and ConfigurationError without a server name."""
        self.server_name = configuration.server_name
        settings = find_database(configuration, working_directory)
        self._position = "instr" if settings.engine == "sqlite3" else "strpos"
        self._database = Database(settings)

    def __enter__(self) -> DatabaseSource:
        self._database.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._database.__exit__(kind, *rest)

    def require_same_server(self, server_name: str) -> None:
        """Raise ConfigurationError unless it is the database of the server `server_name`."""
        if server_name != self.server_name:
            raise ConfigurationError(
                f"config_path is the configuration of {self.server_name}, but {server_name} answers at base_url:"
                " both must be of the same server."
            )

    def destinations(self, name: str | None = None) -> list[JsonObject]:
        """See Source."""
        chosen = "" if name is None else " WHERE destination = ?"
        sql = f"SELECT {', '.join(_COLUMNS)} FROM destinations{chosen}"
        return [dict(zip(_COLUMNS, row)) for row in self._database.rows(sql, *([] if name is None else [name]))]

    def rooms_of(self, destination: str) -> list[JsonObject]:
        """See Source."""
        sql = "SELECT room_id, stream_ordering FROM destination_rooms WHERE destination = ?"
        return _as_rooms((room_id, position) for room_id, position in self._database.rows(sql, destination))

    def joined_servers(self) -> set[str]:
        """See Source."""
        return self._servers(_JOINED)

    def founders(self) -> set[str]:
        """See Source."""
        return self._servers(_FOUNDERS)

    def servers_by(self, evidence: str) -> set[str]:
        """Return the servers that a kind of evidence names (see `DATABASE_EVIDENCE`), perhaps itself among them."""
        return self._servers(_KEPT[evidence])

    def _servers(self, kept: _Kept) -> set[str]:
        return {name for column in kept.columns for name in self._distinct(kept, column)}

    def _distinct(self, kept: _Kept, column: str) -> t.Iterator[str]:
        conditions = [f"{column} IS NOT NULL", *([kept.condition] if kept.condition else [])]
        name = column
        if kept.in_user_ids:
            # At the first colon: what follows may be a port, or an IPv6 literal.
            colon = f"{self._position}({column}, ':')"
            name, conditions = f"substr({column}, {colon} + 1)", [*conditions, f"{colon} > 0"]
        sql = f"SELECT DISTINCT {name} FROM {kept.table} WHERE {' AND '.join(conditions)}"
        return (row[0] for row in self._database.rows(sql))


DATABASE_EVIDENCE = tuple(_KEPT)


@dataclasses.dataclass(frozen=True)
class DestinationFilter:
    """Which destinations to return. None means: whatever it is. `failing`: whether the last try was in vain."""

    destination: str | None = None
    failing: bool | None = None


def find_destinations(source: Source, wanted: DestinationFilter, now: float, *, rooms: bool) -> list[JsonObject]:
    """Return the destinations that the filter leaves, ordered by name; see `describe_destination`.

    `rooms`: with the rooms shared with each, and whether all that there is for it in each has been `delivered`.
    """
    found = [describe_destination(row, now) for row in source.destinations(wanted.destination)]
    kept = [row for row in found if wanted.failing is None or wanted.failing == (row["state"] != "ok")]
    kept.sort(key=_by_name)
    return [{**row, "rooms": _delivered(row, source.rooms_of(row["destination"]))} for row in kept] if rooms else kept


def _by_name(row: JsonObject) -> str:
    return str(row["destination"])


def _delivered(row: JsonObject, rooms: list[JsonObject]) -> list[JsonObject]:
    reached = row["last_successful_stream_ordering"]
    return [{**room, "delivered": reached is not None and room["stream_ordering"] <= reached} for room in rooms]


def _as_rooms(found: t.Iterable[tuple[str, int]]) -> list[JsonObject]:
    return [{"room_id": room_id, "stream_ordering": position} for room_id, position in sorted(found)]
