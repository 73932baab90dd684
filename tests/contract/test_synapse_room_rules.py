# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the configuration of a server refuses for rooms and their aliases: check mode says the same as a run."""

from __future__ import annotations

import functools
import json
import re
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.alias_cases import full, having, look, parameters_for
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.test_synapse_room import look_at_room, make_room

_INVITATIONS = "org.matrix.msc4155.invite_permission_config"


@pytest.fixture(scope="module", params=servers.ENGINES)
def strict(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on which only server admins can invite."""
    with servers.own_servers(request.param) as [server]:
        # Afterwards nobody can create this account any more.
        server.make_account("notices")
        notices = {"system_mxid_localpart": "notices"}
        _restart_with(server, block_non_admin_invites=True, server_notices=notices)
        yield server


@pytest.fixture(scope="module")
def filtering() -> t.Iterator[Server]:
    """A server whose users can filter invitations."""
    with servers.own_servers("sqlite", experimental_features={"msc4155_enabled": True}) as started:
        yield started[0]


def _restart_with(server: Server, **settings: t.Any) -> None:
    path = Path(server.directory, "conf.d", "z_strict.yaml")
    path.write_text(json.dumps(settings))
    servers.restart(server)


def _at(server: Server, directory: Path) -> Place:
    return Place(server, f"c{secrets.token_hex(4)}", directory)


def _promote(word: str) -> t.Callable[[Place], Parameters]:
    return lambda place: {
        "room_id": place.ids["room"],
        "admin_user_id": word if word == "notices" else place.user(word),
        "config_path": place.server.config_path,
    }


def _room_of_an_admin(place: Place) -> None:
    make_room(place)
    place.server.make_account(f"{place.unique}-creator", admin=True)


def _filtered(key: str, content: t.Any) -> t.Callable[[Place], None]:
    """Create a room, and let the user who should be its admin set a filter of invitations."""

    def prepare(place: Place) -> None:
        make_room(place)
        user = place.user("promoted")
        token = place.server.speaking_as(user)
        place.server.send("PUT", f"/_matrix/client/v3/user/{user}/account_data/{key}", content(place), token)

    return prepare


_refusal = functools.partial(Refusal, module="synapse_room", state=look_at_room)
_blocking = functools.partial(
    _refusal, parameters=_promote("promoted"), message="must be invited by @.*-creator:.*blocked such invitations"
)

STRICT = (
    _refusal(
        "an admin who must be invited by a user who is not a server admin",
        prepare=make_room,
        parameters=_promote("promoted"),
        message=r"invited by @.*-creator:.* block_non_admin_invites in \S+z_strict\.yaml lets only server admins",
    ),
    _refusal(
        "the user of server notices",
        prepare=_room_of_an_admin,
        parameters=_promote("notices"),
        message="no user can invite the user of server notices",
    ),
)

FILTERING = (
    _blocking(
        "all invitations are blocked",
        prepare=_filtered("m.invite_permission_config", lambda _place: {"default_action": "block"}),
    ),
    _blocking(
        "the inviter is blocked",
        prepare=_filtered(_INVITATIONS, lambda place: {"blocked_users": [place.user("CREAT?*")]}),
    ),
    _blocking(
        "the server is blocked",
        prepare=_filtered(
            _INVITATIONS, lambda place: {"allowed_users": ["@nobody:*"], "blocked_servers": [place.server.name]}
        ),
    ),
)


@pytest.mark.parametrize("case", named(STRICT))
def test_strict(strict: Server, tmp_path: Path, case: Refusal) -> None:
    prove_refusal(_at(strict, tmp_path), case)


@pytest.mark.parametrize("case", named(FILTERING))
def test_filtered(filtering: Server, tmp_path: Path, case: Refusal) -> None:
    prove_refusal(_at(filtering, tmp_path), case)


@pytest.mark.parametrize(
    "filters",
    [
        {"ignored_users": ["@*"], "blocked_servers": ["*"]},
        {"allowed_users": ["@*-creator:*"], "blocked_users": ["@*"]},
        {"blocked_users": "*", "blocked_servers": [1, "other.test"]},
    ],
)
def test_not_filtered(filtering: Server, tmp_path: Path, filters: t.Any) -> None:
    case = Expectation(
        "an invitation that the user accepts",
        "synapse_room",
        prepare=_filtered(_INVITATIONS, lambda _place: filters),
        parameters=_promote("promoted"),
        state=look_at_room,
    )
    prove(_at(filtering, tmp_path), case)


def test_an_admin_can_invite(strict: Server, tmp_path: Path) -> None:
    case = Expectation(
        "an invitation by a server admin",
        "synapse_room",
        prepare=_room_of_an_admin,
        parameters=_promote("promoted"),
        state=look_at_room,
    )
    prove(_at(strict, tmp_path), case)


def _prepare(place: Place) -> None:
    """Create rooms, one of which publishes an alias."""
    having(main="old", published={"old": ("main", [])})(place)
    place.server.make_account(f"{place.unique}-promoted")
    place.ids["room"] = place.ids["old"]


def _both(place: Place) -> State:
    return {**look(place), **look_at_room(place)}


def _declare_room(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    def parameters(place: Place) -> Parameters:
        given = {name: value(place) if callable(value) else value for name, value in declared.items()}
        return {"room_id": place.ids["room"], "config_path": place.server.config_path, **given}

    return parameters


def _declare_alias(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    room = declared.pop("room", None)
    return lambda place: {
        **parameters_for(place, "main", room, **declared),
        "config_path": place.server.config_path,
    }


def _promoted(place: Place) -> str:
    return place.user("promoted")


# By the module, what is declared.
_NEED_EVENTS: dict[str, tuple[str, t.Callable[[Place], Parameters]]] = {
    "an admin of a room": ("synapse_room", _declare_room(admin_user_id=_promoted)),
    "a new room": (
        "synapse_room",
        _declare_room(state="absent", new_room=lambda place: {"creator_user_id": place.user("promoted")}),
    ),
    "an alias that is free": ("synapse_room_alias", _declare_alias(state="absent")),
    "an alias in another room": ("synapse_room_alias", _declare_alias(room="new")),
    "an alias that is not canonical": ("synapse_room_alias", _declare_alias(room="old", canonical=False)),
}


@pytest.fixture(scope="module")
def consenting(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server where nobody has agreed to the privacy policy, and the rooms from before there was one."""
    with servers.own_servers("sqlite") as [server]:
        place = _at(server, tmp_path_factory.mktemp("consent"))
        _prepare(place)
        consent = {"template_dir": str(place.directory), "version": 1.0, "block_events_error": "Agree first"}
        _restart_with(server, user_consent=consent)
        yield place


@pytest.mark.parametrize("name", _NEED_EVENTS)
def test_without_consent(consenting: Place, name: str) -> None:
    module, parameters = _NEED_EVENTS[name]
    message = rf"{consenting.server.admin}, has not agreed to version 1\.0 of the privacy policy, which.*bot"
    prove_refusal(consenting, Refusal(name, module, parameters, message, state=_both))


def test_synapse_needs_consent(consenting: Place) -> None:
    module, parameters = _NEED_EVENTS["an alias that is not canonical"]
    before = _both(consenting)
    failed = play(consenting, module, {**parameters(consenting), "config_path": None})
    assert "M_CONSENT_NOT_GIVEN" in failed["msg"]
    assert _both(consenting) == before
    # What needs no event needs no consent.
    done = play(consenting, "synapse_room", _declare_room(blocked=True)(consenting))
    assert done.get("changed"), done


@pytest.fixture(scope="module")
def disabled(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server that has been disabled, and the rooms from before."""
    with servers.own_servers("sqlite") as [server]:
        place = _at(server, tmp_path_factory.mktemp("disabled"))
        _prepare(place)
        _restart_with(server, hs_disabled=True, hs_disabled_message="Closed")
        yield place


@pytest.mark.parametrize("name", [*_NEED_EVENTS, "a deletion"])
def test_disabled(disabled: Place, name: str) -> None:
    module, parameters = {**_NEED_EVENTS, "a deletion": ("synapse_room", _declare_room(state="absent"))}[name]
    message = r"is not possible, because hs_disabled in \S+z_strict\.yaml makes Synapse refuse every event"
    prove_refusal(disabled, Refusal(name, module, parameters, message, state=_both))


def test_synapse_is_disabled(disabled: Place) -> None:
    module, parameters = _NEED_EVENTS["an alias in another room"]
    before = _both(disabled)
    failed = play(disabled, module, {**parameters(disabled), "config_path": None})
    assert "M_RESOURCE_LIMIT_EXCEEDED" in failed["msg"]
    assert _both(disabled) == before
    deletion = play(disabled, "synapse_room", {"room_id": disabled.ids["room"], "state": "absent"})
    assert re.search("could not delete .*Users are still joined.*allow_purge_with_members", deletion["msg"]), deletion
    moving = {"new_room": {"creator_user_id": disabled.user("promoted")}}
    deletion = play(disabled, "synapse_room", {"room_id": disabled.ids["room"], "state": "absent", **moving})
    assert re.search(r"403: Closed\. .*hs_disabled, .*and run the task again\. A check", deletion["msg"]), deletion


@pytest.fixture(scope="module", params=servers.ENGINES)
def outdated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server with a room of a version that it no longer supports."""
    with servers.own_servers(request.param) as [server]:
        place = _at(server, tmp_path_factory.mktemp("outdated"))
        _prepare(place)
        server.write("UPDATE rooms SET room_version = 'org.example.gone' WHERE room_id = ?", place.ids["room"])
        # Synapse remembers the version.
        servers.restart(server)
        yield place


def _of_outdated(place: Place) -> State:
    rows = place.server.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", full(place, "main"))
    return {**look_at_room(place), "main": rows}


_UNREADABLE = r"because this server cannot read the state of the room, .*no longer supports the room version"


@pytest.mark.parametrize(
    ("module", "declared", "message"),
    [
        ("synapse_room", _declare_room(admin_user_id=_promoted), f"cannot be made admin of .* {_UNREADABLE}"),
        ("synapse_room", _declare_room(state="absent"), f"cannot be removed from .* {_UNREADABLE}.*allow_purge_with"),
        ("synapse_room_alias", _declare_alias(room="old", canonical=True), f"published aliases of .* {_UNREADABLE}"),
    ],
)
def test_outdated(outdated: Place, module: str, declared: t.Callable[[Place], Parameters], message: str) -> None:
    prove_refusal(outdated, Refusal("outdated", module, declared, message, state=_of_outdated))
