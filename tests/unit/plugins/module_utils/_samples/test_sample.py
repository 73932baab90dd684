# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import (
    KINDS,
    Sample,
    choose_sample,
    content_hash,
    count_sample,
    device_keys_hash,
    is_sample,
)

# The columns that are read, of an older Synapse: without locked, approved and sha256.
_TABLES = """
    CREATE TABLE users (name, admin, deactivated, creation_ts, is_guest, user_type, appservice_id);
    CREATE TABLE profiles (user_id, displayname, avatar_url);
    CREATE TABLE events (stream_ordering, event_id, type, room_id, outlier, rejection_reason);
    CREATE TABLE event_json (event_id, json);
    CREATE TABLE redactions (redacts);
    CREATE TABLE rooms (room_id, room_version);
    CREATE TABLE e2e_device_keys_json (user_id, device_id, ts_added_ms, key_json);
    CREATE TABLE room_aliases (room_alias, room_id);
    CREATE TABLE local_media_repository (media_id, media_length, created_ts, quarantined_by, url_cache);
    CREATE TABLE local_current_membership (room_id, user_id, membership);
    CREATE TABLE current_state_events (room_id, type, state_key);
"""
_USER = "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"


class Tables:
    """An SQLite database with the tables of Synapse that are read."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._path = directory / "homeserver.db"
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(_TABLES)
            connection.commit()

    def add(self, statement: str, *rows: t.Sequence[t.Any]) -> None:
        """Run a statement for each of the rows."""
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.executemany(statement, rows or [()])
            connection.commit()

    def event(
        self, number: int, room_id: str, kind: str = "m.room.message", outlier: int = 0, rejection: t.Any = None
    ) -> str:
        """Add an event and return its ID."""
        event_id = f"${number}"
        self.add(_EVENT, (number, event_id, kind, room_id, outlier, rejection))
        event = {
            "room_id": room_id,
            "type": kind,
            "sender": "@a:b",
            "origin_server_ts": number,
            "content": {"n": number},
        }
        self.add("INSERT INTO event_json VALUES (?, ?)", (event_id, json.dumps(event)))
        return event_id

    def sample(self, limit: int = 50) -> Sample:
        """Return a sample."""
        with Database(DatabaseSettings("sqlite3", {"database": str(self._path)}, "/h.yaml")) as database:
            return choose_sample(database, limit)


@pytest.fixture
def tables(tmp_path: pathlib.Path) -> Tables:
    return Tables(tmp_path)


def test_nothing_at_all(tables: Tables) -> None:
    assert tables.sample() == {**{kind: [] for kind in KINDS}, "logins": [], "server_name": ""}


def test_from_the_oldest_to_the_newest(tables: Tables) -> None:
    tables.add(_USER, *[(f"@u{number:03}:b:1", 0, 0, 1000 - number, 0, None, None) for number in range(101)])
    tables.add("INSERT INTO room_aliases VALUES (?, '!a')", *[(f"#{number:03}:b",) for number in range(50)])
    sample = tables.sample()
    assert [each["user_id"][2:5] for each in sample["accounts"]] == ["100", "084", "067", "050", "034", "017", "000"]
    assert [each["alias"] for each in sample["aliases"]] == ["#000:b", "#016:b", "#032:b", "#049:b"]
    # With the port.
    assert sample["server_name"] == "b:1"
    assert count_sample(sample) == 11
    assert count_sample(tables.sample(500)) > 100


def test_one_of_each_kind_of_account(tables: Tables) -> None:
    tables.add(_USER, *[(f"@u{number}:b", 0, 0, number, 0, None, None) for number in range(1000)])
    special = [
        ("@a:b", 1, 0, 500.0, 0, None, None),
        ("@d:b", 0, 1, 501, 0, None, None),
        ("@7:b", 0, 0, 502, 1, None, None),
    ]
    tables.add(_USER, *special)
    tables.add("INSERT INTO profiles VALUES ('a', 'Anna', NULL)")
    accounts = {each["user_id"]: each for each in tables.sample()["accounts"]}
    assert accounts["@a:b"] == {
        "user_id": "@a:b",
        "admin": True,
        "deactivated": False,
        "creation_ts": 500,
        "is_guest": False,
        "user_type": "",
        "appservice_id": "",
        "displayname_sha256": content_hash("Anna"),
        "avatar_url_sha256": content_hash(None),
    }
    assert accounts["@d:b"]["deactivated"]
    assert accounts["@7:b"]["is_guest"]


def test_who_may_be_logged_in(tables: Tables) -> None:
    rows = [
        ("@admin:b", 1, 0, 1, 0, None, None),
        ("@gone:b", 0, 1, 1, 0, None, None),
        ("@guest:b", 0, 0, 1, 1, None, None),
        ("@bot:b", 0, 0, 1, 0, "bot", None),
        ("@irc:b", 0, 0, 1, 0, None, "irc"),
        ("@young:b", 0, 0, 9, 0, None, None),
        ("@old:b", 0, 0, 2, 0, None, None),
        ("@locked:b", 0, 0, 1, 0, None, None),
        ("@waiting:b", 0, 0, 1, 0, None, None),
    ]
    tables.add(_USER, *rows)
    tables.add("ALTER TABLE users ADD COLUMN locked BOOLEAN DEFAULT FALSE")
    tables.add("ALTER TABLE users ADD COLUMN approved BOOLEAN")
    tables.add("UPDATE users SET locked = TRUE WHERE name = '@locked:b'")
    tables.add("UPDATE users SET approved = FALSE WHERE name = '@waiting:b'")
    assert tables.sample()["logins"] == ["@old:b", "@young:b"]


def test_a_message_of_each_room_version(tables: Tables) -> None:
    for number in range(12):
        tables.add("INSERT INTO rooms VALUES (?, ?)", (f"!{number}", str(number + 1)))
        tables.event(100 + 10 * number, f"!{number}")
        tables.event(101 + 10 * number, f"!{number}", "m.room.member")
    # A room that this server only knows, one without a version, and one without messages beside one with.
    tables.add("INSERT INTO rooms VALUES ('!known', '13'), ('!old', NULL), ('!!', '1')")
    tables.event(99, "!known", outlier=1)
    tables.event(98, "!!", "m.room.create")
    events = tables.sample(1)["events"]
    found = {each["room_version"]: each for each in events if each["room_version"]}
    assert {version: each["event_id"] for version, each in found.items()} == {
        str(number + 1): f"${100 + 10 * number}" for number in range(12)
    }
    assert found["1"] == {
        "event_id": "$100",
        "room_id": "!0",
        "room_version": "1",
        "type": "m.room.message",
        "sender": "@a:b",
        "origin_server_ts": 100,
        "sha256": content_hash({"n": 100}),
    }


def test_events_from_the_oldest_to_the_newest(tables: Tables) -> None:
    for number in range(1, 401):
        tables.event(number, "!a")
    tables.event(-5, "!a")
    # What the API does not show as it was: redacted, rejected, outliers.
    tables.add("INSERT INTO redactions VALUES ('$1')")
    tables.add("UPDATE events SET rejection_reason = 'auth_error' WHERE event_id = '$31'")
    tables.event(401, "!a", outlier=1)
    ids = [each["event_id"] for each in tables.sample()["events"]]
    assert ids[:3] == ["$-5", "$2", "$32"]
    assert len(ids) == 14
    assert not {"$1", "$31", "$401"} & set(ids)


def test_an_event_without_its_json(tables: Tables) -> None:
    tables.add(_EVENT, (1, "$a", "m.room.message", "!a", 0, None))
    assert tables.sample()["events"][0]["sha256"] == content_hash(None)


def test_the_keys_of_devices(tables: Tables) -> None:
    keys = {"algorithms": ["a"], "device_id": "D", "keys": {"ed25519:D": "k"}, "user_id": "@a:b", "signatures": {}}
    tables.add("INSERT INTO e2e_device_keys_json VALUES (?, ?, ?, ?)", ("@a:b", "D", 1, json.dumps(keys)))
    tables.add("INSERT INTO e2e_device_keys_json VALUES (?, ?, ?, ?)", ("@a:b", "E", 2, "broken"))
    assert tables.sample()["devices"] == [
        # The server adds the name of the device, and the signatures of others.
        {
            "user_id": "@a:b",
            "device_id": "D",
            "sha256": device_keys_hash({**keys, "unsigned": {}, "signatures": {"x": {}}}),
        },
        {"user_id": "@a:b", "device_id": "E", "sha256": device_keys_hash({})},
    ]
    assert device_keys_hash(keys) != device_keys_hash({**keys, "keys": {"ed25519:D": "other"}})


def test_files_that_can_be_compared(tables: Tables) -> None:
    insert = "INSERT INTO local_media_repository (media_id, media_length, created_ts, quarantined_by, url_cache) VALUES"
    rows = [
        ("a", 5, 1, None, None),
        ("q", 5, 1, "@a:b", None),
        ("u", 5, 1, None, "http://x"),
        ("n", None, 1, None, None),
    ]
    tables.add(f"{insert} (?, ?, ?, ?, ?)", *rows, ("large", 1 << 30, 1, None, None))
    assert tables.sample()["media"] == [{"media_id": "a", "bytes": 5, "sha256": ""}]
    tables.add("ALTER TABLE local_media_repository ADD COLUMN sha256 TEXT")
    tables.add("UPDATE local_media_repository SET sha256 = 'cafe'")
    assert tables.sample()["media"] == [{"media_id": "a", "bytes": 5, "sha256": "cafe"}]


def test_pending_invitations_among_the_memberships(tables: Tables) -> None:
    rows = [(f"!{number}", "@a:b", "join") for number in range(100)]
    tables.add("INSERT INTO local_current_membership VALUES (?, ?, ?)", *rows)
    tables.add("INSERT INTO local_current_membership VALUES ('!i', '@a:b', 'invite'), ('!k', '@a:b', 'knock')")
    tables.add("INSERT INTO local_current_membership VALUES ('!l', '@a:b', 'leave')")
    tables.add("INSERT INTO current_state_events SELECT room_id, 'm.room.member', '@a:b' FROM local_current_membership")
    # The server does not show an invitation to a room of another server.
    tables.add("INSERT INTO local_current_membership VALUES ('!remote', '@a:b', 'invite')")
    found = [each["membership"] for each in tables.sample()["memberships"]]
    assert found == ["invite", "knock", *["join"] * 4]


def test_table_that_an_older_synapse_does_not_have(tables: Tables) -> None:
    tables.add("DROP TABLE local_current_membership")
    tables.add("DROP TABLE e2e_device_keys_json")
    assert tables.sample()["memberships"] == tables.sample()["devices"] == []


def test_form_of_a_sample(tables: Tables) -> None:
    tables.add(_USER, ("@a:example.org", 0, 0, 1, 0, None, None))
    tables.event(1, "!a:example.org")
    sample = tables.sample()
    assert is_sample(sample)
    assert is_sample({})
    assert is_sample({**sample, "more": 5})
    refused: tuple[t.Any, ...] = (
        *([], {"server_name": 5}, {"logins": [5]}, {"logins": {}}, {"events": [5]}, {"media": {}}),
        {**sample, "accounts": [{**sample["accounts"][0], "user_id": 5}]},
        {**sample, "accounts": [{"user_id": "@a:example.org"}]},
        {**sample, "events": [{**sample["events"][0], "event_id": None}]},
    )
    for wrong in refused:
        assert not is_sample(wrong), wrong


def test_hash_of_content() -> None:
    assert content_hash({"a": 1, "b": ["\u00e9"]}) == content_hash(json.loads('{"b":["\\u00e9"], "a":1}'))
    assert content_hash({"a": 1}) != content_hash({"a": True})
    # A single surrogate is not UTF-8, but can be in an event.
    assert len(content_hash("\ud800")) == 64
