# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user and a database need follows from what is there."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import access_plan, scram, server_plan

Row = dict[str, t.Any]

_QUESTION = {
    "user": "synapse",
    "database": "data",
    "password": "secret",
    "administrator": "postgres",
    "created_by": "createdb x",
    "prefix": "prefix",
    "connections": 10,
}
_ROLE = {"rolcanlogin": True, "rolsuper": False, "rolconnlimit": -1, "expired": False}
_DATABASE = {
    "datname": "data",
    "encoding": "UTF8",
    "datcollate": "C",
    "datctype": "C",
    "owner": "other",
    "datallowconn": True,
    "datistemplate": False,
    "datconnlimit": -1,
    "can_connect": True,
}
_SUPERUSER = {"rolsuper": True, "rolcreaterole": True, "rolcreatedb": True, "read_only": False}
_CREATOR = {**_SUPERUSER, "rolsuper": False}
_TABLES = {"can_create": True, "schema_owner": "pg_database_owner"}
_NEW = {"role": None, "database": None, "password": None, "tables": None}


def _access(question: Row | None = None, **values: t.Any) -> server_plan.Plan:
    plan = server_plan.Plan()
    found = {"rights": _SUPERUSER, "role": _ROLE, "database": _DATABASE, "password": True, "tables": _TABLES}
    found |= {"member": False, "administers": True, "provider": "c"}
    access_plan.plan_access(plan, {**_QUESTION, **(question or {})}, {**found, **values})
    return plan


def test_a_user_and_a_database_that_are_right_stay() -> None:
    plan = _access()
    assert (plan.wrong, plan.steps, plan.password) == ([], [], "")


def test_a_user_and_a_database_are_created() -> None:
    plan = _access(**_NEW)
    assert plan.wrong == []
    assert (plan.creates_role, plan.creates_database, plan.joins) == (True, True, False)
    assert scram.is_stored("secret", plan.password, "synapse")
    assert plan.steps == ["The user synapse is created.", "The database data of the user synapse is created."]


def test_a_user_without_a_password_is_created() -> None:
    plan = _access({"password": ""}, role=None, password=None)
    assert (plan.creates_role, plan.password) == (True, "")


def test_another_password_is_set() -> None:
    plan = _access(password=False)
    assert (plan.creates_role, plan.steps) == (False, ["The password of the user synapse is set."])
    assert scram.is_stored("secret", plan.password, "synapse")


def test_a_password_that_the_administrator_cannot_see_stays() -> None:
    assert _access(password=None).steps == []


def test_an_administrator_who_is_no_superuser_joins_the_owner() -> None:
    assert _access(rights=_CREATOR, database=None, tables=None).joins
    assert not _access(rights=_CREATOR, database=None, tables=None, member=True).joins


def test_a_database_gets_the_locale_of_the_system_where_the_template_has_another() -> None:
    assert _access(**_NEW).locale_provider == ""
    assert _access(**_NEW, provider="i").locale_provider == "libc"


def test_nothing_is_required_of_an_administrator_who_has_nothing_to_do() -> None:
    rights = {"rolsuper": False, "rolcreaterole": False, "rolcreatedb": False, "read_only": True}
    assert _access(rights=rights, administers=False).wrong == []


def test_no_limit_counts_for_a_superuser() -> None:
    role = {**_ROLE, "rolsuper": True, "rolconnlimit": 0, "expired": True}
    database = {**_DATABASE, "datconnlimit": 0}
    assert _access(role=role, database=database, tables={**_TABLES, "can_create": False}).wrong == []


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"database": {**_DATABASE, "datcollate": "en_US.UTF-8"}}, "locale en_US.UTF-8/C, but .* with createdb x and"),
        (
            {"database": {**_DATABASE, "datallowconn": False}, "tables": None},
            r'^The database data does not accept connections .* ALTER DATABASE "data" ALLOW_CONNECTIONS true;$',
        ),
        (
            {"database": {**_DATABASE, "datconnlimit": 9}},
            'CONNECTION LIMIT of the database data is 9, but .* 10 .*: ALTER DATABASE "data" CONNECTION LIMIT 10;$',
        ),
        ({"database": {**_DATABASE, "datconnlimit": -2}, "tables": None}, 'only in part. .*: DROP DATABASE "data";$'),
        (
            {"database": {**_DATABASE, "datistemplate": True}},
            'is a template.* ALTER DATABASE "data" IS_TEMPLATE false;',
        ),
        (
            {"database": {**_DATABASE, "can_connect": False}},
            'synapse may not connect .*: GRANT CONNECT ON DATABASE "data" TO "synapse";$',
        ),
        (
            {"tables": {**_TABLES, "can_create": False}},
            '^The user synapse .* belongs to other. .*: ALTER DATABASE "data" OWNER TO "synapse";$',
        ),
        # Before PostgreSQL 15, the owner of a database is not that of its schema.
        (
            {"tables": {"can_create": False, "schema_owner": "postgres"}},
            'schema public belongs to postgres. .*: GRANT USAGE, CREATE ON SCHEMA public TO "synapse";$',
        ),
        ({"tables": {"can_create": False, "schema_owner": None}}, 'no schema public.*CREATE SCHEMA AUTHORIZATION "syn'),
        # It would be created, and then the database could not be used.
        (
            {"role": None, "password": None, "tables": {**_TABLES, "can_create": False}},
            "data exists already and belongs to other. .* Set prefix_user to other, or prefix_database to another",
        ),
        ({"role": {**_ROLE, "rolcanlogin": False}}, 'may not log in. Set prefix_user .*: ALTER ROLE "synapse" LOGIN;'),
        ({"role": {**_ROLE, "rolconnlimit": 2}}, 'is 2, but .* 10 .*: ALTER ROLE "synapse" CONNECTION LIMIT 10;'),
        ({"role": {**_ROLE, "expired": True}}, "has expired .* ALTER ROLE \"synapse\" VALID UNTIL 'infinity';"),
        ({"role": {**_ROLE, "rolsuper": True}, "password": False}, "^prefix_password is not the password .*superuser"),
        (
            {"rights": {**_CREATOR, "rolcreaterole": False, "rolcreatedb": False}, "database": None, "tables": None},
            "postgres lacks CREATEROLE and CREATEDB to do this: The database data .* createdb x",
        ),
        ({**_NEW, "rights": {**_SUPERUSER, "read_only": True}}, "is read-only, so .*: The user synapse is created."),
        # Since PostgreSQL 16, CREATEROLE alone does not suffice.
        (
            {"rights": _CREATOR, "administers": False, "password": False},
            'postgres may not change the user synapse, .*: GRANT "synapse" TO "postgres" WITH ADMIN OPTION;$',
        ),
    ],
)
def test_what_is_refused(values: Row, wrong: str) -> None:
    plan = _access(**values)
    assert len(plan.wrong) == 1
    assert re.search(wrong, plan.wrong[0])
