# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How synapse_admin_user sets and compares passwords, on a server with a pepper and a policy."""

from __future__ import annotations

import functools
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    declaring,
    look,
    make,
    own_accounts,
    prove_by_admin,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_FIRST, _SECOND = "first secret", "second secret"
# It contains letters that Synapse normalizes, and is longer than the part that Synapse compares.
_LAST = f"ﬁnal secret {'Å' * 40}"
# The policy forbids both: the first for two reasons, the second for one.
_SHORT, _OF_LETTERS = "TOO SHORT", "longbutletters"
_POLICY = {"enabled": True, "minimum_length": 10, "require_symbol": True, "require_lowercase": True}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(engine, marks=pytest.mark.xdist_group(f"passwords on {engine}")) for engine in servers.ENGINES
    ],
)
def strict_server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on each engine that peppers passwords and has a policy for them."""
    with servers.own_servers(request.param, password_config={"pepper": "with pepper", "policy": _POLICY}) as started:
        servers.wait_for_profiles(started[0])
        yield started[0]


@pytest.fixture
def place(strict_server: Server, tmp_path: Path) -> Place:
    """Where one case takes place."""
    return Place(strict_server, f"c{secrets.token_hex(4)}", tmp_path)


def _alice(place: Place) -> None:
    """An account with the first password and a session. `place.ids` contains its access token as `token`."""
    user_id = place.server.make_account(f"{place.unique}-alice", password=_FIRST)
    token = place.server.log_in(user_id, _FIRST, "SESSION")
    assert token
    place.ids["token"] = token


def _without_password(place: Place) -> None:
    place.server.make_account(f"{place.unique}-alice")


def _deactivated(place: Place) -> None:
    _alice(place)
    make(place, "alice", state="absent")


def _erased(place: Place) -> None:
    _alice(place)
    make(place, "alice", locked=True, suspended=True)
    make(place, "alice", state="absent", erase=True)


def _with_long_password(place: Place) -> None:
    place.server.make_account(f"{place.unique}-alice", password=_LAST)


def _state(place: Place) -> State:
    """What the server shows of the account, and whether its session is still logged in."""
    state = look(place, "alice", _FIRST, _SECOND, _LAST, _SHORT)
    if "token" in place.ids:
        state["session"] = place.server.ask("GET", "/_matrix/client/v3/account/whoami", None, place.ids["token"])[0]
    return state


def _compared(place: Place, **declared: t.Any) -> Parameters:
    return declare(place, "alice", update_password="if_different", config_path=place.server.config_path, **declared)


def _shows_that_a_password_is_set(diff: dict[str, t.Any]) -> bool:
    """Whether before and after show that a password is set, but not the password."""
    return (diff["before"]["password"], diff["after"]["password"]) == ("(hidden)", "(hidden, new)")


_change = functools.partial(
    Expectation, module=MODULE, prepare=_alice, state=_state, secrets=(_FIRST, _SECOND, _LAST, _SHORT)
)

EXPECTATIONS = (
    _change(
        "set another password and log out",
        parameters=declaring("alice", password=_SECOND, update_password="always", logout_devices=True),
        shows=lambda _place: {"passwords": [_SECOND], "session": 401},
        returns=lambda _place: {"diff": _shows_that_a_password_is_set},
        repeatable=False,
    ),
    _change(
        "set another password and keep the session",
        parameters=declaring("alice", password=_SECOND, update_password="always"),
        shows=lambda _place: {"passwords": [_SECOND], "session": 200},
        returns=lambda _place: {"diff": _shows_that_a_password_is_set},
        repeatable=False,
    ),
    _change(
        "the same password",
        parameters=lambda place: _compared(place, password=_FIRST),
        changes=False,
        shows=lambda _place: {"passwords": [_FIRST], "session": 200},
    ),
    _change(
        "a different password",
        parameters=lambda place: _compared(place, password=_LAST),
        shows=lambda _place: {"passwords": [_LAST], "session": 200},
        returns=lambda _place: {"diff": _shows_that_a_password_is_set},
    ),
    _change(
        "a different password, and log out",
        parameters=lambda place: _compared(place, password=_SECOND, logout_devices=True),
        shows=lambda _place: {"passwords": [_SECOND], "session": 401},
    ),
    _change(
        "the same long password",
        prepare=_with_long_password,
        parameters=lambda place: _compared(place, password=_LAST),
        changes=False,
        shows=lambda _place: {"passwords": [_LAST]},
    ),
    _change(
        "a password for an account without a password",
        prepare=_without_password,
        parameters=lambda place: _compared(place, password=_FIRST),
        shows=lambda _place: {"passwords": [_FIRST]},
    ),
    _change(
        "a password for an account that is deactivated",
        prepare=_deactivated,
        parameters=lambda place: _compared(place, password=_SECOND),
        shows=lambda _place: {"deactivated": False, "passwords": [_SECOND]},
    ),
    _change(
        "reactivate an account, unlock it and end the suspension",
        prepare=_erased,
        parameters=declaring(
            "alice", create=False, password=_SECOND, display_name="Alice", locked=False, suspended=False
        ),
        shows=lambda _place: {
            "deactivated": False,
            "erased": False,
            "displayname": "Alice",
            "locked": False,
            "suspended": False,
            "passwords": [_SECOND],
        },
    ),
    _change(
        "a password that the policy forbids, but that is only for a new account",
        parameters=declaring("alice", password=_SHORT, display_name="Alice"),
        shows=lambda _place: {"displayname": "Alice", "passwords": [_FIRST], "session": 200},
    ),
)

_refusal = functools.partial(Refusal, module=MODULE, state=own_accounts, secrets=(_SHORT, _OF_LETTERS))

REFUSALS = (
    _refusal(
        "a password that the policy forbids",
        parameters=declaring("mallory", password=_SHORT),
        message=r"password policy of this server forbids.*It needs at least 10 characters, a lowercase letter\.$",
    ),
    _refusal(
        "another password that the policy forbids",
        prepare=_alice,
        parameters=declaring("alice", password=_OF_LETTERS, update_password="always"),
        message=r"password policy of this server forbids.*It needs a symbol\.$",
    ),
    _refusal(
        "a different password that the policy forbids",
        prepare=_alice,
        parameters=lambda place: _compared(place, password=_OF_LETTERS),
        message=r"password policy of this server forbids.*It needs a symbol\.$",
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove_by_admin(place, case)
    if not case.repeatable:
        # The server does not show whether the password is the same.
        assert play(place, MODULE, case.parameters(place))["changed"]


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)
    if "token" in place.ids:
        assert _state(place)["passwords"] == [_FIRST]
