# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power levels of a room are read as its version defines them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import NO_LIMIT, RoomPower, read_power
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

BOB, CAROL, EVE = "@bob:x.org", "@carol:x.org", "@eve:x.org"


@pytest.mark.parametrize(
    ("levels", "whole"),
    [
        (None, True),
        ({}, True),
        ({"users": {BOB: 100}, "events": {"m.room.name": 50}, "ban": 50}, True),
        ({"users": {BOB: 2**53 - 1}, "ban": 1 - 2**53}, True),
        ({"users": {BOB: 2**53}}, False),
        ({"users": {BOB: "100"}}, False),
        ({"users": {BOB: True}}, False),
        ({"ban": "50"}, False),
        ({"notifications": {"room": "50"}}, False),
        ({"users": [BOB]}, False),
        # Keys that Synapse does not know do not matter.
        ({"org.example.level": "50"}, True),
    ],
)
def test_levels_that_can_be_sent_again_are_integers(levels: t.Any, whole: bool) -> None:
    assert RoomPower(BOB, (), levels).is_whole() is whole


@pytest.mark.parametrize(("levels", "required"), [(None, 0), ({}, 0), ({"invite": 50}, 50), ({"invite": "50"}, 50)])
def test_the_power_level_that_an_invitation_requires(levels: t.Any, required: int) -> None:
    assert RoomPower(BOB, (), levels).required_to_invite() == required


@pytest.mark.parametrize(
    ("version", "levels", "listed", "power"),
    [
        ("11", {"users": {EVE: 50}}, [EVE], 0),
        ("12", {"users": {EVE: 50}}, [EVE, CAROL, BOB], NO_LIMIT),
        ("11", None, [BOB], NO_LIMIT),
        # Synapse considers no other user then.
        ("12", None, [BOB], NO_LIMIT),
    ],
)
def test_which_users_have_a_level_of_their_own(
    server: ScriptedServer, version: str, levels: t.Any, listed: list[str], power: float
) -> None:
    creation = {"room_version": version, "additional_creators": [CAROL]}
    contents = {"m.room.create": creation, "m.room.power_levels": levels}
    events = [
        {"type": kind, "state_key": "", "sender": BOB, "content": content}
        for kind, content in contents.items()
        if content is not None
    ]
    server.always(Call("GET", "/_synapse/admin/v1/rooms/%21a/state", {"state": events}))
    found = read_power(Client(server.base_url, "token"), "!a")
    assert (found.listed(), found.of(BOB)) == (listed, power)


@pytest.mark.parametrize("odd", ["text", 5, ["@bob:x.org"], None, True], ids=repr)
def test_invalid_state_is_not_a_traceback(odd: t.Any) -> None:
    power = RoomPower("@bob:x.org", (), {"users": odd, "events": odd, "users_default": odd, "invite": odd})
    for found in (power.of("@bob:x.org"), power.required("m.room.name"), power.required_to_invite()):
        assert found in (0, 50, 5, True)
    assert power.listed() == []
    assert power.listed_level("@bob:x.org") is None
