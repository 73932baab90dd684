# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which accounts match a filter, what is requested from Synapse, and that the database gives the same as the API."""

from __future__ import annotations

import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import query
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.query import (
    AccountFilter,
    find_by_api,
    find_in_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

LIST = "/_synapse/admin/v3/users"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
METADATA = "/_matrix/client/v1/auth_metadata"
NOT_DELEGATED = Call("GET", METADATA, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
DELEGATED = Call("GET", METADATA, {"issuer": "https://x.org/"})

# As GET v3/users of Synapse 1.163 shows an account.
LISTED: dict[str, t.Any] = {
    "name": "@alice:x.org",
    "user_type": None,
    "is_guest": False,
    "admin": False,
    "deactivated": False,
    "shadow_banned": False,
    "displayname": "Alice",
    "avatar_url": None,
    "creation_ts": 1700000000000,
    "erased": False,
    "last_seen_ts": None,
    "locked": False,
}
ROW: dict[str, t.Any] = {
    "user_id": "@alice:x.org",
    "admin": False,
    "display_name": "Alice",
    "avatar_url": "",
    "user_type": "",
    "guest": False,
    "locked": False,
    "shadow_banned": False,
    "deactivated": False,
    "erased": False,
    "created": "2023-11-14T22:13:20Z",
    "created_ts": 1700000000000,
}

# The columns of Synapse 1.163 on SQLite that are read. There is no index, because an index could sort the rows without
# ORDER BY.
TABLES = """
CREATE TABLE users (
    name TEXT, creation_ts BIGINT, admin SMALLINT DEFAULT 0 NOT NULL, is_guest SMALLINT DEFAULT 0 NOT NULL,
    user_type TEXT, deactivated SMALLINT DEFAULT 0 NOT NULL, shadow_banned BOOLEAN,
    locked BOOLEAN DEFAULT FALSE NOT NULL
);
CREATE TABLE profiles (user_id TEXT NOT NULL, displayname TEXT, avatar_url TEXT, full_user_id TEXT);
CREATE TABLE erased_users (user_id TEXT NOT NULL);
CREATE TABLE devices (user_id TEXT NOT NULL, device_id TEXT NOT NULL, last_seen BIGINT);
CREATE TABLE user_ips (user_id TEXT NOT NULL, last_seen BIGINT NOT NULL);
"""


def listed(*rows: t.Mapping[str, t.Any], **query: str) -> Call:
    """Return the request for a single page with these accounts."""
    answer = {"users": [{**LISTED, **row} for row in rows], "total": len(rows)}
    return Call("GET", LIST, answer, query={"limit": "1000", **query})


def by_api(server: ScriptedServer, count_only: bool = False, **wanted: t.Any) -> query.Found:
    return find_by_api(Client(server.base_url, "token"), AccountFilter(**wanted), count_only=count_only)


@pytest.fixture
def connection(tmp_path: pathlib.Path) -> t.Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "homeserver.db", isolation_level=None)
    connection.executescript(TABLES)
    connection.execute("INSERT INTO users (name, creation_ts) VALUES ('@alice:x.org', 1700000000)")
    connection.execute("INSERT INTO profiles VALUES ('alice', 'Alice', NULL, '@alice:x.org')")
    connection.execute("INSERT INTO erased_users VALUES ('@bob:x.org')")
    yield connection
    connection.close()


def in_database(connection: sqlite3.Connection, count_only: bool = False, **wanted: t.Any) -> query.Found:
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    with Database(DatabaseSettings("sqlite3", {"database": path}, "x")) as database:
        return find_in_database(database, "x.org", AccountFilter(**wanted), count_only=count_only)


class TestFilter:
    @pytest.mark.parametrize(
        ("wanted", "row"),
        [
            ({}, {"locked": True, "deactivated": True, "guest": True, "erased": True}),
            ({"user_id": "@alice:x.org"}, {}),
            ({"search": "LIC"}, {"display_name": ""}),
            ({"search": "lic"}, {"user_id": "@ALICE:x.org", "display_name": ""}),
            ({"search": "ÄRGER"}, {"display_name": "kein ärger"}),
            ({"search": "strasse"}, {"display_name": "Große Straße"}),
            ({"search": "ß"}, {"user_id": "@boss:x.org"}),
            ({"search": "100%"}, {"display_name": "100% sure"}),
            ({"search": "a_b"}, {"user_id": "@a_b:x.org"}),
            ({"search": ""}, {}),
            ({"admin": True, "locked": True}, {"admin": True, "locked": True}),
            ({"admin": False, "deactivated": False, "locked": False, "guest": False}, {}),
            ({"guest": True}, {"guest": True}),
            ({"user_type": ""}, {}),
            ({"user_type": "bot"}, {"user_type": "bot"}),
        ],
    )
    def test_matches(self, wanted: dict[str, t.Any], row: dict[str, t.Any]) -> None:
        assert AccountFilter(**wanted).matches({**ROW, **row})

    @pytest.mark.parametrize(
        ("wanted", "row"),
        [
            ({"user_id": "@Alice:x.org"}, {}),
            ({"search": "x.org"}, {}),
            ({"search": "@"}, {}),
            ({"search": "a%e"}, {}),
            ({"search": "al_ce"}, {}),
            ({"search": "alice", "admin": True}, {}),
            ({"admin": False}, {"admin": True}),
            ({"deactivated": True}, {}),
            ({"deactivated": False}, {"deactivated": True}),
            ({"locked": True}, {}),
            ({"locked": False}, {"locked": True}),
            ({"guest": True}, {}),
            ({"guest": False}, {"guest": True}),
            ({"user_type": ""}, {"user_type": "bot"}),
            ({"user_type": "bot"}, {}),
            ({"user_type": "bot"}, {"user_type": "support"}),
        ],
    )
    def test_does_not_match(self, wanted: dict[str, t.Any], row: dict[str, t.Any]) -> None:
        assert not AccountFilter(**wanted).matches({**ROW, **row})


class TestApi:
    @pytest.mark.parametrize(
        ("wanted", "asked"),
        [
            ({}, {"locked": "true"}),
            ({"locked": True}, {"locked": "true"}),
            ({"locked": False}, {}),
            ({"admin": True, "deactivated": False}, {"locked": "true", "admins": "true", "deactivated": "false"}),
            ({"admin": False, "deactivated": True}, {"locked": "true", "admins": "false", "deactivated": "true"}),
            ({"guest": False}, {"locked": "true", "guests": "false"}),
            ({"guest": True}, {"locked": "true"}),
            ({"search": "a_b", "user_type": "bot"}, {"locked": "true"}),
        ],
    )
    def test_lets_synapse_apply_its_filters(
        self, server: ScriptedServer, wanted: dict[str, t.Any], asked: dict[str, str]
    ) -> None:
        server.expect(listed(**asked))
        assert by_api(server, **wanted) == query.Found([], 0)

    def test_returns_every_value(self, server: ScriptedServer) -> None:
        server.expect(listed({"last_seen_ts": 1769860800999}, locked="true"))
        seen = {"last_seen_ts": 1769860800999, "last_seen": "2026-01-31T12:00:00Z"}
        assert by_api(server) == query.Found([{**ROW, **seen}], 1)

    @pytest.mark.parametrize("user_type", [None, ""])
    def test_leaves_out_what_is_not_known(self, server: ScriptedServer, user_type: str | None) -> None:
        server.expect(listed({"displayname": None, "user_type": user_type, "creation_ts": None}, locked="true"))
        expected = {name: value for name, value in ROW.items() if not name.startswith("created")}
        assert by_api(server).users == [{**expected, "display_name": ""}]

    @pytest.mark.parametrize("creation_ts", [1700000000000000000, -(10**17)])
    def test_accepts_a_time_that_no_calendar_has(self, server: ScriptedServer, creation_ts: int) -> None:
        server.expect(listed({"creation_ts": creation_ts}, locked="true"))
        expected = {name: value for name, value in ROW.items() if name != "created"}
        assert by_api(server).users == [{**expected, "created_ts": creation_ts}]

    def test_sorts_by_bytes_and_returns_no_account_twice(self, server: ScriptedServer) -> None:
        names = ["@b:x.org", "@ä:x.org", "@a:x.org", "@Z:x.org", "@a:x.org", "@a/b:x.org"]
        server.expect(listed(*({"name": name} for name in names), locked="true"))
        found = by_api(server)
        ordered = ["@Z:x.org", "@a/b:x.org", "@a:x.org", "@b:x.org", "@ä:x.org"]
        assert ([row["user_id"] for row in found.users], found.total) == (ordered, 5)

    def test_reads_every_page(self, server: ScriptedServer) -> None:
        first = {"users": [LISTED], "total": 2, "next_token": "1000"}
        server.expect(
            Call("GET", LIST, first, query={"limit": "1000", "locked": "true"}),
            listed({"name": "@bob:x.org"}, locked="true", **{"from": "1000"}),
        )
        assert by_api(server).total == 2

    @pytest.mark.parametrize("given", ["a_B=c+d-é.e", "@a_B=c+d-é.e:x.org"])
    def test_returns_exactly_one_account(self, server: ScriptedServer, given: str) -> None:
        similar = [{"name": f"@{localpart}:x.org"} for localpart in ("a_b=c+d-é.e", "axB=c+d-é.e", "a_B=c+d-é.e")]
        server.expect(WHOAMI, listed(*similar, locked="true", user_id="@a__=c+d-_.e:x.org"))
        found = by_api(server, user_id=given)
        assert [row["user_id"] for row in found.users] == ["@a_B=c+d-é.e:x.org"]

    def test_returns_nothing_if_the_account_does_not_exist(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, listed({"name": "@the_alice:x.org"}, locked="true", user_id="@alice:x.org"))
        assert by_api(server, user_id="alice") == query.Found([], 0)

    @pytest.mark.parametrize(("given", "said"), [("@a:y.org", "of the server y.org"), ("", "is not a user ID")])
    def test_does_not_look_for_an_account_that_cannot_exist(
        self, server: ScriptedServer, given: str, said: str
    ) -> None:
        server.expect(WHOAMI)
        with pytest.raises(errors.InvalidInput, match=said):
            by_api(server, user_id=given)

    def test_counts_with_one_request_if_synapse_applies_all_filters(self, server: ScriptedServer) -> None:
        asked = {"limit": "1", "admins": "true", "deactivated": "false", "guests": "false"}
        server.expect(Call("GET", LIST, {"users": [LISTED], "total": 4321, "next_token": "1"}, query=asked))
        assert by_api(server, True, admin=True, deactivated=False, locked=False, guest=False) == query.Found([], 4321)

    @pytest.mark.parametrize(
        ("wanted", "row"),
        [
            ({"search": "alice"}, {}),
            ({"user_type": ""}, {}),
            ({"locked": True}, {"locked": True}),
            ({"guest": True}, {"is_guest": True}),
        ],
    )
    def test_counts_the_rest_itself(
        self, server: ScriptedServer, wanted: dict[str, t.Any], row: dict[str, t.Any]
    ) -> None:
        other = {"name": "@bob:x.org", "displayname": "", "user_type": "bot"}
        server.expect(listed(other, row, row, locked="true"))
        assert by_api(server, True, **wanted) == query.Found([], 1)

    def test_notices_a_response_without_a_number(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", LIST, {"users": []}))
        with pytest.raises(errors.UnexpectedAnswer, match="no total"):
            by_api(server, True)


class TestDelegated:
    """If the Matrix Authentication Service manages the accounts, Synapse 1.163 refuses to list guests."""

    REFUSED = Call("GET", LIST, {"errcode": "M_INVALID_PARAM", "error": "The guests parameter is not supported"}, 400)

    @pytest.mark.parametrize("count_only", [False, True])
    def test_leaves_guests_out(self, server: ScriptedServer, count_only: bool) -> None:
        parameters = {"limit": "1" if count_only else "1000", "locked": "true", "guests": "false"}
        server.expect(self.REFUSED, DELEGATED, Call("GET", LIST, {"users": [LISTED], "total": 1}, query=parameters))
        assert by_api(server, count_only) == query.Found([] if count_only else [ROW], 1)

    def test_sends_one_request_if_guests_are_not_wanted(self, server: ScriptedServer) -> None:
        server.expect(listed({}, locked="true", guests="false"))
        assert by_api(server, guest=False).total == 1

    def test_fails_if_only_guests_are_wanted(self, server: ScriptedServer) -> None:
        server.expect(self.REFUSED, DELEGATED)
        with pytest.raises(errors.InvalidInput, match="Synapse does not list guests. Set source to database"):
            by_api(server, guest=True)

    @pytest.mark.parametrize(
        ("status", "errcode", "metadata"), [(400, "M_INVALID_PARAM", NOT_DELEGATED), (403, "M_FORBIDDEN", DELEGATED)]
    )
    def test_raises_every_other_refusal(
        self, server: ScriptedServer, status: int, errcode: str, metadata: Call
    ) -> None:
        server.expect(Call("GET", LIST, {"errcode": errcode, "error": "Broken"}, status))
        server.always(metadata)
        with pytest.raises(errors.ApiError, match=f"{status} {errcode}: Broken"):
            by_api(server)


class TestDatabase:
    def test_returns_the_same_as_the_api(self, connection: sqlite3.Connection) -> None:
        assert in_database(connection) == query.Found([ROW], 1)

    def test_returns_every_value(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            """
            UPDATE users SET admin = 1, is_guest = 1, user_type = 'bot', deactivated = 1, shadow_banned = 1, locked = 1;
            UPDATE profiles SET displayname = 'Älice', avatar_url = 'mxc://x.org/a';
            INSERT INTO erased_users VALUES ('@alice:x.org');
            """
        )
        flags = ("admin", "guest", "deactivated", "shadow_banned", "locked", "erased")
        changed = {"display_name": "Älice", "avatar_url": "mxc://x.org/a", "user_type": "bot"}
        (row,) = in_database(connection).users
        assert row == {**ROW, **changed, **dict.fromkeys(flags, True)}
        assert all(row[name] is True for name in flags)

    def test_returns_an_account_without_a_profile(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE profiles SET full_user_id = '@other:x.org'")
        assert in_database(connection).users == [{**ROW, "display_name": ""}]

    @pytest.mark.parametrize(
        ("devices", "addresses", "seen"),
        [
            ([], [], None),
            ([None], [], None),
            ([5000, None, 7000], [9000], 7000),
            ([], [3000, 9000], 9000),
            ([None], [9000], 9000),
        ],
    )
    def test_was_seen_at_the_same_time_as_in_the_api(
        self, connection: sqlite3.Connection, devices: list[int | None], addresses: list[int], seen: int | None
    ) -> None:
        connection.executemany("INSERT INTO devices VALUES ('@alice:x.org', 'D', ?)", [(time,) for time in devices])
        connection.executemany("INSERT INTO user_ips VALUES ('@alice:x.org', ?)", [(time,) for time in addresses])
        connection.execute("INSERT INTO devices VALUES ('@bob:x.org', 'D', 99000)")
        (row,) = in_database(connection).users
        shown = {"last_seen_ts": seen, "last_seen": f"1970-01-01T00:00:0{seen // 1000}Z"} if seen else {}
        assert row == {**ROW, **shown}

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, "abcdefg"),
            ({"admin": True}, "b"),
            ({"admin": False, "guest": False}, "acdfg"),
            ({"deactivated": True}, "c"),
            ({"deactivated": False, "locked": False}, "abefg"),
            ({"locked": True}, "d"),
            ({"guest": True}, "e"),
            ({"user_type": ""}, "abcdeg"),
            ({"user_type": "bot"}, "f"),
            ({"user_type": "' OR 1 --"}, ""),
            ({"user_id": "b"}, "b"),
            ({"user_id": "@b:x.org"}, "b"),
            ({"user_id": "B"}, ""),
            ({"user_id": "b", "admin": False}, ""),
            ({"user_id": "nobody"}, ""),
            ({"search": "G%_"}, "g"),
        ],
    )
    @pytest.mark.parametrize("page", [1, 2, 7, 5000])
    def test_filters(
        self,
        connection: sqlite3.Connection,
        monkeypatch: pytest.MonkeyPatch,
        page: int,
        wanted: dict[str, t.Any],
        found: str,
    ) -> None:
        monkeypatch.setattr(query, "_DATABASE_PAGE", page)
        connection.execute("DELETE FROM users")
        connection.executemany("INSERT INTO users (name) VALUES (?)", [(f"@{letter}:x.org",) for letter in "gfedcba"])
        connection.executescript(
            """
            UPDATE users SET admin = 1 WHERE name = '@b:x.org';
            UPDATE users SET deactivated = 1 WHERE name = '@c:x.org';
            UPDATE users SET locked = 1 WHERE name = '@d:x.org';
            UPDATE users SET is_guest = 1 WHERE name = '@e:x.org';
            UPDATE users SET user_type = 'bot' WHERE name = '@f:x.org';
            INSERT INTO profiles VALUES ('g', '100 g%_', NULL, '@g:x.org');
            """
        )
        rows = in_database(connection, **wanted).users
        assert "".join(row["user_id"][1] for row in rows) == found
        assert in_database(connection, True, **wanted) == query.Found([], len(found))

    def test_does_not_look_for_a_type_that_cannot_exist(self, connection: sqlite3.Connection) -> None:
        with pytest.raises(errors.InvalidInput, match="user_type contains a NUL character"):
            in_database(connection, user_type="bot\0")

    def test_does_not_look_for_an_account_of_another_server(self, connection: sqlite3.Connection) -> None:
        with pytest.raises(errors.InvalidInput, match="of the server y.org, but this server is x.org"):
            in_database(connection, user_id="@alice:y.org")

    def test_changes_nothing(self, connection: sqlite3.Connection) -> None:
        before = list(connection.iterdump())
        in_database(connection)
        assert list(connection.iterdump()) == before
