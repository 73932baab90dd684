# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.configured_databases import (
    configured_databases,
    database_engine,
)


@pytest.mark.parametrize(
    ("settings", "engine"),
    [
        ({}, None),
        ({"database": {"name": "psycopg2"}}, "psycopg2"),
        ({"database": {"args": {}}}, "sqlite3"),
        ({"database": {"name": ["psycopg2"]}}, None),
        ({"database": {"name": {}}}, None),
        ({"database": "psycopg2"}, None),
        ({"databases": {"a": {"name": "psycopg2"}, "b": {"name": "psycopg2"}}}, "psycopg2"),
        ({"databases": {"a": {"name": "psycopg2"}, "b": {}}}, None),
        ({"databases": {}, "database": {"name": "psycopg2"}}, "psycopg2"),
        ({"database_path": "/srv/own.db"}, "sqlite3"),
        ({"database_path": "/srv/own.db", "database": {"name": "psycopg2"}}, "psycopg2"),
    ],
)
def test_the_engine(settings: dict[str, t.Any], engine: str | None) -> None:
    assert database_engine(settings) == engine


def test_the_old_path_only_counts_without_a_block() -> None:
    own, other = ({"name": "sqlite3", "args": {"database": path}} for path in ("/srv/own.db", "/a"))
    assert configured_databases({"database_path": "/srv/own.db", "database": {}}) == [own]
    assert configured_databases({"database_path": "/srv/own.db", "database": None}) == [own]
    assert configured_databases({"database_path": "/srv/own.db", "database": {"args": {"database": "/a"}}}) == [other]
    postgresql = {"name": "psycopg2", "args": {"host": "db"}}
    assert configured_databases({"database_path": "/srv/own.db", "database": postgresql}) == [postgresql]
