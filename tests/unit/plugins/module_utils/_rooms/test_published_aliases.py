# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A token in the name of another user expires soon after the task, and a failed logout hides no other failure."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.published_aliases import (
    PublishedAliases,
    write_published,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

KIND = "m.room.canonical_alias"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
LOBBY, OTHER = "#lobby:x.org", "#other:x.org"
CONTENT = {"alias": LOBBY, "alt_aliases": [OTHER], "kept": 1}
EVENT = {"type": KIND, "state_key": "", "sender": "@alice:x.org", "content": CONTENT}
STATE = Call("GET", "/_synapse/admin/v1/rooms/%21r/state", {"state": [EVENT]})
LOGIN = Call("POST", "/_synapse/admin/v1/users/%40alice%3Ax.org/login", {"access_token": "borrowed"}, token="token")
WRITE = Call("PUT", f"/_matrix/client/v3/rooms/%21r/state/{KIND}", {"event_id": "$1"}, token="borrowed")
LOGOUT = Call("POST", "/_matrix/client/v3/logout", token="borrowed")
BROKEN = {"errcode": "M_UNKNOWN", "error": "Broken"}
GONE = {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}


def without_lobby(current: PublishedAliases) -> PublishedAliases:
    return current.without(LOBBY)


def write(server: ScriptedServer, writer: str = "@alice:x.org") -> str | None:
    return write_published(Client(server.base_url, "token"), "!r", writer, without_lobby)


def failing(call: Call, answer: t.Any = None, status: int = 500) -> Call:
    return dataclasses.replace(call, answer=answer or BROKEN, status=status)


def test_nothing_is_written_if_nothing_differs(server: ScriptedServer) -> None:
    server.expect(dataclasses.replace(STATE, answer={"state": []}))
    assert write(server) is None


def test_the_order_of_the_alternatives_does_not_matter() -> None:
    assert PublishedAliases(LOBBY, ("#a:x.org", "#b:x.org")).same_as(PublishedAliases(LOBBY, ("#b:x.org", "#a:x.org")))
    assert not PublishedAliases(LOBBY).same_as(PublishedAliases(OTHER))
    assert not PublishedAliases(LOBBY).same_as(PublishedAliases(LOBBY, (OTHER,)))


def test_the_token_expires_by_the_clock_of_the_server(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "now_ms", lambda _self: 1_767_268_800_000)
    body = {"valid_until_ms": 1_767_268_800_000 + 10 * 60 * 1000}
    server.expect(STATE, WHOAMI, dataclasses.replace(LOGIN, body=body), WRITE, LOGOUT)
    assert write(server) is None


def test_a_failed_logout_is_only_a_warning(server: ScriptedServer) -> None:
    server.expect(STATE, WHOAMI, LOGIN, WRITE, failing(LOGOUT), failing(LOGOUT))
    warning = write(server)
    assert warning is not None
    assert "in the name of @alice:x.org could not be logged out. It expires at 20" in warning
    assert "borrowed" not in warning


@pytest.mark.parametrize("second", [LOGOUT, failing(LOGOUT, GONE, 401)])
def test_a_logout_is_tried_again(server: ScriptedServer, second: Call) -> None:
    server.expect(STATE, WHOAMI, LOGIN, WRITE, dataclasses.replace(LOGOUT, drop=True), second)
    assert write(server) is None


def test_a_failed_logout_does_not_hide_why_nothing_was_written(server: ScriptedServer) -> None:
    forbidden = failing(WRITE, {"errcode": "M_FORBIDDEN", "error": "No power"}, 403)
    server.expect(STATE, WHOAMI, LOGIN, forbidden, failing(LOGOUT), failing(LOGOUT))
    with pytest.raises(errors.PermissionDenied, match="No power.*@alice:x.org could not be logged out") as caught:
        write(server)
    assert "borrowed" not in f"{caught.value} {caught.value.details}"


def test_the_caller_needs_no_other_token(server: ScriptedServer) -> None:
    body = {"alt_aliases": [OTHER], "kept": 1}
    server.expect(STATE, WHOAMI, dataclasses.replace(WRITE, body=body, token="token"))
    assert write(server, "@admin:x.org") is None
