# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A sample of what is in a database: some objects of each kind, evenly from the oldest to the newest.

It contains identifiers and hashes, never contents, so that it can be kept in a file. Relies on the tables of Synapse
1.163. What an older Synapse does not have is left out.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of

# Lists of objects by their kind, and the name of the server: see `choose_sample`.
Sample = dict[str, t.Any]
Row = tuple[t.Any, ...]

KINDS = ("accounts", "events", "devices", "aliases", "media", "memberships")
# How many objects of each kind there are in a sample of 50. Events are there for each room version as well.
_SHARES = {"accounts": 10, "events": 14, "devices": 8, "aliases": 4, "media": 6, "memberships": 8}
_WHOLE = sum(_SHARES.values())
# What each object has: what names it, and its other values.
_NAMES: dict[str, tuple[str, ...]] = {
    "accounts": ("user_id",),
    "events": ("event_id", "room_id"),
    "devices": ("user_id", "device_id"),
    "aliases": ("alias", "room_id"),
    "media": ("media_id", "sha256"),
    "memberships": ("user_id", "room_id", "membership"),
}
_VALUES: dict[str, tuple[str, ...]] = {
    "accounts": (
        *("admin", "deactivated", "creation_ts", "is_guest", "user_type", "appservice_id"),
        *("displayname_sha256", "avatar_url_sha256"),
    ),
    "events": ("type", "sender", "origin_server_ts", "sha256"),
    "devices": ("sha256",),
    "media": ("bytes",),
}
_MESSAGES = ("m.room.message", "m.room.encrypted")
# How many events and rooms to look at for a message, and how many candidates for a login there are.
_NEAR = 200
_ROOMS = 5
_LOGINS = 5
# In bytes. A sample is compared in a moment.
_LARGEST_MEDIA = 20 << 20

_EVENT = """
    SELECT e.event_id, e.type FROM events AS e
    WHERE {where} AND NOT e.outlier AND e.rejection_reason IS NULL
        AND NOT EXISTS (SELECT 1 FROM redactions AS r WHERE r.redacts = e.event_id)
    ORDER BY e.stream_ordering {order} LIMIT ?
"""
_CONTENT = "SELECT json FROM event_json WHERE event_id = ?"
_VERSIONS = "SELECT DISTINCT room_version FROM rooms WHERE room_version IS NOT NULL ORDER BY room_version"
_ROOMS_OF_VERSION = """
    SELECT room_id FROM rooms WHERE room_version = ?
        AND EXISTS (SELECT 1 FROM events AS e WHERE e.room_id = rooms.room_id AND NOT e.outlier)
    ORDER BY room_id LIMIT ?
"""
_ACCOUNT = "SELECT name, admin, deactivated, creation_ts, is_guest, user_type, appservice_id FROM users"
_PROFILE = "SELECT displayname, avatar_url FROM profiles WHERE user_id = ?"
_DEVICE = "SELECT user_id, device_id, key_json FROM e2e_device_keys_json"
_MEDIA = "SELECT media_id, media_length, {hash} FROM local_media_repository WHERE {where}"
_KEPT_MEDIA = "quarantined_by IS NULL AND url_cache IS NULL AND media_length IS NOT NULL AND media_length <= ?"
# The server shows only memberships in rooms that it is in, and no pending invitation to a room of another server.
_SHOWN_MEMBERSHIP = """
    WHERE membership = ? AND EXISTS (
        SELECT 1 FROM current_state_events AS s WHERE s.room_id = local_current_membership.room_id
            AND s.type = 'm.room.member' AND s.state_key = local_current_membership.user_id
    )
"""
_LOGIN = """
    SELECT name FROM users WHERE deactivated = 0 AND is_guest = 0 AND appservice_id IS NULL AND user_type IS NULL
        AND {more} ORDER BY creation_ts, name LIMIT ?
"""


def choose_sample(database: Database, limit: int = 50) -> Sample:
    """Return a sample with about `limit` objects, but at least one event of each room version.

    Keys: `server_name`, `logins` (accounts that can be logged in for a moment), and a list for each of `KINDS`. A list
    is shorter if there are not so many objects. Raises what the database raises.
    """
    chooser = _Chooser(database)
    counts = {kind: max(1, round(share * limit / _WHOLE)) for kind, share in _SHARES.items()}
    sample: Sample = {"logins": chooser.logins()}
    for kind in KINDS:
        sample[kind] = getattr(chooser, kind)(counts[kind])
    names = [account["user_id"] for account in sample["accounts"]]
    sample["server_name"] = server_name_of(names[0]) if names else ""
    return sample


def is_sample(value: t.Any) -> bool:
    """Return whether it has the form of a sample, or is empty. It may have been read from a file of anybody."""
    if not isinstance(value, dict) or not isinstance(value.get("server_name", ""), str):
        return False
    lists = [value.get(kind, []) for kind in ("logins", *KINDS)]
    if not all(isinstance(each, list) for each in lists) or not all(isinstance(name, str) for name in lists[0]):
        return False
    return all(
        isinstance(one, dict)
        and all(name in one for name in _VALUES.get(kind, ()))
        and all(isinstance(one.get(name), str) for name in _NAMES[kind])
        for kind, objects in zip(KINDS, lists[1:])
        for one in objects
    )


def count_sample(sample: Sample) -> int:
    """Return how many objects a sample has."""
    return sum(len(sample.get(kind, [])) for kind in KINDS)


def content_hash(value: t.Any) -> str:
    """Return the SHA-256 of a JSON value, which does not depend on the order of keys or on spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def device_keys_hash(keys: t.Mapping[str, t.Any]) -> str:
    """Return the hash of the keys of a device. Signatures can be added later, and are left out."""
    return content_hash({name: keys.get(name) for name in ("algorithms", "device_id", "keys", "user_id")})


class _Chooser:
    """Chooses objects of each kind. Nothing is read if a table does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = set(table_names(database))

    def accounts(self, count: int) -> list[dict[str, t.Any]]:
        """Return accounts by their age, and one of each kind: server admins, deactivated ones, guests."""
        rows = self._spread(f"{_ACCOUNT} ORDER BY creation_ts, name", "users", "", (), count - 3)
        for kind in ("admin", "deactivated", "is_guest"):
            rows += self._database.rows(f"{_ACCOUNT} WHERE {kind} = 1 ORDER BY creation_ts DESC, name LIMIT 1")
        return [self._account(row) for row in dict.fromkeys(rows)]

    def events(self, count: int) -> list[dict[str, t.Any]]:
        """Return messages by their age, and one of each room version. Other events, where there are no messages."""
        [(first, last)] = self._database.rows("SELECT min(stream_ordering), max(stream_ordering) FROM events")
        if first is None:
            return []
        found: dict[str, str] = {}
        for (version,) in self._database.rows(_VERSIONS):
            found.update(self._of_version(version))
        # Ids below 1 are those of events that came from other servers later.
        places = [*([int(first)] if first < 1 else []), *_places(max(int(first), 1), int(last), count)]
        for place in places:
            near = self._near("e.stream_ordering >= ?", place, "ASC", found)
            found.update({event_id: "" for event_id, _type in near})
        return [self._event(event_id, version) for event_id, version in found.items()]

    def devices(self, count: int) -> list[dict[str, str]]:
        """Return devices with keys by their age."""
        rows = self._spread(
            f"{_DEVICE} ORDER BY ts_added_ms, user_id, device_id", "e2e_device_keys_json", "", (), count
        )
        return [
            {"user_id": user_id, "device_id": device_id, "sha256": device_keys_hash(_object(text))}
            for user_id, device_id, text in rows
        ]

    def aliases(self, count: int) -> list[dict[str, str]]:
        """Return aliases."""
        rows = self._spread(
            "SELECT room_alias, room_id FROM room_aliases ORDER BY room_alias", "room_aliases", "", (), count
        )
        return [{"alias": alias, "room_id": room_id} for alias, room_id in rows]

    def media(self, count: int) -> list[dict[str, t.Any]]:
        """Return local files by their age, with their SHA-256 where Synapse knows it."""
        known = "sha256" if self._has_column("local_media_repository", "sha256") else "NULL"
        query = _MEDIA.format(hash=known, where=_KEPT_MEDIA)
        rows = self._spread(
            f"{query} ORDER BY created_ts, media_id",
            "local_media_repository",
            f"WHERE {_KEPT_MEDIA}",
            (_LARGEST_MEDIA,),
            count,
        )
        return [{"media_id": media_id, "bytes": int(size), "sha256": sha or ""} for media_id, size, sha in rows]

    def memberships(self, count: int) -> list[dict[str, str]]:
        """Return memberships of local accounts: pending invitations and knocks, and joined rooms."""
        shares = {"invite": (count + 2) // 3, "knock": 1, "join": max(1, count - (count + 2) // 3 - 1)}
        rows: list[Row] = []
        for membership, share in shares.items():
            rows += self._spread(
                f"SELECT room_id, user_id, membership FROM local_current_membership {_SHOWN_MEMBERSHIP}"
                " ORDER BY user_id, room_id",
                "local_current_membership",
                _SHOWN_MEMBERSHIP,
                (membership,),
                share,
            )
        return [{"room_id": room, "user_id": user, "membership": membership} for room, user, membership in rows]

    def logins(self) -> list[str]:
        """Return accounts that may be logged in: people, neither admins nor locked."""
        more = ["admin = 0"]
        more += ["NOT locked"] if self._has_column("users", "locked") else []
        more += ["coalesce(approved, true)"] if self._has_column("users", "approved") else []
        rows = self._database.rows(_LOGIN.format(more=" AND ".join(more)), _LOGINS)
        return [str(name) for (name,) in rows]

    def _account(self, row: Row) -> dict[str, t.Any]:
        name, admin, deactivated, creation_ts, is_guest, user_type, appservice_id = row
        profile = self._database.rows(_PROFILE, str(name)[1:].partition(":")[0])
        displayname, avatar_url = profile[0] if profile else (None, None)
        return {
            "user_id": str(name),
            "admin": bool(admin),
            "deactivated": bool(deactivated),
            "creation_ts": int(creation_ts or 0),
            "is_guest": bool(is_guest),
            "user_type": user_type or "",
            "appservice_id": appservice_id or "",
            "displayname_sha256": content_hash(displayname),
            "avatar_url_sha256": content_hash(avatar_url),
        }

    def _of_version(self, version: str) -> dict[str, str]:
        """Return the last message in a room of this version; another event if some rooms have no messages."""
        found: dict[str, str] = {}
        for (room_id,) in self._database.rows(_ROOMS_OF_VERSION, version, _ROOMS):
            for event_id, kind in self._near("e.room_id = ?", room_id, "DESC", ()):
                if kind in _MESSAGES:
                    return {event_id: version}
                found = found or {event_id: version}
        return found

    def _near(self, where: str, value: t.Any, order: str, known: t.Collection[str]) -> list[tuple[str, str]]:
        """Return the id and the type of the first message that is not known, or of another event, or nothing."""
        rows = self._database.rows(_EVENT.format(where=where, order=order), value, _NEAR)
        new = [(str(event_id), str(kind)) for event_id, kind in rows if event_id not in known]
        return ([row for row in new if row[1] in _MESSAGES] or new)[:1]

    def _event(self, event_id: str, version: str) -> dict[str, t.Any]:
        rows = self._database.rows(_CONTENT, event_id)
        event = _object(rows[0][0]) if rows else {}
        return {
            "event_id": event_id,
            "room_id": str(event.get("room_id", "")),
            "room_version": version,
            "type": str(event.get("type", "")),
            "sender": str(event.get("sender", "")),
            "origin_server_ts": event.get("origin_server_ts", 0),
            "sha256": content_hash(event.get("content")),
        }

    def _spread(self, query: str, table: str, where: str, values: Row, count: int) -> list[Row]:
        """Return up to so many rows of an ordered query, evenly from the first to the last one."""
        if table not in self._tables:
            return []
        total = int(self._database.rows(f"SELECT count(*) FROM {table} {where}", *values)[0][0])
        rows: list[Row] = []
        for place in _places(0, total - 1, max(count, 0)):
            rows += self._database.rows(f"{query} LIMIT 1 OFFSET ?", *values, place)
        return rows

    def _has_column(self, table: str, column: str) -> bool:
        if self._database.settings.engine == "sqlite3":
            query = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
        else:
            query = "SELECT 1 FROM information_schema.columns WHERE table_name = ? AND column_name = ?"
        return bool(self._database.rows(query, table, column))


def _places(first: int, last: int, count: int) -> list[int]:
    """Return up to so many different whole numbers, evenly from the first to the last one."""
    if last < first or count < 1:
        return []
    if count == 1:
        return [first]
    return sorted({first + (last - first) * step // (count - 1) for step in range(count)})


def _object(text: t.Any) -> dict[str, t.Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
