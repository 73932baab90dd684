# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents, read_contents

NAME = "[2001:db8::1]:8448"


def settings(path: pathlib.Path) -> DatabaseSettings:
    return DatabaseSettings("sqlite3", {"database": str(path)}, "homeserver.yaml")


def made(path: pathlib.Path, *users: tuple[str, str | None, int | None], rooms: int = 0) -> DatabaseSettings:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (name TEXT, appservice_id TEXT, creation_ts BIGINT)")
    connection.execute("CREATE TABLE rooms (room_id TEXT)")
    connection.executemany("INSERT INTO users VALUES (?, ?, ?)", users)
    connection.executemany("INSERT INTO rooms VALUES (?)", [(f"!{number}",) for number in range(rooms)])
    connection.commit()
    connection.close()
    return settings(path)


def test_no_file(tmp_path: pathlib.Path) -> None:
    assert read_contents(settings(tmp_path / "missing.db")) == Contents()
    assert not (tmp_path / "missing.db").exists()


def test_an_empty_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty.db").touch()
    assert read_contents(settings(tmp_path / "empty.db")) == Contents()


def test_in_use(tmp_path: pathlib.Path) -> None:
    database = made(
        tmp_path / "a.db", (f"@a:{NAME}", None, 20), (f"@b:{NAME}", "bridge", 10), ("@c:b", None, None), rooms=2
    )
    found = read_contents(database)
    assert found == Contents(True, (NAME, "b"), 2, 2, 10, found.identity)


def test_another_file_in_the_same_place(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    identities = [read_contents(made(path)).identity, read_contents(settings(path)).identity]
    path.rename(tmp_path / "aside.db")
    identities.append(read_contents(made(path)).identity)
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.parametrize(
    ("contents", "unused"),
    [
        (Contents(), True),
        (Contents(True, ("example.org",), 0, 0, 1), True),
        (Contents(True, ("example.org",), 1, 0, 1), False),
        (Contents(True, (), 0, 1), False),
        (Contents(True, ("old.example",), 0, 0, 1), False),
    ],
)
def test_unused(contents: Contents, unused: bool) -> None:
    assert contents.is_unused("example.org") is unused
