# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room_alias does to aliases and to the aliases that rooms publish."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.alias_cases import (
    Prepare,
    also_published_by_new,
    declare,
    full,
    having,
    listed,
    look,
    make_rooms,
    moved_before,
    parameters_for,
    removed_by_synapse,
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

_NO_USER = "no user of this server in the room has the required power level (50)"


def _change(
    name: str,
    declared: t.Callable[[Place], Parameters],
    *,
    of: str,
    room: str | None,
    was: str | None = None,
    written_as: str | None = None,
    still_published_by: t.Callable[[Place], t.Mapping[str, str]] = lambda _place: {},
    prepare: Prepare = make_rooms,
    changes: bool = True,
    repeatable: bool = True,
    shows: State | None = None,
) -> Expectation:
    """The alias with the word `of` then points to `room`, and pointed to the one that it `was`.

    `written_as`: the word of the user in whose name rooms were changed. `still_published_by`: the reasons why
    no user can change the rooms that still publish it, by the words for these rooms in their order.
    """

    def returned(place: Place) -> Result:
        found = {
            "alias": full(place, of),
            **({"room_id": place.ids[room]} if room else {}),
            **({"previous_room_id": place.ids[was]} if was else {}),
            "written_as": [place.user(written_as)] if written_as else [],
            "still_published_by": [
                {"room_id": place.ids[word], "reason": reason} for word, reason in still_published_by(place).items()
            ],
        }
        return {"room_alias": found}

    shown = {of: room, "tokens": 1, **(shows or {})}
    return Expectation(
        name,
        "synapse_room_alias",
        declared,
        prepare=prepare,
        changes=changes,
        repeatable=repeatable,
        state=look,
        shows=lambda place: shown,
        returns=returned,
    )


def _removed(word: str, room: str | None = None) -> t.Callable[[Place], Parameters]:
    return declare(word, room, state="absent")


_PUBLISHED = having(main="new", published={"new": ("main", [])})
_PUBLISHED_AS_ALTERNATIVE = having(main="new", published={"new": (None, ["main"])})
_ALL_PUBLISHED = having(odd="new", main="new", second="new", published={"new": ("odd", ["main", "second"])})
_LOST = having(lost="old", published={"old": ("lost", [])})

_POINTING = (
    _change("remove an alias that is free", _removed("lobby"), of="lobby", room=None, changes=False),
    _change(
        "point it to a room",
        declare("lobby", "old"),
        of="lobby",
        room="old",
        shows={"aliases of old": ["lobby"], "aliases of new": []},
    ),
    _change(
        "point it to the room that it points to",
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
        "remove it",
        _removed("lobby"),
        prepare=having(lobby="old"),
        of="lobby",
        room=None,
        was="old",
        shows={"aliases of old": []},
    ),
    _change(
        "point an alias with special characters to a room",
        declare("odd", "new"),
        of="odd",
        room="new",
        shows={"aliases of new": ["odd"]},
    ),
    _change(
        "remove an alias with special characters",
        _removed("odd"),
        prepare=having(odd="new"),
        of="odd",
        room=None,
        was="new",
        shows={"aliases of new": []},
    ),
)

# The admin is in none of the rooms, so they are changed in the name of their creator.
_PUBLISHING = (
    _change(
        "make it the canonical alias of a room",
        declare("main", "new", canonical=True),
        of="main",
        room="new",
        written_as="creator",
        shows={"new publishes": ("main", [])},
    ),
    _change(
        "point another alias to the room that does not publish it",
        declare("second", "new"),
        prepare=_PUBLISHED,
        of="second",
        room="new",
        shows={"new publishes": ("main", [])},
    ),
    _change(
        "make the special one the canonical alias, with the other two as alternatives",
        declare("odd", "new", canonical=True, alt_aliases=["second", "main"]),
        prepare=having(main="new", second="new", published={"new": ("main", [])}),
        of="odd",
        room="new",
        written_as="creator",
        shows={"new publishes": ("odd", ["main", "second"])},
    ),
    _change(
        "publish no alternative aliases",
        declare("odd", "new", canonical=True, alt_aliases=[]),
        prepare=_ALL_PUBLISHED,
        of="odd",
        room="new",
        was="new",
        written_as="creator",
        shows={"new publishes": ("odd", []), "aliases of new": ["main", "odd", "second"]},
    ),
    _change(
        "remove an alternative alias",
        _removed("second"),
        prepare=_ALL_PUBLISHED,
        of="second",
        room=None,
        was="new",
        written_as="creator",
        shows={"new publishes": ("odd", ["main"])},
    ),
    _change(
        "move the canonical alias to another room as its canonical alias",
        declare("odd", "old", canonical=True),
        prepare=having(odd="new", main="new", published={"new": ("odd", ["main"])}),
        of="odd",
        room="old",
        was="new",
        written_as="creator",
        shows={"old publishes": ("odd", []), "new publishes": (None, ["main"])},
    ),
    _change(
        "an alternative alias is not the canonical alias",
        declare("main", "new", canonical=False),
        prepare=_PUBLISHED_AS_ALTERNATIVE,
        changes=False,
        of="main",
        room="new",
        was="new",
        shows={"new publishes": (None, ["main"])},
    ),
    _change(
        "make it not the canonical alias any more",
        declare("main", "new", canonical=False),
        prepare=_PUBLISHED,
        of="main",
        room="new",
        was="new",
        written_as="creator",
        shows={"new publishes": (None, [])},
    ),
    _change(
        "remove the canonical alias",
        _removed("odd"),
        prepare=having(odd="old", published={"old": ("odd", [])}),
        of="odd",
        room=None,
        was="old",
        written_as="creator",
        shows={"old publishes": (None, [])},
    ),
    _change(
        "remove the last alias that a room publishes",
        _removed("main"),
        prepare=_PUBLISHED_AS_ALTERNATIVE,
        of="main",
        room=None,
        was="new",
        written_as="creator",
        shows={"new publishes": (None, [])},
    ),
)

# Aliases that a room publishes although they are free.
_STILL_PUBLISHED = (
    _change(
        "remove an alias of a room in which no user has the power level",
        _removed("lost"),
        prepare=listed("lost", without_power(_LOST)),
        of="lost",
        room=None,
        was="old",
        still_published_by=lambda _place: {"old": _NO_USER},
        shows={"old publishes": ("lost", [])},
    ),
    _change(
        "the same room again",
        _removed("lost", "old"),
        prepare=removed_by_synapse("lost", without_power(_LOST)),
        changes=False,
        of="lost",
        room=None,
        still_published_by=lambda _place: {"old": _NO_USER},
        shows={"old publishes": ("lost", [])},
    ),
    _change(
        "remove an alias that two rooms still publish, which no user can change for different reasons",
        _removed("lost", "old"),
        prepare=also_published_by_new("lost", removed_by_synapse("lost", without_power(_LOST))),
        of="lost",
        room=None,
        was="new",
        # Another run only finds the declared room, because the alias does not point to the other one any more.
        repeatable=False,
        still_published_by=lambda place: {
            "new": (
                "every user of this server who has the required power level is locked, suspended or shadow-banned"
                f" ({place.user('creator')})"
            ),
            "old": _NO_USER,
        },
        shows={"old publishes": ("lost", []), "new publishes": ("lost", [])},
    ),
    _change(
        "remove an alias that a declared room still publishes",
        _removed("lost", "old"),
        prepare=removed_by_synapse("lost", _LOST),
        of="lost",
        room=None,
        written_as="creator",
        shows={"old publishes": (None, [])},
    ),
    _change(
        "remove the canonical alias of a room that is found",
        _removed("lost"),
        prepare=removed_by_synapse("lost", listed("lost", _LOST)),
        of="lost",
        room=None,
        written_as="creator",
        shows={"old publishes": (None, [])},
    ),
)


@pytest.mark.parametrize("case", named((*_POINTING, *_PUBLISHING, *_STILL_PUBLISHED)))
def test_declared(place: Place, case: Expectation) -> None:
    prove(place, case)


def test_admin_writes_as_itself(place: Place) -> None:
    make_rooms(place)
    place.ids["own"] = place.server.make_room(place.server.token)
    declared = parameters_for(place, "main", canonical=True) | {"room_id": place.ids["own"]}
    results = [play(place, "synapse_room_alias", declared, check=check) for check in (True, False)]
    assert [result["room_alias"]["written_as"] for result in results] == [[place.server.admin]] * 2
    published = place.server.get(f"/_matrix/client/v3/rooms/{place.ids['own']}/state/m.room.canonical_alias")
    assert published == {"alias": full(place, "main")}
