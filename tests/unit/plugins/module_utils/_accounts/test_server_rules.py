# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server refuses because of its settings is found out with requests that change nothing."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.server_rules import ServerRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org"})
NOBODY = "/_synapse/admin/v2/users/%40~%3Ax.org"
LOGIN = "/_matrix/client/v3/login"
MEDIA = "/_synapse/admin/v1/media/x.org/abc"
ALICE = {"user_id": "@alice:x.org", "user_type": "", "avatar_url": ""}
AVATAR = {**ALICE, "avatar_url": "mxc://x.org/abc"}


def rules(server: ScriptedServer, **settings: t.Any) -> ServerRules:
    server.always(WHOAMI)
    return ServerRules(
        Client(server.base_url, "token"), Configuration((ConfigurationFile("homeserver.yaml", settings),))
    )


def asked_for_type(user_type: str, said: str, status: int = 400) -> Call:
    body = {"user_type": user_type, "password": 0, "logout_devices": "?", "deactivated": "?", "locked": "?"}
    return Call("PUT", NOBODY, {"errcode": "M_UNKNOWN", "error": said}, status, body=body)


def test_nothing_is_asked_for_what_every_server_accepts(server: ScriptedServer) -> None:
    known = rules(server)
    for user_type in ("bot", "support", ""):
        known.require_accepted(None, {**ALICE, "user_type": user_type}, sets_password=True)
    # Such as a type that the configuration does not contain any more.
    known.require_accepted({**ALICE, "user_type": "old"}, {**ALICE, "user_type": "old"}, sets_password=False)
    known.require_accepted(AVATAR, {**AVATAR, "deactivated": True}, sets_password=False)
    known.require_accepted(None, AVATAR, sets_password=False)
    known.require_accepted(ALICE, None, sets_password=False)


class TestUserType:
    def test_is_asked_for_once(self, server: ScriptedServer) -> None:
        known = rules(server)
        server.expect(asked_for_type("partner", "Invalid password"), asked_for_type("nonsense", "Invalid user type"))
        for _time in range(2):
            known.require_accepted(ALICE, {**ALICE, "user_type": "partner"}, sets_password=False)
            with pytest.raises(errors.InvalidInput, match="does not know the user type 'nonsense'.*extra_user_types"):
                known.require_accepted(None, {**ALICE, "user_type": "nonsense"}, sets_password=False)

    def test_another_refusal_is_an_error(self, server: ScriptedServer) -> None:
        known = rules(server)
        server.expect(asked_for_type("partner", "You are not a server admin", 403))
        with pytest.raises(errors.PermissionDenied):
            known.require_accepted(ALICE, {**ALICE, "user_type": "partner"}, sets_password=False)


class TestPassword:
    def test_is_refused_without_logins(self, server: ScriptedServer) -> None:
        known = rules(server)
        server.expect(Call("GET", LOGIN, {"flows": [{"type": "m.login.sso"}]}))
        for _time in range(2):
            with pytest.raises(errors.InvalidInput, match="password of @alice:x.org cannot be set.*password_config"):
                known.require_accepted(ALICE, ALICE, sets_password=True)
        known.require_accepted(None, ALICE, sets_password=True)

    @pytest.mark.parametrize("local", [True, False])
    def test_may_be_one_of_a_module(self, server: ScriptedServer, local: bool) -> None:
        known = rules(server, password_config={"localdb_enabled": local})
        server.expect(Call("GET", LOGIN, {"flows": [{"type": "m.login.password"}]}))
        if local:
            known.require_accepted(ALICE, ALICE, sets_password=True)
            return
        with pytest.raises(errors.InvalidInput, match="password_config"):
            known.require_accepted(ALICE, ALICE, sets_password=True)


@pytest.mark.parametrize("setting", [True, 1, "yes", ["x"]])
def test_a_setting_of_another_type_does_not_count(server: ScriptedServer, setting: t.Any) -> None:
    """Synapse does not start with it, so the one that runs has another one."""
    known = rules(server, password_config=setting, max_avatar_size={})
    server.expect(Call("GET", LOGIN, {"flows": [{"type": "m.login.password"}]}))
    known.require_accepted(ALICE, AVATAR, sets_password=True)
    rules(server, allowed_avatar_mimetypes=5).require_accepted(ALICE, AVATAR, sets_password=False)


class TestAvatar:
    @pytest.mark.parametrize(
        ("settings", "info", "said"),
        [
            ({"max_avatar_size": "1K"}, {"media_length": 1024, "media_type": "text/plain"}, None),
            ({"max_avatar_size": "1K"}, {"media_length": 1025}, r"is larger than max_avatar_size \(1024 bytes\)"),
            ({"max_avatar_size": 10}, {"media_length": None}, "is larger than"),
            ({"allowed_avatar_mimetypes": ["image/png"]}, {"media_length": 9, "media_type": "image/png"}, None),
            ({"allowed_avatar_mimetypes": ["image/png"]}, {"media_type": "image/gif"}, "is of the type image/gif,"),
        ],
    )
    def test_complies_with_the_limits(
        self, server: ScriptedServer, settings: dict[str, t.Any], info: dict[str, t.Any], said: str | None
    ) -> None:
        known = rules(server, **settings)
        server.expect(Call("GET", MEDIA, {"media_info": info}))
        if said is None:
            known.require_accepted(ALICE, AVATAR, sets_password=False)
            return
        with pytest.raises(errors.InvalidInput, match=f"mxc://x.org/abc {said}.*limits avatars"):
            known.require_accepted(None, AVATAR, sets_password=False)

    @pytest.mark.parametrize(("errcode", "refused"), [("M_NOT_FOUND", True), ("M_UNRECOGNIZED", False)])
    def test_must_be_there_as_far_as_the_server_shows_it(
        self, server: ScriptedServer, errcode: str, refused: bool
    ) -> None:
        known = rules(server, max_avatar_size="10M")
        server.expect(Call("GET", MEDIA, {"errcode": errcode, "error": "?"}, 404))
        if not refused:
            known.require_accepted(ALICE, AVATAR, sets_password=False)
            return
        with pytest.raises(errors.InvalidInput, match="is not on this server"):
            known.require_accepted(ALICE, AVATAR, sets_password=False)

    @pytest.mark.parametrize("size", [0, None, "lots"])
    def test_has_no_limit_without_a_size(self, server: ScriptedServer, size: t.Any) -> None:
        rules(server, max_avatar_size=size).require_accepted(ALICE, AVATAR, sets_password=False)
