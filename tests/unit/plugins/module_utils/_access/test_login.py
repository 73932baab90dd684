# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests that create an account and log in: what is sent, and what a refusal means."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import (
    Login,
    NewAccount,
    end_session,
    log_in,
    log_out,
    register,
    registration_mac,
    require_registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

REGISTER = "/_synapse/admin/v1/register"
LOGIN, LOGOUT = (f"/_matrix/client/v3/{name}" for name in ("login", "logout"))
NONCE = Call("GET", REGISTER, {"nonce": "n0nce"})
ALICE = NewAccount("alice", "hunter2", True)
# HMAC-SHA1 with the key s3cret, made by another program from the text of each comment.
ADMIN_MAC = "a75dc991329d90993feb264a326ec927b9a2c200"  # n0nce alice hunter2 admin
USER_MAC = "c524c13a1f6d27bfde6e2bd64f77091c597a56cd"  # n0nce alice hunter2 notadmin
BOT_MAC = "0354ed8b4d496e2d618f5ac28bdf76753c60f1aa"  # n0nce alice hunter2 notadmin bot
FOREIGN_MAC = "a4c7b687b1d146da3b3dbe327a23ea18bb8d31eb"  # the key clé, n0nce ålice pässword notadmin


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    """A client without a token: none of these requests needs one."""
    return Client(server.base_url)


@pytest.mark.parametrize(
    ("secret", "account", "mac"),
    [
        ("s3cret", ALICE, ADMIN_MAC),
        ("s3cret", NewAccount("alice", "hunter2", False), USER_MAC),
        ("s3cret", NewAccount("alice", "hunter2", False, "Alice"), USER_MAC),
        ("s3cret", NewAccount("alice", "hunter2", False, user_type="bot"), BOT_MAC),
        ("s3cret", NewAccount("alice", "hunter2", False, user_type=""), USER_MAC),
        ("clé", NewAccount("ålice", "pässword", False), FOREIGN_MAC),
    ],
)
def test_registration_mac(secret: str, account: NewAccount, mac: str) -> None:
    assert registration_mac(secret, "n0nce", account) == mac


class TestRegister:
    @pytest.mark.parametrize(
        ("account", "more"),
        [
            (ALICE, {"mac": ADMIN_MAC}),
            (NewAccount("alice", "hunter2", False), {"admin": False, "mac": USER_MAC}),
            (NewAccount("alice", "hunter2", True, "Alice A."), {"displayname": "Alice A.", "mac": ADMIN_MAC}),
            (NewAccount("alice", "hunter2", True, ""), {"displayname": "", "mac": ADMIN_MAC}),
            (
                NewAccount("alice", "hunter2", False, user_type="bot"),
                {"admin": False, "user_type": "bot", "mac": BOT_MAC},
            ),
            (NewAccount("alice", "hunter2", True, user_type=""), {"mac": ADMIN_MAC}),
        ],
    )
    def test_sends_what_is_declared(
        self, server: ScriptedServer, client: Client, account: NewAccount, more: dict[str, t.Any]
    ) -> None:
        body = {"nonce": "n0nce", "username": "alice", "password": "hunter2", "admin": True, "inhibit_login": True}
        server.expect(NONCE, Call("POST", REGISTER, {"user_id": "@alice:x.org"}, body={**body, **more}, token=None))
        assert register(client, "s3cret", account) == {"user_id": "@alice:x.org"}

    def test_asks_for_the_token_of_a_device(self, server: ScriptedServer, client: Client) -> None:
        body = {"nonce": "n0nce", "username": "alice", "password": "hunter2", "admin": True, "mac": ADMIN_MAC}
        device = {"device_id": "DEVICE", "initial_device_display_name": "Ansible"}
        answer = {"user_id": "@alice:x.org", "access_token": "syt_new"}
        server.expect(NONCE, Call("POST", REGISTER, answer, body={**body, **device}, token=None))
        assert register(client, "s3cret", ALICE, Login("alice", None, "DEVICE", "Ansible")) == answer

    def test_returns_nothing_if_the_name_is_in_use(self, server: ScriptedServer, client: Client) -> None:
        taken = {"errcode": "M_USER_IN_USE", "error": "User ID already taken."}
        server.expect(NONCE, Call("POST", REGISTER, taken, 400))
        assert register(client, "s3cret", ALICE) is None

    @pytest.mark.parametrize(
        ("status", "errcode", "said", "message"),
        [
            (403, "M_UNKNOWN", "HMAC incorrect", "did not accept the registration_shared_secret"),
            (400, "M_UNKNOWN", "Shared secret registration is not enabled", "Set one and restart Synapse"),
        ],
    )
    def test_explains_a_refusal_of_the_secret(
        self, server: ScriptedServer, client: Client, status: int, errcode: str, said: str, message: str
    ) -> None:
        server.expect(NONCE, Call("POST", REGISTER, {"errcode": errcode, "error": said}, status))
        with pytest.raises(errors.InvalidInput, match=message) as caught:
            register(client, "s3cret", ALICE)
        assert not any(secret in f"{caught.value} {caught.value.details}" for secret in ("s3cret", "hunter2"))

    @pytest.mark.parametrize(
        ("status", "errcode", "said", "kind"),
        [
            (400, "M_UNKNOWN", "unrecognised nonce", errors.ApiError),
            (400, "M_INVALID_USERNAME", "User ID can only contain characters a-z", errors.ApiError),
            (403, "M_FORBIDDEN", "Registration has been disabled", errors.PermissionDenied),
            (500, "M_UNKNOWN", "Internal server error", errors.ApiError),
        ],
    )
    def test_raises_every_other_refusal(
        self, server: ScriptedServer, client: Client, status: int, errcode: str, said: str, kind: type[errors.ApiError]
    ) -> None:
        server.expect(NONCE, Call("POST", REGISTER, {"errcode": errcode, "error": said}, status))
        with pytest.raises(kind, match=said) as caught:
            register(client, "s3cret", ALICE)
        assert caught.type is kind
        assert ("The account alice was not created." in caught.value.message) is (status < 500)
        assert not any(secret in f"{caught.value}" for secret in ("s3cret", "hunter2"))

    @pytest.mark.parametrize(
        ("status", "errcode", "may_be_done"),
        [
            (400, "M_EXCLUSIVE", False),
            (403, "M_RESOURCE_LIMIT_EXCEEDED", True),
            (403, "M_FORBIDDEN", True),
            (500, "M_UNKNOWN", True),
        ],
    )
    def test_knows_that_only_the_token_may_be_refused(
        self, server: ScriptedServer, client: Client, status: int, errcode: str, may_be_done: bool
    ) -> None:
        server.expect(NONCE, Call("POST", REGISTER, {"errcode": errcode, "error": "No"}, status))
        with pytest.raises(errors.ApiError) as caught:
            register(client, "s3cret", ALICE, Login("alice", None, "DEVICE", "Ansible"))
        assert caught.value.may_be_done is may_be_done
        assert ("The account alice was not created." in caught.value.message) is not may_be_done

    def test_is_not_done_if_it_was_not_sent(self, server: ScriptedServer, client: Client) -> None:
        server.expect(Call("GET", REGISTER, {"errcode": "M_FORBIDDEN", "error": "No"}, 403))
        with pytest.raises(errors.ApiError, match="The account alice was not created") as caught:
            register(client, "s3cret", ALICE, Login("alice", None, "DEVICE", "Ansible"))
        assert not caught.value.may_be_done

    def test_sends_no_password_if_registration_is_not_served(self, server: ScriptedServer, client: Client) -> None:
        missing = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
        server.expect(Call("GET", REGISTER, missing, 404))
        with pytest.raises(errors.EndpointMissing, match="Matrix Authentication Service"):
            register(client, "s3cret", ALICE)

    def test_sends_no_password_to_another_service(self, server: ScriptedServer, client: Client) -> None:
        server.expect(Call("GET", REGISTER, {"hello": "world"}))
        with pytest.raises(errors.UnexpectedAnswer, match="contains no nonce"):
            register(client, "s3cret", ALICE)


class TestLogIn:
    LOGIN = Login("alice", "hunter2", "DEVICE", "Ansible")
    ANSWER: t.ClassVar[dict[str, t.Any]] = {"user_id": "@alice:x.org", "access_token": "syt_new", "device_id": "DEVICE"}

    def test_returns_the_token_and_its_account(self, server: ScriptedServer, client: Client) -> None:
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": "alice"},
            "password": "hunter2",
            "device_id": "DEVICE",
            "initial_device_display_name": "Ansible",
        }
        server.expect(Call("POST", LOGIN, self.ANSWER, body=body, token=None))
        assert log_in(client, self.LOGIN) == ("syt_new", "@alice:x.org")

    def test_names_the_possible_reasons_of_a_refusal(self, server: ScriptedServer, client: Client) -> None:
        refusal = {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}
        server.expect(Call("POST", LOGIN, refusal, 403))
        with pytest.raises(errors.PermissionDenied) as caught:
            log_in(client, self.LOGIN)
        assert "Invalid username or password" in caught.value.message
        assert "the account alice does not exist or is deactivated, or the password is wrong" in caught.value.message
        assert "hunter2" not in f"{caught.value} {caught.value.details}"

    def test_explains_no_other_refusal(self, server: ScriptedServer, client: Client) -> None:
        server.expect(Call("POST", LOGIN, {"errcode": "M_UNKNOWN", "error": "Unknown login type"}, 400))
        with pytest.raises(errors.ApiError, match="Unknown login type") as caught:
            log_in(client, self.LOGIN)
        assert "deactivated" not in caught.value.message

    @pytest.mark.parametrize("missing", ["access_token", "user_id"])
    def test_notices_a_response_that_is_not_of_synapse(
        self, server: ScriptedServer, client: Client, missing: str
    ) -> None:
        answer = {name: value for name, value in self.ANSWER.items() if name != missing}
        server.expect(Call("POST", LOGIN, answer))
        with pytest.raises(errors.UnexpectedAnswer, match=f"contains no {missing}") as caught:
            log_in(client, self.LOGIN)
        assert "syt_new" not in f"{caught.value}"


@pytest.mark.parametrize(
    ("device_id", "name", "option"),
    [("D" * 513, "Ansible", "device_id"), ("D", "n" * 101, "device_display_name"), ("D" * 512, "n" * 100, None)],
    ids=["id", "name", "longest"],
)
def test_device_that_synapse_would_refuse_after_the_password(device_id: str, name: str, option: str | None) -> None:
    login = Login("robot", "p", device_id, name)
    if option is None:
        login.check()
        return
    with pytest.raises(errors.InvalidInput, match=f"^{option} is longer than"):
        login.check()


class TestLogOut:
    def test_logs_out_its_own_token(self, server: ScriptedServer, client: Client) -> None:
        server.expect(Call("POST", LOGOUT, {}, body={}, token="syt_new"))
        log_out(client.speaking_as("syt_new"))

    def test_raises_if_the_token_is_not_valid(self, server: ScriptedServer, client: Client) -> None:
        unknown = {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}
        server.expect(Call("POST", LOGOUT, unknown, 401))
        with pytest.raises(errors.AuthenticationFailed) as caught:
            log_out(client.speaking_as("syt_old"))
        assert "syt_old" not in f"{caught.value} {caught.value.details}"


class TestEndSession:
    """The logout at the end of a task does not raise an error. It returns why the token may still be valid."""

    GONE = Call("POST", LOGOUT, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}, 401)
    LOCKED = Call("POST", LOGOUT, {"errcode": "M_USER_LOCKED", "error": "Locked"}, 401)
    LOST = Call("POST", LOGOUT, drop=True)
    DONE = Call("POST", LOGOUT, {}, token="syt_new")

    @pytest.mark.parametrize("calls", [(DONE,), (GONE,), (LOST, DONE), (LOST, GONE), (LOCKED, DONE)])
    def test_ends_the_token(self, server: ScriptedServer, client: Client, calls: tuple[Call, ...]) -> None:
        server.expect(*calls)
        assert end_session(client.speaking_as("syt_new")) is None

    @pytest.mark.parametrize(("calls", "said"), [((LOST, LOST), "failed"), ((LOST, LOCKED), "is locked")])
    def test_returns_why_the_token_may_be_valid(
        self, server: ScriptedServer, client: Client, calls: tuple[Call, ...], said: str
    ) -> None:
        server.expect(*calls)
        problem = end_session(client.speaking_as("syt_new"))
        assert problem is not None
        assert said in problem.message
        assert "syt_new" not in problem.message


class TestRehearsal:
    """A registration that no server accepts shows whether the next one would be refused."""

    def rehearse(self, server: ScriptedServer, client: Client, said: str, status: int = 400, **more: t.Any) -> None:
        nobody = NewAccount("~", "matrix_ops.synapse", False, user_type=more.get("user_type"))
        body = {"nonce": "n0nce", "username": "~", "password": "matrix_ops.synapse", "admin": False, **more}
        body |= {"mac": registration_mac("s3cret", "n0nce", nobody), "refresh_token": "?", "inhibit_login": True}
        answer = {"errcode": "M_UNKNOWN", "error": said}
        server.expect(NONCE, Call("POST", REGISTER, answer, status, body=body, token=None))
        require_registration(client, "s3cret", more.get("user_type"))

    @pytest.mark.parametrize("said", ["refresh_token must be a boolean", "User ID can only contain characters a-z"])
    def test_is_refused_for_a_reason_of_its_own(self, server: ScriptedServer, client: Client, said: str) -> None:
        self.rehearse(server, client, said)

    def test_knows_the_type(self, server: ScriptedServer, client: Client) -> None:
        self.rehearse(server, client, "refresh_token must be a boolean", user_type="bot")
        with pytest.raises(errors.InvalidInput, match="does not know the user type 'odd'"):
            self.rehearse(server, client, "Invalid user type", user_type="odd")

    @pytest.mark.parametrize(
        ("said", "status", "message"),
        [
            ("HMAC incorrect", 403, "did not accept the registration_shared_secret"),
            ("Shared secret registration is not enabled", 400, "has no registration_shared_secret"),
        ],
    )
    def test_knows_the_secret(
        self, server: ScriptedServer, client: Client, said: str, status: int, message: str
    ) -> None:
        with pytest.raises(errors.InvalidInput, match=message):
            self.rehearse(server, client, said, status)

    def test_is_not_blind_to_other_errors(self, server: ScriptedServer, client: Client) -> None:
        with pytest.raises(errors.PermissionDenied):
            self.rehearse(server, client, "Forbidden", 403)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "p" * 513}, "password is longer than 512 characters"),
        ({"password": "p\0p"}, "password contains the character NUL"),
        ({"password": "p\udc80"}, "password contains bytes that are not UTF-8"),
        ({"device_id": ""}, "device_id is empty"),
        ({"device_id": "d\0"}, "device_id .* contains the character NUL"),
        ({"device_display_name": "\udc80"}, "device_display_name .* contains bytes that are not UTF-8"),
    ],
)
def test_what_no_server_accepts(changed: dict[str, str], said: str) -> None:
    valid = {"user_id": "alice", "password": "p", "device_id": "D", "device_display_name": "Ansible"}
    Login(**valid).check()
    with pytest.raises(errors.InvalidInput, match=said) as caught:
        Login(**{**valid, **changed}).check()
    assert changed.get("password", "secret") not in caught.value.message


@pytest.mark.parametrize(
    ("status", "errcode", "said"),
    [
        (401, "M_USER_LOCKED", r"locked: false\)\. The account that logs in is alice."),
        (403, "M_USER_DEACTIVATED", r"state: present\)\. The account that logs in is alice."),
        (403, "M_RESOURCE_LIMIT_EXCEEDED", "max_mau_value.*The account that logs in is alice"),
    ],
)
def test_a_refused_login_names_its_reason(
    server: ScriptedServer, client: Client, status: int, errcode: str, said: str
) -> None:
    server.expect(Call("POST", LOGIN, {"errcode": errcode, "error": "No"}, status))
    with pytest.raises(errors.ApiError, match=said) as caught:
        log_in(client, Login("alice", "hunter2", "D", "Ansible"))
    assert "the password is wrong" not in caught.value.message
