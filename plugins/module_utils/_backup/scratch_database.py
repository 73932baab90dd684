# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A database of PostgreSQL beside that of Synapse, for a trial of a backup. It is dropped afterwards.

A comment marks it, so that a later run finds and drops what a killed one has left. Before it has the comment, its limit
of connections marks it, which it has from its creation on. While it is used, a connection to it is open, and nobody can
drop it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import re
import secrets
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import PIECE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import BinaryCommand
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import Advice
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as, started_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.identifier import quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import (
    Program,
    connection_string,
    environment_of,
    without_password,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
    SynapseError,
)

_PREFIX = "matrix_ops_backup_"
_NAME = re.compile(_PREFIX + "[0-9a-f]{16}")
_MARK = "matrix_ops.synapse: scratch database for the verification of a backup"
# No other database has this limit and such a name.
_LIMIT = 1_163_909
_MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
# What CREATE DATABASE asks of the user who names another role as the owner.
_MAY_GIVE = """
    SELECT rolsuper OR pg_has_role(
        current_user, ?, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END
    ) FROM pg_roles WHERE rolname = current_user
"""
_IDENTIFIER = "SELECT system_identifier::text FROM pg_control_system()"
_OWN = "SELECT current_user::text"
_LEFT = f"""
    SELECT datname FROM pg_database AS found
    WHERE (shobj_description(found.oid, 'pg_database') = ? OR datconnlimit = {_LIMIT})
        AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = found.oid)
"""
_SUPERUSER = "postgres"


class Login(t.NamedTuple):
    """A user of PostgreSQL who can create databases. "" for Synapse's own user, or the superuser of the host."""

    user: str = ""
    password: str = ""


class Administrator(t.NamedTuple):
    """How databases are created: by this connection, which is made as the user `uid` of the host."""

    settings: DatabaseSettings
    uid: int | None


def find_administrator(settings: DatabaseSettings, uid: int | None, login: Login) -> Administrator:
    """Return who can create a database on the server. Raises InvalidInput if nobody can be found.

    `uid`: the user of Synapse on this host.
    """
    if login.user:
        changed = {**settings.arguments, "user": login.user, "password": login.password or None}
        advice = Advice("Check verify_login_user and verify_login_password.", "Check verify_login_user.")
        given = Administrator(dataclasses.replace(_changed(settings, changed), advice=advice), None)
        if not _answer(given, _MAY_CREATE):
            raise InvalidInput(f"verify_login_user {login.user} cannot create databases. Choose another one.")
        owner = str(_answer(Administrator(settings, uid), _OWN))
        if not _answer(given, _MAY_GIVE, owner):
            raise InvalidInput(
                f"verify_login_user {login.user} cannot create a database that belongs to {owner}. Choose another one,"
                f" or let a superuser run: GRANT {quoted(owner)} TO {quoted(login.user)}"
            )
        return given
    own = Administrator(settings, uid)
    if _answer(own, _MAY_CREATE):
        return own
    superuser = _superuser(settings)
    if superuser is not None:
        # The socket may be that of another server.
        with contextlib.suppress(ConnectionFailed):
            if _answer(superuser, _IDENTIFIER) == _answer(own, _IDENTIFIER) and _answer(superuser, _MAY_CREATE):
                return superuser
    name = _answer(own, _OWN)
    raise InvalidInput(
        f"verify restores the backup into a scratch database, and the user {name} of PostgreSQL cannot create one."
        " Set verify_login_user and verify_login_password, or let a superuser run:"
        f" ALTER ROLE {quoted(str(name))} CREATEDB"
    )


@contextlib.contextmanager
def scratch_database(
    administrator: Administrator, settings: DatabaseSettings, uid: int | None
) -> t.Iterator[DatabaseSettings]:
    """Create an empty database for the user of Synapse, for the block, and drop it. Raises SynapseError.

    Those that killed runs have left are dropped first. `settings` and `uid`: how Synapse connects.
    """
    with connected(administrator.settings, administrator.uid) as database:
        for (left,) in database.rows(_LEFT, _MARK):
            if _NAME.fullmatch(left):
                _execute(administrator, f"DROP DATABASE IF EXISTS {quoted(left)}")
    with connected(settings, uid) as database:
        [(owner,)] = database.rows(_OWN)
    name = _PREFIX + secrets.token_hex(8)
    scratch = _changed(settings, {**settings.arguments, "dbname": name, "database": None})
    _execute(
        administrator,
        f"CREATE DATABASE {name} OWNER {quoted(owner)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        f" CONNECTION LIMIT {_LIMIT}",
    )
    try:
        _execute(administrator, f"COMMENT ON DATABASE {name} IS '{_MARK}'")
        with connected(scratch, uid):
            yield scratch
    finally:
        _execute(administrator, f"DROP DATABASE IF EXISTS {name}")


def restore(program: Program, settings: DatabaseSettings, uid: int | None, pieces: t.Iterable[bytes]) -> None:
    """Restore a stream of pg_dump's custom format into an empty database. Raises SynapseError."""
    command = [
        *(program.path, "--exit-on-error", "--no-owner", "--no-privileges", "--no-password"),
        f"--dbname={connection_string(settings)}",
    ]
    with tempfile.TemporaryFile() as said:
        process = BinaryCommand(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
            env=environment_of(settings),
            **started_as(uid),
        )
        with process:
            given = process.stdin
            if given is None:
                raise AssertionError("Popen was asked for a pipe")
            try:
                for piece in pieces:
                    given.write(piece)
                given.close()
            except BrokenPipeError:
                # It has failed, and says why.
                pass
            except BaseException:
                process.kill()
                raise
            status = process.wait()
        if status:
            said.seek(0)
            lines = said.read(PIECE).decode("utf-8", "replace").strip().splitlines()
            reason = without_password(lines[0] if lines else f"exit status {status}", settings)
            raise SynapseError(
                f"{program.path} could not restore the backup into {settings.shown}: {reason.rstrip('.')}."
            )


@contextlib.contextmanager
def connected(settings: DatabaseSettings, uid: int | None) -> t.Iterator[Database]:
    """Connect as Synapse does, also by peer authentication, for the block."""
    with acting_as(uid):
        database = Database(settings)
    with database:
        yield database


def _superuser(settings: DatabaseSettings) -> Administrator | None:
    """Return the superuser of a server on this host, whom its socket lets in if this process is root."""
    host = str(settings.arguments.get("host") or "")
    if os.geteuid() != 0 or not (host.startswith("/") or host in ("", "localhost", "127.0.0.1", "::1")):
        return None
    try:
        uid = pwd.getpwnam(_SUPERUSER).pw_uid
    except KeyError:
        return None
    arguments = {name: settings.arguments[name] for name in ("port",) if settings.arguments.get(name)}
    socket = {"host": host} if host.startswith("/") else {}
    return Administrator(_changed(settings, {"dbname": "postgres", "user": _SUPERUSER, **arguments, **socket}), uid)


def _answer(administrator: Administrator, sql: str, *values: str) -> t.Any:
    with connected(administrator.settings, administrator.uid) as database:
        [(found,)] = database.rows(sql, *values)
    return found


def _execute(administrator: Administrator, sql: str) -> None:
    """Run a statement that must not be in a transaction."""
    try:
        import psycopg2
    except ImportError as error:
        raise MissingLibrary("psycopg2", "to create a scratch database") from error
    settings = administrator.settings
    try:
        with acting_as(administrator.uid):
            connection = psycopg2.connect(**settings.arguments)
        with contextlib.closing(connection):
            connection.autocommit = True
            connection.cursor().execute(sql)
    except psycopg2.Error as error:
        reason = without_password((str(error).strip().splitlines() or [type(error).__name__])[0], settings)
        raise SynapseError(f"PostgreSQL refused {sql.split(' ', 2)[0]} DATABASE: {reason.rstrip('.')}.") from error


def _changed(settings: DatabaseSettings, arguments: dict[str, t.Any]) -> DatabaseSettings:
    kept = {name: value for name, value in arguments.items() if value is not None}
    return DatabaseSettings(settings.engine, kept, settings.source, settings.allow_unsafe_locale)
