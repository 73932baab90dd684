# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of another server is ignored at the default paths, and refused where the task names it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.own_configuration import (
    own_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer


def named(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/a.yaml", settings),))


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    server.always(Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org:8448"}))
    return Client(server.base_url, "token")


@pytest.mark.parametrize("is_default", [True, False])
def test_of_the_server_itself(client: Client, is_default: bool) -> None:
    own = named(server_name="x.org:8448")
    assert own_configuration(own, client, is_default=is_default) is own


@pytest.mark.parametrize("settings", [{}, {"server_name": "y.org"}, {"server_name": "x.org"}])
def test_of_another_server(client: Client, settings: dict[str, t.Any]) -> None:
    assert own_configuration(named(**settings), client, is_default=True) is None
    kind = errors.InvalidInput if settings else errors.ConfigurationError
    said = (
        "but the server that answers is x.org:8448. Set config_path and base_url to the same"
        if settings
        else "server_name is not set"
    )
    with pytest.raises(kind, match=said):
        own_configuration(named(**settings), client, is_default=False)
