# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.droppable import (
    PostgresqlDatabase,
    SqliteDatabase,
    open_database,
)

POSTGRESQL = DatabaseSettings("psycopg2", {"dbname": "synapse"}, "homeserver.yaml")


def test_one_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.db"
    path.touch()
    database = open_database([DatabaseSettings("sqlite3", {"database": str(path)}, "a")], "/python")
    assert isinstance(database, SqliteDatabase)
    assert database.contents() == Contents()
    assert not database.is_open_in([os.getpid()])
    with path.open("rb"):
        assert database.is_open_in([os.getpid()])
    database.require_droppable()
    database.drop()
    assert database.is_aside()
    assert pathlib.Path(database.aside).exists()
    database.put_back()
    assert not database.is_aside()
    database.drop()
    database.forget()
    assert not database.is_aside()
    assert not path.exists()


def test_postgresql_keeps_nothing() -> None:
    database = open_database([POSTGRESQL], "/python")
    assert isinstance(database, PostgresqlDatabase)
    assert database.shown == "the PostgreSQL database synapse at the local socket"
    assert not database.aside
    assert not database.is_aside()


def test_several() -> None:
    with pytest.raises(ConfigurationError, match="databases in homeserver.yaml sets several databases"):
        open_database([POSTGRESQL, POSTGRESQL], "/python")
