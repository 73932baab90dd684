# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many accounts: only differences are written, and the failure of one does not stop the others."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import account_list
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account_list import AccountList
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.entry import Scope
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
    Namespace,
    Registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

LIST = "/_synapse/admin/v3/users"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
AVAILABLE = Call("GET", "/_synapse/admin/v1/username_available", {"available": True})
NO_MAS = Call("GET", "/_matrix/client/v1/auth_metadata", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
FAULT = {"errcode": "M_UNKNOWN", "error": "Internal server error"}


def row(localpart: str, **more: t.Any) -> dict[str, t.Any]:
    found = {"name": f"@{localpart}:x.org", "admin": False, "deactivated": False, "displayname": localpart}
    return {**found, "locked": False, "shadow_banned": False, "erased": False, **more}


ADMIN = row("admin", admin=True)


def listing(*rows: dict[str, t.Any], **more: t.Any) -> Call:
    return Call(
        "GET",
        LIST,
        {"users": [ADMIN, *rows], "total": 1 + len(rows)},
        query={"limit": "1000", "locked": "true", **more},
    )


def path(localpart: str) -> str:
    return "/_synapse/admin/v2/users/" + urllib.parse.quote(f"@{localpart}:x.org", safe="")


def account(localpart: str, **more: t.Any) -> Call:
    return Call("GET", path(localpart), {**row(localpart), "threepids": [], "external_ids": [], **more})


def missing(localpart: str) -> Call:
    return Call("GET", path(localpart), {"errcode": "M_NOT_FOUND", "error": "User not found"}, 404)


def put(localpart: str, body: t.Any, answer: t.Any = None, status: int = 200) -> Call:
    return Call("PUT", path(localpart), answer or {}, status, body=body)


def accounts(
    server: ScriptedServer,
    *declared: tuple[str, dict[str, t.Any]],
    permissions: Permissions | None = None,
    timeout: float = 30,
    **scope: t.Any,
) -> AccountList:
    server.always(WHOAMI, NO_MAS, AVAILABLE)
    # One at a time, so that the order of the requests is known.
    scope = {"parallel": 1, **scope}
    source = Accounts(Client(server.base_url, "token", timeout=timeout), permissions)
    return AccountList(source, [(name, DeclaredAccount(**given)) for name, given in declared], Scope(**scope))


def outcome(users: t.Sequence[dict[str, t.Any]]) -> str:
    """Return the result of each account as one word."""
    words = ["failed" if user["failed"] else "changed" if user["changed"] else "kept" for user in users]
    return " ".join(words)


def test_only_differences_are_written_and_read_again(server: ScriptedServer) -> None:
    before = [row("alice"), row("bob"), row("carol", locked=True), row("gone", deactivated=True)]
    server.expect(listing(*before), account("bob"))
    resource = accounts(
        server,
        ("alice", {"display_name": "alice", "admin": False}),
        ("@bob:x.org", {"display_name": "Bob"}),
        ("carol", {"locked": True}),
        ("gone", {"present": False}),
        ("nobody", {"present": False}),
    )
    plan = resource.plan()
    assert (
        list(t.cast("dict[str, t.Any]", plan.before)) == list(t.cast("dict[str, t.Any]", plan.after)) == ["@bob:x.org"]
    )
    assert [step.description for step in plan.steps] == ["change 1 account"]
    server.expect(put("bob", {"displayname": "Bob"}))
    plan.execute()
    server.expect(listing(*before[:1], row("bob", displayname="Bob"), *before[2:]))
    resource.verify(plan)
    result = resource.result(plan, True)
    users = result["users"]
    assert outcome(users) == "kept changed kept kept kept"
    assert result["summary"] == {"total": 5, "changed": 1, "failed": 0}
    assert users[0] == {"user_id": "@alice:x.org", "changed": False, "failed": False}
    assert users[1]["steps"] == ["set display_name"]


def test_nothing_is_requested_for_an_account_that_the_list_shows_as_declared(server: ScriptedServer) -> None:
    server.expect(listing(row("alice")))
    assert not accounts(server, ("alice", {"display_name": "alice", "password": "p"})).plan().changed


def test_details_are_read_if_the_list_does_not_show_them(server: ScriptedServer) -> None:
    server.expect(listing(row("alice"), row("bob")), account("alice", suspended=True))
    declared = [("alice", {"suspended": True}), ("bob", {"locked": False})]
    assert not accounts(server, *declared).plan().changed


def test_each_account_is_reported(server: ScriptedServer, reports: list[tuple[t.Any, ...]]) -> None:
    server.expect(listing(row("alice"), row("bob")), account("alice"), account("bob"))
    plan = accounts(server, ("alice", {"display_name": "A"}), ("bob", {"present": False})).plan()
    assert reports[:3] == [(Work.ACCOUNTS_READ, number) for number in (1, 2, 3)]
    assert reports[-2:] == [(Work.ACCOUNTS_COMPARED, 1, 2), (Work.ACCOUNTS_COMPARED, 2, 2)]
    server.expect(put("alice", {"displayname": "A"}), Call("POST", "/_synapse/admin/v1/deactivate/%40bob%3Ax.org"))
    plan.execute()
    assert reports[-2:] == [(Work.ACCOUNTS_CHANGED, 1, 1), (Work.ACCOUNTS_DEACTIVATED, 1, 1)]


def test_all_pages_are_read(server: ScriptedServer) -> None:
    server.expect(Call("GET", LIST, {"users": [ADMIN], "next_token": "1000", "total": 2}))
    server.expect(
        Call(
            "GET", LIST, {"users": [row("zoe")], "total": 2}, query={"limit": "1000", "locked": "true", "from": "1000"}
        )
    )
    assert not accounts(server, ("zoe", {"display_name": "zoe"})).plan().changed


def test_no_guests_are_listed_with_the_authentication_service(server: ScriptedServer) -> None:
    refused = {"errcode": "M_INVALID_PARAM", "error": "The guests parameter is not supported"}
    server.expect(Call("GET", LIST, refused, 400))
    server.expect(Call("GET", "/_matrix/client/v1/auth_metadata", {"issuer": "https://x.org/"}))
    server.expect(listing(row("alice"), guests="false"))
    assert not accounts(server, ("alice", {"display_name": "alice"})).plan().changed


class TestProblems:
    def test_of_one_do_not_stop_the_others(self, server: ScriptedServer) -> None:
        server.expect(listing(row("bob")), account("bob"))
        resource = accounts(
            server,
            ("UPPER", {}),
            ("@far:y.org", {}),
            ("new", {"display_name": "New"}),
            ("bob", {"display_name": "Bob"}),
            ("empty", {"password": ""}),
        )
        plan = resource.plan()
        server.expect(put("new", {"displayname": "New"}, FAULT, 500))
        server.expect(put("bob", {"displayname": "Bob"}))
        plan.execute()
        server.expect(missing("new"), listing(row("bob", displayname="Bob")))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        users = caught.value.details["users"]
        assert outcome(users) == "failed failed failed changed failed"
        assert "Set user_id to @upper:x.org" in users[0]["msg"]
        assert "this is not done: create the account." in users[2]["msg"]
        assert caught.value.message.startswith("4 of 5 accounts are not as declared (@UPPER:x.org: ")
        assert caught.value.message.endswith(
            "This does not affect the others. Fix these accounts and run the task again."
        )
        assert caught.value.details["changed"] is True
        assert caught.value.details["summary"] == {"total": 5, "changed": 1, "failed": 4}

    @pytest.mark.parametrize(
        ("owner", "said"),
        [
            ({"external_ids": []}, "run the task again afterwards."),
            ({"external_ids": [], "password": ""}, "before you add it to @bob:x.org."),
            ({"display_name": "A"}, "before you add it to @bob:x.org."),
            ({"present": False}, "before you add it to @bob:x.org."),
        ],
        ids=["given up", "not given up, because that fails", "kept", "deactivated"],
    )
    def test_say_when_an_external_id_of_another_account_is_free(
        self, server: ScriptedServer, owner: dict[str, t.Any], said: str
    ) -> None:
        identity = {"auth_provider": "saml", "external_id": "p"}
        details = {"external_ids": [identity]}
        of_alice = () if "password" in owner else (account("alice", **details),)
        server.expect(listing(row("alice"), row("bob")), *of_alice, account("bob"))
        server.expect(Call("GET", "/_synapse/admin/v1/auth_providers/saml/users/p", {"user_id": "@alice:x.org"}))
        assert self.told(accounts(server, ("alice", owner), ("bob", details)))["@bob:x.org"].endswith(said)

    @pytest.mark.parametrize(
        ("owner", "said"),
        [
            ({"threepids": []}, "run the task again afterwards."),
            ({"present": False}, "deactivate it in an earlier task."),
        ],
        ids=["given up", "deactivated"],
    )
    def test_say_when_an_address_of_another_account_is_free(
        self, server: ScriptedServer, owner: dict[str, t.Any], said: str
    ) -> None:
        details = {"threepids": [{"medium": "email", "address": "a@x.org"}]}
        server.expect(listing(row("alice"), row("bob")), account("alice", **details), account("bob"))
        server.expect(Call("GET", "/_synapse/admin/v1/threepid/email/users/a%40x.org", {"user_id": "@alice:x.org"}))
        assert self.told(accounts(server, ("alice", owner), ("bob", details)))["@bob:x.org"].endswith(said)

    def told(self, resource: AccountList) -> dict[str, str]:
        plan = resource.plan()
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, False)
        assert "Fix these accounts and run the task again." in caught.value.message
        return {user["user_id"]: user.get("msg", "") for user in caught.value.details["users"]}

    def test_are_named_up_to_ten(self, server: ScriptedServer) -> None:
        server.expect(listing())
        resource = accounts(server, *((f"UPPER{number}", {}) for number in range(12)))
        plan = resource.plan()
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, False)
        assert caught.value.message.count("The account @UPPER") == 10
        assert "The others are" not in caught.value.message
        assert "; and 2 more" in caught.value.message
        assert len(caught.value.details["users"]) == 12

    def run(self, server: ScriptedServer, resource: AccountList, *after: Call) -> tuple[list[dict[str, t.Any]], bool]:
        """Carry the plan out, which fails, and return the users and whether something has changed."""
        plan = resource.plan()
        server.expect(*after)
        plan.execute()
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        return caught.value.details["users"], caught.value.details["changed"]

    def three(self, server: ScriptedServer, **given: t.Any) -> AccountList:
        server.expect(listing(row("a"), row("b"), row("c")), account("a"), account("b"), account("c"))
        declared = [(name, {"display_name": name.upper(), **given}) for name in "abc"]
        return accounts(server, *declared, timeout=0.2)

    @pytest.mark.parametrize(
        ("fault", "there", "said"),
        [
            ({"silent": True}, False, "this is not done: set display_name"),
            ({"silent": True}, True, "this is done: set display_name"),
            ({"drop": True}, True, "this is done: set display_name"),
            ({"text": b"<html>", "status": 502}, False, "this is not done: set display_name"),
        ],
        ids=["slow", "slow but done", "cut but done", "page of a proxy"],
    )
    def test_a_lost_answer_is_not_the_end(
        self,
        server: ScriptedServer,
        monkeypatch: pytest.MonkeyPatch,
        fault: dict[str, t.Any],
        there: bool,
        said: str,
    ) -> None:
        monkeypatch.setattr(_execution, "PATIENCE", 0.1)
        resource = self.three(server)
        server.always(account("b", **({"displayname": "B"} if there else {})))
        users, changed = self.run(
            server,
            resource,
            put("a", {"displayname": "A"}),
            Call("PUT", path("b"), **fault),
            put("c", {"displayname": "C"}),
            listing(row("a", displayname="A"), row("b"), row("c", displayname="C")),
        )
        assert outcome(users) == "changed failed changed"
        assert said in users[1]["msg"]
        assert users[1]["changed"] is there
        assert changed

    def test_a_slow_answer_is_waited_for_once_more(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_execution, "PATIENCE", 5)
        monkeypatch.setattr(account_list, "PAUSE", 0.01)
        resource = self.three(server)
        users, _changed = self.run(
            server,
            resource,
            put("a", {"displayname": "A"}),
            Call("PUT", path("b"), silent=True),
            put("c", {"displayname": "C"}),
            *[account("b")] * 3,
            account("b", displayname="B"),
            listing(row("a", displayname="A"), row("b", displayname="B"), row("c", displayname="C")),
        )
        assert "this is done" in users[1]["msg"]

    def test_a_password_is_not_seen(self, server: ScriptedServer) -> None:
        server.expect(listing(row("a")), account("a"))
        server.always(Call("GET", "/_matrix/client/v3/password_policy", {}))
        server.always(Call("GET", "/_matrix/client/v3/login", {"flows": [{"type": "m.login.password"}]}))
        resource = accounts(server, ("a", {"password": "p", "update_password": "always"}))
        users, changed = self.run(server, resource, Call("PUT", path("a"), drop=True), account("a"))
        assert "it is unknown whether this is done: set the password" in users[0]["msg"]
        assert changed
        assert users[0]["changed"]

    def failing(
        self,
        server: ScriptedServer,
        monkeypatch: pytest.MonkeyPatch,
        names: str,
        faults: dict[str, errors.SynapseError],
    ) -> list[dict[str, t.Any]]:
        """Change the accounts `names`, of which some fail with `faults`, and return the users."""
        server.expect(listing(*(row(name) for name in names)))
        server.always(*(account(name) for name in names), *(put(name, {"displayname": name.upper()}) for name in names))
        resource = accounts(server, *((name, {"display_name": name.upper(), "suspended": False}) for name in names))
        plan = resource.plan()
        write = Accounts.write

        def failing(this: Accounts, user_id: t.Any, *given: t.Any) -> list[str]:
            if user_id.localpart in faults:
                raise faults[user_id.localpart]
            return write(this, user_id, *given)

        monkeypatch.setattr(Accounts, "write", failing)
        plan.execute()
        done = [name for name in names if name not in faults]
        server.always(*(account(name, displayname=name.upper()) for name in done))
        server.expect(listing())
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        return t.cast("list[dict[str, t.Any]]", caught.value.details["users"])

    def test_a_refused_connection_skips_the_others(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused = errors.ConnectionFailed("Refused.", sent=False)
        users = self.failing(server, monkeypatch, "abc", {"b": refused})
        # The changes before that are verified all the same.
        assert outcome(users) == "changed failed failed"
        assert users[1]["msg"] == "Refused."
        assert "It was skipped, because Synapse does not respond any more." in users[2]["msg"]

    def test_lost_answers_with_others_between_them_skip_nothing(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults: dict[str, errors.SynapseError] = {name: errors.ConnectionFailed("Lost.") for name in "bdf"}
        users = self.failing(server, monkeypatch, "abcdefg", faults)
        assert outcome(users) == "changed failed changed failed changed failed changed"

    def test_lost_answers_in_a_row_skip_the_others(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults: dict[str, errors.SynapseError] = {name: errors.ConnectionFailed("Lost.") for name in "bcd"}
        users = self.failing(server, monkeypatch, "abcde", faults)
        assert outcome(users) == "changed failed failed failed failed"
        assert "skipped" in users[4]["msg"]

    def test_a_refusal_is_ignored_if_the_account_is_as_declared(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.expect(listing(row("a")), account("a"))
        resource = accounts(server, ("a", {"display_name": "A"}))
        plan = resource.plan()
        conflict = {"errcode": "M_UNKNOWN", "error": "Conflict"}
        server.expect(put("a", {"displayname": "A"}, conflict, 409), account("a", displayname="A"))
        plan.execute()
        resource.verify(plan)
        assert resource.result(plan, True)["users"] == [{"user_id": "@a:x.org", "changed": False, "failed": False}]

    def test_a_list_that_cannot_be_read_again_loses_no_result(self, server: ScriptedServer) -> None:
        server.expect(listing(row("a")), account("a"))
        resource = accounts(server, ("a", {"display_name": "A"}), ("UPPER", {}))
        users, changed = self.run(server, resource, put("a", {"displayname": "A"}), Call("GET", LIST, FAULT, 500))
        assert "It was changed, but it could not be read again" in users[0]["msg"]
        assert users[0]["steps"] == ["set display_name"]
        assert changed

    def test_an_account_that_another_task_has_just_created_is_no_error(self, server: ScriptedServer) -> None:
        taken = {"errcode": "M_USER_IN_USE", "error": "User ID already taken."}
        server.expect(listing())
        resource = accounts(server, ("new", {"display_name": "New"}))
        plan = resource.plan()
        server.expect(put("new", {"displayname": "New"}, taken, 400), account("new", displayname="New"))
        plan.execute()
        resource.verify(plan)
        assert resource.result(plan, True)["users"] == [{"user_id": "@new:x.org", "changed": False, "failed": False}]

    def test_name_that_differs_only_in_case_is_refused_before(self, server: ScriptedServer) -> None:
        server.expect(listing(row("Dave")))
        resource = accounts(server, ("dave", {}))
        plan = resource.plan()
        assert not plan.changed
        with pytest.raises(errors.SynapseError, match="its name is already used by @Dave:x.org"):
            resource.result(plan, False)

    def test_check_mode_requests_what_the_run_learns_from_its_changes(self, server: ScriptedServer) -> None:
        reserved = {"errcode": "M_EXCLUSIVE", "error": "This user ID is reserved."}
        server.expect(listing(row("bob")), account("bob"))
        declared: list[tuple[str, t.Any]] = [("puppet", {}), ("new", {}), ("bob", {"present": False})]
        plan = accounts(server, *declared).plan()
        assert len(t.cast("dict[str, t.Any]", plan.after)) == 3
        resource = accounts(server, *declared)
        server.expect(listing(row("bob")), account("bob"))
        plan = resource.plan()
        assert plan.forecast
        server.expect(Call("GET", AVAILABLE.path, reserved, 400, query={"username": "puppet"}))
        plan = plan.forecast()
        assert list(t.cast("dict[str, t.Any]", plan.after)) == ["@new:x.org"]
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, False)
        told = caught.value.details["users"][0]["msg"]
        # The message of the run is the same.
        refused = Call("PUT", path("puppet"), reserved, 400)
        server.expect(listing(), refused)
        resource = accounts(server, ("puppet", {}))
        plan = resource.plan()
        plan.execute()
        server.expect(missing("puppet"))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        assert caught.value.details["users"][0]["msg"] == told

    @pytest.mark.parametrize("steal", [False, True])
    @pytest.mark.parametrize(
        ("one", "other", "said"),
        [
            (
                {"medium": "email", "address": "A.B@X.org "},
                {"medium": "email", "address": "a.b@x.ORG"},
                "e-mail address a.b@x.org",
            ),
            (
                {"medium": "msisdn", "address": "+44 20 7946"},
                {"medium": "msisdn", "address": "44207946"},
                "telephone number 44207946",
            ),
        ],
        ids=["email", "msisdn"],
    )
    def test_threepid_of_two_accounts_is_refused_for_both(
        self, server: ScriptedServer, steal: bool, one: dict[str, str], other: dict[str, str], said: str
    ) -> None:
        server.expect(listing())
        resource = accounts(
            server,
            ("a", {"threepids": [one]}),
            ("b", {"threepids": [other]}),
            ("c", {}),
            ("d", {"threepids": [one], "present": False}),
            permissions=Permissions(allow_threepid_takeover=steal),
        )
        plan = resource.plan()
        assert list(t.cast("dict[str, t.Any]", plan.after)) == ["@c:x.org"]
        with pytest.raises(errors.SynapseError, match=f"The {said} is also declared for @b:x.org"):
            resource.result(plan, False)

    def test_external_id_of_two_accounts_is_refused_for_both(self, server: ScriptedServer) -> None:
        server.expect(listing())
        identity = {"auth_provider": "oidc", "external_id": "7"}
        other = {**identity, "auth_provider": "saml"}
        server.always(Call("GET", "/_synapse/admin/v1/auth_providers/saml/users/7", {"errcode": "M_NOT_FOUND"}, 404))
        resource = accounts(
            server,
            ("a", {"external_ids": [identity]}),
            ("b", {"external_ids": [identity]}),
            ("c", {"external_ids": [other]}),
        )
        plan = resource.plan()
        assert list(t.cast("dict[str, t.Any]", plan.after)) == ["@c:x.org"]
        with pytest.raises(errors.SynapseError, match="The external ID 7 at oidc is also declared for @a:x.org"):
            resource.result(plan, False)

    def test_a_change_that_was_not_kept_is_seen(self, server: ScriptedServer) -> None:
        server.expect(listing(row("a")), account("a"))
        resource = accounts(server, ("a", {"display_name": "A"}))
        plan = resource.plan()
        server.expect(put("a", {"displayname": "A"}))
        plan.execute()
        server.expect(listing(row("a")))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError, match="It is not as declared, although Synapse accepted every change"):
            resource.result(plan, True)

    def test_a_wait_that_synapse_asks_for_is_kept(self, server: ScriptedServer) -> None:
        slow = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 1500}
        waits: list[float] = []
        server.expect(listing(row("a")), account("a"))
        server.always(WHOAMI, NO_MAS)
        source = Accounts(Client(server.base_url, "token", sleep=waits.append))
        plan = AccountList(source, [("a", DeclaredAccount(display_name="A"))], Scope(parallel=1)).plan()
        server.expect(put("a", {"displayname": "A"}, slow, 429), put("a", {"displayname": "A"}))
        plan.execute()
        assert waits == [1.5]

    def test_two_entries_for_one_account(self, server: ScriptedServer) -> None:
        server.expect(listing())
        with pytest.raises(errors.InvalidInput, match="@alice:x.org is declared twice. Nothing was changed."):
            accounts(server, ("alice", {}), ("@alice:x.org", {})).plan()

    @pytest.mark.parametrize("parallel", [0, -1, 65])
    def test_too_few_or_too_many_at_a_time(self, server: ScriptedServer, parallel: int) -> None:
        with pytest.raises(errors.InvalidInput, match=f"parallel is {parallel}. Set it to a number from 1 to 64"):
            accounts(server, parallel=parallel).plan()


class TestExclusive:
    ALL = (row("alice"), row("bob"), row("gone", deactivated=True), row("bot-1"), row("puppet"), row("support"))

    def test_deactivates_no_protected_account(self, server: ScriptedServer) -> None:
        server.expect(listing(*self.ALL), account("bob"), account("puppet", appservice_id="bridge"))
        server.expect(account("bob"))
        resource = accounts(server, ("alice", {}), exclusive=True, protect=["bot-*", "@support:x.org"], max_changes=1)
        plan = resource.plan()
        assert list(t.cast("dict[str, t.Any]", plan.after)) == ["@bob:x.org"]
        body = {"erase": False}
        server.expect(Call("POST", "/_synapse/admin/v1/deactivate/%40bob%3Ax.org", {}, body=body))
        plan.execute()
        server.expect(listing(row("alice"), row("bob", deactivated=True)))
        resource.verify(plan)
        users = resource.result(plan, True)["users"]
        assert [user["user_id"] for user in users] == ["@alice:x.org", "@bob:x.org"]

    def test_knows_namespaces_of_application_services(self, server: ScriptedServer) -> None:
        server.expect(listing(row("puppet")), account("puppet"))
        service = Registration("b.yaml", "b", "@bot:x.org", "", users=(Namespace(True, re.compile("@pup.*")),))
        permissions = Permissions(services=(service,))
        assert not accounts(server, exclusive=True, max_changes=0, permissions=permissions).plan().changed

    @pytest.mark.parametrize(("most", "refused"), [(0, True), (1, True), (2, False), (None, False)])
    def test_is_stopped_before_the_first_write(self, server: ScriptedServer, most: int | None, refused: bool) -> None:
        server.expect(listing(row("a"), row("b")), account("a"), account("b"), account("a"))
        server.expect(account("b"))
        resource = accounts(server, exclusive=True, max_changes=most)
        if refused:
            with pytest.raises(
                errors.InvalidInput, match=f"2 accounts would change, but max_changes is {most}. Nothing was changed"
            ):
                resource.plan()
        else:
            assert resource.plan().changed

    @pytest.mark.parametrize(
        "wrong",
        [
            ("Alice", {}),
            ("@carol:x.ogr", {}),
            ("bob ", {}),
            ("bob", {"password": ""}),
            ("dave", {"create": False}),
            ("bob", {"display_name": "x" * 300}),
        ],
        ids=["capital", "other server", "white space", "password", "not to be created", "too long"],
    )
    def test_deactivates_no_account_while_an_entry_is_wrong(
        self, server: ScriptedServer, wrong: tuple[str, dict[str, t.Any]]
    ) -> None:
        server.expect(listing(row("alice"), row("bob"), row("carol"), row("erin")), account("erin"))
        resource = accounts(server, wrong, ("erin", {"display_name": "E"}), exclusive=True, max_changes=9)
        plan = resource.plan()
        assert list(t.cast("dict[str, t.Any]", plan.after)) == ["@erin:x.org"]
        with pytest.raises(errors.SynapseError, match="No account was deactivated for not being declared") as caught:
            resource.result(plan, False)
        assert [user["user_id"] for user in caught.value.details["users"]][1:] == ["@erin:x.org"]

    @pytest.mark.parametrize("declared", [True, False])
    def test_deactivates_no_account_where_synapse_refuses_something_else(
        self, server: ScriptedServer, declared: bool
    ) -> None:
        """Deactivations come last, and only if all other changes succeeded."""
        absent = [("bob", {"present": False})] if declared else []
        server.expect(listing(row("bob")), account("bob"), *([] if declared else [account("bob")]))
        resource = accounts(
            server, *absent, ("alice", {"display_name": "Alice"}), exclusive=not declared, max_changes=9
        )
        plan = resource.plan()
        assert len(t.cast("dict[str, t.Any]", plan.after)) == 2
        refused = {"errcode": "M_FORBIDDEN", "error": "Not on this server"}
        server.expect(put("alice", {"displayname": "Alice"}, refused, 403))
        plan.execute()
        server.expect(missing("alice"))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError, match="Not on this server") as caught:
            resource.result(plan, True)
        assert outcome(caught.value.details["users"]) == "failed failed"
        assert caught.value.details["changed"] is False

    def test_deactivates_no_account_where_one_of_them_cannot_be_read(self, server: ScriptedServer) -> None:
        server.expect(listing(row("bob"), row("carol")), account("bob"), Call("GET", path("carol"), FAULT, 500))
        server.expect(account("bob"))
        resource = accounts(server, exclusive=True, max_changes=9)
        plan = resource.plan()
        assert not plan.changed
        with pytest.raises(errors.SynapseError, match="No account was deactivated"):
            resource.result(plan, False)

    def test_deactivates_no_absent_account_next_to_a_wrong_entry(self, server: ScriptedServer) -> None:
        server.expect(listing(row("alice"), row("bob")), account("bob"))
        resource = accounts(server, ("Alice", {}), ("bob", {"present": False}))
        plan = resource.plan()
        assert not plan.changed
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, False)
        assert (
            "It was not deactivated, because another account of the list failed"
            in caught.value.details["users"][1]["msg"]
        )

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("Bob", "matches no account, but @bob:x.org if upper and lower case are ignored"),
            ("B*", "matches no account, but @bob:x.org if upper and lower case are ignored"),
            ("@bob:x.ogr", "is not for this server, x.org"),
            ("@bob*:y.org", "is not for this server, x.org"),
            ("bob:x.org", "is not an account of this server"),
            ("bob ", "is not an account of this server"),
        ],
    )
    def test_deactivates_no_account_where_a_protector_is_misspelt(
        self, server: ScriptedServer, pattern: str, said: str
    ) -> None:
        server.expect(listing(row("bob"), row("carol")))
        resource = accounts(server, exclusive=True, protect=["bot-*", pattern])
        with pytest.raises(errors.InvalidInput, match=f"protect contains '{re.escape(pattern)}', which {said}"):
            resource.plan()

    def test_checks_no_pattern_if_nothing_is_to_be_deactivated(self, server: ScriptedServer) -> None:
        server.expect(listing(row("alice")))
        assert not accounts(server, ("alice", {}), exclusive=True, protect=["nobody"]).plan().changed


def test_no_more_than_declared_run_at_the_same_time(server: ScriptedServer) -> None:
    names = [f"user{number}" for number in range(40)]
    server.expect(listing())
    server.always(*(put(name, {"displayname": "X"}) for name in names))
    resource = accounts(server, *((name, {"display_name": "X"}) for name in names), parallel=8)
    plan = resource.plan()
    plan.execute()
    server.expect(listing(*(row(name, displayname="X") for name in names)))
    resource.verify(plan)
    assert outcome(resource.result(plan, True)["users"]) == " ".join(["changed"] * 40)
