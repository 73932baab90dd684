# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_admin_users reports if Synapse is killed in the middle of a long list, and what the next run does."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import operator
import os
import re
import secrets
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import account_list
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.account_list_cases import (
    MODULE,
    declare_list,
    expect_list,
    look_at_accounts,
    prove_list,
    shown,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_PATIENCE = 60.0
# For how long the module reads again what may still be done. Shorter than outside of tests.
_PATIENCE_THERE = 1.5
_NUMBER = 300
# How many accounts there are when Synapse is killed.
_KILLED_AT = 50
_NOT_ATTEMPTED = "It was skipped, because Synapse does not respond any more."
_MESSAGES = "does not respond any more|^P[A-Z]+ http.* failed. |was changed, but it could not be read again"
_SUSPENDED = range(41, 101)
_LOOKED_AT = (1, 41, 100, _NUMBER)


def _declare(place: Place) -> Parameters:
    """Declare many persons. Some of them need a second request each."""
    persons: list[tuple[str, Parameters]] = [
        (
            f"person~-{number}",
            {"display_name": f"Person 🐇 {number}", **({"suspended": True} if number in _SUSPENDED else {})},
        )
        for number in range(1, _NUMBER + 1)
    ]
    return declare_list(place, persons)


def _there(place: Place) -> list[str]:
    listed = place.server.get(f"/_synapse/admin/v3/users?limit=1000&user_id=@person{place.unique}")["users"]
    return [str(account["name"]) for account in listed]


def _kill_in_the_middle(place: Place) -> None:
    """Wait until there are some of them, and kill Synapse. Raises AssertionError if that takes too long."""
    server = place.server
    pid = int(Path(server.directory, "homeserver.pid").read_text())
    path = f"/_synapse/admin/v2/users?limit=1&user_id=@person{place.unique}"
    until(lambda: server.get(path)["total"], lambda found: found >= _KILLED_AT)
    os.kill(pid, signal.SIGKILL)
    until(Path(f"/proc/{pid}").exists, operator.not_)


def _run_there(parameters: Parameters) -> Result:
    """Run the module in a process of its own, which is in the middle of it when Synapse is killed."""
    with pytest.MonkeyPatch.context() as changed:
        for module in (_execution, account_list):
            changed.setattr(module, "PATIENCE", _PATIENCE_THERE)
        return run_module(MODULE, parameters)


def _named(result: Result, holds: t.Callable[[dict[str, t.Any]], object]) -> set[str]:
    return {str(user["user_id"]) for user in result["users"] if holds(user)}


@pytest.fixture(params=servers.ENGINES)
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Place]:
    """A place on a server that no other test uses."""
    with servers.own_servers(request.param) as started:
        yield Place(started[0], f"c{secrets.token_hex(4)}", tmp_path)


def test_killed_in_the_middle(killed: Place) -> None:
    place, server = killed, killed.server
    parameters = {"base_url": server.base_url, "access_token": server.token, **_declare(place)}
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        running = pool.submit(_run_there, parameters)
        _kill_in_the_middle(place)
        ended = running.result(_PATIENCE)
    servers.restart(server)
    there = set(_there(place))
    told = _named(ended, lambda user: user.get("steps"))
    unknown = _named(ended, lambda user: "is unknown" in user.get("msg", ""))
    assert ended["failed"]
    assert ended["changed"]
    assert f"of {_NUMBER} accounts are not as declared" in ended["msg"]
    assert len(ended["users"]) == _NUMBER
    assert told
    assert told <= there
    # The result of a request in progress is unknown, and the message reports this.
    assert there - told <= unknown
    # Four at the same time, and the next ones on connections that were already closed.
    assert len(unknown) <= 8
    assert len(there) < _NUMBER
    # The changed accounts could not be read again.
    messages = [str(user["msg"]) for user in ended["users"] if user["failed"]]
    assert len(messages) == _NUMBER
    assert not [message for message in messages if not re.search(_MESSAGES, message)]
    assert _NOT_ATTEMPTED in messages
    assert server.token not in json.dumps(ended)

    left = _left(place, there)
    done = prove_list(place, _finish(left))
    changed = _named(done, lambda user: user["changed"])
    failed = _named(ended, lambda user: user["failed"])
    assert changed <= failed
    assert failed - changed <= told | unknown


def _left(place: Place, there: set[str]) -> tuple[str, ...]:
    """Return the words of those that the same task has to finish: not created, or not yet suspended."""
    words = {place.server.user_id(f"person{place.unique}-{number}"): number for number in range(1, _NUMBER + 1)}
    suspended = place.server.rows("SELECT name FROM users WHERE suspended AND name LIKE ?", f"@person{place.unique}-%")
    already = {name for (name,) in suspended}
    return tuple(
        f"person~-{number}"
        for name, number in words.items()
        if name not in there or (number in _SUSPENDED and name not in already)
    )


def _finish(left: tuple[str, ...]) -> t.Any:
    def state(place: Place) -> State:
        return look_at_accounts(place, [f"person~-{number}" for number in _LOOKED_AT])

    return expect_list(
        "the rest of an interrupted task",
        parameters=_declare,
        changed=left,
        state=state,
        shows=lambda place: shown(
            {
                f"person~-{number}": {"displayname": f"Person 🐇 {number}", "suspended": number in _SUSPENDED}
                for number in _LOOKED_AT
            }
        ),
    )
