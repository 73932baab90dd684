# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.signature_messages import (
    ANSWER,
    ARRIVAL,
    INBOUND,
    LOGGERS,
    NEEDLES,
    OUTBOUND,
    Failure,
    parse_failure,
)
from ansible_collections.matrix_ops.synapse.plugins.modules.synapse_request_log_info import RETURN

BASE = "synapse.federation.transport.server._base"
KEYRING = "synapse.crypto.keyring"
EVENT_SERVER = "synapse.federation.federation_server"
EVENT_CLIENT = "synapse.federation.federation_client"
EVENT_BASE = "synapse.federation.federation_base"
SENDER = "synapse.federation.sender.transaction_manager"
REQUESTS = "synapse.http.matrixfederationclient"
HTTP = "synapse.http.server"
POLICY = "synapse.handlers.room_policy"
FORGED = "<class 'nacl.exceptions.BadSignatureError'> Signature was forged or corrupt"
INVALID = (
    f"Invalid signature for server b.example with key ed25519:a_x: Unable to verify signature for b.example: {FORGED}"
)
UNABLE = "unable to verify signature for"
NOTARY = "Error processing response from key notary server n.o for origin server b.c"
REQUEST = "{GET-O-4} [b.c] Request failed: GET matrix-federation://b.c"
PROCESSED = 'Processed request: 0.001sec/0.000sec (0.001sec, 0.000sec) (0.000sec/0.000sec/0) 1B 200 "GET / HTTP/1.1"'
NOT_FOUND = (
    "Failed to find any key to satisfy: _FetchKeyRequest(server_name='b.example:8448', "
    "minimum_valid_until_ts=1616231269675, key_ids=['ed25519:n', 'ed25519:m'])"
)
CLIENT = (
    "<XForwardedForRequest at 0x7fa6 method='POST' uri='/_matrix/client/v3/join/x' clientproto='HTTP/1.1' site='8008'>"
)
ARRIVED = "<SynapseRequest at 0x7f method='PUT' uri='#' clientproto='HTTP/1.1' site='8008'>"

MESSAGES = [
    (
        BASE,
        f"authenticate_request failed: 401: {INVALID}",
        Failure(INBOUND, "invalid_signature", "b.example", ("ed25519:a_x",)),
    ),
    (
        "synapse.federation.transport.server",
        "authenticate_request failed: 401: Invalid signature for server [::1]:1 with key ed25519:a_EqML: Unable",
        Failure(INBOUND, "invalid_signature", "[::1]:1", ("ed25519:a_EqML",)),
    ),
    (
        BASE,
        "authenticate_request failed: 401: Invalid signature for c.d with key ed25519:1",
        Failure(INBOUND, "invalid_signature", "c.d", ("ed25519:1",)),
    ),
    (
        BASE,
        f"authenticate_request failed: 401: {NOT_FOUND}",
        Failure(INBOUND, "key_not_found", "b.example:8448", ("ed25519:n", "ed25519:m")),
    ),
    (
        BASE,
        "authenticate_request failed: 401: No key for b.c with ids in ['ed25519:a'] (min_validity 1593534720408)",
        Failure(INBOUND, "key_not_found", "b.c", ("ed25519:a",)),
    ),
    (
        BASE,
        "authenticate_request failed: 401: No key for b.c with id ['ed25519:a']",
        Failure(INBOUND, "key_not_found", "b.c", ("ed25519:a",)),
    ),
    (
        BASE,
        "authenticate_request failed: 502: Error downloading keys for b.c",
        Failure(INBOUND, "key_not_found", "b.c"),
    ),
    (BASE, "authenticate_request failed: 400: Not signed by b.c", Failure(INBOUND, "not_signed", "b.c")),
    (BASE, "authenticate_request failed: 400: Not signed with a supported algorithm", Failure(INBOUND, "not_signed")),
    (
        BASE,
        "authenticate_request failed: 401: Server signing key ed25519:a for server b.c has been banned by this server",
        Failure(INBOUND, "banned_key", "b.c", ("ed25519:a",)),
    ),
    (BASE, "authenticate_request failed: missing authentication", Failure(INBOUND, "missing_authentication")),
    (
        BASE,
        "authenticate_request failed: 400: Malformed Authorization header",
        Failure(INBOUND, "malformed_authentication"),
    ),
    (
        BASE,
        "authenticate_request failed: 401: Destination mismatch in auth header, received: 'b.c'",
        Failure(INBOUND, "wrong_destination"),
    ),
    (
        BASE,
        "authenticate_request failed: 403: Federation denied with b.c.",
        Failure(INBOUND, "federation_denied", "b.c"),
    ),
    (BASE, "authenticate_request failed: database is locked", Failure(INBOUND, "other")),
    (BASE, "authenticate_request failed", Failure(INBOUND, "other")),
    (
        EVENT_SERVER,
        f"event id $e: unable to verify signature for sender domain b.example: 401: {INVALID}",
        Failure(INBOUND, "event_invalid_signature", "b.example", ("ed25519:a_x",), "$e"),
    ),
    (
        EVENT_CLIENT,
        "event id $e:b.c: unable to verify signature for event domain b.c: 400: Not signed by b.c",
        Failure(INBOUND, "event_not_signed", "b.c", (), "$e:b.c"),
    ),
    (
        EVENT_SERVER,
        "event id $e: unable to verify signature for authorising serve b.c: 400: Not signed by b.c",
        Failure(INBOUND, "event_not_signed", "b.c", (), "$e"),
    ),
    (
        EVENT_CLIENT,
        "event id $e:b.c: unable to verify signature for event id domain: timed out",
        Failure(INBOUND, "event_other", "b.c", (), "$e:b.c"),
    ),
    (
        EVENT_CLIENT,
        f"Signature on retrieved event $e was invalid ({UNABLE} sender domain b.example:8448: 401: {NOT_FOUND}). "
        "Checking local store/origin server",
        Failure(INBOUND, "event_key_not_found", "b.example:8448", ("ed25519:n", "ed25519:m"), "$e"),
    ),
    (
        EVENT_BASE,
        f"Signature check failed for $e: 403: event id $e: {UNABLE} sender b.example: 401: {INVALID}",
        Failure(INBOUND, "event_invalid_signature", "b.example", ("ed25519:a_x",), "$e"),
    ),
    (EVENT_BASE, "Signature check failed for $1487:b.c", Failure(INBOUND, "event_other", "b.c", (), "$1487:b.c")),
    (
        EVENT_BASE,
        "Event $e content has been tampered, redacting",
        Failure(INBOUND, "event_hash_mismatch", "", (), "$e"),
    ),
    (
        EVENT_BASE,
        "Event $e:b.c:1 content has been tampered, redacting",
        Failure(INBOUND, "event_hash_mismatch", "b.c:1", (), "$e:b.c:1"),
    ),
    (
        KEYRING,
        "Error looking up keys from b.c: Key response for b.c is not signed by the origin server",
        Failure(INBOUND, "key_response", "b.c"),
    ),
    (
        KEYRING,
        "Error looking up keys from b.c: Expected a response for server 'b.c' not 'd.e'",
        Failure(INBOUND, "key_response", "b.c"),
    ),
    (KEYRING, "Error getting keys from b.c", Failure(INBOUND, "key_response", "b.c")),
    (
        KEYRING,
        f"Unable to get key from 'n.o': SignatureVerifyException Unable to verify signature for b.c: {FORGED}",
        Failure(INBOUND, "key_response", "b.c"),
    ),
    (
        KEYRING,
        "Unable to get key from 'n.o': SignatureVerifyException Missing signature for b.c, ed25519:a",
        Failure(INBOUND, "key_response", "b.c"),
    ),
    (
        KEYRING,
        f"{NOTARY}: Response not signed by the notary server",
        Failure(INBOUND, "key_response", "n.o"),
    ),
    (
        KEYRING,
        f"{NOTARY}: Key response for b.c is not signed by the origin server",
        Failure(INBOUND, "key_response", "b.c"),
    ),
    (
        POLICY,
        f"failed to verify event using public key in policy server event: 401: {INVALID}",
        Failure(INBOUND, "policy_signature", "b.example", ("ed25519:a_x",), "policy"),
    ),
    (
        REQUESTS,
        f"{REQUEST}/_matrix/x?a=%20b: HttpResponseException('401: Unauthorized')",
        Failure(OUTBOUND, "refused", "b.c", code=401, path="/_matrix/x"),
    ),
    (
        REQUESTS,
        "{GET-O-4} [b.c] Request failed: GET matrix://b.c/x: HttpResponseException(\"401: b'Unauthorized'\",)",
        Failure(OUTBOUND, "refused", "b.c", code=401, path="/x"),
    ),
    (
        REQUESTS,
        "{PUT-O-4} [b.c:1] Request failed: PUT matrix-federation://b.c:1/x: HttpResponseException('403: No')",
        Failure(OUTBOUND, "refused", "b.c:1", code=403, path="/x"),
    ),
    (
        SENDER,
        "TX [b.c] {123} Remote returned error for $e: "
        f"{{'error': 'ERROR 403: {UNABLE} sender domain us.example: 401: {INVALID}'}}",
        Failure(OUTBOUND, "event_invalid_signature", "b.c", ("ed25519:a_x",), "$e"),
    ),
    (
        HTTP,
        f"{CLIENT} SynapseError: 400 - {INVALID}",
        Failure(ANSWER, "invalid_signature", "", ("ed25519:a_x",), code=401),
    ),
    (
        HTTP,
        f"{CLIENT} SynapseError: 401 - No key for b.c with ids in ['ed25519:a_MWcv'] (min_validity 1)",
        Failure(ANSWER, "key_not_found", "", ("ed25519:a_MWcv",), code=401),
    ),
    (
        HTTP,
        f"{CLIENT} SynapseError: 403 - event id $e: unable to verify signature for sender domain us: 401: {INVALID}",
        Failure(ANSWER, "event_invalid_signature", "", ("ed25519:a_x",), code=403),
    ),
    (
        HTTP,
        f"{ARRIVED.replace('#', '/_matrix/federation/v1/send/1')} SynapseError: 401 - {INVALID}",
        Failure(ARRIVAL, "invalid_signature", "b.example", ("ed25519:a_x",), path="/_matrix/federation/v1/send/1"),
    ),
    (
        HTTP,
        f"{ARRIVED.replace('#', '/_matrix/federation/v1/make_join/%21a/@b:c?ver=1&token=x')} SynapseError: 401 - "
        "Missing Authorization headers",
        Failure(ARRIVAL, "missing_authentication", path="/_matrix/federation/v1/make_join/%21a/@b:c"),
    ),
    (
        HTTP,
        f"{ARRIVED.replace('#', '/_matrix/federation/v1/x?ver=1')} SynapseError: 403 - You are not in the room.",
        Failure(ARRIVAL, "other", path="/_matrix/federation/v1/x"),
    ),
]


@pytest.mark.parametrize(("logger", "message", "expected"), MESSAGES)
def test_a_message(logger: str, message: str, expected: Failure) -> None:
    assert parse_failure(logger, message.encode()) == expected
    assert parse_failure("", message.encode()) == expected


@pytest.mark.parametrize(("logger", "message", "expected"), MESSAGES)
def test_the_needles_find_a_message(logger: str, message: str, expected: Failure) -> None:
    assert any(needle in message.encode() for needle in NEEDLES)
    assert logger in LOGGERS


def test_the_causes_are_those_that_are_documented() -> None:
    # event_banned_key has no message of its own: its text is that of banned_key.
    banned = "Server signing key ed25519:a for server b.c has been banned by this server"
    failure = parse_failure(EVENT_SERVER, f"event id $e: {UNABLE} sender domain b.c: 401: {banned}".encode())
    assert failure is not None
    documented = re.findall(r"- V\((\w+)\) - ", RETURN.partition("signature_failures:")[2])
    assert {failure.cause, *(expected.cause for _logger, _message, expected in MESSAGES)} == set(documented)


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        # Other messages about the same failures.
        (
            KEYRING,
            f"Error verifying signature for b.c:ed25519:a with key Noi6: Unable to verify signature for b.c: {FORGED}",
        ),
        (
            EVENT_SERVER,
            f"Error handling PDU $e: ERROR 403: unable to verify signature for sender domain b.c: 401: {INVALID}",
        ),
        (EVENT_CLIENT, "Failed to find copy of $e with valid signature"),
        (REQUESTS, "{GET-O-4} [b.c] Got response headers: 401 Unauthorized"),
        (SENDER, "TX [b.c] {1} got 401 response"),
        (
            BASE,
            f"Error parsing auth header 'X-Matrix authenticate_request failed: 401: {INVALID}': list",
        ),
        # Other failures.
        (KEYRING, "Error looking up keys from b.c: Failed to send request: DNSLookupError"),
        (KEYRING, "Unable to get key from 'n.o': KeyError server_keys"),
        (POLICY, "failed to verify event using public key in policy server event: 400: Not signed by b.c"),
        (
            REQUESTS,
            "{GET-O-4} [b.c] Request failed: GET matrix-federation://b.c/x: HttpResponseException('404: Not Found')",
        ),
        (
            REQUESTS,
            f"{REQUEST}/x: ResponseNeverReceived:[TimeoutError('401: ')]",
        ),
        (SENDER, "TX [b.c] {1} Remote returned error for $e: {'error': 'You are banned'}"),
        (HTTP, f"{CLIENT} SynapseError: 401 - Invalid access token passed."),
        (
            HTTP,
            f"{CLIENT} SynapseError: 403 - Banned. event id $e: {UNABLE} sender domain b.c: x",
        ),
        (EVENT_SERVER, "event id $e: something else"),
        (BASE, "authenticate_request failed,"),
    ],
)
def test_a_message_that_is_no_failure_of_its_own(logger: str, message: str) -> None:
    assert parse_failure(logger, message.encode()) is None


@pytest.mark.parametrize(
    "name", [BASE, "", "synapse.access.http.8008", HTTP, "twisted", "synapse.handlers.room_member", f"{BASE}.x"]
)
def test_text_of_clients_is_no_failure(name: str) -> None:
    failed = f"authenticate_request failed: 401: {INVALID}"
    uri = failed.replace(" ", "%20")
    messages = [
        f'192.0.2.1 - 8008 - {{None}} {PROCESSED} "{failed}" [0 dbevts]',
        f'{failed} - 8008 - {{None}} {PROCESSED} "x" [0 dbevts]',
        f"{failed} - 8008 - Received request: GET /",
        f"192.0.2.1 - 8008 - Received request: GET /{uri}",
        CLIENT.replace("/_matrix", f"/'>{uri}") + f" SynapseError: 404 - {failed}",
        CLIENT.replace("/_matrix", f"/x>SynapseError:401-{uri}") + " SynapseError: 404 - No",
        CLIENT.replace("/_matrix", f"/x>SynapseError:401-{uri}") + f" SynapseError: 400 - {failed}",
        f"Changed the display name to {failed}",
        f" {failed}",
    ]
    for message in messages:
        if name != BASE or not message.startswith("authenticate_request"):
            assert parse_failure(name, message.encode()) is None
    if name not in (BASE, ""):
        assert parse_failure(name, failed.encode()) is None


@pytest.mark.parametrize(
    ("text", "origin", "key_ids"),
    [
        ("server b.c: 5 with key ed25519:a: x", "", ()),
        ("server b_c with key ed25519:a: x", "", ()),
        ("server \u0663.c with key ed25519:a: x", "", ()),
        ("server b.c with key ed25519:a b: x", "b.c", ("ed25519:a",)),
        ("server b.c with key rsa:a: x", "", ()),
        ("server " + "b" * 300 + " with key ed25519:a: x", "", ()),
    ],
)
def test_names_that_are_not_valid_are_left_out(text: str, origin: str, key_ids: tuple[str, ...]) -> None:
    failure = parse_failure(BASE, f"authenticate_request failed: 401: Invalid signature for {text}".encode())
    assert failure == Failure(INBOUND, "invalid_signature", origin, key_ids)


def test_bytes_that_are_not_utf_8() -> None:
    failure = parse_failure(
        REQUESTS, b"{GET-O-4} [\xff] Request failed: GET matrix://b: HttpResponseException('401: \xff')"
    )
    assert failure == Failure(OUTBOUND, "refused", "", code=401)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("matrix-federation://b.c/_matrix/federation/v1/x/%21a?y=/z", "/_matrix/federation/v1/x/%21a"),
        ("matrix-federation://[::1]:8448/x", "/x"),
        ("/x/a://b/c", "/x/a://b/c"),
        ("matrix://b.c?x=/y", ""),
        ("nonsense", ""),
    ],
)
def test_the_path_of_a_refused_request(uri: str, path: str) -> None:
    message = f"{{GET-O-4}} [b.c] Request failed: GET {uri}: HttpResponseException('401: No')"
    assert parse_failure(REQUESTS, message.encode()) == Failure(OUTBOUND, "refused", "b.c", code=401, path=path)


@pytest.mark.parametrize(("logger", "message", "expected"), MESSAGES)
def test_any_part_of_a_message_is_read_without_an_error(logger: str, message: str, expected: Failure) -> None:
    for position in range(len(message)):
        parse_failure(logger, message[:position].encode())
        parse_failure("", message[position:].encode())


def test_the_signer_is_named_even_if_the_event_is_of_another_server() -> None:
    text = (
        b"event id $a:event.example: unable to verify signature for sender domain signer.example: 401: Invalid"
        b" signature for server signer.example with key ed25519:1"
    )
    failure = parse_failure("synapse.federation.federation_base", text)
    assert failure is not None and failure.origin == "signer.example"
