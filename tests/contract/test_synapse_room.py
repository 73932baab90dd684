# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room does to rooms. They are the creator's, who is no admin: the admin is in none of them."""

from __future__ import annotations

import functools
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    named,
    nothing,
    play,
    prove,
    prove_refusal,
)

_UNPREDICTABLE = ("delete_id", "delete_status", "kicked_users", "failed_to_kick_users", "local_aliases", "new_room_id")


def make_room(place: Place, **body: t.Any) -> None:
    """Make a room of version 11 with the word `room` for its id, and somebody with the word `lead`."""
    place.server.make_account(f"{place.unique}-creator")
    place.server.make_account(f"{place.unique}-lead")
    token = place.server.speaking_as(place.user("creator"))
    place.ids["room"] = place.server.make_room(token, **{"room_version": "11", **body})
    place.ids["token"] = token


def _bring_about(place: Place, **declared: t.Any) -> None:
    done = play(place, "synapse_room", {"room_id": place.ids["room"], **declared})
    assert done.get("changed"), done


def _public(place: Place) -> None:
    # In this version the one who makes a room stands above all and is not named in its power levels.
    make_room(place, room_version="12", preset="public_chat")


def _blocked(place: Place) -> None:
    make_room(place)
    _bring_about(place, blocked=True)


def _blocked_and_left_by_all(place: Place) -> None:
    _public(place)
    _bring_about(place, state="absent", purge=False, blocked=True)


def _invited(place: Place) -> None:
    make_room(place)
    _bring_about(place, admin_user=place.user("lead"))


def _left(place: Place) -> None:
    make_room(place)
    place.server.send("POST", f"/_matrix/client/v3/rooms/{place.ids['room']}/leave", {}, place.ids["token"])


def _with_alias(place: Place) -> None:
    make_room(place, room_alias_name=f"{place.unique}-moved")


def _headless(place: Place) -> None:
    make_room(place)
    path = f"/_matrix/client/v3/rooms/{place.ids['room']}/state/m.room.power_levels"
    place.server.send("PUT", path, {"users": {}}, place.ids["token"])


def _deactivated(place: Place) -> None:
    make_room(place)
    place.server.send("POST", f"/_synapse/admin/v1/deactivate/{place.user('lead')}")


def _never_here(place: Place) -> None:
    place.ids["room"] = f"!{place.unique}:here.test"


def look_at_room(place: Place, room_id: str | None = None) -> State:
    """Return what the server shows of a room: whether it is there, its block, who is in it, who has power."""
    path = f"/_synapse/admin/v1/rooms/{room_id or place.ids['room']}"
    there = place.server.found(path) is not None
    state: State = {"there": there, "blocked": place.server.get(f"{path}/block")["block"], "members": [], "power": None}
    if there:
        state["members"] = place.server.get(f"{path}/members")["members"]
        events = place.server.get(f"{path}/state?type=m.room.power_levels")["state"]
        state["power"] = events[0]["content"].get("users") if events else None
    return state


def _declare(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: {"room_id": place.ids["room"], "wait_timeout": 60, **declared}


def _creator_alone(place: Place) -> State:
    return {"there": True, "blocked": False, "members": [place.user("creator")]}


def _deleted(*words: str, aliases: t.Sequence[str] = ()) -> t.Callable[[Place], dict[str, t.Any]]:
    """What is returned of a deletion: whom it made leave, and which aliases it took away."""
    return lambda place: {
        "kicked_users": lambda found: sorted(found) == [place.user(word) for word in words],
        "local_aliases": [f"#{place.unique}-{alias}:{place.server.name}" for alias in aliases],
        "delete_status": "complete",
        "delete_id": bool,
        "failed_to_kick_users": [],
    }


def _change(name: str, **declared: t.Any) -> Expectation:
    """Of everything that a deletion returns there is nothing but what a case names; the block is as the server says."""
    shows, returns = declared["shows"], declared.pop("returns", nothing)

    def returned(place: Place) -> dict[str, t.Any]:
        nothing_deleted = dict.fromkeys(_UNPREDICTABLE)
        return {**nothing_deleted, "blocked": shows(place)["blocked"], **returns(place)}

    return Expectation(
        name, "synapse_room", state=look_at_room, unpredictable=_UNPREDICTABLE, returns=returned, **declared
    )


EXPECTATIONS = (
    _change(
        "a room that is there",
        prepare=make_room,
        parameters=_declare(),
        changes=False,
        shows=_creator_alone,
    ),
    _change(
        "block a room",
        prepare=make_room,
        parameters=_declare(blocked=True),
        shows=lambda place: {**_creator_alone(place), "blocked": True},
    ),
    _change(
        "lift the block, and let somebody lead who is not in the room",
        prepare=_blocked,
        parameters=lambda place: _declare(blocked=False, admin_user=f"{place.unique}-lead")(place),
        shows=lambda place: {
            **_creator_alone(place),
            "power": {place.user("creator"): 100, place.user("lead"): 100},
        },
    ),
    _change(
        "let somebody lead who does already",
        prepare=make_room,
        parameters=lambda place: _declare(admin_user=place.user("creator"))(place),
        changes=False,
        shows=_creator_alone,
    ),
    _change(
        "let somebody lead a room whose creator stands above all",
        prepare=_public,
        parameters=lambda place: _declare(admin_user=place.user("lead"))(place),
        shows=lambda place: {**_creator_alone(place), "power": {place.user("lead"): 100}},
    ),
    _change(
        "let the creator lead who stands above all",
        prepare=_public,
        parameters=lambda place: _declare(admin_user=place.user("creator"))(place),
        changes=False,
        shows=_creator_alone,
    ),
    _change(
        "make everybody leave, and keep the room and its block",
        prepare=_public,
        parameters=_declare(state="absent", purge=False, blocked=True),
        shows=lambda place: {"there": True, "blocked": True, "members": []},
        returns=_deleted("creator"),
    ),
    _change(
        "delete a room after that, and let it be free again",
        prepare=_blocked_and_left_by_all,
        parameters=_declare(state="absent", blocked=False),
        shows=lambda place: {"there": False, "blocked": False},
        returns=_deleted(),
    ),
    _change(
        "delete a room that everybody has left",
        prepare=_left,
        parameters=_declare(state="absent"),
        shows=lambda place: {"there": False, "blocked": False},
        returns=_deleted(),
    ),
    _change(
        "delete a room to which somebody was only invited, and block it in one go",
        prepare=_invited,
        parameters=_declare(state="absent", blocked=True),
        shows=lambda place: {"there": False, "blocked": True},
        returns=_deleted("creator", "lead"),
    ),
    _change(
        "move people and alias to a new room",
        prepare=_with_alias,
        parameters=lambda place: _declare(
            state="absent",
            new_room={"user_id": place.user("lead"), "name": "New", "announcement": "It has moved."},
        )(place),
        shows=lambda place: {"there": False, "blocked": False},
        returns=lambda place: {
            **_deleted("creator", aliases=["moved"])(place),
            "new_room_id": lambda room_id: place.user("lead") in look_at_room(place, room_id)["members"],
        },
    ),
    _change(
        "a room that was never here",
        prepare=_never_here,
        parameters=_declare(state="absent"),
        changes=False,
        shows=lambda place: {"there": False, "blocked": False},
    ),
    _change(
        "block a room that was never here",
        prepare=_never_here,
        parameters=_declare(state="absent", blocked=True),
        shows=lambda place: {"there": False, "blocked": True},
    ),
)


_refusal = functools.partial(Refusal, module="synapse_room", state=look_at_room, prepare=make_room)

REFUSALS = (
    _refusal(
        "a room that is not here",
        prepare=_never_here,
        parameters=_declare(),
        message="is not on this server.*Rooms are made by people",
    ),
    _refusal(
        "an alias in place of a room id",
        parameters=lambda place: {"room_id": f"#{place.unique}:{place.server.name}", "state": "absent"},
        message="is not a room id",
    ),
    _refusal(
        "an admin who does not exist",
        parameters=_declare(admin_user="nobody"),
        message="admin_user @nobody:.* does not exist on this server. nothing was changed",
    ),
    _refusal(
        "an admin who is deactivated",
        prepare=_deactivated,
        parameters=lambda place: _declare(admin_user=place.user("lead"))(place),
        message="admin_user @.*-lead:.* is deactivated",
    ),
    _refusal(
        "an admin of another server",
        parameters=_declare(admin_user="@alice:other.test"),
        message="of the server other.test, but this server is",
    ),
    _refusal(
        "an admin of a room that nobody here leads",
        prepare=_headless,
        parameters=lambda place: _declare(admin_user=place.user("lead"))(place),
        message="cannot be made admin of .* because nobody of this server who is in the room can do that",
    ),
    _refusal(
        "a new room of somebody who does not exist",
        parameters=_declare(state="absent", new_room={"user_id": "nobody"}),
        message="new_room.user_id @nobody:.* does not exist",
    ),
    _refusal(
        "words without somebody to say them",
        parameters=_declare(state="absent", new_room={"announcement": "Hello"}),
        message="user_id.*new_room",
    ),
    _refusal(
        "a negative time",
        parameters=_declare(state="absent", wait_timeout=-1),
        message="wait_timeout is -1",
    ),
    _refusal(
        "the token of somebody who is no admin",
        parameters=lambda place: _declare(state="absent", access_token=place.server.user_token)(place),
        message="not a server admin",
    ),
    _refusal(
        "an unreachable server",
        parameters=_declare(state="absent", base_url="http://127.0.0.1:1"),
        message="Connection refused",
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove(place, case)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
