# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import (
    SchemaNames,
    read_schema_names,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

SQL = """
/* A comment. */ CREATE TABLE first(name text);
create table if not exists "Second" (name text);
CREATE  TABLE
    third (name text);
ALTER TABLE ONLY fourth ADD COLUMN a text;
DROP TABLE IF EXISTS fifth;
ALTER TABLE first RENAME TO sixth;
CREATE SEQUENCE IF NOT EXISTS first_sequence;
CREATE OR REPLACE FUNCTION first_function() RETURNS trigger AS $$ BEGIN END $$;
"""
# "groups" was dropped, and "renewed" was made again. Versions before the newest full schema are history.
VERSIONS = {
    "delta/20": "CREATE TABLE groups (a text); CREATE TABLE renewed (a text); CREATE TABLE remains (a text);",
    "delta/30": "DROP TABLE renewed; ALTER TABLE groups ADD COLUMN b text;",
    "full_schemas/16": "CREATE TABLE groups (a text);",
    "full_schemas/72": "CREATE TABLE renewed (a text);",
    "delta/73": "DROP TABLE groups;",
}
MANY = "".join(f"CREATE TABLE table_{number} (a text);\n" for number in range(100))


def installed(directory: pathlib.Path) -> t.Callable[[t.Sequence[str], float], Completed]:
    """Return what runs the program with a Synapse that is made up."""
    schema = directory / "synapse" / "storage" / "schema"
    (directory / "synapse" / "_scripts").mkdir(parents=True)
    schema.mkdir(parents=True)
    (directory / "synapse" / "__init__.py").touch()
    (schema / "full.sql.postgres").write_text(SQL + MANY)
    for place, text in VERSIONS.items():
        (schema / "main" / place).mkdir(parents=True)
        (schema / "main" / place / "one.sql").write_text(text)
    (schema / "full.sql.sqlite").write_text("CREATE TABLE only_sqlite (a text);")
    (schema / "delta.py").write_text('sql = """CREATE TABLE in_python (a text)"""')
    (directory / "synapse" / "_scripts" / "port.py").write_text('sql = "CREATE TABLE port_from_sqlite3 (a text)"')

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        # Isolated, Python does not look for packages in a directory of the test.
        given = [each for each in arguments if each != "-I"]
        done = subprocess.run(given, capture_output=True, text=True, check=False, timeout=timeout, cwd=directory)
        return Completed(done.returncode, done.stdout, done.stderr)

    return run


def test_names(tmp_path: pathlib.Path) -> None:
    names = read_schema_names(sys.executable, installed(tmp_path))
    assert {"renewed", "remains"} <= names.tables
    # Another program may have a table with this name.
    assert "groups" not in names.tables
    expected = {"renewed", "remains", "first", "second", "third", "fourth", "sixth", "in_python", "port_from_sqlite3"}
    assert {name for name in names.tables if not name.startswith("table_")} == expected
    assert names.sequences == {"first_sequence"}
    assert names.functions == {"first_function"}
    assert names.has_relation("first")
    assert names.has_relation("first_sequence")
    assert names.has_relation("_temp_populate_user_directory_rooms")
    assert not names.has_relation("foreign")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "does not have Synapse installed"),
        ("[]", "does not have Synapse installed"),
        (json.dumps({"tables": ["a"], "sequences": [], "functions": []}), "no description of its database"),
    ],
)
def test_no_synapse(output: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        read_schema_names("/python", lambda _arguments, _timeout: Completed(1, output, ""))


def test_no_python() -> None:
    def run(_arguments: t.Sequence[str], _timeout: float) -> Completed:
        raise SynapseError("/python cannot be run: No such file or directory.")

    with pytest.raises(InvalidInput, match="synapse_python /python cannot be run: No such file or directory. Set"):
        read_schema_names("/python", run)


def test_the_fields_are_those_of_the_program() -> None:
    assert SchemaNames._fields == ("tables", "sequences", "functions")
