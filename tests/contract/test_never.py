# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must never happen to people and rooms: power without a way in, a rotation that does nothing, tokens for ever."""

from __future__ import annotations

import time
import typing as t
import uuid

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access import login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

MODES = pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
_MINUTES_MS = 11 * 60 * 1000


def declare(server: Server, module: str, *, check: bool = False, **parameters: t.Any) -> dict[str, t.Any]:
    return run_module(module, {"base_url": server.base_url, "access_token": server.token, **parameters}, check=check)


@pytest.fixture
def word() -> str:
    """A word that no other test has."""
    return f"n{uuid.uuid4().hex[:8]}"


class Room:
    """A private room whose creator is not a server admin, and a user who should be its admin."""

    def __init__(self, server: Server, word: str) -> None:
        self.server = server
        self.promoted = server.make_account(f"promoted{word}")
        self.creator = server.make_account(f"creator{word}")
        self.token = server.speaking_as(self.creator)
        # Before version 12, the power levels of a room list its creator.
        self.room_id = server.make_room(self.token, room_version="11")

    def power(self) -> dict[str, t.Any]:
        path = f"/_matrix/client/v3/rooms/{self.room_id}/state/m.room.power_levels"
        status, answer = self.server.ask("GET", path, None, self.token)
        assert status == 200
        return answer

    def set_power(self, **changed: t.Any) -> None:
        path = f"/_matrix/client/v3/rooms/{self.room_id}/state/m.room.power_levels"
        self.server.send("PUT", path, {**self.power(), **changed}, self.token)

    def act(self, action: str, user_id: str) -> None:
        self.server.send("POST", f"/_matrix/client/v3/rooms/{self.room_id}/{action}", {"user_id": user_id}, self.token)


@pytest.fixture
def room(server: Server, word: str) -> Room:
    """A room with nothing special in it."""
    return Room(server, word)


def ban(room: Room) -> None:
    room.act("ban", room.promoted)


def ban_from_public(room: Room) -> None:
    path = f"/_matrix/client/v3/rooms/{room.room_id}/state/m.room.join_rules"
    room.server.send("PUT", path, {"join_rule": "public"}, room.token)
    ban(room)


def block(room: Room) -> None:
    room.server.send("PUT", f"/_synapse/admin/v1/rooms/{room.room_id}/block", {"block": True})


def forbid_invitations(room: Room) -> None:
    room.set_power(invite=100, users={room.creator: 100})
    room.set_power(invite=100, users={room.creator: 60}, events={"m.room.power_levels": 50})


def suspend_granter(room: Room) -> None:
    room.server.send("PUT", f"/_synapse/admin/v1/suspend/{room.creator}", {"suspend": True})


def have_more_power(room: Room) -> None:
    room.set_power(users={room.creator: 100, room.promoted: 100})
    room.set_power(users={room.creator: 60, room.promoted: 100}, events={"m.room.power_levels": 50})


@MODES
@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (ban, "banned"),
        (ban_from_public, "banned"),
        (block, "blocked"),
        (forbid_invitations, "requires the power level 100"),
        (suspend_granter, "suspended"),
        (have_more_power, "has a higher power level"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_power_level_is_only_granted_where_synapse_will_not_stop_halfway(
    room: Room, prepare: t.Callable[[Room], None], said: str, check: bool
) -> None:
    prepare(room)
    before = room.power()
    result = declare(room.server, "synapse_room", room_id=room.room_id, admin_user_id=room.promoted, check=check)
    assert result["failed"]
    assert not result["changed"]
    assert said in result["msg"], result["msg"]
    assert room.power() == before


def first_admin(server: Server, word: str, **declared: t.Any) -> dict[str, t.Any]:
    account = {"user_id": f"boss{word}", "admin": True, "bootstrap_admin": True, **declared}
    synapse = {"config_path": server.config_path, "synapse_python": server.python}
    parameters = {"base_url": server.base_url, **synapse, **account}
    return run_module("synapse_admin_user", parameters)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"password": "another secret", "update_password": "always"}, "a new password"),
        ({"password": "another secret", "update_password": "if_different"}, "a new password"),
        ({"display_name": "Other"}, "display_name"),
        ({"user_type": "bot"}, "user_type"),
        ({"locked": True}, "locked"),
        ({"threepids": [{"medium": "email", "address": "boss@x.org"}]}, "threepids"),
        ({"rate_limit": {"burst_count": 3}}, "rate_limit"),
    ],
    ids=str,
)
def test_what_no_admin_is_there_to_change_is_refused(
    server: Server, word: str, declared: dict[str, t.Any], said: str
) -> None:
    server.register(f"boss{word}", "first secret", admin=True)
    result = first_admin(server, word, **declared)
    assert result["failed"]
    assert said in result["msg"]
    assert server.accepts(server.user_id(f"boss{word}"), "first secret")


@pytest.mark.parametrize("update", ["always", "if_different", "on_create"])
def test_what_is_as_declared_already_needs_no_admin(server: Server, word: str, update: str) -> None:
    server.register(f"boss{word}", "first secret", admin=True)
    as_is = {"display_name": f" boss{word} ", "user_type": "", "locked": False, "threepids": [], "rate_limit": {}}
    result = first_admin(server, word, password="first secret", update_password=update, **as_is)
    assert not result.get("failed"), result["msg"]
    assert not result["changed"]
    assert result["verified"]


def test_a_token_in_the_name_of_another_user_expires(
    server: Server, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so even if it cannot be logged out, and the task that used it does not fail."""

    def fail(_client: object) -> t.NoReturn:
        raise ConnectionFailed("POST /logout failed: no answer within 1 seconds.")

    monkeypatch.setattr(login, "log_out", fail)
    creator = server.make_account(f"creator{word}")
    server.make_room(server.speaking_as(creator), room_alias_name=word)
    tokens = "SELECT id, valid_until_ms FROM access_tokens WHERE puppets_user_id = ?"
    known = server.rows(tokens, creator)
    result = declare(server, "synapse_room_alias", alias=f"#{word}", state="absent")
    assert not result.get("failed"), result["msg"]
    assert result["room_alias"]["written_as"] == [creator]
    assert creator in str(result["warnings"][0])
    ends = [end for _number, end in set(server.rows(tokens, creator)) - set(known)]
    now = time.time() * 1000
    assert len(ends) == 1
    assert now < ends[0] < now + _MINUTES_MS
    assert server.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", f"#{word}:{server.name}") == []
