# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may change an alias is decided as Synapse decides it: in the order of the services, and by the first rule."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias_rules import (
    explain_refusal,
    require_allowed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

ALIAS, ROOM = "#irc_x:x.org", "!r"
OPEN, EXCLUSIVE = {"regex": "#irc_", "exclusive": False}, {"regex": "#irc_", "exclusive": True}
OTHER = {"regex": "#other_", "exclusive": True}


class Server(t.NamedTuple):
    """A server, and the directory with its configuration."""

    base_url: str
    directory: pathlib.Path

    def refusal(
        self, *services: t.Sequence[t.Any], token: str = "token", room_id: str | None = ROOM, **settings: t.Any
    ) -> str:
        """Return why the alias cannot be changed, "" if it can. `services`: the namespaces of each."""
        paths = []
        for number, namespaces in enumerate(services, 1):
            path = self.directory / f"{number}.yaml"
            registration = {"id": f"service {number}", "as_token": f"token{number}", "sender_localpart": f"bot{number}"}
            path.write_text(json.dumps({**registration, "namespaces": {"aliases": list(namespaces)}}))
            paths.append(str(path))
        configured = self.directory / "homeserver.yaml"
        configured.write_text(json.dumps({"server_name": "x.org", "app_service_config_files": paths, **settings}))
        client = Client(self.base_url, token)
        try:
            require_allowed(client, ConfiguredRules(client, [str(configured)]), ALIAS, room_id)
        except errors.InvalidInput as error:
            return error.message
        return ""


@pytest.fixture
def synapse(server: ScriptedServer, tmp_path: pathlib.Path) -> Server:
    for token, name in (("token", "admin"), ("token1", "bot1"), ("token2", "bot2"), ("own_token", "bot2")):
        answer = {"user_id": f"@{name}:x.org"}
        server.always(Call("GET", "/_matrix/client/v3/account/whoami", answer, token=token))
    return Server(server.base_url, tmp_path)


@pytest.mark.parametrize(
    ("services", "token", "owner"),
    [
        ([], "token", 0),
        ([[OPEN]], "token", 0),
        ([[OTHER]], "token", 0),
        ([[EXCLUSIVE]], "token", 1),
        ([[OPEN, EXCLUSIVE]], "token", 0),
        ([[EXCLUSIVE, OPEN]], "token", 1),
        ([[OPEN], [EXCLUSIVE]], "token", 2),
        # An ordinary token of the user of a service: the services are asked in turn.
        ([[OTHER], [EXCLUSIVE]], "own_token", 0),
        ([[EXCLUSIVE], [EXCLUSIVE]], "own_token", 1),
        ([[OPEN], [OPEN], [EXCLUSIVE]], "own_token", 0),
        # The token of a service.
        ([[EXCLUSIVE], [EXCLUSIVE]], "token2", 0),
    ],
)
@pytest.mark.parametrize("room_id", [ROOM, None])
def test_a_namespace(synapse: Server, services: t.Any, token: str, owner: int, room_id: str | None) -> None:
    message = synapse.refusal(*services, token=token, room_id=room_id)
    assert bool(message) is bool(owner)
    assert not owner or f"application service service {owner}, whose registration file {synapse.directory}" in message


def test_a_service_may_only_change_its_own(synapse: Server) -> None:
    message = synapse.refusal([OTHER], [OPEN], token="token1")
    assert "token is that of the application service service 1" in message
    assert "token1" not in message


DENY: dict[str, t.Any] = {"action": "deny"}
ALLOW: dict[str, t.Any] = {"action": "allow"}


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (None, ""),
        ([ALLOW], ""),
        ([], "no rule of alias_creation_rules"),
        ([DENY, ALLOW], "rule 1 of alias_creation_rules"),
        ([{**DENY, "alias": "#other*"}, ALLOW], ""),
        ([{**ALLOW, "user_id": "@ADMIN:*"}, DENY], ""),
        ([{**ALLOW, "user_id": "@bob:*"}], "no rule of alias_creation_rules"),
        ([{**ALLOW, "room_id": "!other"}, {**DENY, "room_id": "!?"}], "rule 2 of alias_creation_rules"),
    ],
)
def test_rules_of_creation(synapse: Server, rules: t.Any, reason: str) -> None:
    message = synapse.refusal(alias_creation_rules=rules)
    assert reason in message
    assert bool(message) is bool(reason)
    # They do not say who may remove an alias, and an application service need not obey them.
    assert not synapse.refusal(room_id=None, alias_creation_rules=rules)
    assert not synapse.refusal([OPEN], token="token1", alias_creation_rules=rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"action": "allow"}, "is not a list of rules"),
        (["allow"], "Rule 1 of alias_creation_rules in .* has no action"),
        ([{"action": "accept"}], "Rule 1 .* has no action"),
        ([{**ALLOW, "alias": "#x"}, {**ALLOW, "user_id": 1}], "Rule 2 .* contains a pattern that is not text"),
    ],
)
def test_rules_that_synapse_does_not_start_with(synapse: Server, rules: t.Any, message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        synapse.refusal(alias_creation_rules=rules)


@pytest.mark.parametrize(
    ("status", "errcode", "words", "explanation"),
    [
        (400, "M_EXCLUSIVE", "Reserved", "contain the namespace of #irc_x:x.org"),
        (403, "M_UNKNOWN", "Not allowed to create alias", "alias_creation_rules"),
        (403, "M_FORBIDDEN", "This user is not permitted to create this alias", "spam checker module"),
        (403, "M_FORBIDDEN", "You are not a server admin", ""),
        (500, "M_UNKNOWN", "Internal server error", ""),
    ],
)
def test_a_refusal_is_explained(status: int, errcode: str, words: str, explanation: str) -> None:
    error = errors.ApiError("Refused.", method="PUT", url="u", status=status, errcode=errcode, error=words)
    explain_refusal(error, ALIAS)
    assert explanation in error.message
    assert (error.message == "Refused.") is not bool(explanation)
