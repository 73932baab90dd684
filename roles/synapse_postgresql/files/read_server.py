# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator sees of a PostgreSQL server: its settings, its rules, and the user and database of Synapse."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg2
import psycopg2.extras

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import child_process, scram

_SETTINGS = """
    SELECT name, setting, unit, context, source, boot_val, pending_restart FROM pg_settings
    WHERE pending_restart OR name IN ('shared_buffers', 'effective_cache_size', 'maintenance_work_mem', 'work_mem',
        'max_connections', 'superuser_reserved_connections', 'reserved_connections', 'server_version_num',
        'config_file', 'hba_file', 'ssl', 'listen_addresses', 'unix_socket_directories')
"""
_WRITTEN = "SELECT sourcefile, sourceline, name, setting, error FROM pg_file_settings ORDER BY seqno"
_RULES = """
    SELECT type, database, user_name, address, netmask, auth_method, options FROM pg_hba_file_rules
    WHERE error IS NULL ORDER BY line_number
"""
_ROLE = """
    SELECT rolcanlogin, rolsuper, rolconnlimit, coalesce(rolvaliduntil <= now(), false) AS expired
    FROM pg_roles WHERE rolname = %s
"""
# As JSON, because the columns are not the same in every version.
_DATABASE = """
    SELECT to_jsonb(d) || jsonb_build_object(
        'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
        'can_connect', has_database_privilege(%s, oid, 'CONNECT'))
    FROM pg_database d WHERE datname = %s
"""
# Since version 16 a member may not always do what the role may, and CREATEROLE changes only roles that it administers.
_MEMBER = """
    SELECT pg_has_role(current_user, oid, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER'
        ELSE 'SET' END) AS member, current_setting('server_version_num')::int < 160000
        OR pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') AS administers
    FROM pg_roles WHERE rolname = %s
"""
_RIGHTS = """
    SELECT rolsuper, rolcreaterole, rolcreatedb, current_setting('transaction_read_only') = 'on' AS read_only
    FROM pg_roles WHERE rolname = current_user
"""
# Since version 15, a new database has the provider of its locale from its template.
_PROVIDER = "SELECT to_jsonb(d) ->> 'datlocprovider' AS provider FROM pg_database d WHERE datname = 'template0'"
# What every user may do if the one of Synapse does not exist yet: it has no other rights.
_ANY_USER = "public"
_TABLES = """
    SELECT coalesce(bool_or(has_schema_privilege(%s, oid, 'CREATE') AND has_schema_privilege(%s, oid, 'USAGE')), false)
        AS can_create, min(pg_get_userbyid(nspowner)) FILTER (WHERE nspname = 'public') AS schema_owner
    FROM pg_namespace WHERE nspname IN ('public', %s)
"""

Row = dict[str, t.Any]


def connect(arguments: Row) -> t.Any:
    """Return a connection on which each statement is a transaction of its own; raises `psycopg2.Error`."""
    # A database without an encoding of its own would allow only ASCII.
    connection = psycopg2.connect(connect_timeout=10, client_encoding="UTF8", **arguments)
    connection.autocommit = True
    return connection


def rows(connection: t.Any, query: str, *values: str) -> list[Row]:
    """Return the rows of a query as dictionaries; raises `psycopg2.Error`."""
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()]


def optional(connection: t.Any, query: str, *values: str) -> list[Row] | None:
    """Return the rows of a query, or None if this administrator may not see them."""
    with contextlib.suppress(psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedFunction):
        return rows(connection, query, *values)
    return None


def password_is(connection: t.Any, user: str, password: str) -> bool | None:
    """Return whether this is the password of a user, or None if this administrator cannot see that."""
    found = optional(connection, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", user)
    return None if found is None else any(scram.is_stored(password, row["rolpassword"] or "", user) for row in found)


def rights_to_create(arguments: Row, database: str, user: str) -> Row | None:
    """Return whether a user may create tables in a database (`can_create`), and the owner of its schema public.

    None if this administrator cannot see that.
    """
    try:
        with contextlib.closing(connect({**arguments, "dbname": database})) as connection:
            return rows(connection, _TABLES, user, user, user)[0]
    except psycopg2.Error:
        return None


def read(question: Row) -> Row:
    """Return all that matters; raises `psycopg2.Error`. `question`: see `answer`."""
    user, database, password = question["user"], question["database"], question["password"]
    with contextlib.closing(connect(question["arguments"])) as connection:
        # First: PostgreSQL finds out here which of the values in its files wait for a restart.
        written = optional(connection, _WRITTEN)
        role = rows(connection, _ROLE, user)
        judged = user if role else _ANY_USER
        found = rows(connection, _DATABASE, judged, database)
        member = rows(connection, _MEMBER, user)
        return {
            "settings": {row["name"]: row for row in rows(connection, _SETTINGS)},
            "written": written,
            "rules": optional(connection, _RULES),
            "rights": rows(connection, _RIGHTS)[0],
            "role": role[0] if role else None,
            "member": any(row["member"] for row in member),
            "administers": all(row["administers"] for row in member),
            "database": next(iter(found[0].values())) if found else None,
            "password": password_is(connection, user, password) if role and password else None,
            "provider": rows(connection, _PROVIDER)[0]["provider"] or "c",
            "tables": rights_to_create(question["arguments"], database, judged) if found else None,
        }


def answer(question: Row) -> Row:
    """Return what `read` returns, or `error`, the words of PostgreSQL.

    The question: `arguments` of the administrator's connection; `user`, `password` and `database` of Synapse.
    """
    try:
        return {**read(question), "error": ""}
    except psycopg2.Error as error:
        return {"error": child_process.words_of(error)}
