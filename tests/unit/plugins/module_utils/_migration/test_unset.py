# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import sqlite3
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.unset import restore_unset


class Postgresql:
    """A target that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[tuple[str, t.Any]] = []

    def rows(self, sql: str, *_values: t.Any) -> list[tuple[t.Any, ...]]:
        """Answer what the catalog would answer."""
        if "information_schema.columns" in sql:
            return [
                ("users", "approved", True),
                ("users", "locked", False),
                ("keys", "verified", True),
                ("new_in_postgresql", "set", True),
                ("without_key", "set", True),
            ]
        if "indisunique" in sql:
            return [("users", 1, "name"), ("keys", 2, "room"), ("keys", 2, "session"), ("new_in_postgresql", 3, "id")]
        return []

    def write(self, sql: str, *values: t.Any) -> int:
        """Keep a statement."""
        self.written.append((sql, *values))
        return 1


def restored(directory: Path, rowids: dict[str, list[int]], accounts: int = 3) -> list[tuple[str, t.Any]]:
    path = str(directory / "copy.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE users (name, approved, locked); CREATE TABLE keys (room, session, verified);"
            "CREATE TABLE without_key (id, 'set'); INSERT INTO without_key VALUES (1, NULL);"
            "INSERT INTO keys VALUES ('!a', 's', NULL), ('!b', 's', 0)"
        )
        connection.executemany("INSERT INTO users VALUES (?, NULL, NULL)", [(f"@{n}",) for n in range(accounts)])
        connection.execute("UPDATE users SET approved = 1 WHERE name = '@0'")
        connection.commit()
    target = Postgresql()
    restore_unset(t.cast("t.Any", target), path, rowids)
    return target.written


def test_only_what_has_no_value_and_a_key_is_changed(tmp_path: Path) -> None:
    keys, users = restored(tmp_path, {})
    assert keys == ('UPDATE "keys" SET "verified" = NULL WHERE ("room", "session") IN ?', (("!a", "s"),))
    assert users == ('UPDATE "users" SET "approved" = NULL WHERE ("name") IN ?', ("@1", "@2"))


def test_rows_that_an_earlier_pass_has_copied_are_left_out(tmp_path: Path) -> None:
    assert [values for sql, values in restored(tmp_path, {"users": [3, 0]}) if "users" in sql] == [("@2",)]


def test_many_rows_are_changed_in_parts(tmp_path: Path) -> None:
    found = [values for sql, values in restored(tmp_path, {}, 2502) if "users" in sql]
    assert [len(values) for values in found] == [1000, 1000, 501]
