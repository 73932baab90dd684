# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_access_token waits if a server limits logins."""

from __future__ import annotations

import json
import re
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play

# One login in ten seconds: a second login has to wait.
_LIMITS = {"rc_login": {"address": {"per_second": 0.1, "burst_count": 1}}}
_PASSWORD = "robot secret"


@pytest.fixture
def limited(tmp_path: Path) -> t.Iterator[Place]:
    """A place on a server that limits logins. Synapse counts them in memory, so one engine is enough."""
    with servers.own_servers("sqlite") as started:
        server = started[0]
        # The setup logs in as well, so the limits are set after it.
        Path(server.directory, "conf.d", "zz_rate_limits.yaml").write_text(json.dumps(_LIMITS))
        servers.restart(server)
        yield Place(server, f"c{secrets.token_hex(4)}", tmp_path)


def test_login_waits_as_long_as_it_may(limited: Place) -> None:
    limited.server.register(f"{limited.unique}-robot", _PASSWORD)

    def log_in(**more: t.Any) -> Result:
        parameters = {"user_id": f"{limited.unique}-robot", "password": _PASSWORD, **more}
        return play(limited, "synapse_access_token", parameters, token=False)

    first = log_in()
    assert not first.get("failed"), first["msg"]
    impatient = log_in(rate_limit_retry_timeout=0)
    assert impatient["failed"]
    assert not impatient["changed"]
    assert re.search("429 M_LIMIT_EXCEEDED.*retry_timeout", impatient["msg"]), impatient["msg"]
    patient = log_in()
    assert not patient.get("failed"), patient["msg"]
    assert patient["token"]["access_token"] != first["token"]["access_token"]
