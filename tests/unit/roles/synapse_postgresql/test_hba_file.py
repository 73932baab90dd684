# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_hba.conf says is known before PostgreSQL is started."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import access_rules, hba_file

# As pg_createcluster writes it.
_PACKAGED = """\
# PostgreSQL Client Authentication Configuration File
#
# DO NOT DISABLE!
local   all             postgres                                peer

# TYPE  DATABASE        USER            ADDRESS                 METHOD

# "local" is for Unix domain socket connections only
local   all             all                                     peer
# IPv4 local connections:
host    all             all             127.0.0.1/32            scram-sha-256
# IPv6 local connections:
host    all             all             ::1/128                 scram-sha-256
"""


def test_the_packaged_file() -> None:
    wanted = [{**rule, "options": []} for rule in access_rules.DEFAULT_RULES]
    assert hba_file.parse(_PACKAGED) == wanted


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("", []),
        ("   # only a comment", []),
        ("local all all peer # why", [["local"], ["all"], ["all"], ["peer"]]),
        ("local a,b,c all#peer", [["local"], ["a", "b", "c"], ["all"]]),
        # A comma ends a name, and the field continues after it.
        ("local a, b all", [["local"], ["a", "b"], ["all"]]),
        ("local a ,b all", [["local"], ["a"], ["b"], ["all"]]),
        ('local "a b","c""d#e" x"y z"', [["local"], ["a b", 'c"d#e'], ["xy z"]]),
        ('local "never ends', [["local"], ["never ends"]]),
    ],
)
def test_the_fields_of_a_line(line: str, fields: list[list[str]]) -> None:
    assert hba_file.fields_of(line) == fields


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("local all all ident", {"type": "local", "auth_method": "peer", "options": []}),
        ("local all all peer map=a", {"auth_method": "peer", "options": ["map=a"]}),
        ("host all all 10.0.0.0 255.0.0.0 md5", {"address": "10.0.0.0", "netmask": "255.0.0.0", "auth_method": "md5"}),
        ("host all all ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff md5", {"address": "::1", "auth_method": "md5"}),
        ("host all all db.example.org md5", {"address": "db.example.org", "netmask": None, "auth_method": "md5"}),
        ("host all all samenet md5", {"address": "samenet", "auth_method": "md5"}),
        ("host all all 10.0.0.0/8 ldap ldapserver=x", {"auth_method": "ldap", "options": ["ldapserver=x"]}),
        ("hostssl all all 10.0.0.0/8 cert clientcert=verify-full", {"type": "hostssl", "auth_method": "cert"}),
        # Only PostgreSQL can tell what it means, or it does not start with it.
        ("include /etc/other.conf", {"type": "other"}),
        ("host all all 10.0.0.0 md5", {"type": "other"}),
        ("host all all 10.0.0.0", {"type": "other"}),
        ("local all all", {"type": "other"}),
    ],
)
def test_the_rule_of_a_line(line: str, expected: dict[str, t.Any]) -> None:
    [found] = hba_file.parse(line)
    assert {name: found[name] for name in expected} == expected


def test_a_line_continues_after_a_backslash() -> None:
    assert [rule["auth_method"] for rule in hba_file.parse("local all \\\nall peer\nlocal all all trust")] == [
        "peer",
        "trust",
    ]
