# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A token is reused while it is valid, it is never lost, and other users can never read its file."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import stat
import typing as t
import urllib.parse

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access import token as resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    registration_mac,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.random_password import RandomPassword
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.token import (
    AccessTokenResource,
    Creation,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.modules import synapse_access_token
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

WHOAMI, LOGIN, LOGOUT = (f"/_matrix/client/v3/{name}" for name in ("account/whoami", "login", "logout"))
REGISTER, ADMIN = "/_synapse/admin/v1/register", "/_synapse/admin/v1/users/%40robot%3Ax.org/admin"
ROBOT = {"user_id": "@robot:x.org", "device_id": "DEVICE"}
BODY = {
    "type": "m.login.password",
    "identifier": {"type": "m.id.user", "user": "robot"},
    "password": "hunter2",
    "device_id": "DEVICE",
    "initial_device_display_name": "Ansible",
}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[t.Any, ...]]:
    """What the server was asked about before a registration. It accepts everything here; see test_login.py."""
    calls: list[tuple[t.Any, ...]] = []
    monkeypatch.setattr(resource, "require_registration", lambda _client, *given: calls.append(given))
    return calls


@pytest.fixture
def synapse(server: ScriptedServer) -> ScriptedServer:
    """A server that returns its name, accepts the tokens `new` and `other`, and does not accept `old` any more."""
    server.always(
        Call("GET", "/_matrix/key/v2/server", {"server_name": "x.org"}),
        Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401),
        Call("GET", WHOAMI, ROBOT, token="new"),
        Call("GET", WHOAMI, {"user_id": "@other:x.org", "device_id": "D"}, token="other"),
        Call("GET", ADMIN, {"admin": False}, token="new"),
        logins("m.login.sso", "m.login.password"),
    )
    return server


def logins(*types: str) -> Call:
    """The ways to log in that the server allows."""
    return Call("GET", LOGIN, {"flows": [{"type": each} for each in types]}, token=None)


def profile(status: int) -> Call:
    answer = {} if status == 200 else {"errcode": "M_NOT_FOUND", "error": "Profile was not found"}
    return Call("GET", "/_matrix/client/v3/profile/%40robot%3Ax.org", answer, status)


def quoted(localpart: str) -> str:
    return urllib.parse.quote(f"@{localpart}:x.org", safe="")


def login(answer: t.Any = None, status: int = 200) -> Call:
    return Call("POST", LOGIN, answer or {**ROBOT, "access_token": "new"}, status, body=BODY, token=None)


def token_of(
    server: ScriptedServer, *, user_id: str | None = "robot", password: str | None = "hunter2", **options: t.Any
) -> AccessTokenResource:
    return AccessTokenResource(Client(server.base_url), Login(user_id, password, "DEVICE", "Ansible"), **options)


def carry_out(resource: AccessTokenResource) -> dict[str, t.Any]:
    """Do the same as the runner. Return the token, `account_created` and the steps."""
    plan = resource.plan()
    steps = [step.description for step in plan.steps]
    assert (plan.before != plan.after) == plan.changed
    assert not any(secret in f"{plan.before} {plan.after} {steps}" for secret in ("hunter2", "new", "s3cret"))
    if plan.changed:
        plan.execute()
        resource.verify(plan)
    result = resource.result(plan, plan.changed)
    assert set(result) == {"token", "account_created"}
    assert None not in result["token"].values()
    return {**result["token"], "account_created": result["account_created"], "steps": steps}


def creation(*, admin: bool) -> Creation:
    return Creation(lambda: "s3cret", admin)


def written(path: pathlib.Path, token: str, mode: int = 0o600) -> str:
    path.write_text(f"{token}\n", encoding="ascii")
    path.chmod(mode)
    return str(path)


def full(path: str, _text: str) -> t.NoReturn:
    """A disk without free space."""
    raise OSError(errno.ENOSPC, "No space left on device", path)


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("admin", "mac"),
    [(True, "794414a0f62558cd1e6dd126f45fde2dcd7c2754"), (False, "02247475929f6a8da5add95793b5cf023cb891e1")],
)
def test_registration_mac(admin: bool, mac: str) -> None:
    assert registration_mac("s3cret", "n0nce", NewAccount("robot", "päss", admin)) == mac


class TestLogin:
    def test_returns_the_token(self, synapse: ScriptedServer) -> None:
        synapse.expect(login())
        assert carry_out(token_of(synapse)) == {
            "user_id": "@robot:x.org",
            "device_id": "DEVICE",
            "admin": False,
            "account_created": False,
            "access_token": "new",
            "steps": ["log in as @robot:x.org"],
        }

    def test_keeps_the_token_in_a_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        synapse.expect(login())
        result = carry_out(token_of(synapse, path=str(path)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)
        assert result == {
            "user_id": "@robot:x.org",
            "device_id": "DEVICE",
            "admin": False,
            "account_created": False,
            "access_token_path": str(path),
            "steps": ["log in as @robot:x.org"],
        }
        assert list(tmp_path.iterdir()) == [path]

    def test_predicts_without_a_login(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        resource = token_of(synapse, path=str(tmp_path / "token"))
        plan = resource.plan()
        assert plan.changed
        predicted = {"user_id": "@robot:x.org", "device_id": "DEVICE", "access_token_path": str(tmp_path / "token")}
        assert resource.result(plan, False) == {"token": predicted, "account_created": False}
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("mode", [0o600, 0o644])
    def test_replaces_a_token_that_does_not_work(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, mode: int
    ) -> None:
        path = tmp_path / "token"
        synapse.expect(login())
        carry_out(token_of(synapse, path=written(path, "old", mode)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    @pytest.mark.parametrize(("user_id", "shown"), [("robot", {}), ("@robot:x.org", {"user_id": "@robot:x.org"})])
    def test_predicts_no_user_id_if_the_server_does_not_return_its_name(
        self, server: ScriptedServer, user_id: str, shown: dict[str, str]
    ) -> None:
        server.always(
            Call("GET", "/_matrix/key/v2/server", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404),
            logins("m.login.password"),
        )
        resource = token_of(server, user_id=user_id)
        assert resource.result(resource.plan(), False)["token"] == {**shown, "device_id": "DEVICE"}

    def test_does_not_need_the_name_of_the_server(self, server: ScriptedServer) -> None:
        server.always(
            Call("GET", "/_matrix/key/v2/server", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404),
            Call("GET", WHOAMI, ROBOT, token="new"),
            Call("GET", ADMIN, {"admin": True}, token="new"),
            logins("m.login.password"),
        )
        server.expect(login())
        result = carry_out(token_of(server))
        assert (result["user_id"], result["admin"], result["steps"]) == ("@robot:x.org", True, ["log in as robot"])

    def test_leaves_admin_out_if_the_server_does_not_return_it(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404))
        synapse.expect(login())
        assert "admin" not in carry_out(token_of(synapse))

    def test_names_the_possible_reasons_of_a_refusal(self, synapse: ScriptedServer) -> None:
        synapse.expect(login({"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}, 403))
        with pytest.raises(errors.PermissionDenied) as caught:
            carry_out(token_of(synapse))
        assert "the account robot does not exist or is deactivated, or the password is wrong" in caught.value.message
        assert "hunter2" not in caught.value.message

    @pytest.mark.parametrize("known", [None, "old"])
    @pytest.mark.parametrize(
        ("user_id", "password", "message"),
        [
            ("robot", None, "no valid access token of @robot:x.org to reuse. Set password to log in"),
            ("robot", "", "no valid access token of @robot:x.org to reuse. Set password to log in"),
            (None, "hunter2", "no valid access token to reuse. Set user_id to log in"),
            (None, None, "no valid access token to reuse. Set user_id and password to log in"),
        ],
    )
    def test_needs_an_account_and_its_password(
        self, synapse: ScriptedServer, known: str | None, user_id: str | None, password: str | None, message: str
    ) -> None:
        with pytest.raises(errors.InvalidInput, match=message):
            token_of(synapse, user_id=user_id, password=password, known_token=known).plan()

    @pytest.mark.parametrize("types", [(), ("m.login.sso", "m.login.token")])
    def test_needs_a_server_that_allows_passwords(self, synapse: ScriptedServer, types: tuple[str, ...]) -> None:
        synapse.always(logins(*types))
        with pytest.raises(errors.InvalidInput, match="does not allow logins with a password.*token of @robot:x.org"):
            token_of(synapse).plan()

    def test_fails_if_the_server_does_not_accept_the_new_token(self, synapse: ScriptedServer) -> None:
        synapse.expect(login({**ROBOT, "access_token": "old"}))
        with pytest.raises(errors.StateNotReached, match="returned an access token for @robot:x.org, but does not"):
            carry_out(token_of(synapse))

    def test_logs_out_a_token_that_cannot_be_written(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resource = token_of(synapse, path=str(tmp_path / "token"))
        plan = resource.plan()
        monkeypatch.setattr(f"{AccessTokenResource.__module__}.write_private", full)
        synapse.expect(login(), Call("POST", LOGOUT, token="new"))
        said = "No space left on device.*was logged out again, together with the device DEVICE"
        with pytest.raises(errors.SynapseError, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is False

    def test_reports_a_token_that_could_neither_be_written_nor_logged_out(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resource = token_of(synapse, path=str(tmp_path / "token"))
        plan = resource.plan()
        monkeypatch.setattr(f"{AccessTokenResource.__module__}.write_private", full)
        refused = Call("POST", LOGOUT, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500, token="new")
        synapse.expect(login(), refused, refused)
        said = "No space left on device.*still valid: remove the device DEVICE of @robot:x.org. The logout.*Broken"
        with pytest.raises(errors.SynapseError, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        assert "access token new" not in caught.value.message

    def test_does_not_log_in_if_the_directory_is_missing(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        directory = tmp_path / "directory"
        directory.mkdir()
        plan = token_of(synapse, path=str(directory / "token")).plan()
        directory.rmdir()
        with pytest.raises(errors.SynapseError, match="/directory does not exist, create it first"):
            plan.execute()

    def test_does_not_guess_the_result_of_a_login_without_a_response(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse)
        plan = resource.plan()
        synapse.expect(dataclasses.replace(login(), drop=True))
        with pytest.raises(
            errors.ConnectionFailed, match="unknown whether this is done: log in as @robot:x.org"
        ) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True


class TestReuse:
    @pytest.mark.parametrize("password", ["hunter2", None])
    def test_of_the_token_in_the_file(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, password: str | None
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, password=password, path=written(path, "new"), known_token="old"))
        assert (result["steps"], result["device_id"], result["admin"]) == ([], "DEVICE", False)

    def test_of_the_given_token_if_that_of_the_file_is_not_valid(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, path=written(path, "old"), known_token="new"))
        assert result["steps"] == [f"write the access token to {path}"]
        assert path.read_text(encoding="ascii") == "new\n"

    @pytest.mark.parametrize("user_id", ["robot", "@robot:x.org", "Robot", None])
    def test_of_the_given_token(self, synapse: ScriptedServer, user_id: str | None) -> None:
        result = carry_out(token_of(synapse, user_id=user_id, password=None, known_token="new"))
        # Without the token itself: Ansible would censor it.
        assert result == {
            "user_id": "@robot:x.org",
            "device_id": "DEVICE",
            "admin": False,
            "account_created": False,
            "steps": [],
        }

    def test_of_the_token_of_any_account_if_none_is_declared(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        synapse.always(Call("GET", "/_synapse/admin/v1/users/%40other%3Ax.org/admin", {"admin": True}, token="other"))
        path = written(tmp_path / "token", "other")
        result = carry_out(token_of(synapse, user_id=None, password=None, path=path))
        assert (result["user_id"], result["admin"], result["steps"]) == ("@other:x.org", True, [])

    def test_not_of_a_given_token_of_another_account(self, synapse: ScriptedServer) -> None:
        synapse.expect(login())
        assert carry_out(token_of(synapse, known_token="other"))["steps"] == ["log in as @robot:x.org"]

    def test_writes_the_given_token_to_the_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        carry_out(token_of(synapse, known_token="new", path=str(path)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o400, 0o700])
    def test_sets_the_mode_of_the_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path, mode: int) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, path=written(path, "new", mode)))
        assert result["steps"] == [f"set the mode of {path} to 0600"]
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    def test_not_of_the_file_of_another_account(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        with pytest.raises(errors.InvalidInput, match="belongs to @other:x.org, not to @robot:x.org. Use a sep"):
            token_of(synapse, path=written(path, "other")).plan()
        assert path.read_text(encoding="ascii") == "other\n"

    def test_not_of_the_token_of_a_locked_account(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_USER_LOCKED", "error": "Locked"}, 401, token="locked"))
        with pytest.raises(errors.AuthenticationFailed, match="is locked"):
            token_of(synapse, known_token="locked").plan()

    def test_not_if_the_server_does_not_return_whether_it_is_valid(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500, token="new"))
        with pytest.raises(errors.ApiError, match="500"):
            token_of(synapse, known_token="new").plan()


class TestAbsent:
    @pytest.mark.parametrize("user_id", ["robot", None])
    def test_logs_out_and_removes_the_file(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, user_id: str | None
    ) -> None:
        path = tmp_path / "token"
        resource = token_of(synapse, user_id=user_id, present=False, password=None, path=written(path, "new"))
        plan = resource.plan()
        shown = {"user_id": "@robot:x.org", "device_id": "DEVICE", "access_token_path": str(path), "mode": "0600"}
        assert (plan.before, plan.after) == ({**shown, "password_path": None}, None)
        synapse.expect(Call("POST", LOGOUT, token="new"))
        plan.execute()
        assert not path.exists()
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401, token="new"))
        resource.verify(plan)
        assert resource.result(plan, True) == {"token": {}, "account_created": False}

    @pytest.mark.parametrize("errcode", ["M_UNKNOWN_TOKEN", "M_USER_LOCKED"])
    def test_accepts_that_the_token_was_logged_out_meanwhile(self, synapse: ScriptedServer, errcode: str) -> None:
        resource = token_of(synapse, present=False, known_token="new")
        plan = resource.plan()
        gone = {"errcode": errcode, "error": "?"}
        synapse.expect(Call("POST", LOGOUT, gone, 401, token="new"))
        if errcode == "M_USER_LOCKED":
            with pytest.raises(errors.AuthenticationFailed):
                plan.execute()
            return
        plan.execute()
        synapse.always(Call("GET", WHOAMI, gone, 401, token="new"))
        resource.verify(plan)

    def test_notices_that_a_logout_without_a_response_was_done(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse, present=False, known_token="new")
        plan = resource.plan()
        synapse.expect(Call("POST", LOGOUT, token="new", drop=True))
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401, token="new"))
        with pytest.raises(errors.ConnectionFailed, match="this is done: log out the access token"):
            _execution.carry_out(resource, plan)

    def test_fails_if_the_token_is_still_valid(self, synapse: ScriptedServer) -> None:
        synapse.expect(Call("POST", LOGOUT, token="new"))
        with pytest.raises(errors.StateNotReached, match="token of @robot:x.org is still valid"):
            carry_out(token_of(synapse, present=False, known_token="new"))

    def test_removes_the_file_of_a_token_that_is_not_valid(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, present=False, path=written(path, "old")))
        assert result["steps"] == [f"remove {path}"]
        assert not path.exists()

    @pytest.mark.parametrize("user_id", ["robot", None])
    @pytest.mark.parametrize("exists", [True, False])
    def test_does_not_log_out_a_given_token_if_a_file_is_declared(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, exists: bool, user_id: str | None
    ) -> None:
        path = tmp_path / "token"
        if exists:
            written(path, "old")
        result = carry_out(token_of(synapse, user_id=user_id, present=False, path=str(path), known_token="new"))
        assert result["steps"] == ([f"remove {path}"] if exists else [])

    def test_keeps_the_file_if_the_logout_fails(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        plan = token_of(synapse, present=False, path=written(path, "new")).plan()
        synapse.expect(Call("POST", LOGOUT, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500))
        with pytest.raises(errors.ApiError):
            plan.execute()
        assert path.exists()

    @pytest.mark.parametrize("known", [None, "old"])
    @pytest.mark.parametrize("in_file", [True, False])
    @pytest.mark.parametrize("user_id", ["robot", None])
    def test_has_nothing_to_do(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, known: str | None, in_file: bool, user_id: str | None
    ) -> None:
        path = str(tmp_path / "token") if in_file else None
        resource = token_of(synapse, user_id=user_id, present=False, known_token=known, path=path)
        assert carry_out(resource) == {"account_created": False, "steps": []}

    @pytest.mark.parametrize("stored", [True, False])
    def test_does_not_log_out_another_account(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, stored: bool
    ) -> None:
        place = {"path": written(tmp_path / "token", "other")} if stored else {"known_token": "other"}
        with pytest.raises(errors.InvalidInput, match="belongs to @other:x.org"):
            token_of(synapse, present=False, **place).plan()


class TestCreation:
    NONCE = Call("GET", REGISTER, {"nonce": "n0nce"}, token=None)

    def creating(self, server: ScriptedServer, *, user_id: str = "robot", admin: bool = False) -> AccessTokenResource:
        return token_of(server, user_id=user_id, password="hunter2", creation=creation(admin=admin))

    def request(self, answer: t.Any = None, status: int = 200, *, admin: bool = False) -> Call:
        body = {
            "nonce": "n0nce",
            "username": "robot",
            "password": "hunter2",
            "admin": admin,
            "mac": registration_mac("s3cret", "n0nce", NewAccount("robot", "hunter2", admin)),
            "device_id": "DEVICE",
            "initial_device_display_name": "Ansible",
        }
        return Call("POST", REGISTER, answer or {**ROBOT, "access_token": "new"}, status, body=body, token=None)

    def test_of_an_account_that_does_not_exist(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"admin": True}, token="new"))
        # The answer contains the token, so that no login is needed, which the server may not allow or limit.
        synapse.always(logins())
        synapse.expect(profile(404))
        plan = self.creating(synapse, admin=True).plan()
        assert (plan.before or {})["account_exists"] is False
        assert (plan.after or {})["account_exists"] is True
        synapse.expect(profile(404), self.NONCE, self.request(admin=True))
        result = carry_out(self.creating(synapse, admin=True))
        assert (result["account_created"], result["admin"], result["access_token"]) == (True, True, "new")
        assert result["steps"] == ["create the account @robot:x.org and log in"]

    def test_logs_in_if_the_answer_contains_no_token(self, synapse: ScriptedServer) -> None:
        synapse.expect(profile(404), self.NONCE, self.request({"user_id": "@robot:x.org"}), login())
        assert carry_out(self.creating(synapse))["access_token"] == "new"

    @pytest.mark.parametrize("shown", [True, False])
    def test_with_a_random_password(
        self, synapse: ScriptedServer, monkeypatch: pytest.MonkeyPatch, shown: bool
    ) -> None:
        monkeypatch.setattr("secrets.token_urlsafe", lambda _size: "hunter2")
        synapse.expect(profile(404 if shown else 403), self.NONCE, self.request())
        result = carry_out(token_of(synapse, password=None, creation=creation(admin=False)))
        assert (result["account_created"], result["access_token"]) == (True, "new")

    def test_makes_another_password_for_each_account(
        self, synapse: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passwords = set()

        def register(_client: Client, _secret: str, account: NewAccount, _device: Login) -> dict[str, str]:
            passwords.add(account.password)
            return {**ROBOT, "access_token": "new"}

        monkeypatch.setattr(f"{AccessTokenResource.__module__}.register", register)
        for _number in range(2):
            synapse.expect(profile(404))
            carry_out(token_of(synapse, password=None, creation=creation(admin=False)))
        assert len(passwords) == 2
        assert min(map(len, passwords)) >= 43

    @pytest.mark.parametrize("shown", [True, False])
    def test_needs_the_password_of_an_account_that_exists(
        self, synapse: ScriptedServer, monkeypatch: pytest.MonkeyPatch, shown: bool
    ) -> None:
        """Check mode predicts it if the server shows profiles."""
        resource = token_of(synapse, password=None, creation=creation(admin=False))
        said = "no valid access token of @robot:x.org to reuse. Set password to log in. create only sets"
        if shown:
            synapse.expect(profile(200))
            with pytest.raises(errors.InvalidInput, match=said):
                resource.plan()
            return
        synapse.expect(profile(403))
        plan = resource.plan()
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        monkeypatch.setattr("secrets.token_urlsafe", lambda _size: "hunter2")
        synapse.expect(self.NONCE, taken, profile(403))
        with pytest.raises(errors.InvalidInput, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is False

    @pytest.mark.parametrize("password", [None, "hunter2"])
    def test_whose_token_cannot_be_written_is_logged_out(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, password: str | None
    ) -> None:
        synapse.expect(profile(404))
        path = str(tmp_path / "token")
        resource = token_of(synapse, password=password, path=path, creation=creation(admin=False))
        plan = resource.plan()
        monkeypatch.setattr("secrets.token_urlsafe", lambda _size: "hunter2")
        monkeypatch.setattr(f"{AccessTokenResource.__module__}.write_private", full)
        synapse.expect(self.NONCE, self.request(), Call("POST", LOGOUT, token="new"), profile(200))
        with pytest.raises(errors.SynapseError, match="was logged out again") as caught:
            _execution.carry_out(resource, plan)
        details = caught.value.details
        assert (details["changed"], details["steps"], details["outcome"]) == (True, [], "partly_done")
        assert "The account robot was created before the login" in caught.value.message
        kept = tmp_path / "token.password"
        assert (f"random password of the new account is kept in {kept}" in caught.value.message) is (not password)
        assert kept.exists() is (not password)
        # The next run logs in with that password.
        monkeypatch.undo()
        synapse.expect(profile(200), login())
        again = token_of(synapse, password=password, path=path, creation=creation(admin=False))
        assert carry_out(again)["steps"] == ["log in as @robot:x.org"]
        assert list(tmp_path.iterdir()) == [tmp_path / "token"]

    @pytest.mark.parametrize("allowed", [True, False])
    def test_that_was_interrupted_is_completed_by_the_next_run(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
    ) -> None:
        """Also where the server does not allow logins, which the next run then reports."""
        if not allowed:
            synapse.always(logins())
        monkeypatch.setattr("secrets.token_urlsafe", lambda _size: "hunter2")
        path = tmp_path / "token"

        def declared(**other: t.Any) -> AccessTokenResource:
            return token_of(
                synapse, **{"password": None, "path": str(path), "creation": creation(admin=False), **other}
            )

        synapse.expect(profile(404))
        resource = declared()
        plan = resource.plan()
        synapse.expect(self.NONCE, dataclasses.replace(self.request(), drop=True), profile(200))
        with pytest.raises(errors.ConnectionFailed, match="this is partly done: create the account @robot:x.org and"):
            _execution.carry_out(resource, plan)
        kept = tmp_path / "token.password"
        assert (mode_of(kept), list(tmp_path.iterdir())) == (0o600, [kept])
        assert "hunter2" not in f"{plan}"
        if not allowed:
            synapse.expect(profile(200))
            with pytest.raises(errors.InvalidInput, match="does not allow logins.*an account that does not exist"):
                declared().plan()
            # Another account gets another password.
            with pytest.raises(errors.InvalidInput, match="no valid access token"):
                declared(user_id="other", creation=None).plan()
            assert carry_out(declared(present=False))["steps"] == [f"remove {kept}"]
            return
        synapse.expect(profile(200), login())
        assert carry_out(declared())["steps"] == ["log in as @robot:x.org"]
        assert list(tmp_path.iterdir()) == [path]

    def test_that_was_interrupted_leaves_nothing_next_to_a_valid_token(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        random = RandomPassword("robot", written(tmp_path / "token", "new"))
        random.make()
        result = carry_out(token_of(synapse, password=None, path=str(tmp_path / "token")))
        assert result["steps"] == [f"remove {random.path}"]
        assert list(tmp_path.iterdir()) == [tmp_path / "token"]

    @pytest.mark.parametrize("content", ["hunter2\n", "{}", "[]", '{"written_by": "another program"}'])
    def test_does_not_replace_a_file_of_others(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, content: str
    ) -> None:
        path = written(tmp_path / "token.password", content)
        declared: dict[str, t.Any] = {"path": str(tmp_path / "token"), "creation": creation(admin=False)}
        synapse.expect(profile(404))
        with pytest.raises(errors.InvalidInput, match="token.password was not written by this module"):
            token_of(synapse, password=None, **declared).plan()
        # It does not matter where no random password is needed.
        synapse.expect(profile(404), self.NONCE, self.request())
        carry_out(token_of(synapse, **declared))
        assert carry_out(token_of(synapse, password=None, **declared))["steps"] == []
        assert pathlib.Path(path).read_text(encoding="ascii") == f"{content}\n"

    def test_does_not_replace_a_file_that_another_program_has_written_meanwhile(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        synapse.expect(profile(404))
        plan = token_of(synapse, password=None, path=str(tmp_path / "token"), creation=creation(admin=False)).plan()
        path = written(tmp_path / "token.password", "theirs")
        with pytest.raises(errors.InvalidInput, match="token.password was not written by this module"):
            plan.execute()
        assert pathlib.Path(path).read_text(encoding="ascii") == "theirs\n"

    def test_keeps_no_password_of_an_account_that_exists(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secrets.token_urlsafe", lambda _size: "hunter2")
        synapse.expect(profile(403))
        resource = token_of(synapse, password=None, path=str(tmp_path / "token"), creation=creation(admin=False))
        plan = resource.plan()
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(self.NONCE, taken, profile(403))
        with pytest.raises(errors.InvalidInput, match="Set password to log in"):
            _execution.carry_out(resource, plan)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("user_id", "said"), [("12", "digits only is reserved for guests"), ("a[b]", "can only contain a-z")]
    )
    def test_of_a_name_that_synapse_refuses(self, synapse: ScriptedServer, user_id: str, said: str) -> None:
        synapse.always(Call("GET", f"/_matrix/client/v3/profile/{quoted(user_id)}", {"errcode": "M_NOT_FOUND"}, 404))
        with pytest.raises(errors.InvalidInput, match=said):
            self.creating(synapse, user_id=user_id).plan()

    def test_is_not_sent_if_the_directory_is_missing(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        directory = tmp_path / "directory"
        directory.mkdir()
        synapse.expect(profile(404))
        plan = token_of(synapse, path=str(directory / "token"), creation=creation(admin=False)).plan()
        directory.rmdir()
        with pytest.raises(errors.SynapseError, match="/directory does not exist, create it first"):
            plan.execute()

    def test_not_of_an_account_that_exists(self, synapse: ScriptedServer) -> None:
        synapse.expect(profile(200), login())
        result = carry_out(self.creating(synapse))
        assert (result["account_created"], result["steps"]) == (False, ["log in as @robot:x.org"])

    def test_if_profiles_are_not_shown(self, synapse: ScriptedServer) -> None:
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(profile(403), self.NONCE, taken, login())
        result = carry_out(self.creating(synapse))
        assert result["account_created"] is False
        assert result["steps"] == ["create the account @robot:x.org if it does not exist, and log in"]

    def test_of_an_existing_account_is_not_a_change(self, synapse: ScriptedServer) -> None:
        """If profiles are not shown, only the attempt shows that the account exists."""
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(profile(403))
        resource = self.creating(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, taken, login({"errcode": "M_FORBIDDEN", "error": "Invalid password"}, 403))
        synapse.expect(profile(403))
        with pytest.raises(errors.PermissionDenied) as caught:
            _execution.carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    @pytest.mark.parametrize("shown", [True, False])
    def test_is_reported_if_the_login_fails_after_it(self, synapse: ScriptedServer, shown: bool) -> None:
        status = 404 if shown else 403
        synapse.expect(profile(status))
        resource = self.creating(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, self.request({"user_id": "@robot:x.org"}))
        synapse.expect(login({"errcode": "M_FORBIDDEN", "error": "No logins"}, 403))
        synapse.expect(profile(200 if shown else 403))
        with pytest.raises(errors.PermissionDenied, match="The account robot was created before the login") as caught:
            _execution.carry_out(resource, plan)
        outcome = "partly_done" if shown else "unknown"
        details = caught.value.details
        assert (details["changed"], details["steps"], details["outcome"]) == (True, [], outcome)

    def test_asks_once_whether_the_server_accepts_it(
        self, synapse: ScriptedServer, asked: list[tuple[t.Any, ...]]
    ) -> None:
        synapse.expect(profile(404))
        resource = self.creating(synapse)
        plan = resource.plan()
        assert asked == [("s3cret",)]
        synapse.expect(self.NONCE, dataclasses.replace(self.request(), drop=True), profile(404))
        with pytest.raises(errors.ConnectionFailed) as caught:
            _execution.carry_out(resource, plan)
        # Who has set the password knows it.
        assert "random password" not in caught.value.message
        assert asked == [("s3cret",)]

    @pytest.mark.parametrize("shown", [True, False])
    def test_without_a_response_is_looked_for(self, synapse: ScriptedServer, shown: bool) -> None:
        synapse.expect(profile(404 if shown else 403))
        resource = self.creating(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, dataclasses.replace(self.request(), drop=True), profile(200 if shown else 403))
        said = (
            "this is partly done: create the account @robot.* and log in"
            if shown
            else "unknown whether this is done: create the account @robot.* if it does"
        )
        with pytest.raises(errors.ConnectionFailed, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        # The next run finds the account, and only logs in.
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(*((profile(200),) if shown else (profile(403), self.NONCE, taken)), login())
        assert carry_out(self.creating(synapse))["account_created"] is False

    def test_not_while_there_is_a_token(self, synapse: ScriptedServer) -> None:
        def unreadable() -> t.NoReturn:
            raise AssertionError("the configuration was read")

        resource = token_of(synapse, known_token="new", creation=Creation(unreadable, False, unreadable))
        assert carry_out(resource)["steps"] == []

    def test_needs_the_secret_before_anything_is_sent(self, synapse: ScriptedServer) -> None:
        def unreadable() -> t.NoReturn:
            raise errors.InvalidInput("no secret")

        with pytest.raises(errors.InvalidInput, match="no secret"):
            token_of(synapse, creation=Creation(unreadable, False)).plan()

    @pytest.mark.parametrize(("user_id", "said"), [("robot", None), ("@robot:y.org", "of the server y.org")])
    def test_uses_the_server_name_of_the_configuration(
        self, server: ScriptedServer, user_id: str, said: str | None
    ) -> None:
        server.always(Call("GET", "/_matrix/key/v2/server", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404))
        resource = token_of(server, user_id=user_id, creation=Creation(lambda: "s3cret", False, lambda: "x.org"))
        if said:
            with pytest.raises(errors.InvalidInput, match=said):
                resource.plan()
            return
        server.expect(profile(404))
        steps = [step.description for step in resource.plan().steps]
        assert steps == ["create the account @robot:x.org and log in"]

    @pytest.mark.parametrize(
        ("answer", "status", "said"),
        [
            ({"errcode": "M_UNKNOWN", "error": "HMAC incorrect"}, 403, "did not accept the registration_shared_secret"),
            (
                {"errcode": "M_UNKNOWN", "error": "Shared secret registration is not enabled"},
                400,
                "configuration of this server has no registration_shared_secret",
            ),
            ({"errcode": "M_INVALID_USERNAME", "error": "Bad name"}, 400, "400 M_INVALID_USERNAME: Bad name"),
        ],
    )
    def test_reports_why_it_was_refused(self, synapse: ScriptedServer, answer: t.Any, status: int, said: str) -> None:
        synapse.expect(profile(404), self.NONCE, self.request(answer, status))
        with pytest.raises(errors.SynapseError, match=said) as caught:
            carry_out(self.creating(synapse))
        assert "s3cret" not in f"{caught.value} {caught.value.details}"

    @pytest.mark.parametrize("kept", [True, False])
    def test_is_done_although_the_token_was_refused(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, kept: bool
    ) -> None:
        refused = {"errcode": "M_RESOURCE_LIMIT_EXCEEDED", "error": "Monthly Active User Limit Exceeded"}
        synapse.expect(profile(404), self.NONCE, Call("POST", REGISTER, refused, 403), profile(200))
        path = str(tmp_path / "token") if kept else None
        resource = token_of(synapse, password=None, path=path, creation=creation(admin=False))
        with pytest.raises(errors.PermissionDenied) as caught:
            _execution.carry_out(resource, resource.plan())
        message = caught.value.message
        assert "this is partly done: create the account @robot:x.org and log in" in message
        assert "was not created" not in message
        assert ("its random password is kept in" in message) is kept
        assert ("its random password is lost" in message) is not kept
        assert (caught.value.details["changed"], caught.value.details["outcome"]) == (True, "partly_done")

    @pytest.mark.parametrize(("server_name", "refused"), [("x.org", True), ("y.org", False)])
    def test_by_the_configuration_of_its_server(self, synapse: ScriptedServer, server_name: str, refused: bool) -> None:
        settings = {"server_name": server_name, "hs_disabled": True}
        known = Configuration((ConfigurationFile("homeserver.yaml", settings),))
        given = Creation(lambda: "s3cret", False, configuration=lambda: known)
        synapse.expect(profile(404))
        resource = token_of(synapse, creation=given)
        if refused:
            with pytest.raises(errors.InvalidInput, match=r"homeserver\.yaml disables this server \(hs_disabled\)"):
                resource.plan()
        else:
            assert resource.plan().changed

    def test_with_an_underscore_is_refused_by_the_server_alone(self, synapse: ScriptedServer) -> None:
        body = {"errcode": "M_INVALID_USERNAME", "error": "User ID may not begin with _"}
        synapse.expect(Call("GET", "/_matrix/client/v3/profile/%40_robot%3Ax.org", body, 404), self.NONCE)
        synapse.expect(Call("POST", REGISTER, body, 400))
        with pytest.raises(errors.ApiError, match="may not begin with _.*The account _robot was not created"):
            carry_out(self.creating(synapse, user_id="_robot"))

    def test_logs_out_an_account_that_is_not_an_admin(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        synapse.expect(profile(200))
        resource = token_of(synapse, path=str(path), creation=creation(admin=True))
        plan = resource.plan()
        synapse.expect(login(), Call("POST", LOGOUT, token="new"), profile(200))
        with pytest.raises(errors.InvalidInput, match="already exists and is not a server admin") as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is False
        assert not path.exists()

    def test_is_not_needed_to_require_an_admin(self, synapse: ScriptedServer) -> None:
        with pytest.raises(errors.InvalidInput, match="@robot:x.org is not a server admin, but admin is true"):
            token_of(synapse, known_token="new", admin=True).plan()
        synapse.always(Call("GET", ADMIN, {"admin": True}, token="new"))
        assert carry_out(token_of(synapse, known_token="new", admin=True))["admin"] is True

    def test_does_not_fail_if_the_server_does_not_return_admins(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404, token="new"))
        assert "admin" not in carry_out(token_of(synapse, known_token="new", admin=True))

    def test_fails_if_an_existing_account_is_not_an_admin(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse, known_token="new", creation=creation(admin=True))
        with pytest.raises(errors.InvalidInput, match="already exists and is not a server admin"):
            resource.plan()

    @pytest.mark.parametrize(
        ("user_id", "said"),
        [("Robot", "Robot cannot be created.*capital letters. Set robot"), ("@robot:y.org", "server y.org")],
    )
    def test_refuses_before_anything_is_sent(self, synapse: ScriptedServer, user_id: str, said: str) -> None:
        with pytest.raises(errors.InvalidInput, match=said):
            self.creating(synapse, user_id=user_id).plan()


class TestFile:
    def test_cannot_be_in_a_directory_that_does_not_exist(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        with pytest.raises(errors.InvalidInput, match=f"the directory {tmp_path}/missing does not exist"):
            token_of(synapse, path=str(tmp_path / "missing" / "token")).plan()

    def test_cannot_be_a_directory(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.SynapseError, match=str(tmp_path)):
            token_of(synapse, path=str(tmp_path)).plan()

    def test_cannot_be_in_a_directory_that_is_read_only(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Root may write everywhere, so the answers of the kernel are replaced.
        monkeypatch.setattr("os.access", lambda *_arguments, **_options: False)
        monkeypatch.setattr("os.geteuid", lambda: 4242)
        with pytest.raises(errors.InvalidInput, match=f"the directory {tmp_path} is read-only for this user"):
            token_of(synapse, path=str(tmp_path / "token")).plan()

    def test_of_bytes_that_are_not_text(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        (tmp_path / "token").write_bytes(b"\xff\xfe")
        with pytest.raises(errors.SynapseError, match="is not text"):
            token_of(synapse, path=str(tmp_path / "token")).plan()

    @pytest.mark.parametrize("content", ["", "\n"])
    def test_that_is_empty_is_filled(self, synapse: ScriptedServer, tmp_path: pathlib.Path, content: str) -> None:
        path = tmp_path / "token"
        path.write_text(content, encoding="ascii")
        synapse.expect(login())
        carry_out(token_of(synapse, path=str(path)))
        assert path.read_text(encoding="ascii") == "new\n"


class TestWhereTheFileIs:
    @pytest.mark.parametrize("present", [True, False])
    def test_not_where_other_users_could_replace_it(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, present: bool
    ) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        written(theirs / "token", "new")
        (theirs / "link").symlink_to("token")
        with pytest.raises(errors.SynapseError, match="/link is a symbolic link, which is not followed"):
            token_of(synapse, present=present, path=str(theirs / "link")).plan()
        if os.geteuid() == 0:
            os.chown(theirs, 4711, 4711)
            with pytest.raises(
                errors.InvalidInput, match="/theirs belongs to 4711, who could exchange what root writes"
            ):
                token_of(synapse, present=present, path=str(theirs / "token")).plan()
        assert (theirs / "token").read_text(encoding="ascii") == "new\n"

    def test_mode_of_another_name_of_the_file_does_not_change(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = written(tmp_path / "token", "new", 0o644)
        os.link(path, tmp_path / "other")
        carry_out(token_of(synapse, path=path))
        assert (mode_of(tmp_path / "token"), mode_of(tmp_path / "other")) == (0o600, 0o644)


def declared(synapse: ScriptedServer, **given: t.Any) -> AccessTokenResource:
    """Return the resource that the module makes of its options."""
    names = ("access_token", "access_token_path", "ca_path", "password", "registration_shared_secret")
    parameters = {
        **dict.fromkeys(names),
        "base_url": synapse.base_url,
        "config_path": ["/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d"],
        "user_id": "robot",
        "device_id": "DEVICE",
        "device_display_name": "Ansible",
        "state": "present",
        "create": False,
        "admin": False,
        "validate_certs": True,
        "timeout": 30,
        "rate_limit_retry_timeout": 0,
        "unix_socket": None,
        **given,
    }
    return synapse_access_token.declare(parameters)


class TestModule:
    def test_requires_an_admin_also_without_create(self, synapse: ScriptedServer) -> None:
        with pytest.raises(errors.InvalidInput, match="is not a server admin, but admin is true"):
            declared(synapse, access_token="new", admin=True).plan()

    def test_reads_no_configuration_if_it_is_not_needed(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        ended = {"state": "absent", "user_id": None, "access_token_path": str(tmp_path / "token")}
        for more in ({"access_token": "new"}, ended):
            missing = ["/nonexistent/homeserver.yaml"]
            assert carry_out(declared(synapse, create=True, config_path=missing, **more))["steps"] == []

    @pytest.mark.parametrize("given", [{}, {"access_token": "new", "access_token_path": "/root/token"}])
    def test_logs_out_exactly_one_token(self, synapse: ScriptedServer, given: dict[str, t.Any]) -> None:
        with pytest.raises(errors.InvalidInput, match="state=absent (needs a token to log out|logs out one token)"):
            declared(synapse, state="absent", **given)

    def test_needs_no_configuration_with_a_secret(self, synapse: ScriptedServer) -> None:
        synapse.expect(profile(404), TestCreation.NONCE, TestCreation().request())
        given = {"password": "hunter2", "registration_shared_secret": "s3cret"}
        resource = declared(synapse, create=True, config_path=["/nonexistent/homeserver.yaml"], **given)
        assert carry_out(resource)["account_created"] is True

    def test_reads_the_secret_in_the_configuration(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "homeserver.yaml"
        path.write_text("server_name: x.org\nregistration_shared_secret: s3cret\n", encoding="ascii")
        synapse.expect(profile(404), TestCreation.NONCE, TestCreation().request())
        resource = declared(synapse, create=True, config_path=[str(path)], password="hunter2")
        assert carry_out(resource)["account_created"] is True

    def test_reads_the_file_of_the_secret_once(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path, secret = tmp_path / "homeserver.yaml", tmp_path / "secret"
        path.write_text(f"server_name: x.org\nregistration_shared_secret_path: {secret}\n", encoding="ascii")
        secret.write_text("s3cret\n", encoding="ascii")
        resource = declared(synapse, create=True, config_path=[str(path)], password="hunter2")
        synapse.expect(profile(404), profile(404))
        resource.plan()
        secret.unlink()
        assert resource.plan().changed

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "homeserver.yaml does not exist.*because create is true and registration_shared_secret is not set"),
            ("server_name: x.org\n", "create needs the registration_shared_secret.*homeserver.yaml does not set it"),
        ],
    )
    def test_reports_where_the_secret_is_missing(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, content: str | None, said: str
    ) -> None:
        path = tmp_path / "homeserver.yaml"
        if content:
            path.write_text(content, encoding="ascii")
        with pytest.raises(errors.SynapseError, match=said):
            declared(synapse, create=True, config_path=[str(path)], password="hunter2").plan()
