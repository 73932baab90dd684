# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first server admin: how it is made, that no other account becomes one, and what is returned."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import socket
import sqlite3
import sys
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access import first_admin as resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.first_admin import FirstAdmin, Ways
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    registration_mac,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    management_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import homeserver
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
    Namespace,
    Registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.modules import synapse_admin_user
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

WHOAMI, LOGIN, LOGOUT, POLICY = (
    f"/_matrix/client/v3/{name}" for name in ("account/whoami", "login", "logout", "password_policy")
)
REGISTER, ALICE = "/_synapse/admin/v1/register", "/_synapse/admin/v2/users/%40alice%3Ax.org"
PASSWORD, SECRET, TOKEN, SESSION = "hunter2", "s3cret", "syt_own", "syt_session"
DENIED = {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}
FAULT = {"errcode": "M_UNKNOWN", "error": "Internal server error"}
PROBE = "matrix_ops.synapse.probe.c0ffee"
PROMOTE, ENROL = "set admin in the database", "register the account as a server admin"

# The tables of Synapse 1.163 that define an account, with the relevant columns.
TABLES = """
CREATE TABLE users (
    name TEXT UNIQUE, password_hash TEXT, creation_ts BIGINT, user_type TEXT DEFAULT NULL,
    admin SMALLINT DEFAULT 0 NOT NULL, is_guest SMALLINT DEFAULT 0 NOT NULL, deactivated SMALLINT DEFAULT 0 NOT NULL,
    locked BOOLEAN DEFAULT FALSE NOT NULL, suspended BOOLEAN DEFAULT FALSE NOT NULL, appservice_id TEXT,
    shadow_banned BOOLEAN
);
CREATE TABLE profiles (full_user_id TEXT NOT NULL, user_id TEXT, displayname TEXT, avatar_url TEXT);
CREATE TABLE user_threepids (user_id TEXT NOT NULL, medium TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE user_external_ids (auth_provider TEXT NOT NULL, external_id TEXT NOT NULL, user_id TEXT NOT NULL);
CREATE TABLE ratelimit_override (user_id TEXT NOT NULL, messages_per_second BIGINT, burst_count BIGINT)
"""
Row = tuple[t.Any, ...]
EMAIL = {"medium": "email", "address": "alice@x.org"}
IDENTITY = {"auth_provider": "oidc-x", "external_id": "a"}


class UserTable:
    """The database of a Synapse, with its table of the users."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = str(path)
        for table in TABLES.split(";"):
            self.run(table)

    def run(self, sql: str, *values: t.Any) -> list[Row]:
        """Run a statement and return its rows."""
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def add(
        self,
        user_id: str,
        *,
        admin: int = 0,
        deactivated: int = 0,
        display_name: str = "",
        user_type: str | None = None,
    ) -> None:
        """Add an account."""
        self.run(
            "INSERT INTO users (name, password_hash, creation_ts, admin, deactivated, user_type)"
            " VALUES (?, '$2b$', 17, ?, ?, ?)",
            *(user_id, admin, deactivated, user_type),
        )
        if display_name:
            self.run("INSERT INTO profiles VALUES (?, ?, ?, NULL)", user_id, user_id[1:].split(":")[0], display_name)

    def content(self) -> dict[str, Row]:
        """Return all rows by user ID."""
        return {row[0]: row for row in self.run("SELECT * FROM users")}

    def admins(self) -> list[Row]:
        """Return the admins, with the value in the database and its type."""
        return self.run("SELECT name, admin, typeof(admin) FROM users WHERE admin <> 0 ORDER BY name")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[t.Any, ...]]:
    """What the server was asked about before a registration. It accepts everything here; see test_login.py."""
    calls: list[tuple[t.Any, ...]] = []
    monkeypatch.setattr(resource, "require_registration", lambda _client, *given: calls.append(given))
    return calls


@pytest.fixture
def users(tmp_path: pathlib.Path) -> UserTable:
    """A database without accounts."""
    return UserTable(tmp_path / "homeserver.db")


@pytest.fixture
def existing(users: UserTable) -> UserTable:
    """A database with accounts, none of which is an admin."""
    for name in ("alice", "alice2", "Alice", "bob"):
        users.add(f"@{name}:x.org")
    return users


@pytest.fixture
def promoted(users: UserTable) -> UserTable:
    """A database in which Alice is an admin."""
    users.add("@alice:x.org", admin=1)
    return users


def first_admin(
    base_url: str,
    users: UserTable,
    user_id: str = "alice",
    *,
    token: str | None = None,
    ways: Ways | None = None,
    settings: t.Mapping[str, t.Any] | None = None,
    permissions: Permissions | None = None,
    stored_password: str = PASSWORD,
    **declared: t.Any,
) -> FirstAdmin:
    database = {"name": "sqlite3", "args": {"database": users.path}}
    merged = {"server_name": "x.org", "database": database, **(settings or {})}
    return FirstAdmin(
        Accounts(Client(base_url, token), permissions, lambda _user_id, password: password == stored_password),
        user_id,
        DeclaredAccount(admin=True, **declared),
        Configuration((ConfigurationFile("/etc/homeserver.yaml", merged),)),
        ways or Ways(SECRET),
    )


@pytest.fixture(autouse=True)
def same_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random part of the device name is always the same."""
    monkeypatch.setattr("secrets.token_hex", lambda _size: "c0ffee")


def carry_out(resource: FirstAdmin, *, effect: t.Callable[[], None] = lambda: None) -> dict[str, t.Any]:
    """Do what the runner does, and return the result with the steps. `effect`: what the server does to the database."""
    plan = resource.plan()
    steps = [step.description for step in plan.steps]
    assert (plan.before != plan.after) == plan.changed
    if plan.changed:
        plan.execute()
        effect()
        resource.verify(plan)
    elif plan.proof:
        plan.proof()
    result = {**resource.result(plan, plan.changed), "steps": steps}
    assert not any(secret in f"{plan.before} {result}" for secret in (PASSWORD, SECRET, TOKEN, SESSION))
    return result


def outcome(result: dict[str, t.Any]) -> tuple[t.Any, ...]:
    return result.get("method"), result["verified"], result["restart_required"], result["steps"]


def shown(answer: t.Any = None, status: int = 200, token: str | None = TOKEN) -> Call:
    """Alice's account, as the Admin API shows it to the owner of `token`."""
    account = {"name": "@alice:x.org", "admin": True, "deactivated": False, "displayname": "Alice"}
    return Call("GET", ALICE, answer or account, status, token=token)


def whoami(user_id: str = "@alice:x.org") -> Call:
    return Call("GET", WHOAMI, {"user_id": user_id, "device_id": "D"}, token=TOKEN)


def nobody() -> Call:
    """The request for the caller, without a token."""
    return Call("GET", WHOAMI, {"errcode": "M_MISSING_TOKEN", "error": "Missing access token"}, 401, token=None)


def login(answer: t.Any = None, status: int = 200) -> Call:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "@alice:x.org"},
        "password": PASSWORD,
        "device_id": PROBE,
        "initial_device_display_name": "Ansible",
    }
    granted = {"user_id": "@alice:x.org", "access_token": SESSION}
    return Call("POST", LOGIN, answer or granted, status, body=body, token=None)


def logout() -> Call:
    return Call("POST", LOGOUT, body={}, token=SESSION)


@pytest.fixture
def unreachable() -> t.Iterator[str]:
    """The base URL of a server that does not run: the port is used, but no process listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class TestNew:
    def registration(self, answer: t.Any = None, status: int = 200, **more: t.Any) -> tuple[Call, Call]:
        account = NewAccount("alice", PASSWORD, True, user_type=more.get("user_type"))
        body = {
            "nonce": "n0nce",
            "username": "alice",
            "password": PASSWORD,
            "admin": True,
            "mac": registration_mac(SECRET, "n0nce", account),
            "inhibit_login": True,
            **{"displayname" if name == "display_name" else name: value for name, value in more.items()},
        }
        return (
            Call("GET", REGISTER, {"nonce": "n0nce"}),
            Call("POST", REGISTER, answer or {"user_id": "@alice:x.org"}, status, body=body),
        )

    @pytest.mark.parametrize("more", [{}, {"display_name": "Alice A."}, {"user_type": "bot", "display_name": "A"}])
    def test_is_registered_and_asked(self, server: ScriptedServer, users: UserTable, more: dict[str, t.Any]) -> None:
        server.expect(Call("GET", POLICY, {}), *self.registration(**more))
        server.expect(nobody(), login(), shown(token=SESSION), logout())
        resource = first_admin(server.base_url, users, password=PASSWORD, **more)
        result = carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1, **more))
        assert outcome(result) == ("registration", True, False, [ENROL])
        assert (result["user"]["user_id"], result["user"]["display_name"]) == ("@alice:x.org", "Alice")

    def test_is_only_predicted_at_first(self, server: ScriptedServer, users: UserTable) -> None:
        server.expect(Call("GET", POLICY, {"m.minimum_length": 7}))
        resource = first_admin(server.base_url, users, password=PASSWORD)
        plan = resource.plan()
        assert (plan.before, plan.after) == (None, {"user_id": "@alice:x.org", "admin": True})
        assert resource.result(plan, False) == {
            "user": {"user_id": "@alice:x.org", "admin": True},
            "method": "registration",
            "verified": False,
            "restart_required": False,
        }

    def test_may_join_other_admins(self, server: ScriptedServer, users: UserTable) -> None:
        # A user who knows the secret can register admins anyway.
        users.add("@root:x.org", admin=1)
        server.expect(Call("GET", POLICY, {}))
        ways = Ways(SECRET, allow_database_write=False)
        assert first_admin(server.base_url, users, password=PASSWORD, ways=ways).plan().changed

    @pytest.mark.parametrize("secret", [None, ""])
    def test_needs_a_secret(self, server: ScriptedServer, users: UserTable, secret: str | None) -> None:
        with pytest.raises(errors.InvalidInput, match="does not exist, and .* has no registration_shared_secret"):
            first_admin(server.base_url, users, password=PASSWORD, ways=Ways(secret)).plan()

    def test_needs_a_password(self, server: ScriptedServer, users: UserTable) -> None:
        with pytest.raises(errors.InvalidInput, match="@alice:x.org does not exist. Set password"):
            first_admin(server.base_url, users).plan()

    def test_needs_a_server_that_accepts_it(
        self, server: ScriptedServer, users: UserTable, asked: list[tuple[t.Any, ...]]
    ) -> None:
        server.expect(Call("GET", POLICY, {}))
        first_admin(server.base_url, users, password=PASSWORD, user_type="bot").plan()
        assert asked == [(SECRET, "bot")]

    def test_needs_a_name_that_no_application_service_owns(self, server: ScriptedServer, users: UserTable) -> None:
        bridge = Registration("b.yaml", "b", "@bot:x.org", "", users=(Namespace(True, re.compile("@al.*")),))
        permissions = Permissions(allow_appservice_users=True, services=(bridge,))
        with pytest.raises(errors.InvalidInput, match=r"cannot be created: it is in an .* service b \(b\.yaml\)"):
            first_admin(server.base_url, users, password=PASSWORD, permissions=permissions).plan()

    def test_needs_a_password_that_the_policy_allows(self, server: ScriptedServer, users: UserTable) -> None:
        server.expect(Call("GET", POLICY, {"m.minimum_length": 8}))
        with pytest.raises(errors.InvalidInput, match="It needs at least 8 characters") as caught:
            first_admin(server.base_url, users, password=PASSWORD).plan()
        assert PASSWORD not in f"{caught.value} {caught.value.details}"

    @pytest.mark.parametrize(
        ("user_id", "declared", "said"),
        [
            ("Alice", {}, "creates no account with upper-case letters. Set user_id to @alice:x.org"),
            ("Ünï", {}, "creates no account with upper-case letters. A localpart can only contain a-z"),
            ("alice", {"create": False}, "@alice:x.org does not exist, and create is false"),
            (
                "alice",
                {"user_type": "", "display_name": "A"},
                "^Only a server admin can set user_type, .* then set them with its access token.$",
            ),
            ("12", {}, "reserved for guests"),
            ("alice!", {}, "a localpart can only contain"),
            ("_alice", {}, "its name begins with _, which this server does not allow"),
            ("@alice:y.org", {}, "of the server y.org"),
            ("alice:x.org", {}, "is not a user ID"),
            ("alice", {"password": ""}, "password is empty"),
        ],
    )
    def test_is_refused_before_anything_is_sent(
        self, server: ScriptedServer, users: UserTable, user_id: str, declared: dict[str, t.Any], said: str
    ) -> None:
        with pytest.raises(errors.InvalidInput, match=said):
            types = {"user_types": {"default_user_type": "bot"}}
            first_admin(server.base_url, users, user_id, settings=types, **{"password": PASSWORD, **declared}).plan()

    @pytest.mark.parametrize(
        ("status", "errcode", "error", "said"),
        [
            (400, "M_USER_IN_USE", "User ID already taken.", "Another task has just created @alice:x.org"),
            (403, "M_UNKNOWN", "HMAC incorrect", "did not accept the registration_shared_secret"),
            (400, "M_UNKNOWN", "Invalid user type", "Invalid user type.*alice was not created"),
            (400, "M_INVALID_USERNAME", "User ID may not begin with _", "may not begin with _.*alice was not created"),
        ],
    )
    def test_says_why_it_was_not_registered(
        self, server: ScriptedServer, users: UserTable, status: int, errcode: str, error: str, said: str
    ) -> None:
        server.expect(Call("GET", POLICY, {}), *self.registration({"errcode": errcode, "error": error}, status))
        plan = first_admin(server.base_url, users, password=PASSWORD).plan()
        with pytest.raises(errors.SynapseError, match=said) as caught:
            plan.execute()
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in (SECRET, PASSWORD))

    @pytest.mark.parametrize(
        "answer", [shown(DENIED, 403, SESSION), shown({"name": "@a:x", "admin": False, "deactivated": 0}, 200, SESSION)]
    )
    def test_fails_if_synapse_does_not_treat_it_as_an_admin(
        self, server: ScriptedServer, users: UserTable, answer: Call
    ) -> None:
        server.expect(Call("GET", POLICY, {}), *self.registration(), nobody(), login(), answer, logout())
        with pytest.raises(errors.StateNotReached, match="was registered as a server admin, but Synapse does not"):
            resource = first_admin(server.base_url, users, password=PASSWORD)
            carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1))

    def test_a_session_that_stays_open_is_told_with_the_failure(self, server: ScriptedServer, users: UserTable) -> None:
        refused = dataclasses.replace(logout(), status=500, answer=FAULT)
        server.expect(Call("GET", POLICY, {}), *self.registration())
        server.expect(nobody(), login(), shown(DENIED, 403, SESSION), refused, refused)
        resource = first_admin(server.base_url, users, password=PASSWORD)
        with pytest.raises(errors.StateNotReached) as caught:
            carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1))
        assert f"The device {PROBE}" in caught.value.details["warnings"][0]

    def test_need_not_be_able_to_log_in(self, server: ScriptedServer, users: UserTable) -> None:
        refused = login({"errcode": "M_UNKNOWN", "error": "Unknown login type m.login.password"}, 400)
        server.expect(Call("GET", POLICY, {}), *self.registration(), nobody(), refused)
        resource = first_admin(server.base_url, users, password=PASSWORD)
        result = carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1))
        assert outcome(result) == ("registration", False, False, [ENROL])
        assert result["user"] == {"user_id": "@alice:x.org", "admin": True}

    def test_has_the_name_in_its_normal_form(self, server: ScriptedServer, users: UserTable) -> None:
        """Synapse strips a name that is set, but not one that is registered."""
        server.expect(Call("GET", POLICY, {}), *self.registration(display_name="Alice A."))
        server.expect(nobody(), login(), shown(token=SESSION), logout())
        resource = first_admin(server.base_url, users, password=PASSWORD, display_name=" Alice A. ")
        carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1, display_name="Alice A."))

    def test_must_be_there_as_declared_afterwards(self, server: ScriptedServer, users: UserTable) -> None:
        server.expect(Call("GET", POLICY, {}), *self.registration(display_name="Alice A."))
        resource = first_admin(server.base_url, users, password=PASSWORD, display_name="Alice A.")
        with pytest.raises(errors.StateNotReached, match="display_name is 'Alice'"):
            carry_out(resource, effect=lambda: users.add("@alice:x.org", admin=1, display_name="Alice"))

    def test_may_declare_what_a_new_account_is_like(self, server: ScriptedServer, users: UserTable) -> None:
        server.expect(Call("GET", POLICY, {}))
        resource = first_admin(
            server.base_url,
            users,
            password=PASSWORD,
            update_password="always",
            avatar_url="",
            user_type="",
            threepids=[],
            external_ids=[],
            rate_limit={},
            locked=False,
            suspended=False,
            shadow_banned=False,
        )
        assert resource.plan().changed

    def test_is_not_registered_beside_one_in_capital_letters(self, server: ScriptedServer, users: UserTable) -> None:
        users.add("@Alice:x.org")
        with pytest.raises(errors.InvalidInput, match="@Alice:x.org differs from it only in upper and lower case"):
            first_admin(server.base_url, users, password=PASSWORD).plan()

    def test_is_done_all_the_same_if_the_answer_is_lost(self, server: ScriptedServer, users: UserTable) -> None:
        nonce, enrolment = self.registration()
        server.expect(Call("GET", POLICY, {}))
        resource = first_admin(server.base_url, users, password=PASSWORD)
        plan = resource.plan()
        server.expect(nonce, dataclasses.replace(enrolment, drop=True), nobody())
        users.add("@alice:x.org", admin=1)
        with pytest.raises(errors.ConnectionFailed, match="this is done") as caught:
            _execution.carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (True, [ENROL])


class TestExisting:
    @pytest.mark.parametrize("user_id", ["@alice:x.org", "@Alice:x.org", "@o'brien;--:x.org", "@%:x.org", "@_a:x.org"])
    def test_alone_is_made_an_admin(self, server: ScriptedServer, existing: UserTable, user_id: str) -> None:
        existing.run("INSERT OR IGNORE INTO users (name) VALUES (?)", user_id)
        before = existing.content()
        resource = first_admin(server.base_url, existing, user_id)
        plan = resource.plan()
        assert (plan.before, plan.after) == (
            {"user_id": user_id, "admin": False},
            {"user_id": user_id, "admin": True},
        )
        assert existing.content() == before
        plan.execute()
        assert existing.admins() == [(user_id, 1, "integer")]
        existing.run("UPDATE users SET admin = 0")
        assert existing.content() == before

    def test_is_only_predicted_at_first(self, server: ScriptedServer, existing: UserTable) -> None:
        resource = first_admin(server.base_url, existing, password=PASSWORD, token=TOKEN)
        assert resource.result(resource.plan(), False) == {
            "user": {"user_id": "@alice:x.org", "admin": True},
            "method": "database",
            "verified": False,
            "restart_required": False,
        }
        assert existing.admins() == []

    def test_needs_neither_a_secret_nor_leave_to_create(self, server: ScriptedServer, existing: UserTable) -> None:
        assert first_admin(server.base_url, existing, create=False, ways=Ways(None)).plan().changed

    def test_may_vanish_meanwhile(self, server: ScriptedServer, existing: UserTable) -> None:
        plan = first_admin(server.base_url, existing).plan()
        existing.run("DELETE FROM users WHERE name = '@alice:x.org'")
        with pytest.raises(errors.SynapseError, match="@alice:x.org is not in the database any more. Nothing was"):
            plan.execute()
        assert existing.admins() == []

    @pytest.mark.parametrize("admin", [0, 1])
    def test_is_not_reactivated(self, server: ScriptedServer, users: UserTable, admin: int) -> None:
        users.add("@alice:x.org", admin=admin, deactivated=1)
        with pytest.raises(errors.InvalidInput, match="@alice:x.org is deactivated, and only a server admin can"):
            first_admin(server.base_url, users, password=PASSWORD).plan()

    def test_is_left_alone_where_the_database_is(self, server: ScriptedServer, existing: UserTable) -> None:
        with pytest.raises(
            errors.InvalidInput,
            match="Set allow_database_write to true to make it one in the database, or set access_token",
        ):
            first_admin(server.base_url, existing, ways=Ways(SECRET, allow_database_write=False)).plan()

    @pytest.mark.parametrize(
        ("others", "named"),
        [
            (1, "@root1:x.org"),
            (3, "@root1:x.org, @root2:x.org, @root3:x.org"),
            (5, "@root1:x.org, @root2:x.org, @root3:x.org and 2 more"),
        ],
    )
    def test_is_left_to_other_admins(
        self, server: ScriptedServer, existing: UserTable, others: int, named: str
    ) -> None:
        for number in range(others, 0, -1):
            existing.add(f"@root{number}:x.org", admin=1)
        with pytest.raises(errors.InvalidInput) as caught:
            first_admin(server.base_url, existing).plan()
        assert caught.value.message.startswith(f"This server already has server admins ({named}). To make @a")
        assert "set allow_existing_admins to true" in caught.value.message

    def test_is_made_one_allow_existing_admins(self, server: ScriptedServer, existing: UserTable) -> None:
        existing.add("@root:x.org", admin=1)
        first_admin(server.base_url, existing, ways=Ways(None, allow_existing_admins=True)).plan().execute()
        assert existing.admins() == [("@alice:x.org", 1, "integer"), ("@root:x.org", 1, "integer")]

    def test_is_not_left_to_an_admin_who_is_gone(self, server: ScriptedServer, existing: UserTable) -> None:
        existing.add("@root:x.org", admin=1, deactivated=1)
        assert first_admin(server.base_url, existing).plan().changed

    def test_is_found_where_synapse_runs(self, server: ScriptedServer, existing: UserTable) -> None:
        path = pathlib.Path(existing.path)
        settings = {"database": {"name": "sqlite3", "args": {"database": path.name}}}
        ways = Ways(None, working_directory=str(path.parent))
        first_admin(server.base_url, existing, ways=ways, settings=settings).plan().execute()
        assert existing.admins() == [("@alice:x.org", 1, "integer")]

    def test_is_changed_in_postgresql_by_a_number(
        self, server: ScriptedServer, users: UserTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # SQLite accepts a boolean as a number. Only the statement shows that it is a number.
        driver = RecordingDriver()
        monkeypatch.setitem(sys.modules, "psycopg2", driver)
        first_admin(server.base_url, users, settings={"database": {"name": "psycopg2"}}).plan().execute()
        written = [call for call in driver.executed if call[0].startswith("UPDATE")]
        assert written == [("UPDATE users SET admin = 1 WHERE name = %s", ("@alice:x.org",))]
        assert all("'" not in sql and "alice" not in sql for sql, _values in driver.executed)


class RecordingDriver(types.ModuleType):
    """In place of psycopg2, which may be missing: one account, no admins, and a record of the executed statements."""

    Error = RuntimeError
    Warning = UserWarning

    def __init__(self) -> None:
        super().__init__("psycopg2")
        self.executed: list[tuple[str, Row]] = []
        self.rowcount = 1

    def connect(self, **_arguments: t.Any) -> RecordingDriver:
        return self

    def cursor(self) -> RecordingDriver:
        return self

    def set_session(self, *, readonly: bool) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def execute(self, sql: str, values: Row) -> None:
        self.executed.append((sql, values))

    def fetchall(self) -> list[Row]:
        sql = self.executed[-1][0]
        return [(0, 0, 0, False, False, None, None, None)] if sql.startswith("SELECT admin") else []


class TestRefused:
    @pytest.mark.parametrize("table", ["users", "existing", "promoted"])
    def test_where_another_service_is_in_charge(
        self, server: ScriptedServer, table: str, request: pytest.FixtureRequest
    ) -> None:
        settings = {"matrix_authentication_service": {"enabled": True, "endpoint": "http://127.0.0.1:8080"}}
        resource = first_admin(server.base_url, request.getfixturevalue(table), password=PASSWORD, settings=settings)
        with pytest.raises(errors.InvalidInput) as caught:
            resource.plan()
        for command in ("'mas-cli manage register-user alice'", "'mas-cli manage promote-admin alice'"):
            assert command in caught.value.message

    @pytest.mark.parametrize("service", [None, {}, "text", 5, {"enabled": False, "endpoint": "http://127.0.0.1:8080"}])
    def test_not_where_that_service_is_not_enabled(
        self, server: ScriptedServer, existing: UserTable, service: t.Any
    ) -> None:
        settings = {"matrix_authentication_service": service}
        assert first_admin(server.base_url, existing, settings=settings).plan().changed

    @pytest.mark.parametrize(
        ("declared", "named"),
        [
            ({"avatar_url": "mxc://x.org/a"}, "avatar_url"),
            ({"suspended": True, "locked": True, "shadow_banned": False}, "locked, suspended"),
            ({"shadow_banned": True}, "shadow_banned"),
            ({"threepids": [EMAIL], "external_ids": [IDENTITY]}, "external_ids, threepids"),
            ({"rate_limit": {"burst_count": 1}}, "rate_limit"),
        ],
    )
    @pytest.mark.parametrize("table", ["users", "existing"])
    def test_for_what_only_an_admin_can_set(
        self,
        server: ScriptedServer,
        table: str,
        declared: dict[str, t.Any],
        named: str,
        request: pytest.FixtureRequest,
    ) -> None:
        resource = first_admin(server.base_url, request.getfixturevalue(table), password=PASSWORD, **declared)
        with pytest.raises(errors.InvalidInput, match=f"^Only a server admin can set {named}, and"):
            resource.plan()

    @pytest.mark.parametrize(
        ("declared", "named"),
        [
            ({"display_name": "A", "user_type": "bot"}, "display_name, user_type"),
            ({"password": "another", "update_password": "always"}, "a new password"),
            ({"password": "another", "update_password": "if_different", "locked": True}, "locked, a new password"),
        ],
    )
    @pytest.mark.parametrize("table", ["existing", "promoted"])
    def test_for_what_the_database_does_not_get(
        self,
        server: ScriptedServer,
        table: str,
        declared: dict[str, t.Any],
        named: str,
        request: pytest.FixtureRequest,
    ) -> None:
        users: UserTable = request.getfixturevalue(table)
        before = users.content()
        with pytest.raises(errors.InvalidInput, match=f"^Only a server admin can set {named}, and") as caught:
            first_admin(server.base_url, users, **declared).plan()
        assert "another" not in caught.value.message
        assert users.content() == before

    @pytest.mark.parametrize("table", ["existing", "promoted"])
    @pytest.mark.parametrize(
        "declared",
        [
            {"password": PASSWORD, "update_password": "always"},
            {"password": PASSWORD, "update_password": "if_different"},
            {"password": "another"},
            {"display_name": " Alice ", "avatar_url": "mxc://x.org/a", "user_type": "bot"},
            {"locked": True, "suspended": False, "shadow_banned": True},
            {"threepids": [{"medium": "email", "address": "Alice@X.org"}], "external_ids": [IDENTITY]},
            {"rate_limit": {"messages_per_second": 5}},
        ],
    )
    def test_for_nothing_that_is_as_declared(
        self, unreachable: str, table: str, declared: dict[str, t.Any], request: pytest.FixtureRequest
    ) -> None:
        users: UserTable = request.getfixturevalue(table)
        users.run("UPDATE users SET user_type = 'bot', locked = 1, shadow_banned = 1 WHERE name = '@alice:x.org'")
        users.run("INSERT INTO profiles VALUES ('@alice:x.org', 'alice', 'Alice', 'mxc://x.org/a')")
        users.run("INSERT INTO user_threepids VALUES ('@alice:x.org', 'email', 'alice@x.org')")
        users.run("INSERT INTO user_external_ids VALUES ('oidc-x', 'a', '@alice:x.org')")
        users.run("INSERT INTO ratelimit_override VALUES ('@alice:x.org', 5, NULL)")
        assert first_admin(unreachable, users, **declared).plan().changed is (table == "existing")

    def test_for_no_name_where_there_is_no_profile(self, unreachable: str, promoted: UserTable) -> None:
        assert not first_admin(unreachable, promoted, display_name="", avatar_url="").plan().changed

    @pytest.mark.parametrize("by", ["its maker", "its namespace"])
    @pytest.mark.parametrize("allowed", [False, True])
    def test_for_an_account_of_an_application_service(
        self, server: ScriptedServer, existing: UserTable, by: str, allowed: bool
    ) -> None:
        if by == "its maker":
            existing.run("UPDATE users SET appservice_id = 'bridge' WHERE name = '@alice:x.org'")
        bridge = Registration("b.yaml", "b", "@bot:x.org", "", users=(Namespace(True, re.compile("@al.*")),))
        services = (bridge,) if by == "its namespace" else ()
        permissions = Permissions(allow_appservice_users=allowed, services=services)
        resource = first_admin(server.base_url, existing, permissions=permissions)
        if allowed:
            assert resource.plan().changed
        else:
            with pytest.raises(errors.InvalidInput, match="application service.*Set allow_appservice_users to true"):
                resource.plan()


class TestModule:
    """Only `bootstrap_admin` uses other ways than the Admin API, and only without the token of an admin."""

    def parameters(self, server: ScriptedServer, **given: t.Any) -> dict[str, t.Any]:
        specs = (management_argument_spec(), account_argument_spec())
        options = {name: option for spec in specs for name, option in spec.argument_spec.items()}
        return {
            **{name: option.get("default") for name, option in options.items()},
            "registration_shared_secret": None,
            "allow_database_write": True,
            "allow_existing_admins": False,
            "base_url": server.base_url,
            "user_id": "alice",
            "bootstrap_admin": True,
            "admin": True,
            **given,
        }

    @pytest.fixture
    def config_path(self, existing: UserTable, tmp_path: pathlib.Path) -> list[str]:
        """The configuration of a server with accounts, none of which is an admin."""
        settings = {
            "server_name": "x.org",
            "database": {"name": "sqlite3", "args": {"database": existing.path}},
            "registration_shared_secret": SECRET,
        }
        path = tmp_path / "homeserver.yaml"
        # JSON is valid YAML.
        path.write_text(json.dumps(settings), encoding="utf-8")
        return [str(path)]

    @pytest.fixture
    def missing(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The default path, which does not exist."""
        paths = (str(tmp_path / "missing.yaml"), str(tmp_path / "conf.d"))
        monkeypatch.setattr(homeserver, "DEFAULT_CONFIG_PATH", paths)
        return list(paths)

    @pytest.mark.parametrize("given", [{"admin": None}, {"admin": False}, {"state": "absent"}])
    def test_bootstraps_only_an_admin(self, server: ScriptedServer, given: dict[str, t.Any]) -> None:
        with pytest.raises(errors.InvalidInput, match="set admin to true and state to present"):
            synapse_admin_user.declare(self.parameters(server, **given))

    def test_promotes_in_the_database(
        self, server: ScriptedServer, existing: UserTable, config_path: list[str]
    ) -> None:
        synapse_admin_user.declare(self.parameters(server, config_path=config_path)).plan().execute()
        assert existing.admins() == [("@alice:x.org", 1, "integer")]

    @pytest.mark.parametrize("given", [None, "another"])
    def test_registers_with_the_secret_of_the_configuration_or_its_own(
        self, server: ScriptedServer, config_path: list[str], given: str | None
    ) -> None:
        parameters = self.parameters(
            server, config_path=config_path, user_id="new", password=PASSWORD, registration_shared_secret=given
        )
        server.expect(Call("GET", POLICY, {}), Call("GET", REGISTER, {"nonce": "n0nce"}))
        mac = registration_mac(given or SECRET, "n0nce", NewAccount("new", PASSWORD, True))
        body = {"nonce": "n0nce", "username": "new", "password": PASSWORD, "admin": True, "mac": mac}
        server.expect(Call("POST", REGISTER, {}, body={**body, "inhibit_login": True}))
        synapse_admin_user.declare(parameters).plan().execute()

    @pytest.mark.parametrize(("name", "value"), [("allow_database_write", False), ("allow_existing_admins", True)])
    def test_respects_the_permissions(
        self, server: ScriptedServer, existing: UserTable, config_path: list[str], name: str, value: bool
    ) -> None:
        existing.add("@root:x.org", admin=1)
        resource = synapse_admin_user.declare(self.parameters(server, config_path=config_path, **{name: value}))
        if value:
            assert resource.plan().changed
        else:
            with pytest.raises(errors.InvalidInput, match="allow_database_write"):
                resource.plan()

    def test_never_opens_the_database_without_it(
        self,
        server: ScriptedServer,
        existing: UserTable,
        config_path: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Even if the configuration can be read and the secret is set."""
        opened: list[t.Any] = []
        monkeypatch.setattr(Database, "__enter__", opened.append)
        before = existing.content()
        parameters = self.parameters(
            server, config_path=config_path, bootstrap_admin=False, registration_shared_secret=SECRET
        )
        # For the server of the configuration, and for the plan.
        server.expect(nobody(), nobody())
        with pytest.raises(errors.AuthenticationFailed, match="set bootstrap_admin to true and run the task on the"):
            synapse_admin_user.declare(parameters).plan()
        assert (opened, existing.content()) == ([], before)

    def test_uses_the_token_of_an_admin(self, server: ScriptedServer, missing: list[str]) -> None:
        """The Admin API needs no configuration."""
        server.expect(whoami("@root:x.org"), Call("GET", "/_synapse/admin/v2/users/%40root%3Ax.org", {"admin": True}))
        resource = synapse_admin_user.declare(self.parameters(server, access_token=TOKEN, config_path=missing))
        server.expect(shown())
        plan = resource.plan()
        assert not plan.changed
        assert resource.result(plan, False)["method"] == "admin_api"

    def test_ignores_the_token_of_another_account(
        self, server: ScriptedServer, existing: UserTable, config_path: list[str]
    ) -> None:
        server.expect(whoami("@bob:x.org"), Call("GET", "/_synapse/admin/v2/users/%40bob%3Ax.org", DENIED, 403))
        parameters = self.parameters(server, access_token=TOKEN, config_path=config_path)
        synapse_admin_user.declare(parameters).plan().execute()
        assert existing.admins() == [("@alice:x.org", 1, "integer")]

    def test_needs_the_configuration(self, server: ScriptedServer, missing: list[str]) -> None:
        with pytest.raises(errors.ConfigurationError) as caught:
            synapse_admin_user.declare(self.parameters(server, config_path=missing))
        assert re.search(
            "missing.yaml does not exist.*bootstrap_admin needs the configuration of Synapse: run the task on the host",
            caught.value.message,
        )


class TestAdminAlready:
    """Nothing changes. A request of the account itself shows whether Synapse treats it as an admin."""

    def test_is_seen_with_its_own_token(self, server: ScriptedServer, promoted: UserTable) -> None:
        server.expect(whoami(), shown())
        result = carry_out(first_admin(server.base_url, promoted, token=TOKEN, password=PASSWORD))
        assert outcome(result) == (None, True, False, [])
        assert result["user"]["display_name"] == "Alice"

    @pytest.mark.parametrize(
        ("answer", "status"), [(DENIED, 403), ({"name": "@alice:x.org", "admin": False, "deactivated": False}, 200)]
    )
    def test_is_not_known_before_a_restart(
        self, server: ScriptedServer, promoted: UserTable, answer: dict[str, t.Any], status: int
    ) -> None:
        server.expect(whoami(), shown(answer, status))
        result = carry_out(first_admin(server.base_url, promoted, token=TOKEN))
        assert outcome(result) == (None, False, True, [])
        assert result["user"] == {"user_id": "@alice:x.org", "admin": True}

    @pytest.mark.parametrize("known", [True, False])
    def test_is_seen_with_its_password(self, server: ScriptedServer, promoted: UserTable, known: bool) -> None:
        answer = shown(token=SESSION) if known else shown(DENIED, 403, SESSION)
        server.expect(nobody(), login(), answer, logout())
        result = carry_out(first_admin(server.base_url, promoted, password=PASSWORD))
        assert outcome(result) == (None, known, not known, [])

    @pytest.mark.parametrize("token", [None, TOKEN])
    def test_is_never_logged_in_to_predict(
        self, server: ScriptedServer, promoted: UserTable, token: str | None
    ) -> None:
        server.expect(whoami("@bob:x.org") if token else nobody())
        resource = first_admin(server.base_url, promoted, token=token, password=PASSWORD)
        result = resource.result(resource.plan(), False)
        assert ("method" in result, result["verified"], result["restart_required"]) == (False, False, False)

    def test_is_not_written_to_when_it_is_looked_at_again(self, server: ScriptedServer, existing: UserTable) -> None:
        resource = first_admin(server.base_url, existing, token=TOKEN)
        resource.plan()
        existing.run("UPDATE users SET admin = 1 WHERE name = '@alice:x.org'")
        server.expect(whoami(), shown({"name": "@alice:x.org", "admin": False, "deactivated": False}))
        assert not resource.plan().changed

    def test_needs_no_proof_where_it_has_been_seen(self, server: ScriptedServer, promoted: UserTable) -> None:
        server.expect(whoami(), shown())
        resource = first_admin(server.base_url, promoted, token=TOKEN, password=PASSWORD)
        plan = resource.plan()
        assert plan.proof is None
        assert resource.result(plan, False)["verified"] is True

    def test_is_logged_in_on_a_device_of_its_own(
        self, server: ScriptedServer, promoted: UserTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        devices: list[str] = []

        def refuse(_client: Client, login: Login) -> t.NoReturn:
            devices.append(login.device_id)
            raise errors.UnexpectedAnswer("No")

        monkeypatch.setattr(f"{FirstAdmin.__module__}.log_in", refuse)
        for _run in range(2):
            server.expect(nobody())
            carry_out(first_admin(server.base_url, promoted, password=PASSWORD))
        assert all(re.fullmatch(r"matrix_ops\.synapse\.probe\.[0-9a-f]{16}", device) for device in devices)
        assert len(set(devices)) == 2

    def test_a_session_that_stays_open_is_a_warning(self, server: ScriptedServer, promoted: UserTable) -> None:
        refused = dataclasses.replace(logout(), status=500, answer=FAULT)
        server.expect(nobody(), login(), shown(token=SESSION), refused, refused)
        result = carry_out(first_admin(server.base_url, promoted, password=PASSWORD))
        assert outcome(result) == (None, True, False, [])
        (warning,) = result["warnings"]
        assert warning.startswith(f"The device {PROBE} of @alice:x.org may still be logged in. Remove it.")

    def test_a_login_without_an_answer_may_have_left_a_session(
        self, server: ScriptedServer, promoted: UserTable
    ) -> None:
        server.expect(nobody(), dataclasses.replace(login(), drop=True))
        result = carry_out(first_admin(server.base_url, promoted, password=PASSWORD))
        assert outcome(result) == (None, False, False, [])
        assert f"The device {PROBE}" in result["warnings"][0]

    def test_may_have_another_password(self, server: ScriptedServer, promoted: UserTable) -> None:
        refusal = {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}
        server.expect(nobody(), login(refusal, 403))
        result = carry_out(first_admin(server.base_url, promoted, password=PASSWORD))
        assert outcome(result) == (None, False, False, [])

    def test_is_not_asked_with_the_token_of_another(self, server: ScriptedServer, promoted: UserTable) -> None:
        server.expect(whoami("@bob:x.org"))
        assert outcome(carry_out(first_admin(server.base_url, promoted, token=TOKEN))) == (None, False, False, [])

    def test_is_not_asked_with_a_token_that_is_not_valid(self, server: ScriptedServer, promoted: UserTable) -> None:
        unknown = {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}
        server.expect(Call("GET", WHOAMI, unknown, 401, token=TOKEN))
        assert outcome(carry_out(first_admin(server.base_url, promoted, token=TOKEN))) == (None, False, False, [])

    @pytest.mark.parametrize("password", [None, PASSWORD])
    def test_is_left_alone_while_the_server_does_not_run(
        self, unreachable: str, promoted: UserTable, password: str | None
    ) -> None:
        result = carry_out(first_admin(unreachable, promoted, token=TOKEN, password=password))
        assert outcome(result) == (None, False, False, [])

    def test_needs_no_leave_to_write(self, server: ScriptedServer, promoted: UserTable) -> None:
        promoted.add("@root:x.org", admin=1)
        server.expect(nobody())
        resource = first_admin(server.base_url, promoted, ways=Ways(None, allow_database_write=False))
        assert outcome(carry_out(resource)) == (None, False, False, [])


class TestInForce:
    """The result after a change of the database."""

    REMEMBERED: t.ClassVar[dict[str, t.Any]] = {"name": "@alice:x.org", "admin": False, "deactivated": False}

    def result(self, base_url: str, existing: UserTable, **options: t.Any) -> dict[str, t.Any]:
        result = carry_out(first_admin(base_url, existing, **options))
        assert existing.admins() == [("@alice:x.org", 1, "integer")]
        assert (result["method"], result["steps"]) == ("database", [PROMOTE])
        assert result["user"]["admin"] is True
        # A verified change needs no restart, and the other way round.
        assert result["verified"] is not result["restart_required"]
        return result

    def test_with_its_own_token(self, server: ScriptedServer, existing: UserTable) -> None:
        server.expect(whoami(), shown())
        result = self.result(server.base_url, existing, token=TOKEN, password=PASSWORD)
        assert result["verified"] is True
        assert result["user"]["display_name"] == "Alice"

    def test_not_before_a_restart(self, server: ScriptedServer, existing: UserTable) -> None:
        server.expect(whoami(), shown(DENIED, 403))
        result = self.result(server.base_url, existing, token=TOKEN)
        assert result["restart_required"] is True
        assert result["user"] == {"user_id": "@alice:x.org", "admin": True}

    def test_once_synapse_is_told_what_it_remembers_wrongly(self, server: ScriptedServer, existing: UserTable) -> None:
        told = Call("PUT", ALICE, {}, body={"admin": True}, token=TOKEN)
        server.expect(whoami(), shown(self.REMEMBERED), told, shown())
        assert self.result(server.base_url, existing, token=TOKEN)["verified"] is True

    @pytest.mark.parametrize("listens", [True, False])
    def test_not_if_synapse_does_not_listen(self, server: ScriptedServer, existing: UserTable, listens: bool) -> None:
        told = Call("PUT", ALICE, {} if listens else DENIED, 200 if listens else 403, token=TOKEN)
        server.expect(whoami(), shown(self.REMEMBERED), told, *([shown(self.REMEMBERED)] if listens else []))
        assert self.result(server.base_url, existing, token=TOKEN)["restart_required"] is True

    @pytest.mark.parametrize("known", [True, False])
    def test_with_its_password(self, server: ScriptedServer, existing: UserTable, known: bool) -> None:
        answer = shown(token=SESSION) if known else shown(DENIED, 403, SESSION)
        server.expect(nobody(), login(), answer, logout())
        assert self.result(server.base_url, existing, password=PASSWORD)["verified"] is known

    def test_with_its_password_where_the_token_is_another_ones(
        self, server: ScriptedServer, existing: UserTable
    ) -> None:
        server.expect(whoami("@bob:x.org"), login(), shown(token=SESSION), logout())
        assert self.result(server.base_url, existing, token=TOKEN, password=PASSWORD)["verified"] is True

    @pytest.mark.parametrize(
        ("status", "errcode"), [(403, "M_FORBIDDEN"), (400, "M_UNKNOWN"), (404, "M_UNRECOGNIZED"), (500, "M_UNKNOWN")]
    )
    def test_perhaps_if_the_login_is_refused(
        self, server: ScriptedServer, existing: UserTable, status: int, errcode: str
    ) -> None:
        server.expect(nobody(), login({"errcode": errcode, "error": "No"}, status))
        assert self.result(server.base_url, existing, password=PASSWORD)["restart_required"] is True

    def test_perhaps_if_nobody_can_ask(self, server: ScriptedServer, existing: UserTable) -> None:
        server.expect(nobody())
        assert self.result(server.base_url, existing)["restart_required"] is True

    @pytest.mark.parametrize("token", [None, TOKEN])
    def test_perhaps_if_the_server_does_not_run(self, unreachable: str, existing: UserTable, token: str | None) -> None:
        result = self.result(unreachable, existing, token=token, password=PASSWORD)
        assert result["restart_required"] is True

    def test_perhaps_after_a_fault_which_leaves_no_session_behind(
        self, server: ScriptedServer, existing: UserTable
    ) -> None:
        server.expect(nobody(), login(), shown(FAULT, 500, SESSION), logout())
        assert self.result(server.base_url, existing, password=PASSWORD)["restart_required"] is True

    @pytest.mark.parametrize("token", [None, TOKEN])
    def test_perhaps_if_a_proxy_answers_in_its_place(
        self, server: ScriptedServer, existing: UserTable, token: str | None
    ) -> None:
        page = b"<html>502 Bad Gateway</html>"
        server.always(
            *(Call(method, path, status=502, text=page) for method, path in (("GET", WHOAMI), ("POST", LOGIN)))
        )
        result = self.result(server.base_url, existing, token=token, password=PASSWORD)
        assert (result["verified"], result["restart_required"]) == (False, True)
        assert existing.admins()
