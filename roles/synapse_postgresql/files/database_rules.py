# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Synapse requires of a database (synapse/storage/engines/postgres.py, 1.163), and how to get such a one."""

from __future__ import annotations

import shlex
import typing as t

OLDEST_VERSION = 14

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


def createdb(arguments: Row, prefix: str = "") -> str:
    """Return the line that creates a database for Synapse. `prefix`: what runs it as another user."""
    host = arguments.get("host") or ""
    words = ["createdb", *([f"--host={host}"] if host and not prefix else []), f"--port={arguments['port']}"]
    words += ["--encoding=UTF8", "--locale=C", "--template=template0", f"--owner={arguments['user']}"]
    return prefix + " ".join(shlex.quote(word) for word in [*words, "--", arguments["dbname"]]).replace(" -- ", " ")


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
        return (
            f"{begins}the user {arguments['user']} may not create tables in it, because it belongs to"
            f" {found['owner']}. Run as an administrator: ALTER DATABASE {identifier(arguments['dbname'])} OWNER TO"
            f" {identifier(arguments['user'])};"
        )
    return ""


def _advice(error: str, arguments: Row, created_by: str, prefix: str) -> str:
    if "pg_hba.conf" in error:
        return (
            " Add a line for this host to pg_hba.conf of the server and reload it, for example: host"
            f" {arguments['dbname']} {arguments['user']} ADDRESS/32 scram-sha-256"
        )
    if "does not exist" in error and "database" in error:
        return f" Create it with {created_by}"
    if "eer authentication failed" in error:
        return (
            f" PostgreSQL lets a user of the system in only under its own name. Set {prefix}_host to localhost and"
            f" {prefix}_password, or {prefix}_user to the user that Synapse runs as."
        )
    if "password" in error:
        return f" Set {prefix}_password to the password of the user {arguments['user']}."
    return f" Check {prefix}_host and {prefix}_port, and that PostgreSQL runs and accepts connections there."


def wrong_limit(found: Row, needed: int) -> str:
    """Return why Synapse cannot have as many connections as it needs, or nothing."""
    limits = {
        f"max_connections is {found['max_connections']}, of which {found['reserved']} are reserved": (
            found["max_connections"] - found["reserved"]
        ),
        f"CONNECTION LIMIT of the database is {found['datconnlimit']}": found["datconnlimit"],
        f"CONNECTION LIMIT of the user is {found['role_limit']}": found["role_limit"],
    }
    low = [name for name, limit in limits.items() if 0 <= limit < needed]
    if not low:
        return ""
    return (
        f"{' and '.join(low)}, but Synapse can have {needed} connections. Raise it on the server, or reduce"
        " synapse_homeserver_postgresql_cp_max."
    )


def identifier(name: str) -> str:
    """Return a name as SQL writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
