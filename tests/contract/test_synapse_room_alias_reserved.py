# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Aliases of application services, and rules for who creates which alias: check mode says what Synapse will refuse."""

from __future__ import annotations

import functools
import json
import re
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import reserved_aliases, servers
from ansible_collections.matrix_ops.synapse.tests.contract.alias_cases import full, make_rooms, short
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
from ansible_collections.matrix_ops.synapse.tests.contract.reserved_aliases import registration, token_of
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_MODULE = "synapse_room_alias"
_WORDS = (
    "free",
    "irc_x",
    "Irc_x",
    "irc_open_x",
    "irc_open_telegram_1",
    "telegram_1",
    "telegram_x",
    "x-denied",
    "x-admin1",
    "x-admin12",
)
_WAYS_OUT = ".*remove the namespace from that file.*let the service itself do it .PUT or DELETE .*/room/.*as_token"

Prepare = t.Callable[[Place], None]


@pytest.fixture(scope="module", params=servers.ENGINES)
def server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server with application services, which only these tests use."""
    with reserved_aliases.server_with_services(request.param) as started:
        yield started


def _directory(place: Place, word: str) -> str:
    return f"/_matrix/client/v3/directory/room/{urllib.parse.quote(full(place, word), safe='')}"


def _registered(place: Place) -> None:
    """Create the rooms, and let the user of a service be a server admin."""
    _register(place.server, "irc")
    make_rooms(place)


def _having(word: str, room: str, service: str) -> Prepare:
    """Create the rooms, and let a service point an alias to one of them, which then publishes it."""

    def prepare(place: Place) -> None:
        make_rooms(place)
        place.server.send("PUT", _directory(place, word), {"room_id": place.ids[room]}, token_of(service))
        path = f"/_matrix/client/v3/rooms/{place.ids[room]}/state/m.room.canonical_alias"
        place.server.send("PUT", path, {"alias": full(place, word)}, place.ids["token"])

    return prepare


def _left_by_all(place: Place) -> None:
    make_rooms(place)
    place.server.send("POST", f"/_matrix/client/v3/rooms/{place.ids['new']}/leave", {}, place.ids["token"])


def _declare(word: str, room: str | None = "new", **more: t.Any) -> t.Callable[[Place], Parameters]:
    """Return a function that declares an alias. Without a room, it is free. Values can be functions of the place."""

    def parameters(place: Place) -> Parameters:
        given = {name: value(place) if callable(value) else value for name, value in more.items()}
        pointed = {"room_id": place.ids[room]} if room else {"state": "absent"}
        return {"alias": short(place, word), "config_path": place.server.config_path, **pointed, **given}

    return parameters


def _look(place: Place) -> State:
    """The room that each alias points to, by their words, and what the rooms publish."""
    rooms = {place.ids[word]: word for word in ("old", "new")}
    state: State = {}
    for word in _WORDS:
        rows = place.server.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", full(place, word))
        state[word] = rooms[rows[0][0]] if rows else None
    for room_id, word in rooms.items():
        events = place.server.get(f"/_synapse/admin/v1/rooms/{room_id}/state?type=m.room.canonical_alias")["state"]
        state[f"published by {word}"] = events[0]["content"].get("alias") if events else None
    return state


def _with_registration(name: str, content: t.Any) -> t.Callable[[Place], list[str]]:
    """Return a function that writes another configuration with one more registration, and returns its paths.

    Without `content` the file is not written.
    """

    def write(place: Place) -> list[str]:
        path = place.directory / name
        if content is not None:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        configured = place.directory / "with_registration.yaml"
        # Relative to the working directory of Synapse.
        configured.write_text(json.dumps({"app_service_config_files": [name]}))
        return [*place.server.config_path, str(configured)]

    return write


def _directory_of(place: Place) -> str:
    return str(place.directory)


def _reserved(service: str, word: str) -> t.Callable[[Place], str]:
    return lambda place: (
        f"The alias {re.escape(full(place, word))} is reserved by the application service {service}, whose"
        rf" registration file \S+/{service}\.yaml {_WAYS_OUT}"
    )


_refusal = functools.partial(Refusal, module=_MODULE, state=_look, prepare=make_rooms)


def _broken(name: str, content: t.Any, message: str) -> Refusal:
    return _refusal(
        name,
        parameters=_declare(
            "free", config_path=_with_registration("broken.yaml", content), working_directory=_directory_of
        ),
        message=message,
    )


_INVALID = r"/broken\.yaml is not a valid registration of an application service: "


def _of_another_server(place: Place) -> list[str]:
    path = place.directory / "other.yaml"
    path.write_text("server_name: other.test\n")
    return [str(path)]


REFUSALS = (
    _refusal("a reserved alias", parameters=_declare("irc_x"), message=_reserved("irc", "irc_x")),
    _refusal("a reserved alias in another case", parameters=_declare("Irc_x"), message=_reserved("irc", "Irc_x")),
    _refusal(
        "a reserved alias to be removed",
        prepare=_having("irc_x", "old", "irc"),
        parameters=_declare("irc_x", None),
        message=_reserved("irc", "irc_x"),
    ),
    _refusal(
        "a reserved alias to be moved",
        prepare=_having("irc_x", "old", "irc"),
        parameters=_declare("irc_x"),
        message=_reserved("irc", "irc_x"),
    ),
    _refusal(
        "an alias that the second service has reserved",
        parameters=_declare("telegram_1"),
        message=_reserved("telegram", "telegram_1"),
    ),
    _refusal(
        "an alias that one service shares and another one has reserved",
        parameters=_declare("irc_open_telegram_1"),
        message=_reserved("telegram", "irc_open_telegram_1"),
    ),
    _refusal(
        "an alias that is not one of the service to which the token belongs",
        parameters=_declare("free", access_token=token_of("irc")),
        prepare=_registered,
        message=r"token is that of the application service irc, .*/irc\.yaml, and .* is in none of them",
        secrets=(token_of("irc"),),
    ),
    _refusal(
        "an alias that a rule denies",
        parameters=_declare("x-denied"),
        message=r"because rule 1 of alias_creation_rules in \S+ denies it\. Nothing was changed\. Add a rule",
    ),
    _refusal(
        "an alias that a rule denies, to be moved",
        prepare=_having("x-denied", "old", "listener"),
        parameters=_declare("x-denied"),
        message="because rule 1 of alias_creation_rules",
    ),
    _refusal(
        "an alias that only another rule would allow",
        parameters=_declare("x-admin12"),
        message="because rule 3 of alias_creation_rules",
    ),
    _refusal(
        "a room that all have left",
        prepare=_left_by_all,
        parameters=_declare("free"),
        message="No user of any server is in the room .*The alias .*-free:.* was not changed",
    ),
    _broken("a registration that does not exist", None, r"/broken\.yaml does not exist.*in app_service_config_files"),
    _broken("a registration that is not YAML", "id: [", r"/broken\.yaml is not valid YAML.*app_service_config_files"),
    _broken("a registration without an id", registration("x", id=None), f"{_INVALID}id must be text"),
    _broken("a registration without namespaces", registration("x", namespaces=None), f"{_INVALID}namespaces must be"),
    _broken(
        "a registration with a namespace without exclusive",
        registration("x", namespaces={"aliases": [{"regex": "#x"}]}),
        f"{_INVALID}each entry in namespaces.aliases must contain",
    ),
    _broken(
        "a registration with a regex that is not valid",
        registration("x", namespaces={"aliases": [{"regex": "#(x", "exclusive": True}]}),
        rf"{_INVALID}the regex '#\(x' in namespaces.aliases is not valid",
    ),
    _refusal(
        "the configuration of another server",
        parameters=_declare("free", config_path=_of_another_server),
        message=r"config_path is the configuration of the server other\.test, but the server that answers is",
    ),
)


def _register(server: Server, service: str) -> None:
    """Create the user of a service and make it a server admin, which Synapse lets only the service and an admin do."""
    body = {"type": "m.login.application_service", "username": f"{service}_bot", "inhibit_login": True}
    status, answer = server.ask("POST", "/_matrix/client/v3/register", body, token_of(service))
    assert status == 200 or answer["errcode"] == "M_USER_IN_USE", answer
    server.send("PUT", f"/_synapse/admin/v1/users/{reserved_aliases.sender_of(server, service)}/admin", {"admin": True})


def _change(name: str, **declared: t.Any) -> Expectation:
    return Expectation(name, _MODULE, state=_look, **{"prepare": make_rooms, **declared})


EXPECTATIONS = (
    _change(
        "a shared alias of a service that has reserved others",
        parameters=_declare("irc_open_x"),
        shows=lambda _place: {"irc_open_x": "new"},
    ),
    _change(
        "an alias that only looks like a reserved one",
        parameters=_declare("telegram_x"),
        shows=lambda _place: {"telegram_x": "new"},
    ),
    _change(
        "a reserved alias that is as declared",
        prepare=_having("irc_x", "old", "irc"),
        parameters=_declare("irc_x", "old"),
        changes=False,
    ),
    _change(
        "an alias that a rule allows before another one denies it",
        parameters=_declare("x-admin1"),
        shows=lambda _place: {"x-admin1": "new"},
    ),
    _change(
        "an alias that nobody may create can be removed",
        prepare=_having("x-denied", "old", "listener"),
        parameters=_declare("x-denied", None),
        shows=lambda _place: {"x-denied": None, "published by old": None},
    ),
    _change(
        "a reserved alias of the service to which the token belongs",
        prepare=_registered,
        parameters=_declare("irc_x", access_token=token_of("irc")),
        shows=lambda _place: {"irc_x": "new"},
        secrets=(token_of("irc"),),
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove(place, case)


@pytest.mark.parametrize(
    ("word", "service", "room", "message"),
    [
        (
            "irc_x",
            "irc",
            "new",
            "400 M_EXCLUSIVE.*app_service_config_files contain the namespace of #.*read config_path",
        ),
        (
            "irc_x",
            "irc",
            None,
            "400 M_EXCLUSIVE.*app_service_config_files contain the namespace of #.*read config_path",
        ),
        ("x-denied", "listener", "new", "403 .*alias_creation_rules in the configuration of Synapse does not allow it"),
    ],
)
def test_an_unreadable_configuration_loses_no_alias(
    place: Place, word: str, service: str, room: str | None, message: str
) -> None:
    _having(word, "old", service)(place)
    before = _look(place)
    failed = play(place, _MODULE, _declare(word, room, config_path=None)(place))
    assert failed["failed"]
    assert re.search(message, failed["msg"]), failed["msg"]
    assert re.search(r"publishes it again\.", failed["msg"]), failed["msg"]
    assert _look(place) == before


def test_the_working_directory_counts(place: Place) -> None:
    make_rooms(place)
    own = registration("own", namespaces={"aliases": [{"regex": ".*-free:", "exclusive": True}]})
    paths = _with_registration("own.yaml", own)(place)
    declared = _declare("free", config_path=paths, working_directory=str(place.directory))(place)
    refused = play(place, _MODULE, declared, check=True)
    assert re.search("reserved by the application service own", refused["msg"])
    Path(place.directory, "own.yaml").write_text(json.dumps({**own, "namespaces": {}}))
    assert play(place, _MODULE, declared, check=True)["changed"]
