# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the configuration says of a new account before Synapse refuses it."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.registrable import (
    require_enabled,
    require_free_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import read_registrations


def configured(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("homeserver.yaml", {"server_name": "x.org", **settings}),))


def test_a_name_with_an_underscore_needs_a_setting() -> None:
    with pytest.raises(errors.InvalidInput, match="_alice cannot be created.*allow_underscore_prefixed_localpart"):
        require_free_name(configured(), "_alice", ())
    require_free_name(configured(allow_underscore_prefixed_localpart=True), "_alice", ())
    require_free_name(configured(), "a_lice", ())


def test_a_name_of_an_application_service_is_reserved(tmp_path: pathlib.Path) -> None:
    regexes = {"@irc_open": False, "@irc_.*": True, "@.*": False}
    namespaces = {"users": [{"regex": regex, "exclusive": exclusive} for regex, exclusive in regexes.items()]}
    registration = {"id": "irc", "as_token": "a", "sender_localpart": "bridge", "namespaces": namespaces}
    (tmp_path / "irc.yaml").write_text(json.dumps(registration), encoding="utf-8")
    configuration = configured(app_service_config_files=["gone.yaml", "irc.yaml"])
    # Only Synapse knows what is in a file that cannot be read.
    services, _problems = read_registrations(configuration, str(tmp_path))
    for name, way_out in (("irc_alice", "remove the namespace from .*/irc.yaml.*"), ("bridge", "")):
        with pytest.raises(
            errors.InvalidInput,
            match=rf"@{name}:x.org cannot be created: it is .* service irc \(.*irc\.yaml\).*{way_out}with its as_tok",
        ):
            require_free_name(configuration, name, services)
    for name in ("alice", "irc_open_alice"):
        require_free_name(configuration, name, services)


def test_the_user_of_the_notices_is_reserved() -> None:
    configuration = configured(server_notices={"system_mxid_localpart": "notices"})
    with pytest.raises(
        errors.InvalidInput, match=r"@notices:x.org cannot .*\(server_notices in homeserver.yaml\)\. Set user"
    ):
        require_free_name(configuration, "notices", ())
    require_free_name(configuration, "notice", ())


def test_a_disabled_server_lets_nobody_in() -> None:
    with pytest.raises(errors.InvalidInput, match=r"homeserver\.yaml disables this server \(hs_disabled\)"):
        require_enabled(configured(hs_disabled=True))
    require_enabled(configured())
