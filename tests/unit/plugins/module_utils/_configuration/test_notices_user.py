# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user of the notices is known by the configuration."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.notices_user import notices_user


@pytest.mark.parametrize(
    ("notices", "user_id"),
    [
        (None, None),
        ("notices", None),
        ({}, None),
        ({"system_mxid_localpart": "notices"}, "@notices:x.org"),
    ],
)
def test_is_known(notices: t.Any, user_id: str | None) -> None:
    settings = {"server_name": "x.org", "server_notices": notices}
    assert notices_user(Configuration((ConfigurationFile("homeserver.yaml", settings),))) == user_id
