# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The PostgreSQL database that becomes that of Synapse: whether it can be used, and what is in it.

Our marker is a row in the table of Synapse's program, port_from_sqlite3, which ignores it. So nothing of ours is left
in a database that Synapse uses.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import judge
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.identifier import quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.own_sessions import end_sessions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import PORT_TABLE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import (
    APPLICATION,
    DeclaredMigration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import DIRECTORY_JOBS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.space import Storage
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import read_sequences

_MARK = "matrix_ops.synapse"
# In seconds. A reset of a database takes longer than a query.
_STATEMENT_TIMEOUT = 3600
_SHOWN = 5
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

_PROPERTIES = """
    SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'), datcollate, datctype,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), coalesce(current_schema(), ''),
        pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean
    FROM pg_database WHERE datname = current_database()
"""
# How many connections there can be, and what limits them. A superuser has no limit of the role or the database.
_CONNECTIONS = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0), 'max_connections'
    UNION ALL SELECT datconnlimit, 'the CONNECTION LIMIT of the database' FROM pg_database, pg_roles
        WHERE datname = current_database() AND rolname = current_user AND NOT rolsuper AND datconnlimit >= 0
    UNION ALL SELECT rolconnlimit, 'the CONNECTION LIMIT of the role' FROM pg_roles
        WHERE rolname = current_user AND NOT rolsuper AND rolconnlimit >= 0
    ORDER BY 1 LIMIT 1
"""
_STORAGE = """
    SELECT pg_tablespace_location(dattablespace), pg_database_size(oid), pg_size_bytes(current_setting('max_wal_size'))
    FROM pg_database WHERE datname = current_database()
"""
_OWN = """
    FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
        AND relation.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT EXISTS (
            SELECT 1 FROM pg_depend AS part WHERE part.objid = relation.oid AND part.deptype IN ('e', 'i', 'a')
        )
"""
_RELATIONS = f"""
    SELECT format('%I.%I', space.nspname, relation.relname), relation.relkind::text, relation.relname,
        pg_table_is_visible(relation.oid) {_OWN} ORDER BY 1
"""
_FUNCTIONS = """
    SELECT function.oid::regprocedure::text, function.proname FROM pg_proc AS function
    WHERE function.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        AND function.proowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
        AND NOT EXISTS (SELECT 1 FROM pg_depend AS part WHERE part.objid = function.oid AND part.deptype = 'e')
"""
# What Synapse itself needs to know a database again, and tables that a schema fills.
_KEPT = frozenset({"schema_version", "schema_compat_version", "applied_schema_deltas", "applied_module_schemas"})


class Target:
    """The target, connected to as Synapse connects."""

    def __init__(self, declared: DeclaredMigration) -> None:
        self._declared = declared

    def open(self, *, writable: bool = False) -> Database:
        """Return a connection. Raises ConnectionFailed or MissingLibrary."""
        return Database(self._declared.target, writable=writable, statement_timeout=_STATEMENT_TIMEOUT)

    def end_sessions(self) -> None:
        """End the sessions that a killed run has left, whose last statement may still work. Raises SynapseError."""
        if not end_sessions(self.open, APPLICATION):
            raise SynapseError(
                f"An interrupted move still works on {self._declared.target_name}. Wait until it ends, and run the task"
                " again."
            )

    def require_usable(self, processes: int) -> None:
        """Raise InvalidInput if Synapse with so many processes could not use the database. Changes nothing."""
        declared = self._declared
        with self.open() as database:
            [(version, encoding, collation, ctype, may_create, schema, is_standby, is_read_only)] = database.rows(
                _PROPERTIES
            )
            [(connections, limit)] = database.rows(_CONNECTIONS)
        problems = list(judge(version, encoding, collation, ctype, any_locale=False)["problems"])
        if problems:
            raise InvalidInput(
                f"Synapse cannot use {declared.target_name}. {' '.join(problems)} Create a database with"
                f" {declared.createdb}"
            )
        user = _named(declared.login_user)
        if not schema:
            raise InvalidInput(
                f"The search_path of {declared.login_user} names no schema of {declared.target_name} that exists and"
                f" that this user may use. Reset it: ALTER ROLE {user} RESET search_path."
            )
        if not may_create:
            owns = f"Make it the owner of the database: ALTER DATABASE {_named(declared.login_db)} OWNER TO {user}."
            allows = f"Allow it: GRANT CREATE ON SCHEMA {_named(schema)} TO {user}."
            raise InvalidInput(
                f"{declared.login_user} may not create tables in the schema {schema} of {declared.target_name}."
                f" {owns if schema == 'public' else allows}"
            )
        if is_standby or is_read_only:
            raise InvalidInput(
                f"Nothing can be written to {declared.target_name}, because "
                + (
                    "this server is a standby. Set login_host to the primary server."
                    if is_standby
                    else "default_transaction_read_only is on for it. Find out why (a provider sets it when the disk is"
                    " full), and turn it off."
                )
            )
        needed = declared.cp_max * processes
        if needed > connections:
            raise InvalidInput(
                f"PostgreSQL at {declared.login_host}:{declared.login_port} allows {connections} connections"
                f" ({limit}), but Synapse needs up to {needed}: {processes} processes with cp_max {declared.cp_max}."
                f" Increase {limit}, or set a lower cp_max."
            )

    def storage(self) -> Storage:
        """Return where the database is in its server, and how big it is."""
        with self.open() as database:
            [(tablespace, size, most_logged)] = database.rows(_STORAGE)
        return Storage(str(tablespace), int(size), int(most_logged))

    def is_empty(self) -> bool:
        """Return whether there is no table, sequence or view, except those of extensions."""
        with self.open() as database:
            return not database.rows(_RELATIONS)

    def holds(self, move: str) -> bool:
        """Return whether the move with this name has put something into the database."""
        with self.open() as database:
            return _has_port_table(database) and bool(_marks(database, move, ""))

    def is_half_made(self) -> bool:
        """Return whether Synapse's program was interrupted before it had begun to copy, so that it cannot go on.

        It commits each file of its schema by itself, and runs background updates on the new tables afterwards
        (synapse/storage/prepare_database.py, Synapse 1.163).
        """
        with self.open() as database:
            copied = database.rows(f"SELECT 1 FROM {PORT_TABLE} WHERE table_name NOT LIKE ? LIMIT 1", f"{_MARK} %")
            return not copied and any(row[2] != PORT_TABLE for row in database.rows(_RELATIONS))

    def require_own(self, names: SchemaNames) -> None:
        """Raise InvalidInput if there is something that no Synapse creates. `names`: what the installed one creates."""
        with self.open() as database:
            others = [name for name, *each in database.rows(_RELATIONS) if not _is_own(names, *each)]
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            raise InvalidInput(
                f"{self._declared.target_name} also contains what does not come from Synapse:"
                f" {', '.join(others[:_SHOWN])}{more}. Nothing is removed there. Move it to another database, or set"
                f" login_db to an empty one, created with {self._declared.createdb}"
            )

    def mark(self, move: str) -> None:
        """Begin the move with this name in an empty database. Raises SynapseError if it is not empty any more."""
        with self.open(writable=True) as database:
            if database.rows(_RELATIONS):
                raise SynapseError(f"{self._declared.target_name} got content at the same moment. Run the task again.")
            # As Synapse's program creates it (synapse/_scripts/synapse_port_db.py).
            database.write(
                f"CREATE TABLE {PORT_TABLE} (table_name varchar(100) NOT NULL UNIQUE, forward_rowid bigint NOT NULL,"
                " backward_rowid bigint NOT NULL)"
            )
            add_mark(database, move, "")

    def reset(self, move: str, names: SchemaNames) -> None:
        """Remove everything that the move with this name has put into the database, and mark it again.

        Raises InvalidInput if there is something that no Synapse creates, and removes nothing then.
        """
        self.require_own(names)
        with self.open(writable=True) as database:
            if not (_has_port_table(database) and _marks(database, move, "")):
                raise SynapseError(f"{self._declared.target_name} is not that of the interrupted move.")
            for name, kind, *each in database.rows(_RELATIONS):
                if _is_own(names, kind, *each):
                    database.write(f"DROP {'SEQUENCE' if kind == 'S' else 'TABLE'} IF EXISTS {name} CASCADE")
            for function, short in database.rows(_FUNCTIONS):
                if short in names.functions:
                    database.write(f"DROP FUNCTION IF EXISTS {function} CASCADE")
        self.mark(move)

    def rowids(self, append_only: t.Collection[str]) -> dict[str, list[int]]:
        """Return for each of these tables how far Synapse's program is: see MoveState."""
        with self.open() as database:
            found = database.rows(f"SELECT table_name, forward_rowid, backward_rowid FROM {PORT_TABLE}")
        return {name: [forward, backward] for name, forward, backward in sorted(found) if name in append_only}

    def empty_the_rest(self, names: t.Collection[str], append_only: t.Collection[str]) -> None:
        """Empty all tables that the next pass copies anew, of those with these `names`.

        Otherwise what an earlier pass has left may be ahead of the sequences that the next one sets, so that Synapse's
        program does not start, or refers to a row that has to be removed.
        """
        with self.open(writable=True) as database:
            emptied = sorted(set(names) - set(append_only) - _KEPT - {PORT_TABLE})
            if emptied:
                database.write(f"TRUNCATE {', '.join(map(quoted, emptied))}")

    def analyze(self) -> None:
        """Let PostgreSQL count what is in the tables: without that, its first plans for queries are bad."""
        with self.open(writable=True) as database:
            database.write("ANALYZE")

    def complete(self, *, rebuild_directory: bool) -> str:
        """Do what Synapse's program leaves undone, and return the number of the transaction (see _migration.written).

        - A sequence that is behind stream_positions is set to it, because Synapse does not start otherwise. The program
          only looks at the tables, from which rows may have been removed, and leaves out some sequences.
        - The user directory is not copied, and never filled again without these jobs (`rebuild_directory`).
        """
        with self.open(writable=True) as database:
            for sequence in read_sequences(database):
                if sequence.fault:
                    database.rows("SELECT setval(?, ?)", sequence.name, sequence.wanted)
            if rebuild_directory:
                for job, needed in DIRECTORY_JOBS:
                    database.write(
                        "INSERT INTO background_updates (update_name, progress_json, depends_on) VALUES (?, '{}', ?)",
                        job,
                        needed,
                    )
            [(transaction,)] = database.rows("SELECT pg_current_xact_id()::xid::text")
        return str(transaction)


def add_mark(database: Database, move: str, what: str) -> None:
    """Add a marker of the move to the target: `what` is done, or "" for the move itself."""
    database.write(f"INSERT INTO {PORT_TABLE} VALUES (?, 1, 0)", _mark(move, what))


def has_mark(database: Database, move: str, what: str) -> bool:
    """Return whether `what` is done by this move."""
    return bool(_marks(database, move, what))


def _marks(database: Database, move: str, what: str) -> list[t.Any]:
    return database.rows(f"SELECT 1 FROM {PORT_TABLE} WHERE table_name = ?", _mark(move, what))


def _mark(move: str, what: str) -> str:
    return " ".join(filter(None, (_MARK, move, what)))


def _has_port_table(database: Database) -> bool:
    return bool(database.rows("SELECT 1 WHERE to_regclass(?) IS NOT NULL", PORT_TABLE))


def _is_own(names: SchemaNames, kind: str, name: str, visible: bool) -> bool:
    return visible and kind in "rpS" and names.has_relation(name)


def _named(name: str) -> str:
    """Return a name as a person writes it in a statement."""
    return name if _PLAIN.fullmatch(name) else quoted(name)
