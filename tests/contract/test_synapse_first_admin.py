# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How synapse_admin_user makes the first server admin, without the access token of a server admin.

Whether the server has other admins, and what it remembers of accounts, is the whole server's: these have one alone.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.account_cases import devices_of
from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    prove_refused,
    require_no_token,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    nothing,
    play,
    prove,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PASSWORD, _SHORT = "first admin's secret", "short"
_NAME = "Erste 🐇"
_POLICY = {"enabled": True, "minimum_length": 10, "require_symbol": True}
# Only a run knows these values: it sees whether the server treats the account as an admin.
_SEEN_BY_RUNS = ("user", "verified", "restart_required")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(engine, marks=pytest.mark.xdist_group(f"first admin on {engine}")) for engine in servers.ENGINES
    ],
)
def own_server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on each engine with changing admins, and with a pepper and a policy for passwords."""
    with servers.own_servers(request.param, password_config={"pepper": "with pepper", "policy": _POLICY}) as started:
        yield started[0]


@pytest.fixture
def place(own_server: Server, tmp_path: Path) -> t.Iterator[Place]:
    """Where one case takes place. The server's first admin is the only one then, and again afterwards."""
    # The running server remembers now that it is an admin, also if the database changes.
    own_server.get(f"/_synapse/admin/v1/users/{own_server.admin}/admin")
    yield Place(own_server, f"c{secrets.token_hex(4)}", tmp_path)
    _demote_all(own_server)
    own_server.write("UPDATE users SET admin = 1 WHERE name = ?", own_server.admin)


def _demote_all(server: Server) -> None:
    """Remove the admin rights of all accounts in the database."""
    server.write("UPDATE users SET admin = 0")


def _nobody(place: Place) -> None:
    _demote_all(place.server)


def _account(place: Place) -> None:
    """An account on a server that has another admin. Synapse has not read yet whether the account is one."""
    place.server.register(f"{place.unique}-one", _PASSWORD)


def _account_alone(place: Place) -> None:
    _account(place)
    _demote_all(place.server)


def _with_session(place: Place) -> None:
    """An account with a session, with the word `token` for it."""
    _account(place)
    token = place.server.log_in(place.user("one"), _PASSWORD, "SESSION")
    assert token
    place.ids["token"] = token


def _looked_up(place: Place) -> None:
    """An account of which Synapse remembers that it is not an admin."""
    _with_session(place)
    assert _status_of_admin_api(place) == 403


def _admin_unknown_to_synapse(place: Place) -> None:
    _looked_up(place)
    play(place, MODULE, _declare_by_own_token(place, allow_existing_admins=True))
    assert _status_of_admin_api(place) == 403


def _several_admins(place: Place) -> None:
    _account(place)
    for number in range(4):
        place.server.register(f"{place.unique}-boss{number}", _PASSWORD, admin=True)


def _status_of_admin_api(place: Place) -> int:
    """The status of a request to the Admin API as the account."""
    path = f"/_synapse/admin/v1/users/{place.user('one')}/admin"
    status, answer = place.server.ask("GET", path, None, place.ids["token"])
    assert status == 403 or answer["admin"] is True
    return status


def _declare(place: Place, **declared: t.Any) -> Parameters:
    given = {"admin": True, "bootstrap_admin": True, "config_path": place.server.config_path, **declared}
    return declare(place, "one", **given)


def _declaring(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: _declare(place, **declared)


def _declare_by_own_token(place: Place, **declared: t.Any) -> Parameters:
    return _declare(place, access_token=place.ids["token"], **declared)


def _state(place: Place) -> State:
    """The accounts of the case in the database, and devices. A request to Synapse would make it remember them."""
    query = "SELECT name, admin, deactivated, locked, password_hash FROM users WHERE name LIKE ?"
    rows = place.server.rows(query, f"@{place.unique}-%")
    state: State = {name: [bool(admin), bool(out), bool(locked), given] for name, admin, out, locked, given in rows}
    state["admins"] = place.server.rows("SELECT name FROM users WHERE admin = 1 ORDER BY name")
    state["devices"] = devices_of(place, place.user("one"))
    return state


@dataclasses.dataclass(frozen=True)
class _Promotion(Expectation):
    """An account that becomes an admin, or is one.

    `method`: how. `verified`: whether the Admin API treats it as an admin at once. `refused_until_restart`: whether
    the Admin API refuses it until a restart, also in a second run.
    """

    method: str = "database"
    verified: bool = True
    refused_until_restart: bool = False


_promotion = functools.partial(
    _Promotion,
    module=MODULE,
    token=False,
    state=_state,
    unpredictable=_SEEN_BY_RUNS,
    returns=lambda place: {"user": lambda user: user["user_id"] == place.user("one") and user["admin"]},
    secrets=(_PASSWORD,),
)

PROMOTIONS = (
    _promotion(
        "a new account on a server without an admin",
        prepare=_nobody,
        parameters=_declaring(password=_PASSWORD, display_name=_NAME),
        shows=lambda _place: {"devices": []},
        method="registration",
    ),
    _promotion(
        "a new account on a server that has an admin",
        parameters=_declaring(password=_PASSWORD),
        shows=lambda _place: {"devices": []},
        method="registration",
    ),
    _promotion(
        "an existing account, with its password, on a server without an admin",
        prepare=_account_alone,
        parameters=_declaring(create=False, password=_PASSWORD),
        shows=lambda place: {"admins": [(place.user("one"),)], "devices": []},
    ),
    _promotion(
        "an account that Synapse has read already",
        prepare=_looked_up,
        parameters=lambda place: _declare_by_own_token(place, allow_existing_admins=True),
        shows=lambda place: {"admins": sorted([(place.user("one"),), (place.server.admin,)])},
        verified=False,
        refused_until_restart=True,
    ),
    _promotion(
        "an account without its token or password",
        prepare=_account,
        parameters=_declaring(allow_existing_admins=True),
        verified=False,
    ),
)


@pytest.mark.parametrize("case", named(PROMOTIONS))
def test_promoted(place: Place, case: _Promotion) -> None:
    case.prepare(place)
    parameters = case.parameters(place)
    predicted = play(place, MODULE, parameters, token=False, check=True)
    assert (predicted["method"], predicted["verified"], predicted["restart_required"]) == (case.method, False, False)
    done = prove(place, dataclasses.replace(case, prepare=nothing))
    assert (done["method"], done["verified"]) == (case.method, case.verified)
    assert done["restart_required"] is not case.verified
    again = play(place, MODULE, parameters, token=False)
    assert ("method" in again, again["restart_required"]) == (False, case.refused_until_restart)
    # Without a token or a password, no request is possible.
    assert again["verified"] is case.verified
    require_no_token(place, [predicted, done, again])
    if "token" in place.ids:
        assert _status_of_admin_api(place) == (200 if case.verified else 403)


def test_what_a_new_admin_looks_like(place: Place) -> None:
    _nobody(place)
    play(place, MODULE, _declare(place, password=_PASSWORD, display_name=_NAME), token=False)
    path = f"/_synapse/admin/v2/users/{place.user('one')}"
    account = place.server.get(path)
    assert (account["admin"], account["displayname"]) == (True, _NAME)
    assert place.server.get(f"{path}/devices")["total"] == 0
    assert place.server.accepts(place.user("one"), _PASSWORD)


def test_synapse_takes_for_an_admin_whom_it_has_not_looked_up_before(place: Place) -> None:
    _with_session(place)
    _demote_all(place.server)
    done = play(place, MODULE, _declare(place, create=False, password=_PASSWORD), token=False)
    assert (done["method"], done["verified"]) == ("database", True)
    assert _status_of_admin_api(place) == 200


@pytest.mark.parametrize("kept", ["syt_not_valid_any_more", "", None])
def test_what_is_left_of_an_old_token_does_not_prevent_it(place: Place, kept: str | None) -> None:
    _with_session(place)
    _demote_all(place.server)
    path = place.directory / "old.token"
    if kept is not None:
        path.write_text(kept)
    declared = _declare(place, create=False, password=_PASSWORD, access_token_path=str(path))
    done = play(place, MODULE, declared, token=False)
    assert (done["method"], done["verified"]) == ("database", True)


def test_synapse_knows_the_admin_after_a_restart(place: Place) -> None:
    _admin_unknown_to_synapse(place)
    servers.restart(place.server)
    parameters = _declare_by_own_token(place, allow_existing_admins=True)
    case = Expectation("restarted", MODULE, lambda _place: parameters, changes=False, state=_state, token=False)
    assert play(place, MODULE, parameters, token=False, check=True)["verified"]
    done = prove(place, case)
    # With its own token, the account is an admin like any other now.
    assert (done["method"], done["verified"], done["restart_required"]) == ("admin_api", True, False)
    assert done["user"]["admin"]
    require_no_token(place, done)
    assert _status_of_admin_api(place) == 200


_refusal = functools.partial(Refusal, module=MODULE, token=False, state=_state, secrets=(_PASSWORD, _SHORT))

REFUSALS = (
    _refusal(
        "an existing account, if the database must not be changed",
        prepare=_account_alone,
        parameters=_declaring(allow_database_write=False),
        message="exists and is not a server admin. Set allow_database_write to true to make it one in the database",
    ),
    _refusal(
        "two access tokens",
        prepare=_account_alone,
        parameters=_declaring(access_token="syt_some", access_token_path="/nonexistent/token"),
        message="Both access_token and access_token_path are set",
    ),
    _refusal(
        "a new account without a password",
        prepare=_nobody,
        parameters=_declaring(),
        message=lambda place: f"{place.user('one')} does not exist. Set password",
    ),
    _refusal(
        "a new account with a password that the policy forbids",
        prepare=_nobody,
        parameters=_declaring(password=_SHORT),
        message=r"password policy of this server forbids.*It needs at least 10 characters, a symbol\.$",
    ),
    _refusal(
        "a new account with upper-case letters",
        prepare=_nobody,
        parameters=lambda place: _declare(place, user_id=f"{place.unique}-Mallory", password=_PASSWORD),
        message=lambda place: f"upper-case letters.*@{place.unique}-mallory",
    ),
    _refusal(
        "a new account that must not be created",
        prepare=_nobody,
        parameters=_declaring(create=False, password=_PASSWORD),
        message="does not exist, and create is false",
    ),
    _refusal(
        "a value that only an admin can change",
        prepare=_account_alone,
        parameters=_declaring(locked=True),
        message="Only a server admin can set locked, .*then set them with its access token",
    ),
    _refusal(
        "another admin, by its own token",
        prepare=_looked_up,
        parameters=_declare_by_own_token,
        message=lambda place: rf"already has server admins \({place.server.admin}\).*set allow_existing_admins",
    ),
    _refusal(
        "another admin on a server with many",
        prepare=_several_admins,
        parameters=_declaring(password=_PASSWORD),
        message="already has server admins .*-boss0.* and 2 more.*set allow_existing_admins",
    ),
    _refusal(
        "an existing account without bootstrap_admin, although the configuration can be read",
        prepare=_account_alone,
        parameters=_declaring(bootstrap_admin=False),
        message="401 M_MISSING_TOKEN.*set bootstrap_admin to true and run the task on the host of Synapse",
    ),
    _refusal(
        "a new account without bootstrap_admin, although the secret is set",
        prepare=_nobody,
        parameters=lambda place: _declare(
            place, bootstrap_admin=False, password=_PASSWORD, registration_shared_secret=place.server.secret
        ),
        message="401 M_MISSING_TOKEN.*set bootstrap_admin to true and run the task on the host of Synapse",
    ),
    _refusal(
        "an account without bootstrap_admin, by its own token",
        prepare=_looked_up,
        parameters=lambda place: _declare_by_own_token(place, bootstrap_admin=False),
        message="You are not a server admin.*set bootstrap_admin to true and run the task on the host of Synapse",
    ),
    _refusal(
        "bootstrap_admin for an account that is not declared as an admin",
        parameters=_declaring(admin=False),
        message="bootstrap_admin makes the account a server admin: set admin to true",
    ),
    _refusal(
        "a first admin without the configuration",
        parameters=_declaring(config_path=["/nonexistent/homeserver.yaml"]),
        message="homeserver.yaml does not exist.*bootstrap_admin needs the configuration of Synapse",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)
    if "token" in place.ids:
        # Synapse still does not treat it as an admin.
        assert _status_of_admin_api(place) == 403
