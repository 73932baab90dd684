# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_check proves of presence, beside what two clients of the server see of it."""

from __future__ import annotations

import json
import os
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_MODULE = "synapse_runtime_check"
_VALUES: dict[str, t.Any] = {"enabled": True, "disabled": False, "untracked": "untracked"}
# What a stranger is answered, and what a second client in the same room reads after the first one has set it.
_SEEN = {"enabled": (403, "unavailable"), "disabled": (200, "offline"), "untracked": (403, "offline")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server that is restarted with other modes, and lets a client set its presence as often as it likes."""
    quick = {"per_second": 1000, "burst_count": 1000}
    with servers.own_servers("sqlite", rc_presence={"per_user": quick}) as [server]:
        yield Place(server, "presence", tmp_path_factory.mktemp("presence"))


def _file(place: Place) -> Path:
    return Path(place.server.config_path[1], "90-presence.yaml")


def _restart(place: Place, settings: dict[str, t.Any]) -> None:
    _file(place).write_text(json.dumps(settings))
    servers.restart(place.server)


def _judge(place: Place, presence: str, **more: t.Any) -> Result:
    """Run the module in check mode and for real, which must be the same, with the token of an ordinary account."""
    given = {"presence": presence, "access_token": place.server.user_token, **more}
    results = [
        play(place, _MODULE, runtime.parameters(place, **given), token=False, check=check) for check in (True, False)
    ]
    first, second = ({key: result.get(key) for key in ("failed", "msg", "proofs")} for result in results)
    assert first == second
    assert not results[1]["changed"]
    return results[1]


def _as_clients_see_it(server: Server, unique: str) -> tuple[int, str]:
    one, other = (server.make_account(f"{name}{unique}") for name in ("one", "other"))
    tokens = [server.speaking_as(user_id) for user_id in (one, other)]
    room = server.make_room(tokens[0], preset="public_chat")
    path = f"/_matrix/client/v3/presence/{urllib.parse.quote(one)}/status"
    server.send("PUT", path, {"presence": "unavailable"}, tokens[0])
    stranger, _answer = server.ask("GET", path, token=tokens[1])
    server.send("POST", f"/_matrix/client/v3/join/{urllib.parse.quote(room)}", {}, tokens[1])
    status, answer = server.ask("GET", path, token=tokens[1])
    assert status == 200
    return stranger, str(answer["presence"])


@pytest.mark.parametrize("mode", _VALUES)
def test_each_mode_is_proven_and_every_other_one_refused(alone: Place, mode: str) -> None:
    _restart(alone, {"presence": {"enabled": _VALUES[mode]}})
    before = alone.server.ask("GET", f"/_matrix/client/v3/presence/{alone.server.user}/status")
    proven = _judge(alone, mode, require_presence_proof=True)
    assert not proven.get("failed"), proven
    assert proven["presence_proven"] is True
    for other in _VALUES.keys() - {mode}:
        refused = _judge(alone, other)
        assert refused["failed"]
        assert {failure["declared"] for failure in refused["failures"]} == {"presence"}
        assert str(_file(alone)) in refused["msg"]
    # Nothing of all this has set the presence of the account.
    assert alone.server.ask("GET", f"/_matrix/client/v3/presence/{alone.server.user}/status") == before
    assert _as_clients_see_it(alone.server, mode) == _SEEN[mode]


def test_text_that_synapse_takes_for_true(alone: Place) -> None:
    _restart(alone, {"presence": {"enabled": "false"}})
    refused = _judge(alone, "disabled")
    assert refused["failed"]
    assert 'text "false"' in refused["msg"]
    assert str(_file(alone)) in refused["msg"]


def test_the_old_key_and_what_overrides_it(alone: Place) -> None:
    _restart(alone, {"use_presence": False})
    assert not _judge(alone, "disabled").get("failed")
    _restart(alone, {"use_presence": False, "presence": {"enabled": True}})
    refused = _judge(alone, "disabled")
    assert refused["failed"]
    assert "use_presence" in refused["msg"]
    allowed = _judge(alone, "enabled")
    assert not allowed.get("failed")


def test_a_change_without_a_restart(alone: Place) -> None:
    _restart(alone, {"presence": {"enabled": True}})
    _file(alone).write_text(json.dumps({"presence": {"enabled": False}}))
    refused = _judge(alone, "disabled")
    assert refused["failed"]
    assert "restart" in refused["msg"].lower()
    for failure in refused["failures"]:
        assert failure["declared"] in {"presence", "fresh"}


def test_a_wrong_token_or_none(alone: Place) -> None:
    _restart(alone, {"presence": {"enabled": True}})
    refused = _judge(alone, "enabled", access_token="syt_wrong")
    assert refused["failed"]
    assert "syt_wrong" not in json.dumps(refused)
    assert "access_token" in refused["msg"]
    without = _judge(alone, "enabled", access_token=None)
    assert not without.get("failed")
    assert without["presence_proven"] is False
    assert "access_token_path" in without["proofs"]["presence"]
    demanded = _judge(alone, "enabled", access_token=None, require_presence_proof=True)
    assert demanded["failed"]
    token = alone.directory / "token"
    descriptor = os.open(token, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "w") as file:
        file.write(alone.server.user_token)
    assert _judge(alone, "enabled", access_token=None, access_token_path=str(token))["presence_proven"] is True
