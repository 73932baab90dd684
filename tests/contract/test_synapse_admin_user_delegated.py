# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused if the Matrix Authentication Service manages the accounts, and does not run."""

from __future__ import annotations

import functools
import json
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import MODULE, declare
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_SECRET, _PASSWORD = "secret of both", "a longer secret"
_SETTINGS = {
    "matrix_authentication_service": {"enabled": True, "endpoint": "http://127.0.0.1:1/", "secret": _SECRET},
    "password_config": {"enabled": False},
}
_ACCOUNT = "alice"
_SILENT = r"503.*The Matrix Authentication Service, .*, does not answer Synapse.* mas-cli\.$"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(engine, marks=pytest.mark.xdist_group(f"delegated on {engine}")) for engine in servers.ENGINES
    ],
)
def delegating_server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on each engine with an account. The service that manages its accounts does not run."""
    with servers.own_servers(request.param) as started:
        server = started[0]
        # Created before, because Synapse cannot create accounts with this service.
        server.make_account(_ACCOUNT, password=_PASSWORD)
        # JSON is valid YAML.
        (Path(server.directory) / "conf.d" / "service.yaml").write_text(json.dumps(_SETTINGS))
        servers.restart(server)
        yield server


@pytest.fixture
def place(delegating_server: Server, tmp_path: Path) -> Place:
    """Where one case takes place."""
    return Place(delegating_server, f"c{secrets.token_hex(4)}", tmp_path)


def _state(place: Place) -> State:
    """The accounts in the database, because Synapse itself would send a request to the service."""
    rows = place.server.rows(
        "SELECT name, admin, deactivated, locked, suspended, password_hash FROM users ORDER BY name"
    )
    return {row[0]: row for row in rows}


def _alice(place: Place, **declared: t.Any) -> Parameters:
    return declare(place, _ACCOUNT, user_id=_ACCOUNT, **declared)


def _declaring(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: _alice(place, **declared)


_refusal = functools.partial(Refusal, module=MODULE, state=_state, message=_SILENT, secrets=(_SECRET, _PASSWORD))
_FIRST_ADMIN = (
    r"^The Matrix Authentication Service manages the accounts.*which accounts are server admins\."
    r" Run 'mas-cli manage register-user {name}'.*"
    r"'mas-cli manage promote-admin {name}' for an existing account\.$"
)

REFUSALS = (
    _refusal("a new account", parameters=lambda place: declare(place, "mallory")),
    _refusal("an admin", parameters=_declaring(admin=True)),
    _refusal(
        "an admin, with a token and bootstrap_admin",
        parameters=lambda place: _alice(place, admin=True, bootstrap_admin=True, config_path=place.server.config_path),
    ),
    _refusal("a password", parameters=_declaring(password=_PASSWORD, update_password="always")),
    _refusal("the end of an account", parameters=_declaring(state="absent")),
    _refusal(
        "a first admin",
        parameters=lambda place: _alice(place, admin=True, bootstrap_admin=True, config_path=place.server.config_path),
        token=False,
        message=_FIRST_ADMIN.format(name=_ACCOUNT),
    ),
    _refusal(
        "a first admin that does not exist",
        parameters=lambda place: declare(
            place,
            "mallory",
            admin=True,
            bootstrap_admin=True,
            password=_PASSWORD,
            config_path=place.server.config_path,
        ),
        token=False,
        message=lambda place: _FIRST_ADMIN.format(name=f"{place.unique}-mallory"),
    ),
    _refusal(
        "many accounts",
        module="synapse_admin_users",
        parameters=lambda place: {
            "users": [{"user_id": place.user("new")}, {"user_id": _ACCOUNT, "admin": True}],
        },
        message="Matrix Authentication Service.*does not answer.*mas-cli",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
