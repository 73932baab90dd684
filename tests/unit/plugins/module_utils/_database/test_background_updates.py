# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.background_updates import (
    find_databases,
    read_pending_updates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    ConnectionFailed,
    SynapseError,
)

MAIN, STATE = (
    {"name": "psycopg2", "args": {"dbname": name, "cp_min": 1}, "data_stores": [name]} for name in ("main", "state")
)


def configured(directory: pathlib.Path, settings: dict[str, t.Any]) -> Configuration:
    path = directory / "homeserver.yaml"
    path.write_text(json.dumps(settings))
    return read_configuration([str(path)])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"database": {"name": "psycopg2", "args": {"dbname": "one"}}}, ["one"]),
        ({"databases": {"a": MAIN, "b": STATE}}, ["main", "state"]),
        ({"databases": {"a": STATE, "b": MAIN}}, ["main", "state"]),
        ({"databases": {"a": {**MAIN, "data_stores": ["main", "state"]}}}, ["main"]),
    ],
)
def test_every_database_once(tmp_path: pathlib.Path, settings: dict[str, t.Any], expected: list[str]) -> None:
    found = find_databases(configured(tmp_path, settings))
    assert [database.arguments["dbname"] for database in found] == expected


def test_a_data_store_without_a_database(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="has the data store state"):
        find_databases(configured(tmp_path, {"databases": {"a": MAIN}}))


def at(path: pathlib.Path) -> DatabaseSettings:
    return DatabaseSettings("sqlite3", {"database": str(path)}, "/h.yaml")


def make(path: pathlib.Path, *rows: tuple[str, int]) -> DatabaseSettings:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE background_updates (update_name, progress_json, depends_on, ordering)")
    connection.executemany("INSERT INTO background_updates VALUES (?, '{}', NULL, ?)", rows)
    connection.commit()
    connection.close()
    return at(path)


def test_the_updates_of_all_databases(tmp_path: pathlib.Path) -> None:
    databases = [make(tmp_path / "a", ("late", 2), ("early", 1)), make(tmp_path / "b"), make(tmp_path / "c", ("x", 0))]
    found = read_pending_updates(databases, statement_timeout=5)
    assert [update["name"] for update in found] == ["early", "late", "x"]
    assert read_pending_updates([]) == []


def test_it_writes_nothing(tmp_path: pathlib.Path) -> None:
    settings = make(tmp_path / "a", ("x", 1))
    os.chmod(tmp_path / "a", 0o400)
    before = (tmp_path / "a").stat()
    with sqlite3.connect(f"file:{tmp_path / 'a'}?mode=ro", uri=True) as other:
        # Another one reads at the same time.
        other.execute("BEGIN")
        assert len(read_pending_updates([settings])) == 1
    after = (tmp_path / "a").stat()
    assert (before.st_mtime_ns, os.listdir(tmp_path)) == (after.st_mtime_ns, ["a"])
    other.close()


def test_a_database_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConnectionFailed, match="does not exist"):
        read_pending_updates([make(tmp_path / "a"), at(tmp_path / "missing")])
    sqlite3.connect(tmp_path / "empty").close()
    with pytest.raises(SynapseError, match="no such table: background_updates"):
        read_pending_updates([at(tmp_path / "empty")])
