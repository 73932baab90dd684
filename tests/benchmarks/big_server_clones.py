# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a neighbourhood under other names, in the SQLite database and the media store of a Synapse that is stopped.

Every table gets the rows that Synapse itself has written for the first neighbourhood, with other users, rooms, events
and numbers in them.

big_server_clones.py DIRECTORY COPIES
    DIRECTORY: of the stopped Synapse. Runs on a Python with Synapse, with the collection on its path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import shutil
import sqlite3
import sys
import typing as t
from pathlib import Path

from big_server_events import Event, Job, Renaming, letters, rename_events

Row = tuple[t.Any, ...]

_PROCESSES = 2
_PEOPLE = "@person-%"
# Numbers that go up with each row, or that are those of other rows: in each copy they are higher by the same amount.
_NUMBERS = frozenset(
    {
        "access_token",
        "bump_stamp",
        "chain_id",
        "completed_delta_stream_id",
        "connection_key",
        "connection_position",
        "event_stream_ordering",
        "id",
        "last_receipt_stream_ordering",
        "last_stream_ordering",
        "next_token_id",
        "origin_chain_id",
        "presence_stream_id",
        "prev_state_group",
        "pusher",
        "refresh_token_id",
        "required_state_id",
        "state_group",
        "stream_id",
        "stream_ordering",
        "target_chain_id",
    }
)
# What must be different for each user on the whole server, and is no full name.
_UNIQUE = {
    "access_tokens": "token",
    "open_id_tokens": "token",
    "profiles": "user_id",
    "refresh_tokens": "token",
    "user_external_ids": "external_id",
    "user_filters": "user_id",
    "user_ips": "access_token",
    "user_threepids": "address",
}
# They belong to the server as a whole, or for a moment to somebody.
_NOT_COPIED = ("background_updates", "scheduled_tasks", "sqlite_sequence", "stream_positions")
# Their rows have no name in them: what finds those of the neighbourhood.
_OWNED = {
    "event_auth_chain_links": (
        "origin_chain_id IN (SELECT chain_id FROM event_auth_chains WHERE event_id IN (SELECT name FROM copied))"
    ),
    "state_group_edges": ("state_group IN (SELECT id FROM state_groups WHERE room_id IN (SELECT name FROM copied))"),
    # Nobody else has any.
    "sliding_sync_connection_positions": "TRUE",
    "sliding_sync_connection_required_state": "TRUE",
}
# Where the numbers of a stream are.
_STREAMS = {
    "account_data": (("account_data", "stream_id"), ("room_account_data", "stream_id")),
    "device_lists_stream": (
        ("device_lists_stream", "stream_id"),
        ("user_signature_stream", "stream_id"),
        ("device_lists_changes_in_room", "stream_id"),
    ),
    "e2e_cross_signing_keys": (("e2e_cross_signing_keys", "stream_id"),),
    "events": (("events", "stream_ordering"),),
    "presence_stream": (("presence_stream", "stream_id"),),
    "push_rules_stream": (("push_rules_stream", "stream_id"),),
    "pushers": (("pushers", "id"),),
    "receipts": (("receipts_linearized", "stream_id"),),
    "to_device": (("device_inbox", "stream_id"),),
}
# How far somebody has read which stream.
_READERS = (
    ("delayed_events_stream_pos", "stream_id", "events"),
    ("device_lists_changes_converted_stream_position", "stream_id", "device_lists_stream"),
    ("event_push_summary_last_receipt_stream_id", "stream_id", "receipts"),
    ("event_push_summary_stream_ordering", "stream_ordering", "events"),
    ("federation_stream_position", "stream_id", "events"),
    ("room_forgetter_stream_pos", "stream_id", "events"),
    ("stats_incremental_position", "stream_id", "events"),
    ("user_directory_stream_pos", "stream_id", "events"),
)
# As Synapse does after a day with notifications that are counted.
_FORGET = (
    "DELETE FROM event_push_actions WHERE highlight = 0 AND stream_ordering <="
    " (SELECT stream_ordering - 500 FROM event_push_summary_stream_ordering)"
)


class _Table(t.NamedTuple):
    """A table, its columns, and the rows of the first neighbourhood."""

    name: str
    columns: list[str]
    rows: list[Row]


def multiply(directory: Path, copies: int) -> None:
    """Put that many copies of the neighbourhood beside it.

    `directory`: of a stopped Synapse, with homeserver.db, media_store, signing.key and described.json.
    """
    server_name = str(json.loads(directory.joinpath("described.json").read_text())["server_name"])
    with contextlib.closing(sqlite3.connect(directory / "homeserver.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        connection.execute(_FORGET)
        _Neighbourhood(connection, directory, server_name).copy(copies)
        # Here only: synapse_port_db must find the numbers of rows as they were.
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Neighbourhood:
    """What there is of the first neighbourhood, and what is made of it."""

    def __init__(self, connection: sqlite3.Connection, directory: Path, server_name: str) -> None:
        self._connection = connection
        self._media_store = directory / "media_store"
        self._server_name = server_name
        self._key = directory.joinpath("signing.key").read_text()
        connection.execute("CREATE TEMPORARY TABLE copied (name TEXT PRIMARY KEY)")
        self._users = self._find("name FROM users WHERE name LIKE ?", _PEOPLE)
        self._rooms = self._find("room_id FROM rooms WHERE creator LIKE ?", _PEOPLE)
        self._aliases = self._find("room_alias FROM room_aliases WHERE creator LIKE ?", _PEOPLE)
        self._media = self._find("media_id FROM local_media_repository WHERE user_id LIKE ?", _PEOPLE)
        self._events = [
            Event(*row)
            for row in connection.execute(
                "SELECT event_id, room_id, room_version, json FROM events JOIN event_json USING (event_id, room_id)"
                " JOIN rooms USING (room_id) WHERE room_id IN (SELECT name FROM copied) ORDER BY stream_ordering"
            )
        ]
        connection.executemany("INSERT INTO copied VALUES (?)", [(event.event_id,) for event in self._events])

    def copy(self, copies: int) -> None:
        """Make that many copies."""
        tables = self._tables()
        step = (
            max(value for table in tables for row in table.rows for value in _numbers(table, row)) // 1000 * 1000 + 1000
        )
        before = {stream: self._last(stream) for stream in _STREAMS}
        jobs = [
            Job(number, self._events, self._names(number), self._server_name, self._key)
            for number in range(1, copies + 1)
        ]
        self._connection.execute("BEGIN")
        with multiprocessing.Pool(_PROCESSES) as pool:
            for job, (names, texts) in zip(jobs, pool.imap(rename_events, jobs), strict=True):
                renaming = Renaming(job.number, names)
                files = {media_id: self._copy_media(media_id, renaming) for media_id in self._media}
                for table in tables:
                    self._insert(table, renaming, step * job.number, texts, files)
        self._move_on({stream: self._last(stream) - last for stream, last in before.items()})
        self._connection.execute("COMMIT")

    def _find(self, query: str, value: str) -> list[str]:
        """Return the names that a query finds, and remember them in the database."""
        found = [str(row[0]) for row in self._connection.execute(f"SELECT {query}", (value,))]
        self._connection.executemany("INSERT INTO copied VALUES (?)", [(name,) for name in found])
        return found

    def _names(self, number: int) -> dict[str, str]:
        """Return the names of a copy that do not follow from its events."""
        names = {}
        for name in (*self._users, *self._aliases):
            localpart, _colon, server_name = name.partition(":")
            names[name] = f"{localpart}.{number}:{server_name}"
        for room_id in self._rooms:
            if ":" in room_id:
                names[room_id] = f"!{letters(18)}:{self._server_name}"
        for media_id in self._media:
            names[media_id] = letters(24)
            names[f"mxc://{self._server_name}/{media_id}"] = f"mxc://{self._server_name}/{names[media_id]}"
        return names

    def _tables(self) -> list[_Table]:
        """Return all tables of which the neighbourhood has rows."""
        listed = dict(self._connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        virtual = tuple(f"{name}_" for name, sql in listed.items() if sql.startswith("CREATE VIRTUAL"))
        known = {name for (name,) in self._connection.execute("SELECT name FROM copied")}
        # What is changed by a renaming to nothing is named in a row.
        named = Renaming(0, dict.fromkeys([*known, *self._names(0)], ""))
        tables = []
        for name in sorted(set(listed) - set(_NOT_COPIED)):
            columns = [str(row[1]) for row in self._connection.execute(f"PRAGMA table_info({name})")]
            if "Lock" in columns or (name.startswith(virtual) and name not in ("user_directory_search",)):
                continue
            found = self._connection.execute(f"SELECT * FROM {name} WHERE {_OWNED.get(name, 'TRUE')}")
            rows = [row for row in found if name in _OWNED or any(_is_named(value, named) for value in row)]
            if rows:
                tables.append(_Table(name, columns, rows))
        return tables

    def _insert(
        self, table: _Table, renaming: Renaming, step: int, texts: dict[str, str], files: dict[str, tuple[int, str]]
    ) -> None:
        """Insert the rows of a copy."""
        unique, suffix = _UNIQUE.get(table.name), f".{renaming.number}"
        text = renaming.text

        def value(column: str, found: t.Any) -> t.Any:
            if isinstance(found, str):
                return f"{found}{suffix}" if column == unique else text(found)
            return found + step if column in _NUMBERS and isinstance(found, int) and found > 0 else found

        rows = [[value(column, found) for column, found in zip(table.columns, row, strict=True)] for row in table.rows]
        if table.name == "event_json":
            place = table.columns.index("json")
            for made, row in zip(rows, table.rows, strict=True):
                made[place] = texts[row[0]]
        elif table.name == "local_media_repository":
            length, sha256 = (table.columns.index(column) for column in ("media_length", "sha256"))
            for made, row in zip(rows, table.rows, strict=True):
                made[length], made[sha256] = files[row[0]]
        marks = ", ".join("?" for _column in table.columns)
        self._connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)

    def _copy_media(self, media_id: str, renaming: Renaming) -> tuple[int, str]:
        """Copy a file, with other bytes behind its picture, and its thumbnails. Returns its size and its SHA-256."""
        paths = [Path(name[:2], name[2:4], name[4:]) for name in (media_id, renaming.names[media_id])]
        old, new = (self._media_store / "local_content" / path for path in paths)
        content = old.read_bytes() + str(renaming.number).encode()
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(content)
        thumbnails, copied = (self._media_store / "local_thumbnails" / path for path in paths)
        shutil.copytree(thumbnails, copied)
        return len(content), hashlib.sha256(content).hexdigest()

    def _last(self, stream: str) -> int:
        """Return the highest number of a stream."""
        queries = [f"SELECT COALESCE(MAX({column}), 0) FROM {table}" for table, column in _STREAMS[stream]]
        return max(int(self._connection.execute(query).fetchone()[0]) for query in queries)

    def _move_on(self, further: dict[str, int]) -> None:
        """Note that all streams are further now, and that all who read them have read what is new."""
        for stream, number in further.items():
            statement = "UPDATE stream_positions SET stream_id = stream_id + ? WHERE stream_name = ? AND stream_id > 0"
            self._connection.execute(statement, (number, stream))
        for table, column, stream in _READERS:
            which = " AND type = 'events'" if table == "federation_stream_position" else ""
            statement = f"UPDATE {table} SET {column} = {column} + ? WHERE {column} > 0{which}"
            self._connection.execute(statement, (further[stream],))


def _numbers(table: _Table, row: Row) -> t.Iterator[int]:
    for column, value in zip(table.columns, row, strict=True):
        if column in _NUMBERS and isinstance(value, int):
            yield value


def _is_named(value: t.Any, named: Renaming) -> bool:
    return isinstance(value, str) and named.text(value) != value


if __name__ == "__main__":
    multiply(Path(sys.argv[1]), int(sys.argv[2]))
