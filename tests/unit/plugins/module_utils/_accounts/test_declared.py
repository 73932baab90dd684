# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests that bring an account into its declared state, and no more than these."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    DeclaredAccount,
    account_state,
    decide,
    differences,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALICE = parse_user_id("alice", "x.org")
USER, SUSPEND, DEACTIVATE = (
    "/_synapse/admin/v2/users/{user_id}",
    "/_synapse/admin/v1/suspend/{user_id}",
    "/_synapse/admin/v1/deactivate/{user_id}",
)
# The response of GET v2/users/<id> of Synapse 1.163.
ANSWER: dict[str, t.Any] = {
    "name": "@alice:x.org",
    "admin": False,
    "deactivated": False,
    "locked": False,
    "suspended": False,
    "shadow_banned": False,
    "erased": False,
    "is_guest": False,
    "user_type": None,
    "appservice_id": None,
    "creation_ts": 1700000000,
    "displayname": "Alice",
    "avatar_url": None,
    "threepids": [],
    "external_ids": [],
    "last_seen_ts": None,
}


def account(**differences: t.Any) -> dict[str, t.Any]:
    return {**account_state(ANSWER), **differences}


def asked(declared: DeclaredAccount, current: State) -> list[tuple[str, str, dict[str, t.Any]]]:
    """Return the requests that are needed."""
    _after, changes = decide(ALICE, declared, current)
    return [(change.method, change.template, change.body) for change in changes]


def test_what_is_not_set_is_empty() -> None:
    assert account_state(ANSWER)["avatar_url"] == ""
    assert account_state({**ANSWER, "displayname": None})["display_name"] == ""
    assert account_state({"name": "@a:x", "admin": 1, "deactivated": 0}) == {
        "user_id": "@a:x",
        "admin": True,
        "display_name": "",
        "avatar_url": "",
        "user_type": "",
        "guest": False,
        "appservice_id": "",
        "locked": False,
        "suspended": False,
        "shadow_banned": False,
        "deactivated": False,
        "erased": False,
        "threepids": [],
        "external_ids": [],
    }


def email(address: str) -> dict[str, str]:
    return {"medium": "email", "address": address}


class TestOldAddresses:
    """Old versions of Synapse stored e-mail addresses as they were typed, and newer versions cannot remove them."""

    OLD, NEW = email("A@X.org"), email("a@x.org")
    NUMBER: t.ClassVar[dict[str, str]] = {"medium": "msisdn", "address": "4420"}
    # Deleted as they are.
    OTHERS: t.ClassVar[list[dict[str, str]]] = [
        {"medium": "email_old", "address": "Old@X.org"},
        {"medium": "msisdn", "address": "+44 20"},
    ]

    def with_addresses(self, *stored: dict[str, str], **more: t.Any) -> dict[str, t.Any]:
        return {**account_state({**ANSWER, "threepids": list(stored)}), **more}

    @pytest.mark.parametrize("declared", [[], [email("other@x.org")]])
    def test_cannot_be_removed(self, declared: list[dict[str, str]]) -> None:
        said = (
            "@alice:x.org has the e-mail address A@X.org, .* no API of Synapse can remove it. Nothing was changed. .*"
            "DELETE FROM user_threepids WHERE user_id = '@alice:x.org' AND medium = 'email' AND address = 'A@X.org'. Or"
            " add a@x.org to threepids."
        )
        for stored in ((self.OLD,), (self.NEW, self.OLD)):
            with pytest.raises(errors.InvalidInput, match=said):
                asked(DeclaredAccount(threepids=declared), self.with_addresses(*stored))

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("a\nb@X.org", r"'a\\nb@X.org', .* instead of as 'a\\nb@x.org'\. .* Or add 'a\\nb@x.org' to"),
            ("", "has the e-mail address '', which"),
        ],
    )
    def test_are_shown_on_one_line(self, address: str, said: str) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            asked(DeclaredAccount(threepids=[]), self.with_addresses(email(address)))
        assert caught.value.message.isprintable()
        assert re.search(said, caught.value.message), caught.value.message

    @pytest.mark.parametrize("address", ["broken", "a@b@c"])
    def test_that_synapse_refuses_can_be_neither_removed_nor_deactivated(self, address: str) -> None:
        current = self.with_addresses(email(address))
        for declared in (DeclaredAccount(threepids=[]), DeclaredAccount(present=False)):
            with pytest.raises(errors.InvalidInput, match=f"{address}.*DELETE FROM .* = '{address}'.$"):
                asked(declared, current)

    @pytest.mark.parametrize(
        ("address", "sql"),
        [("O'Neill@x.org", "address = 'O''Neill@x.org'"), ("A@x.org\n", "its row from the table user_threepids")],
    )
    def test_are_quoted(self, address: str, sql: str) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            asked(DeclaredAccount(threepids=[]), self.with_addresses(email(address)))
        assert sql in caught.value.message
        assert "\n" not in caught.value.message

    def test_stay_where_the_new_spelling_is_declared(self) -> None:
        """Synapse would remove the new spelling if a request left out the old one."""
        declared = DeclaredAccount(threepids=[self.NEW, self.NUMBER])
        for stored in ((self.OLD,), (self.OLD, self.NEW)):
            [(_method, _path, body)] = asked(declared, self.with_addresses(*stored))
            assert body == {"threepids": [self.NUMBER, self.OLD, self.NEW]}
        reached = self.with_addresses(self.NEW, self.NUMBER, self.OLD)
        assert asked(declared, reached) == []
        assert differences(declared, reached) == []
        assert differences(DeclaredAccount(threepids=[self.NUMBER]), reached) != []

    def test_stay_after_a_deactivation(self) -> None:
        after, _changes = decide(ALICE, DeclaredAccount(present=False), self.with_addresses(self.OLD, self.NEW))
        assert after is not None
        assert after["threepids"] == [self.OLD]

    def test_of_another_medium_are_removed(self) -> None:
        after, changes = decide(ALICE, DeclaredAccount(threepids=[]), self.with_addresses(*self.OTHERS))
        assert after is not None
        assert (after["threepids"], [change.body for change in changes]) == ([], [{"threepids": []}])


class TestNew:
    def test_default_type_of_the_server_is_removed(self) -> None:
        assert [body for _method, _path, body in asked(DeclaredAccount(user_type=""), None)] == [
            {},
            {"user_type": None},
        ]
        assert [body for _method, _path, body in asked(DeclaredAccount(), None)] == [{}]

    @pytest.mark.parametrize("given", ["Alice ", "\tAlice", "Alice\u00a0"], ids=ascii)
    def test_name_is_sent_as_synapse_shows_it(self, given: str) -> None:
        assert asked(DeclaredAccount(display_name=given), None) == [("PUT", USER, {"displayname": "Alice"})]
        assert asked(DeclaredAccount(display_name=given), account()) == []

    def test_is_made_with_one_request(self) -> None:
        declared = DeclaredAccount(password="p", admin=True, display_name="A", avatar_url="mxc://x/y", locked=False)
        body = {"password": "p", "admin": True, "displayname": "A", "avatar_url": "mxc://x/y"}
        assert asked(declared, None) == [("PUT", USER, body)]
        after, _changes = decide(ALICE, declared, None)
        assert after == account(admin=True, display_name="A", avatar_url="mxc://x/y")

    def test_has_its_localpart_as_display_name(self) -> None:
        after, changes = decide(ALICE, DeclaredAccount(), None)
        assert after == account(display_name="alice")
        assert [change.body for change in changes] == [{}]

    def test_sets_afterwards_the_values_that_synapse_ignores_at_first(self) -> None:
        assert asked(DeclaredAccount(display_name="", locked=True, suspended=True), None) == [
            ("PUT", USER, {}),
            ("PUT", USER, {"locked": True, "displayname": ""}),
            ("PUT", SUSPEND, {"suspend": True}),
        ]

    def test_needs_no_logout_of_devices(self) -> None:
        declared = DeclaredAccount(password="p", logout_devices=True, update_password="always")
        assert asked(declared, None) == [("PUT", USER, {"password": "p"})]

    def test_is_not_created_if_create_is_false(self) -> None:
        with pytest.raises(errors.InvalidInput, match="@alice:x.org does not exist, and create is false"):
            decide(ALICE, DeclaredAccount(create=False), None)

    def test_has_no_upper_case_letters(self) -> None:
        with pytest.raises(errors.InvalidInput, match="Set user_id to @alice:X.org"):
            decide(parse_user_id("Alice", "X.org"), DeclaredAccount(), None)

    def test_is_not_created_only_to_be_deactivated(self) -> None:
        assert decide(ALICE, DeclaredAccount(present=False, erase=True), None) == (None, [])


class TestExisting:
    @pytest.mark.parametrize(
        "declared",
        [
            DeclaredAccount(),
            DeclaredAccount(create=False),
            DeclaredAccount(admin=False, display_name="Alice", avatar_url="", locked=False, suspended=False),
            DeclaredAccount(password="p"),
            DeclaredAccount(password="p", logout_devices=True),
            DeclaredAccount(update_password="always"),
            DeclaredAccount(erase=True),
        ],
    )
    def test_does_not_change_if_it_is_as_declared(self, declared: DeclaredAccount) -> None:
        assert decide(ALICE, declared, account()) == (account(), [])

    @pytest.mark.parametrize(
        ("declared", "body"),
        [
            (DeclaredAccount(admin=True), {"admin": True}),
            (DeclaredAccount(admin=False, display_name="A"), {"displayname": "A"}),
            (DeclaredAccount(display_name=""), {"displayname": ""}),
            (DeclaredAccount(avatar_url="mxc://x/y", locked=True), {"avatar_url": "mxc://x/y", "locked": True}),
        ],
    )
    def test_is_sent_only_what_differs(self, declared: DeclaredAccount, body: dict[str, t.Any]) -> None:
        assert asked(declared, account()) == [("PUT", USER, body)]
        after, _changes = decide(ALICE, declared, account())
        shown = {"display_name" if name == "displayname" else name: value for name, value in body.items()}
        assert after == account(**shown)

    @pytest.mark.parametrize("logout", [False, True])
    def test_gets_a_password_every_time_with_always(self, logout: bool) -> None:
        declared = DeclaredAccount(password="p", update_password="always", logout_devices=logout)
        assert asked(declared, account()) == [("PUT", USER, {"password": "p", "logout_devices": logout})]

    @pytest.mark.parametrize("suspend", [False, True])
    def test_is_suspended_by_a_request_of_its_own(self, suspend: bool) -> None:
        declared = DeclaredAccount(suspended=suspend)
        assert asked(declared, account(suspended=not suspend)) == [("PUT", SUSPEND, {"suspend": suspend})]

    def test_an_account_with_upper_case_letters_can_be_changed(self) -> None:
        old = parse_user_id("Alice", "x.org")
        _after, changes = decide(old, DeclaredAccount(admin=True), account(user_id="@Alice:x.org"))
        assert [change.body for change in changes] == [{"admin": True}]


class TestDeactivated:
    def test_is_reactivated_first(self) -> None:
        declared = DeclaredAccount(password="p", display_name="A", suspended=True)
        assert asked(declared, account(deactivated=True, erased=True)) == [
            ("PUT", USER, {"deactivated": False, "password": "p", "logout_devices": False}),
            ("PUT", USER, {"displayname": "A"}),
            ("PUT", SUSPEND, {"suspend": True}),
        ]
        after, _changes = decide(ALICE, declared, account(deactivated=True, erased=True))
        assert after == account(display_name="A", suspended=True)

    def test_gets_its_password_only_once(self) -> None:
        declared = DeclaredAccount(password="p", update_password="always", create=False)
        body = {"deactivated": False, "password": "p", "logout_devices": False}
        assert asked(declared, account(deactivated=True)) == [("PUT", USER, body)]


class TestAbsent:
    @pytest.mark.parametrize("erase", [False, True])
    def test_is_deactivated(self, erase: bool) -> None:
        declared = DeclaredAccount(present=False, erase=erase, display_name="ignored", admin=True)
        assert asked(declared, account()) == [("POST", DEACTIVATE, {"erase": erase})]
        after, _changes = decide(ALICE, declared, account())
        assert after == account(deactivated=True, **({"erased": True, "display_name": ""} if erase else {}))

    def test_is_erased_later(self) -> None:
        assert asked(DeclaredAccount(present=False, erase=True), account(deactivated=True)) == [
            ("POST", DEACTIVATE, {"erase": True})
        ]

    @pytest.mark.parametrize("erased", [False, True])
    def test_stays_as_it_is(self, erased: bool) -> None:
        current = account(deactivated=True, erased=erased)
        assert decide(ALICE, DeclaredAccount(present=False, erase=erased), current) == (current, [])

    def test_does_not_undo_an_erasure(self) -> None:
        assert asked(DeclaredAccount(present=False), account(deactivated=True, erased=True)) == []


class TestCheck:
    @pytest.mark.parametrize(
        ("declared", "said"),
        [
            (DeclaredAccount(password=""), "password is empty"),
            (DeclaredAccount(password="p" * 513), "password is longer than 512 characters"),
            (DeclaredAccount(password="ppp\0"), "password contains the character NUL"),
            (DeclaredAccount(password="ppp\udcff"), "password contains bytes that are not UTF-8"),
            (DeclaredAccount(rate_limit={"burst_count": 2**63}), "number above 9223372036854775807"),
            (DeclaredAccount(rate_limit={"burst_count": -1}), "negative number"),
            (DeclaredAccount(avatar_url="mxc://x.org"), "the ID of the media"),
            (DeclaredAccount(threepids=[{"medium": "msisdn", "address": "4" * 101}]), "more than 100 digits"),
            (
                DeclaredAccount(external_ids=[{"auth_provider": "saml", "external_id": "ü" * 999}]),
                "external ID at saml is longer than 2000 bytes",
            ),
            (DeclaredAccount(external_ids=[{"auth_provider": "", "external_id": "x"}]), "empty auth_provider"),
            (DeclaredAccount(display_name="d" * 257), "display_name is longer than 256 characters"),
            (DeclaredAccount(avatar_url="https://x/y.png"), "avatar_url 'https://x/y.png' is not"),
            (DeclaredAccount(avatar_url="mxc://" + "x" * 1000), "avatar_url is longer than 1000 characters"),
        ],
    )
    def test_refuses(self, declared: DeclaredAccount, said: str) -> None:
        with pytest.raises(errors.InvalidInput, match=said) as caught:
            declared.check()
        assert "ppp" not in caught.value.message

    def test_accepts_the_longest(self) -> None:
        DeclaredAccount(password="p" * 512, display_name="ä" * 256, avatar_url="mxc://x.org/" + "x" * 988).check()
        DeclaredAccount(display_name="", avatar_url="", rate_limit={"burst_count": 2**63 - 1}).check()
        DeclaredAccount(external_ids=[{"auth_provider": "saml", "external_id": "ü" * 998}]).check()
        DeclaredAccount(threepids=[{"medium": "msisdn", "address": "4" * 100}]).check()


WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
HERE = "/_synapse/admin/v2/users/%40alice%3Ax.org"
MISSING = Call("GET", HERE, {"errcode": "M_NOT_FOUND", "error": "User not found"}, 404)
AVAILABLE = Call("GET", "/_synapse/admin/v1/username_available", {"available": True}, query={"username": "alice"})
NOT_DELEGATED = Call("GET", "/_matrix/client/v1/auth_metadata", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
NO_POLICY = Call("GET", "/_matrix/client/v3/password_policy", {})
PASSWORDS = Call("GET", "/_matrix/client/v3/login", {"flows": [{"type": "m.login.password"}]})


def resource(server: ScriptedServer, declared: DeclaredAccount, user: str = "alice") -> AccountResource:
    server.always(NOT_DELEGATED, NO_POLICY, PASSWORDS)
    return AccountResource(Accounts(Client(server.base_url, "token")), user, declared)


class TestResource:
    def test_makes_and_verifies_an_account(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, MISSING, AVAILABLE)
        made = resource(server, DeclaredAccount(password="hunter2"))
        plan = made.plan()
        assert "hunter2" not in f"{plan.before} {plan.after} {[step.description for step in plan.steps]}"
        assert (plan.before, (plan.after or {})["password"]) == (None, "(hidden, new)")
        server.expect(
            Call("PUT", HERE, {}, 201, body={"password": "hunter2"}),
            Call("GET", HERE, {**ANSWER, "displayname": "alice"}),
        )
        plan.execute()
        made.verify(plan)
        assert made.result(plan, True) == {
            "user": account(display_name="alice"),
            "method": "admin_api",
            "verified": True,
            "restart_required": False,
        }

    def test_predicts_without_a_write(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, Call("GET", HERE, ANSWER))
        found = resource(server, DeclaredAccount(admin=True, password="p", update_password="always"))
        plan = found.plan()
        assert plan.changed
        assert [step.description for step in plan.steps] == ["set admin, the password"]
        assert (plan.before or {})["password"] != (plan.after or {})["password"]
        assert found.result(plan, False)["user"] == account(admin=True)
        assert not found.result(plan, False)["verified"]

    def test_fails_if_the_server_does_not_show_the_change_afterwards(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, Call("GET", HERE, ANSWER), Call("PUT", HERE, {}), Call("GET", HERE, ANSWER))
        stubborn = resource(server, DeclaredAccount(admin=True, locked=False))
        plan = stubborn.plan()
        plan.execute()
        with pytest.raises(errors.StateNotReached, match="The account @alice:x.org .* admin is False"):
            stubborn.verify(plan)

    def test_fails_if_the_account_is_gone_afterwards(self, server: ScriptedServer) -> None:
        server.expect(WHOAMI, Call("GET", HERE, ANSWER), Call("PUT", HERE, {}), MISSING)
        lost = resource(server, DeclaredAccount(admin=True))
        plan = lost.plan()
        plan.execute()
        with pytest.raises(errors.StateNotReached):
            lost.verify(plan)

    def test_ignores_that_an_old_server_does_not_show_whether_a_name_is_free(self, server: ScriptedServer) -> None:
        unknown = Call("GET", AVAILABLE.path, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
        server.expect(WHOAMI, MISSING, unknown)
        assert resource(server, DeclaredAccount()).plan().changed

    @pytest.mark.parametrize(
        ("answer", "status", "kind", "said"),
        [
            (
                {"errcode": "M_EXCLUSIVE", "error": "Reserved by a service."},
                400,
                errors.InvalidInput,
                "Reserved by a service",
            ),
            ({"errcode": "M_UNKNOWN", "error": "Broken"}, 500, errors.ApiError, "500 M_UNKNOWN: Broken"),
        ],
    )
    def test_fails_if_a_name_is_not_free(
        self, server: ScriptedServer, answer: t.Any, status: int, kind: type[errors.SynapseError], said: str
    ) -> None:
        server.expect(WHOAMI, MISSING, Call("GET", AVAILABLE.path, answer, status))
        with pytest.raises(kind, match=said):
            resource(server, DeclaredAccount()).plan()

    @pytest.mark.parametrize("user", ["@alice:y.org", "al ice", "alice:x.org"])
    def test_requests_nothing_for_an_account_of_another_server(self, server: ScriptedServer, user: str) -> None:
        server.expect(WHOAMI)
        with pytest.raises(errors.InvalidInput):
            resource(server, DeclaredAccount(), user).plan()

    def test_requests_nothing_for_an_invalid_value(self, server: ScriptedServer) -> None:
        with pytest.raises(errors.InvalidInput):
            resource(server, DeclaredAccount(password="")).plan()

    @pytest.mark.parametrize(
        ("declared", "harm"),
        [
            (DeclaredAccount(present=False), "deactivated"),
            (DeclaredAccount(locked=True), "locked"),
            (DeclaredAccount(suspended=True), "suspended"),
            (DeclaredAccount(admin=False), "not an admin"),
            (DeclaredAccount(admin=False, locked=True), "locked and not an admin"),
        ],
    )
    def test_does_not_lock_itself_out(self, server: ScriptedServer, declared: DeclaredAccount, harm: str) -> None:
        own = "/_synapse/admin/v2/users/%40admin%3Ax.org"
        server.expect(WHOAMI, Call("GET", own, {**ANSWER, "name": "@admin:x.org", "admin": True}))
        with pytest.raises(errors.InvalidInput, match=f"If it is {harm},"):
            resource(server, declared, "admin").plan()

    def test_changes_its_own_account_in_other_ways(self, server: ScriptedServer) -> None:
        own = "/_synapse/admin/v2/users/%40admin%3Ax.org"
        server.expect(WHOAMI, Call("GET", own, {**ANSWER, "name": "@admin:x.org", "admin": True}))
        declared = DeclaredAccount(admin=True, display_name="Boss", password="p", update_password="always")
        assert resource(server, declared, "admin").plan().changed
