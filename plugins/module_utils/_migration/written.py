# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What was written into PostgreSQL since the switch, and would be lost by going back to SQLite.

A row knows the transaction that wrote it (xmin), so what is new or changed is found without a copy. What was removed is
found by the number of rows. Tables that Synapse itself writes while nobody uses it, or at each request that only reads,
do not count.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_tables, table_names

# Derived from other tables, positions of workers and jobs, and statistics.
_BY_ITSELF = frozenset(
    {
        "applied_schema_deltas",
        "background_updates",
        "cache_invalidation_stream_by_instance",
        "current_state_delta_stream",
        "device_federation_inbox",
        "event_auth_chain_to_calculate",
        "event_push_summary",
        "event_push_summary_last_receipt_stream_id",
        "event_push_actions_staging",
        "instance_map",
        "monthly_active_users",
        "presence_stream",
        "received_transactions",
        "room_stats_current",
        "room_stats_earliest_token",
        "room_stats_state",
        "scheduled_tasks",
        "schema_compat_version",
        "schema_version",
        "server_keys_json",
        "server_signature_keys",
        "sessions",
        "sliding_sync_connection_lazy_members",
        "sliding_sync_connection_positions",
        "sliding_sync_connection_required_state",
        "sliding_sync_connection_room_configs",
        "sliding_sync_connection_streams",
        "sliding_sync_connections",
        "state_groups_pending_deletion",
        "state_groups_persisting",
        "stream_ordering_to_exterm",
        "stream_positions",
        "timeline_gaps",
        "ui_auth_sessions",
        "ui_auth_sessions_credentials",
        "ui_auth_sessions_ips",
        "user_daily_visits",
        "user_directory",
        "user_directory_search",
        "user_directory_stale_remote_users",
        "user_ips",
        "user_stats_current",
        "users_in_public_rooms",
        "users_who_share_private_rooms",
        "worker_locks",
        "worker_read_write_locks",
        "worker_read_write_locks_mode",
    }
)
# Tables of a background update, and tables with how far a job is.
_TEMPORARY = "_temp_"
_POSITIONS = ("_pos", "_position", "_stream_ordering")
# A request that only reads changes these columns of these tables. The others count.
_CHANGED_BY_READING: dict[str, tuple[str, ...]] = {
    "access_tokens": ("last_validated", "used"),
    "devices": ("ip", "last_seen", "user_agent"),
    "local_media_repository": ("last_access_ts",),
    "remote_media_cache": ("last_access_ts",),
}
# What says most to a person.
_FIRST = ("events", "users")
_SHOWN = 5


def read_identities(database: Database) -> dict[str, str]:
    """Return for each table that requests also change when they only read: a hash of what such a request leaves."""
    return {name: _identity(database, name) for name in table_names(database) if name in _CHANGED_BY_READING}


def find_written(
    database: Database, transaction: str, counts: t.Mapping[str, int], identities: t.Mapping[str, str]
) -> list[str]:
    """Return in words what was written after this transaction, such as "2 rows of events"; [] if nothing was.

    `counts`: the rows of each table then. `identities`: what `read_identities` returned then.
    """
    [(age,)] = database.rows("SELECT age(?::xid)", transaction)
    if age < 0:
        return ["something that cannot be found out, because the database was restored or moved"]
    names = [
        name
        for name in table_names(database)
        if name not in _BY_ITSELF and not name.startswith(_TEMPORARY) and not name.endswith(_POSITIONS)
    ]
    now = count_tables(database, names)
    written = []
    for name in sorted(names, key=lambda name: (name not in _FIRST, name)):
        # Of a table that was not there, or is not Synapse's, only the transactions of its rows are known.
        before = counts.get(name, now[name])
        gone, new = max(before - now[name], 0), max(now[name] - before, 0)
        if name not in _CHANGED_BY_READING:
            # Age counts backwards from now: what is younger was written later.
            [(changed,)] = database.rows(f'SELECT count(*) FROM "{name}" WHERE age(xmin) < age(?::xid)', transaction)
            new = max(new, int(changed))
        if new:
            written.append(f"{new} new or changed rows of {name}")
        elif gone:
            written.append(f"{gone} removed rows of {name}")
        elif name in identities and _identity(database, name) != identities[name]:
            written.append(f"changed rows of {name}")
    return written


def _identity(database: Database, table: str) -> str:
    [(found,)] = database.rows(
        "SELECT coalesce(md5(string_agg(one, '' ORDER BY one)), '') FROM"
        f' (SELECT md5((to_jsonb(stored) - ?::text[])::text) AS one FROM "{table}" AS stored) AS hashes',
        list(_CHANGED_BY_READING[table]),
    )
    return str(found)


def shown(written: t.Sequence[str]) -> str:
    """Return the words for what was written, as a part of a sentence."""
    more = f" and {len(written) - _SHOWN} more tables" if len(written) > _SHOWN else ""
    return ", ".join(written[:_SHOWN]) + more
