# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room_alias does to aliases and to what rooms name."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.alias_cases import (
    Prepare,
    declare,
    freed_by_synapse,
    full,
    having,
    listed,
    look,
    make_rooms,
    moved_before,
    parameters_for,
    without_power,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Result,
    named,
    play,
    prove,
)

_NOBODY = r"nobody of this server in the room has the power for it \(50\)"


def _change(
    name: str,
    declared: t.Callable[[Place], Parameters],
    *,
    of: str,
    room: str | None,
    was: str | None = None,
    written_as: str | None = None,
    dangling: str | None = None,
    prepare: Prepare = make_rooms,
    changes: bool = True,
    shows: State | None = None,
) -> Expectation:
    """The alias with the word `of` then points to `room`, and pointed to the one that it `was`.

    `written_as`: the word of whom rooms were changed as. `dangling`: what is said of a room that names it all the same.
    """

    def returned(place: Place) -> Result:
        return {
            "alias": full(place, of),
            "room_id": place.ids[room] if room else None,
            "previous_room_id": place.ids[was] if was else None,
            "written_as": [place.user(written_as)] if written_as else [],
            "dangling": dangling is not None,
            "dangling_reason": re.compile(dangling) if dangling else None,
        }

    shown = {of: room, "tokens": 1, **(shows or {})}
    return Expectation(
        name,
        "synapse_room_alias",
        declared,
        prepare=prepare,
        changes=changes,
        state=look,
        shows=lambda place: shown,
        returns=returned,
    )


def _freed(word: str, room: str | None = None) -> t.Callable[[Place], Parameters]:
    return declare(word, room, state="absent")


_NAMED = having(main="new", names={"new": ("main", [])})
_NAMED_BESIDE = having(main="new", names={"new": (None, ["main"])})
_ALL_NAMED = having(odd="new", main="new", second="new", names={"new": ("odd", ["main", "second"])})
_LOST = having(lost="old", names={"old": ("lost", [])})

_POINTING = (
    _change("free an alias that is free", _freed("lobby"), of="lobby", room=None, changes=False),
    _change(
        "let it point to a room",
        declare("lobby", "old"),
        of="lobby",
        room="old",
        shows={"aliases of old": ["lobby"], "aliases of new": []},
    ),
    _change(
        "let it point where it does",
        declare("lobby", "old"),
        prepare=having(lobby="old"),
        changes=False,
        of="lobby",
        room="old",
        was="old",
    ),
    _change(
        "move it to a room without a server name in its id",
        lambda place: {"alias": full(place, "lobby"), "room_id": place.ids["new"]},
        prepare=having(lobby="old"),
        of="lobby",
        room="new",
        was="old",
        shows={"aliases of old": [], "aliases of new": ["lobby"]},
    ),
    _change(
        "move it back",
        declare("lobby", "old"),
        prepare=moved_before("lobby", "new", having(lobby="old")),
        of="lobby",
        room="old",
        was="new",
        shows={"aliases of old": ["lobby"], "aliases of new": []},
    ),
    _change(
        "free it",
        _freed("lobby"),
        prepare=having(lobby="old"),
        of="lobby",
        room=None,
        was="old",
        shows={"aliases of old": []},
    ),
    _change(
        "let an alias with every odd character point to a room",
        declare("odd", "new"),
        of="odd",
        room="new",
        shows={"aliases of new": ["odd"]},
    ),
    _change(
        "free the alias with every odd character",
        _freed("odd"),
        prepare=having(odd="new"),
        of="odd",
        room=None,
        was="new",
        shows={"aliases of new": []},
    ),
)

# The rooms name what they are found under. The admin is in none of them, so somebody else is written as.
_NAMING = (
    _change(
        "let it be the main address of a room that its creator leads",
        declare("main", "new", canonical=True),
        of="main",
        room="new",
        written_as="creator",
        shows={"new names": ("main", [])},
    ),
    _change(
        "let another alias point there without being named",
        declare("second", "new"),
        prepare=_NAMED,
        of="second",
        room="new",
        shows={"new names": ("main", [])},
    ),
    _change(
        "let the odd one be the main address beside the other two",
        declare("odd", "new", canonical=True, alt_aliases=["second", "main"]),
        prepare=having(main="new", second="new", names={"new": ("main", [])}),
        of="odd",
        room="new",
        written_as="creator",
        shows={"new names": ("odd", ["main", "second"])},
    ),
    _change(
        "let a room name no other address",
        declare("odd", "new", canonical=True, alt_aliases=[]),
        prepare=_ALL_NAMED,
        of="odd",
        room="new",
        was="new",
        written_as="creator",
        shows={"new names": ("odd", []), "aliases of new": ["main", "odd", "second"]},
    ),
    _change(
        "free one that the room names beside its main address",
        _freed("second"),
        prepare=_ALL_NAMED,
        of="second",
        room=None,
        was="new",
        written_as="creator",
        shows={"new names": ("odd", ["main"])},
    ),
    _change(
        "move the main address to another room whose main address it becomes",
        declare("odd", "old", canonical=True),
        prepare=having(odd="new", main="new", names={"new": ("odd", ["main"])}),
        of="odd",
        room="old",
        was="new",
        written_as="creator",
        shows={"old names": ("odd", []), "new names": (None, ["main"])},
    ),
    _change(
        "see that the room that it left does not name it any more",
        declare("main", "new", canonical=False),
        prepare=_NAMED_BESIDE,
        changes=False,
        of="main",
        room="new",
        was="new",
        shows={"new names": (None, ["main"])},
    ),
    _change(
        "let it be the main address no more",
        declare("main", "new", canonical=False),
        prepare=_NAMED,
        of="main",
        room="new",
        was="new",
        written_as="creator",
        shows={"new names": (None, [])},
    ),
    _change(
        "free the main address",
        _freed("odd"),
        prepare=having(odd="old", names={"old": ("odd", [])}),
        of="odd",
        room=None,
        was="old",
        written_as="creator",
        shows={"old names": (None, [])},
    ),
    _change(
        "free the last one that a room names",
        _freed("main"),
        prepare=_NAMED_BESIDE,
        of="main",
        room=None,
        was="new",
        written_as="creator",
        shows={"new names": (None, [])},
    ),
)

# What a room names although it is free.
_DANGLING = (
    _change(
        "free an alias of a room that nobody here leads",
        _freed("lost"),
        prepare=listed("lost", without_power(_LOST)),
        of="lost",
        room=None,
        was="old",
        dangling=_NOBODY,
        shows={"old names": ("lost", [])},
    ),
    _change(
        "look at that room again",
        _freed("lost", "old"),
        prepare=freed_by_synapse("lost", without_power(_LOST)),
        changes=False,
        of="lost",
        room=None,
        dangling=_NOBODY,
        shows={"old names": ("lost", [])},
    ),
    _change(
        "take off what a room still names that is told",
        _freed("lost", "old"),
        prepare=freed_by_synapse("lost", _LOST),
        of="lost",
        room=None,
        written_as="creator",
        shows={"old names": (None, [])},
    ),
    _change(
        "take off the main address of a room that is found",
        _freed("lost"),
        prepare=freed_by_synapse("lost", listed("lost", _LOST)),
        of="lost",
        room=None,
        written_as="creator",
        shows={"old names": (None, [])},
    ),
)


@pytest.mark.parametrize("case", named((*_POINTING, *_NAMING, *_DANGLING)))
def test_declared(place: Place, case: Expectation) -> None:
    prove(place, case)


def test_admin_writes_as_itself(place: Place) -> None:
    make_rooms(place)
    place.ids["own"] = place.server.make_room(place.server.token)
    declared = parameters_for(place, "main", canonical=True) | {"room_id": place.ids["own"]}
    results = [play(place, "synapse_room_alias", declared, check=check) for check in (True, False)]
    assert [result["written_as"] for result in results] == [[place.server.admin]] * 2
    named_there = place.server.get(f"/_matrix/client/v3/rooms/{place.ids['own']}/state/m.room.canonical_alias")
    assert named_there == {"alias": full(place, "main")}
