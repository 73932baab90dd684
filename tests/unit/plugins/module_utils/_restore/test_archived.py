# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archived configuration leads to the database of the restored server."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.archived import (
    archived_configuration,
    archived_database,
    archived_name,
)

_PATHS = ["/c/homeserver.yaml", "/c/conf.d"]
_POSTGRESQL = b"database: {name: psycopg2, args: {host: h, user: u, password: p, dbname: d, cp_min: 1}}\n"


def _manifest(engine: str) -> dict[str, t.Any]:
    database = {"engine": engine, **({"path": "/d/homeserver.db"} if engine == "sqlite" else {})}
    return {"engine": engine, "database": database, "service": {"config_path": _PATHS, "working_directory": "/d"}}


def test_later_files_replace_keys_as_in_synapse() -> None:
    contents = {
        "/c/conf.d/b.yaml": b"a: 3\n",
        "/c/homeserver.yaml": b"server_name: example.org\na: 1\n",
        "/c/conf.d/a.yaml": b"a: 2\n",
        "/c/conf.d/sub/z.yaml": b"a: 4\n",
        "/c/conf.d/z.off": b"a: 5\n",
    }
    configuration = archived_configuration(_PATHS, contents)
    assert configuration.settings == {"server_name": "example.org", "a": 3}
    assert archived_name(_manifest("sqlite"), contents) == "example.org"


def test_the_database() -> None:
    settings = archived_database(_manifest("postgresql"), {"/c/homeserver.yaml": _POSTGRESQL})
    assert settings.arguments == {"host": "h", "user": "u", "password": "p", "dbname": "d"}
    settings = archived_database(_manifest("sqlite"), {})
    assert settings.arguments == {"database": "/d/homeserver.db"}


def test_a_configuration_that_does_not_fit() -> None:
    with pytest.raises(InvalidInput, match="its configuration ./c/homeserver.yaml. sets the SQLite database"):
        archived_database(
            _manifest("postgresql"), {"/c/homeserver.yaml": b"database: {name: sqlite3, args: {database: /x}}\n"}
        )
    several = b"databases: {a: {name: psycopg2, data_stores: [main]}, b: {name: psycopg2, data_stores: [state]}}\n"
    with pytest.raises(
        ConfigurationError, match="/c/homeserver.yaml sets several databases, of which a backup has onl"
    ):
        archived_database(_manifest("postgresql"), {"/c/homeserver.yaml": several})
    with pytest.raises(ConfigurationError, match="in the archive is not text"):
        archived_database(_manifest("postgresql"), {"/c/homeserver.yaml": b"\xff"})
