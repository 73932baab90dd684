# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many accounts: only differences are written, and what goes wrong with one is not the others' fault."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account_list import AccountList, Scope
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

LIST = "/_synapse/admin/v3/users"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
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


def put(localpart: str, body: t.Any, answer: t.Any = None, status: int = 200) -> Call:
    return Call("PUT", path(localpart), answer or {}, status, body=body)


def accounts(
    server: ScriptedServer,
    *declared: tuple[str, dict[str, t.Any]],
    permissions: Permissions | None = None,
    **scope: t.Any,
) -> AccountList:
    server.always(WHOAMI, NO_MAS)
    # One at a time, so that the order of the requests is known.
    scope = {"parallel": 1, **scope}
    source = Accounts(Client(server.base_url, "token"), permissions)
    return AccountList(source, [(name, DeclaredAccount(**given)) for name, given in declared], Scope(**scope))


def outcome(users: t.Sequence[dict[str, t.Any]]) -> str:
    """In a word for each: what became of it."""
    words = ["failed" if user["failed"] else "changed" if user["changed"] else "kept" for user in users]
    return " ".join(words)


def test_only_differences_are_written_and_read_again(server: ScriptedServer) -> None:
    before = [row("alice"), row("bob"), row("carol", locked=True), row("gone", deactivated=True)]
    server.expect(listing(*before), account("bob"))
    resource = accounts(
        server,
        ("alice", {"displayname": "alice", "admin": False}),
        ("@bob:x.org", {"displayname": "Bob"}),
        ("carol", {"locked": True}),
        ("gone", {"present": False}),
        ("nobody", {"present": False}),
    )
    plan = resource.plan()
    assert (
        list(t.cast("dict[str, t.Any]", plan.before)) == list(t.cast("dict[str, t.Any]", plan.after)) == ["@bob:x.org"]
    )
    assert [step.description for step in plan.steps] == ["change 1 accounts"]
    server.expect(put("bob", {"displayname": "Bob"}))
    plan.execute()
    server.expect(listing(*before[:1], row("bob", displayname="Bob"), *before[2:]))
    resource.verify(plan)
    users = resource.result(plan, True)["users"]
    assert outcome(users) == "kept changed kept kept kept"
    assert users[0] == {"user_id": "@alice:x.org", "changed": False, "failed": False}
    assert users[1]["steps"] == ["set displayname"]


def test_nothing_is_asked_of_an_account_that_the_list_shows_to_be_right(server: ScriptedServer) -> None:
    server.expect(listing(row("alice")))
    assert not accounts(server, ("alice", {"displayname": "alice", "password": "p"})).plan().changed


def test_details_are_read_where_the_list_does_not_show_them(server: ScriptedServer) -> None:
    server.expect(listing(row("alice"), row("bob")), account("alice", suspended=True))
    declared = [("alice", {"suspended": True}), ("bob", {"locked": False})]
    assert not accounts(server, *declared).plan().changed


def test_all_pages_are_read(server: ScriptedServer) -> None:
    server.expect(Call("GET", LIST, {"users": [ADMIN], "next_token": "1000", "total": 2}))
    server.expect(
        Call(
            "GET", LIST, {"users": [row("zoe")], "total": 2}, query={"limit": "1000", "locked": "true", "from": "1000"}
        )
    )
    assert not accounts(server, ("zoe", {"displayname": "zoe"})).plan().changed


def test_no_guests_are_listed_where_another_service_is_in_charge(server: ScriptedServer) -> None:
    refused = {"errcode": "M_INVALID_PARAM", "error": "The guests parameter is not supported"}
    server.expect(Call("GET", LIST, refused, 400))
    server.expect(Call("GET", "/_matrix/client/v1/auth_metadata", {"issuer": "https://x.org/"}))
    server.expect(listing(row("alice"), guests="false"))
    assert not accounts(server, ("alice", {"displayname": "alice"})).plan().changed


class TestProblems:
    def test_of_one_do_not_stop_the_others(self, server: ScriptedServer) -> None:
        server.expect(listing(row("bob")), account("bob"))
        resource = accounts(
            server,
            ("UPPER", {}),
            ("@far:y.org", {}),
            ("new", {"displayname": "New"}),
            ("bob", {"displayname": "Bob"}),
            ("empty", {"password": ""}),
        )
        plan = resource.plan()
        server.expect(put("new", {"displayname": "New"}, FAULT, 500))
        server.expect(Call("GET", path("new"), {"errcode": "M_NOT_FOUND", "error": "User not found"}, 404))
        server.expect(put("bob", {"displayname": "Bob"}))
        plan.execute()
        server.expect(listing(row("bob", displayname="Bob")))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        users = caught.value.details["users"]
        assert outcome(users) == "failed failed failed changed failed"
        assert "write @upper:x.org" in users[0]["msg"]
        assert "@new:x.org was not created" in users[2]["msg"]
        assert caught.value.message.startswith("4 of 5 accounts are not as declared (@UPPER:x.org: ")
        assert caught.value.message.endswith("The others are: mend these and run the task again.")
        assert caught.value.details["changed"] is True

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

    def test_a_lost_connection_ends_it_for_the_rest(self, server: ScriptedServer) -> None:
        server.expect(listing(row("a"), row("b"), row("c")), account("a"), account("b"), account("c"))
        resource = accounts(server, *((name, {"displayname": name.upper()}) for name in "abc"))
        plan = resource.plan()
        server.expect(put("a", {"displayname": "A"}), Call("PUT", path("b"), drop=True))
        plan.execute()
        resource.verify(plan)
        with pytest.raises(errors.SynapseError) as caught:
            resource.result(plan, True)
        users = caught.value.details["users"]
        assert outcome(users) == "changed failed failed"
        assert "not attempted, because Synapse does not answer any more" in users[2]["msg"]

    def test_a_change_that_was_not_kept_is_seen(self, server: ScriptedServer) -> None:
        server.expect(listing(row("a")), account("a"))
        resource = accounts(server, ("a", {"displayname": "A"}))
        plan = resource.plan()
        server.expect(put("a", {"displayname": "A"}))
        plan.execute()
        server.expect(listing(row("a")))
        resource.verify(plan)
        with pytest.raises(errors.SynapseError, match="not as declared although Synapse accepted every change"):
            resource.result(plan, True)

    def test_a_wait_that_synapse_asks_for_is_kept(self, server: ScriptedServer) -> None:
        slow = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 1500}
        waits: list[float] = []
        server.expect(listing(row("a")), account("a"))
        server.always(WHOAMI, NO_MAS)
        source = Accounts(Client(server.base_url, "token", sleep=waits.append))
        plan = AccountList(source, [("a", DeclaredAccount(displayname="A"))], Scope(parallel=1)).plan()
        server.expect(put("a", {"displayname": "A"}, slow, 429), put("a", {"displayname": "A"}))
        plan.execute()
        assert waits == [1.5]

    def test_two_entries_for_one_account(self, server: ScriptedServer) -> None:
        server.expect(listing())
        with pytest.raises(errors.InvalidInput, match="@alice:x.org is declared twice: nothing was changed"):
            accounts(server, ("alice", {}), ("@alice:x.org", {})).plan()

    @pytest.mark.parametrize("parallel", [0, -1, 65])
    def test_too_few_or_too_many_at_a_time(self, server: ScriptedServer, parallel: int) -> None:
        with pytest.raises(errors.InvalidInput, match=f"parallel is {parallel}: it must be between 1 and 64"):
            accounts(server, parallel=parallel).plan()


class TestExclusive:
    EVERYBODY = (row("alice"), row("bob"), row("gone", deactivated=True), row("bot-1"), row("puppet"), row("support"))

    def test_leaves_those_alone_that_it_must(self, server: ScriptedServer) -> None:
        server.expect(listing(*self.EVERYBODY), account("bob"), account("puppet", appservice_id="bridge"))
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
        permissions = Permissions(namespaces=(re.compile("@pup.*"),))
        assert not accounts(server, exclusive=True, max_changes=0, permissions=permissions).plan().changed

    @pytest.mark.parametrize(("most", "refused"), [(0, True), (1, True), (2, False), (None, False)])
    def test_is_stopped_before_the_first_write(self, server: ScriptedServer, most: int | None, refused: bool) -> None:
        server.expect(listing(row("a"), row("b")), account("a"), account("b"), account("a"))
        server.expect(account("b"))
        resource = accounts(server, exclusive=True, max_changes=most)
        if refused:
            with pytest.raises(
                errors.InvalidInput, match=f"2 accounts would be changed, but max_changes allows {most}"
            ):
                resource.plan()
        else:
            assert resource.plan().changed


def test_no_more_than_declared_run_at_the_same_time(server: ScriptedServer) -> None:
    names = [f"user{number}" for number in range(40)]
    server.expect(listing())
    server.always(*(put(name, {"displayname": "X"}) for name in names))
    resource = accounts(server, *((name, {"displayname": "X"}) for name in names), parallel=8)
    plan = resource.plan()
    plan.execute()
    server.expect(listing(*(row(name, displayname="X") for name in names)))
    resource.verify(plan)
    assert outcome(resource.result(plan, True)["users"]) == " ".join(["changed"] * 40)
