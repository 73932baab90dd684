# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One account is changed only where nobody else is hit by it, and what is left of a failure is said."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.appservices import owned_user_ids
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    USER,
    Change,
    DeclaredAccount,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
    declared_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALICE = "/_synapse/admin/v2/users/%40alice%3Ax.org"
IDENTIFIER = Identifier("@", "alice", "x.org")
MISSING = {"errcode": "M_NOT_FOUND", "error": "User not found"}
FAULT = {"errcode": "M_UNKNOWN", "error": "Internal server error"}
TAKEN = {"errcode": "M_USER_IN_USE", "error": "User ID already taken."}
NO_MAS = Call("GET", "/_matrix/client/v1/auth_metadata", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
NO_POLICY = Call("GET", "/_matrix/client/v3/password_policy", {})
AVAILABLE = Call("GET", "/_synapse/admin/v1/username_available", {"available": True}, query={"username": "alice"})


def whoami(localpart: str = "admin") -> Call:
    return Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": f"@{localpart}:x.org"})


def shown(**more: t.Any) -> Call:
    account = {"name": "@alice:x.org", "admin": False, "deactivated": False, "displayname": "alice"}
    return Call("GET", ALICE, {**account, "threepids": [], "external_ids": [], **more})


def missing() -> Call:
    return Call("GET", ALICE, MISSING, 404)


def alice(
    server: ScriptedServer,
    *,
    caller: str = "admin",
    permissions: Permissions | None = None,
    compare: t.Callable[[str, str], bool] | None = None,
    **declared: t.Any,
) -> AccountResource:
    server.always(whoami(caller), NO_MAS, NO_POLICY)
    accounts = Accounts(Client(server.base_url, "token"), permissions, compare)
    return AccountResource(accounts, "alice", DeclaredAccount(**declared))


class TestCaller:
    @pytest.mark.parametrize(
        ("declared", "said"),
        [
            ({"locked": True}, "made locked,"),
            ({"suspended": True, "locked": True}, "made locked and suspended,"),
            ({"present": False}, "made deactivated,"),
            ({"admin": False}, "made not an admin,"),
        ],
    )
    def test_does_not_shut_itself_out(self, server: ScriptedServer, declared: t.Any, said: str) -> None:
        server.expect(shown(admin=True))
        with pytest.raises(errors.InvalidInput, match=f"account that this task runs as: {said}.*another server admin"):
            alice(server, caller="alice", **declared).plan()

    def test_may_change_what_does_no_harm(self, server: ScriptedServer) -> None:
        server.expect(shown(admin=True))
        assert alice(server, caller="alice", displayname="A", admin=True).plan().changed


class TestApplicationServices:
    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize("by", ["its maker", "its namespace"])
    def test_keep_their_accounts(self, server: ScriptedServer, by: str, allowed: bool) -> None:
        namespaces = (re.compile("@ali"),) if by == "its namespace" else ()
        permissions = Permissions(manage_appservice_users=allowed, namespaces=namespaces)
        server.expect(shown(appservice_id="bridge" if by == "its maker" else None))
        resource = alice(server, permissions=permissions, displayname="A")
        if allowed:
            assert resource.plan().changed
        else:
            with pytest.raises(errors.InvalidInput, match="it is left alone. Set manage_appservice_users to true"):
                resource.plan()

    def test_are_not_in_the_way_of_what_is_as_declared(self, server: ScriptedServer) -> None:
        server.expect(shown(appservice_id="bridge"))
        assert not alice(server, displayname="alice").plan().changed


class TestPasswords:
    @pytest.mark.parametrize(("same", "changed"), [(True, False), (False, True)])
    def test_are_compared(self, server: ScriptedServer, same: bool, changed: bool) -> None:
        server.expect(shown())
        asked: list[tuple[str, str]] = []

        def compare(user_id: str, password: str) -> bool:
            asked.append((user_id, password))
            return same

        plan = alice(server, compare=compare, password="p4ss", update_password="if_different").plan()
        assert (plan.changed, asked) == (changed, [("@alice:x.org", "p4ss")])
        assert "p4ss" not in f"{plan.before} {plan.after}"

    def test_cannot_be_compared_without_the_configuration(self, server: ScriptedServer) -> None:
        server.expect(shown())
        with pytest.raises(errors.InvalidInput, match="set config_path"):
            alice(server, password="p", update_password="if_different").plan()

    def test_of_a_new_account_need_no_comparison(self, server: ScriptedServer) -> None:
        server.expect(missing(), AVAILABLE)
        assert alice(server, password="p", update_password="if_different").plan().changed

    def test_must_fit_the_policy(self, server: ScriptedServer) -> None:
        policy = {"m.minimum_length": 12, "m.require_digit": True}
        server.expect(shown(), NO_MAS, Call("GET", "/_matrix/client/v3/password_policy", policy))
        with pytest.raises(errors.InvalidInput, match="lacks at least 12 characters, a digit"):
            alice(server, password="p", update_password="always").plan()


class TestAddresses:
    MAIL: t.ClassVar[dict[str, str]] = {"medium": "email", "address": "A@x.org"}

    def owner(self, user_id: str | None) -> Call:
        path = "/_synapse/admin/v1/threepid/email/users/a%40x.org"
        return Call("GET", path, {"user_id": user_id}) if user_id else Call("GET", path, MISSING, 404)

    @pytest.mark.parametrize("owner", [None, "@alice:x.org"])
    def test_that_nobody_else_has_are_set(self, server: ScriptedServer, owner: str | None) -> None:
        server.expect(shown(), self.owner(owner))
        assert alice(server, threepids=[self.MAIL]).plan().changed

    def test_of_others_are_not_taken(self, server: ScriptedServer) -> None:
        server.expect(shown(), self.owner("@bob:x.org"))
        with pytest.raises(errors.InvalidInput, match="a@x.org is already an address of @bob:x.org.*steal_threepids"):
            alice(server, threepids=[self.MAIL]).plan()

    def test_of_others_are_taken_if_that_is_meant(self, server: ScriptedServer) -> None:
        server.expect(shown())
        assert alice(server, permissions=Permissions(steal_threepids=True), threepids=[self.MAIL]).plan().changed

    def test_identities_are_never_taken(self, server: ScriptedServer) -> None:
        path = "/_synapse/admin/v1/auth_providers/oidc-x/users/a%2Fb"
        server.expect(shown(), Call("GET", path, {"user_id": "@bob:x.org"}))
        identity = {"auth_provider": "oidc-x", "external_id": "a/b"}
        with pytest.raises(errors.InvalidInput, match="a/b of oidc-x is already the identity of @bob:x.org"):
            alice(server, permissions=Permissions(steal_threepids=True), external_ids=[identity]).plan()


class TestDelegated:
    """The Matrix Authentication Service is in charge."""

    IN_CHARGE = Call("GET", "/_matrix/client/v1/auth_metadata", {"issuer": "https://x.org/"})

    @pytest.mark.parametrize(
        ("found", "declared", "commands"),
        [
            (
                missing(),
                {"password": "p", "admin": True},
                ["register-user alice", "set-password alice", "promote-admin"],
            ),
            (shown(), {"password": "p", "update_password": "always"}, ["set-password alice"]),
            (shown(admin=True), {"admin": False}, ["demote-admin alice"]),
            (shown(), {"locked": True}, ["lock-user alice'"]),
            (shown(locked=True), {"locked": False}, ["unlock-user alice'"]),
            (shown(), {"present": False}, ["lock-user alice --deactivate"]),
            (shown(deactivated=True), {}, ["unlock-user alice --reactivate"]),
        ],
    )
    def test_its_commands_are_named(
        self, server: ScriptedServer, found: Call, declared: t.Any, commands: list[str]
    ) -> None:
        server.expect(found, self.IN_CHARGE)
        with pytest.raises(errors.InvalidInput) as caught:
            alice(server, **declared).plan()
        assert all(f"mas-cli manage {command}" in caught.value.message for command in commands)
        assert caught.value.message.count("mas-cli") == len(commands)

    def test_what_synapse_still_does_is_done(self, server: ScriptedServer) -> None:
        server.expect(shown())
        assert alice(server, displayname="A", shadow_banned=True).plan().changed

    def test_a_service_that_does_not_answer_is_in_charge_too(self, server: ScriptedServer) -> None:
        server.expect(shown(), Call("GET", "/_matrix/client/v1/auth_metadata", FAULT, 502))
        with pytest.raises(errors.InvalidInput, match="in charge of the accounts"):
            alice(server, admin=True).plan()


class TestCreation:
    def test_is_refused_where_synapse_would(self, server: ScriptedServer) -> None:
        taken = {"errcode": "M_EXCLUSIVE", "error": "This user ID is reserved."}
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", taken, 400))
        with pytest.raises(errors.InvalidInput, match="cannot be created: This user ID is reserved"):
            alice(server).plan()

    def test_is_tried_on_servers_that_cannot_be_asked(self, server: ScriptedServer) -> None:
        unknown = {"errcode": "M_UNRECOGNIZED", "error": "?"}
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", unknown, 404))
        assert alice(server).plan().changed

    @pytest.mark.parametrize(
        ("after", "said", "changed"),
        [
            ((missing(), AVAILABLE), "this is not done: create the account", False),
            ((shown(displayname="B"),), "this is partly done: create the account", True),
            ((shown(displayname="A"),), "this is done: create the account", True),
            ((Call("GET", ALICE, FAULT, 500),), "it is unknown whether this is done: create the account", True),
        ],
        ids=["nothing", "a part", "everything", "hidden"],
    )
    def test_that_fails_says_what_is_there(
        self,
        server: ScriptedServer,
        monkeypatch: pytest.MonkeyPatch,
        after: tuple[Call, ...],
        said: str,
        changed: bool,
    ) -> None:
        monkeypatch.setattr(_execution, "PATIENCE", 0)
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, FAULT, 500), *after)
        resource = alice(server, displayname="A")
        with pytest.raises(errors.SynapseError, match=said) as caught:
            carry_out(resource, resource.plan())
        assert caught.value.details["changed"] is changed

    def test_a_later_step_that_fails_says_what_was_done(self, server: ScriptedServer) -> None:
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE))
        server.expect(Call("PUT", "/_synapse/admin/v1/suspend/%40alice%3Ax.org", FAULT, 500), shown())
        resource = alice(server, suspended=True)
        with pytest.raises(errors.SynapseError, match="Already done before that: create the account") as caught:
            carry_out(resource, resource.plan())
        assert caught.value.details["steps"] == ["create the account"]

    def test_somebody_else_creates_it_in_the_same_moment(self, server: ScriptedServer) -> None:
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, TAKEN, 400), shown(displayname="Other"))
        server.expect(Call("PUT", ALICE, body={"displayname": "A"}), shown(displayname="A"))
        resource = alice(server, displayname="A")
        carry_out(resource, resource.plan())

    @pytest.mark.parametrize(
        ("status", "told"), [(201, "create the account"), (200, "write over the account that somebody else")]
    )
    def test_who_created_it_is_told(self, server: ScriptedServer, status: int, told: str) -> None:
        server.always(whoami())
        server.expect(Call("PUT", ALICE, status=status))
        change = Change("create the account", "PUT", USER, {})
        done = Accounts(Client(server.base_url, "token")).write(IDENTIFIER, DeclaredAccount(), change)
        assert [each[: len(told)] for each in done] == [told]

    def test_what_fails_after_somebody_else_created_it_comes_after_a_change(self, server: ScriptedServer) -> None:
        refused = Call("PUT", ALICE, {"errcode": "M_UNKNOWN", "error": "No"}, 400)
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, TAKEN, 400), shown(displayname="Other"), refused)
        with pytest.raises(errors.ApiError, match="No") as caught:
            alice(server, displayname="A").plan().execute()
        assert caught.value.may_be_done

    @pytest.mark.parametrize(("update", "seen"), [("always", False), ("if_different", True)])
    def test_password_alone_is_seen_only_where_it_is_compared(
        self, server: ScriptedServer, update: str, seen: bool
    ) -> None:
        server.expect(shown())
        plan = alice(server, compare=lambda *_given: False, password="p", update_password=update).plan()
        assert [step.shown for step in plan.steps] == [seen]

    def test_name_that_differs_in_capital_letters_is_taken(self, server: ScriptedServer) -> None:
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", TAKEN, 400), missing())
        with pytest.raises(errors.InvalidInput, match="is taken, by one whose user id differs in capital letters"):
            alice(server).plan()

    def test_somebody_else_creates_it_while_it_is_looked_at(self, server: ScriptedServer) -> None:
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", TAKEN, 400), shown())
        plan = alice(server, displayname="A").plan()
        assert [step.description for step in plan.steps] == ["set displayname"]

    def test_localpart_that_a_server_may_allow_is_left_to_it(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/_synapse/admin/v2/users/%40_bridge%3Ax.org", MISSING, 404))
        server.expect(Call("GET", AVAILABLE.path, {"available": True}, query={"username": "_bridge"}))
        server.always(whoami(), NO_MAS)
        assert AccountResource(Accounts(Client(server.base_url, "token")), "_bridge", DeclaredAccount()).plan().changed


class TestOptions:
    def parameters(self, **given: t.Any) -> dict[str, t.Any]:
        options = account_argument_spec().argument_spec
        return {**{name: option.get("default") for name, option in options.items()}, "user_id": "alice", **given}

    def test_undeclared_stays_undeclared(self) -> None:
        assert declared_account(self.parameters()) == DeclaredAccount()

    def test_everything_declared_arrives(self) -> None:
        limit = {"messages_per_second": 5, "burst_count": None}
        declared = declared_account(
            self.parameters(state="absent", erase=True, user_type="", rate_limit=limit, create=False, threepids=[])
        )
        assert declared == DeclaredAccount(
            present=False, erase=True, user_type="", rate_limit={"messages_per_second": 5}, create=False, threepids=[]
        )

    def test_namespaces_come_from_the_configuration(self, server: ScriptedServer, tmp_path: pathlib.Path) -> None:
        registration = {
            "id": "b",
            "as_token": "a",
            "hs_token": "h",
            "sender_localpart": "bot.",
            "namespaces": {"users": [{"exclusive": True, "regex": "@b_.*"}, {"exclusive": False, "regex": ".*"}]},
        }
        (tmp_path / "bridge.yaml").write_text(json.dumps(registration), encoding="utf-8")
        (tmp_path / "homeserver.yaml").write_text(
            json.dumps({"server_name": "x.org", "app_service_config_files": ["bridge.yaml"]}), encoding="utf-8"
        )
        given = {
            "config_path": [str(tmp_path / "homeserver.yaml")],
            "chdir": str(tmp_path),
            "synapse_python": "python3",
            "manage_appservice_users": False,
            "steal_threepids": False,
        }
        accounts = declared_accounts(Client(server.base_url, "t"), given, declared_configuration(given))
        owned = ["@b_alice:x.org", "@bot.:x.org"]
        others = ["@alice:x.org", "@botx:x.org", "@bot.:x.orgs", "@bot.:y.org"]
        assert [name for name in owned + others if accounts.is_appservice_user(name, None)] == owned

    @pytest.mark.parametrize(
        "registration",
        [
            "[]",
            "{}",
            '{"sender_localpart": "a", "namespaces": {"users": [{"regex": "a"}]}}',
            '{"sender_localpart": "a", "namespaces": {"users": [{"exclusive": true, "regex": "("}]}}',
        ],
    )
    def test_a_broken_registration_is_named(self, tmp_path: pathlib.Path, registration: str) -> None:
        broken = tmp_path / "bridge.yaml"
        broken.write_text(registration, encoding="utf-8")
        settings = {"server_name": "x.org", "app_service_config_files": [str(broken)]}
        (tmp_path / "homeserver.yaml").write_text(json.dumps(settings), encoding="utf-8")
        with pytest.raises(errors.ConfigurationError, match=re.escape(str(broken))):
            owned_user_ids(read_configuration([str(tmp_path / "homeserver.yaml")]))
