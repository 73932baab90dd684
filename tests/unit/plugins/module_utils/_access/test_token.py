# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A token is reused while it works, never lost, never left where others can read it."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import stat
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    registration_mac,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.token import (
    AccessTokenResource,
    Registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
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


@pytest.fixture
def synapse(server: ScriptedServer) -> ScriptedServer:
    """A server that knows the tokens `old` (not valid any more), `new` and `other`, and says what it is called."""
    server.always(
        Call("GET", "/_matrix/key/v2/server", {"server_name": "x.org"}),
        Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401),
        Call("GET", WHOAMI, ROBOT, token="new"),
        Call("GET", WHOAMI, {"user_id": "@other:x.org", "device_id": "D"}, token="other"),
        Call("GET", ADMIN, {"admin": False}, token="new"),
    )
    return server


def profile(status: int) -> Call:
    answer = {} if status == 200 else {"errcode": "M_NOT_FOUND", "error": "Profile was not found"}
    return Call("GET", "/_matrix/client/v3/profile/%40robot%3Ax.org", answer, status)


def login(answer: t.Any = None, status: int = 200) -> Call:
    return Call("POST", LOGIN, answer or {**ROBOT, "access_token": "new"}, status, body=BODY, token=None)


def token_of(
    server: ScriptedServer, *, user: str = "robot", password: str | None = "hunter2", **options: t.Any
) -> AccessTokenResource:
    return AccessTokenResource(Client(server.base_url), Login(user, password, "DEVICE", "Ansible"), **options)


def carry_out(resource: AccessTokenResource) -> dict[str, t.Any]:
    """Do what the runner does, and return the result with the steps."""
    plan = resource.plan()
    steps = [step.description for step in plan.steps]
    assert (plan.before != plan.after) == plan.changed
    assert not any(secret in f"{plan.before} {plan.after} {steps}" for secret in ("hunter2", "new", "s3cret"))
    if plan.changed:
        plan.execute()
        resource.verify(plan)
    return {**resource.result(plan, plan.changed), "steps": steps}


def written(path: pathlib.Path, token: str, mode: int = 0o600) -> str:
    path.write_text(f"{token}\n", encoding="ascii")
    path.chmod(mode)
    return str(path)


def full(path: str, _text: str) -> t.NoReturn:
    """Stand for a disk without any space."""
    raise OSError(errno.ENOSPC, "No space left on device", path)


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("admin", "mac"),
    [(True, "794414a0f62558cd1e6dd126f45fde2dcd7c2754"), (False, "02247475929f6a8da5add95793b5cf023cb891e1")],
)
def test_proves_that_it_knows_the_secret(admin: bool, mac: str) -> None:
    assert registration_mac("s3cret", "n0nce", NewAccount("robot", "päss", admin)) == mac


class TestLogin:
    def test_returns_the_token(self, synapse: ScriptedServer) -> None:
        synapse.expect(login())
        assert carry_out(token_of(synapse)) == {
            "user_id": "@robot:x.org",
            "device_id": "DEVICE",
            "admin": False,
            "registered": False,
            "access_token_path": None,
            "access_token": "new",
            "steps": ["log in as @robot:x.org"],
        }

    def test_keeps_the_token_in_a_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        synapse.expect(login())
        result = carry_out(token_of(synapse, path=str(path)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)
        assert (result["access_token"], result["access_token_path"]) == (None, str(path))
        assert list(tmp_path.iterdir()) == [path]

    def test_predicts_without_a_login(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        resource = token_of(synapse, path=str(tmp_path / "token"))
        plan = resource.plan()
        assert plan.changed
        result = resource.result(plan, False)
        assert (result["user_id"], result["device_id"], result["access_token"]) == ("@robot:x.org", "DEVICE", None)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("mode", [0o600, 0o644])
    def test_replaces_a_token_that_does_not_work(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, mode: int
    ) -> None:
        path = tmp_path / "token"
        synapse.expect(login())
        carry_out(token_of(synapse, path=written(path, "old", mode)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    def test_does_not_need_to_know_what_the_server_is_called(self, server: ScriptedServer) -> None:
        server.always(
            Call("GET", "/_matrix/key/v2/server", {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404),
            Call("GET", WHOAMI, ROBOT, token="new"),
            Call("GET", ADMIN, {"admin": True}, token="new"),
        )
        server.expect(login())
        result = carry_out(token_of(server))
        assert (result["user_id"], result["admin"], result["steps"]) == ("@robot:x.org", True, ["log in as robot"])

    def test_does_not_know_whether_it_is_an_admin_where_that_is_not_answered(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404))
        synapse.expect(login())
        assert carry_out(token_of(synapse))["admin"] is None

    def test_says_what_may_be_wrong(self, synapse: ScriptedServer) -> None:
        synapse.expect(login({"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}, 403))
        with pytest.raises(errors.PermissionDenied) as caught:
            carry_out(token_of(synapse))
        assert "no account robot, a wrong password, or a deactivated account" in caught.value.message
        assert "hunter2" not in caught.value.message

    def test_needs_a_password(self, synapse: ScriptedServer) -> None:
        with pytest.raises(errors.InvalidInput, match="no password to log in with: set password"):
            token_of(synapse, password=None).plan()

    def test_says_that_the_new_token_does_not_work(self, synapse: ScriptedServer) -> None:
        synapse.expect(login({**ROBOT, "access_token": "old"}))
        with pytest.raises(errors.StateNotReached):
            carry_out(token_of(synapse))

    def test_leaves_no_token_behind_that_nobody_has(
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

    def test_says_that_a_token_that_nobody_has_stays_valid(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resource = token_of(synapse, path=str(tmp_path / "token"))
        plan = resource.plan()
        monkeypatch.setattr(f"{AccessTokenResource.__module__}.write_private", full)
        refused = Call("POST", LOGOUT, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500, token="new")
        synapse.expect(login(), refused, refused)
        said = "No space left on device.*stays valid: remove the device DEVICE of @robot:x.org.*Broken"
        with pytest.raises(errors.SynapseError, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        assert "access token new" not in caught.value.message

    def test_makes_no_token_that_cannot_be_kept(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        directory = tmp_path / "directory"
        directory.mkdir()
        plan = token_of(synapse, path=str(directory / "token")).plan()
        directory.rmdir()
        with pytest.raises(errors.SynapseError, match="/directory does not exist, create it first"):
            plan.execute()

    def test_does_not_say_what_became_of_a_login_without_an_answer(self, synapse: ScriptedServer) -> None:
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

    def test_of_the_token_that_was_given_where_the_one_in_the_file_does_not_work(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, path=written(path, "old"), known_token="new"))
        assert result["steps"] == [f"write the access token to {path}"]
        assert path.read_text(encoding="ascii") == "new\n"

    @pytest.mark.parametrize("user", ["robot", "@robot:x.org", "Robot"])
    def test_of_the_token_that_was_given(self, synapse: ScriptedServer, user: str) -> None:
        result = carry_out(token_of(synapse, user=user, known_token="new"))
        assert result["steps"] == []
        # Ansible would censor what it was given as a secret.
        assert result["access_token"] is None

    def test_puts_the_token_that_was_given_into_the_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        carry_out(token_of(synapse, known_token="new", path=str(path)))
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o400, 0o700])
    def test_closes_the_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path, mode: int) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, path=written(path, "new", mode)))
        assert len(result["steps"]) == 1
        assert (path.read_text(encoding="ascii"), mode_of(path)) == ("new\n", 0o600)

    def test_not_of_the_token_of_somebody_else(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        with pytest.raises(errors.InvalidInput, match="belongs to @other:x.org, not to @robot:x.org"):
            token_of(synapse, path=written(path, "other")).plan()
        assert path.read_text(encoding="ascii") == "other\n"

    def test_not_of_the_token_of_a_locked_account(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_USER_LOCKED", "error": "Locked"}, 401, token="locked"))
        with pytest.raises(errors.AuthenticationFailed, match="is locked"):
            token_of(synapse, known_token="locked").plan()

    def test_not_where_the_server_cannot_say_whether_it_works(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500, token="new"))
        with pytest.raises(errors.ApiError, match="500"):
            token_of(synapse, known_token="new").plan()


class TestAbsent:
    def test_logs_out_and_removes_the_file(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        resource = token_of(synapse, present=False, password=None, path=written(path, "new"))
        plan = resource.plan()
        synapse.expect(Call("POST", LOGOUT, token="new"))
        plan.execute()
        assert not path.exists()
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401, token="new"))
        resource.verify(plan)
        assert resource.result(plan, True)["device_id"] is None

    @pytest.mark.parametrize("errcode", ["M_UNKNOWN_TOKEN", "M_USER_LOCKED"])
    def test_does_not_mind_that_somebody_else_was_faster(self, synapse: ScriptedServer, errcode: str) -> None:
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

    def test_sees_that_a_logout_without_an_answer_was_done(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse, present=False, known_token="new")
        plan = resource.plan()
        synapse.expect(Call("POST", LOGOUT, token="new", drop=True))
        synapse.always(Call("GET", WHOAMI, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"}, 401, token="new"))
        with pytest.raises(errors.ConnectionFailed, match="this is done: log the access token out"):
            _execution.carry_out(resource, plan)

    def test_says_that_the_token_still_works(self, synapse: ScriptedServer) -> None:
        synapse.expect(Call("POST", LOGOUT, token="new"))
        with pytest.raises(errors.StateNotReached, match="still works"):
            carry_out(token_of(synapse, present=False, known_token="new"))

    def test_removes_the_file_of_a_token_that_does_not_work(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, present=False, path=written(path, "old")))
        assert result["steps"] == [f"remove {path}"]
        assert not path.exists()

    def test_leaves_a_token_alone_that_is_not_the_one_in_the_file(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / "token"
        result = carry_out(token_of(synapse, present=False, path=written(path, "old"), known_token="new"))
        assert result["steps"] == [f"remove {path}"]

    def test_keeps_the_file_if_the_logout_fails(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        plan = token_of(synapse, present=False, path=written(path, "new")).plan()
        synapse.expect(Call("POST", LOGOUT, {"errcode": "M_UNKNOWN", "error": "Broken"}, 500))
        with pytest.raises(errors.ApiError):
            plan.execute()
        assert path.exists()

    @pytest.mark.parametrize("known", [None, "old"])
    def test_has_nothing_to_do(self, synapse: ScriptedServer, tmp_path: pathlib.Path, known: str | None) -> None:
        resource = token_of(synapse, present=False, known_token=known, path=str(tmp_path / "token"))
        assert carry_out(resource)["steps"] == []

    @pytest.mark.parametrize("stored", [True, False])
    def test_does_not_log_somebody_else_out(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path, stored: bool
    ) -> None:
        place = {"path": written(tmp_path / "token", "other")} if stored else {"known_token": "other"}
        with pytest.raises(errors.InvalidInput, match="belongs to @other:x.org"):
            token_of(synapse, present=False, **place).plan()


class TestRegistration:
    NONCE = Call("GET", REGISTER, {"nonce": "n0nce"}, token=None)

    def registering(self, server: ScriptedServer, *, user: str = "robot", admin: bool = False) -> AccessTokenResource:
        return token_of(server, user=user, password="hunter2", registration=Registration("s3cret", admin))

    def request(self, answer: t.Any = None, status: int = 200, *, admin: bool = False) -> Call:
        body = {
            "nonce": "n0nce",
            "username": "robot",
            "password": "hunter2",
            "admin": admin,
            "mac": registration_mac("s3cret", "n0nce", NewAccount("robot", "hunter2", admin)),
            "inhibit_login": True,
        }
        return Call("POST", REGISTER, answer or {"user_id": "@robot:x.org"}, status, body=body, token=None)

    def test_of_an_account_that_does_not_exist(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"admin": True}, token="new"))
        synapse.expect(profile(404), self.NONCE, self.request(admin=True), login())
        result = carry_out(self.registering(synapse, admin=True))
        assert (result["registered"], result["admin"]) == (True, True)
        assert result["steps"] == ["register @robot:x.org", "log in as @robot:x.org"]

    def test_not_of_an_account_that_exists(self, synapse: ScriptedServer) -> None:
        synapse.expect(profile(200), login())
        result = carry_out(self.registering(synapse))
        assert (result["registered"], result["steps"]) == (False, ["log in as @robot:x.org"])

    def test_where_profiles_are_not_shown(self, synapse: ScriptedServer) -> None:
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(profile(403), self.NONCE, taken, login())
        result = carry_out(self.registering(synapse))
        assert result["registered"] is False
        assert result["steps"] == ["register @robot:x.org if it does not exist, and log in as it"]

    def test_of_what_was_there_is_no_change(self, synapse: ScriptedServer) -> None:
        """Where profiles are not shown, only the attempt tells that the account was there before."""
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(profile(403))
        resource = self.registering(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, taken, login({"errcode": "M_FORBIDDEN", "error": "Invalid password"}, 403))
        synapse.expect(profile(403))
        with pytest.raises(errors.PermissionDenied) as caught:
            _execution.carry_out(resource, plan)
        assert (caught.value.details["changed"], caught.value.details["steps"]) == (False, [])

    @pytest.mark.parametrize("shown", [True, False])
    def test_is_told_if_the_login_fails_after_it(self, synapse: ScriptedServer, shown: bool) -> None:
        status = 404 if shown else 403
        synapse.expect(profile(status))
        resource = self.registering(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, self.request(), login({"errcode": "M_FORBIDDEN", "error": "No logins"}, 403))
        synapse.expect(profile(200 if shown else 403))
        said = "Already done before that: register @robot:x.org" if shown else "robot was registered before that"
        with pytest.raises(errors.PermissionDenied, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True

    @pytest.mark.parametrize("shown", [True, False])
    def test_whose_answer_is_lost_is_looked_for(self, synapse: ScriptedServer, shown: bool) -> None:
        synapse.expect(profile(404 if shown else 403))
        resource = self.registering(synapse)
        plan = resource.plan()
        synapse.expect(self.NONCE, dataclasses.replace(self.request(), drop=True), profile(200 if shown else 403))
        said = (
            "this is done: register @robot" if shown else "unknown whether this is done: register @robot.* if it does"
        )
        with pytest.raises(errors.ConnectionFailed, match=said) as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is True
        # The next run finds the account, and only logs in.
        taken = self.request({"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, 400)
        synapse.expect(*((profile(200),) if shown else (profile(403), self.NONCE, taken)), login())
        assert carry_out(self.registering(synapse))["registered"] is False

    def test_not_while_there_is_a_token(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse, known_token="new", registration=Registration("s3cret", False))
        assert carry_out(resource)["steps"] == []

    @pytest.mark.parametrize(
        ("answer", "status", "said"),
        [
            ({"errcode": "M_UNKNOWN", "error": "HMAC incorrect"}, 403, "did not accept the registration_shared_secret"),
            (
                {"errcode": "M_UNKNOWN", "error": "Shared secret registration is not enabled"},
                400,
                "has no registration_shared_secret",
            ),
            ({"errcode": "M_INVALID_USERNAME", "error": "Bad name"}, 400, "400 M_INVALID_USERNAME: Bad name"),
        ],
    )
    def test_says_why_it_was_refused(self, synapse: ScriptedServer, answer: t.Any, status: int, said: str) -> None:
        synapse.expect(profile(404), self.NONCE, self.request(answer, status))
        with pytest.raises(errors.SynapseError, match=said) as caught:
            carry_out(self.registering(synapse))
        assert "s3cret" not in f"{caught.value} {caught.value.details}"

    def test_may_begin_with_an_underscore_if_the_server_says_so(self, synapse: ScriptedServer) -> None:
        body = {"errcode": "M_INVALID_USERNAME", "error": "User ID may not begin with _"}
        synapse.expect(Call("GET", "/_matrix/client/v3/profile/%40_robot%3Ax.org", body, 404), self.NONCE)
        synapse.expect(Call("POST", REGISTER, body, 400))
        with pytest.raises(errors.ApiError, match="may not begin with _.*So _robot was not registered"):
            carry_out(self.registering(synapse, user="_robot"))

    def test_leaves_nobody_logged_in_who_is_no_admin(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "token"
        synapse.expect(profile(200))
        resource = token_of(synapse, path=str(path), registration=Registration("s3cret", True))
        plan = resource.plan()
        synapse.expect(login(), Call("POST", LOGOUT, token="new"), profile(200))
        with pytest.raises(errors.InvalidInput, match="existed before and is not a server admin") as caught:
            _execution.carry_out(resource, plan)
        assert caught.value.details["changed"] is False
        assert not path.exists()

    def test_is_not_what_makes_an_admin_necessary(self, synapse: ScriptedServer) -> None:
        with pytest.raises(errors.InvalidInput, match="@robot:x.org is not a server admin, as admin declares it"):
            token_of(synapse, known_token="new", admin=True).plan()
        synapse.always(Call("GET", ADMIN, {"admin": True}, token="new"))
        assert carry_out(token_of(synapse, known_token="new", admin=True))["admin"] is True

    def test_does_not_fail_where_nobody_can_be_asked_for_admins(self, synapse: ScriptedServer) -> None:
        synapse.always(Call("GET", ADMIN, {"errcode": "M_UNRECOGNIZED", "error": "?"}, 404, token="new"))
        assert carry_out(token_of(synapse, known_token="new", admin=True))["admin"] is None

    def test_says_that_an_account_that_exists_is_no_admin(self, synapse: ScriptedServer) -> None:
        resource = token_of(synapse, known_token="new", registration=Registration("s3cret", True))
        with pytest.raises(errors.InvalidInput, match="existed before and is not a server admin"):
            resource.plan()

    @pytest.mark.parametrize(("user", "said"), [("Robot", "capital letters"), ("@robot:y.org", "server y.org")])
    def test_refuses_before_anything_is_sent(self, synapse: ScriptedServer, user: str, said: str) -> None:
        with pytest.raises(errors.InvalidInput, match=said):
            self.registering(synapse, user=user).plan()


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

    def test_of_bytes_that_are_no_text(self, synapse: ScriptedServer, tmp_path: pathlib.Path) -> None:
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
    def test_not_where_others_could_exchange_it(
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

    def test_closed_without_touching_another_name_of_the_file(
        self, synapse: ScriptedServer, tmp_path: pathlib.Path
    ) -> None:
        path = written(tmp_path / "token", "new", 0o644)
        os.link(path, tmp_path / "other")
        carry_out(token_of(synapse, path=path))
        assert (mode_of(tmp_path / "token"), mode_of(tmp_path / "other")) == (0o600, 0o644)


def test_the_module_hands_on_what_it_is_given(synapse: ScriptedServer) -> None:
    """That an account must be an admin, too, is not only of use while one is registered."""
    names = ("access_token_path", "ca_path", "config_path", "password", "register", "registration_shared_secret")
    parameters = {
        **dict.fromkeys(names),
        "base_url": synapse.base_url,
        "user": "robot",
        "access_token": "new",
        "device_id": "DEVICE",
        "device_display_name": "Ansible",
        "state": "present",
        "admin": True,
        "validate_certs": True,
        "timeout": 30,
        "rate_limit_retry_timeout": 0,
    }
    with pytest.raises(errors.InvalidInput, match="is not a server admin, as admin declares it"):
        synapse_access_token.declare(parameters).plan()
