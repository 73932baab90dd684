# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_access_token on a server with a limit of active users: an account is created, and gets no access token."""

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

_FULL = {"limit_usage_by_mau": True, "max_mau_value": 0, "mau_trial_days": 0}


@pytest.fixture(params=[False, True], ids=["profiles", "no profiles"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Place]:
    """A place on a server that is full, which shows profiles to everybody or to accounts only."""
    with servers.own_servers("sqlite") as started:
        server = started[0]
        # The setup logs in as well, so the limit is set after it.
        settings = {**_FULL, "require_auth_for_profile_requests": request.param}
        Path(server.directory, "conf.d", "zz_limit.yaml").write_text(json.dumps(settings))
        servers.restart(server)
        yield Place(server, f"c{secrets.token_hex(4)}", tmp_path)


def test_account_is_created_without_its_token(place: Place) -> None:
    parameters = {**declare_admin(place), "password": None}
    done = play(place, MODULE, parameters, token=False)
    assert done["failed"]
    assert done["changed"]
    assert done["outcome"] in ("partly_done", "unknown")
    assert re.search("403 M_RESOURCE_LIMIT_EXCEEDED.*max_mau_value", done["msg"]), done["msg"]
    assert "was not created" not in done["msg"]
    assert look_at_robot(place)["admin"] is True
    assert not token_path(place).exists()

    # With room for one more, the next run logs in with the random password that the first one has kept.
    Path(place.server.directory, "conf.d", "zz_limit.yaml").write_text("{}")
    servers.restart(place.server)
    again = play(place, MODULE, parameters, token=False)
    assert not again.get("failed"), again["msg"]
    assert token_path(place).exists()
