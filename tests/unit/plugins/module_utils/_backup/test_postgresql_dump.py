# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.postgresql_dump import (
    begin_snapshot,
    dump,
    dumped_extensions,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import Program
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_SETTINGS = DatabaseSettings("psycopg2", {"dbname": "synapse", "password": "very secret"}, "homeserver.yaml")


def _program(tmp_path: pathlib.Path, text: str) -> Program:
    path = tmp_path / "pg_dump"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return Program(str(path), 15)


def test_the_stream_of_the_program(tmp_path: pathlib.Path) -> None:
    program = _program(tmp_path, 'echo "$*" "$PGPASSWORD"')
    said = b"".join(dump(_SETTINGS, program, "0001-1", None)).decode()
    assert said.startswith("--format=custom --compress=1 --no-password --snapshot=0001-1")
    assert "--exclude-table-data=e2e_one_time_keys_json" in said
    assert said.endswith("--dbname=dbname='synapse' very secret\n")
    assert "--no-comments" in said
    assert "--extension" not in said
    said = b"".join(dump(_SETTINGS, program, "0001-1", None, ["plpgsql", "pg_trgm"])).decode()
    assert ' --extension="plpgsql" --extension="pg_trgm" -b ' in said


def test_a_program_that_fails_half_way(tmp_path: pathlib.Path) -> None:
    program = _program(tmp_path, "head -c 100000 /dev/zero; echo 'pg_dump: error: very secret is wrong.' >&2; exit 1")
    with pytest.raises(SynapseError) as raised:
        list(dump(_SETTINGS, program, "0001-1", None))
    assert raised.value.message == (
        f"{program.path} could not dump the PostgreSQL database synapse at the local socket:"
        " pg_dump: error: ******** is wrong."
    )


def test_a_program_that_cannot_be_run() -> None:
    with pytest.raises(SynapseError, match="cannot be run"):
        list(dump(_SETTINGS, Program("/nowhere/pg_dump", 15), "0001-1", None))


class _Database:
    def __init__(self, *rows: tuple[t.Any, ...]) -> None:
        self.asked: list[str] = []
        self._rows = [*rows] or [("0001-1",)]

    def write(self, sql: str) -> int:
        self.asked.append(sql)
        return -1

    def rows(self, sql: str, *_values: t.Any) -> list[tuple[t.Any, ...]]:
        self.asked.append(sql)
        return self._rows


def test_the_snapshot_is_the_first_that_is_asked_for() -> None:
    database = _Database()
    assert begin_snapshot(t.cast(Database, database)) == "0001-1"
    assert database.asked[0] == "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


def test_the_extensions_of_a_dump() -> None:
    kept = t.cast(Database, _Database(("pg_trgm", False), ("plpgsql", False)))
    assert dumped_extensions(kept) is None
    watched = t.cast(Database, _Database(("pg_stat_statements", True), ("plpgsql", False)))
    assert dumped_extensions(watched) == ["plpgsql"]
