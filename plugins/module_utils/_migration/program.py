# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Synapse's own program for the move, synapse_port_db, as it is installed: what it copies, and how (1.163).

Its source is read, not imported, because an import takes seconds. In each pass it

- empties every table that is in both databases and not in `append_only`, and copies it anew. The tables in `ignored`
  are emptied and not copied;
- copies of a table in `append_only` only the rows after the rowids that are in its own table port_from_sqlite3: rows
  that were changed, removed or replaced since an earlier pass are not copied again (see _migration.difference);
- leaves out rows with a NUL character, and rows of event_search without their event;
- sets the sequences of PostgreSQL by the largest numbers in the tables of SQLite.
"""

from __future__ import annotations

import ast
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# Prints the version, the schema, the path of the program, the deltas of the schema, and whether Synapse knows the jobs
# that build the user directory. It imports nothing of Synapse, which would take seconds.
_ASK = """
import importlib.metadata, importlib.util, json, os, runpy, sys
directory = importlib.util.find_spec("synapse").submodule_search_locations[0]
schema = runpy.run_path(os.path.join(directory, "storage", "schema", "__init__.py"))["SCHEMA_VERSION"]
deltas = []
for store in ("common", "main", "state"):
    place = os.path.join(directory, "storage", "schema", store, "delta", str(schema))
    if os.path.isdir(place):
        deltas += [name for name in os.listdir(place) if name.endswith((".py", ".sql", ".sql.sqlite"))]
jobs = os.path.join(directory, "rest", "admin", "background_updates.py")
print(json.dumps({
    "version": importlib.metadata.version("matrix-synapse"),
    "schema_version": schema,
    "deltas": [f"{schema}/{name}" for name in deltas],
    "program": os.path.join(directory, "_scripts", "synapse_port_db.py"),
    "jobs": open(jobs).read() if os.path.exists(jobs) else "",
    "has_driver": importlib.util.find_spec("psycopg2") is not None,
}))
"""
_TIMEOUT = 60
_NAMES = ("APPEND_ONLY_TABLES", "IGNORED_TABLES", "BOOLEAN_COLUMNS")
# What POST /_synapse/admin/v1/background_updates/start_job inserts for regenerate_directory, each with what it needs.
DIRECTORY_JOBS = (
    ("populate_user_directory_createtables", ""),
    ("populate_user_directory_process_rooms", "populate_user_directory_createtables"),
    ("populate_user_directory_process_users", "populate_user_directory_process_rooms"),
    ("populate_user_directory_cleanup", "populate_user_directory_process_users"),
)


class PortProgram(t.NamedTuple):
    """Synapse's program at `path` for the Python `python`.

    `append_only`: the tables of which a later pass copies new rows only. `ignored`: the tables that it does not copy.
    `deltas`: the files of the newest schema for SQLite. `rebuilds_directory`: Synapse knows DIRECTORY_JOBS.
    """

    python: str
    path: str
    version: str
    schema_version: int
    deltas: frozenset[str]
    append_only: frozenset[str]
    ignored: frozenset[str]
    rebuilds_directory: bool


def read_program(python: str) -> PortProgram:
    """Read the program of the Synapse that `python` runs. Raises InvalidInput if it cannot be used."""
    fix = "Set synapse_python to the Python interpreter that Synapse runs with."
    try:
        done = run_command([python, "-I", "-B", "-c", _ASK], _TIMEOUT)
    except SynapseError as error:
        raise InvalidInput(f"synapse_python {error.message.rstrip('.')}. {fix}") from error
    try:
        found = json.loads(done.output)
    except ValueError as error:
        raise InvalidInput(f"synapse_python {python} does not have Synapse installed. {fix}") from error
    if not found["has_driver"]:
        raise InvalidInput(
            f"synapse_python {python} does not have psycopg2, so Synapse cannot use PostgreSQL. Install psycopg2-binary"
            " for it, or the package of your distribution."
        )
    tables = read_tables(found["program"])
    return PortProgram(
        python,
        found["program"],
        found["version"],
        found["schema_version"],
        frozenset(found["deltas"]),
        tables["APPEND_ONLY_TABLES"],
        tables["IGNORED_TABLES"],
        all(f'"{name}"' in found["jobs"] for name, _needed in DIRECTORY_JOBS),
    )


def read_tables(path: str) -> dict[str, frozenset[str]]:
    """Return the names of tables in the constants of the program at `path`. Raises InvalidInput without them."""
    try:
        with open(path, encoding="utf-8") as file:
            parsed = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput(
            f"{path} cannot be read, which is Synapse's own program synapse_port_db. Install Synapse again."
        ) from error
    found: dict[str, frozenset[str]] = {}
    for statement in parsed.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in _NAMES:
                found[name] = frozenset(ast.literal_eval(statement.value))
    missing = [name for name in _NAMES if not found.get(name)]
    if missing:
        raise InvalidInput(
            f"{path} does not contain {', '.join(missing)}: this version of Synapse copies in another way than this"
            " collection expects, and nothing was changed. Use a release of the collection that supports it."
        )
    return found
