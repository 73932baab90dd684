# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room_alias refuses. No user has the power level in the room that the alias points to."""

from __future__ import annotations

import functools
import re
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.alias_cases import (
    declare,
    full,
    having,
    look,
    parameters_for,
    without_power,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PASSWORD = "some secret"

_refusal = functools.partial(Refusal, module="synapse_room_alias", state=look)
_moved = functools.partial(declare, "kept", "new")

REFUSALS = (
    _refusal(
        "an unreachable server",
        parameters=_moved(base_url="http://127.0.0.1:1"),
        message=r"failed: Connection refused\. .*base_url",
    ),
    _refusal(
        "a wrong token",
        parameters=_moved(access_token="not_a_token"),
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "the token of a user who is not a server admin",
        parameters=lambda place: _moved(access_token=place.server.user_token)(place),
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "a move to a room that does not exist",
        parameters=lambda place: _moved()(place) | {"room_id": f"!missing:{place.server.name}"},
        message="The room !missing.* does not exist on this server, so the alias .* was not changed",
    ),
    _refusal(
        "a room that does not exist for an alias that is free",
        parameters=lambda place: parameters_for(place, "lobby") | {"room_id": f"!{'a' * 43}"},
        message="The room !a+ does not exist on this server",
    ),
    _refusal(
        "an alternative alias that is free",
        parameters=declare("kept", "old", alt_aliases=["lobby"]),
        message=lambda place: (
            f"{re.escape(full(place, 'lobby'))}, which points to no room\\. .*"
            f"point the alias to {re.escape(place.ids['old'])} first"
        ),
    ),
    _refusal(
        "an alternative alias that points to another room",
        parameters=declare("kept", "old", alt_aliases=["second"]),
        message=lambda place: f"{re.escape(full(place, 'second'))}, which points to {re.escape(place.ids['new'])}\\.",
    ),
    _refusal(
        "an alternative alias of a server that cannot be reached",
        parameters=lambda place: parameters_for(place, "kept", "old") | {"alt_aliases": ["#x:other.test"]},
        message=r"contains #x:other\.test, and Synapse cannot ask the server other\.test which room it points to",
    ),
    _refusal(
        "an alternative alias that is not an alias",
        parameters=lambda place: parameters_for(place, "kept", "old") | {"alt_aliases": ["nowhere"]},
        message="'nowhere' is not a room alias",
    ),
    _refusal(
        "a canonical alias of a room in which no user has the power level",
        parameters=declare("kept", "old", canonical=True),
        message="cannot be changed from this server, because no user of this .*Nothing was changed.*admin_user_id",
    ),
    _refusal(
        "an alias of another server",
        parameters=lambda place: _moved()(place) | {"alias": "#lobby:other.test"},
        message=lambda place: (
            rf"#lobby:other\.test .*of the server other\.test, but this server is {re.escape(place.server.name)}"
        ),
    ),
    _refusal(
        "an alias of another server to be removed",
        parameters=lambda place: {"alias": "#lobby:other.test", "state": "absent"},
        message=r"#lobby:other\.test .*of the server other\.test",
    ),
    _refusal(
        "an alias with white space",
        parameters=lambda place: _moved()(place) | {"alias": "#my lobby"},
        message="white space",
    ),
    _refusal(
        "an alias without its first character",
        parameters=lambda place: _moved()(place) | {"alias": "lobby"},
        message="is not a room alias. Write it in full, for example #lobby:",
    ),
    _refusal(
        "an alias that is too long",
        parameters=lambda place: _moved()(place) | {"alias": f"#{'l' * 255}"},
        message="longer than 255 characters",
    ),
    _refusal(
        "an alias in place of a room ID",
        parameters=lambda place: parameters_for(place, "kept") | {"room_id": full(place, "lobby")},
        message="is not a room ID. A room ID begins with '!'",
    ),
    _refusal(
        "no room to point to",
        parameters=declare("kept"),
        message="state is present but all of the following are missing: room_id",
    ),
    _refusal(
        "a canonical alias that is free",
        parameters=declare("kept", state="absent", canonical=True),
        message="cannot be set with state=absent, .* leave them out",
    ),
    _refusal(
        "alternative aliases with an alias that is free",
        parameters=declare("kept", state="absent", alt_aliases=[]),
        message="cannot be set with state=absent, .* leave them out",
    ),
)


@pytest.fixture(scope="module")
def kept(server: Server) -> Place:
    """The rooms and aliases that no refusal changes."""
    # Nothing is written to a directory.
    place = Place(server, f"c{secrets.token_hex(4)}", Path("/nonexistent"))
    without_power(having(kept="old", second="new"))(place)
    return place


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(kept: Place, case: Refusal) -> None:
    prove_refusal(kept, case)
    # Nothing was moved or lost.
    shown = look(kept)
    assert shown["aliases of old"] == ["kept"]
    assert shown["aliases of new"] == ["second"]
    assert (shown["old publishes"], shown["new publishes"], shown["tokens"]) == ((None, []), (None, []), 1)


def _suspended_admin(place: Place) -> None:
    """Create rooms, one of which publishes an alias that no user can withdraw, and a server admin who is suspended."""
    without_power(having(lost="old", published={"old": ("lost", [])}))(place)
    user_id = place.server.make_account(f"{place.unique}-boss", admin=True, password=_PASSWORD)
    place.ids["boss token"] = place.server.log_in(user_id, _PASSWORD, "BOSS") or ""
    place.server.send("PUT", f"/_synapse/admin/v1/suspend/{user_id}", {"suspend": True})


@pytest.mark.parametrize("declared", [{"state": "absent"}, {"room": "new"}])
def test_a_suspended_admin_is_refused(place: Place, declared: dict[str, t.Any]) -> None:
    def parameters(place: Place) -> Parameters:
        return {**declare("lost", **declared)(place), "access_token": place.ids["boss token"]}

    prove_refusal(
        place,
        _refusal(
            "a suspended admin",
            prepare=_suspended_admin,
            parameters=parameters,
            message=r"-boss:\S+, is suspended\..* would still publish the alias",
            secrets=(_PASSWORD,),
        ),
    )
