# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The two messages of Synapse's access logger: a request was received, a request was processed.

The source is `SynapseRequest` in synapse/http/site.py, up to 1.163. A client chooses the address (X-Forwarded-For: no
comma, no line feed), the method and the URI (no spaces), and the user agent (no line feed). So the numbers, which
contain a comma, cannot be forged before the genuine ones, and a URI cannot contain what comes before a URI.

All searches are linear: each goes over the message once, and each pattern is bounded or needs no second try.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import readable

# Before the port or the tag of the listener, in the name of each logger that writes these messages.
ACCESS_LOGGER = "synapse.access."

_PROCESSED = b"} Processed request: "
_RECEIVED = b" - Received request: "
# Bounded: more digits would need more time than their length, or would not be a number in JSON.
_TIME = rb"(-?[0-9]{1,15}\.[0-9]{1,9})sec"
_COUNT = rb"(-?[0-9]{1,18})"
# Synapse before 1.150 wrote no `ru=` and `db=`. Some versions wrote the exclamation mark before the status.
_NUMBERS = re.compile(
    rb"%(time)s/%(time)s (?:ru=)?\(%(time)s, %(time)s\) (?:db=)?\(%(time)s/%(time)s/%(count)s\)"
    rb" %(count)sB (!?[0-9]{3}!?) \"" % {b"time": _TIME, b"count": _COUNT}
)
_EVENTS = re.compile(rb"\" \[%s dbevts\]\"?\r?" % _COUNT)


class Processed(t.NamedTuple):
    """A request that was processed. Times are in seconds; a text that the log does not have is empty.

    `authenticated_entity`: the server admin who acted as `requester`. `response_seconds` may be negative.
    `client_disconnected`: whether the client went away before the response was sent.
    """

    client_address: str
    site_tag: str
    requester: str
    authenticated_entity: str
    processing_seconds: float
    response_seconds: float
    user_cpu_seconds: float
    system_cpu_seconds: float
    database_wait_seconds: float
    database_seconds: float
    database_transactions: int
    response_bytes: int
    status: int
    client_disconnected: bool
    method: str
    uri: str
    protocol: str
    user_agent: str
    database_events: int


class Received(t.NamedTuple):
    """A request that was received. A client address that the log does not have is empty."""

    client_address: str
    site_tag: str
    method: str
    uri: str


class _Numbers(t.NamedTuple):
    """The numbers in a message about a processed request, as they were written, and what is around them."""

    before: bytes
    found: tuple[bytes, ...]
    end: int


def parse_processed(message: bytes) -> Processed | None:
    """Return the request that a message of the access logger describes, None if it is not a whole `Processed request`.

    `message`: one line without what the format of the log puts before it, so it begins with the address of the client.
    """
    numbers, events = _numbers(message), _events(message)
    if numbers is None or events is None:
        return None
    before, brace, requester = numbers.before.rpartition(b" - {")
    # Both may contain spaces: the address if the client chose it, the tag if the administrator did.
    address, dash, site_tag = before.rpartition(b" - ")
    # Neither the URI nor the protocol has a space, but both may contain quotation marks.
    method, _space, rest = message[numbers.end : events.start()].partition(b" ")
    uri, _space, rest = rest.partition(b" ")
    protocol, quotes, user_agent = rest.partition(b'" "')
    if not (brace and dash and method and uri and protocol and quotes) or b" " in requester or b" " in protocol:
        return None
    entity, puppet, user = requester.rpartition(b"|@")
    processing, response, user_cpu, system_cpu, wait, database, transactions, sent, status = numbers.found
    return Processed(
        client_address=_address(address),
        site_tag=readable(site_tag),
        requester="" if requester == b"None" else readable(b"@" + user if puppet else requester),
        authenticated_entity=readable(entity),
        processing_seconds=_seconds(processing),
        response_seconds=_seconds(response),
        user_cpu_seconds=_seconds(user_cpu),
        system_cpu_seconds=_seconds(system_cpu),
        database_wait_seconds=_seconds(wait),
        database_seconds=_seconds(database),
        database_transactions=int(transactions),
        response_bytes=int(sent),
        status=int(status.strip(b"!")),
        client_disconnected=b"!" in status,
        method=readable(method),
        uri=readable(uri),
        protocol=readable(protocol),
        user_agent="" if user_agent == b"-" else readable(user_agent),
        database_events=int(events.group(1)),
    )


def parse_received(message: bytes) -> Received | None:
    """Return the request that a message of the access logger describes, None if it is not a whole `Received request`.

    `message`: as for `parse_processed`.
    """
    before, mark, rest = message.rpartition(_RECEIVED)
    address, dash, site_tag = before.rpartition(b" - ")
    method, space, uri = (rest[:-1] if rest.endswith(b"\r") else rest).partition(b" ")
    if not (mark and dash and method and space and uri) or b" " in uri or b"\n" in message:
        return None
    # It ends in what looks like one if it was cut off within the user agent.
    if _numbers(message) is not None:
        return None
    return Received(_address(address), readable(site_tag), readable(method), readable(uri))


def returned_fields(processed: Processed) -> dict[str, t.Any]:
    """Return the named values of a request for users. `authenticated_entity` is left out if it is empty."""
    found = processed._asdict()
    if not processed.authenticated_entity:
        del found["authenticated_entity"]
    return found


def _numbers(message: bytes) -> _Numbers | None:
    """Return the first numbers of a message, which are the genuine ones; None if there are none."""
    at = message.find(_PROCESSED)
    while at >= 0:
        found = _NUMBERS.match(message, at + len(_PROCESSED))
        if found:
            return _Numbers(message[:at], found.groups(), found.end())
        at = message.find(_PROCESSED, at + 1)
    return None


def _events(message: bytes) -> re.Match[bytes] | None:
    """Return the end of a message of one line, with the number of events; None if it does not end like that."""
    at = message.rfind(b'" [')
    return _EVENTS.fullmatch(message, at) if at >= 0 and b"\n" not in message else None


def _seconds(number: bytes) -> float:
    # Synapse also writes -0.000.
    return float(number) + 0.0


def _address(address: bytes) -> str:
    # Synapse has written both for a connection without an address.
    return "" if address in (b"-", b"None") else readable(address)
