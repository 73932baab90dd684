# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether pg_hba.conf lets Synapse in is known before anything is changed."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.access_rules import (
    DEFAULT_RULES,
    Visitor,
    line_for,
    method_for,
    quoted,
    refusal,
)

Rule = dict[str, t.Any]


def _visitor(**values: t.Any) -> Visitor:
    default = {"host": "localhost", "database": "synapse", "user": "synapse", "has_password": True}
    default["address"] = values.get("host", "127.0.0.1").replace("localhost", "127.0.0.1")
    return Visitor(**{**default, "system_user": "matrix-synapse", **values})


def _rule(kind: str = "host", method: str = "scram-sha-256", **values: t.Any) -> Rule:
    return {"type": kind, "database": ["all"], "user_name": ["all"], "auth_method": method, **values}


_ALL = {"address": "all"}


@pytest.mark.parametrize(
    ("visitor", "rules", "method"),
    [
        ({}, DEFAULT_RULES, "scram-sha-256"),
        ({"host": ""}, DEFAULT_RULES, "peer"),
        ({"host": "/tmp"}, DEFAULT_RULES, "peer"),
        ({}, [], ""),
        ({}, [_rule("local")], ""),
        ({"host": "/tmp"}, [_rule(**_ALL)], ""),
        # The first that applies counts.
        ({}, [_rule(method="reject", **_ALL), _rule(**_ALL)], "reject"),
        ({}, [_rule(database=["other"], method="reject", **_ALL), _rule(**_ALL)], "scram-sha-256"),
        ({}, [_rule(user_name=["other"], method="reject", **_ALL), _rule(**_ALL)], "scram-sha-256"),
        ({}, [_rule(database=["replication"], method="reject", **_ALL), _rule(**_ALL)], "scram-sha-256"),
        ({}, [_rule(database=["sameuser"], method="md5", **_ALL)], "md5"),
        ({"database": "x"}, [_rule(database=["sameuser"], method="md5", **_ALL)], ""),
        ({}, [_rule("hostssl", **_ALL)], "scram-sha-256"),
        ({"encrypts": False}, [_rule("hostssl", **_ALL)], ""),
        ({}, [_rule("hostgssenc", **_ALL)], ""),
        ({}, [_rule(address="samehost")], "scram-sha-256"),
        ({}, [_rule(address="10.0.0.0", netmask="255.0.0.0")], ""),
        ({}, [_rule(address="127.0.0.0", netmask="255.0.0.0")], "scram-sha-256"),
        # Only PostgreSQL can tell.
        ({}, [_rule(user_name=["+group"], method="reject", **_ALL)], "unknown"),
        ({}, [_rule(user_name=["/^syn"], method="reject", **_ALL)], "unknown"),
        ({}, [_rule(database=["samerole"], method="reject", **_ALL)], "unknown"),
        ({}, [_rule("hostnossl", **_ALL)], "unknown"),
        ({}, [_rule(address="db.example.org", netmask=None)], "unknown"),
        ({"host": "/tmp"}, [_rule("local", "peer", options=["map=synapse"])], "unknown"),
        ({}, [_rule(user_name=["@names"], method="reject", **_ALL)], "unknown"),
        ({}, [_rule("other", "")], "unknown"),
        ({"host": "/tmp"}, [_rule("other", "")], "unknown"),
        # Others than PostgreSQL decide, by a password too.
        ({}, [_rule(method="pam", **_ALL)], "unknown"),
        # A client that is rejected with TLS tries it without.
        ({}, [_rule("hostssl", "reject", **_ALL), _rule(**_ALL)], "scram-sha-256"),
        # What only PostgreSQL can tell does not matter if another part does not apply.
        (
            {},
            [_rule(user_name=["+group"], address="10.0.0.1", netmask="255.255.255.255"), _rule(**_ALL)],
            "scram-sha-256",
        ),
    ],
)
def test_the_first_rule_that_applies(visitor: dict[str, t.Any], rules: list[Rule], method: str) -> None:
    assert method_for(_visitor(**visitor), rules) == method


@pytest.mark.parametrize(
    ("visitor", "rules"),
    [
        ({}, DEFAULT_RULES),
        ({"host": "", "user": "matrix-synapse", "has_password": False}, DEFAULT_RULES),
        ({"has_password": False}, [_rule(method="trust", **_ALL)]),
        ({"has_password": False}, [_rule(method="ldap", user_name=["+x"], **_ALL)]),
    ],
)
def test_who_is_let_in(visitor: dict[str, t.Any], rules: list[Rule]) -> None:
    assert refusal(_visitor(**visitor), rules, "/hba", "unit", "prefix") == ""


@pytest.mark.parametrize(
    ("visitor", "rules", "expected"),
    [
        ({"has_password": False}, [_rule(**_ALL)], "requires a password of the user synapse.*Set prefix_password."),
        (
            {"host": "/tmp"},
            DEFAULT_RULES,
            "the method peer, and Synapse runs as the user matrix-synapse.*Or add this line"
            ".*: local synapse synapse scram-sha-256$",
        ),
        (
            {"host": "127.0.0.1"},
            [],
            "has no rule for.*Add this line.*systemctl reload unit: host synapse synapse 127.0.0.1/32 scram-sha-256$",
        ),
        (
            {"host": "::1", "user": "a b"},
            [_rule(method="reject", **_ALL)],
            'the method reject.*: host synapse "a b" ::1/128',
        ),
    ],
)
def test_the_line_that_is_missing(visitor: dict[str, t.Any], rules: list[Rule], expected: str) -> None:
    assert re.search(expected, refusal(_visitor(**visitor), rules, "/hba", "unit", "prefix"))


def test_a_user_without_a_password_gets_a_rule_for_the_process() -> None:
    assert line_for(_visitor(host="", has_password=False)) == "local synapse synapse peer"


def test_a_server_that_does_not_run_is_not_reloaded() -> None:
    said = refusal(_visitor(), [], "/hba", "", "prefix")
    assert "Add this line above its other rules: host synapse synapse 127.0.0.1/32 scram-sha-256" in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [("synapse", "synapse"), ("all", '"all"'), ("a b", '"a b"'), ('a"b', '"a""b"'), ("+x", '"+x"'), ("/x", '"/x"')],
)
def test_names_are_quoted(name: str, expected: str) -> None:
    assert quoted(name) == expected
