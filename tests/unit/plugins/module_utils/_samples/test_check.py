# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck, check_sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import KINDS, Sample
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

WHOAMI = "/_matrix/client/v3/account/whoami"
LOG_OUT = "/_matrix/client/v3/logout"
LOG_IN = "/_synapse/admin/v1/users/%40a%3Ab/login"
MEMBERSHIPS = "/_synapse/admin/v1/users/%40a%3Ab/memberships"
JOINED = "/_synapse/admin/v1/users/%40a%3Ab/joined_rooms"
MISSING = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
TOKEN = "syt_admin"


def sample(**kinds: t.Any) -> Sample:
    return {**{kind: [] for kind in KINDS}, "logins": [], "server_name": "b", **kinds}


def check(calls: list[Call], given: Sample, *, login: bool = False) -> SampleCheck:
    with ScriptedServer() as server:
        server.expect(*calls)
        return check_sample(given, Client(server.base_url, TOKEN), login=login)


def test_nothing() -> None:
    found = check_sample(sample(), None, login=False)
    assert found == SampleCheck([], [], dict.fromkeys(KINDS, 0))


def test_without_a_token_everything_is_unknown() -> None:
    given = sample(**{kind: [{}] for kind in KINDS})
    found = check_sample(given, None)
    assert found.differences == []
    assert [each["name"] for each in found.unknown] == [*KINDS, "login"]
    assert not any(found.proven.values())
    assert "Set access_token" in found.unknown[0]["fix"]


def test_login_of_another_account_than_that_of_the_token() -> None:
    calls = [
        Call("GET", WHOAMI, {"user_id": "@first:b"}, token=TOKEN),
        Call("POST", LOG_IN, {"access_token": "short"}, token=TOKEN),
        Call("GET", WHOAMI, {"user_id": "@a:b"}, token="short"),
        Call("POST", LOG_OUT, token="short"),
    ]
    found = check(calls, sample(logins=["@first:b", "@a:b"]), login=True)
    assert found.proven["login"] == 1
    assert (found.differences, found.unknown) == ([], [])


@pytest.mark.parametrize(
    ("login", "whoami", "expected"),
    [
        (Call("POST", LOG_IN, {}), None, "The account @a:b cannot be logged in: the answer contains no access token."),
        (
            Call("POST", LOG_IN, {"errcode": "M_UNKNOWN", "error": "broken"}, 400),
            None,
            r"The account @a:b cannot be logged in: ",
        ),
        (
            Call("POST", LOG_IN, {"access_token": "short"}),
            Call("GET", WHOAMI, {"user_id": "@other:b"}),
            "The account @a:b was logged in, but the server calls it @other:b.",
        ),
        (
            Call("POST", LOG_IN, {"access_token": "short"}),
            Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "no"}, 401),
            "The account @a:b was logged in, but its access token is not accepted: ",
        ),
    ],
)
def test_login_that_does_not_work(login: Call, whoami: Call | None, expected: str) -> None:
    calls = [Call("GET", WHOAMI, {"user_id": "@first:b"}), login]
    # It is logged out in any case.
    calls += [whoami, Call("POST", LOG_OUT)] if whoami else []
    [difference] = check(calls, sample(logins=["@a:b"]), login=True).differences
    assert difference.startswith(expected)


def test_login_that_is_not_offered() -> None:
    """With the Matrix Authentication Service, the path does not exist."""
    calls = [Call("GET", WHOAMI, {"user_id": "@first:b"}), Call("POST", LOG_IN, MISSING, 404)]
    found = check(calls, sample(logins=["@a:b"]), login=True)
    assert [each["name"] for each in found.unknown] == ["login"]
    assert "Compare it by hand" in found.unknown[0]["fix"]


def test_nobody_to_log_in() -> None:
    found = check([Call("GET", WHOAMI, {"user_id": "@a:b"})], sample(logins=["@a:b"]), login=True)
    assert found.unknown[0]["reason"] == "There is no account that may be logged in for a test."


def test_memberships_of_an_older_synapse() -> None:
    rooms = [{"user_id": "@a:b", "room_id": room, "membership": "join"} for room in ("!in", "!out")]
    calls = [
        Call("GET", MEMBERSHIPS, MISSING, 404),
        Call("GET", JOINED, {"joined_rooms": ["!in"]}),
        Call("GET", MEMBERSHIPS, MISSING, 404),
        Call("GET", JOINED, {"joined_rooms": ["!in"]}),
    ]
    found = check(calls, sample(memberships=rooms))
    assert found.differences == ["The account @a:b has no membership in !out instead of join."]
    assert found.proven["memberships"] == 1
    invitation = {"user_id": "@a:b", "room_id": "!in", "membership": "invite"}
    found = check([Call("GET", MEMBERSHIPS, MISSING, 404)], sample(memberships=[invitation]))
    assert [each["name"] for each in found.unknown] == ["memberships"]


def test_answers_that_have_another_form() -> None:
    """They are differences, never a crash."""
    given = sample(
        events=[{"event_id": "$a", "room_id": "", "type": "t", "sender": "s", "origin_server_ts": 1, "sha256": "x"}],
        devices=[{"user_id": "@a:b", "device_id": "D", "sha256": "x"}],
        memberships=[{"user_id": "@a:b", "room_id": "!a", "membership": "join"}],
    )
    calls = [
        Call("GET", "/_synapse/admin/v1/fetch_event/%24a", {"event": "text"}),
        Call("POST", "/_matrix/client/v3/keys/query", {"device_keys": {"@a:b": []}}),
        Call("GET", MEMBERSHIPS, {"memberships": ["!a"]}),
    ]
    assert check(calls, given).differences == [
        "The event $a in a room has another type, sender, origin_server_ts, content than before.",
        "The device D of @a:b has no keys.",
        "The account @a:b has no membership in !a instead of join.",
    ]


def test_media_of_a_process_that_has_none() -> None:
    path = "/_matrix/client/v1/media/download/b/m"
    media = [{"media_id": "m", "bytes": 1, "sha256": ""}]
    found = check([Call("GET", path, MISSING, 404)], sample(media=media))
    assert [each["name"] for each in found.unknown] == ["media"]
    found = check([Call("GET", path, {"errcode": "M_NOT_FOUND", "error": "no"}, 404)], sample(media=media))
    assert found.differences == ["The file mxc://b/m does not exist."]
    found = check([Call("GET", path, {}, 302, {"Location": "https://elsewhere"})], sample(media=media))
    assert [each["name"] for each in found.unknown] == ["media"]
    found = check([Call("GET", path, {"errcode": "M_UNKNOWN", "error": "no"}, 502)], sample(media=media))
    assert found.differences[0].startswith("The file mxc://b/m cannot be downloaded: ")
    # Without a hash, only the size is known.
    found = check([Call("GET", path, text=b"xy")], sample(media=media))
    assert found.differences == ["The file mxc://b/m has 2 instead of 1 bytes."]
    assert check([Call("GET", path, text=b"x")], sample(media=media)).proven["media"] == 1


def test_server_that_cannot_be_reached() -> None:
    with pytest.raises(ConnectionFailed):
        check_sample(sample(aliases=[{"alias": "#a:b", "room_id": "!a"}]), Client("http://127.0.0.1:9", TOKEN))
