# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a move removes and empties in its target, with odd names, and next to the tables of another program."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import typing as t

import psycopg2
import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import read_schema_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Passes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram, read_program
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import Workplace
from ansible_collections.matrix_ops.synapse.tests.contract import servers

_MOVE = "a move"


@dataclasses.dataclass
class Begun:
    """A database in which a move has begun."""

    target: Target
    passes: Passes
    program: PortProgram
    connection: t.Any

    def ask(self, query: str) -> list[tuple[t.Any, ...]]:
        """Run a statement as the role of Synapse, and return what it finds."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def begun() -> t.Iterator[Begun]:
    """A database whose names need quotation marks, with two tables of Synapse."""
    server = servers.shared_server("postgresql")
    name, password = f"Move.{secrets.token_hex(4)} it's", "a 'pass\\word $x"
    where = {"host": server.database["host"], "port": server.database["port"]}
    server.write(f"""CREATE ROLE "{name}" LOGIN PASSWORD '{password.replace("'", "''")}'""")
    server.write(f"""CREATE DATABASE "{name}" OWNER "{name}" ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0""")
    declared = DeclaredMigration(
        tuple(server.config_path), server.python, where["host"], where["port"], name, name, password, 1, 3
    )
    program = read_program(server.python)
    target = Target(declared)
    try:
        with contextlib.closing(psycopg2.connect(**where, dbname=name, user=name, password=password)) as connection:
            connection.autocommit = True
            target.mark(_MOVE)
            passes = Passes(declared, program, Workplace("/nowhere", os.geteuid(), -1), "/nowhere.db", {})
            found = Begun(target, passes, program, connection)
            found.ask("CREATE TABLE users (name text); CREATE TABLE devices (user_id text)")
            found.ask("INSERT INTO users VALUES ('alice'); INSERT INTO devices VALUES ('alice')")
            yield found
    finally:
        server.write(f'DROP DATABASE "{name}" WITH (FORCE)')
        server.write(f'DROP ROLE "{name}"')


def test_a_target_with_odd_names_is_reset(begun: Begun) -> None:
    names = read_schema_names(begun.program.python)
    function = min(names.functions)
    begun.ask(f"CREATE FUNCTION {function}() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    begun.target.require_usable(1)
    begun.target.reset(_MOVE, names)
    assert begun.ask("SELECT to_regclass('users'), to_regclass('devices')") == [(None, None)]
    assert begun.ask(f"SELECT 1 FROM pg_proc WHERE proname = '{function}'") == []
    assert begun.target.holds(_MOVE)


def test_only_tables_of_synapse_are_emptied(begun: Begun) -> None:
    begun.ask("CREATE TABLE of_others (id int); INSERT INTO of_others VALUES (1)")
    begun.passes.recopy()
    assert begun.ask("SELECT count(*) FROM users UNION ALL SELECT count(*) FROM devices") == [(1,), (0,)]
    assert begun.ask("SELECT id FROM of_others") == [(1,)]
