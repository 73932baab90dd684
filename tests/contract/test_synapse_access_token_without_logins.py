# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_access_token on a server that does not allow logins with a password."""

from __future__ import annotations

import json
import re
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import play
from ansible_collections.matrix_ops.synapse.tests.contract.test_synapse_access_token import (
    MODULE,
    declare_admin,
    look_at_robot,
    token_path,
)


@pytest.fixture(params=[False, True], ids=["profiles", "no profiles"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Place]:
    """A place on a server without logins, which shows profiles to everybody or to accounts only."""
    with servers.own_servers("sqlite") as started:
        server = started[0]
        # The setup logs in as well, so the settings are changed after it.
        settings = {"password_config": {"enabled": False}, "require_auth_for_profile_requests": request.param}
        Path(server.directory, "conf.d", "zz_logins.yaml").write_text(json.dumps(settings))
        servers.restart(server)
        yield Place(server, f"c{secrets.token_hex(4)}", tmp_path)


@pytest.mark.parametrize("password", ["robot secret", None])
def test_account_is_created_with_its_token(place: Place, password: str | None) -> None:
    declared = {**declare_admin(place), "password": password}
    predicted, done, again = (play(place, MODULE, declared, token=False, check=check) for check in (True, False, False))
    for result in (predicted, done, again):
        assert not result.get("failed"), result["msg"]
    assert [result["changed"] for result in (predicted, done, again)] == [True, True, False]
    assert (predicted["steps"], predicted["diff"]) == (done["steps"], done["diff"])
    shown = look_at_robot(place)
    assert (shown["admin"], len(shown["devices"]), shown["mode"]) == (True, 1, "0o600")

    # The token is lost: nothing can get another one. Check mode knows that, if it can know that the account exists.
    token_path(place).unlink()
    before = look_at_robot(place)
    predicted, done = (play(place, MODULE, declared, token=False, check=check) for check in (True, False))
    said = "does not allow logins with a password.*valid access token of" if password else "Set password to log in"
    can_know = "if it does not exist" not in str(predicted.get("steps"))
    for result in (predicted, done) if can_know else (done,):
        assert result["failed"]
        assert not result["changed"]
        assert re.search(said, result["msg"]), result["msg"]
    assert look_at_robot(place) == before
