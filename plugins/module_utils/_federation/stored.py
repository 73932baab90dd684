# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where the database of a Synapse contains the names of other servers, as evidence of contact with them.

Relies on the tables and indexes of Synapse 1.163. A server that has never federated must not be taken for one that has.
So what a client or an administrator may write at will is no evidence: the ban of a user who was never here, or what
waits for a server that may not exist (device_federation_outbox). What is always stored and removed together with other
evidence is not listed: destination_rooms, receipts, and what is derived from members. The table events is never read as
a whole, because it may have many millions of rows and has no index of senders.
"""

from __future__ import annotations

import dataclasses

_MEMBERS = "type = 'm.room.member'"
# Looked up one after the other, and once each, so that no plan of a database reads all events instead.
_SENDERS = (
    "(SELECT DISTINCT (SELECT sender FROM events WHERE events.event_id = {0}.event_id) AS sender FROM {0})"
    " AS {0}_senders"
)


@dataclasses.dataclass(frozen=True)
class Stored:
    """A `column` of a `table` with user IDs or with bare names of servers. `condition`: which rows count.

    `begins_index`: whether an index begins with the column, so that each name needs a single look-up in it, however
    many rows have that name.
    """

    table: str
    column: str
    in_user_ids: bool = False
    condition: str = ""
    begins_index: bool = False

    def query(self, engine: str) -> str:
        """Return the SQL for all names of servers, each once. `engine`: sqlite3 or psycopg2."""
        if self.begins_index:
            smallest = f"SELECT MIN({self.column}) FROM {self.table}"
            return (
                f"WITH RECURSIVE found(name) AS ({smallest} UNION ALL"
                f" SELECT ({smallest} WHERE {self.column} > found.name) FROM found WHERE found.name IS NOT NULL)"
                " SELECT name FROM found WHERE name IS NOT NULL"
            )
        conditions = [f"{self.column} IS NOT NULL", *([self.condition] if self.condition else [])]
        name = self.column
        if self.in_user_ids:
            # After the first colon: the server name may contain more, before a port or in an IPv6 literal.
            colon = f"{'instr' if engine == 'sqlite3' else 'strpos'}({self.column}, ':')"
            name, conditions = f"substr({self.column}, {colon} + 1)", [*conditions, f"{colon} > 0"]
        return f"SELECT DISTINCT {name} FROM {self.table} WHERE {' AND '.join(conditions)}"


# By the kind of evidence.
STORED: dict[str, tuple[Stored, ...]] = {
    "destinations": (Stored("destinations", "destination"),),
    "joined_members": (Stored("current_state_events", "state_key", True, f"{_MEMBERS} AND membership = 'join'"),),
    "members": (
        Stored("current_state_events", "state_key", True, f"{_MEMBERS} AND membership IN ('join', 'invite', 'knock')"),
    ),
    "aliases": (Stored("room_alias_servers", "server"),),
    "inbound": (Stored("received_transactions", "origin"),),
    "inbound_events": (Stored("federation_inbound_events_staging", "origin"),),
    "device_messages": (Stored("device_federation_inbox", "origin", begins_index=True),),
    "device_lists": (
        Stored("device_lists_remote_cache", "user_id", True),
        Stored("device_lists_remote_extremeties", "user_id", True),
        Stored("device_lists_remote_resync", "user_id", True),
        Stored("device_lists_remote_pending", "user_id", True),
        Stored("device_lists_outbound_last_success", "destination", begins_index=True),
        Stored("device_lists_outbound_pokes", "destination", begins_index=True),
        Stored("e2e_cross_signing_keys", "user_id", True),
    ),
    # Keys of this server itself may have been fetched from another one.
    "signing_keys": (
        Stored("server_keys_json", "server_name", begins_index=True),
        Stored("server_keys_json", "from_server"),
        Stored("server_signature_keys", "server_name", begins_index=True),
        Stored("server_signature_keys", "from_server"),
    ),
    "media": (Stored("remote_media_cache", "media_origin", begins_index=True),),
    "presence": (Stored("presence_stream", "user_id", True),),
    "user_directory": (
        Stored("user_directory", "user_id", True),
        Stored("user_directory_stale_remote_users", "user_server_name"),
    ),
    "unfinished_joins": (
        Stored("partial_state_rooms", "joined_via"),
        Stored("partial_state_rooms_servers", "server_name"),
    ),
    "rooms": (Stored("rooms", "creator", True),),
    # The sender of an invitation to a room that this server never joined is not stored as a member.
    "past_members": (
        Stored("room_memberships", "user_id", True, "membership NOT IN ('ban', 'leave')"),
        Stored("room_memberships", "sender", True),
    ),
    # Only events that were fetched from another server get a negative position.
    "events": (
        Stored("events", "sender", True, "stream_ordering < 0"),
        Stored(_SENDERS.format("event_forward_extremities"), "sender", True),
        Stored(_SENDERS.format("rejections"), "sender", True),
    ),
}
