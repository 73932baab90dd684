# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Restores a PostgreSQL database, in one transaction: after a failure it is as empty as before.

Relies on pg_restore, which reads the archive from its standard input, and on PostgreSQL's catalog.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import BinaryCommand
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as, started_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import judge
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.identifier import quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.own_sessions import end_sessions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import (
    connection_string,
    creation_command,
    environment_of,
    find_program,
    without_password,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.server_directory import (
    find_server_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import (
    Counts,
    Pieces,
    count_differences,
    delete_one_time_keys,
    require_no_difference,
    users_in,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import (
    check_sequences,
    read_sequences,
)

_APPLICATION = "matrix_ops.synapse.restore"
_PROPERTIES = """
    SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), datcollate, datctype,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
            OR has_database_privilege(current_database(), 'CREATE'),
        current_user::text
    FROM pg_database WHERE datname = current_database()
"""
_RELATIONS = """
    SELECT count(*) FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'p', 'S', 'v', 'm') AND space.nspname <> 'information_schema'
        AND space.nspname NOT LIKE 'pg!_%' ESCAPE '!'
        AND NOT EXISTS (
            SELECT FROM pg_depend AS belongs
            WHERE belongs.classid = 'pg_class'::regclass AND belongs.objid = relation.oid AND belongs.deptype = 'e'
        )
"""
# Where Debian has the data and the sockets of its PostgreSQL, and the port of the first one.
_DEBIAN, _SOCKETS, _PORT = "/var/lib/postgresql", "/var/run/postgresql", 5432
# In seconds. The user or the database may have a limit that is meant for short queries.
_STATEMENT_TIMEOUT = 24 * 3600
# In seconds, and in characters of the last message of pg_restore.
_END_TIMEOUT = 60
_LONGEST_MESSAGE = 500


class PostgresqlTarget:
    """An existing database, in which Synapse will find its tables.

    `owner`: the user of Synapse on this host, who connects if PostgreSQL knows users by their processes.
    `dumped_by`: the major version of the pg_dump that made the backup; `made_in`: that of its server.
    """

    def __init__(self, settings: DatabaseSettings, owner: Attributes, *, dumped_by: int, made_in: int) -> None:
        self._settings = settings
        self._owner = owner
        self._dumped_by = dumped_by
        self._made_in = made_in

    @property
    def shown(self) -> str:
        """The database as a message shows it."""
        return self._settings.shown

    @property
    def server_directory(self) -> str:
        """Where a server of this host keeps it. Without one yet, where Debian's will keep it.

        "" if it is elsewhere: a server may answer on this host that runs in a container or at the end of a tunnel.
        """
        host = str(self._settings.arguments.get("host") or "")
        if not _is_here(host):
            return ""
        found = find_server_directory(host or _SOCKETS, int(self._settings.arguments.get("port") or _PORT))
        if found:
            return os.path.realpath(found)
        # Only root can see where a server keeps its data.
        return "" if os.geteuid() == 0 and self._answers() else directory_before(host)

    @property
    def emptying(self) -> str:
        """How an operator removes what is there."""
        return f"replace {self.shown} by an empty one with dropdb {shlex.quote(self._name())} and {self._creation()}"

    def data(self) -> str:
        """Return in words what data there is already, or ""."""
        with self._connected() as database:
            [(relations,)] = database.rows(_RELATIONS)
            if not relations:
                return ""
            names = table_names(database)
            users = f" and {users_in(database)} accounts" if "users" in names else ""
        return f"{self.shown} with {len(names)} tables{users}"

    def problems(self) -> list[str]:
        """Return why Synapse could not use the database, or pg_restore could not fill it."""
        with self._connected() as database:
            [(number, encoding, collation, ctype, may_create, user)] = database.rows(_PROPERTIES)
        version = number // 10000
        verdict = judge(version, encoding, collation, ctype, any_locale=self._settings.allow_unsafe_locale)
        found = [] if verdict["accepted"] else list(verdict["problems"])
        if found:
            found.append(f"Drop it, and create it again with {self._creation()}")
        elif not may_create:
            statement = f"ALTER DATABASE {quoted(self._name())} OWNER TO {quoted(str(user))}"
            found.append(f"{user} may not create tables in it. Let a superuser run: {statement}.")
        if version < self._made_in:
            found.append(
                f"The backup is from PostgreSQL {self._made_in}, but this is PostgreSQL {version}. Use PostgreSQL"
                f" {self._made_in} or newer."
            )
        self._program()
        return found

    def differences(self, counts: Counts) -> list[str]:
        """Return where the rows of the existing database differ from `counts`."""
        with self._connected() as database:
            return count_differences(database, counts)

    def restore(self, pieces: Pieces, counts: Counts) -> None:
        """Let pg_restore fill the database. Raises SynapseError."""
        self._end_others()
        if self.data():
            # That of a killed run had all it needs, and has completed the database after this run has looked.
            require_no_difference("The database is not the one in the archive", self.differences(counts))
            return
        self._fill(pieces)

    def complete(self, counts: Counts) -> None:
        """Delete the one-time keys, let no sequence be behind its tables, and prove the database."""
        with self._connected(writable=True) as database:
            delete_one_time_keys(database)
            # A dump of a running server may be from between the use of an id and its sequence.
            for sequence in read_sequences(database):
                if sequence.fault:
                    database.rows("SELECT setval(?, ?)", sequence.name, sequence.wanted)
            # A dump has no statistics, without which queries are slow at first.
            database.write("ANALYZE")
        with self._connected() as database:
            differences = count_differences(database, counts)
            wrong = check_sequences(database)
        require_no_difference("Tables have another number of rows than in the backup", differences)
        require_no_difference("Sequences do not fit to their tables", wrong)

    def _fill(self, pieces: Pieces) -> None:
        options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
        command = [self._program(), *options, f"--dbname={connection_string(self._settings)}"]
        environment = {**environment_of(self._settings), "PGAPPNAME": _APPLICATION}
        with tempfile.TemporaryFile() as said:
            try:
                process = BinaryCommand(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    cwd="/",
                    env=environment,
                    **started_as(self._owner.uid),
                )
            except OSError as error:
                raise SynapseError(f"{command[0]} cannot be run: {error.strerror}.") from error
            try:
                self._feed(process, pieces)
                status = process.wait()
            except BaseException:
                process.kill()
                process.wait(_END_TIMEOUT)
                raise
            if status:
                said.seek(0)
                raise SynapseError(self._failed(said.read().decode(errors="replace")))

    def _feed(self, process: BinaryCommand, pieces: Pieces) -> None:
        stream = t.cast("t.IO[bytes]", process.stdin)
        # If it ends too early, its status and its message say why.
        broken = False
        for piece in pieces:
            if broken:
                continue
            try:
                stream.write(piece)
            except BrokenPipeError:
                broken = True
        with contextlib.suppress(BrokenPipeError):
            stream.close()

    def _failed(self, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it printed nothing"]
        first = next((line for line in lines if "error:" in line), lines[-1])[:_LONGEST_MESSAGE].rstrip(".")
        return (
            f"pg_restore could not fill {self.shown}, which is still empty: {without_password(first, self._settings)}."
            " Correct this, and run the task again."
        )

    def _end_others(self) -> None:
        if not end_sessions(self._connected, _APPLICATION):
            raise SynapseError(
                f"An interrupted restore still works on {self.shown}. Wait until it ends, and run the task again."
            )

    def _program(self) -> str:
        return find_program("pg_restore", self._dumped_by).path

    def _creation(self) -> str:
        return creation_command(self._name(), str(self._settings.arguments.get("user") or ""))

    def _name(self) -> str:
        return str(self._settings.arguments.get("dbname") or self._settings.arguments.get("database") or "")

    def _answers(self) -> bool:
        try:
            with self._connected():
                return True
        except SynapseError:
            return False

    @contextlib.contextmanager
    def _connected(self, *, writable: bool = False) -> t.Iterator[Database]:
        timeout = _STATEMENT_TIMEOUT
        with (
            acting_as(self._owner.uid),
            Database(self._settings, writable=writable, statement_timeout=timeout) as database,
        ):
            yield database


def directory_before(host: str) -> str:
    """Return where Debian's PostgreSQL will have its data, or "" if this host in a connection is another one."""
    return _DEBIAN if _is_here(host) and os.path.isdir(_DEBIAN) else ""


def _is_here(host: str) -> bool:
    return host in ("", "localhost", "127.0.0.1", "::1") or host.startswith("/")
