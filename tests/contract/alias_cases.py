# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rooms and aliases for the cases of synapse_room_alias. The creator of the rooms is not an admin."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, play
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

# The id of the one contains a server name, as all did before version 12, and the id of the other one does not.
_VERSIONS = {"old": "11", "new": "12"}
_ALIASES = ("lobby", "main", "second", "odd", "lost", "kept")
# Characters that have a meaning in a path, and some that are not ASCII: invisible joiners, spaces that Synapse does not
# take for white space, and control characters. It is longer than 255 bytes, but not than 255 characters.
_ODD = "a/b%2F?c=d&e+f#ä-日本.👩\u200d💻می\u200cخواهم" + "\u00a0\u3000\x01\x7f" + "🐇" * 60

Prepare = t.Callable[[Place], None]
# The canonical alias of a room, and the alternative ones.
Published = tuple[str | None, list[str]]


def make_rooms(place: Place) -> None:
    """Create a room of each kind, with the words `old` and `new` for their ids."""
    place.server.make_account(f"{place.unique}-creator")
    token = place.server.speaking_as(place.user("creator"))
    place.ids["token"] = token
    place.ids.update({word: place.server.make_room(token, room_version=version) for word, version in _VERSIONS.items()})
    assert place.ids["old"].endswith(f":{place.server.name}")
    assert ":" not in place.ids["new"]


def short(place: Place, word: str) -> str:
    """Return an alias of this case in its short form."""
    return f"#{place.unique}-{_ODD if word == 'odd' else word}"


def full(place: Place, word: str) -> str:
    """The same with the name of the server."""
    return f"{short(place, word)}:{place.server.name}"


def parameters_for(place: Place, word: str, room: str | None = None, **more: t.Any) -> Parameters:
    """Return the parameters for an alias, a room and other aliases, all by their words."""
    declared = {"alias": short(place, word), **more}
    if room:
        declared["room_id"] = place.ids[room]
    if "alt_aliases" in more:
        declared["alt_aliases"] = [short(place, other) for other in more["alt_aliases"]]
    return declared


def declare(word: str, room: str | None = None, **more: t.Any) -> t.Callable[[Place], Parameters]:
    """The same for a place that is only known later."""
    return lambda place: parameters_for(place, word, room, **more)


def having(*, published: t.Mapping[str, Published] | None = None, **points: str) -> Prepare:
    """Create the rooms, aliases that point to them, and what they publish, all by their words."""

    def prepare(place: Place) -> None:
        make_rooms(place)
        for word, room in points.items():
            place.server.send("PUT", _directory(full(place, word)), {"room_id": place.ids[room]}, place.ids["token"])
        for room, (canonical, alternatives) in (published or {}).items():
            content: dict[str, t.Any] = {"alt_aliases": [full(place, other) for other in alternatives]}
            if canonical:
                content["alias"] = full(place, canonical)
            place.server.send("PUT", _state(place, room, "m.room.canonical_alias"), content, place.ids["token"])

    return prepare


def moved_before(word: str, room: str, prepare: Prepare) -> Prepare:
    """The same, and then move an alias with the module."""

    def move(place: Place) -> None:
        prepare(place)
        assert play(place, "synapse_room_alias", parameters_for(place, word, room))["changed"]

    return move


def without_power(prepare: Prepare) -> Prepare:
    """The same, and then let the creator give up the power level in the old room."""

    def step_down(place: Place) -> None:
        prepare(place)
        place.server.send("PUT", _state(place, "old", "m.room.power_levels"), {"users": {}}, place.ids["token"])

    return step_down


def removed_by_synapse(word: str, prepare: Prepare) -> Prepare:
    """The same, and then remove an alias as admin without the module: the room still publishes it."""

    def remove(place: Place) -> None:
        prepare(place)
        place.server.send("DELETE", _directory(full(place, word)))

    return remove


def also_published_by_new(word: str, prepare: Prepare) -> Prepare:
    """The same, and then let the new room publish an alias that is free, and shadow-ban its creator."""

    def publish(place: Place) -> None:
        prepare(place)
        server, token, alias = place.server, place.ids["token"], full(place, word)
        server.send("PUT", _directory(alias), {"room_id": place.ids["new"]}, token)
        server.send("PUT", _state(place, "new", "m.room.canonical_alias"), {"alias": alias}, token)
        server.send("POST", f"/_synapse/admin/v1/users/{place.user('creator')}/shadow_ban", {})

    return publish


def listed(word: str, prepare: Prepare) -> Prepare:
    """The same, and wait until Synapse lists a room with that canonical alias, which it does in the background."""

    def wait(place: Place) -> None:
        prepare(place)
        path = f"/_synapse/admin/v1/rooms?search_term={place.unique}"
        until(
            lambda: [room["canonical_alias"] for room in place.server.get(path)["rooms"]],
            lambda found: full(place, word) in found,
        )

    return wait


def _directory(alias: str) -> str:
    return f"/_matrix/client/v3/directory/room/{urllib.parse.quote(alias, safe='')}"


def _state(place: Place, room: str, kind: str) -> str:
    return f"/_matrix/client/v3/rooms/{place.ids[room]}/state/{kind}"


def look(place: Place) -> State:
    """Return the room that each alias points to, the aliases of each room, what it publishes, and the creator's tokens.

    Rooms and aliases are returned by their words.
    """
    server, token = place.server, place.ids["token"]
    rooms = {place.ids[word]: word for word in _VERSIONS}
    words = {full(place, word): word for word in _ALIASES}
    found = {word: server.found(_directory(alias)) for alias, word in words.items()}
    state: State = {word: rooms[answer["room_id"]] if answer else None for word, answer in found.items()}
    for room_id, word in rooms.items():
        aliases = server.send("GET", f"/_matrix/client/v3/rooms/{room_id}/aliases", token=token)["aliases"]
        state[f"aliases of {word}"] = sorted(words[alias] for alias in aliases)
        status, content = server.ask("GET", _state(place, word, "m.room.canonical_alias"), token=token)
        assert status in (200, 404), content
        canonical = content.get("alias") if status == 200 else None
        others = content.get("alt_aliases", []) if status == 200 else []
        state[f"{word} publishes"] = (words[canonical] if canonical else None, sorted(words[other] for other in others))
    # The module has logged out the tokens in the creator's name.
    query = "SELECT COUNT(*) FROM access_tokens WHERE puppets_user_id = ?"
    state["tokens"] = server.rows(query, place.user("creator"))[0][0]
    return state
