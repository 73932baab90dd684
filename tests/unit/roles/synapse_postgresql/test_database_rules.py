# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that Synapse cannot use is refused with what makes a right one."""

from __future__ import annotations

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
    "role_limit": -1,
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
        ({"error": 'FATAL: password authentication failed for user "synapse"'}, "Set prefix_password to the password"),
        ({"error": 'FATAL: database "synapse" does not exist'}, "Create it with createdb x"),
        ({"error": "FATAL: no pg_hba.conf entry for host"}, "Add a line for this host to pg_hba.conf"),
        ({"error": "Peer authentication failed for user"}, "only under its own name. Set prefix_host"),
        ({"error": "Connection refused"}, "Check prefix_host and prefix_port"),
    ],
)
def test_a_database_that_synapse_cannot_use(values: dict[str, t.Any], said: str) -> None:
    message = _wrong(**values)
    assert message.startswith("Synapse cannot use the database synapse at localhost:5432: ")
    assert said in message


@pytest.mark.parametrize(
    ("values", "needed", "said"),
    [
        ({}, 97, ""),
        ({}, 98, "max_connections is 100, of which 3 are reserved, but Synapse can have 98 connections."),
        ({"datconnlimit": 9}, 10, "CONNECTION LIMIT of the database is 9"),
        ({"role_limit": 0}, 10, "CONNECTION LIMIT of the user is 0"),
    ],
)
def test_all_connections_of_synapse_must_fit(values: dict[str, t.Any], needed: int, said: str) -> None:
    message = database_rules.wrong_limit({**_RIGHT, **values}, needed)
    assert (said in message) if said else message == ""


def test_the_line_that_creates_a_database_can_be_typed() -> None:
    line = database_rules.createdb({**_ARGUMENTS, "dbname": "a b;", "user": "x'y", "host": "db.example.org"})
    assert line == (
        "createdb --host=db.example.org --port=5432 --encoding=UTF8 --locale=C --template=template0"
        " '--owner=x'\"'\"'y' 'a b;'"
    )
    assert database_rules.createdb(_ARGUMENTS, "sudo -u postgres ").startswith("sudo -u postgres createdb --port=5432 ")
