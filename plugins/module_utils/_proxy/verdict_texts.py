# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The verdicts about failed signatures that only depend on the direction and the cause.

Each has the side, the reason, one sentence about what happened, and one about what to do. NAME is the other server.
"""

from __future__ import annotations

# For each direction.
EVENT = {
    "inbound": (
        "theirs",
        "bad_event",
        "An event has no valid signature, which the server that has signed it must correct, so it was not accepted.",
        "Nothing is to be done here; ask the operator of NAME if its users miss messages.",
    ),
    "outbound": (
        "unknown",
        "bad_event",
        "NAME did not accept the signature on an event that this server has sent, which can be of any server.",
        "Find the event in the line, and ask the operator of the server that has made it.",
    ),
}

OTHER = (
    "unknown",
    "unknown",
    "The authentication failed for a reason that is only in the line.",
    "Read the line, and look for the same request in the log of NAME.",
)

# For each direction and cause.
PLAIN = {
    ("inbound", "missing_authentication"): (
        "unknown",
        "not_federation",
        "Requests without a signature were refused, which scanners, browsers and this examination send.",
        "Nothing is to be done, unless another server reports that it cannot reach this one.",
    ),
    ("inbound", "malformed_authentication"): (
        "unknown",
        "not_federation",
        "Requests were refused because their header Authorization cannot be read, which scanners send.",
        "Nothing is to be done, unless another server reports that it cannot reach this one.",
    ),
    ("inbound", "wrong_destination"): (
        "ours",
        "wrong_destination",
        "Requests for another server name arrive at this Synapse.",
        "Check whether server_name was changed, and which names lead to this host by DNS, .well-known or the proxy.",
    ),
    ("inbound", "federation_denied"): (
        "ours",
        "federation_denied",
        "NAME is not in federation_domain_whitelist of this server.",
        "Add NAME to federation_domain_whitelist if it should be allowed.",
    ),
    ("inbound", "key_response"): (
        "theirs",
        "key_not_reachable",
        "NAME answers with keys that cannot be used, because the answer is not signed as it must be.",
        "Ask the operator of NAME whether another server answers for that name.",
    ),
    ("inbound", "not_signed"): (
        "theirs",
        "not_signed",
        "NAME has not signed with a supported algorithm.",
        "Ask the operator of NAME to update that server.",
    ),
    ("inbound", "banned_key"): (
        "theirs",
        "key_banned",
        "NAME signs with a key whose private part is known to others.",
        "Ask the operator of NAME to replace its signing key.",
    ),
    ("outbound", "banned_key"): (
        "ours",
        "key_banned",
        "This server signs with a key whose private part is known to others.",
        "Replace the signing key of this server.",
    ),
    ("outbound", "federation_denied"): (
        "theirs",
        "federation_denied",
        "NAME does not federate with this server.",
        "Ask the operator of NAME to allow this server.",
    ),
    ("outbound", "missing_authentication"): (
        "theirs",
        "other_proxy_removes_authorization",
        "The proxy of NAME removes the header Authorization from requests.",
        "Ask the operator of NAME to correct its proxy so that it passes on this header.",
    ),
    ("outbound", "wrong_destination"): (
        "theirs",
        "wrong_destination",
        "Requests to NAME arrive at a Synapse with another server name.",
        "Ask the operator of NAME to correct its delegation (.well-known or SRV).",
    ),
}
