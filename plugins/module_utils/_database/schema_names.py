# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The names of all tables, sequences and functions that the installed Synapse creates in a PostgreSQL database.

They are read in the SQL of the installed version: the files of synapse/storage/schema for all versions of the schema,
the tables of background updates in synapse/storage/databases, and that of synapse_port_db (1.163). A database that has
been upgraded for years may still have a table that only an old file names. But a table that a later version of the
schema has dropped is not Synapse's any more: another program may have one with the same name, such as groups.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# In seconds.
_TIMEOUT = 60
# Finds the package without an import, which would take seconds.
_PROGRAM = r"""
import importlib.util, json, os, re
found = importlib.util.find_spec("synapse").submodule_search_locations[0]
name = r'(?:IF (?:NOT )?EXISTS )?(?:ONLY )?"?([A-Za-z_][A-Za-z0-9_]*)"?'
patterns = {
    "tables": [
        r"CREATE (?:UNLOGGED |VIRTUAL )?TABLE " + name,
        r"ALTER TABLE " + name,
        r'ALTER TABLE \S+ RENAME TO "?([A-Za-z_][A-Za-z0-9_]*)"?',
    ],
    "dropped": [r"DROP TABLE " + name],
    "sequences": [r"(?:CREATE|DROP|ALTER) SEQUENCE " + name],
    "functions": [r"CREATE (?:OR REPLACE )?FUNCTION " + name],
}
names = {kind: set() for kind in patterns}
schema = os.path.join(found, "storage", "schema")
full = os.path.join(schema, "main", "full_schemas")
newest = max([0, *(int(each) for each in (os.listdir(full) if os.path.isdir(full) else ()) if each.isdigit())])
later = set()
for part in (("storage",), ("_scripts",)):
    for directory, _directories, files in os.walk(os.path.join(found, *part)):
        for file in files:
            if not file.endswith((".py", ".sql", ".postgres")):
                continue
            with open(os.path.join(directory, file), encoding="utf-8") as opened:
                text = " ".join(opened.read().split())
            version = os.path.basename(directory)
            # What a new database is made of: the newest full schema, and what follows it.
            is_later = not version.isdigit() or int(version) >= newest
            for kind, expressions in patterns.items():
                for expression in expressions:
                    matches = {each.lower() for each in re.findall(expression, text, re.IGNORECASE)}
                    names[kind] |= matches
                    if kind == "tables" and is_later and not expression.startswith("ALTER TABLE (?:"):
                        later |= matches
names["tables"] -= names.pop("dropped") - later
print(json.dumps({kind: sorted(each) for kind, each in names.items()}))
"""
# The tables in which background updates keep what is left to do. Their names are put together in the code.
_OF_BACKGROUND_UPDATES = "_temp_populate_"
_LEAST = 100

Run = t.Callable[[t.Sequence[str], float], Completed]


class SchemaNames(t.NamedTuple):
    """The names of what Synapse creates, in lower case."""

    tables: frozenset[str]
    sequences: frozenset[str]
    functions: frozenset[str]

    def has_relation(self, name: str) -> bool:
        """Whether a table, an index or a sequence with this name is one of Synapse."""
        return name in self.tables or name in self.sequences or name.startswith(_OF_BACKGROUND_UPDATES)


def read_schema_names(synapse_python: str, run: Run = run_command) -> SchemaNames:
    """Return the names in the Synapse that `synapse_python` runs. Raises InvalidInput if it runs none."""
    fix = "Set synapse_python to the Python interpreter that Synapse runs with."
    try:
        done = run([synapse_python, "-B", "-I", "-c", _PROGRAM], _TIMEOUT)
    except SynapseError as error:
        raise InvalidInput(f"synapse_python {error.message.rstrip('.')}. {fix}") from error
    try:
        found = json.loads(done.output)
        names = SchemaNames(*(frozenset(found[kind]) for kind in SchemaNames._fields))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"synapse_python {synapse_python} does not have Synapse installed. {fix}") from error
    if len(names.tables) < _LEAST:
        raise InvalidInput(
            f"The Synapse of synapse_python {synapse_python} has no description of its database that this collection"
            f" can read. {fix}"
        )
    return names
