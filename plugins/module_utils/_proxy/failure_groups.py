# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Groups of failed signatures as synapse_request_log_info returns them, read from what a user has passed on."""

from __future__ import annotations

import re
import typing as t

INBOUND, OUTBOUND = "inbound", "outbound"
_MOST_URIS = 5
_LONGEST_LINE, _LONGEST_URI, _LONGEST_NAME = 1000, 300, 300
# What stands in a path where a proxy has encoded a % once more: IDs of rooms, events and users have no %.
_TWICE = re.compile(r"/_matrix/federation/[^?]*%25(?:2[134Ff]|3[Aa]|40)")
_RAW = re.compile(r"/_matrix/federation/[^/]+/[^/]+/[^?]*[!$@:]")
_NEVER_RAW = re.compile(r"/_matrix/federation/[^/]+/[^/]+/[^?]*#")


class Group(t.NamedTuple):
    """The failures of one server with one cause in one direction.

    `number`: how many failures. `decoded`: how many requests arrived with a raw character that Synapse encodes.
    """

    origin: str
    direction: str
    cause: str
    number: int = 0
    decoded: int = 0
    line: str = ""
    uris: tuple[str, ...] = ()

    @property
    def is_encoded_twice(self) -> bool:
        """Whether a path arrived in which a % was encoded once more."""
        return any(_TWICE.match(uri) for uri in self.uris)

    @property
    def is_surely_decoded(self) -> bool:
        """Whether a path arrived with a raw # that no server sends."""
        return any(_NEVER_RAW.match(uri) for uri in self.uris)

    @property
    def is_decoded(self) -> bool:
        """Whether paths arrived that are decoded if the other server runs Synapse.

        Ruma, the library of Conduit and of the servers derived from it, sends !, $, @ and : as they are. Dendrite
        encodes the ! and sends the others as they are, so that both forms are in one path. No proxy makes that.
        """
        raw = [uri for uri in self.uris if _RAW.match(uri)]
        return self.decoded > 0 and not (raw and all("%21" in uri for uri in raw))

    @property
    def needs_encoding(self) -> bool:
        """Whether a path contains characters that are encoded."""
        return any("%" in uri for uri in self.uris)

    def is_about(self, *endpoints: str) -> bool:
        """Whether a path belongs to one of the endpoints, such as make_join."""
        return any(f"/{endpoint}/" in uri for uri in self.uris for endpoint in endpoints)


def read_groups(failures: t.Any, server_name: str) -> list[Group]:
    """Return the groups in `signature_failures` of synapse_request_log_info in their order, equal ones as one.

    These keys are read: `origin`, `direction`, `cause`, `count`, `line`, `uris` and `decoded_uris`. It is the input of
    a user: an element that is no dict or has no known `direction` is left out, and any other value that is missing or
    of a wrong type is empty. Groups of our own server name are left out: synapse_proxy_info has caused these.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for failure in failures if isinstance(failures, (list, tuple)) else ():
        if not isinstance(failure, t.Mapping):
            continue
        group = _group(failure)
        if group.direction not in (INBOUND, OUTBOUND) or group.origin.lower() == server_name.lower():
            continue
        key = (group.origin, group.direction, group.cause)
        before = groups.get(key)
        groups[key] = _together(before, group) if before else group
    return list(groups.values())


def _group(failure: t.Mapping[t.Any, t.Any]) -> Group:
    uris = failure.get("uris")
    texts = [uri[:_LONGEST_URI] for uri in uris if isinstance(uri, str)] if isinstance(uris, (list, tuple)) else []
    return Group(
        origin=_text(failure.get("origin"), _LONGEST_NAME),
        direction=_text(failure.get("direction"), _LONGEST_NAME),
        cause=_text(failure.get("cause"), _LONGEST_NAME) or "other",
        number=_number(failure.get("count")),
        decoded=_number(failure.get("decoded_uris")),
        line=_text(failure.get("line"), _LONGEST_LINE),
        uris=tuple(texts[:_MOST_URIS]),
    )


def _together(before: Group, group: Group) -> Group:
    return before._replace(
        number=before.number + group.number,
        decoded=before.decoded + group.decoded,
        line=before.line or group.line,
        uris=tuple(dict.fromkeys((*before.uris, *group.uris)))[:_MOST_URIS],
    )


def _text(value: t.Any, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _number(value: t.Any) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0
