# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The messages of Synapse that tell of a failed signature, or of a failed authentication between servers.

Relies on Synapse 1.163: crypto/keyring.py, federation/transport/server/_base.py, federation/federation_base.py,
federation_server.py, federation_client.py, federation/sender/transaction_manager.py, handlers/room_policy.py,
http/matrixfederationclient.py and http/server.py, and on the wordings of older versions in Synapse's issue tracker.

Synapse logs most failures several times. Only one of these messages is read, the one that is always logged at WARNING:

- a request of another server: `authenticate_request failed: ...` (not the DEBUG line of the keyring before it). The
  INFO line of synapse.http.server after it repeats the reason and has the URI, so that message is an `ARRIVAL`, which
  only adds the URI to a failure,
- an event: the line that names it and the reason (not `Error handling PDU`, not `Failed to find copy of`),
- a request to another server: `Request failed: ... HttpResponseException('401: ...` (not `Got response headers: 401`).
  It does not contain the other server's reason. Synapse returns the reason to the client that caused the request, and
  synapse.http.server logs it there, so that message is an `ANSWER`, which only adds the reason to a failure.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import mentions_request

INBOUND, OUTBOUND, ANSWER, ARRIVAL = "inbound", "outbound", "answer", "arrival"
_FEDERATION = "/_matrix/federation/"

_BASE = "synapse.federation.transport.server"
_EVENTS = ("synapse.federation.federation_base", "synapse.federation.federation_client")
_SERVER, _SENDER = "synapse.federation.federation_server", "synapse.federation.sender.transaction_manager"
_KEYRING, _POLICY = "synapse.crypto.keyring", "synapse.handlers.room_policy"
_HTTP, _CLIENTS = "synapse.http.server", ("synapse.http.matrixfederationclient", "synapse.http.outbound")

# Every logger that is read. The name of the first has changed.
LOGGERS = (_BASE, f"{_BASE}._base", *_EVENTS, _SERVER, _SENDER, _KEYRING, _POLICY, _HTTP, *_CLIENTS)

# One of these is in every message that is read.
NEEDLES = (
    b"authenticate_request failed",
    b"unable to verify signature for ",
    b"Signature check failed for ",
    b" content has been tampered",
    b" keys from ",
    b"Unable to get key from ",
    b"Error processing response from key notary server ",
    b"failed to verify event using public key",
    b": HttpResponseException(",
    b"> SynapseError: 40",
)

# What Synapse accepts as the name of a server (util/stringutils.py). Other text is not returned as a name.
_NAME = r"(?:[0-9A-Za-z.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_KEY = r"ed25519:[^\s:'\",]{1,100}"
# The cause, and how the text of the error begins.
_REASONS = tuple(
    (cause, re.compile(pattern))
    for cause, pattern in (
        (
            "invalid_signature",
            rf"Invalid signature for (?:server )?(?P<origin>{_NAME})(?: with key (?P<keys>{_KEY})|\Z)",
        ),
        ("invalid_signature", r"Invalid signature for "),
        ("key_not_found", rf"Failed to find any key to satisfy: \w+\(server_name='(?P<origin>{_NAME})'(?P<keys>.*)"),
        ("key_not_found", r"Failed to find any key to satisfy"),
        ("key_not_found", rf"No key for (?P<origin>{_NAME}) with ids?(?: in)? (?P<keys>.*)"),
        ("key_not_found", rf"Error downloading keys for (?P<origin>{_NAME})\Z"),
        ("not_signed", rf"Not signed by (?P<origin>{_NAME})\Z"),
        ("not_signed", r"Not signed (?:by|with a supported algorithm)"),
        ("banned_key", rf"Server signing key (?P<keys>{_KEY}) for server (?P<origin>{_NAME}) has been banned"),
        ("missing_authentication", r"Missing Authorization headers|missing authentication\Z"),
        ("malformed_authentication", r"Malformed Authorization header"),
        ("wrong_destination", r"Destination mismatch in auth header"),
        ("federation_denied", rf"Federation denied with (?P<origin>{_NAME})\.\Z"),
        ("federation_denied", r"Federation denied with "),
    )
)
# These can be the cause for an event too.
_OF_EVENTS = frozenset({"invalid_signature", "key_not_found", "not_signed", "banned_key"})
_CODE = re.compile(r"[0-9]{3}: ")
_SIGNER = re.compile(
    rf"(?:sender domain|sender|event domain|event id domain|authorising server?)(?: (?P<origin>{_NAME}))?: "
)
_UNABLE = "unable to verify signature for "
_EVENT_HEADS = ("event id ", "Signature on retrieved event ", "Signature check failed for ")
_TAMPERED = re.compile(r"Event (\S{1,300}) content has been tampered")
_KEYS = (
    re.compile(
        rf"Error looking up keys from (?P<origin>{_NAME}): "
        r"(?:Key response for .* is not signed by the origin server|Expected a response for server )"
    ),
    re.compile(rf"Error getting keys from (?P<origin>{_NAME})\Z"),
    re.compile(
        rf"Unable to get key from '[^']{{1,300}}': SignatureVerifyException .*? for (?P<origin>{_NAME})(?:[:, ]|\Z)"
    ),
    re.compile(rf"Error processing response from key notary server (?P<origin>{_NAME}) .*: Response not signed "),
    re.compile(
        rf"Error processing response from key notary server \S+ for origin server (?P<origin>{_NAME}): Key response for"
    ),
)
_FAILED = "authenticate_request failed"
_POLICY_HEAD = "failed to verify event using public key in policy server event: 401: "
_REQUEST = re.compile(
    r"\{\S{1,100}\} \[(?P<origin>\S{1,300})\] Request failed: [A-Z]{1,20} (?P<uri>\S+): "
    r"HttpResponseException\(u?['\"](?P<code>401|403): "
)
_ANSWER = re.compile(
    r"<\w{1,100} at 0x[0-9a-f]{1,16} method=\S+ uri=u?['\"](?P<uri>\S+)['\"] clientproto=\S+ site=[^>]{1,300}> "
    r"SynapseError: (?P<code>40[013]) - "
)
_RETURNED = re.compile(rf"TX \[(?P<origin>{_NAME})\] \{{[^}}]{{1,100}}\}} Remote returned error for (\S{{1,300}}): ")


class Failure(t.NamedTuple):
    """What one message tells. A text that it does not contain is empty.

    `direction`: INBOUND, OUTBOUND, ANSWER (it only adds the reason to a refused request with the same tag) or ARRIVAL
    (it only adds the URI to a failed request with the same tag, cause and origin).
    `origin`: the server that is named as the signer (inbound; nothing proves that it is, because the signature failed)
    or that refused (outbound). `event`: what failed, if several messages can tell of it. `code`: the status with which
    the other server refused. `path`: of the request, without the query, which can contain secrets.
    """

    direction: str
    cause: str
    origin: str = ""
    key_ids: tuple[str, ...] = ()
    event: str = ""
    code: int = 0
    path: str = ""


def parse_failure(logger: str, message: bytes) -> Failure | None:
    """Return what a message tells of a failed signature or authentication, None if it does not.

    `logger`: the name of the logger, which must be the one that logs this message; "" if the log has no names. Then a
    message of the access logger is left out, because it begins with text that a client can choose.
    """
    if logger and logger not in LOGGERS:
        return None
    if not logger and mentions_request(message):
        return None
    text = readable(message)
    readers = _READERS.get(logger)
    for read in _ALL_READERS if readers is None else readers:
        failure = read(text)
        if failure:
            return failure
    return None


def _request(text: str) -> Failure | None:
    if not text.startswith(_FAILED):
        return None
    rest = text[len(_FAILED) :]
    if rest and not rest.startswith(": "):
        return None
    return Failure(INBOUND, *_reason(rest[2:]))


def _event(text: str) -> Failure | None:
    head = next((head for head in _EVENT_HEADS if text.startswith(head)), None)
    if head is None:
        return None
    event, _space, rest = text[len(head) :].partition(" ")
    _before, found, reason = rest.partition(_UNABLE)
    if not found and head != _EVENT_HEADS[2]:
        return None
    cause, origin, key_ids = _event_reason(reason if found else rest)
    event = event.rstrip(":")[:300]
    return Failure(INBOUND, cause, origin or _domain(event), key_ids, event)


def _tampered(text: str) -> Failure | None:
    match = _TAMPERED.match(text)
    return Failure(INBOUND, "event_hash_mismatch", _domain(match[1]), (), match[1]) if match else None


def _key_response(text: str) -> Failure | None:
    match = next(filter(None, (pattern.match(text) for pattern in _KEYS)), None)
    return Failure(INBOUND, "key_response", match["origin"]) if match else None


def _policy(text: str) -> Failure | None:
    # Without a signature at all, Synapse asks the policy server for one: that is no failure.
    if not text.startswith(_POLICY_HEAD):
        return None
    cause, origin, key_ids = _reason(text[len(_POLICY_HEAD) :])
    return Failure(INBOUND, "policy_signature", origin, key_ids, "policy") if cause == "invalid_signature" else None


def _refused(text: str) -> Failure | None:
    match = _REQUEST.match(text)
    if match is None:
        return None
    name = re.fullmatch(_NAME, match["origin"])
    return Failure(OUTBOUND, "refused", name[0] if name else "", code=int(match["code"]), path=_path(match["uri"]))


def _returned(text: str) -> Failure | None:
    match = _RETURNED.match(text)
    _before, found, reason = text[match.end() :].partition(_UNABLE) if match else ("", "", "")
    if match is None or not found:
        return None
    cause, _us, key_ids = _event_reason(reason)
    return Failure(OUTBOUND, cause, match["origin"], key_ids, match[2])


def _answer(text: str) -> Failure | None:
    match = _ANSWER.match(text)
    if match is None:
        return None
    reason = text[match.end() :]
    if match["uri"].startswith(_FEDERATION):
        # This request failed here, not at another server.
        return Failure(ARRIVAL, *_reason(reason), path=_path(match["uri"]))
    if match["code"] == "403":
        _before, found, rest = reason.partition(_UNABLE)
        if not reason.startswith("event id ") or not found:
            return None
        cause, _us, key_ids = _event_reason(rest)
    else:
        cause, _us, key_ids = _reason(reason)
        if cause == "other":
            return None
    return Failure(ANSWER, cause, "", key_ids, code=403 if match["code"] == "403" else 401)


def _reason(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the cause, the server and the keys in the text of an error of Synapse, with or without its status."""
    code = _CODE.match(text)
    for cause, pattern in _REASONS:
        match = pattern.match(text, code.end() if code else 0)
        if match:
            named = match.groupdict()
            return cause, named.get("origin") or "", tuple(re.findall(_KEY, named.get("keys") or "")[:5])
    return "other", "", ()


def _event_reason(text: str) -> tuple[str, str, tuple[str, ...]]:
    signer = _SIGNER.match(text)
    cause, origin, key_ids = _reason(text[signer.end() :] if signer else text)
    if signer and signer["origin"]:
        origin = signer["origin"]
    return f"event_{cause}" if cause in _OF_EVENTS else "event_other", origin, key_ids


def _path(uri: str) -> str:
    """Return the path of a URI, which may begin with a scheme and a server, as it stands."""
    path = uri.partition("?")[0]
    if not path.startswith("/"):
        _server, slash, rest = path.partition("://")[2].partition("/")
        path = slash + rest
    return path


def _domain(event: str) -> str:
    """Return the server in the ID of an event of an old room, "" if it has none."""
    name = re.fullmatch(_NAME, event.partition(":")[2])
    return name[0] if name else ""


_Reader = t.Callable[[str], t.Optional[Failure]]
_ALL_READERS = (_request, _event, _tampered, _key_response, _policy, _refused, _returned, _answer)
_READERS: dict[str, tuple[_Reader, ...]] = {
    _BASE: (_request,),
    f"{_BASE}._base": (_request,),
    **dict.fromkeys(_EVENTS, (_event, _tampered)),
    _SERVER: (_event,),
    _SENDER: (_returned,),
    _KEYRING: (_key_response,),
    _POLICY: (_policy,),
    **dict.fromkeys(_CLIENTS, (_refused,)),
    _HTTP: (_answer,),
}
