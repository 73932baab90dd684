# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.secret_text import (
    described,
    find_unquoted,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "nothing"),
        (True, "a boolean"),
        (123456789, "a number"),
        (1e5, "a number"),
        (datetime.date(2026, 1, 1), "a date"),
        (datetime.datetime(2026, 1, 1), "a date"),
        ("a", "text"),
        (b"a", "binary data"),
        ({}, "a mapping"),
        (["a"], "a list"),
        ({"a"}, "a list"),
        (object(), "another type"),
    ],
)
def test_described(value: t.Any, name: str) -> None:
    assert described(value) == name


@pytest.mark.parametrize(
    ("settings", "key", "effect"),
    [
        ({"registration_shared_secret": 123456789}, "registration_shared_secret", "internal server error (500)"),
        ({"registration_shared_secret": False}, "registration_shared_secret", "takes it as not set"),
        ({"macaroon_secret_key": True}, "macaroon_secret_key", "does not start"),
        ({"macaroon_secret_key": 0}, "macaroon_secret_key", "uses registration_shared_secret instead"),
        ({"form_secret": 0}, "form_secret", "does not start"),
        ({"turn_shared_secret": ["a"]}, "turn_shared_secret", "TURN"),
        ({"password_config": {"pepper": 0}}, "password_config.pepper", "each login with a password"),
        ({"email": {"smtp_pass": 1}}, "email.smtp_pass", "does not start"),
        ({"jwt_config": {"enabled": True, "secret": 1}}, "jwt_config.secret", "JSON Web Token"),
        ({"redis": {"enabled": True, "password": 1.5}}, "redis.password", "another text"),
        (
            {"database": {"name": "psycopg2", "args": {"password": 1e5}}},
            "database.args.password",
            "another text",
        ),
        (
            {"databases": {"main": {"name": "psycopg2", "args": {"password": True}}}},
            "databases.main.args.password",
            "another text",
        ),
        ({"oidc_providers": [{"client_secret": "a"}, {"client_secret": 1}]}, "oidc_providers.1.client_secret", "start"),
        # What is false does not count as set both ways.
        ({"turn_shared_secret": 1, "turn_shared_secret_path": "/a"}, "turn_shared_secret", "TURN"),
    ],
)
def test_a_secret_that_is_no_text(settings: dict[str, t.Any], key: str, effect: str) -> None:
    [found] = find_unquoted(settings)
    assert ".".join(found.key) == key
    assert effect in found.effect
    assert found.sentence("/h.yaml").startswith(f"{key} in /h.yaml is a ")
    assert found.sentence("/h.yaml").endswith("Put it in quotes there, exactly as it is meant, and restart Synapse.")
    assert "123456789" not in found.sentence("/h.yaml")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"registration_shared_secret": "123456789", "form_secret": None, "password_config": None},
        {"registration_shared_secret": 0, "registration_shared_secret_path": "/a"},
        {"password_config": {"pepper": "a"}, "oidc_providers": [{}], "databases": {"a": None}},
        # Synapse sends a whole number in its usual form.
        {"redis": {"enabled": True, "password": 7}},
        {"redis": {"enabled": True, "password": False}},
        {"redis": {"enabled": False, "password": 1.5}},
        {"database": {"name": "psycopg2", "args": {"password": 7}}},
        {"database": {"name": "sqlite3", "args": {"password": 1.5}}},
        {"jwt_config": {"secret": 1}},
        {"oidc_config": "text", "oidc_providers": "text", "email": ["smtp_pass"], "database": 7},
    ],
    ids=str,
)
def test_harmless(settings: dict[str, t.Any]) -> None:
    assert find_unquoted(settings) == []
