# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that Synapse cannot use is refused with what makes a right one."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import database_rules

_ARGUMENTS = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "synapse"}
_RIGHT = {
    "error": "",
    "datname": "synapse",
    "encoding": "UTF8",
    "datcollate": "C",
    "datctype": "C",
    "owner": "synapse",
    "version": 150014,
    "can_create": True,
    "read_only": False,
    "datconnlimit": -1,
    "datallowconn": True,
    "datistemplate": False,
    "role_limit": -1,
    "user": "synapse",
    "superuser": False,
    "schema_owner": "pg_database_owner",
    "max_connections": 100,
    "reserved": 3,
}


def _wrong(**values: t.Any) -> str:
    return database_rules.wrong_connection({**_RIGHT, **values}, _ARGUMENTS, "createdb x", "prefix")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"datlocprovider": "c", "daticulocale": None},
        {"datlocprovider": "b", "datlocale": "C"},
        # A warning of PostgreSQL on each connection, and no error.
        {"datcollversion": "2.31"},
        {"version": 140000},
        {"owner": "postgres"},
    ],
)
def test_a_database_that_synapse_can_use(values: dict[str, t.Any]) -> None:
    assert _wrong(**values) == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"encoding": "SQL_ASCII"}, "the encoding SQL_ASCII and the locale C/C, but Synapse requires UTF8 and C."),
        ({"datcollate": "C.UTF-8"}, "the locale C.UTF-8/C, but"),
        ({"datctype": "POSIX"}, "the locale C/POSIX, but"),
        ({"datlocprovider": "i", "daticulocale": "en"}, "the locale C/C (ICU), but"),
        ({"datlocprovider": "b", "datlocale": "C.UTF-8"}, "the locale C/C (builtin), but"),
        ({"version": 130010}, "PostgreSQL 13 is too old. Synapse requires 14 or newer."),
        ({"read_only": True}, "read-only. Synapse must write. Set prefix_host to the primary server"),
        ({"can_create": False, "owner": 'a"b'}, 'ALTER DATABASE "synapse" OWNER TO "synapse";'),
        # It owns the database already, so that this would not help.
        (
            {"can_create": False},
            'Run as an administrator in this database: GRANT USAGE, CREATE ON SCHEMA public TO "syn',
        ),
        ({"can_create": False, "schema_owner": "postgres"}, "whose schema public belongs to postgres. Run as"),
        ({"can_create": False, "schema_owner": None}, 'CREATE SCHEMA AUTHORIZATION "synapse";'),
        ({"error": 'FATAL: password authentication failed for user "synapse"'}, "Set prefix_password to the password"),
        ({"error": 'FATAL: database "synapse" does not exist'}, "Create it with createdb x"),
        ({"error": "FATAL: no pg_hba.conf entry for host"}, "Add a line for this host to pg_hba.conf"),
        # With TLS, and then without.
        (
            {"error": "FATAL: password authentication failed for user FATAL: no pg_hba.conf entry, no encryption"},
            "Set prefix_password to the password",
        ),
        ({"error": "Peer authentication failed for user"}, "only under its own name. Set prefix_host"),
        ({"error": "Connection refused"}, "Check prefix_host and prefix_port"),
        (
            {"error": 'FATAL: database "synapse" is not currently accepting connections'},
            'Run as an administrator: ALTER DATABASE "synapse" ALLOW_CONNECTIONS true;',
        ),
        ({"error": 'cannot connect to invalid database "synapse"'}, 'DROP DATABASE "synapse";'),
        (
            {"error": 'FATAL: too many connections for database "synapse"'},
            'ALTER DATABASE "synapse" CONNECTION LIMIT -1;',
        ),
        ({"error": 'FATAL: too many connections for role "synapse"'}, 'ALTER ROLE "synapse" CONNECTION LIMIT -1;'),
        ({"error": "FATAL: sorry, too many clients already"}, "Increase max_connections"),
        (
            {"error": 'permission denied for database "synapse" DETAIL: User does not have CONNECT privilege.'},
            'GRANT CONNECT ON DATABASE "synapse" TO "synapse";',
        ),
        ({"error": 'FATAL: role "synapse" is not permitted to log in'}, 'ALTER ROLE "synapse" LOGIN;'),
        # The name of a host or a user is not what the error is about.
        (
            {"error": 'at "database.example.org": FATAL: role "database" does not exist'},
            "createuser --pwprompt synapse",
        ),
        ({"error": 'at "password.example.org": Connection refused'}, "Check prefix_host and prefix_port"),
    ],
)
def test_a_database_that_synapse_cannot_use(values: dict[str, t.Any], said: str) -> None:
    message = _wrong(**values)
    assert message.startswith("Synapse cannot use the database synapse at localhost:5432: ")
    assert said in message


@pytest.mark.parametrize(
    ("values", "needed", "said"),
    [
        ({}, 1000, ""),
        ({"datconnlimit": 9}, 9, ""),
        (
            {"datconnlimit": 9},
            10,
            "CONNECTION LIMIT of the database synapse is 9, but Synapse can have 10 connections. Reduce"
            ' synapse_homeserver_postgresql_cp_max, or run as an administrator: ALTER DATABASE "synapse" CONNECTION'
            " LIMIT 10;",
        ),
        ({"role_limit": 0}, 10, 'of the user synapse is 0, .*: ALTER ROLE "synapse" CONNECTION LIMIT 10;'),
        ({"role_limit": 0, "datconnlimit": 0, "superuser": True}, 10, ""),
    ],
)
def test_the_limits_of_a_user_and_a_database(values: dict[str, t.Any], needed: int, said: str) -> None:
    message = database_rules.wrong_limit({**_RIGHT, **values}, needed)
    assert re.search(said, message) if said else message == ""


def test_all_connections_of_synapse_must_fit() -> None:
    assert database_rules.too_few_connections(100, 3, 97) == ""
    said = "max_connections is 100, of which 3 are reserved, but Synapse can have 98 connections."
    assert said in database_rules.too_few_connections(100, 3, 98)


def test_the_line_that_creates_a_database_can_be_typed() -> None:
    line = database_rules.createdb({**_ARGUMENTS, "dbname": "a b;", "user": "x'y", "host": "db.example.org"})
    assert line == (
        "createdb --host=db.example.org --port=5432 --encoding=UTF8 --locale=C --template=template0"
        " '--owner=x'\"'\"'y' 'a b;'"
    )
    assert database_rules.createdb(_ARGUMENTS, "sudo -u postgres ").startswith("sudo -u postgres createdb --port=5432 ")
    assert " --locale=C --locale-provider=libc --template=template0 " in database_rules.createdb(_ARGUMENTS, "", "i")


@pytest.mark.parametrize(("name", "typed"), [("-x", " -- -x"), ("a -- b", " 'a -- b'"), ("a%b", " a%b")])
def test_the_name_in_the_line_is_the_declared_one(name: str, typed: str) -> None:
    line = database_rules.createdb({**_ARGUMENTS, "dbname": name})
    assert line.endswith(f" --owner=synapse{typed}")


def test_names_are_quoted_in_the_line_for_pg_hba_conf() -> None:
    arguments = {**_ARGUMENTS, "user": "a b"}
    message = database_rules.wrong_connection({"error": "no pg_hba.conf entry"}, arguments, "createdb x", "prefix")
    assert message.endswith('host "synapse" "a b" ADDRESS/32 scram-sha-256')
