# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that YAML does not read as text: what a running Synapse does with them, and what the modules say before."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Refusal, named, prove_refusal
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_SECRETS = """
registration_shared_secret: 123456789
turn_uris: ["turn:turn.test"]
turn_shared_secret: 123456789
password_config: {pepper: 123456789}
"""
_NAME = "zz_secrets.yaml"
_PASSWORD = "robot secret"


@pytest.fixture(scope="module")
def server() -> t.Iterator[Server]:
    with servers.own_servers("sqlite") as [started]:
        Path(started.config_path[1], _NAME).write_text(_SECRETS)
        servers.restart(started)
        yield started


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Place:
    return Place(server, f"c{secrets.token_hex(4)}", tmp_path)


def test_synapse_fails_when_it_uses_them(place: Place) -> None:
    server = place.server
    nonce = server.get("/_synapse/admin/v1/register")["nonce"]
    # As the number is written, which is all that a task could know.
    signed = f"{nonce}\0{place.unique}\0{_PASSWORD}\0notadmin"
    mac = hmac.new(b"123456789", signed.encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": place.unique, "password": _PASSWORD, "admin": False, "mac": mac}
    assert server.ask("POST", "/_synapse/admin/v1/register", body)[0] == 500
    assert server.ask("GET", "/_matrix/client/v3/voip/turnServer")[0] == 500
    account = {"type": "m.id.user", "user": str(server.rows("SELECT name FROM users")[0][0])}
    login = {"type": "m.login.password", "identifier": account, "password": _PASSWORD}
    assert server.ask("POST", "/_matrix/client/v3/login", login, token="")[0] == 500


def _secret_in(place: Place) -> str:
    return rf"registration_shared_secret in {place.server.config_path[1]}/{_NAME} is a number for YAML, not text"


_REFUSALS = (
    Refusal(
        "an account that does not exist",
        "synapse_access_token",
        parameters=lambda place: {
            "user_id": place.user("robot"),
            "password": _PASSWORD,
            "create": True,
            "config_path": place.server.config_path,
            # Nothing listens there.
            "base_url": "http://127.0.0.1:1",
        },
        message=lambda place: _secret_in(place) + ".*500.*Put it in quotes there.*and restart Synapse",
        token=False,
        secrets=("123456789",),
    ),
    Refusal(
        "the first server admin",
        "synapse_admin_user",
        parameters=lambda place: {
            "user_id": place.user("robot"),
            "password": _PASSWORD,
            "admin": True,
            "bootstrap_admin": True,
            "config_path": place.server.config_path,
            "base_url": "http://127.0.0.1:1",
        },
        message=lambda place: _secret_in(place) + ".*500.*Put it in quotes there.*and restart Synapse",
        token=False,
        secrets=("123456789",),
    ),
)


@pytest.mark.parametrize("case", named(_REFUSALS))
def test_named_before_any_request(place: Place, case: Refusal) -> None:
    before = place.server.rows("SELECT COUNT(*) FROM users")
    prove_refusal(place, case)
    assert place.server.rows("SELECT COUNT(*) FROM users") == before
