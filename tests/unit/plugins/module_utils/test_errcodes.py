# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of each error code. That none is missing is tested with Synapse's own package."""

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errcodes import MEANINGS, Meaning, explain
from ansible_collections.matrix_ops.synapse.plugins.module_utils._faults import refusal

_LONGEST = 260


@pytest.mark.parametrize(("key", "meaning"), MEANINGS.items(), ids=str)
def test_says_little_in_whole_sentences(key: str | tuple[str, int], meaning: Meaning) -> None:
    text = str(meaning)
    assert len(text) <= _LONGEST
    for sentence in filter(None, meaning):
        assert re.fullmatch(r"[A-Z].*\.", sentence)
    code, status = key if isinstance(key, tuple) else (key, 418)
    assert explain(status, code, "Words.") == text


@pytest.mark.parametrize(
    ("status", "errcode", "words", "said"),
    [
        (403, "M_FORBIDDEN", "You are not a server admin", "Use the access token of a server admin"),
        (403, "M_FORBIDDEN", "You cannot send that", ""),
        (403, "M_FORBIDDEN", "This avatar is not allowed", "(max_avatar_size and allowed_avatar_mimetypes in its"),
        (400, "M_INVALID_USERNAME", "User ID may not begin with _", "allow_underscore_prefixed_localpart"),
        (400, "M_INVALID_USERNAME", "User ID can only contain", "A new user ID has only the characters"),
        (400, "M_EXCLUSIVE", "This alias is reserved by an application service.", "remove the namespace from the reg"),
        (400, "M_EXCLUSIVE", "This user ID is reserved.", "sends notices"),
        (400, "M_EXCLUSIVE", "This application service has not reserved this kind of alias.", "only use names in its"),
        (400, "M_EXCLUSIVE", "Invalid user localpart for this application service.", "only use names in its own"),
        (401, "M_USER_LOCKED", "User account has been locked", "unlock it with synapse_admin_user (locked: false)."),
        (401, "", "", "The access token is not valid."),
        (401, "M_FORBIDDEN", "No", "The access token is not valid."),
        (429, "", "", "set rate_limit_retry_timeout to more seconds."),
        (429, "M_LIMIT_EXCEEDED", "Too Many Requests", "set rate_limit_retry_timeout to more seconds."),
        (403, "M_RESOURCE_LIMIT_EXCEEDED", "Monthly Active User Limit Exceeded", "max_mau_value"),
        (400, "M_RESOURCE_LIMIT_EXCEEDED", "Room too large", "limit_remote_rooms"),
        (500, "M_UNKNOWN", "Internal server error", "Check the log of Synapse for the reason."),
        (503, "M_UNKNOWN", "Unable to introspect the access token", "Check that it runs. For changes that only it can"),
        (404, "M_NOT_FOUND", "Room alias #introspection:example.org not found", ""),
        (400, "M_UNKNOWN", "Invalid user type", ""),
        (404, "M_NOT_FOUND", "No such room", ""),
        (418, "ORG.EXAMPLE.NEW", "Tea", ""),
        (500, "ORG.EXAMPLE.NEW", "Tea", "Check the log of Synapse for the reason."),
    ],
)
def test_the_meaning_depends_on_status_and_words(status: int, errcode: str, words: str, said: str) -> None:
    text = explain(status, errcode, words)
    assert said in text
    assert bool(said) == bool(text)


@pytest.mark.parametrize(
    ("unix_socket", "said"),
    [
        ("", "Set base_url to the URL of the main process of Synapse, not of a worker or"),
        ("/run/x.sock", "Set unix_socket to the path of a Unix socket of the main process of Synapse, not of a worker"),
    ],
)
@pytest.mark.parametrize("status", [404, 405])
def test_a_missing_endpoint_depends_on_the_connection(status: int, unix_socket: str, said: str) -> None:
    answer = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
    error = refusal("GET", Address("http://x", unix_socket), "/a", status, answer)
    assert said in error.message


@pytest.mark.parametrize(
    ("path", "delegated"),
    [
        ("/_matrix/client/v3/login", True),
        ("/_synapse/admin/v1/register", True),
        ("/_synapse/admin/v1/reset_password/%40a%3Ax.org", True),
        ("/_synapse/admin/v1/users/%40a%3Ax.org/login", True),
        ("/_synapse/admin/v1/users/%40a%3Ax.org/admin", True),
        ("/_synapse/admin/v2/users/%40a%3Ax.org", False),
        ("/_synapse/admin/v1/rooms/%21a%3Ax.org", False),
        ("/_synapse/admin/v1/federation/destinations", False),
    ],
)
def test_only_what_another_service_can_do_is_said_to_be_its_work(path: str, delegated: bool) -> None:
    error = refusal("GET", Address("http://x"), path, 404, {"errcode": "M_UNRECOGNIZED", "error": "?"})
    assert ("Matrix Authentication Service" in error.message) is delegated
