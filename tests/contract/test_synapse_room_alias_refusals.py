# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_room_alias refuses. Nobody here leads the room that the alias points to."""

from __future__ import annotations

import functools
import re
import secrets
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
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Refusal, named, prove_refusal
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_refusal = functools.partial(Refusal, module="synapse_room_alias", state=look)
_moved = functools.partial(declare, "kept", "new")

REFUSALS = (
    _refusal(
        "an unreachable server",
        parameters=_moved(base_url="http://127.0.0.1:1"),
        message=r"failed: Connection refused\. See whether Synapse runs",
    ),
    _refusal(
        "a wrong token",
        parameters=_moved(access_token="not_a_token"),
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "the token of somebody who is no admin",
        parameters=lambda place: _moved(access_token=place.server.user_token)(place),
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "a move to a room that does not exist",
        parameters=lambda place: _moved()(place) | {"room_id": f"!missing:{place.server.name}"},
        message="The room !missing.* does not exist on this server.*left as it is",
    ),
    _refusal(
        "a room that does not exist for an alias that is free",
        parameters=lambda place: parameters_for(place, "lobby") | {"room_id": f"!{'a' * 43}"},
        message="The room !a+ does not exist on this server",
    ),
    _refusal(
        "an other address that points nowhere",
        parameters=declare("kept", "old", alt_aliases=["lobby"]),
        message=lambda place: (
            f"{re.escape(full(place, 'lobby'))}, which points to no room: .*"
            f"Let it point to {re.escape(place.ids['old'])} first"
        ),
    ),
    _refusal(
        "an other address that points to another room",
        parameters=declare("kept", "old", alt_aliases=["second"]),
        message=lambda place: f"{re.escape(full(place, 'second'))}, which points to {re.escape(place.ids['new'])}: ",
    ),
    _refusal(
        "an other address that is none",
        parameters=lambda place: parameters_for(place, "kept", "old") | {"alt_aliases": ["nowhere"]},
        message="'nowhere' is not a room alias",
    ),
    _refusal(
        "a main address of a room that nobody here leads",
        parameters=declare("kept", "old", canonical=True),
        message="cannot be changed from this server: nobody of this server .*Nothing was changed.*synapse_room",
    ),
    _refusal(
        "an alias of another server",
        parameters=lambda place: _moved()(place) | {"alias": "#lobby:other.test"},
        message=lambda place: (
            rf"#lobby:other\.test .*of the server other\.test, but this server is {re.escape(place.server.name)}"
        ),
    ),
    _refusal(
        "an alias of another server to be freed",
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
        message="is not a room alias: write it in full, as in #lobby:",
    ),
    _refusal(
        "an alias that is too long",
        parameters=lambda place: _moved()(place) | {"alias": f"#{'l' * 255}"},
        message="longer than 255 bytes",
    ),
    _refusal(
        "an alias in place of a room id",
        parameters=lambda place: parameters_for(place, "kept") | {"room_id": full(place, "lobby")},
        message="is not a room id: a room id begins with '!'",
    ),
    _refusal(
        "no room to point to",
        parameters=declare("kept"),
        message="state is present but all of the following are missing: room_id",
    ),
    _refusal(
        "a main address that is free",
        parameters=declare("kept", state="absent", canonical=True),
        message="with state absent it points to none: leave them out",
    ),
    _refusal(
        "other addresses beside one that is free",
        parameters=declare("kept", state="absent", alt_aliases=[]),
        message="with state absent it points to none: leave them out",
    ),
)


@pytest.fixture(scope="module")
def kept(server: Server) -> Place:
    """The rooms and aliases that all refusals leave as they are."""
    # Nothing is written to a directory.
    place = Place(server, f"c{secrets.token_hex(4)}", Path("/nonexistent"))
    without_power(having(kept="old", second="new"))(place)
    return place


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(kept: Place, case: Refusal) -> None:
    prove_refusal(kept, case)
    # Nothing has moved, and nothing was lost.
    shown = look(kept)
    assert shown["aliases of old"] == ["kept"]
    assert shown["aliases of new"] == ["second"]
    assert (shown["old names"], shown["new names"], shown["tokens"]) == ((None, []), (None, []), 1)
