# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room does to rooms. Their creator is not a server admin, and the admin is in none of them."""

from __future__ import annotations

import functools
import re
import typing as t
import urllib.parse

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms import event_size
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

# Only a deletion itself can know its result.
_UNPREDICTABLE = ("deletion",)


def make_room(place: Place, **body: t.Any) -> None:
    """Create a room of version 11 with the word `room` for its id, and a user with the word `promoted`."""
    place.server.make_account(f"{place.unique}-creator")
    place.server.make_account(f"{place.unique}-promoted")
    token = place.server.speaking_as(place.user("creator"))
    place.ids["room"] = place.server.make_room(token, **{"room_version": "11", **body})
    place.ids["token"] = token


def _bring_about(place: Place, **declared: t.Any) -> None:
    done = play(place, "synapse_room", {"room_id": place.ids["room"], **declared})
    assert done.get("changed"), done


def _public(place: Place) -> None:
    # In this version the creator has an unlimited power level and is not listed in the power levels.
    make_room(place, room_version="12", preset="public_chat")


def _blocked(place: Place) -> None:
    make_room(place)
    _bring_about(place, blocked=True)


def _blocked_and_without_members(place: Place) -> None:
    _public(place)
    _bring_about(place, state="absent", purge=False, blocked=True)


def _invited(place: Place) -> None:
    make_room(place)
    _bring_about(place, admin_user_id=place.user("promoted"))


def _left(place: Place) -> None:
    make_room(place)
    place.server.send("POST", f"/_matrix/client/v3/rooms/{place.ids['room']}/leave", {}, place.ids["token"])


def _with_alias(place: Place) -> None:
    make_room(place, room_alias_name=f"{place.unique}-moved")


def _without_power(place: Place) -> None:
    make_room(place)
    path = f"/_matrix/client/v3/rooms/{place.ids['room']}/state/m.room.power_levels"
    place.server.send("PUT", path, {"users": {}}, place.ids["token"])


def _deactivated(place: Place) -> None:
    make_room(place)
    place.server.send("POST", f"/_synapse/admin/v1/deactivate/{place.user('promoted')}")


def _never_here(place: Place) -> None:
    place.ids["room"] = f"!{place.unique}:here.test"


def _never_here_with_an_odd_id(place: Place) -> None:
    place.ids["room"] = f"!{place.unique}👩\u00a0{'🐇' * 60}:here.test"


def _suspended(place: Place) -> None:
    make_room(place)
    place.server.send("PUT", f"/_synapse/admin/v1/suspend/{place.user('promoted')}", {"suspend": True})


def _unwelcoming(place: Place) -> None:
    make_room(place)
    user = place.user("promoted")
    path = f"/_matrix/client/v3/user/{user}/account_data/m.invite_permission_config"
    place.server.send("PUT", path, {"default_action": "block"}, place.server.speaking_as(user))


def _banned(place: Place) -> None:
    make_room(place)
    path = f"/_matrix/client/v3/rooms/{place.ids['room']}/ban"
    place.server.send("POST", path, {"user_id": place.user("promoted")}, place.ids["token"])


def _named_id(word: str) -> t.Callable[[Place], None]:
    """Return a function that gives the room an ID that Synapse does not accept."""

    def prepare(place: Place) -> None:
        place.ids["room"] = word

    return prepare


def look_at_room(place: Place, room_id: str | None = None) -> State:
    """Return what the server shows of a room: whether it exists or is blocked, its members and power levels."""
    path = f"/_synapse/admin/v1/rooms/{urllib.parse.quote(room_id or place.ids['room'], safe='')}"
    exists = place.server.found(path) is not None
    state: State = {
        "exists": exists,
        "blocked": place.server.get(f"{path}/block")["block"],
        "members": [],
        "power": None,
    }
    if exists:
        state["members"] = place.server.get(f"{path}/members")["members"]
        events = place.server.get(f"{path}/state?type=m.room.power_levels")["state"]
        state["power"] = events[0]["content"].get("users") if events else None
    return state


def _declare(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: {"room_id": place.ids["room"], "wait_timeout": 60, **declared}


def _declare_admin(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: _declare(admin_user_id=place.user("promoted"), **declared)(place)


def _declare_new_room(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: _declare(state="absent", new_room={"creator_user_id": place.user("promoted"), **declared})(
        place
    )


def _creator_alone(place: Place) -> State:
    return {"exists": True, "blocked": False, "members": [place.user("creator")]}


def _deleted(*words: str, aliases: t.Sequence[str] = ()) -> t.Callable[[Place], dict[str, t.Any]]:
    """What is returned for a deletion: the users that it made leave, and the aliases that it moved."""

    def is_complete(place: Place, found: t.Any) -> bool:
        rest = dict(found)
        return (
            bool(rest.pop("delete_id"))
            and sorted(rest.pop("kicked_users")) == [place.user(word) for word in words]
            and (not aliases or place.user("promoted") in look_at_room(place, rest.pop("new_room_id"))["members"])
            and rest
            == {
                "status": "complete",
                "failed_to_kick_users": [],
                "local_aliases": [f"#{place.unique}-{alias}:{place.server.name}" for alias in aliases],
            }
        )

    return lambda place: {"deletion": functools.partial(is_complete, place)}


def _change(name: str, **declared: t.Any) -> Expectation:
    """The block is returned as the server shows it."""
    shows, returns = declared["shows"], declared.pop("returns", nothing)

    def returned(place: Place) -> dict[str, t.Any]:
        room = {"room_id": place.ids["room"], "blocked": shows(place)["blocked"]}
        return {"room": room, **returns(place)}

    return Expectation(
        name, "synapse_room", state=look_at_room, unpredictable=_UNPREDICTABLE, returns=returned, **declared
    )


EXPECTATIONS = (
    _change(
        "a room that exists",
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
        "unblock a room, and make a user admin who is not in it",
        prepare=_blocked,
        parameters=lambda place: _declare(blocked=False, admin_user_id=f"{place.unique}-promoted")(place),
        shows=lambda place: {
            **_creator_alone(place),
            "power": {place.user("creator"): 100, place.user("promoted"): 100},
        },
    ),
    _change(
        "make a user admin who already is",
        prepare=make_room,
        parameters=lambda place: _declare(admin_user_id=place.user("creator"))(place),
        changes=False,
        shows=_creator_alone,
    ),
    _change(
        "make a user admin of a room whose creator has an unlimited power level",
        prepare=_public,
        parameters=_declare_admin(),
        shows=lambda place: {**_creator_alone(place), "power": {place.user("promoted"): 100}},
    ),
    _change(
        "make the creator admin who has an unlimited power level",
        prepare=_public,
        parameters=lambda place: _declare(admin_user_id=place.user("creator"))(place),
        changes=False,
        shows=_creator_alone,
    ),
    _change(
        "make all members leave, and keep and block the room",
        prepare=_public,
        parameters=_declare(state="absent", purge=False, blocked=True),
        shows=lambda place: {"exists": True, "blocked": True, "members": []},
        returns=_deleted("creator"),
    ),
    _change(
        "delete a room after that, and unblock it",
        prepare=_blocked_and_without_members,
        parameters=_declare(state="absent", blocked=False),
        shows=lambda place: {"exists": False, "blocked": False},
        returns=_deleted(),
    ),
    _change(
        "delete a room that all members have left",
        prepare=_left,
        parameters=_declare(state="absent"),
        shows=lambda place: {"exists": False, "blocked": False},
        returns=_deleted(),
    ),
    _change(
        "delete a room that a user was only invited to, and block it in one step",
        prepare=_invited,
        parameters=_declare(state="absent", blocked=True),
        shows=lambda place: {"exists": False, "blocked": True},
        returns=_deleted("creator", "promoted"),
    ),
    _change(
        "move members and an alias to a new room",
        prepare=_with_alias,
        parameters=lambda place: _declare(
            state="absent",
            new_room={"creator_user_id": place.user("promoted"), "name": "New", "announcement": "It has moved."},
        )(place),
        shows=lambda place: {"exists": False, "blocked": False},
        returns=_deleted("creator", aliases=["moved"]),
    ),
    _change(
        "a room that was never on this server",
        prepare=_never_here,
        parameters=_declare(state="absent"),
        changes=False,
        shows=lambda place: {"exists": False, "blocked": False},
    ),
    _change(
        "block a room that was never on this server",
        prepare=_never_here,
        parameters=_declare(state="absent", blocked=True),
        shows=lambda place: {"exists": False, "blocked": True},
    ),
    _change(
        "block a room with a name that is not ASCII",
        prepare=_never_here_with_an_odd_id,
        parameters=_declare(state="absent", blocked=True),
        shows=lambda place: {"exists": False, "blocked": True},
    ),
)


_refusal = functools.partial(Refusal, module="synapse_room", state=look_at_room, prepare=make_room)

REFUSALS = (
    _refusal(
        "a room that is not on this server",
        prepare=_never_here,
        parameters=_declare(),
        message="is not on this server.*Rooms are created by users",
    ),
    _refusal(
        "an alias in place of a room ID",
        parameters=lambda place: {"room_id": f"#{place.unique}:{place.server.name}", "state": "absent"},
        message="is not a room ID",
    ),
    _refusal(
        "an admin who does not exist",
        parameters=_declare(admin_user_id="nobody"),
        message=r"admin_user_id @nobody:.* does not exist on this server\. Nothing was changed",
    ),
    _refusal(
        "an admin who is deactivated",
        prepare=_deactivated,
        parameters=_declare_admin(),
        message="admin_user_id @.*-promoted:.* is deactivated",
    ),
    _refusal(
        "an admin of another server",
        parameters=_declare(admin_user_id="@alice:other.test"),
        message="of the server other.test, but this server is",
    ),
    _refusal(
        "an admin of a room in which no user has the power level",
        prepare=_without_power,
        parameters=_declare_admin(),
        message="cannot be made admin of .* because no user of this server who is in the room has the power level",
    ),
    _refusal(
        "an admin of a room that all members have left",
        prepare=_left,
        parameters=_declare_admin(),
        message="because no user of this server is in the room any more.*must join the room first.*delete it with",
    ),
    _refusal(
        "an admin who is banned",
        prepare=_banned,
        parameters=_declare_admin(),
        message="because the user is banned from the room",
    ),
    _refusal(
        "an admin who must be invited and has blocked invitations",
        prepare=_unwelcoming,
        parameters=_declare_admin(),
        message="must be invited by @.*-creator:.*, and has blocked such invitations",
    ),
    _refusal(
        "an admin who must be invited to a room that the task blocks",
        parameters=_declare_admin(blocked=True),
        message="no user can be invited to a room that is blocked",
    ),
    *(
        _refusal(
            f"a room ID {reason}",
            prepare=_named_id(room_id),
            parameters=_declare(state="absent", blocked=True),
            message="is not a room ID that Synapse accepts.*43 characters",
            state=nothing,
        )
        for reason, room_id in (
            ("that is not complete", "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tV"),
            ("without the name of its server", "!abcdefghijklmnop"),
            ("with an invalid name of its server", "!abcdefghijklmnop:example_org"),
            ("with more than the hash", f"!{'a' * 43}="),
        )
    ),
    _refusal(
        "a new room of a user who is suspended",
        prepare=_suspended,
        parameters=_declare_new_room(),
        message=r"new_room\.creator_user_id @.*-promoted:.* is suspended, so that Synapse creates no room",
    ),
    _refusal(
        "a new room whose name is too large",
        parameters=_declare_new_room(name="ä" * 33_000),
        message=r"new_room\.name would need an event of more than 66\d\d\d bytes",
    ),
    _refusal(
        "a new room whose announcement is too large",
        parameters=_declare_new_room(announcement="ä" * 33_000),
        message=r"new_room\.announcement would need an event of more than 66\d\d\d bytes",
    ),
    _refusal(
        "a new room whose announcement leaves no space for what Synapse adds",
        parameters=_declare_new_room(announcement="x" * 64_900),
        message=r"new_room\.announcement would need .* at most 65536, with up to 1024 that it adds\. Nothing was ch",
    ),
    _refusal(
        "a new room of a user who does not exist",
        parameters=_declare(state="absent", new_room={"creator_user_id": "nobody"}),
        message="new_room.creator_user_id @nobody:.* does not exist",
    ),
    _refusal(
        "an announcement without a creator of the new room",
        parameters=_declare(state="absent", new_room={"announcement": "Hello"}),
        message="creator_user_id.*new_room",
    ),
    _refusal(
        "a negative time",
        parameters=_declare(state="absent", wait_timeout=-1),
        message="wait_timeout is -1",
    ),
    _refusal(
        "the token of a user who is not a server admin",
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
    done = prove(place, case)
    assert ("deletion" in done) is ("deletion" in case.returns(place))


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


def test_a_deletion_that_fails_tells_what_it_has_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without this, it is refused before.
    monkeypatch.setattr(event_size, "_ADDED", 0)
    make_room(place)
    failed = play(place, "synapse_room", _declare_new_room(announcement="x" * 65_000)(place))
    new_room = failed["deletion"]["new_room_id"]
    assert sorted(look_at_room(place, new_room)["members"]) == sorted([place.user("creator"), place.user("promoted")])
    assert look_at_room(place)["members"] == []
    message = (
        rf"event too large\. .* removed users from the room \(1\)\. .* created the new room {re.escape(new_room)}\. "
    )
    assert re.search(message, failed["msg"]), failed["msg"]
    assert failed["msg"].endswith("this is partly done: delete the room.")
    assert (failed["changed"], failed["outcome"], failed["deletion"]["status"]) == (True, "partly_done", "failed")
