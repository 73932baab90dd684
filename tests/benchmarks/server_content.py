# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a server: its rows in both databases, and objects of every kind as the API shows them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import typing as t
import urllib.error
import urllib.request

import psycopg2

from ansible_collections.matrix_ops.synapse.tests.contract.meeting import quoted
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

# Synapse's program leaves them out, because Synapse fills them again or needs them only while it runs.
_NOT_COPIED = (
    "ui_auth_sessions",
    "user_directory",
    "user_directory_search",
    "users_in_public_rooms",
    "users_who_share_private_rooms",
    "worker_read_write_locks",
    "worker_read_write_locks_mode",
)
# What Synapse itself writes when it starts, and what each engine has its own of.
_WRITTEN = (
    "applied_schema_deltas",
    "background_updates",
    "cache_invalidation_stream_by_instance",
    "delayed_events_stream_pos",
    "device_lists_changes_converted_stream_position",
    "presence_stream",
    "room_forgetter_stream_pos",
    "scheduled_tasks",
    "schema_version",
    "state_groups_persisting",
    "stats_incremental_position",
    "stream_positions",
    "user_directory_stream_pos",
    "user_ips",
)
# What it writes there when somebody uses a device.
_SEEN = {"devices": ("last_seen", "ip", "user_agent")}
# Their columns are others in each engine, so their rows are counted only.
_COUNTED = ("event_search",)
_KINDS: dict[str, tuple[str, int]] = {
    "accounts": ("SELECT name FROM users WHERE name LIKE '@person-%%'", 10),
    "events": (
        "SELECT event_id FROM events WHERE type IN ('m.room.message', 'm.room.encrypted', 'm.room.topic')",
        14,
    ),
    "members": ("SELECT room_id FROM rooms WHERE creator LIKE '@person-%%'", 12),
    "keys": ("SELECT user_id FROM e2e_device_keys_json", 6),
    "aliases": ("SELECT room_alias FROM room_aliases", 4),
    "media": ("SELECT media_id FROM local_media_repository", 4),
}


def tables_that_differ(source: str, target: dict[str, t.Any]) -> list[str]:
    """Return the tables whose rows are not the same in the SQLite database and in PostgreSQL, with both numbers."""
    found = []
    with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(psycopg2.connect(**target)) as new:
        with new.cursor() as cursor:
            cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
            shared = {str(name) for (name,) in cursor.fetchall()}
        shared &= {str(name) for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in sorted(shared - {*_NOT_COPIED, *_WRITTEN}):
            names = [str(row[1]).lower() for row in old.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(f'"{name}"' for name in names if name not in _SEEN.get(table, ()))
            query = f"SELECT {'1' if table in _COUNTED else columns} FROM {table}"
            sums = [_sum(old.execute(query))]
            # With a name, the rows are not all in memory at the same time.
            with new.cursor("rows") as cursor:
                cursor.itersize = 10_000
                cursor.execute(query)
                sums.append(_sum(cursor))
            if sums[0] != sums[1]:
                found.append(f"{table}: {sums[0][0]} and {sums[1][0]} rows")
    return found


def _sum(rows: t.Iterable[tuple[t.Any, ...]]) -> tuple[int, int]:
    """Return the number of rows, and a number that is the same for the same rows in any order."""
    number, mixed = 0, 0
    for row in rows:
        number += 1
        mixed += hash(tuple(map(_plain, row)))
    return number, mixed


def _plain(value: t.Any) -> t.Any:
    """Return a value as it is, whichever database it comes from."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return value


class Objects:
    """Fifty objects of a server: each is read again and compared with what it was. Chosen from the SQLite database."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = [
            (kind, name) for kind, (query, number) in _KINDS.items() for name in _spread(server.rows(query), number)
        ]
        self._before = self._read()

    def __len__(self) -> int:
        return len(self._names)

    def that_differ(self) -> list[str]:
        """Return the objects that are not as they were."""
        return [f"{kind}: {name}" for (kind, name), shown in self._read().items() if shown != self._before[kind, name]]

    def _read(self) -> dict[tuple[str, str], t.Any]:
        return {(kind, name): getattr(self, f"_{kind}")(quoted(name), name) for kind, name in self._names}

    def _accounts(self, quoted_name: str, _name: str) -> Json:
        shown = self._server.get(f"/_synapse/admin/v2/users/{quoted_name}")
        return {key: value for key, value in shown.items() if key != "last_seen_ts"}

    def _events(self, quoted_name: str, _name: str) -> Json:
        event = self._server.get(f"/_synapse/admin/v1/fetch_event/{quoted_name}")["event"]
        # Its age goes on.
        return {key: value for key, value in event.items() if key not in ("age", "unsigned")}

    def _members(self, quoted_name: str, _name: str) -> list[Json]:
        state: list[Json] = self._server.get(f"/_synapse/admin/v1/rooms/{quoted_name}/state")["state"]
        kept = ("type", "state_key", "content", "sender", "event_id", "origin_server_ts")
        return sorted(({key: each[key] for key in kept} for each in state), key=lambda each: str(each["event_id"]))

    def _keys(self, _quoted_name: str, name: str) -> Json:
        return self._server.send("POST", "/_matrix/client/v3/keys/query", {"device_keys": {name: []}})

    def _aliases(self, quoted_name: str, _name: str) -> Json:
        return self._server.get(f"/_matrix/client/v3/directory/room/{quoted_name}")

    def _media(self, quoted_name: str, _name: str) -> str:
        server = self._server
        url = f"{server.base_url}/_matrix/client/v1/media/download/{server.name}/{quoted_name}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {server.token}"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return hashlib.sha256(answer.read()).hexdigest()
        except urllib.error.HTTPError as error:
            return f"{error.code}"


def _spread(rows: list[tuple[t.Any, ...]], number: int) -> list[str]:
    """Return that many of them, from the first to the last."""
    return [str(rows[place * (len(rows) - 1) // (number - 1)][0]) for place in range(number)]
