# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How synapse_admin_user makes the first server admin, where nobody has the token of one.

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
# What only a run can see: it asks the server whether it takes the account for an admin.
_SEEN_BY_RUNS = ("user", "verified", "restart_required")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(engine, marks=pytest.mark.xdist_group(f"first admin on {engine}")) for engine in servers.ENGINES
    ],
)
def own_server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on each engine whose admins come and go, with a pepper and a policy for passwords."""
    with servers.own_servers(request.param, password_config={"pepper": "with pepper", "policy": _POLICY}) as started:
        yield started[0]


@pytest.fixture
def place(own_server: Server, tmp_path: Path) -> t.Iterator[Place]:
    """Where one case takes place. The server's first admin is the only one then, and again afterwards."""
    # Looked up now, it stays one for the running server when it is demoted in the database.
    own_server.get(f"/_synapse/admin/v1/users/{own_server.admin}/admin")
    yield Place(own_server, f"c{secrets.token_hex(4)}", tmp_path)
    _demote_everybody(own_server)
    own_server.write("UPDATE users SET admin = 1 WHERE name = ?", own_server.admin)


def _demote_everybody(server: Server) -> None:
    """Take the rights of every admin away in the database."""
    server.write("UPDATE users SET admin = 0")


def _nobody(place: Place) -> None:
    _demote_everybody(place.server)


def _account(place: Place) -> None:
    """An account on a server that has another admin. Synapse has not looked up yet whether it is one."""
    place.server.register(f"{place.unique}-one", _PASSWORD)


def _account_alone(place: Place) -> None:
    _account(place)
    _demote_everybody(place.server)


def _with_session(place: Place) -> None:
    """An account with a session, with the word `token` for it."""
    _account(place)
    token = place.server.log_in(place.user("one"), _PASSWORD, "SESSION")
    assert token
    place.ids["token"] = token


def _looked_up(place: Place) -> None:
    """An account of which Synapse remembers that it is no admin."""
    _with_session(place)
    assert _status_of_admin_api(place) == 403


def _admin_unknown_to_synapse(place: Place) -> None:
    _looked_up(place)
    play(place, MODULE, _declare_by_own_token(place, despite_other_admins=True))
    assert _status_of_admin_api(place) == 403


def _several_admins(place: Place) -> None:
    _account(place)
    for number in range(4):
        place.server.register(f"{place.unique}-boss{number}", _PASSWORD, admin=True)


def _status_of_admin_api(place: Place) -> int:
    """How the Admin API answers the account itself."""
    path = f"/_synapse/admin/v1/users/{place.user('one')}/admin"
    status, answer = place.server.ask("GET", path, None, place.ids["token"])
    assert status == 403 or answer["admin"] is True
    return status


def _declare(place: Place, **declared: t.Any) -> Parameters:
    return declare(place, "one", admin=True, config_path=place.server.config_path, **declared)


def _declaring(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: _declare(place, **declared)


def _declare_by_own_token(place: Place, **declared: t.Any) -> Parameters:
    return _declare(place, access_token=place.ids["token"], **declared)


def _state(place: Place) -> State:
    """What is stored of the accounts of the case, and devices. Synapse is not asked: it would remember that."""
    query = "SELECT name, admin, deactivated, locked, password_hash FROM users WHERE name LIKE ?"
    rows = place.server.rows(query, f"@{place.unique}-%")
    state: State = {name: [bool(admin), bool(out), bool(locked), given] for name, admin, out, locked, given in rows}
    state["admins"] = place.server.rows("SELECT name FROM users WHERE admin = 1 ORDER BY name")
    state["devices"] = devices_of(place, place.user("one"))
    return state


@dataclasses.dataclass(frozen=True)
class _Promotion(Expectation):
    """An account that becomes an admin, or is one.

    `method`: how; `verified`: whether the Admin API answers it as an admin at once; `refused_until_restart`: whether
    Synapse is seen to answer it as somebody else, also in a second run.
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
        parameters=_declaring(password=_PASSWORD, displayname=_NAME),
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
        "an account that exists, with its password, on a server without an admin",
        prepare=_account_alone,
        parameters=_declaring(create=False, password=_PASSWORD),
        shows=lambda place: {"admins": [(place.user("one"),)], "devices": []},
    ),
    _promotion(
        "an account that Synapse has looked up",
        prepare=_looked_up,
        parameters=lambda place: _declare_by_own_token(place, despite_other_admins=True),
        shows=lambda place: {"admins": sorted([(place.user("one"),), (place.server.admin,)])},
        verified=False,
        refused_until_restart=True,
    ),
    _promotion(
        "an account without its token or password",
        prepare=_account,
        parameters=_declaring(despite_other_admins=True),
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
    assert (again["method"], again["restart_required"]) == (None, case.refused_until_restart)
    # Without a token or a password, nobody can ask.
    assert again["verified"] is case.verified
    require_no_token(place, [predicted, done, again])
    if "token" in place.ids:
        assert _status_of_admin_api(place) == (200 if case.verified else 403)


def test_what_a_new_admin_looks_like(place: Place) -> None:
    _nobody(place)
    play(place, MODULE, _declare(place, password=_PASSWORD, displayname=_NAME), token=False)
    path = f"/_synapse/admin/v2/users/{place.user('one')}"
    account = place.server.get(path)
    assert (account["admin"], account["displayname"]) == (True, _NAME)
    assert place.server.get(f"{path}/devices")["total"] == 0
    assert place.server.accepts(place.user("one"), _PASSWORD)


def test_synapse_takes_for_an_admin_whom_it_has_not_looked_up_before(place: Place) -> None:
    _with_session(place)
    _demote_everybody(place.server)
    done = play(place, MODULE, _declare(place, create=False, password=_PASSWORD), token=False)
    assert (done["method"], done["verified"]) == ("database", True)
    assert _status_of_admin_api(place) == 200


def test_synapse_knows_the_admin_after_a_restart(place: Place) -> None:
    _admin_unknown_to_synapse(place)
    servers.restart(place.server)
    parameters = _declare_by_own_token(place, despite_other_admins=True)
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
        "an account that exists, without the database",
        prepare=_account_alone,
        parameters=_declaring(allow_database=False),
        message="without the access token of one only the database can make it one: set allow_database to true",
    ),
    _refusal(
        "a new account without a password",
        prepare=_nobody,
        parameters=_declaring(),
        message=lambda place: f"{place.user('one')} does not exist: set password",
    ),
    _refusal(
        "a new account with a password that breaks the server's policy",
        prepare=_nobody,
        parameters=_declaring(password=_SHORT),
        message=r"breaks this server's password policy: it lacks at least 10 characters, a symbol\.$",
    ),
    _refusal(
        "a new account with capital letters",
        prepare=_nobody,
        parameters=lambda place: _declare(place, user_id=f"{place.unique}-Mallory", password=_PASSWORD),
        message=lambda place: f"capital letters.*@{place.unique}-mallory",
    ),
    _refusal(
        "a new account that shall not be created",
        prepare=_nobody,
        parameters=_declaring(create=False, password=_PASSWORD),
        message="does not exist, and create is false",
    ),
    _refusal(
        "more than the first admin needs",
        prepare=_account_alone,
        parameters=_declaring(locked=True),
        message="locked can only be set by a server admin.*declare the rest with its token",
    ),
    _refusal(
        "another admin, by its own token",
        prepare=_looked_up,
        parameters=_declare_by_own_token,
        message=lambda place: rf"has admins already \({place.server.admin}\).*set despite_other_admins",
    ),
    _refusal(
        "another admin beside many",
        prepare=_several_admins,
        parameters=_declaring(password=_PASSWORD),
        message="has admins already .*-boss0.* and 2 more.*set despite_other_admins",
    ),
    _refusal(
        "the secret to register with, without the configuration",
        parameters=lambda place: {
            "user_id": f"{place.unique}-one",
            "admin": True,
            "password": _PASSWORD,
            "registration_shared_secret": place.server.secret,
        },
        message="registration_shared_secret is of no use without config_path",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)
    if "token" in place.ids:
        # Synapse still takes it for none.
        assert _status_of_admin_api(place) == 403
