# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of PostgreSQL as a stream of pg_dump, in the state that one transaction sees (pg_export_snapshot)."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import EXCLUDED_TABLES, PIECE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import BinaryCommand
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as, started_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import (
    Program,
    connection_string,
    environment_of,
    find_program,
    without_password,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_LONGEST_REASON = 300
# An extension that only a superuser can create, such as pg_stat_statements, and on which nothing outside of it depends.
_LEFT_OUT = """
    WITH RECURSIVE part (extension, classid, objid) AS (
        SELECT refobjid, classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
        UNION
        SELECT part.extension, inner_part.classid, inner_part.objid FROM part
        JOIN pg_depend AS inner_part ON inner_part.refclassid = part.classid AND inner_part.refobjid = part.objid
        WHERE inner_part.deptype IN ('i', 'a')
    )
    SELECT extname, NOT EXISTS (
        SELECT FROM pg_available_extension_versions AS available
        WHERE available.name = extname AND available.version = extversion
            AND (available.trusted OR NOT available.superuser)
    ) AND NOT EXISTS (
        SELECT FROM part JOIN pg_depend AS other ON other.refclassid = part.classid AND other.refobjid = part.objid
        WHERE part.extension = pg_extension.oid
            AND NOT EXISTS (
                SELECT FROM part AS own WHERE own.extension = part.extension
                    AND own.classid = other.classid AND own.objid = other.objid
            )
    )
    FROM pg_extension ORDER BY extname
"""


def connect_as(settings: DatabaseSettings, uid: int | None) -> Database:
    """Return a connection as Synapse makes it: also by peer authentication, as the user `uid` of Synapse."""
    with acting_as(uid):
        return Database(settings)


def server_version(database: Database) -> int:
    """Return the major version of the server."""
    [(number,)] = database.rows("SELECT current_setting('server_version_num')::int")
    return int(number) // 10000


def find_dump_program(major: int) -> Program:
    """Return the pg_dump for a server of this major version. Raises InvalidInput if there is none."""
    return find_program("pg_dump", major)


def begin_snapshot(database: Database) -> str:
    """Begin the transaction whose state is dumped and counted, and return the name of its snapshot.

    It must be the first statement of the connection.
    """
    database.write("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    # It waits idle while pg_dump runs, and then counts all rows. The user may have limits for both.
    for limit in ("idle_in_transaction_session_timeout", "statement_timeout"):
        database.rows("SELECT set_config(?, '0', true)", limit)
    [(snapshot,)] = database.rows("SELECT pg_export_snapshot()")
    return str(snapshot)


def dumped_extensions(database: Database) -> list[str] | None:
    """Return the extensions that a dump must contain, or None for all.

    The others are for whoever watches the server, and the user of Synapse could not restore them.
    """
    found = [(str(name), bool(is_left_out)) for name, is_left_out in database.rows(_LEFT_OUT)]
    kept = [name for name, is_left_out in found if not is_left_out]
    return None if len(kept) == len(found) else kept


def dump(
    settings: DatabaseSettings,
    program: Program,
    snapshot: str,
    uid: int | None,
    extensions: t.Sequence[str] | None = None,
) -> t.Iterator[bytes]:
    """Yield the database in the custom format of pg_dump, without the rows of the excluded tables.

    `extensions`: see `dumped_extensions`. Raises SynapseError if pg_dump fails.
    """
    command = [
        *(program.path, "--format=custom", "--compress=1", "--no-password", f"--snapshot={snapshot}"),
        # Those of an extension can only be restored by its owner.
        "--no-comments",
        # With chosen extensions, large objects are only dumped if that is said.
        *(f'--extension="{name}"' for name in extensions or ()),
        *(["-b"] if extensions else []),
        *(f"--exclude-table-data={table}" for table in EXCLUDED_TABLES),
        f"--dbname={connection_string(settings)}",
    ]
    with tempfile.TemporaryFile() as said, contextlib.ExitStack() as stack:
        try:
            process = stack.enter_context(
                BinaryCommand(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    cwd="/",
                    env=environment_of(settings),
                    bufsize=0,
                    **started_as(uid),
                )
            )
        except OSError as error:
            raise SynapseError(f"{program.path} cannot be run: {error.strerror}.") from error
        stack.callback(process.kill)
        output = process.stdout
        if output is None:
            raise AssertionError("Popen was asked for a pipe")
        while True:
            piece = output.read(PIECE)
            if not piece:
                break
            yield piece
        if process.wait():
            said.seek(0)
            lines = said.read(PIECE).decode("utf-8", "replace").strip().splitlines()
            reason = without_password(lines[0] if lines else f"exit status {process.returncode}", settings)
            raise SynapseError(
                f"{program.path} could not dump {settings.shown}: {reason.rstrip('.')[:_LONGEST_REASON]}."
            )
