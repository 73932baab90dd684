# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the modules that change rooms, room aliases and destinations."""

from __future__ import annotations

import json
import time
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place, State

_HOUR = 3_600_000


def _creator(place: Place) -> str:
    """Return a token of the user who creates the rooms and is not an admin."""
    return place.server.speaking_as(place.server.make_account(f"{place.unique}-creator"))


def _make_rooms(place: Place, *words: str, alias: str | None = None) -> str:
    token = _creator(place)
    for word in words:
        named = {"room_alias_name": f"{place.unique}-{alias}"} if alias and word == words[0] else {}
        place.ids[word] = place.server.make_room(token, **named)
    return token


def make_room(place: Place) -> None:
    """Create a room, with the word `room` for its id."""
    _make_rooms(place, "room")


def _content(place: Place, room_id: str, kind: str) -> t.Any:
    query = (
        "SELECT event_json.json FROM current_state_events JOIN event_json USING (event_id)"
        " WHERE current_state_events.room_id = ? AND type = ? AND state_key = ''"
    )
    rows = place.server.rows(query, room_id, kind)
    # A room that publishes nothing any more is like one that never did.
    return (json.loads(rows[0][0])["content"] or None) if rows else None


def _state_of_room(place: Place) -> State:
    server, room_id = place.server, place.ids["room"]
    return {
        "room": server.found(f"/_synapse/admin/v1/rooms/{room_id}") is not None,
        "blocked": server.get(f"/_synapse/admin/v1/rooms/{room_id}/block")["block"],
        "power": _content(place, room_id, "m.room.power_levels"),
        "invited": [
            list(row)
            for row in server.rows(
                "SELECT state_key, membership FROM current_state_events WHERE room_id = ? AND type = 'm.room.member'"
                " ORDER BY state_key",
                room_id,
            )
        ],
    }


def _make_room_and_user(place: Place) -> None:
    make_room(place)
    place.server.make_account(f"{place.unique}-promoted", displayname="Promoted")


def _unblock(place: Place) -> None:
    place.server.send("PUT", f"/_synapse/admin/v1/rooms/{place.ids['room']}/block", {"block": False})


_ROOMS = (
    Case(
        "block a room",
        "synapse_room",
        make_room,
        lambda place: {"room_id": place.ids["room"], "blocked": True},
        _state_of_room,
        {"blocked": "block the room"},
        restore=_unblock,
    ),
    Case(
        "make a user room admin",
        "synapse_room",
        _make_room_and_user,
        lambda place: {"room_id": place.ids["room"], "admin_user_id": place.user("promoted")},
        _state_of_room,
        {"power": "an admin of the room", "invited": "an admin of the room"},
    ),
    Case(
        "delete a room",
        "synapse_room",
        make_room,
        lambda place: {"room_id": place.ids["room"], "state": "absent", "blocked": True},
        _state_of_room,
        {"room": "delete the room", "blocked": "block it"},
    ),
)


def _alias(place: Place) -> str:
    return f"#{place.unique}-lobby:{place.server.name}"


def _state_of_alias(place: Place) -> State:
    rows = place.server.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", _alias(place))
    published = {
        f"published by {word}": _content(place, place.ids[word], "m.room.canonical_alias") for word in place.ids
    }
    return {"alias": [room_id for (room_id,) in rows], **published}


def _tokens(place: Place) -> list[int]:
    """The tokens with which an admin acts as the creator of the rooms. One of them was used to create the rooms."""
    query = "SELECT id FROM access_tokens WHERE puppets_user_id = ? ORDER BY id"
    rows = place.server.rows(query, place.user("creator"))
    return [number for (number,) in rows]


def _declare_alias(place: Place, word: str, **more: t.Any) -> dict[str, t.Any]:
    return {"alias": _alias(place), "room_id": place.ids[word], **more}


def _make_publishing_room(place: Place) -> None:
    _make_rooms(place, "room", "other", alias="lobby")


def _set_published(place: Place, publishing: str | None) -> None:
    """Point the alias to that room, which publishes it, or remove it. No other room publishes it."""
    server, alias = place.server, _alias(place)
    token = server.speaking_as(place.user("creator"))
    directory = f"/_matrix/client/v3/directory/room/{urllib.parse.quote(alias, safe='')}"
    # It may be free.
    assert server.ask("DELETE", directory)[0] in (200, 404)
    if publishing:
        server.send("PUT", directory, {"room_id": place.ids[publishing]}, token)
    for word, room_id in place.ids.items():
        content = {"alias": alias} if word == publishing else {}
        server.send("PUT", f"/_matrix/client/v3/rooms/{room_id}/state/m.room.canonical_alias", content, token)


def _publish_nothing(place: Place) -> None:
    _set_published(place, None)


def _publish_again(place: Place) -> None:
    _set_published(place, "room")


_ALIASES = (
    Case(
        "create an alias",
        "synapse_room_alias",
        make_room,
        lambda place: _declare_alias(place, "room", canonical=True),
        _state_of_alias,
        {"alias": "point the alias", "published by room": "set the published aliases"},
        traces=_tokens,
        restore=_publish_nothing,
    ),
    Case(
        "move an alias",
        "synapse_room_alias",
        _make_publishing_room,
        lambda place: _declare_alias(place, "other", canonical=True),
        _state_of_alias,
        {
            "alias": "move the alias from <room>",
            "published by room": "remove the alias from the published aliases",
            "published by other": "set the published aliases",
        },
        traces=_tokens,
        restore=_publish_again,
    ),
    Case(
        "remove an alias",
        "synapse_room_alias",
        _make_publishing_room,
        lambda place: {"alias": _alias(place), "state": "absent"},
        _state_of_alias,
        {
            "alias": "remove the alias, which points to",
            "published by room": "remove the alias from the published aliases",
        },
        traces=_tokens,
        restore=_publish_again,
    ),
)


def _destination(place: Place) -> str:
    return f"{place.unique}.dead.test"


def make_destination(place: Place) -> None:
    """Record on the server that it could not reach another server."""
    now = int(time.time() * 1000)
    columns = {"retry_last_ts": now, "retry_interval": _HOUR, "failure_ts": now - _HOUR}
    meeting.note(place.server, _destination(place), **columns)


def _state_of_destination(place: Place) -> State:
    query = "SELECT COALESCE(retry_last_ts, 0) > 0 FROM destinations WHERE destination = ?"
    return {"failing": [bool(failing) for (failing,) in place.server.rows(query, _destination(place))]}


_DESTINATIONS = (
    Case(
        "reset a destination",
        "synapse_federation_destination",
        make_destination,
        lambda place: {"destination": _destination(place)},
        _state_of_destination,
        {"failing": "reset the backoff"},
    ),
)

CASES = (*_ROOMS, *_ALIASES, *_DESTINATIONS)
