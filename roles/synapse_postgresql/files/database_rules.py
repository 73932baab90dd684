# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Synapse requires of a database (synapse/storage/engines/postgres.py, 1.163), and how to get such a one."""

from __future__ import annotations

import re
import shlex
import typing as t

OLDEST_VERSION = 14

_WRONG_PASSWORD = "password authentication failed"
# PostgreSQL marks a database with it whose removal was interrupted.
_INVALID = -2

Row = dict[str, t.Any]


def is_right_locale(database: Row) -> bool:
    """Return whether text in a database is sorted as Synapse requires. `database`: a row of pg_database."""
    # Since version 15 and 17, other providers than the system have a locale of their own.
    provider, own = database.get("datlocprovider") or "c", database.get("datlocale") or database.get("daticulocale")
    right = database["datcollate"] == "C" and database["datctype"] == "C"
    return right and (provider == "c" or (provider == "b" and own == "C"))


def wrong_database(database: Row, created_by: str) -> str:
    """Return why Synapse does not start with a database, or nothing. `created_by`: the line that makes a right one."""
    if database["encoding"] == "UTF8" and is_right_locale(database):
        return ""
    provider = {"i": " (ICU)", "b": " (builtin)"}.get(database.get("datlocprovider") or "c", "")
    return (
        f"the database {database['datname']} has the encoding {database['encoding']} and the locale"
        f" {database['datcollate']}/{database['datctype']}{provider}, but Synapse requires UTF8 and C. They cannot be"
        f" changed. Create another database with {created_by} and set its name, or rename this one first."
    )


def createdb(arguments: Row, prefix: str = "", provider: str = "c") -> str:
    """Return the line that creates a database for Synapse. `prefix`: what runs it as another user.

    `provider`: of the locales of the server, if it is known.
    """
    host = arguments.get("host") or ""
    words = ["createdb", *([f"--host={host}"] if host and not prefix else []), f"--port={arguments['port']}"]
    words += ["--encoding=UTF8", "--locale=C", *([] if provider == "c" else ["--locale-provider=libc"])]
    words += ["--template=template0", f"--owner={arguments['user']}"]
    words += [*(["--"] if arguments["dbname"].startswith("-") else []), arguments["dbname"]]
    return prefix + " ".join(map(shlex.quote, words))


def closed(database: Row, needed: int) -> list[str]:
    """Return why a database does not let Synapse in. `database`: a row of pg_database.

    `needed`: how many connections Synapse can have, or 0 for a superuser, for whom no limit counts.
    """
    name, limit = database["datname"], database["datconnlimit"]
    shown = identifier(name)
    if limit == _INVALID:
        return [f"The database {name} was removed only in part. Run as an administrator: DROP DATABASE {shown};"]
    wrong = []
    if database["datistemplate"]:
        wrong.append(
            f"The database {name} is a template, which PostgreSQL copies into others. Set another name, or run as an"
            f" administrator: ALTER DATABASE {shown} IS_TEMPLATE false;"
        )
    if not database["datallowconn"]:
        wrong.append(
            f"The database {name} does not accept connections (ALLOW_CONNECTIONS is false). Run as an administrator:"
            f" ALTER DATABASE {shown} ALLOW_CONNECTIONS true;"
        )
    if 0 <= limit < needed:
        wrong.append(low_limit("database", name, limit, needed))
    return wrong


def cannot_create(user: str, database: str, owners: tuple[str, str | None]) -> str:
    """Return why a user may not create tables. `owners`: of the database, and of its schema public, if there is one."""
    (owner, schema_owner), name = owners, identifier(user)
    begins = f"the user {user} may not create tables in the database {database}, "
    if owner != user and schema_owner == "pg_database_owner":
        line = f"ALTER DATABASE {identifier(database)} OWNER TO {name};"
        return f"{begins}because it belongs to {owner}. Run as an administrator: {line}"
    if schema_owner:
        lack, line = (
            f"whose schema public belongs to {schema_owner}",
            f"GRANT USAGE, CREATE ON SCHEMA public TO {name};",
        )
    else:
        lack, line = "which has no schema public", f"CREATE SCHEMA AUTHORIZATION {name};"
    return f"{begins}{lack}. Run as an administrator in this database: {line}"


def wrong_connection(found: Row, arguments: Row, created_by: str, prefix: str) -> str:
    """Return why Synapse cannot use its database, or nothing.

    `found`: what it gets if it connects with `arguments`. `prefix`: how the names of the variables begin.
    """
    place = f"{arguments['dbname']} at {arguments['host'] or 'the local socket'}:{arguments['port']}"
    begins, error = f"Synapse cannot use the database {place}: ", str(found["error"])
    if error:
        return f"{begins}{error.rstrip('.')}.{_advice(error, arguments, created_by, prefix)}"
    if found["version"] // 10000 < OLDEST_VERSION:
        return f"{begins}PostgreSQL {found['version'] // 10000} is too old. Synapse requires {OLDEST_VERSION} or newer."
    wrong = wrong_database(found, created_by)
    if wrong:
        return begins + wrong
    if found["read_only"]:
        return (
            f"{begins}its transactions are read-only. Synapse must write. Set {prefix}_host to the primary server, not"
            f" to a standby, or remove default_transaction_read_only from the settings of the user"
            f" {arguments['user']}, the database and the server."
        )
    if not found["can_create"]:
        owners = found["owner"], found["schema_owner"]
        return begins + cannot_create(arguments["user"], arguments["dbname"], owners)
    return ""


def is_full(error: str) -> bool:
    """Return whether a server has let Synapse in, but has no connection left, by the words of PostgreSQL."""
    return "too many clients already" in error or "remaining connection slots are reserved" in error


def is_wrong_password(error: str) -> bool:
    """Return whether a server knows another password, by the words of PostgreSQL."""
    return _WRONG_PASSWORD in error


def _advice(error: str, arguments: Row, created_by: str, prefix: str) -> str:
    """Return what to do about an error, by the words of PostgreSQL: a connection that fails has no code."""
    user, database = identifier(arguments["user"]), identifier(arguments["dbname"])
    known = {
        r'database ".*" does not exist': f"Create it with {created_by}",
        r'role ".*" does not exist': f"Create it with createuser --pwprompt {shlex.quote(arguments['user'])}",
        "eer authentication failed": (
            f"PostgreSQL lets a user of the system in only under its own name. Set {prefix}_host to localhost and"
            f" {prefix}_password, or {prefix}_user to the user that Synapse runs as."
        ),
        f"{_WRONG_PASSWORD}|no password supplied": (
            f"Set {prefix}_password to the password of the user {arguments['user']}."
        ),
        "not currently accepting connections": (
            f"Run as an administrator: ALTER DATABASE {database} ALLOW_CONNECTIONS true;"
        ),
        "invalid database": f"Run as an administrator: DROP DATABASE {database};",
        "too many connections for database": (
            f"Stop what else uses it, or run as an administrator: ALTER DATABASE {database} CONNECTION LIMIT -1;"
        ),
        "too many connections for role": (
            f"Stop what else uses it, or run as an administrator: ALTER ROLE {user} CONNECTION LIMIT -1;"
        ),
        "permission denied for database": f"Run as an administrator: GRANT CONNECT ON DATABASE {database} TO {user};",
        "not permitted to log in": f"Run as an administrator: ALTER ROLE {user} LOGIN;",
        # The last: a client that fails with TLS tries it without, for which there may be no rule.
        r"pg_hba\.conf": (
            "Add a line for this host to pg_hba.conf of the server and reload it, for example: host"
            f" {database} {user} ADDRESS/32 scram-sha-256"
        ),
    }
    if is_full(error):
        return " Increase max_connections and restart PostgreSQL, or stop what else uses it."
    otherwise = f"Check {prefix}_host and {prefix}_port, and that PostgreSQL runs and accepts connections there."
    return " " + next((advice for words, advice in known.items() if re.search(words, error)), otherwise)


def wrong_limit(found: Row, needed: int) -> str:
    """Return why Synapse cannot have as many connections of its user and its database as it needs, or nothing."""
    if found["superuser"]:
        return ""
    wrong = closed(found, needed)
    if 0 <= found["role_limit"] < needed:
        wrong.append(low_limit("role", found["user"], found["role_limit"], needed))
    return " ".join(wrong)


def too_few_connections(most: int, reserved: int, needed: int) -> str:
    """Return why Synapse cannot have as many connections of the server as it needs, or nothing."""
    if most - reserved >= needed:
        return ""
    return (
        f"max_connections is {most}, of which {reserved} are reserved, but Synapse can have {needed} connections. Raise"
        " it on the server, or reduce synapse_homeserver_postgresql_cp_max."
    )


def low_limit(kind: str, name: str, limit: int, needed: int) -> str:
    """Return that the limit of a role or a database (`kind`) is too low."""
    shown = "user" if kind == "role" else kind
    return (
        f"CONNECTION LIMIT of the {shown} {name} is {limit}, but Synapse can have {needed} connections. Reduce"
        f" synapse_homeserver_postgresql_cp_max, or run as an administrator: ALTER {kind.upper()} {identifier(name)}"
        f" CONNECTION LIMIT {needed};"
    )


def identifier(name: str) -> str:
    """Return a name as SQL writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
