# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.only_database import find_only_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

_SQLITE = {"name": "sqlite3", "args": {"database": "homeserver.db"}}
_REFUSAL = "which this test does not want. Use one."


def _found(**settings: t.Any) -> dict[str, t.Any]:
    configuration = Configuration((ConfigurationFile("/c/homeserver.yaml", settings),))
    return find_only_database(configuration, _REFUSAL, "/data").arguments


@pytest.mark.parametrize(
    "settings",
    [
        {"database": _SQLITE},
        {"databases": {"all": _SQLITE}},
        {"databases": {"all": {**_SQLITE, "data_stores": ["state", "main"]}}},
        {"database_path": "homeserver.db"},
    ],
)
def test_one_database_is_found_however_it_is_set(settings: dict[str, t.Any]) -> None:
    assert _found(**settings) == {"database": "/data/homeserver.db"}


@pytest.mark.parametrize(
    ("databases", "message"),
    [
        (
            {"one": {**_SQLITE, "data_stores": ["main"]}, "two": {**_SQLITE, "data_stores": ["state"]}},
            "/c/homeserver.yaml sets several databases, which this test does not want. Use one.",
        ),
        ({"one": {**_SQLITE, "data_stores": ["main"]}}, "None of the databases in /c/homeserver.yaml has the data sto"),
        ({"one": {**_SQLITE, "data_stores": ["state"]}}, "None of the databases in /c/homeserver.yaml has the data st"),
        ({}, "No database is set in /c/homeserver.yaml"),
        ([_SQLITE, _SQLITE], "databases in /c/homeserver.yaml does not have the form that Synapse requires"),
    ],
)
def test_what_is_refused(databases: t.Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _found(databases=databases)
    assert raised.value.message.startswith(message)
