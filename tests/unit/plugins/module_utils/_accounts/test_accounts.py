# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change of one account never affects other accounts, and a failure reports its result."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import options
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import (
    USER,
    Change,
    DeclaredAccount,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import homeserver
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
    Namespace,
    Registration,
)
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
PASSWORDS = Call("GET", "/_matrix/client/v3/login", {"flows": [{"type": "m.login.password"}]})
EXCLUSIVE = Call(
    "GET",
    "/_synapse/admin/v1/username_available",
    {"errcode": "M_EXCLUSIVE", "error": "This user ID is reserved by an application service."},
    400,
)
BRIDGE = Registration("/etc/bridge.yaml", "bridge", "@bot:x.org", "", users=(Namespace(True, re.compile("@ali")),))
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
    server.always(whoami(caller), NO_MAS, NO_POLICY, PASSWORDS)
    accounts = Accounts(Client(server.base_url, "token"), permissions, compare)
    return AccountResource(accounts, "alice", DeclaredAccount(**declared))


class TestCaller:
    @pytest.mark.parametrize(
        ("declared", "said"),
        [
            ({"locked": True}, "is locked,"),
            ({"suspended": True, "locked": True}, "is locked and suspended,"),
            ({"present": False}, "is deactivated,"),
            ({"admin": False}, "is not an admin,"),
        ],
    )
    def test_does_not_lock_itself_out(self, server: ScriptedServer, declared: t.Any, said: str) -> None:
        server.expect(shown(admin=True))
        with pytest.raises(
            errors.InvalidInput, match=f"account that this task runs as. If it {said}.*another server admin"
        ):
            alice(server, caller="alice", **declared).plan()

    def test_may_make_harmless_changes(self, server: ScriptedServer) -> None:
        server.expect(shown(admin=True))
        assert alice(server, caller="alice", display_name="A", admin=True).plan().changed


class TestBootstrap:
    """A task that makes an admin without the token of an admin: the message names the option for that."""

    DENIED: t.ClassVar[dict[str, t.Any]] = {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}

    def anonymous(self, server: ScriptedServer, errcode: str, **declared: t.Any) -> AccountResource:
        refused = {"errcode": errcode, "error": "No"}
        server.expect(Call("GET", "/_matrix/client/v3/account/whoami", refused, 401))
        return AccountResource(Accounts(Client(server.base_url)), "alice", DeclaredAccount(**declared))

    def test_is_named_without_a_token(self, server: ScriptedServer) -> None:
        with pytest.raises(errors.AuthenticationFailed, match="set bootstrap_admin to true and run the task on the"):
            self.anonymous(server, "M_MISSING_TOKEN", admin=True).plan()

    def test_is_named_with_the_token_of_another(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", ALICE, self.DENIED, 403))
        with pytest.raises(errors.PermissionDenied, match="set bootstrap_admin to true and run the task on the host"):
            alice(server, caller="bob", admin=True).plan()

    @pytest.mark.parametrize(
        ("errcode", "declared"),
        [
            ("M_MISSING_TOKEN", {}),
            ("M_MISSING_TOKEN", {"admin": False}),
            ("M_MISSING_TOKEN", {"admin": True, "present": False}),
            # Another token helps here.
            ("M_UNKNOWN_TOKEN", {"admin": True}),
        ],
    )
    def test_is_not_named_if_it_does_not_help(
        self, server: ScriptedServer, errcode: str, declared: dict[str, t.Any]
    ) -> None:
        with pytest.raises(errors.AuthenticationFailed) as caught:
            self.anonymous(server, errcode, **declared).plan()
        assert "bootstrap_admin" not in caught.value.message


class TestApplicationServices:
    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize("by", ["its maker", "its namespace"])
    def test_keep_their_accounts(self, server: ScriptedServer, by: str, allowed: bool) -> None:
        services = (BRIDGE,) if by == "its namespace" else ()
        permissions = Permissions(allow_appservice_users=allowed, services=services)
        server.expect(shown(appservice_id="bridge" if by == "its maker" else None))
        resource = alice(server, permissions=permissions, display_name="A")
        if allowed:
            assert resource.plan().changed
        else:
            with pytest.raises(errors.InvalidInput, match="so it was not changed. Set allow_appservice_users to true"):
                resource.plan()

    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize("sender", ["@alice:x.org", "@bot:x.org"])
    def test_create_their_accounts_themselves(self, server: ScriptedServer, sender: str, allowed: bool) -> None:
        """The permission is for accounts that exist, so it is not what helps here."""
        service = dataclasses.replace(BRIDGE, sender=sender)
        permissions = Permissions(allow_appservice_users=allowed, services=(service,))
        server.expect(missing(), EXCLUSIVE)
        with pytest.raises(errors.InvalidInput) as caught:
            alice(server, permissions=permissions).plan()
        message = caught.value.message
        assert re.match(
            r"The account @alice:x.org cannot be created: .* service bridge \(.*/etc/bridge\.yaml\)", message
        )
        assert message.endswith(
            "or let the service itself create it (POST /_matrix/client/v3/register with its as_token)."
        )
        assert ("remove the namespace from /etc/bridge.yaml" in message) is (sender != "@alice:x.org")
        assert "allow_appservice_users" not in message

    def test_are_not_named_if_they_are_not_known(self, server: ScriptedServer) -> None:
        server.expect(missing(), EXCLUSIVE)
        with pytest.raises(
            errors.InvalidInput, match="reserved by an application service. The name is in a namespace .*"
        ):
            alice(server).plan()

    def test_need_no_permission_for_an_account_that_is_as_declared(self, server: ScriptedServer) -> None:
        server.expect(shown(appservice_id="bridge"))
        assert not alice(server, display_name="alice").plan().changed


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
        with pytest.raises(errors.InvalidInput, match="needs at least 12 characters, a digit"):
            alice(server, password="p", update_password="always").plan()


class TestAddresses:
    MAIL: t.ClassVar[dict[str, str]] = {"medium": "email", "address": "A@x.org"}

    def owner(self, user_id: str | None) -> Call:
        path = "/_synapse/admin/v1/threepid/email/users/a%40x.org"
        return Call("GET", path, {"user_id": user_id}) if user_id else Call("GET", path, MISSING, 404)

    @pytest.mark.parametrize("owner", [None, "@alice:x.org"])
    def test_of_no_other_account_are_set(self, server: ScriptedServer, owner: str | None) -> None:
        server.expect(shown(), self.owner(owner))
        assert alice(server, threepids=[self.MAIL]).plan().changed

    def test_of_other_accounts_are_not_removed(self, server: ScriptedServer) -> None:
        server.expect(shown(), self.owner("@bob:x.org"))
        with pytest.raises(
            errors.InvalidInput, match="a@x.org already belongs to @bob:x.org.*Set allow_threepid_takeover to true"
        ):
            alice(server, threepids=[self.MAIL]).plan()

    def test_of_other_accounts_are_removed_if_that_is_allowed(self, server: ScriptedServer) -> None:
        server.expect(shown())
        assert (
            alice(server, permissions=Permissions(allow_threepid_takeover=True), threepids=[self.MAIL]).plan().changed
        )

    def test_external_ids_are_never_removed(self, server: ScriptedServer) -> None:
        path = "/_synapse/admin/v1/auth_providers/oidc-x/users/a%2Fb"
        server.expect(shown(), Call("GET", path, {"user_id": "@bob:x.org"}))
        identity = {"auth_provider": "oidc-x", "external_id": "a/b"}
        with pytest.raises(errors.InvalidInput, match="a/b at oidc-x is already an external ID of @bob:x.org"):
            alice(server, permissions=Permissions(allow_threepid_takeover=True), external_ids=[identity]).plan()


class TestDelegated:
    """The server uses the Matrix Authentication Service."""

    METADATA = Call("GET", "/_matrix/client/v1/auth_metadata", {"issuer": "https://x.org/"})

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
        server.expect(found, self.METADATA)
        with pytest.raises(errors.InvalidInput) as caught:
            alice(server, **declared).plan()
        assert all(f"mas-cli manage {command}" in caught.value.message for command in commands)
        assert caught.value.message.count("mas-cli") == len(commands)

    def test_changes_that_synapse_can_make_are_made(self, server: ScriptedServer) -> None:
        server.expect(shown())
        assert alice(server, display_name="A", shadow_banned=True).plan().changed

    @pytest.mark.parametrize("status", [502, 504])
    def test_a_service_that_does_not_respond_is_used_as_well(self, server: ScriptedServer, status: int) -> None:
        server.expect(shown(), Call("GET", "/_matrix/client/v1/auth_metadata", FAULT, status))
        with pytest.raises(errors.InvalidInput, match="The Matrix Authentication Service manages the accounts"):
            alice(server, admin=True).plan()

    def test_a_fault_is_not_taken_for_the_service(self, server: ScriptedServer) -> None:
        server.expect(shown(), Call("GET", "/_matrix/client/v1/auth_metadata", FAULT, 500))
        with pytest.raises(errors.ApiError, match="auth_metadata was refused .500"):
            alice(server, admin=True).plan()


class TestCreation:
    @pytest.mark.parametrize(
        ("errcode", "words", "said"),
        [
            ("M_EXCLUSIVE", "This user ID is reserved.", r"sends notices \(server_notices\)\. Choose another user ID"),
            (
                "M_INVALID_USERNAME",
                "User ID may not begin with _",
                r"\(allow_underscore_prefixed_localpart .*set that to true",
            ),
        ],
    )
    def test_is_refused_if_synapse_would_refuse_it(
        self, server: ScriptedServer, errcode: str, words: str, said: str
    ) -> None:
        refused = {"errcode": errcode, "error": words}
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", refused, 400))
        with pytest.raises(errors.InvalidInput, match=f"cannot be created: {words.rstrip('.')}\\. .*{said}"):
            alice(server).plan()

    def test_is_tried_on_servers_without_the_endpoint(self, server: ScriptedServer) -> None:
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
    def test_that_fails_reports_the_result(
        self,
        server: ScriptedServer,
        monkeypatch: pytest.MonkeyPatch,
        after: tuple[Call, ...],
        said: str,
        changed: bool,
    ) -> None:
        monkeypatch.setattr(_execution, "PATIENCE", 0)
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, FAULT, 500), *after)
        resource = alice(server, display_name="A")
        with pytest.raises(errors.SynapseError, match=said) as caught:
            carry_out(resource, resource.plan())
        assert caught.value.details["changed"] is changed

    def test_a_later_step_that_fails_reports_what_was_done(self, server: ScriptedServer) -> None:
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE))
        server.expect(Call("PUT", "/_synapse/admin/v1/suspend/%40alice%3Ax.org", FAULT, 500), shown())
        resource = alice(server, suspended=True)
        with pytest.raises(errors.SynapseError, match="Already done before that: create the account") as caught:
            carry_out(resource, resource.plan())
        assert caught.value.details["steps"] == ["create the account"]

    def test_another_task_creates_it_at_the_same_time(self, server: ScriptedServer) -> None:
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, TAKEN, 400), shown(displayname="Other"))
        server.expect(Call("PUT", ALICE, body={"displayname": "A"}), shown(displayname="A"))
        resource = alice(server, display_name="A")
        carry_out(resource, resource.plan())

    @pytest.mark.parametrize(
        ("status", "told"), [(201, "create the account"), (200, "overwrite the account that another task")]
    )
    def test_the_step_shows_which_task_created_it(self, server: ScriptedServer, status: int, told: str) -> None:
        server.always(whoami())
        server.expect(Call("PUT", ALICE, status=status))
        change = Change("create the account", "PUT", USER, {})
        done = Accounts(Client(server.base_url, "token")).write(IDENTIFIER, DeclaredAccount(), change)
        assert [each[: len(told)] for each in done] == [told]

    def test_a_failure_after_another_task_created_it_comes_after_a_change(self, server: ScriptedServer) -> None:
        refused = Call("PUT", ALICE, {"errcode": "M_UNKNOWN", "error": "No"}, 400)
        server.expect(missing(), AVAILABLE, Call("PUT", ALICE, TAKEN, 400), shown(displayname="Other"), refused)
        with pytest.raises(errors.ApiError, match="No") as caught:
            alice(server, display_name="A").plan().execute()
        assert caught.value.may_be_done

    @pytest.mark.parametrize(("update", "seen"), [("always", False), ("if_different", True)])
    def test_password_is_visible_only_if_it_is_compared(self, server: ScriptedServer, update: str, seen: bool) -> None:
        server.expect(shown())
        plan = alice(server, compare=lambda *_given: False, password="p", update_password=update).plan()
        assert [step.shown for step in plan.steps] == [seen]

    def test_name_that_differs_only_in_case_is_not_free(self, server: ScriptedServer) -> None:
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", TAKEN, 400), missing())
        with pytest.raises(
            errors.InvalidInput,
            match="is already used by an account whose user ID differs only in upper and lower case",
        ):
            alice(server).plan()

    def test_another_task_creates_it_during_the_check(self, server: ScriptedServer) -> None:
        server.expect(missing(), Call("GET", "/_synapse/admin/v1/username_available", TAKEN, 400), shown())
        plan = alice(server, display_name="A").plan()
        assert [step.description for step in plan.steps] == ["set display_name"]

    def test_localpart_that_a_server_may_allow_is_not_refused(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/_synapse/admin/v2/users/%40_bridge%3Ax.org", MISSING, 404))
        server.expect(Call("GET", AVAILABLE.path, {"available": True}, query={"username": "_bridge"}))
        server.always(whoami(), NO_MAS)
        assert AccountResource(Accounts(Client(server.base_url, "token")), "_bridge", DeclaredAccount()).plan().changed


class TestResult:
    def test_an_address_that_stays_is_a_warning_of_the_deactivation_alone(self, server: ScriptedServer) -> None:
        threepids = [{"medium": "email", "address": "A@x.org"}]
        server.expect(shown(threepids=threepids), shown(threepids=threepids, deactivated=True))
        resource = alice(server, present=False)
        [warning] = resource.result(resource.plan(), False)["warnings"]
        assert "A@x.org" in warning
        assert "warnings" not in resource.result(resource.plan(), False)

    def test_an_address_of_an_account_that_stays_is_no_warning(self, server: ScriptedServer) -> None:
        server.expect(shown(threepids=[{"medium": "email", "address": "a@x.org"}]))
        resource = alice(server, display_name="A")
        assert "warnings" not in resource.result(resource.plan(), False)


class TestOptions:
    def parameters(self, **given: t.Any) -> dict[str, t.Any]:
        options = account_argument_spec().argument_spec
        return {**{name: option.get("default") for name, option in options.items()}, "user_id": "alice", **given}

    def configured(self, config_path: list[str], **given: t.Any) -> dict[str, t.Any]:
        return {
            "config_path": config_path,
            "working_directory": None,
            "synapse_python": "python3",
            "allow_appservice_users": False,
            "allow_threepid_takeover": False,
            **given,
        }

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
            "namespaces": {
                "users": [
                    {"exclusive": False, "regex": "@b_open"},
                    {"exclusive": True, "regex": "@b_.*"},
                    {"exclusive": False, "regex": ".*"},
                ]
            },
        }
        (tmp_path / "bridge.yaml").write_text(json.dumps(registration), encoding="utf-8")
        (tmp_path / "homeserver.yaml").write_text(
            json.dumps({"server_name": "x.org", "app_service_config_files": ["bridge.yaml"]}), encoding="utf-8"
        )
        given = self.configured([str(tmp_path / "homeserver.yaml")], working_directory=str(tmp_path))
        server.always(whoami())
        accounts = declared_accounts(Client(server.base_url, "t"), given)
        owned = ["@b_alice:x.org", "@bot.:x.org"]
        others = ["@alice:x.org", "@b_open_x:x.org", "@botx:x.org", "@bot.:x.orgs", "@bot.:y.org"]
        assert [name for name in owned + others if accounts.is_appservice_user(name, None)] == owned

    @pytest.mark.parametrize(("exclusive", "fails"), [(None, False), (False, False), (True, True)])
    def test_an_unreadable_registration_in_the_default_configuration_only_fails_an_exclusive_list(
        self,
        server: ScriptedServer,
        tmp_path: pathlib.Path,
        monkeypatch: pytest.MonkeyPatch,
        exclusive: bool | None,
        fails: bool,
    ) -> None:
        paths = (str(tmp_path / "homeserver.yaml"), str(tmp_path))
        for module in (homeserver, options):
            monkeypatch.setattr(module, "DEFAULT_CONFIG_PATH", paths)
        (tmp_path / "homeserver.yaml").write_text("server_name: x.org\napp_service_config_files: [/missing/bridge]\n")
        given = self.configured(list(paths), **({} if exclusive is None else {"exclusive": exclusive}))
        server.always(whoami())
        with pytest.raises(errors.ConfigurationError) if fails else contextlib.nullcontext():
            declared_accounts(Client(server.base_url, "t"), given)
        # A configuration that the task names itself must be whole.
        monkeypatch.setattr(options, "DEFAULT_CONFIG_PATH", ())
        with pytest.raises(errors.ConfigurationError, match="/missing/bridge"):
            declared_accounts(Client(server.base_url, "t"), given)

    @pytest.mark.parametrize("named", [False, True])
    def test_the_configuration_of_another_server_does_not_count(
        self, server: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, named: bool
    ) -> None:
        paths = (str(tmp_path / "homeserver.yaml"), str(tmp_path))
        if not named:
            for module in (homeserver, options):
                monkeypatch.setattr(module, "DEFAULT_CONFIG_PATH", paths)
        (tmp_path / "homeserver.yaml").write_text("server_name: y.org\napp_service_config_files: [/missing/bridge]\n")
        given = self.configured(list(paths), exclusive=True)
        server.always(whoami())
        said = "config_path is the configuration of the server y.org, but the server that answers is x.org"
        with pytest.raises(errors.InvalidInput, match=said):
            accounts = declared_accounts(Client(server.base_url, "t"), given)
            assert not named
            # Not with the passwords of another server.
            accounts.password_differs("@alice:x.org", "p4ss")

    def test_a_refused_token_is_told_by_the_plan(self, server: ScriptedServer, tmp_path: pathlib.Path) -> None:
        (tmp_path / "homeserver.yaml").write_text("server_name: x.org\n")
        given = self.configured([str(tmp_path / "homeserver.yaml")])
        refused = {"errcode": "M_MISSING_TOKEN", "error": "Missing access token"}
        server.always(Call("GET", "/_matrix/client/v3/account/whoami", refused, 401))
        accounts = declared_accounts(Client(server.base_url), given)
        with pytest.raises(errors.AuthenticationFailed, match="bootstrap_admin"):
            AccountResource(accounts, "alice", DeclaredAccount(admin=True)).plan()

    def test_without_a_configuration_only_a_comparison_of_passwords_fails(
        self, server: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a host without Synapse, where the default path does not exist."""
        paths = (str(tmp_path / "homeserver.yaml"), str(tmp_path / "conf.d"))
        monkeypatch.setattr(homeserver, "DEFAULT_CONFIG_PATH", paths)
        given = self.configured(list(paths))
        accounts = declared_accounts(Client(server.base_url, "t"), given)
        assert not accounts.is_appservice_user("@b_alice:x.org", None)
        with pytest.raises(errors.ConfigurationError) as caught:
            accounts.password_differs("@alice:x.org", "p4ss")
        assert re.search(
            "homeserver.yaml does not exist.*update_password=if_different needs the configuration of Synapse: run the",
            caught.value.message,
        )
        assert "p4ss" not in caught.value.message
