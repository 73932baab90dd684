# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of requests, and the endpoints that they belong to."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import (
    OTHER,
    endpoint_of,
    is_long_poll,
    served_endpoint,
)

_EVENT = "%24HmB0dXmyUqvZy9hCQCCy9tVX1lBBk9SaOEHdBVTZ5vk"


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/_matrix/client/v3/sync", "/_matrix/client/v3/sync"),
        ("/_matrix/client/r0/sync", "/_matrix/client/r0/sync"),
        ("/_matrix/client/api/v1/events", "/_matrix/client/api/v1/events"),
        ("/_matrix/client/versions", "/_matrix/client/versions"),
        ("/_matrix/client/v3/rooms/!a:example.org/members", "/_matrix/client/v3/rooms/{room_id}/members"),
        ("/_matrix/client/v3/rooms/%21a%3Aexample.org/members/", "/_matrix/client/v3/rooms/{room_id}/members"),
        (
            "/_matrix/client/v3/rooms/!a/send/m.room.message/m1.2",
            "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
        ),
        # Identifiers that are words of the API.
        (
            "/_matrix/client/v3/rooms/state/state/join/join",
            "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
        ),
        ("/_matrix/client/v3/rooms/!a/join/members", "/_matrix/client/v3/rooms/{room_id}/join/{txn_id}"),
        ("/_matrix/client/v3/profile/profile/displayname", "/_matrix/client/v3/profile/{user_id}/displayname"),
        ("/_matrix/client/v3/profile/@a:b/us.example.field", "/_matrix/client/v3/profile/{user_id}/{field_name}"),
        ("/_matrix/client/v3/keys/query", "/_matrix/client/v3/keys/query"),
        (
            "/_matrix/client/v1/media/thumbnail/matrix.org/aBc",
            "/_matrix/client/v1/media/thumbnail/{server_name}/{media_id}",
        ),
        ("/_matrix/media/v3/download/a.org/b", "/_matrix/media/v3/download/{server_name}/{media_id}"),
        ("/_matrix/federation/v1/send/1732", "/_matrix/federation/v1/send/{txn_id}"),
        (f"/_matrix/federation/v1/event/{_EVENT}", "/_matrix/federation/v1/event/{event_id}"),
        (f"/_matrix/federation/v2/invite/!a/{_EVENT}", "/_matrix/federation/v2/invite/{room_id}/{event_id}"),
        ("/_matrix/key/v2/server", "/_matrix/key/v2/server"),
        ("/_matrix/key/v2/server/ed25519:a", "/_matrix/key/v2/server/{key_id}"),
        ("/_synapse/admin/v2/users/@a:b", "/_synapse/admin/v2/users/{user_id}"),
        ("/_synapse/replication/fed_send_edu/m.typing/abc", "/_synapse/replication/fed_send_edu/{id}/{id}"),
        # What this Synapse does not serve: only plain words are kept.
        (
            "/_matrix/client/unstable/org.matrix.msc9999/things/%40a%3Ab/x8Zq",
            "/_matrix/client/unstable/org.matrix.msc9999/things/{user_id}/{id}",
        ),
        ("/_matrix/client/v7/createThing/!abc", "/_matrix/client/v7/createThing/{room_id}"),
        ("/_matrix/client/whatever/sync", f"/_matrix/client/{OTHER}"),
        ("/_matrix/client/v3" + "/a" * 100, f"/_matrix/client/v3/{OTHER}"),
        ("/_matrix/client/v3/", f"/_matrix/client/v3/{OTHER}"),
        ("/_matrix/identity/api/v1", f"/_matrix/{OTHER}"),
        ("/_synapse/client/pick_idp", "/_synapse/client/pick_idp"),
        ("/wp-login.php", OTHER),
        ("/", "/"),
        ("", OTHER),
        ("//_matrix/client/v3/sync", OTHER),
        ("http://example.org/_matrix/client/v3/sync", OTHER),
        ("/.well-known/matrix/server", "/.well-known/matrix/server"),
    ],
)
def test_identifiers_are_folded(path: str, endpoint: str) -> None:
    assert endpoint_of(path.encode()) == endpoint


def test_bytes_that_are_no_text_have_an_endpoint() -> None:
    assert endpoint_of(b"/_matrix/client/v3/\xff\xfe/\x1c") == "/_matrix/client/v3/{id}/{id}"


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/_matrix/client/v3/rooms/!a/join", "/_matrix/client/v3/rooms/{room_id}/join"),
        ("/_matrix/client/v3/rooms/!a/join/", "/_matrix/client/v3/rooms/{room_id}/join"),
        ("/", "/"),
        ("/_matrix/client/v7/createThing", None),
        ("/_matrix/client/v3/rooms/!a/leave/b/c", None),
        ("/x", None),
        ("", None),
    ],
)
def test_what_synapse_serves(path: str, endpoint: str | None) -> None:
    assert served_endpoint(path.encode()) == endpoint


@pytest.mark.parametrize(
    ("path", "waits"),
    [
        ("/_matrix/client/v3/sync", True),
        ("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", True),
        ("/_matrix/client/api/v1/events", True),
        ("/_matrix/client/v3/events", True),
        ("/_matrix/client/v3/rooms/!a:b/state/x/sync", False),
        ("/_matrix/client/v3/user/@a:b/account_data/sync", False),
        ("/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events", False),
        ("/_matrix/client/v3/sync/", False),
        ("/_matrix/client/v3/events/{event_id}", False),
        ("(other)", False),
    ],
)
def test_what_waits_on_purpose(path: str, *, waits: bool) -> None:
    assert is_long_poll(path) is waits


def test_a_client_cannot_make_up_endpoints_without_end() -> None:
    found = {endpoint_of(f"/_matrix/client/v3/rooms/sync/state/keys/query{number}".encode()) for number in range(1000)}
    assert found == {"/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}"}
    assert {endpoint_of(f"/page-{number}.php".encode()) for number in range(1000)} == {OTHER}


@pytest.mark.parametrize("hostile", ["org.example.msc1234!x", "org.example.msc1234.v1-x"])
def test_a_proposal_with_something_behind_it_is_an_identifier(hostile: str) -> None:
    assert endpoint_of(f"/_matrix/client/v3/{hostile}/word".encode()) == "/_matrix/client/v3/{id}/word"


@pytest.mark.parametrize("version", ["v1x", "r0!", "v123", "unstable-x"])
def test_what_only_begins_like_a_version(version: str) -> None:
    assert endpoint_of(f"/_matrix/client/{version}/word".encode()) == f"/_matrix/client/{OTHER}"
