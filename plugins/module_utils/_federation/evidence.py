# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which servers a server talks to, and whether it has ever federated: both with the evidence.

The list of destinations is not enough: Synapse adds a destination when it has sent an event to it, or has failed to. A
server whose users are in a room here, or that sends something every minute, may be missing in it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.query import Source

# Enough for an impression; a big server has thousands.
_EXAMPLES = 10
_CURRENT = ("destinations", "joined_members", "inbound")
# In the order in which a result lists them.
_EVER = (
    "destinations",
    "joined_members",
    "members",
    "aliases",
    "inbound",
    "inbound_events",
    "unfinished_joins",
    "signing_keys",
    "device_lists",
    "device_messages",
    "presence",
    "user_directory",
    "media",
    "rooms",
)
# Looked up last, and only if there is no other evidence, because these tables are the longest ones.
_HISTORY = ("past_members", "events")


class Evidence:
    """The evidence of federation that a source has. Each kind of evidence is looked up at most once."""

    def __init__(self, source: Source) -> None:
        """`source`: the Admin API or the database. Reads nothing yet."""
        self._source = source
        self._servers: dict[str, set[str]] = {}

    def talking_to(self) -> list[JsonObject]:
        """Return the other servers, ordered by name, each with the kinds of `evidence`."""
        found = {kind: self._look_up(kind) for kind in self._known(_CURRENT)}
        servers = sorted(set().union(*found.values()))
        return [
            {"server": server, "evidence": [kind for kind, named in found.items() if server in named]}
            for server in servers
        ]

    def ever_federated(self) -> JsonObject:
        """Return a `verdict` and the `evidence`: for each kind the `count` of servers, and at most ten of them.

        The verdict is false if there is no evidence, which does not prove anything: see `unknown`.
        """
        # The joined members are among the members.
        evidence = self._list(
            [kind for kind in self._known(_EVER) if kind != "joined_members" or not self._has("members")]
        )
        for kind in self._known(_HISTORY):
            evidence = evidence or self._list([kind])
        return {"verdict": bool(evidence), "evidence": evidence}

    def unknown(self, gathered: t.Collection[str]) -> list[JsonObject]:
        """Return the kinds of evidence that the source does not have, of those that `gathered` needs."""
        needed = {
            *(_CURRENT if "talking_to" in gathered else ()),
            *((*_EVER, *_HISTORY) if "ever_federated" in gathered else ()),
        }
        return [
            {
                "name": kind,
                "reason": "Only the database of Synapse contains it.",
                "fix": "Use source: database, on the host of Synapse.",
            }
            for kind in (*_EVER, *_HISTORY)
            if kind in needed and not self._has(kind)
        ]

    def _has(self, kind: str) -> bool:
        return kind in self._source.evidence

    def _known(self, kinds: t.Iterable[str]) -> list[str]:
        return [kind for kind in kinds if self._has(kind)]

    def _list(self, kinds: t.Iterable[str]) -> list[JsonObject]:
        found = ((kind, sorted(self._look_up(kind))) for kind in kinds)
        return [
            {"kind": kind, "count": len(servers), "servers": servers[:_EXAMPLES]} for kind, servers in found if servers
        ]

    def _look_up(self, kind: str) -> set[str]:
        if kind not in self._servers:
            self._servers[kind] = self._source.servers_by(kind) - {self._source.server_name}
        return self._servers[kind]
