# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_admin_users on servers of their own: accounts of an application service, and lists that are complete."""

from __future__ import annotations

import json
import re
import secrets
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.account_list_cases import (
    MODULE,
    ListExpectation,
    create_and_change,
    create_change_and_return,
    declare_list,
    declare_returned,
    expect_list,
    localpart,
    look_at_accounts,
    prove_list,
    shown,
    user_id,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    play,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_SERVICE_TOKEN = "bridge_token"
_REGISTRATION = {
    "id": "bridge",
    "url": None,
    "as_token": _SERVICE_TOKEN,
    "hs_token": "synapse_token",
    "sender_localpart": "relay",
    "namespaces": {
        # The first that matches counts.
        "users": [
            {"exclusive": False, "regex": "@bridge_open_"},
            {"exclusive": True, "regex": "@bridge_.*"},
            {"exclusive": False, "regex": "@shared_.*"},
        ],
    },
}
_BRIDGE = r"namespace of the application service bridge \(\S+/bridge\.yaml\)"
_OF_SERVICE = ("bridge_alice_~", "bridge_bob_~")
_OF_ANYBODY = ("shared_carol_~", "shared_new_~", "bridge_open_~")
# The accounts that a complete list deactivates, in the order of the server, and those that remain.
_LEAVING = (
    "up",
    "bridge_open_~",
    "banned",
    "carol",
    "erased",
    "fine_new",
    "full",
    "gone",
    "longest",
    "newcomer",
    "plain",
    "secretive",
    "shared_carol_~",
    "shared_new_~",
)
_REMAINING = ("boss", "letters", "locked", "signs", *_OF_SERVICE, "person~1", "person~2")
_ENGINES = [
    pytest.param(engine, marks=pytest.mark.xdist_group(f"with a service on {engine}")) for engine in servers.ENGINES
]


@pytest.fixture(scope="module", params=_ENGINES)
def server_with_service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Server]:
    """A server with an application service, which only the tests of this file use, one after the other."""
    path = tmp_path_factory.mktemp("service") / "bridge.yaml"
    path.write_text(json.dumps(_REGISTRATION))
    settings: dict[str, t.Any] = {
        "app_service_config_files": [str(path)],
    }
    with servers.own_servers(request.param, **settings) as started:
        servers.wait_for_profiles(started[0])
        yield started[0]


@pytest.fixture
def place(server_with_service: Server, tmp_path: Path) -> Place:
    """Where one case takes place."""
    return Place(server_with_service, f"c{secrets.token_hex(4)}", tmp_path)


def _make_puppets(place: Place) -> None:
    """Let the service make accounts, one of which looks as if it was created before the service."""
    for word in ("bridge_alice_~", "bridge_bob_~", "shared_carol_~"):
        body = {"type": "m.login.application_service", "username": localpart(place, word), "inhibit_login": True}
        place.server.send("POST", "/_matrix/client/v3/register", body, _SERVICE_TOKEN)
    place.server.write("UPDATE users SET appservice_id = NULL WHERE name = ?", user_id(place, "bridge_bob_~"))


def _make_and_declare_puppets(place: Place) -> None:
    _make_puppets(place)
    play(place, MODULE, _declare_puppets(place, *_OF_SERVICE, *_OF_ANYBODY))


def _declare_puppets(place: Place, *words: str, **given: t.Any) -> Parameters:
    return declare_list(place, [(word, {"display_name": "Managed"}) for word in words], **given)


def _look_at_puppets(place: Place) -> State:
    # The service itself has no account before it is used.
    relay = place.server.found(f"/_synapse/admin/v2/users/{place.server.user_id('relay')}")
    return {**look_at_accounts(place, (*_OF_SERVICE, *_OF_ANYBODY)), "relay exists": relay is not None}


def _everybody(place: Place) -> list[dict[str, t.Any]]:
    """Return all accounts of the server as it lists them."""
    listed = place.server.get("/_synapse/admin/v3/users?locked=true&limit=1000")["users"]
    return [{**account, "last_seen_ts": None} for account in listed]


def _make_everybody(place: Place) -> None:
    """Make accounts of every kind, and deactivate all others except the two that each server has."""
    server = place.server
    for account in _everybody(place):
        if account["name"] not in (server.admin, server.user) and not account["deactivated"]:
            server.send("POST", f"/_synapse/admin/v1/deactivate/{urllib.parse.quote(account['name'], safe='')}")
    create_change_and_return(place)
    _make_puppets(place)
    for word in ("fine_new", "shared_new_~", "bridge_open_~", "person~1", "person~2"):
        server.make_account(localpart(place, word))


def _declare_everybody(place: Place, *words: str, **given: t.Any) -> Parameters:
    protect = ["person*", f"{place.server.user.partition(':')[0]}:*", localpart(place, "locked"), "*+"]
    staying = [("boss", {}), ("letters", {"user_id": user_id(place, "letters")}), *((word, {}) for word in words)]
    return declare_list(place, staying, exclusive=True, protect=protect, **given)


def _declaring_new(*, configured: bool, **given: t.Any) -> t.Callable[[Place], Parameters]:
    """Return a function that declares a new account in a namespace of the service."""
    return lambda place: {
        "user_id": user_id(place, "bridge_new_~"),
        **({"config_path": place.server.config_path} if configured else {}),
        **given,
    }


_NOT_CREATED = "The account @bridge_new_.* cannot be created"
_WAYS_OUT = (
    rf"in an exclusive {_BRIDGE}.*remove the namespace from \S+/bridge\.yaml, or .*POST .*/register with its as_token"
)

EXPECTATIONS = (
    expect_list(
        "reactivate the deactivated accounts",
        prepare=create_and_change,
        parameters=declare_returned,
        changed=("gone", "erased"),
        state=lambda place: look_at_accounts(place, ("gone", "erased", "newcomer")),
        shows=lambda place: shown(
            {
                "gone": {"deactivated": False, "locked": True},
                "erased": {
                    "deactivated": False,
                    "erased": False,
                    "displayname": "Back again",
                    "suspended": True,
                    "rate_limit": {"messages_per_second": 0, "burst_count": 1},
                },
            }
        ),
    ),
    expect_list(
        "accounts of an application service, if that is allowed",
        prepare=_make_and_declare_puppets,
        parameters=lambda place: _declare_puppets(place, *_OF_SERVICE, *_OF_ANYBODY, allow_appservice_users=True),
        changed=_OF_SERVICE,
        state=_look_at_puppets,
        shows=lambda place: {
            **shown(
                {
                    "bridge_alice_~": {"displayname": "Managed", "appservice_id": "bridge"},
                    "bridge_bob_~": {"displayname": "Managed", "appservice_id": None},
                    "shared_carol_~": {"displayname": "Managed"},
                    "shared_new_~": {"displayname": "Managed"},
                    "bridge_open_~": {"displayname": "Managed"},
                }
            ),
            "relay exists": False,
        },
    ),
    expect_list(
        "a complete list",
        prepare=_make_everybody,
        parameters=lambda place: _declare_everybody(place, max_changes=len(_LEAVING)),
        changed=_LEAVING,
        others=_LEAVING,
        state=lambda place: look_at_accounts(place, (*_LEAVING, *_REMAINING)),
        shows=lambda place: shown(
            {
                **{word: {"deactivated": True, "erased": False} for word in _LEAVING},
                **{word: {"deactivated": False} for word in _REMAINING},
            }
        ),
    ),
)

REFUSALS = (
    Refusal(
        "an account of the service, without the configuration",
        module="synapse_admin_user",
        prepare=_make_puppets,
        parameters=lambda place: {"user_id": user_id(place, "bridge_alice_~"), "display_name": "Managed"},
        message="@bridge_alice_.* belongs to the application service bridge, so it was not changed",
        state=_look_at_puppets,
    ),
    *(
        Refusal(
            f"a new account of the service, {name}",
            module=module,
            parameters=_declaring_new(configured=configured, **given),
            token=module == "synapse_admin_user",
            message=message,
            state=lambda place: look_at_accounts(place, ("bridge_new_~",)),
        )
        for name, module, configured, given, message in (
            ("by an admin", "synapse_admin_user", True, {}, f"{_NOT_CREATED}: it is {_WAYS_OUT}"),
            (
                "by an admin who may change accounts of services",
                "synapse_admin_user",
                True,
                {"allow_appservice_users": True},
                f"{_NOT_CREATED}: it is {_WAYS_OUT}",
            ),
            (
                "by an admin without the configuration",
                "synapse_admin_user",
                False,
                {},
                f"{_NOT_CREATED}: This user ID is reserved by an application service.*remove the namespace from",
            ),
            (
                "with a token",
                "synapse_access_token",
                True,
                {"create": True, "password": "bridge secret"},
                f"{_NOT_CREATED}: it is {_WAYS_OUT}",
            ),
        )
    ),
    Refusal(
        "more deactivations than allowed",
        module=MODULE,
        prepare=_make_everybody,
        parameters=lambda place: _declare_everybody(place, "never_made", max_changes=len(_LEAVING)),
        message=f"^{len(_LEAVING) + 1} accounts would change, but max_changes is {len(_LEAVING)}. Nothing was changed",
        state=lambda place: {"accounts": _everybody(place)},
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: ListExpectation) -> None:
    prove_list(place, case)
    for name in (place.server.admin, place.server.user):
        assert not place.server.get(f"/_synapse/admin/v2/users/{name}")["deactivated"]


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


def test_accounts_of_the_service_do_not_change(place: Place) -> None:
    """Other accounts of the list are changed, also those in a namespace that is not exclusive."""
    _make_puppets(place)
    parameters = _declare_puppets(place, *_OF_SERVICE, *_OF_ANYBODY)
    parameters["users"].insert(2, {"user_id": "relay", "display_name": "Managed"})
    before, messages = _look_at_puppets(place), []
    for check in (True, False):
        result = play(place, MODULE, parameters, check=check)
        assert result["failed"]
        assert "3 of 6 accounts are not as declared" in result["msg"]
        users = result["users"]
        assert [user["failed"] for user in users] == [True, True, True, False, False, False]
        assert [user["changed"] for user in users] == [False, False, False, True, True, True]
        whose = (
            "belongs to the application service bridge.*Set allow_appservice_users to true",
            rf"is in an exclusive {_BRIDGE}.*Set allow_appservice_users to true",
            r"@relay:.* cannot be created: it is the user of .*bridge \(sender_localpart in \S+/bridge\.yaml\)",
        )
        for user, said in zip(users[:3], whose, strict=True):
            assert re.search(said, user["msg"]), user
        messages.append(result["msg"])
        after = _look_at_puppets(place)
        assert check is (after == before)
    assert messages[0] == messages[1]
    assert after["relay exists"] is False
    for word in _OF_SERVICE:
        assert after[f"{word} displayname"] == before[f"{word} displayname"] != "Managed"
    for word in _OF_ANYBODY:
        assert after[f"{word} displayname"] == "Managed"
