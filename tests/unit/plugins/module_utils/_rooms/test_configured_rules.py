# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the configuration decides is known before a change, and a configuration that does not belong here has no say."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import homeserver
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms import configured_rules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ADMIN = "@admin:x.org"
CONSENT = {"user_consent": {"version": 1.0, "block_events_error": "Agree"}}


def account(**more: t.Any) -> Call:
    return Call("GET", "/_synapse/admin/v2/users/%40admin%3Ax.org", {"name": ADMIN, **more})


class Host:
    """A host with the configuration of a Synapse, at the default path or at another one."""

    def __init__(self, server: ScriptedServer, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client = Client(server.base_url, "token")
        self._directory = directory
        self._monkeypatch = monkeypatch

    def rules(self, *, default: bool = False, **settings: t.Any) -> ConfiguredRules:
        path = self._directory / "homeserver.yaml"
        path.write_text(json.dumps({"server_name": "x.org", **settings}))
        if default:
            for module in (homeserver, configured_rules):
                self._monkeypatch.setattr(module, "DEFAULT_CONFIG_PATH", (str(path),))
        return ConfiguredRules(self._client, [str(path)], str(self._directory))

    def register(self, name: str, content: t.Any) -> str:
        (self._directory / name).write_text(json.dumps(content))
        return name


@pytest.fixture
def host(server: ScriptedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    server.always(Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": ADMIN}))
    return Host(server, tmp_path, monkeypatch)


def refusal_of(rules: ConfiguredRules) -> str:
    try:
        rules.require_events("This change")
    except errors.InvalidInput as error:
        return error.message
    return ""


class TestConfiguration:
    def test_without_one_nothing_is_known(self, server: ScriptedServer) -> None:
        rules = ConfiguredRules(Client(server.base_url, "token"))
        rules.require_events("This change")
        assert (rules.configuration, rules.registrations, rules.blocks_invitations(), rules.notices_user()) == (
            None,
            (),
            None,
            None,
        )
        assert not rules.filters_invitations()
        assert not rules.refuses_all_events()

    def test_of_another_server_is_refused(self, host: Host) -> None:
        with pytest.raises(errors.InvalidInput, match=r"configuration of the server y\.org, .* answers is x\.org"):
            assert host.rules(server_name="y.org").configuration

    @pytest.mark.parametrize("name", ["y.org", None])
    def test_of_another_server_at_the_default_path_has_no_say(self, host: Host, name: str | None) -> None:
        assert host.rules(default=True, server_name=name, hs_disabled=True).configuration is None

    def test_without_a_server_name_is_refused(self, host: Host) -> None:
        with pytest.raises(errors.ConfigurationError, match="server_name is not set"):
            assert host.rules(server_name=None).configuration


class TestRegistrations:
    VALID: t.ClassVar[dict[str, t.Any]] = {
        "id": "irc",
        "as_token": "secret",
        "sender_localpart": "bot",
        "namespaces": {},
    }

    def test_are_in_the_order_of_the_configuration(self, host: Host) -> None:
        paths = [host.register(f"{name}.yaml", {**self.VALID, "id": name}) for name in ("b", "a")]
        found = host.rules(app_service_config_files=paths).registrations
        assert [service.service_id for service in found] == ["b", "a"]

    def test_that_are_not_valid_are_refused(self, host: Host) -> None:
        paths = [host.register("b.yaml", {})]
        with pytest.raises(errors.ConfigurationError, match=r"b\.yaml is not a valid registration"):
            assert host.rules(app_service_config_files=paths).registrations

    def test_that_are_not_valid_are_a_warning_at_the_default_path(self, host: Host) -> None:
        paths = [host.register("b.yaml", {}), host.register("a.yaml", self.VALID)]
        rules = host.rules(default=True, app_service_config_files=paths)
        assert [service.service_id for service in rules.registrations] == ["irc"]
        [warning] = rules.warnings
        assert "b.yaml is not a valid registration" in warning


class TestEvents:
    @pytest.mark.parametrize(
        ("settings", "found", "words"),
        [
            ({"hs_disabled": True}, {}, "because hs_disabled in "),
            ({"hs_disabled": True}, {"user_type": "bot"}, "because hs_disabled in "),
            (CONSENT, {}, f"account of the access token, {ADMIN}, has not agreed to version 1.0 "),
            (CONSENT, {"consent_version": "0.9"}, "has not agreed"),
        ],
    )
    def test_are_refused(self, server: ScriptedServer, host: Host, settings: t.Any, found: t.Any, words: str) -> None:
        server.expect(account(**found))
        message = refusal_of(host.rules(**settings))
        assert words in message
        assert "homeserver.yaml" in message

    @pytest.mark.parametrize(
        ("settings", "found"),
        [
            ({"hs_disabled": True}, {"user_type": "support"}),
            ({"hs_disabled": True}, {"appservice_id": "irc"}),
            (CONSENT, {"consent_version": "1.0"}),
            (CONSENT, {"user_type": "bot"}),
            (CONSENT, {"user_type": "support"}),
            (CONSENT, {"appservice_id": "irc"}),
        ],
    )
    def test_are_accepted(self, server: ScriptedServer, host: Host, settings: t.Any, found: t.Any) -> None:
        server.expect(account(**found))
        assert not refusal_of(host.rules(**settings))

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"hs_disabled": False},
            {"user_consent": {"version": "1"}},
            {"user_consent": {"block_events_error": "Agree"}},
            {"user_consent": None},
            {**CONSENT, "hs_disabled": True, "server_notices": {"system_mxid_localpart": "admin"}},
        ],
    )
    def test_need_no_request(self, host: Host, settings: t.Any) -> None:
        assert not refusal_of(host.rules(**settings))
