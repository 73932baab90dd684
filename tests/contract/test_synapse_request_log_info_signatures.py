# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_request_log_info says of signatures that fail between two real servers."""

from __future__ import annotations

import json
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_MODULE = "synapse_request_log_info"


def _send(server: Server, authorization: str | None, path: str = "/_matrix/federation/v1/query/profile") -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    request = urllib.request.Request(f"{server.base_url}{path}?user_id={server.user}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _key_of(server: Server) -> str:
    """Return the ID of the key that a server signs with."""
    with urllib.request.urlopen(f"{server.base_url}/_matrix/key/v2/server", timeout=60) as answer:
        return str(next(iter(json.load(answer)["verify_keys"])))


def _failures(place: Place, since: float) -> list[dict[str, t.Any]]:
    seen = play(
        place,
        _MODULE,
        {
            "base_url": None,
            "config_path": place.server.config_path,
            "gather": ["signature_failures"],
            "since": str(since),
        },
        token=False,
    )
    assert not seen.get("failed"), seen
    assert seen["other_signature_failures"] == 0
    return t.cast("list[dict[str, t.Any]]", seen["signature_failures"])


def test_failures_are_counted_once_and_by_cause(pair: list[Server], tmp_path: Path) -> None:
    meeting.meet(pair)
    ours, other = pair
    place = Place(ours, "signatures", tmp_path)
    key = _key_of(other)
    begun = time.time() - 0.001
    signed = f'X-Matrix origin="{other.name}",destination="{ours.name}",key="{key}",sig="{"A" * 86}"'
    for _attempt in range(3):
        assert _send(ours, signed) == 401
    # As it arrives if a reverse proxy has decoded it.
    for path in ("/_matrix/federation/v1/event/%24a%3Ab", "/_matrix/federation/v1/event/$a:b"):
        assert _send(ours, signed, path) == 401
    assert _send(ours, signed.replace(f'destination="{ours.name}"', 'destination="nobody.test"')) == 401
    assert _send(ours, None) == 401
    assert _send(ours, "X-Matrix nonsense") in (400, 401)
    # A client that writes the words of a failure into its own request.
    words = "authenticate_request failed: 401: Invalid signature for server good.example with key ed25519:a: Unable"
    request = urllib.request.Request(f"{ours.base_url}/_matrix/client/versions", headers={"User-Agent": words})
    urllib.request.urlopen(request, timeout=60).read()
    found = {(each["origin"], each["cause"], each["direction"]): each for each in _failures(place, begun)}
    invalid = found[other.name, "invalid_signature", "inbound"]
    assert invalid["count"] == 5
    assert invalid["key_ids"] == [key]
    assert len(invalid["requests"]) == 5
    assert invalid["uris"] == [
        "/_matrix/federation/v1/query/profile",
        "/_matrix/federation/v1/event/%24a%3Ab",
        "/_matrix/federation/v1/event/$a:b",
    ]
    assert invalid["decoded_uris"] == 1
    assert begun * 1000 <= invalid["first_ts"] <= invalid["last_ts"] <= time.time() * 1000
    assert "Invalid signature for server" in invalid["line"]
    assert [cause for _origin, cause, _direction in found if cause == "wrong_destination"]
    assert [cause for _origin, cause, _direction in found if cause == "missing_authentication"]
    assert not [origin for origin, _cause, _direction in found if origin == "good.example"]
    assert sum(each["count"] for each in found.values()) == 8


@pytest.mark.usefixtures("pair")
def test_servers_that_understand_each_other_have_no_failures(pair: list[Server], tmp_path: Path) -> None:
    begun = time.time()
    meeting.meet(pair)
    for server in pair:
        room = server.make_room(server.user_token)
        meeting.say(server, room, "hello")
        assert _failures(Place(server, "signatures", tmp_path), begun) == []
