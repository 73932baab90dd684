# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which servers a server talks to, and whether it has ever talked to any: each answer with what shows it.

The list of destinations alone does not tell: Synapse makes an entry when it has sent an event, or failed to. So a
server whose users are in a room here, or that sends something every minute, may not be in it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.query import (
    DATABASE_EVIDENCE,
    DatabaseSource,
    Source,
)

# Enough to see what it is about; a big server has thousands.
_EXAMPLES = 10
# Asked last, and only if nothing else has shown anything: this table is the longest one.
_HISTORY = "past_members"


class Evidence:
    """What shows that a server talks to others. What several answers need is looked up once."""

    def __init__(self, source: Source, database: DatabaseSource | None) -> None:
        """`source`: where destinations are looked up. `database`: of the same server; None if it cannot be read.

        What both can tell is looked up in the database, in one query in place of one request for each room.
        """
        self._source = source
        self._database = database
        self._named: dict[str, set[str]] = {}

    def talking_to(self) -> list[JsonObject]:
        """Return the other servers, ordered by name, each with the `evidence` that it is talked to."""
        found = {name: self._servers(name) for name in ("destinations", "joined_members")}
        if self._database is not None:
            found["inbound"] = self._servers("inbound")
        servers = sorted(set().union(*found.values()))
        return [
            {"server": server, "evidence": [name for name, those in found.items() if server in those]}
            for server in servers
        ]

    def ever_federated(self) -> JsonObject:
        """Return a `verdict` and its `evidence`: for each kind that there is, the `count` of servers and some of them.

        The verdict is false if nothing was found, which is no proof: see `unseen`.
        """
        names = [name for name in DATABASE_EVIDENCE if name != _HISTORY] if self._database else ["joined_members"]
        evidence = self._listed(["destinations", *names, "rooms"])
        if not evidence and self._database is not None:
            evidence = self._listed([_HISTORY])
        return {"verdict": bool(evidence), "evidence": evidence}

    def unseen(self, *, ever_federated: bool) -> list[str]:
        """Return the kinds of evidence that only the database holds, if it was not read."""
        if self._database is not None:
            return []
        return [name for name in DATABASE_EVIDENCE if name == "inbound" or ever_federated]

    def _listed(self, names: t.Sequence[str]) -> list[JsonObject]:
        found = ((name, sorted(self._servers(name))) for name in names)
        return [
            {"source": name, "count": len(servers), "servers": servers[:_EXAMPLES]}
            for name, servers in found
            if servers
        ]

    def _servers(self, name: str) -> set[str]:
        if name not in self._named:
            self._named[name] = self._look_up(name) - {self._source.server_name}
        return self._named[name]

    def _look_up(self, name: str) -> set[str]:
        best = self._database or self._source
        if name == "destinations":
            return {str(member(row, "destination")) for row in self._source.destinations()}
        if name == "joined_members":
            return best.joined_servers()
        if name == "rooms":
            return best.founders()
        if self._database is None:
            raise ValueError(f"{name} is in the database alone")
        return self._database.servers_by(name)
