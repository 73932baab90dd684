# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.answers import (
    Caller,
    find_gaps,
    write_answers,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALICE = "@a/b:s.test"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:s.test"})
PUSHERS = "/_synapse/admin/v1/users/%40a%2Fb%3As.test/pushers"
PROFILE = "/_matrix/client/v3/profile/%40a%2Fb%3As.test"


def client_of(server: ScriptedServer) -> Client:
    return Client(server.base_url, "token", verify=True, timeout=5, rate_limit_retry_timeout=0)


def test_answers_are_written(tmp_path: pathlib.Path) -> None:
    pushers, profile = {"pushers": [{"kind": "email"}], "total": 1}, {"m.tz": "Europe/Tallinn"}
    with ScriptedServer() as server:
        server.expect(WHOAMI, Call("GET", PUSHERS, pushers, token="token"), Call("GET", PROFILE, profile))
        caller = Caller(client_of(server))
        caller.check("s.test", required=True)
        assert write_answers(caller, ALICE, str(tmp_path)) == []
    assert json.loads((tmp_path / "from_api/pushers").read_text()) == pushers
    assert json.loads((tmp_path / "from_api/profile").read_text()) == profile


def test_missing_answer_is_a_gap(tmp_path: pathlib.Path) -> None:
    forbidden = {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}
    missing = {"errcode": "M_NOT_FOUND", "error": "Profile was not found"}
    with ScriptedServer() as server:
        server.expect(Call("GET", PUSHERS, forbidden, status=403), Call("GET", PROFILE, missing, status=404))
        first, second = write_answers(Caller(client_of(server)), ALICE, str(tmp_path))
    assert "notifications" in first["name"] and "not a server admin" in first["reason"]
    assert second["reason"] == "the server has none for this account"
    assert not (tmp_path / "from_api").exists()


def test_answer_that_is_nested_too_deeply_is_a_gap(tmp_path: pathlib.Path) -> None:
    # Users can put any fields into their own profile.
    deep = b'{"m.x": ' * 50_000 + b"1" + b"}" * 50_000
    with ScriptedServer() as server:
        server.expect(Call("GET", PUSHERS, {"pushers": []}), Call("GET", PROFILE, text=deep))
        [gap] = write_answers(Caller(client_of(server)), ALICE, str(tmp_path))
    assert "fields of the profile" in gap["name"] and "nested too deeply" in gap["reason"]


def test_no_access_token(tmp_path: pathlib.Path) -> None:
    caller = Caller(None)
    caller.check("s.test", required=False)
    assert [gap["reason"] for gap in write_answers(caller, ALICE, str(tmp_path))] == [
        "there is no access token for the server"
    ] * 2


def test_server_that_is_down(tmp_path: pathlib.Path) -> None:
    with ScriptedServer() as server:
        client = client_of(server)
    caller = Caller(client)
    with pytest.raises(ConnectionFailed):
        caller.check("s.test", required=True)
    caller.check("s.test", required=False)
    assert {gap["reason"] for gap in write_answers(caller, ALICE, str(tmp_path))} == {"the server did not answer"}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"status": 401, "answer": {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid"}}, AuthenticationFailed),
        ({"status": 200, "text": b"<html>"}, UnexpectedAnswer),
    ],
)
def test_wrong_token_or_server_is_an_error(call: dict[str, t.Any], error: type[Exception]) -> None:
    with ScriptedServer() as server:
        server.expect(Call("GET", WHOAMI.path, **call))
        with pytest.raises(error):
            Caller(client_of(server)).check("s.test", required=False)


def test_another_server_is_refused() -> None:
    with ScriptedServer() as server:
        server.expect(WHOAMI)
        with pytest.raises(InvalidInput, match="is the server s.test, but config_path is .* of other.test:8448. Set"):
            Caller(client_of(server)).check("other.test:8448", required=False)


@pytest.mark.parametrize(
    ("avatar_url", "gap"),
    [
        (None, None),
        ("", None),
        ("mxc://s.test/Own", None),
        ("mxc://s.test/other", "the profile picture mxc://s.test/other"),
        ("mxc://elsewhere.test/Own", "the profile picture mxc://elsewhere.test/Own"),
        ("https://elsewhere.test/x.png", None),
    ],
)
def test_gaps(tmp_path: pathlib.Path, avatar_url: str | None, gap: str | None) -> None:
    (tmp_path / "user_data").mkdir()
    (tmp_path / "user_data/profile").write_text(json.dumps({"name": ALICE, "avatar_url": avatar_url}))
    (tmp_path / "media_ids").mkdir()
    (tmp_path / "media_ids" / name_of("Own")).write_text("{}")
    found = find_gaps(ALICE, "s.test", str(tmp_path), with_media=True)
    assert [entry["name"] for entry in found] == ([gap] if gap else [])
    assert find_gaps(ALICE, "s.test", str(tmp_path), with_media=False)[0]["name"] == "the content of uploaded files (1)"
