# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import read_program, read_tables

SOURCE = """
import nothing_that_exists
BOOLEAN_COLUMNS = {"users": ["locked"]}
APPEND_ONLY_TABLES = ["events", "users"]
IGNORED_TABLES = {
    # A comment.
    "user_directory",
}
OTHER = object()
"""


def test_the_tables_are_read_without_an_import(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "synapse_port_db.py"
    path.write_text(SOURCE)
    found = read_tables(str(path))
    assert found["APPEND_ONLY_TABLES"] == {"events", "users"}
    assert found["IGNORED_TABLES"] == {"user_directory"}


def test_a_program_that_copies_in_another_way_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "synapse_port_db.py"
    path.write_text(SOURCE.replace("APPEND_ONLY_TABLES", "COPIED_ONCE"))
    with pytest.raises(InvalidInput, match="does not contain APPEND_ONLY_TABLES"):
        read_tables(str(path))


@pytest.mark.parametrize("content", [None, "this is no Python"])
def test_a_program_that_cannot_be_read_is_refused(tmp_path: pathlib.Path, content: str | None) -> None:
    path = tmp_path / "synapse_port_db.py"
    if content:
        path.write_text(content)
    with pytest.raises(InvalidInput, match=r"Synapse's own program synapse_port_db. Install Synapse again"):
        read_tables(str(path))


def test_a_python_without_synapse_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not have Synapse installed. Set synapse_python"):
        read_program(sys.executable)


def test_a_python_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="synapse_python /nowhere/python cannot be run"):
        read_program("/nowhere/python")


def test_what_an_installed_synapse_answers(tmp_path: pathlib.Path) -> None:
    scripts = tmp_path / "synapse_port_db.py"
    scripts.write_text(SOURCE)
    answer = (
        '{"version": "1.163.2", "schema_version": 94, "deltas": ["94/one.sql"], "program": "%s",'
        ' "jobs": "\\"populate_user_directory_createtables\\"", "has_driver": %s}'
    )
    python = tmp_path / "python"
    for driver in ("true", "false"):
        # Without modules from PYTHONPATH.
        python.write_text(f"#!/bin/sh\n[ $1 = -I ] && echo '{answer % (scripts, driver)}'\n")
        python.chmod(0o755)
        if driver == "true":
            found = read_program(str(python))
            assert (found.version, found.schema_version, sorted(found.deltas)) == ("1.163.2", 94, ["94/one.sql"])
            # Only one of the four jobs.
            assert not found.rebuilds_directory
        else:
            with pytest.raises(InvalidInput, match="does not have psycopg2"):
                read_program(str(python))
