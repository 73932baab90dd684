# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database import open_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.open_in import is_open_in


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> DatabaseSettings:
    path = tmp_path / "homeserver.db"
    path.touch()
    return DatabaseSettings("sqlite3", {"database": str(path)}, "homeserver.yaml")


def test_a_file_that_is_open(settings: DatabaseSettings) -> None:
    path = settings.arguments["database"]
    assert not is_open_in(settings, [os.getpid()])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE users (name)")
        assert is_open_in(settings, [os.getpid()])
        assert not is_open_in(settings, [])


def test_another_file_with_the_same_path(settings: DatabaseSettings) -> None:
    path = settings.arguments["database"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE users (name)")
        os.remove(path)
        assert not is_open_in(settings, [os.getpid()])
        pathlib.Path(path).touch()
        assert not is_open_in(settings, [os.getpid()])


def test_at_another_path(settings: DatabaseSettings, tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(settings.arguments["database"])
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with path.open("rb"):
        assert is_open_in(DatabaseSettings("sqlite3", {"database": str(link)}, ""), [os.getpid()])


def test_what_was_closed_meanwhile(settings: DatabaseSettings, tmp_path: pathlib.Path) -> None:
    descriptors = tmp_path / "proc" / "7" / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to("/nowhere")
    assert not is_open_in(settings, [7, 8], str(tmp_path / "proc"))


def test_what_cannot_be_seen(settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> t.NoReturn:
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refuse)
    assert is_open_in(settings, [1])


@pytest.mark.parametrize("sessions", [0, 3])
def test_sessions_of_postgresql(monkeypatch: pytest.MonkeyPatch, sessions: int) -> None:
    scripted = types.SimpleNamespace(rows=lambda _sql: [(sessions,)])
    monkeypatch.setattr(open_in, "Database", lambda _settings: contextlib.nullcontext(scripted))
    assert is_open_in(DatabaseSettings("psycopg2", {"dbname": "synapse"}, ""), [1]) is (sessions > 0)
